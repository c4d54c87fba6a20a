//! Shutdown: pending data is flushed, no new connection is accepted, and no client delays it beyond
//! the drain timeout.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use crate::support::MODELS;
use crate::support::TRIGGERS;
use crate::support::client::{
    Duplex, connect, connect_unix, echo, expect_end, fill_buffers, is_served, read_to_end,
    uninterrupted, until_refused,
};
use crate::support::datagram::Datagrams;
use crate::support::json::Json;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::wait::until;

/// More than any server buffers for one client, including the kernel's buffers on both sides.
const TOO_MUCH: usize = 64 << 20;

#[test]
fn a_termination_signal_exits_with_an_idle_client() {
    for trigger in TRIGGERS {
        for signal in ["TERM", "INT"] {
            let mut server = Program::on_tcp(trigger);
            let mut client = connect(&server.tcp());
            echo(&mut client, b"then silence");
            server.signal(signal);
            expect_end(&mut client);
            drop(client);
            server.end().expect_code(0);
        }
    }
}

#[test]
fn it_exits_immediately_without_clients() {
    let scratch = Scratch::new();
    let path = scratch.file("lonely");
    let arguments = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", &path];
    let server = Program::serving(&[&arguments[..], &["--drain-timeout", "1h"]].concat());
    server.stop().expect_code(0);
    assert!(
        !scratch.path().join("lonely").exists(),
        "invariant: the socket file is removed on exit"
    );
}

#[test]
fn pending_data_is_flushed_before_exit() {
    for trigger in TRIGGERS {
        let mut server = Program::on_tcp(trigger);
        let client = connect(&server.tcp());
        flushes_before_exit(&mut server, client);
    }
}

#[test]
fn pending_unix_data_is_flushed_before_exit() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let mut server =
            Program::serving(&["--unix", &path, "--trigger", trigger, "--log-format", "json"]);
        flushes_before_exit(&mut server, connect_unix(&path));
    }
}

fn flushes_before_exit(server: &mut Program, mut client: impl Duplex) {
    let sent = fill_buffers(&mut client, TOO_MUCH);
    assert!(sent < TOO_MUCH, "invariant: a client that never reads is throttled by backpressure");
    let pending = server.statistics().number("bytes.in");
    assert!(pending > 0 && server.statistics().number("bytes.out") < pending, "it has unsent data");

    server.signal("TERM");
    let received = read_to_end(&mut client);
    drop(client);
    assert!(
        u64::try_from(received).unwrap() >= pending,
        "invariant: accepted data is flushed before exit; {pending} pending, {received} received"
    );
    server.end().expect_code(0);
}

#[test]
fn a_stuck_client_does_not_delay_shutdown() {
    for trigger in TRIGGERS {
        let arguments = ["--tcp", "127.0.0.1:0", "--drain-timeout", "300ms", "--trigger", trigger];
        let server = Program::serving(&arguments);
        let mut client = connect(&server.tcp());
        fill_buffers(&mut client, TOO_MUCH);
        server.stop().expect_code(0);
    }
}

#[test]
fn no_connection_is_accepted_during_shutdown() {
    let mut server = Program::serving(&["--tcp", "127.0.0.1:0", "--drain-timeout", "1h"]);
    let mut pending = connect(&server.tcp());
    fill_buffers(&mut pending, TOO_MUCH);
    server.signal("TERM");
    until_refused(&server.tcp());
    assert!(server.ended().is_none(), "invariant: it exits only after all data is flushed");
    read_to_end(&mut pending);
    drop(pending);
    server.end().expect_code(0);
}

#[test]
fn statistics_are_reported_during_shutdown() {
    for threads in ["1", "3"] {
        let arguments = ["--tcp", "127.0.0.1:0", "--drain-timeout", "1h", "--threads", threads];
        let mut server = Program::serving(&[&arguments[..], &["--log-format", "json"]].concat());
        let mut pending = connect(&server.tcp());
        fill_buffers(&mut pending, TOO_MUCH);
        server.signal("TERM");
        until_refused(&server.tcp());
        // Threads without open connections have exited; their counts are included.
        for _ in 0..3 {
            let open = server.statistics().number("connections.open");
            assert_eq!(
                open, 1,
                "invariant: the connection with unsent data is still open, of {threads}"
            );
        }
        read_to_end(&mut pending);
        drop(pending);
        server.end().expect_code(0);
    }
}

/// The statistics request may come at any moment of the shutdown: at the drain timeout, and after.
#[test]
fn a_statistics_request_during_exit_is_served_or_ignored() {
    for model in ["epoll-edge", "blocking", "process", "coroutine"] {
        let arguments = ["--tcp", "127.0.0.1:0", "--drain-timeout", "50ms", "--model", model];
        let mut server = Program::serving(&[&arguments[..], &["--log-format", "json"]].concat());
        let mut pending = connect(&server.tcp());
        fill_buffers(&mut pending, TOO_MUCH);
        server.signal("TERM");
        until("it to exit", || {
            server.signal("USR1");
            server.ended().is_some()
        });
        let ending = server.end();
        ending.expect_code(0);
        for line in ending.stdout.lines() {
            assert!(
                !Json::parse(line).text("event").is_empty(),
                "invariant: whole lines, in {model}"
            );
        }
    }
}

