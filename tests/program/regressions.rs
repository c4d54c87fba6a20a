//! What a reviewer found in the program, once each: what was wrong is named, and stays away.

use std::fs;
use std::io::{ErrorKind, pipe};
use std::net::UdpSocket;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use epollite::{Addr, Errno, Family, Fd, Kernel, Kind, Linux};

use crate::support::TRIGGERS;
use crate::support::client::{connect, connect_unix, echo, expect_end, read_to_end, stuff};
use crate::support::datagram::Datagrams;
use crate::support::program::{Program, command};
use crate::support::scratch::Scratch;
use crate::support::wait::until;

#[test]
fn two_datagram_sockets_of_one_server_do_not_answer_each_other() {
    for trigger in TRIGGERS {
        for threads in ["1", "3"] {
            let sockets = ["--udp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
            let how = ["--trigger", trigger, "--threads", threads, "--log", "json"];
            let server = Program::serving(&[&sockets[..], &how].concat());
            let [first, second] = server.addresses("udp").try_into().expect("there are two");
            // Another address with the second one's port is taken for it, and no loop begins
            // when it is answered after all.
            let (_, port) = second.rsplit_once(':').unwrap();
            let twin = UdpSocket::bind(format!("127.0.0.2:{port}")).unwrap();
            twin.send_to(b"to and fro", &first).unwrap();
            until("the datagram to be refused", || {
                server.statistics().number("datagrams.refused") == 1
            });
            for address in [first, second] {
                Datagrams::to(&address).echo(b"ping");
            }
            let statistics = server.statistics();
            assert_eq!(statistics.number("datagrams.in"), 3);
            assert_eq!(statistics.number("datagrams.out"), 2, "law: not one answer to itself");
            twin.set_nonblocking(true).unwrap();
            let silence = twin.recv(&mut [0; 16]).unwrap_err();
            assert_eq!(silence.kind(), ErrorKind::WouldBlock, "law: its own port is not answered");
            server.stop().expect_code(0);
        }
    }
}

#[test]
fn a_forged_datagram_does_not_set_two_sockets_on_each_other() {
    for trigger in TRIGGERS {
        let sockets = ["--udp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
        let how = ["--trigger", trigger, "--log", "json"];
        let server = Program::serving(&[&sockets[..], &how].concat());
        let [first, second] = server.addresses("udp").try_into().expect("there are two");
        let ending = crate::support::tool::python("spoof.py", &[&first, &second]).end();
        if ending.code() == Some(77) {
            assert!(!crate::support::procfs::we_are_root(), "law: root may forge; {ending:?}");
            return;
        }
        ending.expect_code(0);
        until("the datagram to come", || server.statistics().number("datagrams.in") > 0);
        let statistics = server.statistics();
        assert_eq!(statistics.number("datagrams.in"), 1, "law: no answer, no loop");
        assert_eq!(statistics.number("datagrams.refused"), 1, "law: refused and counted");
        assert_eq!(statistics.number("datagrams.out"), 0, "law: not one answer to itself");
    }
}

#[test]
fn who_leaves_late_takes_no_path_away_from_who_came_after() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let old = ["--unix", &path, "--drain", "1h", "--trigger", trigger, "--log", "json"];
        let mut old = Program::serving(&old);
        let mut owed = connect_unix(&path);
        stuff(&mut owed, 64 << 20);
        assert!(old.statistics().number("bytes.in") > old.statistics().number("bytes.out"));
        old.signal("TERM");
        until("the old one's path to go", || fs::symlink_metadata(&path).is_err());

        let new = Program::serving(&["--unix", &path, "--trigger", trigger]);
        echo(&mut connect_unix(&path), b"to the new one");
        assert!(old.ended().is_none(), "law: who is owed something is waited for");
        read_to_end(&mut owed);
        drop(owed);
        old.end().expect_code(0);

        echo(&mut connect_unix(&path), b"law: its path is still there");
        new.stop().expect_code(0);
        assert!(fs::symlink_metadata(&path).is_err(), "law: the path goes with the server");
    }
}

#[test]
fn fewer_connections_than_who_serve_them_is_a_mistake() {
    for (among, flag) in
        [(&["--threads", "4"][..], "--threads 4"), (&["--model", "prefork"], "--workers 4")]
    {
        let arguments = [&["echo", "--tcp", "127.0.0.1:0", "--max-connections", "1"], among];
        let ending = Program::run(&arguments.concat());
        ending.expect_code(2);
        let complaint = ending.one_complaint();
        for named in ["--max-connections 1", flag] {
            assert!(complaint.contains(named), "law: {named} is named; got {complaint:?}");
        }
        assert!(ending.stdout.is_empty(), "law: an error says nothing on stdout");
    }
}

