//! The suite: what a client may expect of an echo server, one function a promise.
//!
//! Each looks at the program from outside and knows the model by name only. It gives one word
//! for the table: what it saw, or what this model does instead.

use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::support::client::{
    Duplex, connect, echo, exchange, expect, expect_end, expect_silence, is_served, read_to_end,
    stuff, until_refused,
};
use crate::support::datagram::Datagrams;
use crate::support::pattern::{Pattern, bytes};
use crate::support::program::Program;
use crate::support::wait::{PATIENCE, until};

/// More than any server holds for one client, with the kernel's buffers on both sides.
pub(crate) const TOO_MUCH: usize = 64 << 20;

/// A model by its name, and the options behind it.
pub(crate) type Model = &'static [&'static str];

/// What a model does, in a word of the table.
pub(crate) type Word = &'static str;

/// A test of the suite: the column's head, and the test.
pub(crate) type Column = (&'static str, fn(Model) -> Word);

/// Every column, in order.
pub(crate) const COLUMNS: [Column; 9] = [
    ("one after the other", one_after_the_other),
    ("100 at once", a_hundred_at_once),
    ("half-close", half_close),
    ("reset", reset),
    ("16 MiB", sixteen_mebibytes),
    ("slow reader", slow_reader),
    ("never reads", never_reads),
    ("SIGTERM", sigterm),
    ("UDP", udp),
];

/// The program, serving by `model` on a port of the kernel's choice.
pub(crate) fn serving(model: Model, more: &[&str]) -> Program {
    let arguments = ["--tcp", "127.0.0.1:0", "--log", "json", "--model"];
    Program::serving(&[&arguments[..], model, more].concat())
}

fn one_after_the_other(model: Model) -> Word {
    let server = serving(model, &[]);
    for number in 0..50_u32 {
        let mut client = connect(&server.tcp());
        echo(&mut client, number.to_string().as_bytes());
        echo(&mut client, &bytes(10_000));
    }
    until("everybody to be seen off", || server.statistics().number("connections.open") == 0);
    assert_eq!(server.statistics().number("connections.accepted"), 50);
    ends_well(server);
    "yes"
}

/// All are connected before any is served to its end.
fn a_hundred_at_once(model: Model) -> Word {
    let server = serving(model, &[]);
    let mut clients: Vec<_> = (0..100).map(|_| connect(&server.tcp())).collect();
    for client in &mut clients {
        client.write_all(b"all at once").unwrap();
    }
    expect(&mut clients[0], b"all at once");
    let waits = waits_its_turn(&mut clients[99]);
    for client in &mut clients[1..99] {
        if waits {
            // Whoever is served leaves, and the next has its turn.
            client.half_close();
        } else {
            expect(client, b"all at once");
        }
    }
    clients[0].half_close();
    expect_end(&mut clients[0]);
    if waits {
        for client in &mut clients[1..99] {
            expect(client, b"all at once");
            expect_end(client);
        }
        expect(&mut clients[99], b"all at once");
    } else {
        clients[1..].iter_mut().rev().for_each(|client| echo(client, b"once more"));
    }
    drop(clients);
    ends_well(server);
    if waits { "waits its turn" } else { "yes" }
}

/// Whether the client, who has spoken, gets no answer while others are served.
fn waits_its_turn(client: &mut TcpStream) -> bool {
    // Only who is really made to wait is waited for so long.
    client.set_patience(Duration::from_secs(4));
    let mut buf = [0; 11];
    let read = client.read_exact(&mut buf);
    client.set_patience(PATIENCE);
    match read {
        Ok(()) => {
            assert_eq!(&buf, b"all at once", "law: bytes out are bytes in");
            false
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => true,
        Err(error) => panic!("law: who waits is not cut off; got {error}"),
    }
}

fn half_close(model: Model) -> Word {
    let server = serving(model, &[]);
    for size in [0, 1, 100_000, 3_000_000] {
        exchange(connect(&server.tcp()), size);
    }
    // The end alone, in a packet of its own, after everything has been answered.
    let mut client = connect(&server.tcp());
    echo(&mut client, b"and now");
    client.half_close();
    expect_end(&mut client);
    ends_well(server);
    "yes"
}

/// Clients that break their connection harm nobody; the server counts them.
fn reset(model: Model) -> Word {
    let server = serving(model, &[]);
    for _ in 0..20 {
        let mut client = connect(&server.tcp());
        client.write_all(&bytes(100_000)).unwrap();
        // To close over what has not been read sends a reset.
        expect(&mut client, &bytes(1));
        drop(client);
    }
    until("everybody to be seen off", || server.statistics().number("connections.open") == 0);
    is_served(&server.tcp());
    assert!(server.statistics().number("connections.reset") > 0, "law: a reset is counted");
    ends_well(server);
    "yes"
}

fn sixteen_mebibytes(model: Model) -> Word {
    let server = serving(model, &[]);
    exchange(connect(&server.tcp()), 16 << 20);
    ends_well(server);
    "yes"
}

/// It reads a little now and then; everything comes, and others are served meanwhile.
fn slow_reader(model: Model) -> Word {
    let server = serving(model, &[]);
    let mut slow = connect(&server.tcp());
    let sent = stuff(&mut slow, TOO_MUCH);
    assert!(sent < TOO_MUCH, "law: a client that does not read is slowed down");
    let mut back = Pattern::new();
    for _ in 0..2_000 {
        let mut few = [0; 7];
        slow.read_exact(&mut few).unwrap();
        back.confirm(&few);
    }
    slow.half_close();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("law: an orderly end");
    back.confirm(&rest);
    assert_eq!(back.passed(), sent, "law: slow is not lost");
    drop(slow);
    is_served(&server.tcp());
    ends_well(server);
    "yes"
}

/// What others get while one client does not read at all.
fn never_reads(model: Model) -> Word {
    let server = serving(model, &[]);
    let mut stuck = connect(&server.tcp());
    stuff(&mut stuck, TOO_MUCH);
    let mut other = connect(&server.tcp());
    other.write_all(b"all at once").unwrap();
    let waits = waits_its_turn(&mut other);
    drop(stuck);
    if waits {
        expect(&mut other, b"all at once");
    }
    drop(other);
    ends_well(server);
    if waits { "others wait" } else { "harms nobody" }
}

/// Stop accepting, answer what has arrived, end in order, exit 0; whoever takes nothing holds
/// it up no longer than `--drain`.
fn sigterm(model: Model) -> Word {
    for signal in ["TERM", "INT"] {
        let mut server = serving(model, &["--drain", "1h"]);
        let mut client = connect(&server.tcp());
        echo(&mut client, b"then silence");
        server.signal(signal);
        expect_end(&mut client);
        drop(client);
        server.end().expect_code(0);
    }
    pays_what_it_owes(model);
    let server = serving(model, &["--drain", "300ms"]);
    let mut stuck = connect(&server.tcp());
    stuff(&mut stuck, TOO_MUCH);
    server.stop().expect_code(0);
    a_second_ends_it_at_once(model);
    "yes"
}

fn pays_what_it_owes(model: Model) {
    let mut server = serving(model, &["--drain", "1h"]);
    let mut client = connect(&server.tcp());
    stuff(&mut client, TOO_MUCH);
    server.signal("TERM");
    let paid = read_to_end(&mut client);
    drop(client);
    assert!(paid > 0, "law: what was taken in is paid before the end");
    server.end().expect_code(0);
}

fn a_second_ends_it_at_once(model: Model) {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut server = serving(model, &["--drain", "1h"]);
        let mut client = connect(&server.tcp());
        stuff(&mut client, TOO_MUCH);
        server.signal(signal);
        until_refused(&server.tcp());
        server.signal(signal);
        server.end().expect_code(code);
    }
}

/// Datagrams of every length come back as they were; or the model says that it cannot.
fn udp(model: Model) -> Word {
    let arguments = ["echo", "--udp", "127.0.0.1:0", "--log", "json", "--model"];
    let mut server = Program::start(&[&arguments[..], model].concat());
    until("it to serve or to refuse", || {
        server.ended().is_some() || server.stdout.count_with("listening") > 0
    });
    if server.ended().is_some() {
        let ending = server.end();
        let complaint = ending.expect_code(2).one_complaint();
        assert!(complaint.contains("cannot do --udp"), "law: it says why; got {complaint}");
        return "no";
    }
    let clients: Vec<_> = (0..10).map(|_| Datagrams::to(&server.udp())).collect();
    for length in [0, 1, 512, 1472, 20_000, 65_507] {
        for client in &clients {
            client.echo(&bytes(length));
        }
    }
    clients.iter().for_each(Datagrams::expect_nothing);
    assert_eq!(server.statistics().number("datagrams.out"), 60);
    ends_well(server);
    "yes"
}

/// A signal ends it, with nothing to say.
fn ends_well(server: Program) {
    let ending = server.stop();
    ending.expect_code(0);
    assert!(!ending.stderr.contains("panicked"), "law: no panic; got {}", ending.stderr);
}

/// Silence where it is due: the second is not served beside the first, but after it.
#[test]
fn the_second_of_blocking_waits_until_the_first_has_left() {
    let server = serving(&["blocking"], &[]);
    let mut first = connect(&server.tcp());
    echo(&mut first, b"first");
    let mut second = connect(&server.tcp());
    second.write_all(b"second").unwrap();
    expect_silence(&mut second);
    drop(first);
    expect(&mut second, b"second");
    drop(second);
    ends_well(server);
}
