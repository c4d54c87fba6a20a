//! With churn every message has a connection of its own, also where a socket serves again.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::{SIZE, run};

/// More than the lives of one socket, by far.
const COUNT: usize = 1000;

/// What a server has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Connections that brought one message and then ended in order, by where they came from.
    whole: Vec<SocketAddr>,
    /// Connections that brought nothing: the probe.
    empty: usize,
    /// What else there was.
    odd: Vec<String>,
}

/// A server of one message a connection. It waits for the client's end, or ends first.
fn one_message(ends_first: bool) -> (SocketAddr, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let ours = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, seen) = (stream.unwrap(), Arc::clone(&ours));
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
        other => seen.odd.push(format!("{peer}: {other:?}")),
    }
}

#[test]
fn each_message_has_a_connection_of_its_own_and_each_ends_in_order() {
    for (ends_first, how) in [(false, ""), (true, ""), (false, "--rate 20k"), (true, "--rate 20k")]
    {
        let (address, seen) = one_message(ends_first);
        let run = run(&format!("load {address} --churn -c 4 -n {COUNT} --warmup 0 --json {how}"));
        assert_eq!((run.code, &run.json()["messages"]), (Some(0), &COUNT.into()), "{run:?}");
        // The last ones may not have heard of their end yet.
        let over = || {
            let seen = seen.lock().unwrap();
            seen.whole.len() + seen.odd.len() >= COUNT && seen.empty >= 1
        };
        for _ in 0..10_000 {
            if over() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let seen = seen.lock().unwrap();
        assert_eq!((seen.odd.as_slice(), seen.empty), (&[] as &[String], 1), "{how}");
        assert_eq!(seen.whole.len(), COUNT, "{how}");
        let peers: HashSet<SocketAddr> = seen.whole.iter().copied().collect();
        let sources: HashSet<_> = peers.iter().map(SocketAddr::ip).collect();
        assert_eq!(peers.len(), COUNT, "{how}: no pair of address and port comes twice");
        assert!(sources.len() > 4, "{how}: they come from several addresses: {sources:?}");
    }
}

#[test]
fn one_connection_at_a_time_comes_from_many_addresses_too() {
    let (address, seen) = one_message(false);
    let run = run(&format!("load {address} --churn -c 1 -n 2000 --warmup 0"));
    assert_eq!(run.code, Some(0), "{run:?}");
    let seen = seen.lock().unwrap();
    let sources: HashSet<_> = seen.whole.iter().map(SocketAddr::ip).collect();
    // A new one every 64 lives; the last of them may not have ended yet.
    assert!(sources.len() >= 2000 / 64 - 1, "{sources:?}");
}
