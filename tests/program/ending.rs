//! How it ends: what is owed is paid, nobody new comes in, nobody holds it up.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use crate::support::TRIGGERS;
use crate::support::client::{
    Duplex, connect, connect_unix, echo, expect_end, is_served, read_to_end, stuff, uninterrupted,
    until_refused,
};
use crate::support::datagram::Datagrams;
use crate::support::json::Json;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::wait::until;

/// More than any server holds for one client, with the kernel's buffers on both sides.
const TOO_MUCH: usize = 64 << 20;

#[test]
fn a_signal_to_end_is_obeyed_with_an_idle_client() {
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
fn it_ends_at_once_with_nobody_there() {
    let scratch = Scratch::new();
    let path = scratch.file("lonely");
    let arguments = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", &path];
    let server = Program::serving(&[&arguments[..], &["--drain", "1h"]].concat());
    server.stop().expect_code(0);
    assert!(!scratch.path().join("lonely").exists(), "law: the path goes with the server");
}

#[test]
fn what_is_owed_is_paid_before_the_end() {
    for trigger in TRIGGERS {
        let mut server = Program::on_tcp(trigger);
        let client = connect(&server.tcp());
        pays_before_the_end(&mut server, client);
    }
}

#[test]
fn what_is_owed_over_a_path_is_paid_before_the_end() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let mut server =
            Program::serving(&["--unix", &path, "--trigger", trigger, "--log", "json"]);
        pays_before_the_end(&mut server, connect_unix(&path));
    }
}

fn pays_before_the_end(server: &mut Program, mut client: impl Duplex) {
    let sent = stuff(&mut client, TOO_MUCH);
    assert!(sent < TOO_MUCH, "law: a client that never reads is slowed down");
    let owed = server.statistics().number("bytes.in");
    assert!(owed > 0 && server.statistics().number("bytes.out") < owed, "it owes something");

    server.signal("TERM");
    let paid = read_to_end(&mut client);
    drop(client);
    assert!(
        u64::try_from(paid).unwrap() >= owed,
        "law: what was taken in is paid before the end; it took {owed} and paid {paid}"
    );
    server.end().expect_code(0);
}

#[test]
fn a_client_that_takes_nothing_does_not_hold_up_the_end() {
    for trigger in TRIGGERS {
        let arguments = ["--tcp", "127.0.0.1:0", "--drain", "300ms", "--trigger", trigger];
        let server = Program::serving(&arguments);
        let mut client = connect(&server.tcp());
        stuff(&mut client, TOO_MUCH);
        server.stop().expect_code(0);
    }
}

#[test]
fn nobody_new_is_let_in_while_it_ends() {
    let mut server = Program::serving(&["--tcp", "127.0.0.1:0", "--drain", "1h"]);
    let mut owed = connect(&server.tcp());
    stuff(&mut owed, TOO_MUCH);
    server.signal("TERM");
    until_refused(&server.tcp());
    assert!(server.ended().is_none(), "law: it ends when what is owed is paid");
    read_to_end(&mut owed);
    drop(owed);
    server.end().expect_code(0);
}

#[test]
fn statistics_are_told_while_it_ends() {
    for threads in ["1", "3"] {
        let arguments = ["--tcp", "127.0.0.1:0", "--drain", "1h", "--threads", threads];
        let mut server = Program::serving(&[&arguments[..], &["--log", "json"]].concat());
        let mut owed = connect(&server.tcp());
        stuff(&mut owed, TOO_MUCH);
        server.signal("TERM");
        until_refused(&server.tcp());
        // Threads that have nobody to wait for have left, and what they counted counts.
        for _ in 0..3 {
            let open = server.statistics().number("connections.open");
            assert_eq!(open, 1, "law: who is owed something is still there, of {threads}");
        }
        read_to_end(&mut owed);
        drop(owed);
        server.end().expect_code(0);
    }
}

/// The question may come at any moment of the end: when the drain time is over, and after.
#[test]
fn a_question_at_the_very_end_is_answered_or_does_no_harm() {
    for model in ["epoll-edge", "blocking", "process", "coroutine"] {
        let arguments = ["--tcp", "127.0.0.1:0", "--drain", "50ms", "--model", model];
        let mut server = Program::serving(&[&arguments[..], &["--log", "json"]].concat());
        let mut owed = connect(&server.tcp());
        stuff(&mut owed, TOO_MUCH);
        server.signal("TERM");
        until("it to end", || {
            server.signal("USR1");
            server.ended().is_some()
        });
        let ending = server.end();
        ending.expect_code(0);
        for line in ending.stdout.lines() {
            assert!(!Json::parse(line).text("event").is_empty(), "law: whole lines, in {model}");
        }
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        // The client is one thread's, whose is chance: once it will be that of a thread which
        // does not hear the signals, while the one that does has nothing left to wait for.
        for threads in ["1", "3", "3", "3", "3", "3"] {
            let arguments = ["--tcp", "127.0.0.1:0", "--drain", "1h", "--threads", threads];
            let mut server = Program::serving(&arguments);
            let mut owed = connect(&server.tcp());
            stuff(&mut owed, TOO_MUCH);
            server.signal(signal);
            until_refused(&server.tcp());
            assert!(server.ended().is_none(), "law: the first signal drains");
            server.signal(signal);
            server.end().expect_code(code);
        }
    }
}

