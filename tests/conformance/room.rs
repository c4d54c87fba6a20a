//! Room: when a full buffer is writable again, and what is an edge. TCP and Unix differ most.

use epollite::{OptionName, SocketOption};

use crate::machine::{HUGE, MACHINE};
use crate::same;
use crate::stage::{ET, IN, OUT, Stage};

#[test]
fn tcp_tells_of_room_only_when_it_was_full_and_much_is_free() {
    same(
        |stage| {
            let (near, far) = stage.tcp_pair();
            // A size that was set stays. Otherwise it depends on the congestion control whether
            // Linux enlarges a full buffer at the next acknowledgement, which tells of room too.
            stage.k.setsockopt(&near, SocketOption::SendBufferBytes(100_000)).unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, OUT | ET, 1);
            stage.wait(&epoll, "registered");
            stage.send(&near, b"a few bytes");
            stage.wait(&epoll, "own send");
            stage.drain(&far, 64);
            stage.wait(&epoll, "peer has read them");
            let sent = stage.fill(&near);
            stage.wait(&epoll, "full");
            stage.drain(&far, 1);
            stage.wait(&epoll, "a byte was read");
            let read = stage.drain(&far, usize::MAX);
            stage.see("all that was sent is read", read + 1 == sent);
            stage.wait(&epoll, "all was read");
            stage.wait(&epoll, "and again");
            stage.close_all([near, far, epoll]);
        },
        &[
            "registered: [1 OUT]",
            "own send: []",
            "peer has read them: []",
            "no room: true",
            "full: []",
            "a byte was read: []",
            "all that was sent is read: true",
            "all was read: [1 OUT]",
            "and again: []",
        ],
    );
}

#[test]
fn unix_tells_of_room_at_each_read() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, OUT | ET, 1);
            stage.wait(&epoll, "registered");
            stage.send(&near, b"one");
            stage.send(&near, b"two");
            stage.wait(&epoll, "own sends");
            stage.recv(&far, 2).unwrap();
            stage.wait(&epoll, "half a piece was read");
            stage.recv(&far, 1).unwrap();
            stage.wait(&epoll, "a piece was read");
            stage.recv(&far, 8).unwrap();
            stage.wait(&epoll, "the other too");
            stage.close_all([near, far, epoll]);
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

/// Fills a Unix socket and empties it piece by piece. Its arithmetic is exact on both.
fn fill_and_empty(stage: &mut Stage<'_>, piece: usize) {
    let (near, far) = stage.unix_pair();
    let epoll = stage.epoll();
    stage.add(&epoll, &near, OUT, 1);
    let bytes = vec![b'p'; piece];
    let mut pieces = 0;
    while stage.k.send(&near, &bytes).is_ok() {
        pieces += 1;
    }
    stage.see("pieces", pieces);
    stage.wait(&epoll, "full");
    while stage.poll(&epoll, 1).is_empty() {
        stage.drain(&far, piece);
        pieces -= 1;
    }
    stage.see("left when there is room", pieces);
    stage.close_all([near, far, epoll]);
}

#[test]
fn unix_room_is_counted_in_pieces_and_a_quarter_is_the_line() {
    for piece in [1, 192, 193, 704, 705, 1_728, 3_776, 3_777, 20_000, 36_544, 40_000, 90_000] {
        let seen = std::cell::RefCell::new(Vec::new());
        let play = |stage: &mut Stage<'_>| {
            fill_and_empty(stage, piece);
            *seen.borrow_mut() = stage.log.clone();
            stage.log.clear();
            stage.log.push(seen.borrow().join("; "));
        };
        let mut sim = crate::machine::model();
        let mut stage = Stage::simulated(&mut sim);
        play(&mut stage);
        let log = stage.log;
        let log: Vec<&str> = log.iter().map(String::as_str).collect();
        same(play, &log);
    }
}

#[test]
fn buffers_are_doubled_and_asked_for() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            for option in [
                SocketOption::SendBufferBytes(8_192),
                SocketOption::ReceiveBufferBytes(8_192),
                SocketOption::SendBufferBytes(1),
                SocketOption::ReceiveBufferBytes(1),
            ] {
                stage.k.setsockopt(&near, option).unwrap();
                let told = stage.k.getsockopt(&near, option.name()).unwrap();
                stage.see("set", (option, told));
            }
            stage.close_all([near, far]);
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
        |stage| {
            let (near, far) = stage.tcp_pair();
            for option in
                [SocketOption::SendBufferBytes(HUGE), SocketOption::ReceiveBufferBytes(HUGE)]
            {
                stage.k.setsockopt(&near, option).unwrap();
                match stage.k.getsockopt(&near, option.name()).unwrap() {
                    SocketOption::SendBufferBytes(told)
                    | SocketOption::ReceiveBufferBytes(told) => {
                        stage.see(&format!("{:?}", option.name()), told);
                    }
                    other => panic!("{other:?}"),
                }
            }
            stage.close_all([near, far]);
        },
        &[&send, &receive],
    );
}

#[test]
fn a_low_mark_keeps_a_reader_asleep() {
    same(
        |stage| {
            let (near, far) = stage.tcp_pair();
            stage.k.setsockopt(&near, SocketOption::ReceiveLowBytes(100)).unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, IN | ET, 1);
            stage.send(&far, &[b'l'; 50]);
            stage.wait(&epoll, "50 bytes");
            stage.send(&far, &[b'l'; 50]);
            stage.wait(&epoll, "100 bytes");
            let read = stage.drain(&near, 30);
            stage.see("read", read);
            stage.k.setsockopt(&near, SocketOption::ReceiveLowBytes(70)).unwrap();
            stage.wait(&epoll, "70 left, and 70 are enough");
            stage.send(&far, b"end");
            stage.k.shutdown(&far, epollite::Shut::Write).unwrap();
            stage.drain(&near, 72);
            stage.wait(&epoll, "one byte and the end");
            stage.close_all([near, far, epoll]);
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
    use epollite::{Family, Kind};
    let play = |stage: &mut Stage<'_>| {
        for (family, kind) in [
            (Family::Inet, Kind::Stream),
            (Family::Inet, Kind::Datagram),
            (Family::Inet6, Kind::Stream),
            (Family::Inet6, Kind::Datagram),
            (Family::Unix, Kind::Stream),
            (Family::Unix, Kind::Datagram),
        ] {
            // There may be no IPv6.
            let Ok(socket) = stage.k.socket(family, kind) else { continue };
            for name in OptionName::ALL {
                // Sizes of buffers are Linux' own affair and the model's configuration.
                let told = stage.k.getsockopt(&socket, name).map(|told| match told {
                    SocketOption::ReceiveBufferBytes(_) | SocketOption::SendBufferBytes(_) => None,
                    told => Some(told),
                });
                stage.see("option", (family, kind, name, told));
            }
            stage.close_all([socket]);
        }
    };
    let mut sim = crate::machine::model();
    let mut stage = Stage::simulated(&mut sim);
    play(&mut stage);
    let log = stage.log;
    let log: Vec<&str> = log.iter().map(String::as_str).collect();
    same(play, &log);
}
