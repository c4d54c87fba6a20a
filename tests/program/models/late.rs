//! What every model guarantees to clients that are in time: bytes that arrive before a deadline are
//! served before it, a steady reader is not idle, a reply comes from the address the request was
//! sent to, and an urgent byte is a byte.

use core::time::Duration;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Instant;

use super::suite::{Model, serving};
use crate::support::client::{connect, expect, uninterrupted};
use crate::support::datagram::Datagrams;
use crate::support::program::Program;
use crate::support::tool::tool;

/// Every model that supports `--idle-timeout`.
const IDLE_MODELS: [Model; 7] = [
    &["epoll-edge"],
    &["epoll-level"],
    &["epoll-oneshot"],
    &["nonblocking"],
    &["select"],
    &["poll"],
    &["coroutine"],
];

/// Every model that serves datagrams as well as streams.
const DATAGRAM_MODELS: [Model; 7] = IDLE_MODELS;

/// More clients than one epoll_wait returns.
const CLIENTS: usize = 300;

/// Runs all models in parallel: each waits more than it works.
fn each(models: &[Model], property: impl Fn(Model) + Sync) {
    thread::scope(|scope| {
        for &model in models {
            let property = &property;
            scope.spawn(move || property(model));
        }
    });
}

/// Repeats with longer idle timeouts for busy machines: an attempt is void when its own setup took
/// longer than the idle timeout.
fn with_idle_time(mut property: impl FnMut(Duration) -> bool) {
    let tries = [2, 8, 30].map(Duration::from_secs);
    assert!(
        tries.into_iter().any(&mut property),
        "this machine is too slow for every idle timeout"
    );
}

#[test]
fn data_in_time_is_answered_by_a_server_that_was_stopped() {
    each(&IDLE_MODELS, |model| {
        with_idle_time(|idle| {
            let server = serving(model, &["--idle-timeout", &format!("{}s", idle.as_secs())]);
            let start = Instant::now();
            let mut clients: Vec<_> = (0..CLIENTS).map(|_| connect(&server.tcp())).collect();
            server.signal("STOP");
            if start.elapsed() > idle / 2 {
                server.signal("CONT");
                return false;
            }
            clients.iter_mut().for_each(|client| client.write_all(b"in time").unwrap());
            thread::sleep(idle + idle / 4);
            server.signal("CONT");
            clients.iter_mut().for_each(|client| expect(client, b"in time"));
            drop(clients);
            server.stop().expect_code(0);
            true
        });
    });
}

#[test]
fn a_steady_reader_is_not_idle() {
    const TOTAL: usize = 6_000_000;
    /// 400 kB/s with an idle timeout of 2 s, while Linux reports free send space every 3 s.
    const PIECE: usize = 20_000;
    each(&IDLE_MODELS, |model| {
        with_idle_time(|idle| {
            let server = serving(model, &["--idle-timeout", &format!("{}s", idle.as_secs())]);
            let mut client = connect(&server.tcp());
            let mut writer = client.try_clone().unwrap();
            let writing = thread::spawn(move || {
                // The connection may be closed early: the reader detects that.
                let _ = writer.write_all(&vec![b's'; TOTAL]);
                let _ = writer.shutdown(Shutdown::Write);
            });
            let (pause, start) = (idle / 40, Instant::now());
            let (mut read, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
            let ended = loop {
                // Slowly for two and a half idle timeouts, then as fast as possible.
                if start.elapsed() < idle * 5 / 2 {
                    thread::sleep(pause);
                }
                longest = longest.max(last.elapsed());
                last = Instant::now();
                match uninterrupted(|| client.read(&mut [0; PIECE])) {
                    Ok(0) => break Ok(()),
                    Ok(count) => read += count,
                    Err(error) => break Err(error),
                }
            };
            writing.join().unwrap();
            drop(client);
            if longest > idle / 2 {
                return false;
            }
            assert!(ended.is_ok() && read == TOTAL, "{model:?}: {ended:?} after {read} bytes");
            server.stop().expect_code(0);
            true
        });
    });
}

/// One server each on the wildcard addresses of both families, queried at local addresses.
#[test]
fn a_datagram_is_answered_from_the_requested_address() {
    for model in DATAGRAM_MODELS {
        let has_v6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
        let mut asked = vec![("0.0.0.0:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.2")];
        if has_v6 {
            asked.push(("[::]:0", "[::1]"));
        }
        for (bound, ip) in asked {
            let arguments = [&["--udp", bound, "--log-format", "json", "--model"], model].concat();
            let server = Program::serving(&arguments);
            let port = server.udp();
            let port = port.rsplit(':').next().unwrap();
            // Connected: datagrams from other addresses are not received.
            Datagrams::to(&format!("{ip}:{port}")).echo(b"where from?");
            server.stop().expect_code(0);
        }
    }
}

#[test]
fn an_urgent_byte_is_echoed_in_place() {
    let script = "import socket,sys,time
s=socket.create_connection(('127.0.0.1',int(sys.argv[1]))); s.settimeout(60)
s.send(b'ab'); s.send(b'C',socket.MSG_OOB); s.send(b'd'); got=b''
while len(got)<4: got+=s.recv(9)
print(got.decode())";
    let models: [Model; 12] = [
        &["epoll-edge"],
        &["epoll-level"],
        &["epoll-oneshot"],
        &["blocking"],
        &["process"],
        &["thread"],
        &["nonblocking"],
        &["select"],
        &["poll"],
        &["coroutine"],
        &["prefork"],
        &["reuseport"],
    ];
    for model in models {
        let server = serving(model, &[]);
        let address = server.tcp();
        let port = address.rsplit(':').next().unwrap();
        let received = tool("python3").args(["-c", script, port]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&received.stdout), "abCd\n", "{model:?}: {received:?}");
        server.stop().expect_code(0);
    }
}