#[test]
fn a_second_signal_leaves_no_path_behind() {
    let scratch = Scratch::new();
    let path = scratch.file("left");
    let mut server = Program::serving(&["--unix", &path, "--drain", "1h"]);
    let mut owed = connect_unix(&path);
    stuff(&mut owed, TOO_MUCH);
    server.signal("TERM");
    crate::support::wait::until("the listener to be closed", || {
        std::os::unix::net::UnixStream::connect(&path).is_err()
    });
    server.signal("TERM");
    server.end().expect_code(143);
    assert!(!scratch.path().join("left").exists(), "law: the path goes with the server");
}

#[test]
fn many_threads_and_many_clients_end_together() {
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
fn clients_that_talk_while_it_ends_get_a_prefix_and_no_garbage() {
    for trigger in TRIGGERS {
        let mut server = Program::on_tcp(trigger);
        let address = server.tcp();
        is_served(&address);
        let talkers: Vec<_> = (0..8)
            .map(|_| {
                let mut stream = connect(&address);
                echo(&mut stream, b"warm");
                thread::spawn(move || talk_until_it_is_over(&mut stream))
            })
            .collect();
        server.signal("TERM");
        for talker in talkers {
            talker.join().expect("law: bytes out are a prefix of bytes in");
        }
        server.end().expect_code(0);
    }
}

#[test]
fn a_client_that_talks_on_while_it_is_shown_out_gets_an_orderly_end() {
    for trigger in TRIGGERS {
        let mut server = Program::on_tcp(trigger);
        let mut client = connect(&server.tcp());
        stuff(&mut client, TOO_MUCH);
        server.signal("TERM");
        until_refused(&server.tcp());
        // To close over what it says now would send a reset, and that eats the echo on its way.
        let mut writing = client.twin();
        let talker = thread::spawn(move || while writing.write_all(b"one more thing").is_ok() {});
        let mut buf = [0; 65536];
        while uninterrupted(|| client.read(&mut buf)).expect("law: an orderly end") > 0 {}
        drop(client.shutdown(Shutdown::Both));
        talker.join().unwrap();
        server.end().expect_code(0);
    }
}

fn talk_until_it_is_over(stream: &mut TcpStream) {
    let mut back = [0; 9];
    for number in 100_000_000_u32.. {
        let word = number.to_string();
        let written = stream.write_all(word.as_bytes());
        if written.is_err() {
            return;
        }
        let mut got = 0;
        while got < back.len() {
            match uninterrupted(|| stream.read(&mut back[got..])) {
                Ok(count @ 1..) => got += count,
                Ok(0) | Err(_) => return,
            }
            assert!(word.as_bytes().starts_with(&back[..got]), "a prefix of what was sent");
        }
    }
}

#[test]
fn datagrams_are_not_answered_while_it_ends() {
    for model in ["epoll-edge", "epoll-level", "select", "poll", "nonblocking", "coroutine"] {
        let listeners = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--drain", "1h"];
        let mut server =
            Program::serving(&[&listeners[..], &["--log", "json", "--model", model]].concat());
        let datagrams = Datagrams::to(&server.udp());
        datagrams.echo(b"before");
        let mut owed = connect(&server.tcp());
        stuff(&mut owed, TOO_MUCH);
        server.signal("TERM");
        // Of a socket that is closed a client that is connected to it is told.
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.udp()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        crate::support::wait::until("the socket to be closed", || {
            let _ = client.send(b"too late");
            client.recv(&mut [0; 16]).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
        });
        let counted = server.statistics().number("datagrams.in");
        assert!(counted >= 1, "law: what it counted before is told; got {counted}, {model}");
        read_to_end(&mut owed);
        drop(owed);
        server.end().expect_code(0);
    }
}

#[test]
fn a_signal_that_comes_before_it_listens_is_obeyed_when_it_does() {
    drop(crate::support::tool::tool("strace"));
    let scratch = Scratch::new();
    let slowly = ["env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-f", "-D", "-qq"];
    let listen =
        ["-o", "/dev/null", "-e", "trace=listen", "-e", "inject=listen:delay_enter=300000"];
    let wrapper = [&slowly[..], &listen].concat();
    for (words, code) in [
        (&["echo", "--unix"][..], 0),
        (&["echo", "--model", "poll", "--unix"], 0),
        (&["echo", "--model", "prefork", "--unix"], 0),
        (&["nc", "-lkU"], 143),
    ] {
        for signals in [&["TERM"][..], &["USR1", "TERM"]] {
            if words[0] == "nc" && signals.len() > 1 {
                continue;
            }
            let path = scratch.file("early");
            let mut program = Program::start_under(&wrapper, &[words, &[&path]].concat());
            crate::support::wait::until("the file of the socket", || {
                std::fs::metadata(&path).is_ok()
            });
            signals.iter().for_each(|signal| program.signal(signal));
            program.end().expect_code(code);
            assert!(std::fs::metadata(&path).is_err(), "law: no file is left by {words:?}");
        }
    }
}
