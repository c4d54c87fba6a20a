//! Server addresses: names with several addresses, interface names, paths of any bytes, and
//! connections to itself.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::{bench, finish, has_ipv6, in_network, plain_unix};

/// Leaves the kernel a single ephemeral port, used for every connect.
const ONE_PORT: &str = "echo 40004 40004 > /proc/sys/net/ipv4/ip_local_port_range";

/// The addresses of supported families: IPv6 may be compiled out, or disabled at boot.
fn supported(addresses: &[&'static str]) -> Vec<&'static str> {
    let is_known = |address: &&&str| has_ipv6() || !address.starts_with('[');
    addresses.iter().filter(is_known).copied().collect()
}

#[test]
fn a_connection_to_itself_is_no_server() {
    let no_server = ("nothing", "", 0);
    for address in supported(&["127.0.0.1:40004", "[::1]:40004", "0.0.0.0:40004"]) {
        in_network(ONE_PORT, no_server, &format!("{address} -n 5"))
            .ended(69, &format!("no server at tcp {address}: connected to itself"));
    }
    // With churn every connection would be one to itself.
    for address in supported(&["[::1]:40004", "127.0.1.1:40004"]) {
        in_network(ONE_PORT, no_server, &format!("{address} --churn -n 5"))
            .ended(69, &format!("no server at tcp {address}: connected to itself"));
    }
}

#[test]
fn a_datagram_socket_connected_to_itself_is_no_server() {
    for address in supported(&["127.0.0.1:40004", "[::1]:40004"]) {
        in_network(ONE_PORT, ("nothing", "", 0), &format!("{address} --udp -n 5"))
            .ended(69, &format!("no server at udp {address}: connected to itself"));
    }
}

#[test]
fn a_server_on_a_port_of_the_local_range_is_found() {
    let setup = "echo 40004 40007 > /proc/sys/net/ipv4/ip_local_port_range";
    for what in ["tcp", "udp"] {
        let how = format!("127.0.0.1:40004 -n 5 {}", if what == "udp" { "--udp" } else { "" });
        let run = in_network(setup, (what, "127.0.0.1", 40004), &how);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    }
}

#[test]
fn every_address_of_a_name_is_tried() {
    let hosts = tempfile::NamedTempFile::new().unwrap();
    // No server listens on the first one.
    std::fs::write(hosts.path(), "::1 two\n127.0.0.1 two\n").unwrap();
    let setup = format!("mount --bind {} /etc/hosts", hosts.path().display());
    for (what, how) in [("tcp", "-c 3"), ("tcp", "--churn"), ("udp", "--udp")] {
        let run =
            in_network(&setup, (what, "127.0.0.1", 7002), &format!("two:7002 -n 9 {how} --json"));
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{what} {how}: {run:?}");
        let target = format!("{what} 127.0.0.1:7002");
        assert_eq!(run.json()["config"]["target"], target, "the address that answered is reported");
    }
    // Without any server the first address is reported.
    in_network(&setup, ("nothing", "", 0), "two:7002 -n 9")
        .ended(69, "no server at tcp [::1]:7002");
    in_network(&setup, ("nothing", "", 0), "two:7002 -n 9 --udp")
        .ended(69, "no server at udp [::1]:7002");
}

/// With IPv6 disabled connect(2) has no source address, and returns the same error as without
/// ports.
#[test]
fn without_ipv6_the_other_addresses_are_tried_and_the_error_is_not_a_lack_of_ports() {
    let hosts = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(hosts.path(), "::1 two\n127.0.0.1 two\n").unwrap();
    let off = if has_ipv6() { "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6" } else { "" };
    let setup = format!("mount --bind {} /etc/hosts; {off}", hosts.path().display());
    for (what, how) in [("tcp", ""), ("tcp", "--churn"), ("udp", "--udp")] {
        let run = in_network(&setup, (what, "127.0.0.1", 7002), &format!("two:7002 -n 9 {how}"));
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{what} {how}: {run:?}");
        if !has_ipv6() {
            continue;
        }
        in_network(off, ("nothing", "", 0), &format!("[::1]:7002 -n 9 {how}"))
            .ended(69, &format!("no server at {what} [::1]:7002: address not available here"));
    }
}

#[test]
fn an_interface_name_is_resolved() {
    if !has_ipv6() {
        return;
    }
    let setup = "ip link add eth0 type veth peer name eth1
        ip address add fe80::7/64 dev eth0 nodad
        ip link set eth0 up; ip link set eth1 up";
    for (what, how) in [("tcp", "-c 2"), ("udp", "--udp")] {
        let how = format!("[fe80::7%eth0]:7003 -n 9 {how}");
        let run = in_network(setup, (what, "fe80::7%eth0", 7003), &how);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    }
    in_network(setup, ("nothing", "", 0), "[fe80::7%eth9]:7003 -n 9")
        .ended(2, "there is no interface 'eth9'");
}

#[test]
fn a_path_may_contain_any_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(OsStr::from_bytes(b"s\xff\\x41"));
    plain_unix(&path);
    let mut command = bench("load --unix -n 9 --warmup 0 --json");
    command.arg(&path);
    let run = finish(command);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    let target = format!("unix:{}/s\\xff\\x5cx41", dir.path().display());
    assert_eq!(
        run.json()["config"]["target"],
        target,
        "it is printed in a form that can be parsed"
    );
    let again = finish({
        let mut command = bench("load -n 9 --warmup 0 --json");
        command.arg(&target);
        command
    });
    assert_eq!((again.code, &again.json()["messages"]), (Some(0), &9.into()), "{again:?}");
}
