//! Bugs found in review of the program, one test each.

use std::fs;
use std::io::{ErrorKind, pipe};
use std::net::UdpSocket;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use epollite::kernel::SocketType;
use epollite::net::AddressFamily;
use epollite::{Addr, Errno, Fd, Kernel, Linux};

use crate::support::TRIGGERS;
use crate::support::client::{connect, connect_unix, echo, expect_end, fill_buffers, read_to_end};
use crate::support::datagram::Datagrams;
use crate::support::program::{Program, command};
use crate::support::scratch::Scratch;
use crate::support::wait::until;

#[test]
fn two_datagram_sockets_of_one_server_do_not_answer_each_other() {
    for trigger in TRIGGERS {
        for threads in ["1", "3"] {
            let sockets = ["--udp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
            let how = ["--trigger", trigger, "--threads", threads, "--log-format", "json"];
            let server = Program::serving(&[&sockets[..], &how].concat());
            let [first, second] = server.addresses("udp").try_into().expect("there are two");
            // Any address with the second socket's port is treated as that socket, and answering it
            // starts no loop.
            let (_, port) = second.rsplit_once(':').unwrap();
            let same_port = UdpSocket::bind(format!("127.0.0.2:{port}")).unwrap();
            same_port.send_to(b"to and fro", &first).unwrap();
            until("the datagram to be refused", || {
                server.statistics().number("datagrams.refused") == 1
            });
            for address in [first, second] {
                Datagrams::to(&address).echo(b"ping");
            }
            let statistics = server.statistics();
            assert_eq!(statistics.number("datagrams.in"), 3);
            assert_eq!(statistics.number("datagrams.out"), 2, "invariant: no reply to itself");
            same_port.set_nonblocking(true).unwrap();
            let silence = same_port.recv(&mut [0; 16]).unwrap_err();
            assert_eq!(
                silence.kind(),
                ErrorKind::WouldBlock,
                "invariant: its own port gets no reply"
            );
            server.stop().expect_code(0);
        }
    }
}

#[test]
fn a_forged_datagram_starts_no_loop_between_two_sockets() {
    for trigger in TRIGGERS {
        let sockets = ["--udp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
        let how = ["--trigger", trigger, "--log-format", "json"];
        let server = Program::serving(&[&sockets[..], &how].concat());
        let [first, second] = server.addresses("udp").try_into().expect("there are two");
        let ending = crate::support::tool::python("spoof.py", &[&first, &second]).end();
        if ending.code() == Some(77) {
            assert!(
                !crate::support::procfs::we_are_root(),
                "invariant: root may forge source addresses; {ending:?}"
            );
            return;
        }
        ending.expect_code(0);
        until("the datagram to arrive", || server.statistics().number("datagrams.in") > 0);
        let statistics = server.statistics();
        assert_eq!(statistics.number("datagrams.in"), 1, "invariant: no reply, no loop");
        assert_eq!(statistics.number("datagrams.refused"), 1, "invariant: refused and counted");
        assert_eq!(statistics.number("datagrams.out"), 0, "invariant: no reply to itself");
    }
}

#[test]
fn a_late_exit_does_not_unlink_the_successors_path() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let old = [
            "--unix",
            &path,
            "--drain-timeout",
            "1h",
            "--trigger",
            trigger,
            "--log-format",
            "json",
        ];
        let mut old = Program::serving(&old);
        let mut stuck = connect_unix(&path);
        fill_buffers(&mut stuck, 64 << 20);
        assert!(old.statistics().number("bytes.in") > old.statistics().number("bytes.out"));
        old.signal("TERM");
        until("the old server's path to be removed", || fs::symlink_metadata(&path).is_err());

        let new = Program::serving(&["--unix", &path, "--trigger", trigger]);
        echo(&mut connect_unix(&path), b"to the new one");
        assert!(old.ended().is_none(), "invariant: a connection with unsent data is waited for");
        read_to_end(&mut stuck);
        drop(stuck);
        old.end().expect_code(0);

        echo(&mut connect_unix(&path), b"invariant: its path is still there");
        new.stop().expect_code(0);
        assert!(
            fs::symlink_metadata(&path).is_err(),
            "invariant: the socket file is removed on exit"
        );
    }
}

