//! `--check`: a health probe that only accepts an exact echo.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::thread;

use crate::support::TRIGGERS;
use crate::support::client::uninterrupted;
use crate::support::program::Program;
use crate::support::scratch::Scratch;

#[test]
fn check_succeeds_against_an_echo_server() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let listeners = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", &path];
        let server = Program::serving(&[&listeners[..], &["--trigger", trigger]].concat());
        let well = |address: &str| {
            Program::run(&["echo", "--check", address]).expect_code(0);
        };
        well(&server.tcp());
        well(&format!("tcp:{}", server.tcp()));
        well(&format!("udp:{}", server.udp()));
        well(&format!("unix:{path}"));
    }
}

#[test]
fn check_fails_without_a_server() {
    let scratch = Scratch::new();
    let gone = Program::serving(&["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    let (tcp, udp) = (gone.tcp(), gone.udp());
    drop(gone);
    is_not_well(&tcp);
    is_not_well(&format!("udp:{udp}"));
    is_not_well(&format!("unix:{}", scratch.file("nothing")));
}

#[test]
fn check_fails_on_a_corrupted_echo() {
    // Each reply differs from the request by one byte.
    let (address, _server) = tcp_server(|bytes| bytes.iter().map(|byte| byte ^ 1).collect());
    is_not_well(&address);
}

#[test]
fn check_fails_on_a_short_or_long_echo() {
    let (address, _server) = tcp_server(|bytes| bytes[..bytes.len() / 2].to_vec());
    is_not_well(&address);
    let (address, _server) = tcp_server(|_| Vec::new());
    is_not_well(&address);
}

#[test]
fn check_fails_without_a_reply() {
    // It is never accepted either: the kernel completes the connection from the backlog.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Both at once: each waits for its own timeout.
    thread::scope(|scope| {
        scope.spawn(|| is_not_well(&silent.local_addr().unwrap().to_string()));
        scope.spawn(|| is_not_well(&format!("udp:{}", silent_udp.local_addr().unwrap())));
    });
}

#[test]
fn check_fails_on_a_corrupted_unix_echo() {
    let scratch = Scratch::new();
    let path = scratch.file("wrong");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = uninterrupted(|| listener.accept()).unwrap();
        let count = uninterrupted(|| stream.read(&mut [0; 4096])).unwrap();
        stream.write_all(&vec![b'?'; count]).unwrap();
    });
    is_not_well(&format!("unix:{path}"));
}

fn is_not_well(address: &str) {
    let ending = Program::run(&["echo", "--check", address]);
    ending.expect_code(1);
    ending.single_error_line();
}

/// A server that receives one message, replies with `answer`, and closes.
fn tcp_server(
    answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static,
) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = uninterrupted(|| listener.accept()).unwrap();
        let mut buf = [0; 65536];
        let count = uninterrupted(|| stream.read(&mut buf)).unwrap();
        // The client may already have closed.
        let _ = stream.write_all(&answer(&buf[..count]));
    });
    (address, server)
}
