//! `examples/dns_forwarder.rs`, between `examples/dns.rs`, small name servers and plain sockets.

use core::time::Duration;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;

use super::dns::{A, THE_NAME, answer, record};
use super::{command, serve_with};

/// A query for the address of a.example.
fn query(id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend(b"\x01a\x07example\0\0\x01\0\x01");
    query
}

/// A name server that answers each query over UDP, as `respond` says.
fn name_server(respond: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> String {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let addr = server.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        let mut buf = [0; 512];
        while let Ok((count, client)) = server.recv_from(&mut buf) {
            for answer in respond(&buf[..count]) {
                server.send_to(&answer, client).expect("it can be sent");
            }
        }
    });
    addr
}

fn closed_port() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.local_addr().expect("it is bound").to_string()
}

#[test]
fn dns_forwarder_asks_the_next_server_when_the_first_refuses_and_ignores_forgeries() {
    let server = name_server(|query| {
        let right = answer(query, 0x8180, &[record(&THE_NAME, A, 5, &[192, 0, 2, 9])]);
        let (mut number, mut question) = (right.clone(), right.clone());
        number[1] ^= 1;
        question[13] ^= 1;
        vec![number, question, query.to_vec(), vec![], right]
    });
    let (_forwarder, addr) = serve_with("dns_forwarder", &["127.0.0.1:0", &closed_port(), &server]);
    for name in ["example.org", "www.example.org"] {
        let output = command("dns").args([&addr, name]).output().expect("the example runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.starts_with(&format!("{name}. 5 s A 192.0.2.9")), "{printed}");
    }
}

#[test]
fn dns_forwarder_serves_many_queries_at_once_and_keeps_their_numbers() {
    let server = name_server(|query| vec![answer(query, 0x8180, &[])]);
    let (_forwarder, addr) = serve_with("dns_forwarder", &["127.0.0.1:0", &server]);
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    client.connect(&addr).expect("it is local");
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    // What is no query is dropped: nothing, a header only, an answer.
    for noise in [vec![], query(1)[..12].to_vec(), answer(&query(1), 0x8180, &[])] {
        client.send(&noise).expect("there is room");
    }
    for id in 0..50 {
        client.send(&query(id)).expect("there is room");
    }
    let mut ids: Vec<u16> = (0..50)
        .map(|_| {
            let mut buf = [0; 512];
            let count = client.recv(&mut buf).expect("an answer");
            assert!(buf[2] & 0x80 != 0 && count >= 25, "an answer");
            u16::from_be_bytes([buf[0], buf[1]])
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..50).collect::<Vec<_>>());
}

#[test]
fn dns_forwarder_passes_long_answers_over_tcp() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let server_addr = server.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.expect("a connection");
            let asked = read_framed(&mut stream);
            let mut answer = answer(&asked, 0x8180, &[]);
            answer.resize(60_000, 7);
            // In pieces: a length may be split, too.
            let bytes = framed(&answer);
            stream.write_all(&bytes[..1]).expect("it is read");
            stream.write_all(&bytes[1..]).expect("it is read");
        }
    });
    let (_forwarder, addr) =
        serve_with("dns_forwarder", &["127.0.0.1:0", &closed_port(), &server_addr]);
    let mut client = TcpStream::connect(&addr).expect("it listens");
    for id in [1, 2] {
        client.write_all(&framed(&query(id))).expect("it is read");
        let answer = read_framed(&mut client);
        assert_eq!((answer.len(), &answer[..2]), (60_000, &id.to_be_bytes()[..]));
    }
    // A connection that ends within a message is closed, and another is served.
    drop(TcpStream::connect(&addr).expect("it listens").write_all(&[0]));
    let mut client = TcpStream::connect(&addr).expect("it listens");
    client.write_all(&framed(&query(3))).expect("it is read");
    assert_eq!(read_framed(&mut client).len(), 60_000);
}

fn framed(message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).expect("a message has at most 65,535 bytes");
    [&len.to_be_bytes(), message].concat()
}

fn read_framed(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).expect("a length");
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut message).expect("a message");
    message
}

#[test]
fn dns_forwarder_says_how_it_is_used() {
    for args in [&[][..], &["127.0.0.1:0"], &["127.0.0.1:0", "nowhere"]] {
        let output = command("dns_forwarder").args(args).output().expect("the example runs");
        assert!(!output.status.success() && !output.stderr.is_empty(), "{args:?}");
    }
}
