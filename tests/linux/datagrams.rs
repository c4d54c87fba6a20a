//! Datagrams, one by one and in batches.

use std::net::Ipv4Addr;

use epollite::kernel::MembershipV4;
use epollite::kernel::{SocketOption, SocketOptionName, SocketType};
use epollite::net::{AddressFamily, Datagram, DatagramBatch};
use epollite::{Addr, Errno, Fd, Kernel, Linux};

use super::support::{bound, close, readable, ready};

#[test]
fn recvfrom_returns_the_sender_and_the_full_length() {
    let (here, here_addr, there, there_addr) = two();
    assert_eq!(Linux.recvfrom(&there, &mut [0; 8]), Err(Errno::EAGAIN));
    for (sent, room) in [(5, 8), (8, 8), (0, 8), (300, 8), (5, 0)] {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(sent).collect();
        assert_eq!(Linux.sendto(&here, &bytes, &there_addr), Ok(sent));
        readable(&there);
        let mut buf = vec![0xee; room];
        let got = Linux.recvfrom(&there, &mut buf);
        assert_eq!(got, Ok((sent, here_addr)), "invariant: the whole length, {sent} into {room}");
        let kept = sent.min(room);
        assert_eq!(buf[..kept], bytes[..kept]);
    }
    assert_eq!(Linux.recvfrom(&there, &mut [0; 8]), Err(Errno::EAGAIN));
    close([here, there]);
}

/// IPv4 groups joined by other sockets: `IP_MULTICAST_ALL` is off for an IPv6 socket.
#[test]
fn a_dual_stack_socket_receives_other_groups_only_on_request() {
    let Ok(both) = Linux.socket(AddressFamily::Inet6, SocketType::Datagram) else { return };
    let [member, sender] = [(); 2].map(|()| {
        Linux.socket(AddressFamily::Inet, SocketType::Datagram).expect("the kernel supports it")
    });
    Linux.setsockopt(&both, SocketOption::V6Only(false)).unwrap();
    Linux.bind(&both, &"[::]:0".parse().unwrap()).unwrap();
    let port = Linux.getsockname(&both).unwrap().port().expect("a port was assigned");
    let group: Addr = format!("239.1.2.4:{port}").parse().unwrap();
    for socket in [&both, &member] {
        Linux.setsockopt(socket, SocketOption::ReuseAddr(true)).unwrap();
    }
    Linux.bind(&member, &group).unwrap();
    let interface = Ipv4Addr::LOCALHOST;
    let join = SocketOption::JoinMulticastV4(MembershipV4 {
        group: Ipv4Addr::new(239, 1, 2, 4),
        interface,
    });
    Linux.setsockopt(&member, join).unwrap();
    Linux.setsockopt(&sender, SocketOption::MulticastInterfaceV4(interface)).unwrap();
    let here: Addr = format!("127.0.0.1:{port}").parse().unwrap();
    for (multicast_all, is_member) in [(None, false), (Some(true), true), (Some(false), false)] {
        if let Some(multicast_all) = multicast_all {
            Linux.setsockopt(&both, SocketOption::GroupAllV4(multicast_all)).unwrap();
        }
        Linux.sendto(&sender, b"group", &group).unwrap();
        readable(&member);
        assert_eq!(Linux.recv(&member, &mut [0; 8]), Ok(5), "a member receives it");
        // A unicast datagram comes after everything sent before.
        Linux.sendto(&sender, b"it alone", &here).unwrap();
        for wanted in is_member.then_some(5).into_iter().chain([8]) {
            readable(&both);
            assert_eq!(
                Linux.recv(&both, &mut [0; 8]),
                Ok(wanted),
                "multicast_all: {multicast_all:?}"
            );
        }
    }
    close([both, member, sender]);
}

#[test]
fn an_oversized_datagram_is_emsgsize() {
    let (here, _, there, there_addr) = two();
    let refused = Linux.sendto(&here, &vec![0; 65_508], &there_addr);
    assert_eq!(refused, Err(Errno::EMSGSIZE));
    assert_eq!(Linux.sendto(&here, &vec![0; 65_507], &there_addr), Ok(65_507));
    close([here, there]);
}

