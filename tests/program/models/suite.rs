//! The suite: what a client may expect of an echo server, one function per property.
//!
//! Each observes the program from outside and knows only the model's name. It returns the table
//! cell: what was observed, or what this model does instead.

use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::support::client::{
    Duplex, connect, echo, exchange, expect, expect_end, expect_silence, fill_buffers, is_served,
    read_to_end, until_refused,
};
use crate::support::datagram::Datagrams;
use crate::support::pattern::{Pattern, bytes};
use crate::support::program::Program;
use crate::support::wait::{TIMEOUT, until};

/// More than any server buffers for one client, including the kernel's buffers on both sides.
pub(crate) const TOO_MUCH: usize = 64 << 20;

/// A model by its name, and its options.
pub(crate) type Model = &'static [&'static str];

/// The behaviour of a model, as a table cell.
pub(crate) type Cell = &'static str;

/// A test of the suite: the column's head, and the test.
pub(crate) type Column = (&'static str, fn(Model) -> Cell);

/// Every column, in order.
pub(crate) const COLUMNS: [Column; 9] = [
    ("sequential clients", sequential_clients),
    ("100 concurrent", a_hundred_concurrent),
    ("half-close", half_close),
    ("reset", reset),
    ("16 MiB", sixteen_mebibytes),
    ("slow reader", slow_reader),
    ("never reads", never_reads),
    ("SIGTERM", sigterm),
    ("UDP", udp),
];

/// The program, running `model` on an ephemeral port.
pub(crate) fn serving(model: Model, more: &[&str]) -> Program {
    let arguments = ["--tcp", "127.0.0.1:0", "--log-format", "json", "--model"];
    Program::serving(&[&arguments[..], model, more].concat())
}

fn sequential_clients(model: Model) -> Cell {
    let server = serving(model, &[]);
    for number in 0..50_u32 {
        let mut client = connect(&server.tcp());
        echo(&mut client, number.to_string().as_bytes());
        echo(&mut client, &bytes(10_000));
    }
    until("all connections to be closed", || server.statistics().number("connections.open") == 0);
    assert_eq!(server.statistics().number("connections.accepted"), 50);
    shuts_down_cleanly(server);
    "yes"
}

/// All are connected before any is served completely.
fn a_hundred_concurrent(model: Model) -> Cell {
    let server = serving(model, &[]);
    let mut clients: Vec<_> = (0..100).map(|_| connect(&server.tcp())).collect();
    for client in &mut clients {
        client.write_all(b"all at once").unwrap();
    }
    expect(&mut clients[0], b"all at once");
    let waits = queued(&mut clients[99]);
    for client in &mut clients[1..99] {
        if waits {
            // The client being served disconnects, and the next one is served.
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
    shuts_down_cleanly(server);
    if waits { "queued" } else { "yes" }
}

/// Whether a client that has sent data gets no reply while others are served.
fn queued(client: &mut TcpStream) -> bool {
    // The full wait is only needed for a client that is really queued.
    client.set_timeout(Duration::from_secs(4));
    let mut buf = [0; 11];
    let read = client.read_exact(&mut buf);
    client.set_timeout(TIMEOUT);
    match read {
        Ok(()) => {
            assert_eq!(&buf, b"all at once", "invariant: output equals input");
            false
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => true,
        Err(error) => panic!("invariant: a queued client is not disconnected; got {error}"),
    }
}

fn half_close(model: Model) -> Cell {
    let server = serving(model, &[]);
    for size in [0, 1, 100_000, 3_000_000] {
        exchange(connect(&server.tcp()), size);
    }
    // FIN alone, in a segment of its own, after everything has been echoed.
    let mut client = connect(&server.tcp());
    echo(&mut client, b"and now");
    client.half_close();
    expect_end(&mut client);
    shuts_down_cleanly(server);
    "yes"
}

/// Clients that reset their connection affect no other client; the server counts them.
fn reset(model: Model) -> Cell {
    let server = serving(model, &[]);
    for _ in 0..20 {
        let mut client = connect(&server.tcp());
        client.write_all(&bytes(100_000)).unwrap();
        // Closing with unread input sends a reset.
        expect(&mut client, &bytes(1));
        drop(client);
    }
    until("all connections to be closed", || server.statistics().number("connections.open") == 0);
    is_served(&server.tcp());
    assert!(server.statistics().number("connections.reset") > 0, "invariant: a reset is counted");
    shuts_down_cleanly(server);
    "yes"
}

fn sixteen_mebibytes(model: Model) -> Cell {
    let server = serving(model, &[]);
    exchange(connect(&server.tcp()), 16 << 20);
    shuts_down_cleanly(server);
    "yes"
}

/// The client reads a little now and then; all data arrives, and others are served in the meantime.
fn slow_reader(model: Model) -> Cell {
    let server = serving(model, &[]);
    let mut slow = connect(&server.tcp());
    let sent = fill_buffers(&mut slow, TOO_MUCH);
    assert!(sent < TOO_MUCH, "invariant: a client that does not read is throttled by backpressure");
    let mut back = Pattern::new();
    for _ in 0..2_000 {
        let mut few = [0; 7];
        slow.read_exact(&mut few).unwrap();
        back.verify(&few);
    }
    slow.half_close();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("invariant: a clean EOF");
    back.verify(&rest);
    assert_eq!(back.offset(), sent, "invariant: a slow reader loses no data");
    drop(slow);
    is_served(&server.tcp());
    shuts_down_cleanly(server);
    "yes"
}

/// What others get while one client does not read at all.
fn never_reads(model: Model) -> Cell {
    let server = serving(model, &[]);
    let mut stuck = connect(&server.tcp());
    fill_buffers(&mut stuck, TOO_MUCH);
    let mut other = connect(&server.tcp());
    other.write_all(b"all at once").unwrap();
    let waits = queued(&mut other);
    drop(stuck);
    if waits {
        expect(&mut other, b"all at once");
    }
    drop(other);
    shuts_down_cleanly(server);
    if waits { "others wait" } else { "no effect" }
}

/// Stops accepting, echoes data that has arrived, closes cleanly and exits 0; a client that does
/// not read delays the exit no longer than `--drain-timeout`.
fn sigterm(model: Model) -> Cell {
    for signal in ["TERM", "INT"] {
        let mut server = serving(model, &["--drain-timeout", "1h"]);
        let mut client = connect(&server.tcp());
        echo(&mut client, b"then silence");
        server.signal(signal);
        expect_end(&mut client);
        drop(client);
        server.end().expect_code(0);
    }
    flushes_pending_data(model);
    let server = serving(model, &["--drain-timeout", "300ms"]);
    let mut stuck = connect(&server.tcp());
    fill_buffers(&mut stuck, TOO_MUCH);
    server.stop().expect_code(0);
    a_second_signal_exits_at_once(model);
    "yes"
}

fn flushes_pending_data(model: Model) {
    let mut server = serving(model, &["--drain-timeout", "1h"]);
    let mut client = connect(&server.tcp());
    fill_buffers(&mut client, TOO_MUCH);
    server.signal("TERM");
    let received = read_to_end(&mut client);
    drop(client);
    assert!(received > 0, "invariant: accepted data is flushed before exit");
    server.end().expect_code(0);
}

fn a_second_signal_exits_at_once(model: Model) {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut server = serving(model, &["--drain-timeout", "1h"]);
        let mut client = connect(&server.tcp());
        fill_buffers(&mut client, TOO_MUCH);
        server.signal(signal);
        until_refused(&server.tcp());
        server.signal(signal);
        server.end().expect_code(code);
    }
}

/// Datagrams of every length are echoed unchanged, or the model rejects the option.
fn udp(model: Model) -> Cell {
    let arguments = ["echo", "--udp", "127.0.0.1:0", "--log-format", "json", "--model"];
    let mut server = Program::start(&[&arguments[..], model].concat());
    until("it to serve or to exit", || {
        server.ended().is_some() || server.stdout.count_with("listening") > 0
    });
    if server.ended().is_some() {
        let ending = server.end();
        let complaint = ending.expect_code(2).single_error_line();
        assert!(
            complaint.contains("does not support --udp"),
            "invariant: the reason is given; got {complaint}"
        );
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
    shuts_down_cleanly(server);
    "yes"
}

/// A signal ends it without any output.
fn shuts_down_cleanly(server: Program) {
    let ending = server.stop();
    ending.expect_code(0);
    assert!(!ending.stderr.contains("panicked"), "invariant: no panic; got {}", ending.stderr);
}

/// The second client is not served in parallel with the first, but after it.
#[test]
fn blocking_serves_the_second_client_after_the_first() {
    let server = serving(&["blocking"], &[]);
    let mut first = connect(&server.tcp());
    echo(&mut first, b"first");
    let mut second = connect(&server.tcp());
    second.write_all(b"second").unwrap();
    expect_silence(&mut second);
    drop(first);
    expect(&mut second, b"second");
    drop(second);
    shuts_down_cleanly(server);
}
