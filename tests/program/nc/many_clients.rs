//! `-lk`: several clients at once, and how they interact.

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use super::harness::{HOST, our_listener, theirs};
use crate::support::client::{connect, exchange, expect, expect_end, fill_buffers};
use crate::support::wait::until;

#[test]
fn echo_serves_a_hundred_clients_at_once() {
    let (listener, port) = our_listener(&["-k", "--echo"]);
    let address = format!("{HOST}:{port}");
    // All are connected before the first one sends.
    let clients: Vec<TcpStream> = (0..100).map(|_| connect(&address)).collect();
    thread::scope(|scope| {
        for (number, client) in clients.into_iter().enumerate() {
            scope.spawn(move || exchange(client, 100_000 + number * 7));
        }
    });
    assert_eq!(listener.stderr.count_with("Connection received"), 100);
}

#[test]
fn discard_consumes_silently() {
    let (mut listener, port) = our_listener(&["-k", "--discard"]);
    let mut clients: Vec<_> = (0..8).map(|_| connect(&format!("{HOST}:{port}"))).collect();
    for client in &mut clients {
        assert_eq!(
            fill_buffers(client, 8 << 20),
            8 << 20,
            "invariant: discarded input causes no backpressure"
        );
        client.shutdown(std::net::Shutdown::Write).unwrap();
        expect_end(client);
    }
    listener.signal("KILL");
    assert!(listener.end().stdout.is_empty(), "invariant: discarded input is not printed");
}

#[test]
fn chat_broadcasts_each_line() {
    let (mut listener, port) = our_listener(&["-k", "--chat"]);
    let mut connections = Vec::new();
    for number in 1..=3 {
        connections.push(connect(&format!("{HOST}:{port}")));
        until("the client to be accepted", || {
            listener.stderr.count_with("Connection received") == number
        });
    }
    // A line is forwarded when it is complete, and not to its sender.
    connections[0].write_all(b"good ").unwrap();
    connections[1].write_all(b"hello\n").unwrap();
    expect(&mut connections[0], b"<2> hello\n");
    expect(&mut connections[2], b"<2> hello\n");
    connections[0].write_all(b"day\nall\n").unwrap();
    expect(&mut connections[1], b"<1> good day\n<1> all\n");
    expect(&mut connections[2], b"<1> good day\n<1> all\n");
    listener.stdout.line_with("<1> all");
    // The host's input goes to all clients.
    listener.write_stdin(b"the host\n");
    for connection in &mut connections {
        expect(connection, b"the host\n");
    }
    // A partial line is forwarded when its sender disconnects.
    connections.remove(2).write_all(b"bye").unwrap();
    expect(&mut connections[0], b"<3> bye\n");
}

#[test]
fn chat_disconnects_slow_readers() {
    let (listener, port) = our_listener(&["-k", "--chat"]);
    let _sleeps = connect(&format!("{HOST}:{port}"));
    until("the slow reader to be accepted", || listener.stderr.count_with("received") == 1);
    let mut talks = connect(&format!("{HOST}:{port}"));
    let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
    let writer = thread::spawn(move || {
        // Far more than all buffers in between hold together.
        for _ in 0..64 << 10 {
            talks.write_all(&line).unwrap();
        }
        talks
    });
    listener.stderr.line_with("write buffer full: disconnected");
    writer.join().unwrap();
}

#[test]
fn all_input_is_printed_and_stdin_is_broadcast() {
    let (mut listener, port) = our_listener(&["-k"]);
    let mut first = theirs("nc", &[HOST, &port]);
    let mut second = theirs("ncat", &[HOST, &port]);
    first.write_stdin(b"from the first\n");
    listener.stdout.line_with("from the first");
    second.write_stdin(b"from the second\n");
    listener.stdout.line_with("from the second");
    listener.write_stdin(b"to both\n");
    first.stdout.line_with("to both");
    second.stdout.line_with("to both");
    // One disconnects, and the next one connects.
    drop(second.take_stdin());
    second.end();
    let mut third = theirs("nc", &[HOST, &port]);
    third.write_stdin(b"from the third\n");
    listener.stdout.line_with("from the third");
}

#[test]
fn vv_prints_each_event() {
    let (mut listener, port) = our_listener(&["-v", "--echo"]);
    let mut client = connect(&format!("{HOST}:{port}"));
    client.write_all(b"hello").unwrap();
    expect(&mut client, b"hello");
    let here = client.local_addr().unwrap().port();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    expect_end(&mut client);
    let stderr = listener.end().stderr;
    let events: Vec<&str> = stderr.lines().filter(|line| line.starts_with("epoll: ")).collect();
    assert!(events[0].ends_with(", listener: IN (0x1)"), "{stderr}");
    let peer = format!(", peer {HOST} {here}: IN (0x1)");
    assert!(events[1].contains("token ") && events[1].ends_with(&peer), "{stderr}");
    assert_eq!(events.len(), 3, "invariant: one event, one line: {stderr}");
}
