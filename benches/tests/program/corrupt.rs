//! Corrupting servers are detected, and the mismatch is described: connection, offset, kind.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Mutex;

use nix::sys::socket::{MsgFlags, send};

use crate::support::{Run, SIZE, echo, run, tcp, tcp_of, udp};

/// The message that is corrupted.
const BAD: u64 = 20;

fn load(address: std::net::SocketAddr) -> Run {
    run(&format!("load {address} -c 2 -d 8 -n 4000 --warmup 0 --stall-timeout 1s --json"))
}

#[test]
fn a_correct_server_passes() {
    let run = load(tcp(echo));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(
        (&run.json()["messages"], &run.json()["wrong"]),
        (&4000.into(), &serde_json::json!([]))
    );
}

#[test]
fn one_byte_changed() {
    let run = load(tcp(|number, message| {
        let mut bytes = message.to_vec();
        bytes[40] ^= u8::from(number == BAD);
        Some(bytes)
    }));
    let place = BAD * SIZE as u64 + 40;
    run.ended(1, &format!(", byte {place}: altered: "));
    run.ended(1, &format!("in message {BAD}"));
    assert!(run.json()["messages"].as_u64() >= Some(BAD), "correct messages are counted: {run:?}");
}

#[test]
fn one_message_dropped() {
    let run = load(tcp(|number, message| {
        Some(if number == BAD { Vec::new() } else { message.to_vec() })
    }));
    run.ended(1, &format!(", byte {}: lost: message {BAD}", BAD * SIZE as u64));
}

#[test]
fn two_messages_swapped() {
    let kept = Mutex::new(Vec::new());
    let run = run(&format!(
        "load {} -c 1 -d 8 -n 4000 --warmup 0",
        tcp(move |number, message| Some(match number {
            BAD => {
                *kept.lock().unwrap() = message.to_vec();
                Vec::new()
            }
            _ if number == BAD + 1 => [message, &kept.lock().unwrap()].concat(),
            _ => message.to_vec(),
        }))
    ));
    run.ended(
        1,
        &format!("connection 0, byte {}: reordered: message {BAD} received after", BAD * 64),
    );
}

#[test]
fn one_message_twice() {
    let run = load(tcp(|number, message| {
        Some(if number == BAD { message.repeat(2) } else { message.to_vec() })
    }));
    run.ended(1, &format!("duplicated: message {BAD} received again"));
}

#[test]
fn bytes_after_the_last_response_are_detected() {
    for (count, behind, why) in
        [(1, &[][..], "duplicated: message 0 received again"), (7, b"!", "byte 448")]
    {
        let address = tcp(move |number, message| {
            let more = if behind.is_empty() { message } else { behind };
            Some(if number + 1 == count { [message, more].concat() } else { message.to_vec() })
        });
        run(&format!("load {address} -n {count} --warmup 0")).ended(1, why);
    }
}

/// Half of a message, an urgent byte, the rest: a read stops at the urgent mark.
#[test]
fn an_urgent_byte_does_not_hide_what_follows_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut message = [0; 64];
        while stream.read_exact(&mut message).is_ok() {
            stream.write_all(&message[..32]).unwrap();
            send(stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
            stream.write_all(&message[32..]).unwrap();
        }
    });
    let run = run(&format!("load {address} -n 2000 --warmup 0 --stall-timeout 1s"));
    assert_eq!(run.code, Some(0), "{run:?}");
}

/// A piece of a typical buffer size, or related to the payload's constants, is removed from a long
/// message or duplicated in it.
#[test]
fn a_piece_of_a_long_message_lost_or_doubled() {
    for (size, piece) in [(20_000, 4096), (262_160, 8191), (1 << 20, 8192), (1 << 20, 16_382)] {
        for depth in [1, 3] {
            for doubled in [false, true] {
                let at = size / 3;
                let address = tcp_of(size, move |number, message| {
                    let rest = if doubled { at - piece } else { at + piece };
                    let wrong = || [&message[..at], &message[rest..]].concat();
                    Some(if number == 2 { wrong() } else { message.to_vec() })
                });
                let how = format!("-n 3 -d {depth} -s {size} --warmup 0 --stall-timeout 1s");
                let run = run(&format!("load {address} {how}"));
                let place = format!("byte {}", size * 2 + at);
                assert_eq!(run.code, Some(1), "{size}, {piece}, {doubled}: {run:?}");
                assert!(run.err.contains(&place), "{size}, {piece}, {doubled}: {run:?}");
            }
        }
    }
}

#[test]
fn a_response_before_its_message_was_sent() {
    let address = tcp(|number, message| {
        let mut next = message.to_vec();
        next[0] += 1;
        Some(if number == 3 { [message, &next[..8]].concat() } else { message.to_vec() })
    });
    run(&format!("load {address} -n 9 --warmup 0")).ended(1, "surplus: 8 bytes");
}