#[test]
fn a_second_signal_exits_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        // The client belongs to one of the threads, at random: at some point to one that does not
        // receive the signals, while the one that does has no open connection left.
        for threads in ["1", "3", "3", "3", "3", "3"] {
            let arguments = ["--tcp", "127.0.0.1:0", "--drain-timeout", "1h", "--threads", threads];
            let mut server = Program::serving(&arguments);
            let mut pending = connect(&server.tcp());
            fill_buffers(&mut pending, TOO_MUCH);
            server.signal(signal);
            until_refused(&server.tcp());
            assert!(server.ended().is_none(), "invariant: the first signal drains");
            server.signal(signal);
            server.end().expect_code(code);
        }
    }
}

#[test]
fn a_second_signal_unlinks_the_socket() {
    let scratch = Scratch::new();
    let path = scratch.file("left");
    let mut server = Program::serving(&["--unix", &path, "--drain-timeout", "1h"]);
    let mut pending = connect_unix(&path);
    fill_buffers(&mut pending, TOO_MUCH);
    server.signal("TERM");
    crate::support::wait::until("the listener to be closed", || {
        std::os::unix::net::UnixStream::connect(&path).is_err()
    });
    server.signal("TERM");
    server.end().expect_code(143);
    assert!(!scratch.path().join("left").exists(), "invariant: the socket file is removed on exit");
}

#[test]
fn shutdown_ends_many_threads_and_clients() {
    let mut server = Program::serving(&["--tcp", "127.0.0.1:0", "--threads", "4"]);
    let mut clients: Vec<_> = (0..60).map(|_| connect(&server.tcp())).collect();
    for client in &mut clients {
        echo(client, b"here");
    }
    server.signal("TERM");
    for mut client in clients {
        expect_end(&mut client);
    }
    server.end().expect_code(0);
}

#[test]
fn clients_sending_during_shutdown_get_a_prefix_and_no_garbage() {
    for trigger in TRIGGERS {
        let mut server = Program::on_tcp(trigger);
        let address = server.tcp();
        is_served(&address);
        let talkers: Vec<_> = (0..8)
            .map(|_| {
                let mut stream = connect(&address);
                echo(&mut stream, b"warm");
                thread::spawn(move || send_until_shutdown(&mut stream))
            })
            .collect();
        server.signal("TERM");
        for talker in talkers {
            talker.join().expect("invariant: output is a prefix of input");
        }
        server.end().expect_code(0);
    }
}

#[test]
fn a_client_sending_during_shutdown_gets_a_clean_close() {
    for trigger in TRIGGERS {
        let mut server = Program::on_tcp(trigger);
        let mut client = connect(&server.tcp());
        fill_buffers(&mut client, TOO_MUCH);
        server.signal("TERM");
        until_refused(&server.tcp());
        // Closing while it still sends would send a reset, which discards the echo in flight.
        let mut writing = client.second_handle();
        let talker = thread::spawn(move || while writing.write_all(b"one more thing").is_ok() {});
        let mut buf = [0; 65536];
        while uninterrupted(|| client.read(&mut buf)).expect("invariant: a clean EOF") > 0 {}
        drop(client.shutdown(Shutdown::Both));
        talker.join().unwrap();
        server.end().expect_code(0);
    }
}

fn send_until_shutdown(stream: &mut TcpStream) {
    let mut back = [0; 9];
    for number in 100_000_000_u32.. {
        let argument = number.to_string();
        let written = stream.write_all(argument.as_bytes());
        if written.is_err() {
            return;
        }
        let mut got = 0;
        while got < back.len() {
            match uninterrupted(|| stream.read(&mut back[got..])) {
                Ok(count @ 1..) => got += count,
                Ok(0) | Err(_) => return,
            }
            assert!(argument.as_bytes().starts_with(&back[..got]), "a prefix of what was sent");
        }
    }
}

#[test]
fn datagrams_are_not_answered_during_shutdown() {
    for model in ["epoll-edge", "epoll-level", "select", "poll", "nonblocking", "coroutine"] {
        let listeners = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--drain-timeout", "1h"];
        let mut server = Program::serving(
            &[&listeners[..], &["--log-format", "json", "--model", model]].concat(),
        );
        let datagrams = Datagrams::to(&server.udp());
        datagrams.echo(b"before");
        let mut pending = connect(&server.tcp());
        fill_buffers(&mut pending, TOO_MUCH);
        server.signal("TERM");
        // A client connected to a closed socket gets ECONNREFUSED.
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.udp()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        crate::support::wait::until("the socket to be closed", || {
            let _ = client.send(b"too late");
            client.recv(&mut [0; 16]).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
        });
        let counted = server.statistics().number("datagrams.in");
        assert!(counted >= 1, "invariant: earlier counts are reported; got {counted}, {model}");
        read_to_end(&mut pending);
        drop(pending);
        server.end().expect_code(0);
    }
}

