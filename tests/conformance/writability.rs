//! Writability: when a full buffer becomes writable again, and what is an edge. TCP and Unix differ
//! most.

use epollite::kernel::{SocketOption, SocketOptionName};

use crate::harness::{ET, Harness, IN, OUT};
use crate::machine::{HUGE, MACHINE};
use crate::same;

#[test]
fn tcp_reports_epollout_only_after_nospace() {
    same(
        |harness| {
            let (near, far) = harness.tcp_pair();
            // A size that was set stays. Otherwise it depends on the congestion control whether
            // Linux enlarges a full buffer at the next ACK, which reports writability too.
            harness.k.setsockopt(&near, SocketOption::SendBufferBytes(100_000)).unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, OUT | ET, 1);
            harness.wait(&epoll, "registered");
            harness.send(&near, b"a few bytes");
            harness.wait(&epoll, "own send");
            harness.drain(&far, 64);
            harness.wait(&epoll, "peer has read them");
            let sent = harness.fill(&near);
            harness.wait(&epoll, "full");
            harness.drain(&far, 1);
            harness.wait(&epoll, "a byte was read");
            let read = harness.drain(&far, usize::MAX);
            harness.read_and_record("all that was sent is read", read + 1 == sent);
            harness.wait(&epoll, "all was read");
            harness.wait(&epoll, "and again");
            harness.close_all([near, far, epoll]);
        },
        &[
            "registered: [1 OUT]",
            "own send: []",
            "peer has read them: []",
            "full: true",
            "full: []",
            "a byte was read: []",
            "all that was sent is read: true",
            "all was read: [1 OUT]",
            "and again: []",
        ],
    );
}

#[test]
fn unix_reports_epollout_at_each_read() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, OUT | ET, 1);
            harness.wait(&epoll, "registered");
            harness.send(&near, b"one");
            harness.send(&near, b"two");
            harness.wait(&epoll, "own sends");
            harness.recv(&far, 2).unwrap();
            harness.wait(&epoll, "half a piece was read");
            harness.recv(&far, 1).unwrap();
            harness.wait(&epoll, "a piece was read");
            harness.recv(&far, 8).unwrap();
            harness.wait(&epoll, "the other too");
            harness.close_all([near, far, epoll]);
        },
        &[
            "registered: [1 OUT]",
            "own sends: []",
            "recv 2: Ok(\"on\")",
            "half a piece was read: []",
            "recv 1: Ok(\"e\")",
            "a piece was read: [1 OUT]",
            "recv 8: Ok(\"two\")",
            "the other too: [1 OUT]",
        ],
    );
}

/// Fills a Unix socket and drains it piece by piece. The accounting is exact on both.
fn fill_and_empty(harness: &mut Harness<'_>, piece: usize) {
    let (near, far) = harness.unix_pair();
    let epoll = harness.epoll();
    harness.add(&epoll, &near, OUT, 1);
    let bytes = vec![b'p'; piece];
    let mut pieces = 0;
    while harness.k.send(&near, &bytes).is_ok() {
        pieces += 1;
    }
    harness.read_and_record("pieces", pieces);
    harness.wait(&epoll, "full");
    while harness.poll(&epoll, 1).is_empty() {
        harness.drain(&far, piece);
        pieces -= 1;
    }
    harness.read_and_record("left when there is room", pieces);
    harness.close_all([near, far, epoll]);
}

#[test]
fn unix_room_is_counted_in_pieces_and_a_quarter_is_the_line() {
    for piece in [1, 192, 193, 704, 705, 1_728, 3_776, 3_777, 20_000, 36_544, 40_000, 90_000] {
        let seen = std::cell::RefCell::new(Vec::new());
        let play = |harness: &mut Harness<'_>| {
            fill_and_empty(harness, piece);
            *seen.borrow_mut() = harness.log.clone();
            harness.log.clear();
            harness.log.push(seen.borrow().join("; "));
        };
        let mut sim = crate::machine::model();
        let mut harness = Harness::simulated(&mut sim);
        play(&mut harness);
        let log = harness.log;
        let log: Vec<&str> = log.iter().map(String::as_str).collect();
        same(play, &log);
    }
}

