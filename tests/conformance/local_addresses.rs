//! Local addresses of datagrams: which of ours one came to, and which one leaves from.

use epollite::sim::Ipv6;
use epollite::{Addr, Batch, Family, Fd, Kind, PacketInfo, SocketOption};

use crate::machine::MACHINE;
use crate::misuse::on_each;
use crate::same;
use crate::stage::Stage;

/// A socket bound to the wildcard address, and its port; and one that asks it.
fn wildcard(stage: &mut Stage<'_>, family: Family) -> (Fd, u16, Fd) {
    let any = if family == Family::Inet { "0.0.0.0:0" } else { "[::]:0" };
    let server = stage.k.socket(family, Kind::Datagram).unwrap();
    if family == Family::Inet6 {
        stage.k.setsockopt(&server, SocketOption::V6Only(true)).unwrap();
    }
    stage.k.bind(&server, &any.parse().unwrap()).unwrap();
    let port = stage.k.getsockname(&server).unwrap().port().unwrap();
    let client = stage.k.socket(family, Kind::Datagram).unwrap();
    (server, port, client)
}

fn at(ip: &str, port: u16) -> Addr {
    core::net::SocketAddr::new(ip.parse().unwrap(), port).into()
}

/// Addresses of this machine.
fn asked() -> impl Iterator<Item = (Family, &'static str, SocketOption)> {
    let asked = [
        (Family::Inet, "127.0.0.1", SocketOption::PacketInfoV4(true)),
        (Family::Inet, "127.0.0.77", SocketOption::PacketInfoV4(true)),
        (Family::Inet6, "::1", SocketOption::PacketInfoV6(true)),
    ];
    asked.into_iter().filter(|(family, ..)| exists(*family))
}

fn exists(family: Family) -> bool {
    family == Family::Inet || MACHINE.ipv6 == Ipv6::Present
}

#[test]
fn a_datagram_tells_the_address_that_it_came_to() {
    for (family, ip, option) in asked() {
        same(
            |stage| {
                let (server, port, client) = wildcard(stage, family);
                let to = at(ip, port);
                for step in ["untold", "told"] {
                    stage.k.sendto(&client, b"ask", &to).unwrap();
                    stage.settle();
                    let came = stage.k.recvmsg(&server, &mut [0; 8]).unwrap();
                    let came = came.packet_info;
                    stage.see(step, came.map(|info| (info.addr.to_string() == ip, info.interface)));
                    stage.k.setsockopt(&server, option).unwrap();
                }
                stage.close_all([server, client]);
            },
            &["untold: None", "told: Some((true, 1))"],
        );
    }
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    for (family, ip, option) in asked() {
        same(
            |stage| {
                let (server, port, client) = wildcard(stage, family);
                stage.k.setsockopt(&server, option).unwrap();
                stage.k.sendto(&client, b"ask", &at(ip, port)).unwrap();
                stage.settle();
                let asked = stage.k.recvmsg(&server, &mut [0; 8]).unwrap();
                let info = asked.packet_info.and_then(PacketInfo::reply);
                let sent = stage.k.sendmsg(&server, b"answer", &asked.from, info);
                stage.see("sent", sent);
                stage.settle();
                let answer = stage.k.recvmsg(&client, &mut [0; 8]).unwrap();
                stage.see("from there", answer.from == at(ip, port));
                stage.close_all([server, client]);
            },
            &["sent: Ok(6)", "from there: true"],
        );
    }
}

#[test]
fn a_batch_goes_back_from_where_each_was_asked() {
    same(
        |stage| {
            let (server, port, client) = wildcard(stage, Family::Inet);
            stage.k.setsockopt(&server, SocketOption::PacketInfoV4(true)).unwrap();
            let asked = ["127.0.0.3", "127.0.0.1", "127.9.9.9"].map(|ip| at(ip, port));
            for to in &asked {
                stage.k.sendto(&client, b"ask", to).unwrap();
            }
            stage.settle();
            let mut batch = Batch::new(4, 16).with_packet_info();
            let came = stage.k.recvmmsg(&server, &mut batch);
            stage.see("came", came);
            batch.set_reply_addresses();
            let sent = stage.k.sendmmsg(&server, &batch, 0);
            stage.see("sent", sent);
            stage.settle();
            for from in asked {
                let answer = stage.k.recvfrom(&client, &mut [0; 8]).unwrap();
                stage.see("from there", answer.1 == from);
            }
            stage.close_all([server, client]);
        },
        &["came: Ok(3)", "sent: Ok(3)", "from there: true", "from there: true", "from there: true"],
    );
}

#[test]
fn nothing_leaves_from_an_address_of_somebody_else() {
    let of_version_six =
        if MACHINE.binds_nonlocal_v6 { "sent: Ok(6)" } else { "sent: Err(EINVAL)" };
    let foreign = [
        (Family::Inet, "127.0.0.1", "192.0.2.7", "sent: Err(ENETUNREACH)"),
        (Family::Inet6, "::1", "2001:db8::7", of_version_six),
    ];
    for (family, to, ip, seen) in foreign.into_iter().filter(|(family, ..)| exists(*family)) {
        same(
            |stage| {
                let (server, port, client) = wildcard(stage, family);
                let info = PacketInfo { addr: ip.parse().unwrap(), interface: 0 };
                let sent = stage.k.sendmsg(&client, b"forged", &at(to, port), Some(info));
                stage.see("sent", sent);
                stage.close_all([server, client]);
            },
            &[seen],
        );
    }
}

#[test]
fn recvmsg_and_sendmsg_on_each() {
    on_each(|stage, fd| {
        let _ = stage.k.recvmsg(fd, &mut [0; 4]);
    });
    let to: Addr = "127.0.0.1:9".parse().unwrap();
    for ip in [None, Some("127.0.0.5"), Some("192.0.2.7")] {
        let info = ip.map(|ip| PacketInfo { addr: ip.parse().unwrap(), interface: 0 });
        on_each(|stage, fd| {
            let _ = stage.k.sendmsg(fd, b"word", &to, info);
            stage.settle();
        });
    }
}
