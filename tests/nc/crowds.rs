//! `-lk`: many clients at once, and what they are to each other.

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use super::scene::{HOST, our_listener, theirs};
use crate::support::client::{connect, exchange, expect, expect_end, stuff};
use crate::support::wait::until;

#[test]
fn echo_serves_a_hundred_at_once_each_his_own_bytes() {
    let (listener, port) = our_listener(&["-k", "--echo"]);
    let address = format!("{HOST}:{port}");
    // All are there before the first says anything.
    let clients: Vec<TcpStream> = (0..100).map(|_| connect(&address)).collect();
    thread::scope(|scope| {
        for (number, client) in clients.into_iter().enumerate() {
            scope.spawn(move || exchange(client, 100_000 + number * 7));
        }
    });
    assert_eq!(listener.stderr.count_with("Connection received"), 100);
}

#[test]
fn discard_takes_everything_and_says_nothing() {
    let (mut listener, port) = our_listener(&["-k", "--discard"]);
    let mut clients: Vec<_> = (0..8).map(|_| connect(&format!("{HOST}:{port}"))).collect();
    for client in &mut clients {
        assert_eq!(stuff(client, 8 << 20), 8 << 20, "law: what is dropped backs up nowhere");
        client.shutdown(std::net::Shutdown::Write).unwrap();
        expect_end(client);
    }
    listener.signal("KILL");
    assert!(listener.end().stdout.is_empty(), "law: what is dropped is not printed");
}

#[test]
fn a_chat_tells_each_line_to_all_the_others_and_to_stdout() {
    let (mut listener, port) = our_listener(&["-k", "--chat"]);
    let mut guests = Vec::new();
    for number in 1..=3 {
        guests.push(connect(&format!("{HOST}:{port}")));
        until("the guest to be let in", || {
            listener.stderr.count_with("Connection received") == number
        });
    }
    // A line is told when it has ended, and nobody hears himself.
    guests[0].write_all(b"good ").unwrap();
    guests[1].write_all(b"hello\n").unwrap();
    expect(&mut guests[0], b"<2> hello\n");
    expect(&mut guests[2], b"<2> hello\n");
    guests[0].write_all(b"day\nall\n").unwrap();
    expect(&mut guests[1], b"<1> good day\n<1> all\n");
    expect(&mut guests[2], b"<1> good day\n<1> all\n");
    listener.stdout.line_with("<1> all");
    // The host speaks to everybody.
    listener.tell(b"the host\n");
    for guest in &mut guests {
        expect(guest, b"the host\n");
    }
    // Who leaves in the middle of a line has said it.
    guests.remove(2).write_all(b"bye").unwrap();
    expect(&mut guests[0], b"<3> bye\n");
}

#[test]
fn a_chat_cuts_off_who_does_not_read() {
    let (listener, port) = our_listener(&["-k", "--chat"]);
    let _sleeps = connect(&format!("{HOST}:{port}"));
    until("the sleeper to be let in", || listener.stderr.count_with("received") == 1);
    let mut talks = connect(&format!("{HOST}:{port}"));
    let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
    let writer = thread::spawn(move || {
        // Far more than what every buffer between them holds together.
        for _ in 0..64 << 10 {
            talks.write_all(&line).unwrap();
        }
        talks
    });
    listener.stderr.line_with("does not read: cut off");
    writer.join().unwrap();
}

#[test]
fn what_all_say_is_printed_and_stdin_goes_to_all() {
    let (mut listener, port) = our_listener(&["-k"]);
    let mut first = theirs("nc", &[HOST, &port]);
    let mut second = theirs("ncat", &[HOST, &port]);
    first.tell(b"from the first\n");
    listener.stdout.line_with("from the first");
    second.tell(b"from the second\n");
    listener.stdout.line_with("from the second");
    listener.tell(b"to both\n");
    first.stdout.line_with("to both");
    second.stdout.line_with("to both");
    // One leaves, and the next one comes.
    drop(second.take_stdin());
    second.end();
    let mut third = theirs("nc", &[HOST, &port]);
    third.tell(b"from the third\n");
    listener.stdout.line_with("from the third");
}

#[test]
fn vv_tells_each_event_with_its_token_and_its_bits() {
    let (mut listener, port) = our_listener(&["-v", "--echo"]);
    let mut client = connect(&format!("{HOST}:{port}"));
    client.write_all(b"hello").unwrap();
    expect(&mut client, b"hello");
    let here = client.local_addr().unwrap().port();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    expect_end(&mut client);
    let said = listener.end().stderr;
    let events: Vec<&str> = said.lines().filter(|line| line.starts_with("epoll: ")).collect();
    assert!(events[0].ends_with(", listener: IN (0x1)"), "{said}");
    let peer = format!(", peer {HOST} {here}: IN (0x1)");
    assert!(events[1].contains("token ") && events[1].ends_with(&peer), "{said}");
    assert_eq!(events.len(), 3, "law: one event, one line: {said}");
}