#[test]
fn a_signal_before_startup_is_handled_after_it() {
    drop(crate::support::tool::tool("strace"));
    let scratch = Scratch::new();
    let slowly = ["env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-f", "-D", "-qq"];
    let listen =
        ["-o", "/dev/null", "-e", "trace=listen", "-e", "inject=listen:delay_enter=300000"];
    let wrapper = [&slowly[..], &listen].concat();
    for (command_line, code) in [
        (&["echo", "--unix"][..], 0),
        (&["echo", "--model", "poll", "--unix"], 0),
        (&["echo", "--model", "prefork", "--unix"], 0),
        (&["nc", "-lkU"], 143),
    ] {
        for signals in [&["TERM"][..], &["USR1", "TERM"]] {
            if command_line[0] == "nc" && signals.len() > 1 {
                continue;
            }
            let path = scratch.file("early");
            let mut program = Program::start_under(&wrapper, &[command_line, &[&path]].concat());
            crate::support::wait::until("the socket file to be created", || {
                std::fs::metadata(&path).is_ok()
            });
            signals.iter().for_each(|signal| program.signal(signal));
            program.end().expect_code(code);
            assert!(
                std::fs::metadata(&path).is_err(),
                "invariant: no file is left by {command_line:?}"
            );
        }
    }
}

/// The server is stopped while clients connect and send: all of them are in the backlog when the
/// signal comes.
#[test]
fn every_model_serves_what_is_in_the_backlog_at_shutdown() {
    // Of all models together, with `TORTURE` a thousand.
    let rounds = if std::env::var_os("TORTURE").is_some() { 84 } else { 3 };
    for model in MODELS {
        for round in 0..rounds {
            // None waits for the end of the drain timeout, when it would be cut off.
            let mut arguments = vec!["--tcp", "127.0.0.1:0", "--model", model];
            arguments.extend(["--drain-timeout", "1h"]);
            if ["prefork", "reuseport"].contains(&model) {
                arguments.extend(["--workers", "1"]);
            }
            let mut server = Program::serving(&arguments);
            let address = server.tcp();
            let stopped = std::iter::once(server.pid()).chain(children(server.pid()));
            let stopped: Vec<String> = stopped.map(|pid| pid.to_string()).collect();
            let all = stopped.join(" ");
            server.signals(&format!("kill -s STOP {all}"));
            let mut clients: Vec<TcpStream> = (0..8).map(|_| connect(&address)).collect();
            clients.iter_mut().for_each(|client| client.write_all(b"waiting").unwrap());
            server.signals(&format!("kill -s TERM $0; kill -s CONT {all}"));
            // Each client ends before the next one: `blocking` serves one at a time.
            for (number, mut client) in clients.into_iter().enumerate() {
                let mut back = [0; 7];
                let read = uninterrupted(|| client.read_exact(&mut back));
                assert!(read.is_ok(), "{model}, round {round}, client {number}: {read:?}");
                expect_end(&mut client);
            }
            server.end().expect_code(0);
            until_refused(&address);
        }
    }
}

/// By default SIGURG and SIGWINCH are ignored; two models interrupt themselves by one of them.
/// What is in the backlog is served, and not what comes while that is served.
#[test]
fn clients_that_connect_again_and_again_do_not_keep_a_server_alive() {
    for model in ["blocking", "thread", "process", "prefork", "poll", "coroutine", "epoll-edge"] {
        let mut server = Program::serving(
            &[&["--tcp", "127.0.0.1:0", "--model", model][..], &["--drain-timeout", "1h"]].concat(),
        );
        let address = server.tcp();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Ok(mut client) = TcpStream::connect(&address) {
                        let _ = client.write_all(b"again");
                        let _ = client.shutdown(Shutdown::Write);
                        let _ = client.read_to_end(&mut Vec::new());
                    }
                });
            }
            is_served(&address);
            server.signal("TERM");
            server.end().expect_code(0);
        });
    }
}

#[test]
fn signals_that_are_ignored_by_default_change_nothing() {
    for model in MODELS {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model];
        let server = Program::serving(&[&arguments[..], &["--drain-timeout", "300ms"]].concat());
        let many = "for i in $(seq 50); do kill -s URG $0; kill -s WINCH $0; done";
        server.signals(many);
        let mut client = connect(&server.tcp());
        echo(&mut client, b"during");
        server.signals(many);
        echo(&mut client, b"them");
        drop(client);
        // Nor during a shutdown, which ends after its timeout.
        let mut stuck = connect(&server.tcp());
        fill_buffers(&mut stuck, TOO_MUCH);
        server.signal("TERM");
        server.signals("for i in $(seq 5); do kill -s URG $0 2>&-; done; true");
        let mut server = server;
        server.end().expect_code(0);
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.expect("the kernel lists children");
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
