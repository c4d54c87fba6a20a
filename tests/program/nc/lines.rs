//! `-C` and `-i`: line conversion and pacing.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::harness::{HOST, ours};

#[test]
fn c_converts_lf_to_crlf() {
    let (client, mut received) = (["-NC", HOST], String::new());
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = ours(&[client[0], client[1], &port]);
    let (mut connection, _) = listener.accept().unwrap();
    client.write_stdin(b"GET / HTTP/1.0\nHost: here\r\n\nend");
    drop(client.take_stdin());
    connection.read_to_string(&mut received).unwrap();
    assert_eq!(received, "GET / HTTP/1.0\r\nHost: here\r\n\r\nend");
}

#[test]
fn i_waits_between_lines_and_sends_them_all() {
    const INTERVAL: Duration = Duration::from_millis(60);
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = ours(&["-N", "-i60ms", HOST, &port]);
    let (mut connection, _) = listener.accept().unwrap();
    client.write_stdin(b"one\ntwo\nthree\nfour");
    drop(client.take_stdin());
    let mut received = Vec::new();
    let mut times = Vec::new();
    let mut buf = [0; 64];
    loop {
        match connection.read(&mut buf).unwrap() {
            0 => break,
            len => received.extend_from_slice(&buf[..len]),
        }
        times.push(Instant::now());
    }
    assert_eq!(received, b"one\ntwo\nthree\nfour");
    assert_eq!(times.len(), 4, "invariant: one line at a time");
    // The first may have come late; from then on nothing may come early.
    assert!(times[3] - times[0] >= INTERVAL * 2, "invariant: it waits between lines");
}
