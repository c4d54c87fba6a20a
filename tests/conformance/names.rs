//! Names: a changing peer, and IPv6 addresses.

use core::net::Ipv4Addr;

use epollite::kernel::{MembershipV4, MembershipV6};
use epollite::kernel::{SocketOption, SocketType};
use epollite::net::AddressFamily;
use epollite::sim::Ipv6;
use epollite::{Addr, Fd};

use crate::harness::{Harness, anywhere};
use crate::machine::MACHINE;
use crate::same;

#[test]
fn a_datagram_socket_that_changes_its_peer() {
    same(
        |harness| {
            let near = harness.k.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
            let far = harness.k.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
            harness.k.bind(&far, &anywhere()).unwrap();
            let addr = harness.k.getsockname(&far).unwrap();
            harness.k.connect(&near, &addr).unwrap();
            harness.send(&near, b"one");
            let _ = harness.k.getpeername(&near);
            harness.k.connect(&near, &Addr::Unspecified).unwrap();
            let _ = harness.k.getpeername(&near);
            let _ = harness.k.send(&near, b"two");
            harness.k.sendto(&near, b"three", &addr).unwrap();
            harness.wait_idle();
            for _ in 0..3 {
                let _ = harness.k.recvfrom(&far, &mut [0; 16]);
            }
            harness.close_all([near, far]);
        },
        &[],
    );
}

/// With IPv6, without an IPv6 address, and without IPv6 sockets: the model follows this machine.
#[test]
fn ipv6_names() {
    let expected: &[&str] = match MACHINE.ipv6 {
        Ipv6::Present => &[
            "a stream connects: Err(EINPROGRESS)",
            "a datagram socket connects: Ok(())",
            "a datagram is sent: Ok(3)",
            "an address of its own: Ok(())",
        ],
        Ipv6::Disabled => &[
            "a stream connects: Err(EADDRNOTAVAIL)",
            "a datagram socket connects: Err(EADDRNOTAVAIL)",
            "a datagram is sent: Err(EADDRNOTAVAIL)",
            "an address of its own: Err(EADDRNOTAVAIL)",
        ],
        Ipv6::Absent => &["no socket: EAFNOSUPPORT"],
    };
    same(
        |harness| match harness.k.socket(AddressFamily::Inet6, SocketType::Stream) {
            Ok(listener) => connect_over_ipv6(harness, listener),
            Err(errno) => harness.log.push(format!("no socket: {errno:?}")),
        },
        expected,
    );
}

fn connect_over_ipv6(harness: &mut Harness<'_>, listener: Fd) {
    let any: Addr = "[::]:0".parse().unwrap();
    let loopback: Addr = "[::1]:0".parse().unwrap();
    harness.k.bind(&listener, &any).unwrap();
    harness.k.listen(&listener, 2).unwrap();
    let port = harness.k.getsockname(&listener).unwrap().port().unwrap();
    let client = harness.k.socket(AddressFamily::Inet6, SocketType::Stream).unwrap();
    let connected = harness.k.connect(&client, &loopback.with_port(port));
    harness.read_and_record("a stream connects", connected);
    harness.wait_idle();
    let accepted = harness.k.accept4(&listener);
    let _ = harness.k.getpeername(&client);
    let _ = harness.k.getsockname(&client);
    if let Ok((server, _)) = accepted {
        let _ = harness.k.getsockname(&server);
        harness.close_all([server]);
    }
    let [near, far, third, fourth] =
        [(); 4].map(|()| harness.k.socket(AddressFamily::Inet6, SocketType::Datagram).unwrap());
    harness.k.bind(&far, &any).unwrap();
    let port = harness.k.getsockname(&far).unwrap().port().unwrap();
    let connected = harness.k.connect(&third, &loopback.with_port(port));
    harness.read_and_record("a datagram socket connects", connected);
    let _ = harness.k.getsockname(&third);
    let sent = harness.k.sendto(&near, b"six", &loopback.with_port(port));
    harness.read_and_record("a datagram is sent", sent);
    harness.wait_idle();
    let _ = harness.k.recvfrom(&far, &mut [0; 16]);
    let bound = harness.k.bind(&fourth, &loopback);
    harness.read_and_record("an address of its own", bound);
    harness.close_all([listener, client, near, far, third, fourth]);
}

