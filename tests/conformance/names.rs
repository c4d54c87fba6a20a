//! Names: a peer that changes, and those of version six.

use core::net::Ipv4Addr;

use epollite::sim::Ipv6;
use epollite::{Addr, Family, Fd, Kind, SocketOption};

use crate::machine::MACHINE;
use crate::same;
use crate::stage::{Stage, anywhere};

#[test]
fn a_datagram_socket_that_changes_its_peer() {
    same(
        |stage| {
            let near = stage.k.socket(Family::Inet, Kind::Datagram).unwrap();
            let far = stage.k.socket(Family::Inet, Kind::Datagram).unwrap();
            stage.k.bind(&far, &anywhere()).unwrap();
            let addr = stage.k.getsockname(&far).unwrap();
            stage.k.connect(&near, &addr).unwrap();
            stage.send(&near, b"one");
            let _ = stage.k.getpeername(&near);
            stage.k.connect(&near, &Addr::Unspec).unwrap();
            let _ = stage.k.getpeername(&near);
            let _ = stage.k.send(&near, b"two");
            stage.k.sendto(&near, b"three", &addr).unwrap();
            stage.settle();
            for _ in 0..3 {
                let _ = stage.k.recvfrom(&far, &mut [0; 16]);
            }
            stage.close_all([near, far]);
        },
        &[],
    );
}

/// With IPv6, without an address of it, and without its sockets: the model knows what is here.
#[test]
fn names_in_version_six() {
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
        |stage| match stage.k.socket(Family::Inet6, Kind::Stream) {
            Ok(listener) => meet_in_version_six(stage, listener),
            Err(errno) => stage.log.push(format!("no socket: {errno:?}")),
        },
        expected,
    );
}

fn meet_in_version_six(stage: &mut Stage<'_>, listener: Fd) {
    let any: Addr = "[::]:0".parse().unwrap();
    let home: Addr = "[::1]:0".parse().unwrap();
    stage.k.bind(&listener, &any).unwrap();
    stage.k.listen(&listener, 2).unwrap();
    let port = stage.k.getsockname(&listener).unwrap().port().unwrap();
    let client = stage.k.socket(Family::Inet6, Kind::Stream).unwrap();
    let connected = stage.k.connect(&client, &home.with_port(port));
    stage.see("a stream connects", connected);
    stage.settle();
    let accepted = stage.k.accept4(&listener);
    let _ = stage.k.getpeername(&client);
    let _ = stage.k.getsockname(&client);
    if let Ok((server, _)) = accepted {
        let _ = stage.k.getsockname(&server);
        stage.close_all([server]);
    }
    let [near, far, third, fourth] =
        [(); 4].map(|()| stage.k.socket(Family::Inet6, Kind::Datagram).unwrap());
    stage.k.bind(&far, &any).unwrap();
    let port = stage.k.getsockname(&far).unwrap().port().unwrap();
    let connected = stage.k.connect(&third, &home.with_port(port));
    stage.see("a datagram socket connects", connected);
    let _ = stage.k.getsockname(&third);
    let sent = stage.k.sendto(&near, b"six", &home.with_port(port));
    stage.see("a datagram is sent", sent);
    stage.settle();
    let _ = stage.k.recvfrom(&far, &mut [0; 16]);
    let bound = stage.k.bind(&fourth, &home);
    stage.see("an address of its own", bound);
    stage.close_all([listener, client, near, far, third, fourth]);
}

#[test]
fn what_is_sent_to_a_group_is_heard_by_all_who_are_bound_there() {
    same(
        |stage| {
            // Above the ports that are given out: UDP's would be free of its own kind only, and a
            // test beside this one may have the same number of TCP's.
            let port = 61_000 + u16::try_from(std::process::id() % 4_000).unwrap();
            let group: Addr = format!("239.1.2.3:{port}").parse().unwrap();
            let [member, bystander, elsewhere, sender] =
                [(); 4].map(|()| stage.k.socket(Family::Inet, Kind::Datagram).unwrap());
            stage.k.setsockopt(&member, SocketOption::ReuseAddr(true)).unwrap();
            stage.k.setsockopt(&bystander, SocketOption::ReuseAddr(true)).unwrap();
            stage.k.bind(&member, &group).unwrap();
            let group = stage.k.getsockname(&member).unwrap();
            let any: Addr = "0.0.0.0:0".parse().unwrap();
            stage.k.bind(&bystander, &any.with_port(port)).unwrap();
            stage.k.bind(&elsewhere, &anywhere()).unwrap();
            // Listens at the same port, and hears nothing of it: it is TCP's.
            let listener = stage.k.socket(Family::Inet, Kind::Stream).unwrap();
            stage.k.bind(&listener, &any.with_port(port)).unwrap();
            stage.k.listen(&listener, 1).unwrap();
            let here = Ipv4Addr::LOCALHOST;
            stage.k.setsockopt(&sender, SocketOption::GroupInterfaceV4(here)).unwrap();
            // Nobody has joined yet.
            let _ = stage.k.sendto(&sender, b"to nobody", &group);
            stage.settle();
            let _ = stage.k.recvfrom(&member, &mut [0; 16]);
            let group_ip = Ipv4Addr::new(239, 1, 2, 3);
            let join = SocketOption::JoinV4 { group: group_ip, interface: here };
            stage.k.setsockopt(&member, join).unwrap();
            let _ = stage.k.setsockopt(&member, join);
            for hears_all in [true, false] {
                // Who has joined hears it all the same.
                for socket in [&bystander, &member] {
                    let all = SocketOption::GroupAllV4(hears_all);
                    stage.k.setsockopt(socket, all).unwrap();
                }
                let _ = stage.k.sendto(&sender, b"to all", &group);
                stage.settle();
                for socket in [&member, &bystander, &elsewhere, &sender] {
                    let _ = stage.k.recvfrom(socket, &mut [0; 16]);
                }
            }
            stage.close_all([member]);
            let _ = stage.k.sendto(&sender, b"to nobody again", &group);
            stage.settle();
            let _ = stage.k.recvfrom(&bystander, &mut [0; 16]);
            stage.close_all([bystander, elsewhere, sender, listener]);
        },
        &[],
    );
}

/// Loopback has no route to groups of IPv6, not even for those who have joined them there.
#[test]
fn a_group_of_ipv6_is_not_reached_over_loopback() {
    same(
        |stage| {
            if MACHINE.ipv6 != Ipv6::Present {
                return;
            }
            let [member, sender] =
                [(); 2].map(|()| stage.k.socket(Family::Inet6, Kind::Datagram).unwrap());
            let port = 65_250 + u16::try_from(std::process::id() % 250).unwrap();
            let any: Addr = "[::]:0".parse().unwrap();
            stage.k.bind(&member, &any.with_port(port)).unwrap();
            let group = "ff11::1234".parse().unwrap();
            stage.k.setsockopt(&member, SocketOption::JoinV6 { group, interface: 1 }).unwrap();
            let group: Addr = format!("[ff11::1234%1]:{port}").parse().unwrap();
            for hears_all in [true, false] {
                stage.k.setsockopt(&member, SocketOption::GroupAllV6(hears_all)).unwrap();
                let _ = stage.k.sendto(&sender, b"to nobody", &group);
                stage.settle();
                let _ = stage.k.recvfrom(&member, &mut [0; 16]);
            }
            stage.close_all([member, sender]);
        },
        &[],
    );
}