#[test]
fn buffer_sizes_are_doubled() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            for option in [
                SocketOption::SendBufferBytes(8_192),
                SocketOption::ReceiveBufferBytes(8_192),
                SocketOption::SendBufferBytes(1),
                SocketOption::ReceiveBufferBytes(1),
            ] {
                harness.k.setsockopt(&near, option).unwrap();
                let reported = harness.k.getsockopt(&near, option.name()).unwrap();
                harness.read_and_record("set", (option, reported));
            }
            harness.close_all([near, far]);
        },
        &[
            "set: (SendBufferBytes(8192), SendBufferBytes(16384))",
            "set: (ReceiveBufferBytes(8192), ReceiveBufferBytes(16384))",
            "set: (SendBufferBytes(1), SendBufferBytes(4608))",
            "set: (ReceiveBufferBytes(1), ReceiveBufferBytes(2304))",
        ],
    );
}

/// `net.core.wmem_max` and `net.core.rmem_max` are the limits: 212,992 until Linux 6.12 at least,
/// 4,194,304 on 6.18, unless they were set.
#[test]
fn no_buffer_is_larger_than_the_machine_allows() {
    let send = format!("SendBufferBytes: {}", MACHINE.send_bytes_max * 2);
    let receive = format!("ReceiveBufferBytes: {}", MACHINE.receive_bytes_max * 2);
    same(
        |harness| {
            let (near, far) = harness.tcp_pair();
            for option in
                [SocketOption::SendBufferBytes(HUGE), SocketOption::ReceiveBufferBytes(HUGE)]
            {
                harness.k.setsockopt(&near, option).unwrap();
                match harness.k.getsockopt(&near, option.name()).unwrap() {
                    SocketOption::SendBufferBytes(reported)
                    | SocketOption::ReceiveBufferBytes(reported) => {
                        harness.read_and_record(&format!("{:?}", option.name()), reported);
                    }
                    other => panic!("{other:?}"),
                }
            }
            harness.close_all([near, far]);
        },
        &[&send, &receive],
    );
}

#[test]
fn a_low_mark_keeps_a_reader_asleep() {
    same(
        |harness| {
            let (near, far) = harness.tcp_pair();
            harness.k.setsockopt(&near, SocketOption::RecvLowWatermark(100)).unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, IN | ET, 1);
            harness.send(&far, &[b'l'; 50]);
            harness.wait(&epoll, "50 bytes");
            harness.send(&far, &[b'l'; 50]);
            harness.wait(&epoll, "100 bytes");
            let read = harness.drain(&near, 30);
            harness.read_and_record("read", read);
            harness.k.setsockopt(&near, SocketOption::RecvLowWatermark(70)).unwrap();
            harness.wait(&epoll, "70 left, and 70 are enough");
            harness.send(&far, b"end");
            harness.k.shutdown(&far, epollite::kernel::Shutdown::Write).unwrap();
            harness.drain(&near, 72);
            harness.wait(&epoll, "one byte and the end");
            harness.close_all([near, far, epoll]);
        },
        &[
            "50 bytes: []",
            "100 bytes: [1 IN]",
            "read: 30",
            "70 left, and 70 are enough: [1 IN]",
            "one byte and the end: [1 IN]",
        ],
    );
}

#[test]
fn every_option_of_every_socket() {
    use epollite::kernel::SocketType;
    use epollite::net::AddressFamily;
    let play = |harness: &mut Harness<'_>| {
        for (family, kind) in [
            (AddressFamily::Inet, SocketType::Stream),
            (AddressFamily::Inet, SocketType::Datagram),
            (AddressFamily::Inet6, SocketType::Stream),
            (AddressFamily::Inet6, SocketType::Datagram),
            (AddressFamily::Unix, SocketType::Stream),
            (AddressFamily::Unix, SocketType::Datagram),
        ] {
            // IPv6 may be unavailable.
            let Ok(socket) = harness.k.socket(family, kind) else { continue };
            for name in SocketOptionName::ALL {
                // Buffer sizes are up to Linux and the model's configuration.
                let reported = harness.k.getsockopt(&socket, name).map(|reported| match reported {
                    SocketOption::ReceiveBufferBytes(_)
                    | SocketOption::SendBufferBytes(_)
                    | SocketOption::CongestionControl(_) => None,
                    reported => Some(reported),
                });
                harness.read_and_record("option", (family, kind, name, reported));
            }
            harness.close_all([socket]);
        }
    };
    let mut sim = crate::machine::model();
    let mut harness = Harness::simulated(&mut sim);
    play(&mut harness);
    let log = harness.log;
    let log: Vec<&str> = log.iter().map(String::as_str).collect();
    same(play, &log);
}