#[test]
fn max_connections_below_workers_is_an_error() {
    for (among, flag) in
        [(&["--threads", "4"][..], "--threads 4"), (&["--model", "prefork"], "--workers 4")]
    {
        let arguments = [&["echo", "--tcp", "127.0.0.1:0", "--max-connections", "1"], among];
        let ending = Program::run(&arguments.concat());
        ending.expect_code(2);
        let complaint = ending.single_error_line();
        for named in ["--max-connections 1", flag] {
            assert!(complaint.contains(named), "invariant: {named} is named; got {complaint:?}");
        }
        assert!(ending.stdout.is_empty(), "invariant: an error writes nothing to stdout");
    }
}

#[test]
fn as_many_connections_as_threads_are_served() {
    let limits = ["--max-connections", "2", "--threads", "2", "--log-format", "json"];
    let server = Program::serving(&[&["--tcp", "127.0.0.1:0"], &limits[..]].concat());
    echo(&mut connect(&server.tcp()), b"hello");
    server.stop().expect_code(0);
}

#[test]
fn tcp_and_udp_create_no_socket_files() {
    let scratch = Scratch::new();
    for transport in ["--tcp", "--udp"] {
        for address in ["unix:80", "unix:@80"] {
            // A directory of its own, to see which files are left in it.
            let mut program = command(&[] as &[&str], &["echo", transport, address]);
            program.current_dir(scratch.path());
            let ending = crate::support::process::Process::start(program).end();
            assert!(
                matches!(ending.code(), Some(2 | 69)),
                "invariant: {transport} {address} is no address; got {ending:?}"
            );
            ending.single_error_line();
            let remaining = fs::read_dir(scratch.path()).unwrap().count();
            assert_eq!(remaining, 0, "invariant: {transport} {address} leaves no file behind");
        }
    }
}

#[test]
fn a_blocked_log_reader_does_not_block_the_server() {
    const MESSAGES: u32 = 10_000;
    for format in ["text", "json"] {
        let (unread, stderr) = pipe().unwrap();
        let arguments = ["echo", "--tcp", "127.0.0.1:0", "-v", "--log-format", format];
        let mut program = command(&[] as &[&str], &arguments);
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let server = Program::start_as_is(program);
        server.stdout.line_with("127.0.0.1:");
        let mut client = connect(&server.tcp());
        // One line each: many times the size of a pipe.
        for number in 0..MESSAGES {
            echo(&mut client, &number.to_ne_bytes());
        }
        drop(client);
        server.stop().expect_code(0);
        drop(unread);
    }
}

#[test]
fn a_blocked_stdout_reader_does_not_block_statistics() {
    let (unread, stdout) = pipe().unwrap();
    let scratch = Scratch::new();
    let path = scratch.file("unread");
    let mut program = command(&[] as &[&str], &["echo", "--unix", &path, "--log-format", "json"]);
    program.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    let mut server = Program::start_as_is(program);
    server.until_it_serves(&path);
    let mut client = connect_unix(&path);
    // About a hundred bytes each: many times the size of a pipe.
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
fn check_does_not_block_on_a_full_backlog() {
    let scratch = Scratch::new();
    let path = scratch.file("full");
    let listener = UnixListener::bind(&path).unwrap();
    let (queued, errno) = fill(&path);
    assert_eq!(errno, Errno::EAGAIN, "its queue is full");
    let ending = Program::run(&["echo", "--check", &format!("unix:{path}")]);
    ending.expect_code(1);
    ending.single_error_line();
    drop((queued, listener));
}

#[test]
fn a_path_with_a_full_backlog_is_in_use() {
    let scratch = Scratch::new();
    let path = scratch.file("busy");
    let listener = UnixListener::bind(&path).unwrap();
    let (queued, errno) = fill(&path);
    assert_eq!(errno, Errno::EAGAIN, "its queue is full");
    let ending = Program::run(&["echo", "--unix", &path]);
    ending.expect_code(69);
    assert!(ending.single_error_line().contains(&path));
    assert!(fs::symlink_metadata(&path).is_ok(), "invariant: a running server keeps its path");
    drop((queued, listener));
}

/// Connections until the listener at `path` accepts no more, and the errno.
fn fill(path: &str) -> (Vec<std::os::fd::OwnedFd>, Errno) {
    let addr: Addr = format!("unix:{path}").parse().unwrap();
    let mut queued = Vec::new();
    loop {
        let socket: Fd = Linux.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
        let connected = Linux.connect(&socket, &addr);
        queued.push(socket.into());
        if let Err(errno) = connected {
            return (queued, errno);
        }
    }
}
