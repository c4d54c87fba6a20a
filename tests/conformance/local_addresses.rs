//! Local addresses of datagrams: the destination address of a received one, and the source address
//! of a reply.

use epollite::kernel::{SocketOption, SocketType};
use epollite::net::{AddressFamily, DatagramBatch, PacketInfo};
use epollite::sim::Ipv6;
use epollite::{Addr, Fd};

use crate::harness::Harness;
use crate::machine::MACHINE;
use crate::misuse::on_each;
use crate::same;

/// A socket bound to the wildcard address, and its port; and a client.
fn wildcard(harness: &mut Harness<'_>, family: AddressFamily) -> (Fd, u16, Fd) {
    let any = if family == AddressFamily::Inet { "0.0.0.0:0" } else { "[::]:0" };
    let server = harness.k.socket(family, SocketType::Datagram).unwrap();
    if family == AddressFamily::Inet6 {
        harness.k.setsockopt(&server, SocketOption::V6Only(true)).unwrap();
    }
    harness.k.bind(&server, &any.parse().unwrap()).unwrap();
    let port = harness.k.getsockname(&server).unwrap().port().unwrap();
    let client = harness.k.socket(family, SocketType::Datagram).unwrap();
    (server, port, client)
}

fn at(ip: &str, port: u16) -> Addr {
    core::net::SocketAddr::new(ip.parse().unwrap(), port).into()
}

/// Addresses of this machine.
fn local_addresses() -> impl Iterator<Item = (AddressFamily, &'static str, SocketOption)> {
    let requested = [
        (AddressFamily::Inet, "127.0.0.1", SocketOption::PacketInfoV4(true)),
        (AddressFamily::Inet, "127.0.0.77", SocketOption::PacketInfoV4(true)),
        (AddressFamily::Inet6, "::1", SocketOption::PacketInfoV6(true)),
    ];
    requested.into_iter().filter(|(family, ..)| exists(*family))
}

fn exists(family: AddressFamily) -> bool {
    family == AddressFamily::Inet || MACHINE.ipv6 == Ipv6::Present
}

#[test]
fn a_datagram_reports_its_destination_address() {
    for (family, ip, option) in local_addresses() {
        same(
            |harness| {
                let (server, port, client) = wildcard(harness, family);
                let to = at(ip, port);
                for step in ["unreported", "reported"] {
                    harness.k.sendto(&client, b"ask", &to).unwrap();
                    harness.wait_idle();
                    let got = harness.k.recvmsg(&server, &mut [0; 8]).unwrap();
                    let got = got.packet_info;
                    harness.read_and_record(
                        step,
                        got.map(|info| (info.addr.to_string() == ip, info.interface)),
                    );
                    harness.k.setsockopt(&server, option).unwrap();
                }
                harness.close_all([server, client]);
            },
            &["unreported: None", "reported: Some((true, 1))"],
        );
    }
}

#[test]
fn a_reply_is_sent_from_the_requested_address() {
    for (family, ip, option) in local_addresses() {
        same(
            |harness| {
                let (server, port, client) = wildcard(harness, family);
                harness.k.setsockopt(&server, option).unwrap();
                harness.k.sendto(&client, b"ask", &at(ip, port)).unwrap();
                harness.wait_idle();
                let requested = harness.k.recvmsg(&server, &mut [0; 8]).unwrap();
                let info = requested.packet_info.and_then(PacketInfo::reply);
                let sent = harness.k.sendmsg(&server, b"answer", &requested.from, info);
                harness.read_and_record("sent", sent);
                harness.wait_idle();
                let answer = harness.k.recvmsg(&client, &mut [0; 8]).unwrap();
                harness.read_and_record("from there", answer.from == at(ip, port));
                harness.close_all([server, client]);
            },
            &["sent: Ok(6)", "from there: true"],
        );
    }
}

#[test]
fn a_batch_is_answered_from_the_requested_addresses() {
    same(
        |harness| {
            let (server, port, client) = wildcard(harness, AddressFamily::Inet);
            harness.k.setsockopt(&server, SocketOption::PacketInfoV4(true)).unwrap();
            let requested = ["127.0.0.3", "127.0.0.1", "127.9.9.9"].map(|ip| at(ip, port));
            for to in &requested {
                harness.k.sendto(&client, b"ask", to).unwrap();
            }
            harness.wait_idle();
            let mut batch = DatagramBatch::new(4, 16);
            batch.enable_control_messages();
            let got = harness.k.recvmmsg(&server, &mut batch);
            harness.read_and_record("received", got);
            batch.set_reply_addresses();
            let sent = harness.k.sendmmsg(&server, &batch, 0);
            harness.read_and_record("sent", sent);
            harness.wait_idle();
            for from in requested {
                let answer = harness.k.recvfrom(&client, &mut [0; 8]).unwrap();
                harness.read_and_record("from there", answer.1 == from);
            }
            harness.close_all([server, client]);
        },
        &[
            "received: Ok(3)",
            "sent: Ok(3)",
            "from there: true",
            "from there: true",
            "from there: true",
        ],
    );
}

#[test]
fn nothing_is_sent_from_a_non_local_address() {
    let ipv6_result = if MACHINE.binds_nonlocal_v6 { "sent: Ok(6)" } else { "sent: Err(EINVAL)" };
    let nonlocal = [
        (AddressFamily::Inet, "127.0.0.1", "192.0.2.7", "sent: Err(ENETUNREACH)"),
        (AddressFamily::Inet6, "::1", "2001:db8::7", ipv6_result),
    ];
    for (family, to, ip, seen) in nonlocal.into_iter().filter(|(family, ..)| exists(*family)) {
        same(
            |harness| {
                let (server, port, client) = wildcard(harness, family);
                let info = PacketInfo { addr: ip.parse().unwrap(), interface: 0 };
                let sent = harness.k.sendmsg(&client, b"forged", &at(to, port), Some(info));
                harness.read_and_record("sent", sent);
                harness.close_all([server, client]);
            },
            &[seen],
        );
    }
}

#[test]
fn recvmsg_and_sendmsg_on_each() {
    on_each(|harness, fd| {
        let _ = harness.k.recvmsg(fd, &mut [0; 4]);
    });
    let to: Addr = "127.0.0.1:9".parse().unwrap();
    for ip in [None, Some("127.0.0.5"), Some("192.0.2.7")] {
        let info = ip.map(|ip| PacketInfo { addr: ip.parse().unwrap(), interface: 0 });
        on_each(|harness, fd| {
            let _ = harness.k.sendmsg(fd, b"word", &to, info);
            harness.wait_idle();
        });
    }
}
