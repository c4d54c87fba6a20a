//! `-C` and `-i`: what lines become, and when they go.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::scene::{HOST, ours};

#[test]
fn c_gives_each_lone_lf_its_cr() {
    let (client, mut said) = (["-NC", HOST], String::new());
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = ours(&[client[0], client[1], &port]);
    let (mut guest, _) = listener.accept().unwrap();
    client.tell(b"GET / HTTP/1.0\nHost: here\r\n\nend");
    drop(client.take_stdin());
    guest.read_to_string(&mut said).unwrap();
    assert_eq!(said, "GET / HTTP/1.0\r\nHost: here\r\n\r\nend");
}

#[test]
fn i_waits_between_lines_and_sends_them_all() {
    const INTERVAL: Duration = Duration::from_millis(60);
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = ours(&["-N", "-i60ms", HOST, &port]);
    let (mut guest, _) = listener.accept().unwrap();
    client.tell(b"one\ntwo\nthree\nfour");
    drop(client.take_stdin());
    let mut said = Vec::new();
    let mut times = Vec::new();
    let mut buf = [0; 64];
    loop {
        match guest.read(&mut buf).unwrap() {
            0 => break,
            len => said.extend_from_slice(&buf[..len]),
        }
        times.push(Instant::now());
    }
    assert_eq!(said, b"one\ntwo\nthree\nfour");
    assert_eq!(times.len(), 4, "law: a line at a time");
    // The first may have come late; from then on nothing may come early.
    assert!(times[3] - times[0] >= INTERVAL * 2, "law: it waits between lines");
}
