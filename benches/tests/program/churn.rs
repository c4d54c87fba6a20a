//! Churn: every message has its own connection, also when a socket is reused.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::{SIZE, run};

/// Far more than the connections per socket.
const COUNT: usize = 1000;

/// What a server has recorded.
#[derive(Debug, Default)]
struct Seen {
    /// Peers of connections with one message and an orderly close.
    whole: Vec<SocketAddr>,
    /// Connections without a message: the probe.
    empty: usize,
    /// Everything else.
    unexpected: Vec<String>,
}

/// A server of one message per connection, which closes after the client or before it.
fn one_message(ends_first: bool) -> (SocketAddr, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, seen) = (stream.unwrap(), Arc::clone(&shared));
            thread::spawn(move || serve(stream, ends_first, &seen));
        }
    });
    (address, seen)
}

fn serve(mut stream: TcpStream, ends_first: bool, seen: &Mutex<Seen>) {
    let peer = stream.peer_addr().unwrap();
    let mut message = [0; SIZE];
    if stream.read_exact(&mut message).is_err() {
        seen.lock().unwrap().empty += 1;
        return;
    }
    stream.write_all(&message).unwrap();
    if ends_first {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let rest = stream.read(&mut message);
    let mut seen = seen.lock().unwrap();
    match rest {
        Ok(0) => seen.whole.push(peer),
        other => seen.unexpected.push(format!("{peer}: {other:?}")),
    }
}

#[test]
fn each_message_has_its_own_orderly_closed_connection() {
    for (ends_first, how) in [(false, ""), (true, ""), (false, "--rate 20k"), (true, "--rate 20k")]
    {
        let (address, seen) = one_message(ends_first);
        let run = run(&format!("load {address} --churn -c 4 -n {COUNT} --warmup 0 --json {how}"));
        assert_eq!((run.code, &run.json()["messages"]), (Some(0), &COUNT.into()), "{run:?}");
        // The server may not have read the last EOFs yet.
        let is_complete = || {
            let seen = seen.lock().unwrap();
            seen.whole.len() + seen.unexpected.len() >= COUNT && seen.empty >= 1
        };
        for _ in 0..10_000 {
            if is_complete() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let seen = seen.lock().unwrap();
        assert_eq!((seen.unexpected.as_slice(), seen.empty), (&[] as &[String], 1), "{how}");
        assert_eq!(seen.whole.len(), COUNT, "{how}");
        let peers: HashSet<SocketAddr> = seen.whole.iter().copied().collect();
        let sources: HashSet<_> = peers.iter().map(SocketAddr::ip).collect();
        assert_eq!(peers.len(), COUNT, "{how}: no pair of address and port occurs twice");
        assert!(sources.len() > 4, "{how}: several source addresses are used: {sources:?}");
    }
}

#[test]
fn sequential_connections_use_many_source_addresses() {
    let (address, seen) = one_message(false);
    let run = run(&format!("load {address} --churn -c 1 -n 2000 --warmup 0"));
    assert_eq!(run.code, Some(0), "{run:?}");
    let seen = seen.lock().unwrap();
    let sources: HashSet<_> = seen.whole.iter().map(SocketAddr::ip).collect();
    // A new address every 64 connections; the last ones may not be closed yet.
    assert!(sources.len() >= 2000 / 64 - 1, "{sources:?}");
}
