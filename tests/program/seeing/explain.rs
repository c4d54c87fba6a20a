//! `--explain` and `--recorder`: sentences about decisions, and the last of them on request.

use std::fs;
use std::io::Write;
use std::net::Shutdown;

use crate::support::client::{connect, echo, expect_end, fill_buffers};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::wait::{eventually, until};

#[test]
fn the_life_of_a_connection_is_explained() {
    let scratch = Scratch::new();
    let path = scratch.file("explained");
    let server = Program::serving(&["--tcp", "127.0.0.1:0", &format!("--explain={path}")]);
    let mut client = connect(&server.tcp());
    echo(&mut client, b"hello");
    client.shutdown(Shutdown::Write).unwrap();
    expect_end(&mut client);
    server.stop().expect_code(0);
    let text = fs::read_to_string(&path).unwrap();
    let mut rest = text.as_str();
    for part in [
        "accepted, registered as ",
        "the accept queue is empty",
        "reads no more: 5 bytes are less than there was room for",
        "EPOLLRDHUP because the peer has shut its side down",
        "recv returned 0: the peer has shut its side down; everything is echoed",
        "closes because both sides have ended",
        "shutdown: the accept queues are emptied",
    ] {
        let Some(at) = rest.find(part) else { panic!("'{part}' comes next:\n{text}") };
        rest = &rest[at..];
    }
    let is_sentence = |line: &str| line.starts_with("connection ") || line.starts_with("listener ");
    assert!(text.lines().filter(|line| is_sentence(line)).count() > 6, "{text}");
}

#[test]
fn backpressure_and_a_reset_are_explained() {
    let scratch = Scratch::new();
    let path = scratch.file("explained");
    let server = Program::serving(&["--tcp", "127.0.0.1:0", &format!("--explain={path}")]);
    let mut client = connect(&server.tcp());
    fill_buffers(&mut client, 64 << 20);
    let seen = |part: &str| fs::read_to_string(&path).unwrap().contains(part);
    until("the short send", || seen("short send: "));
    // It closes without having read: a reset.
    drop(client);
    until("the end", || seen("bytes were unsent and are lost"));
    server.stop().expect_code(0);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("EPOLLHUP because both directions are shut"), "{text}");
}

#[test]
fn a_connection_limit_is_explained() {
    let scratch = Scratch::new();
    let path = scratch.file("explained");
    let explain = format!("--explain={path}");
    let server = Program::serving(&["--tcp", "127.0.0.1:0", "--max-connections", "1", &explain]);
    let mut first = connect(&server.tcp());
    echo(&mut first, b"hello");
    let mut second = connect(&server.tcp());
    second.write_all(b"waits").unwrap();
    let seen = |part: &str| fs::read_to_string(&path).unwrap().contains(part);
    until("the pause", || seen("accepting pauses because 1 connections are the limit"));
    drop(first);
    until("its end", || seen("accepting resumes"));
    server.stop().expect_code(0);
}

#[test]
fn sigusr2_prints_the_flight_recorder_of_every_thread() {
    let scratch = Scratch::new();
    let path = scratch.file("recorder");
    let server = Program::serving(&[
        "--tcp",
        "127.0.0.1:0",
        "--threads",
        "2",
        &format!("--recorder={path}"),
    ]);
    let mut client = connect(&server.tcp());
    for _ in 0..3000 {
        echo(&mut client, b"hello");
    }
    // Both threads have made calls.
    for _ in 0..20 {
        echo(&mut connect(&server.tcp()), b"again");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "", "nothing is printed without a request");
    server.signal("USR2");
    let text = eventually("the recorder", || {
        let text = fs::read_to_string(&path).unwrap();
        (text.matches("flight recorder, thread ").count() >= 2).then_some(text)
    });
    assert!(text.contains(": the last 4096 of "), "a ring is bounded: {}", &text[..200]);
    assert!(text.contains("recvfrom(") && text.contains("connection "), "calls and decisions");
    assert!(text.lines().count() <= 2 * 4097, "{} lines", text.lines().count());
    echo(&mut client, b"it still serves");
    server.stop().expect_code(0);
}

#[test]
fn explain_implies_the_recorder_and_prints_it_to_the_same_place() {
    let server = Program::serving(&["--tcp", "127.0.0.1:0", "--explain"]);
    echo(&mut connect(&server.tcp()), b"hello");
    server.signal("USR2");
    server.stderr.wait_for("the recorder", |lines| {
        let is_head = |line: &String| line.starts_with("flight recorder, thread 0: the last ");
        lines.iter().any(is_head).then_some(())
    });
    server.stop().expect_code(0);
}

/// A model may not support it: what asks every server for a print must not end one.
#[test]
fn without_the_recorder_sigusr2_is_ignored_by_every_model() {
    for model in ["epoll-edge", "prefork", "reuseport", "process", "thread", "blocking"] {
        let server = Program::serving(&["--tcp", "127.0.0.1:0", "--model", model]);
        server.signal("USR2");
        echo(&mut connect(&server.tcp()), b"it still serves");
        server.stop().expect_code(0);
    }
}