#[test]
fn as_many_connections_as_threads_are_served() {
    let limits = ["--max-connections", "2", "--threads", "2", "--log", "json"];
    let server = Program::serving(&[&["--tcp", "127.0.0.1:0"], &limits[..]].concat());
    echo(&mut connect(&server.tcp()), b"hello");
    server.stop().expect_code(0);
}

#[test]
fn tcp_and_udp_take_no_path_and_leave_none() {
    let scratch = Scratch::new();
    for transport in ["--tcp", "--udp"] {
        for address in ["unix:80", "unix:@80"] {
            // Its own folder, to see what it leaves there.
            let mut program = command(&[] as &[&str], &["echo", transport, address]);
            program.current_dir(scratch.path());
            let ending = crate::support::process::Process::start(program).end();
            assert!(
                matches!(ending.code(), Some(2 | 69)),
                "law: {transport} {address} is no address; got {ending:?}"
            );
            ending.one_complaint();
            let left = fs::read_dir(scratch.path()).unwrap().count();
            assert_eq!(left, 0, "law: {transport} {address} leaves no file behind");
        }
    }
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    const MESSAGES: u32 = 10_000;
    for format in ["text", "json"] {
        let (unread, stderr) = pipe().unwrap();
        let arguments = ["echo", "--tcp", "127.0.0.1:0", "-v", "--log", format];
        let mut program = command(&[] as &[&str], &arguments);
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let server = Program::start_as_is(program);
        server.stdout.line_with("127.0.0.1:");
        let mut client = connect(&server.tcp());
        // A line each: many times what a pipe holds.
        for number in 0..MESSAGES {
            echo(&mut client, &number.to_ne_bytes());
        }
        drop(client);
        server.stop().expect_code(0);
        drop(unread);
    }
}

#[test]
fn statistics_that_nobody_reads_hold_nobody_up() {
    let (unread, stdout) = pipe().unwrap();
    let scratch = Scratch::new();
    let path = scratch.file("unread");
    let mut program = command(&[] as &[&str], &["echo", "--unix", &path, "--log", "json"]);
    program.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    let mut server = Program::start_as_is(program);
    server.until_it_serves(&path);
    let mut client = connect_unix(&path);
    // Some hundred bytes each: many times what a pipe holds.
    for _ in 0..20 {
        server.signals("for i in $(seq 50); do kill -s USR1 $0; done");
        echo(&mut client, b"still here");
    }
    server.signal("TERM");
    expect_end(&mut client);
    server.end().expect_code(0);
    drop(unread);
}

#[test]
fn probing_a_full_queue_waits_for_nobody() {
    let scratch = Scratch::new();
    let path = scratch.file("full");
    let listener = UnixListener::bind(&path).unwrap();
    let (queued, errno) = fill(&path);
    assert_eq!(errno, Errno::EAGAIN, "its queue is full");
    let ending = Program::run(&["echo", "--check", &format!("unix:{path}")]);
    ending.expect_code(1);
    ending.one_complaint();
    drop((queued, listener));
}

#[test]
fn a_path_whose_queue_is_full_is_in_use() {
    let scratch = Scratch::new();
    let path = scratch.file("busy");
    let listener = UnixListener::bind(&path).unwrap();
    let (queued, errno) = fill(&path);
    assert_eq!(errno, Errno::EAGAIN, "its queue is full");
    let ending = Program::run(&["echo", "--unix", &path]);
    ending.expect_code(69);
    assert!(ending.one_complaint().contains(&path));
    assert!(fs::symlink_metadata(&path).is_ok(), "law: who is alive keeps its path");
    drop((queued, listener));
}

/// Connections until the listener at `path` takes no more, and why it does not.
fn fill(path: &str) -> (Vec<std::os::fd::OwnedFd>, Errno) {
    let addr: Addr = format!("unix:{path}").parse().unwrap();
    let mut queued = Vec::new();
    loop {
        let socket: Fd = Linux.socket(Family::Unix, Kind::Stream).unwrap();
        let connected = Linux.connect(&socket, &addr);
        queued.push(socket.into());
        if let Err(errno) = connected {
            return (queued, errno);
        }
    }
}
