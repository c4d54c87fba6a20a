//! `examples/chat.rs`: which client receives what, over one server and over two.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use super::{Server, serve_with};

fn chat(args: &[&str]) -> (Server, String) {
    serve_with("chat", args)
}

/// A client that has been let in: it receives what it waits for.
fn client(addr: &str) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(addr).expect("the server listens"))
}

fn say(client: &BufReader<TcpStream>, line: &str) {
    client.get_ref().write_all(line.as_bytes()).expect("the server reads");
}

fn receive(client: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).expect("the server writes");
    line
}

/// Says lines until another client receives one: until then one may not have been let in.
fn greet(from: &BufReader<TcpStream>, to: &mut BufReader<TcpStream>) -> String {
    to.get_ref().set_read_timeout(Some(core::time::Duration::from_millis(50))).expect("a socket");
    let received = loop {
        say(from, "hello\n");
        let mut line = String::new();
        if to.read_line(&mut line).is_ok() {
            break line;
        }
    };
    to.get_ref().set_read_timeout(None).expect("a socket");
    received
}

#[test]
fn chat_passes_each_line_to_all_others_and_over_links() {
    let (_first, addr) = chat(&["127.0.0.1:0"]);
    let (_second, linked) = chat(&["127.0.0.1:0", &addr]);
    let (mut here, mut there) = (client(&addr), client(&linked));
    assert!(greet(&here, &mut there).ends_with("> hello\n"));
    greet(&there, &mut here);
    say(&here, "one\r\ntwo\n");
    let mut received = receive(&mut there);
    while received.ends_with("hello\n") {
        received = receive(&mut there);
    }
    assert!(received.ends_with("> one\n"), "{received}");
    assert!(receive(&mut there).ends_with("> two\n"));
    here.get_ref().shutdown(Shutdown::Write).expect("it is connected");
    let mut line = receive(&mut here);
    while !line.is_empty() {
        assert!(line.ends_with("> hello\n"), "a client does not receive its own lines: {line}");
        line = receive(&mut here);
    }
}

#[test]
fn chat_links_again_when_the_other_server_comes_back() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = other.local_addr().expect("it is bound").to_string();
    let (_server, own) = chat(&["127.0.0.1:0", &addr]);
    let client_here = client(&own);
    for _ in 0..2 {
        let (link, _) = other.accept().expect("the server links");
        assert!(greet(&client_here, &mut BufReader::new(link)).ends_with("> hello\n"));
    }
}

#[test]
fn chat_disconnects_a_client_that_sends_a_line_that_is_too_long() {
    let (_server, addr) = chat(&["127.0.0.1:0"]);
    let mut rude = client(&addr);
    say(&rude, &"x".repeat(10_000));
    let mut rest = String::new();
    // A reset, if the server closed before it had read everything.
    let ended = rude.read_line(&mut rest);
    assert!(rest.is_empty() && !matches!(ended, Ok(1..)), "{ended:?}");
    let (polite, mut other) = (client(&addr), client(&addr));
    greet(&polite, &mut other);
}