#[test]
fn bytes_lost_and_bytes_added_in_a_message() {
    let without = |number, message: &[u8]| {
        Some(if number == BAD {
            [&message[..30], &message[33..]].concat()
        } else {
            message.to_vec()
        })
    };
    load(tcp(without)).ended(1, &format!("lost: 3 bytes of message {BAD}"));
    let with = |number, message: &[u8]| {
        let (one, other) = message.split_at(30);
        Some(if number == BAD { [one, b"oops", other].concat() } else { message.to_vec() })
    };
    load(tcp(with)).ended(1, "added: 4 bytes that were never sent");
}

#[test]
fn a_byte_more_than_was_sent() {
    let run = run(&format!(
        "load {} -n {} --warmup 0",
        tcp(|number, message| Some(if number == BAD {
            [message, b"!"].concat()
        } else {
            message.to_vec()
        })),
        BAD * 2
    ));
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains(&format!("byte {}", (BAD + 1) * 64)), "{run:?}");
}

#[test]
fn the_message_of_another_connection() {
    let first = Mutex::new(None::<Vec<u8>>);
    let run = load(tcp(move |number, message| {
        let mut first = first.lock().unwrap();
        // The second connection once receives a message of the first.
        Some(match (number, first.as_ref()) {
            (BAD, None) => {
                *first = Some(message.to_vec());
                message.to_vec()
            }
            (BAD, Some(other)) => other.clone(),
            _ => message.to_vec(),
        })
    }));
    run.ended(1, &format!("wrong connection: received message {BAD} of "));
}

#[test]
fn churn_is_checked_too() {
    let run = run(&format!(
        "load {} --churn -c 4 -n 100 --warmup 0",
        tcp(|_, message| {
            let mut bytes = message.to_vec();
            bytes[63] ^= 1;
            Some(bytes)
        })
    ));
    run.ended(1, "byte 63: altered");
}

fn load_udp(server: impl Fn(u64, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Run {
    let address = udp(server);
    run(&format!("load {address} --udp -d 4 -n 100 --warmup 0 --loss-timeout 200ms --json"))
}

#[test]
fn altered_duplicated_and_reordered_datagrams_are_reported() {
    let correct = load_udp(|_, message| vec![message.to_vec()]);
    assert_eq!((correct.code, correct.err.as_str()), (Some(0), ""), "{correct:?}");
    load_udp(|number, message| {
        let mut bytes = message.to_vec();
        bytes[50] ^= u8::from(number == BAD);
        vec![bytes]
    })
    .ended(1, "connection 0: altered: ");
    load_udp(|number, message| vec![message.to_vec(); 1 + usize::from(number == BAD)])
        .ended(1, &format!("connection 0: duplicated: message {BAD} received again"));
    load_udp(|number, message| {
        vec![if number == BAD { message[..60].to_vec() } else { message.to_vec() }]
    })
    .ended(1, &format!("connection 0: altered: message {BAD} has 60 bytes instead of 64"));
    let kept = Mutex::new(Vec::new());
    let run = load_udp(move |number, message| match number {
        BAD => {
            *kept.lock().unwrap() = message.to_vec();
            Vec::new()
        }
        _ if number == BAD + 1 => vec![message.to_vec(), kept.lock().unwrap().clone()],
        _ => vec![message.to_vec()],
    });
    run.ended(
        1,
        &format!("connection 0: reordered: message {BAD} received after message {}", BAD + 1),
    );
}

#[test]
fn late_datagrams_are_late_and_not_duplicates() {
    // Half of them are delayed, and sent two at a time with the others.
    let held = Mutex::new(std::collections::VecDeque::new());
    let address = udp(move |number, message| {
        let mut held = held.lock().unwrap();
        if number < 500 {
            held.push_back(message.to_vec());
            return Vec::new();
        }
        let late = held.len().min(2);
        std::iter::once(message.to_vec()).chain(held.drain(..late)).collect()
    });
    let how = "--udp -r 1000 -t 1s --warmup 0 --loss-timeout 100ms --json";
    let run = run(&format!("load {address} {how}"));
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    let json = run.json();
    let (lost, late) = (json["lost"].as_u64().unwrap(), json["late"].as_u64().unwrap());
    assert!(late > 256 && late <= lost, "{lost} lost, {late} late: {run:?}");
}

#[test]
fn datagrams_with_bad_headers_are_altered_not_lost() {
    let address = udp(|_, message| vec![message.iter().map(|byte| !byte).collect()]);
    run(&format!("load {address} --udp -n 4 --warmup 0 --loss-timeout 50ms"))
        .ended(1, "4 echoes were wrong");
}

#[test]
fn lost_datagrams_are_counted_and_are_no_error() {
    let run = load_udp(
        |number, message| {
            if number.is_multiple_of(10) { Vec::new() } else { vec![message.to_vec()] }
        },
    );
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    assert_eq!((&run.json()["lost"], &run.json()["messages"]), (&10.into(), &90.into()), "{run:?}");
}