#[test]
fn broadcasting_needs_so_broadcast() {
    let (here, _) = bound(AddressFamily::Inet, SocketType::Datagram);
    let broadcast: Addr = "255.255.255.255:9".parse().unwrap();
    let refused = Linux.sendto(&here, b"hello?", &broadcast);
    // A machine without any route reports that first.
    assert!(matches!(refused, Err(Errno::EACCES | Errno::ENETUNREACH)), "{refused:?}");
    close([here]);
}

#[test]
fn udp_connect_reports_refused_once_and_can_be_undone() {
    let (here, _, unnamed, nowhere) = two();
    close([unnamed]);
    assert_eq!(Linux.connect(&here, &nowhere), Ok(()));
    assert_eq!(Linux.getpeername(&here), Ok(nowhere));
    assert_eq!(Linux.send(&here, b"probe 1"), Ok(7));
    let bits = ready(&here);
    // The reply may have arrived or still be in flight: taking the error is what counts.
    if bits & epollite::event::EPOLLERR != 0 {
        let refused = Linux.recvfrom(&here, &mut [0; 8]);
        assert_eq!(refused, Err(Errno::ECONNREFUSED));
        let none = Ok(SocketOption::Error(None));
        assert_eq!(Linux.getsockopt(&here, SocketOptionName::Error), none);
    }
    assert_eq!(Linux.connect(&here, &Addr::Unspecified), Ok(()));
    assert_eq!(Linux.getpeername(&here), Err(Errno::ENOTCONN));
    assert_eq!(Linux.send(&here, b"probe 1"), Err(Errno::EDESTADDRREQ));
    close([here]);
}

#[test]
fn mmsg_sends_and_receives_a_batch_in_one_call_each() {
    let (here, here_addr, there, there_addr) = two();
    let mut batch = DatagramBatch::new(4, 8);
    for bytes in [&b"one"[..], b"", b"eighteen", b"too"] {
        assert!(batch.push(bytes, &there_addr.encode()));
    }
    assert_eq!(Linux.sendmmsg(&here, &batch, 0), Ok(4));
    let mut got = Vec::new();
    receive(&there, &mut DatagramBatch::new(8, 8), 4, |datagram| {
        assert_eq!(datagram.addr.decode(), Ok(here_addr));
        assert!(!datagram.truncated);
        got.push(datagram.bytes.to_vec());
    });
    assert_eq!(got, [&b"one"[..], b"", b"eighteen", b"too"]);
    close([here, there]);
}

#[test]
fn a_received_batch_can_be_sent_back_from_any_index() {
    let (here, here_addr, there, there_addr) = two();
    let mut batch = DatagramBatch::new(8, 16);
    for bytes in [&b"first"[..], b"second", b"third"] {
        batch.push(bytes, &there_addr.encode());
    }
    assert_eq!(Linux.sendmmsg(&here, &batch, 1), Ok(2));
    readable(&there);
    assert_eq!(Linux.recvfrom(&there, &mut [0; 8]), Ok((6, here_addr)));
    readable(&there);
    assert_eq!(Linux.recvmmsg(&there, &mut batch), Ok(1));
    assert_eq!(batch.get(0).bytes, b"third");
    assert_eq!(Linux.sendmmsg(&there, &batch, 0), Ok(1), "echoed unchanged");
    readable(&here);
    assert_eq!(Linux.recvfrom(&here, &mut [0; 8]), Ok((5, there_addr)));
    assert_eq!(Linux.sendmmsg(&there, &batch, 1), Ok(0), "past the end nothing is sent");
    close([here, there]);
}