#[test]
fn multicast_reaches_every_bound_socket() {
    same(
        |harness| {
            // Above the ephemeral ports: a UDP port is only free of UDP sockets, and a test running
            // in parallel may use the same number for TCP.
            let port = 61_000 + u16::try_from(std::process::id() % 4_000).unwrap();
            let group: Addr = format!("239.1.2.3:{port}").parse().unwrap();
            let [member, bystander, elsewhere, sender] = [(); 4]
                .map(|()| harness.k.socket(AddressFamily::Inet, SocketType::Datagram).unwrap());
            harness.k.setsockopt(&member, SocketOption::ReuseAddr(true)).unwrap();
            harness.k.setsockopt(&bystander, SocketOption::ReuseAddr(true)).unwrap();
            harness.k.bind(&member, &group).unwrap();
            let group = harness.k.getsockname(&member).unwrap();
            let any: Addr = "0.0.0.0:0".parse().unwrap();
            harness.k.bind(&bystander, &any.with_port(port)).unwrap();
            harness.k.bind(&elsewhere, &anywhere()).unwrap();
            // Listens at the same port, and receives none of it: it is TCP.
            let listener = harness.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
            harness.k.bind(&listener, &any.with_port(port)).unwrap();
            harness.k.listen(&listener, 1).unwrap();
            let here = Ipv4Addr::LOCALHOST;
            harness.k.setsockopt(&sender, SocketOption::MulticastInterfaceV4(here)).unwrap();
            // There is no member yet.
            let _ = harness.k.sendto(&sender, b"no member", &group);
            harness.wait_idle();
            let _ = harness.k.recvfrom(&member, &mut [0; 16]);
            let group_ip = Ipv4Addr::new(239, 1, 2, 3);
            let join =
                SocketOption::JoinMulticastV4(MembershipV4 { group: group_ip, interface: here });
            harness.k.setsockopt(&member, join).unwrap();
            let _ = harness.k.setsockopt(&member, join);
            for all_groups in [true, false] {
                // A member receives it all the same.
                for socket in [&bystander, &member] {
                    let all = SocketOption::GroupAllV4(all_groups);
                    harness.k.setsockopt(socket, all).unwrap();
                }
                let _ = harness.k.sendto(&sender, b"to all", &group);
                harness.wait_idle();
                for socket in [&member, &bystander, &elsewhere, &sender] {
                    let _ = harness.k.recvfrom(socket, &mut [0; 16]);
                }
            }
            // Over loopback these two have no effect.
            harness.k.setsockopt(&sender, SocketOption::MulticastLoopV4(false)).unwrap();
            harness.k.setsockopt(&sender, SocketOption::MulticastTtl(0)).unwrap();
            let _ = harness.k.sendto(&sender, b"not looped", &group);
            harness.wait_idle();
            let _ = harness.k.recvfrom(&member, &mut [0; 16]);
            let leave =
                SocketOption::LeaveMulticastV4(MembershipV4 { group: group_ip, interface: here });
            harness.k.setsockopt(&member, leave).unwrap();
            let _ = harness.k.sendto(&sender, b"no member any more", &group);
            harness.wait_idle();
            let _ = harness.k.recvfrom(&member, &mut [0; 16]);
            harness.k.setsockopt(&member, join).unwrap();
            harness.close_all([member]);
            let _ = harness.k.sendto(&sender, b"no member again", &group);
            harness.wait_idle();
            let _ = harness.k.recvfrom(&bystander, &mut [0; 16]);
            harness.close_all([bystander, elsewhere, sender, listener]);
        },
        &[],
    );
}

/// Loopback has no route to IPv6 multicast groups, not even for members that joined on it.
#[test]
fn a_group_of_ipv6_is_not_reached_over_loopback() {
    same(
        |harness| {
            if MACHINE.ipv6 != Ipv6::Present {
                return;
            }
            let [member, sender] = [(); 2]
                .map(|()| harness.k.socket(AddressFamily::Inet6, SocketType::Datagram).unwrap());
            let port = 65_250 + u16::try_from(std::process::id() % 250).unwrap();
            let any: Addr = "[::]:0".parse().unwrap();
            harness.k.bind(&member, &any.with_port(port)).unwrap();
            let group = "ff11::1234".parse().unwrap();
            harness
                .k
                .setsockopt(
                    &member,
                    SocketOption::JoinMulticastV6(MembershipV6 { group, interface: 1 }),
                )
                .unwrap();
            let group: Addr = format!("[ff11::1234%1]:{port}").parse().unwrap();
            for all_groups in [true, false] {
                harness.k.setsockopt(&member, SocketOption::GroupAllV6(all_groups)).unwrap();
                let _ = harness.k.sendto(&sender, b"no member", &group);
                harness.wait_idle();
                let _ = harness.k.recvfrom(&member, &mut [0; 16]);
            }
            harness.close_all([member, sender]);
        },
        &[],
    );
}
