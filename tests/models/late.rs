//! What every model owes to those who are not late: bytes that arrive in time are served before a
//! deadline, a steady reader is not idle, an answer comes from the address that was asked, and an
//! urgent byte is a byte.

use core::time::Duration;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Instant;

use super::suite::{Model, serving};
use crate::support::client::{connect, expect};
use crate::support::datagram::Datagrams;
use crate::support::program::Program;
use crate::support::tool::tool;

/// Every model that knows `--idle-timeout`.
const IDLE_MODELS: [Model; 7] = [
    &["epoll-edge"],
    &["epoll-level"],
    &["epoll-oneshot"],
    &["nonblocking"],
    &["select"],
    &["poll"],
    &["coroutine"],
];

/// Every model that serves datagrams beside streams.
const DATAGRAM_MODELS: [Model; 7] = IDLE_MODELS;

/// More clients than one epoll_wait brings.
const CLIENTS: usize = 300;

/// Has all models tried at once: each waits more than it works.
fn each(models: &[Model], promise: impl Fn(Model) + Sync) {
    thread::scope(|scope| {
        for &model in models {
            let promise = &promise;
            scope.spawn(move || promise(model));
        }
    });
}

/// As long as a busy machine takes for it: what is tried is void when its own preparation took
/// longer than the idle time, and is tried again with a longer one.
fn with_idle_time(mut promise: impl FnMut(Duration) -> bool) {
    let tries = [2, 8, 30].map(Duration::from_secs);
    assert!(tries.into_iter().any(&mut promise), "this machine is too slow for any idle time");
}

#[test]
fn who_speaks_in_time_is_answered_by_a_server_that_stood_still() {
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
    /// 400 kB/s with an idle time of 2 s, in which Linux tells of room every 3 s.
    const PIECE: usize = 20_000;
    each(&IDLE_MODELS, |model| {
        with_idle_time(|idle| {
            let server = serving(model, &["--idle-timeout", &format!("{}s", idle.as_secs())]);
            let mut client = connect(&server.tcp());
            let mut writer = client.try_clone().unwrap();
            let writing = thread::spawn(move || {
                // It may be cut off: that is for the reader to tell.
                let _ = writer.write_all(&vec![b's'; TOTAL]);
                let _ = writer.shutdown(Shutdown::Write);
            });
            let (pause, start) = (idle / 40, Instant::now());
            let (mut read, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
            let ended = loop {
                // Slowly for two idle times and a half, then as fast as can be.
                if start.elapsed() < idle * 5 / 2 {
                    thread::sleep(pause);
                }
                longest = longest.max(last.elapsed());
                last = Instant::now();
                match client.read(&mut [0; PIECE]) {
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

/// One server each on the wildcard addresses of both families, asked at addresses of its own.
#[test]
fn a_datagram_is_answered_from_the_address_that_was_asked() {
    for model in DATAGRAM_MODELS {
        let has_v6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
        let mut asked = vec![("0.0.0.0:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.2")];
        if has_v6 {
            asked.push(("[::]:0", "[::1]"));
        }
        for (bound, ip) in asked {
            let arguments = [&["--udp", bound, "--log", "json", "--model"], model].concat();
            let server = Program::serving(&arguments);
            let port = server.udp();
            let port = port.rsplit(':').next().unwrap();
            // Connected: what comes from elsewhere is not heard.
            Datagrams::to(&format!("{ip}:{port}")).echo(b"where from?");
            server.stop().expect_code(0);
        }
    }
}

#[test]
fn an_urgent_byte_comes_back_where_it_stood() {
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
        let heard = tool("python3").args(["-c", script, port]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&heard.stdout), "abCd\n", "{model:?}: {heard:?}");
        server.stop().expect_code(0);
    }
}