#[test]
fn an_oversized_datagram_is_truncated_and_flagged() {
    let (here, _, there, there_addr) = two();
    let wholes = [&b"123456789"[..], b"12345678", b"1234567"];
    for bytes in wholes {
        Linux.sendto(&here, bytes, &there_addr).unwrap();
    }
    let mut got = Vec::new();
    receive(&there, &mut DatagramBatch::new(4, 8), 3, |datagram| {
        got.push((datagram.bytes.to_vec(), datagram.truncated));
    });
    let cut = wholes.map(|whole| (whole[..whole.len().min(8)].to_vec(), whole.len() > 8));
    assert_eq!(got, cut);
    close([here, there]);
}

#[test]
fn an_empty_socket_empties_the_batch() {
    let (here, addr) = bound(AddressFamily::Inet, SocketType::Datagram);
    let mut batch = DatagramBatch::new(4, 8);
    batch.push(b"old", &addr.encode());
    assert_eq!(Linux.recvmmsg(&here, &mut batch), Err(Errno::EAGAIN));
    assert!(batch.is_empty(), "invariant: earlier content is discarded");
    close([here]);
}

#[test]
fn a_call_takes_at_most_sixty_four_datagrams() {
    let (here, _, there, there_addr) = two();
    let mut batch = DatagramBatch::new(100, 1);
    for number in 0..100 {
        assert!(batch.push(&[number], &there_addr.encode()));
    }
    assert_eq!(Linux.sendmmsg(&here, &batch, 0), Ok(64));
    assert_eq!(Linux.sendmmsg(&here, &batch, 64), Ok(36));
    let (mut batch, mut seen) = (DatagramBatch::new(100, 1), Vec::new());
    receive(&there, &mut batch, 100, |datagram| seen.push(datagram.bytes[0]));
    assert_eq!(seen, (0..100).collect::<Vec<u8>>());
    close([here, there]);
}

#[test]
fn a_batch_stops_at_the_first_that_fails() {
    let (here, _, there, there_addr) = two();
    let unreachable: Addr = "127.0.0.1:0".parse().unwrap();
    let mut batch = DatagramBatch::new(3, 8);
    for addr in [there_addr, unreachable, there_addr] {
        batch.push(b"x", &addr.encode());
    }
    assert_eq!(Linux.sendmmsg(&here, &batch, 0), Ok(1));
    assert_eq!(Linux.sendmmsg(&here, &batch, 1), Err(Errno::EINVAL));
    assert_eq!(Linux.sendmmsg(&here, &batch, 2), Ok(1));
    close([here, there]);
}

#[test]
fn unnamed_unix_datagrams_can_be_sent_in_batches() {
    let (near, far) = Linux.socketpair(SocketType::Datagram).unwrap();
    let mut batch = DatagramBatch::new(2, 4);
    let unnamed = epollite::net::SockAddr::EMPTY;
    for bytes in [b"a", b"b"] {
        batch.push(bytes, &unnamed);
    }
    assert_eq!(Linux.sendmmsg(&near, &batch, 0), Ok(2));
    assert_eq!(Linux.recvmmsg(&far, &mut batch), Ok(2));
    assert_eq!(batch.get(1).bytes, b"b");
    close([near, far]);
}

fn two() -> (Fd, Addr, Fd, Addr) {
    let (here, here_addr) = bound(AddressFamily::Inet, SocketType::Datagram);
    let (there, there_addr) = bound(AddressFamily::Inet, SocketType::Datagram);
    (here, here_addr, there, there_addr)
}

/// Receives the given number of datagrams, in as many batches as it takes, and passes each on.
fn receive(
    socket: &Fd,
    batch: &mut DatagramBatch,
    total: usize,
    mut each: impl FnMut(Datagram<'_>),
) {
    let mut left = total;
    while left > 0 {
        readable(socket);
        let count = Linux.recvmmsg(socket, batch).expect("the socket is readable");
        assert_eq!(count, batch.len(), "invariant: the returned count is the batch length");
        assert!(0 < count && count <= 64.min(left), "{count} of {left} in one call");
        batch.iter().for_each(&mut each);
        left -= count;
    }
}
