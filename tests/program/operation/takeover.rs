//! A second server takes the sockets of the first one over, while clients connect all the time.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Instant;

use crate::support::TRIGGERS;
use crate::support::client::{
    Duplex, connect, connect_unix, echo, expect_end, is_served, uninterrupted, until_refused,
};
use crate::support::procfs::we_are_root;
use crate::support::program::{PROGRAM, Program};
use crate::support::scratch::Scratch;
use crate::support::tool::{python, tool};
use crate::support::wait::{TIMEOUT, eventually, until};

/// Rounds of the test with clients, unless the time is over before.
const ROUNDS_MAX: u32 = 300;
/// Rounds that even the slowest machine makes.
const ROUNDS_MIN: u32 = 20;
/// Rounds with `TORTURE` in the environment.
const ROUNDS_TORTURE: u32 = 1000;
const ROUNDS_TIME: Duration = Duration::from_secs(20);

/// Starts a successor and waits until it listens.
fn successor(arguments: &[&str]) -> Program {
    Program::serving(arguments)
}

/// A predecessor whose connections have ended, ends.
#[track_caller]
fn ends(mut server: Program) {
    let ending = server.end();
    ending.expect_code(0);
    assert!(ending.stderr.contains("handed over to another server"), "{}", ending.stderr);
}

/// One conversation: every byte comes back, then a clean end.
fn converse(mut stream: impl Duplex, bytes: &[u8]) {
    echo(&mut stream, bytes);
    stream.half_close();
    expect_end(&mut stream);
}

/// Clients that connect again and again until they are stopped. A refusal, a reset or a missing
/// byte is a panic.
struct Clients {
    is_over: AtomicBool,
    conversations: AtomicU64,
}

impl Clients {
    fn repeat(&self, converse: impl Fn()) {
        while !self.is_over.load(Ordering::Relaxed) {
            converse();
            self.conversations.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes many takeovers, and stops the clients.
    fn take_over_often(&self, first: Program, arguments: &[&str]) -> (Program, u32) {
        /// Stops them also when this thread panics: the scope waits for them.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&self.is_over);
        let (mut server, start, mut rounds) = (first, Instant::now(), 0);
        let least = if std::env::var_os("TORTURE").is_some() { ROUNDS_TORTURE } else { ROUNDS_MIN };
        while rounds < least || (rounds < ROUNDS_MAX && start.elapsed() < ROUNDS_TIME) {
            let next = successor(arguments);
            ends(server);
            server = next;
            rounds += 1;
        }
        (server, rounds)
    }
}

fn nothing_is_lost(options: &[&str]) {
    let scratch = Scratch::new();
    let (path, control) = (scratch.file("echo"), scratch.file("control"));
    let mut arguments = vec!["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", &path];
    arguments.extend(["--takeover", &control]);
    arguments.extend(options);
    let first = Program::serving(&arguments);
    let (tcp, udp) = (first.tcp(), first.udp());
    let clients = Clients { is_over: AtomicBool::new(false), conversations: AtomicU64::new(0) };
    let (last, rounds) = thread::scope(|scope| {
        for size in [1, 10_000] {
            let (clients, tcp) = (&clients, &tcp);
            scope.spawn(move || clients.repeat(|| converse(connect(tcp), &vec![b'x'; size])));
        }
        scope.spawn(|| clients.repeat(|| converse(connect_unix(&path), b"over a Unix socket")));
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(&udp).unwrap();
            socket.set_read_timeout(Some(TIMEOUT)).unwrap();
            clients.repeat(|| {
                socket.send(b"datagram").expect("invariant: the socket stays open");
                let len = uninterrupted(|| socket.recv(&mut [0; 16]));
                assert_eq!(len.expect("invariant: each datagram is answered"), 8);
            });
        });
        clients.take_over_often(first, &arguments)
    });
    let conversations = clients.conversations.load(Ordering::Relaxed);
    println!("{options:?}: {rounds} rounds, {conversations} conversations");
    assert!(conversations > u64::from(rounds), "clients were served all the time");
    last.stop().expect_code(0);
    assert!(!std::fs::exists(&path).unwrap(), "invariant: the last one removes the file");
    assert!(!std::fs::exists(&control).unwrap(), "invariant: and that of the control socket");
    until_refused(&tcp);
}

#[test]
fn many_takeovers_lose_no_connection_and_no_byte() {
    nothing_is_lost(&[]);
}

#[test]
fn many_takeovers_of_threads_lose_no_connection_and_no_byte() {
    nothing_is_lost(&["--threads", "2", "--trigger", "level"]);
}

#[test]
fn many_takeovers_of_shared_listeners_lose_no_connection_and_no_byte() {
    nothing_is_lost(&["--threads", "2", "--max-connections", "8"]);
}

#[test]
fn connections_in_the_accept_queue_are_served() {
    let scratch = Scratch::new();
    let control = scratch.file("control");
    let arguments = ["--tcp", "127.0.0.1:0", "--takeover", &control, "--max-connections", "1"];
    let first = Program::serving(&arguments);
    let address = first.tcp();
    let mut served = connect(&address);
    echo(&mut served, b"the only place is taken");
    let mut queued: Vec<TcpStream> = (0..10).map(|_| connect(&address)).collect();
    queued.iter_mut().for_each(|client| client.write_all(b"queued").unwrap());
    let second = successor(&["--takeover", &control]);
    for mut client in queued {
        let mut back = [0; 6];
        client.read_exact(&mut back).expect("invariant: a queued connection is not lost");
        converse(client, b"and after that");
    }
    echo(&mut served, b"still served");
    drop(served);
    ends(first);
    second.stop().expect_code(0);
}

#[test]
fn connections_stay_with_the_predecessor_until_they_end() {
    for trigger in TRIGGERS {
        let name = format!("@epollite-takeover-{}-{trigger}", std::process::id());
        let arguments = ["--tcp", "127.0.0.1:0", "--trigger", trigger, "--takeover", &name];
        let first = Program::serving(&[&arguments[..], &["--log-format", "json"]].concat());
        let address = first.tcp();
        let mut old = connect(&address);
        echo(&mut old, b"before");
        let second = successor(&["--takeover", &name, "--log-format", "json"]);
        assert_eq!(second.tcp(), address, "the address is that of the first one");
        first.stderr.line_with("\"event\":\"handed_over\"");
        echo(&mut old, b"after");
        is_served(&address);
        assert_eq!(second.statistics().number("connections.accepted"), 1, "{trigger}");
        assert_eq!(first.statistics().number("connections.open"), 1, "{trigger}");
        drop(old);
        let mut first = first;
        first.end().expect_code(0);
        is_served(&address);
        second.stop().expect_code(0);
    }
}

#[test]
fn connections_that_do_not_end_are_closed_after_the_drain_timeout() {
    let scratch = Scratch::new();
    let control = scratch.file("control");
    let arguments = ["--tcp", "127.0.0.1:0", "--takeover", &control];
    let first = Program::serving(&[&arguments[..], &["--drain-timeout", "200ms"]].concat());
    let mut idle = connect(&first.tcp());
    echo(&mut idle, b"then nothing");
    let second = successor(&arguments);
    expect_end(&mut idle);
    ends(first);
    second.stop().expect_code(0);
}

#[test]
fn a_successor_that_ends_before_it_is_ready_changes_nothing() {
    let scratch = Scratch::new();
    let (path, control) = (scratch.file("echo"), scratch.file("control"));
    let arguments = ["--unix", &path, "--takeover", &control];
    let first = Program::serving(&arguments);
    let mut client = UnixStream::connect(&control).unwrap();
    client.read_exact(&mut [0; 16]).expect("the sockets are sent");
    // Only one at a time.
    let mut second = Program::start(&[&["echo"], &arguments[..]].concat());
    let line = second.end();
    let line = line.expect_code(69).single_error_line();
    assert!(line.contains(": it refused: it is shutting down, or another takeover"), "{line}");
    drop(client);
    first.stderr.line_with("takeover abandoned: the successor has ended");
    echo(&mut connect_unix(&path), b"served as before");
    let third = successor(&arguments);
    ends(first);
    echo(&mut connect_unix(&path), b"taken over");
    third.stop().expect_code(0);
}

/// The calls of a successor, until it tells that it serves: how often each was made.
fn calls_until_ready(arguments: &[&str], scratch: &Scratch) -> Vec<(String, usize)> {
    let log = scratch.file("calls");
    let strace = ["strace", "-f", "-qq", "-o", &log];
    let traced = Program::serving_under(&strace, arguments);
    let next = successor(arguments);
    ends(traced);
    next.stop().expect_code(0);
    let text = std::fs::read_to_string(&log).unwrap();
    let mut counts: Vec<(String, usize)> = Vec::new();
    // Each line begins with a process ID, and a call follows.
    let calls = text.lines().filter_map(|line| line.split_once(' ')?.1.trim().split_once('('));
    let mut is_taking = false;
    for (call, rest) in calls {
        is_taking |= call == "recvmsg";
        match counts.iter_mut().find(|(name, _)| name == call) {
            Some((_, count)) => *count += 1,
            None => counts.push((call.to_owned(), 1)),
        }
        if is_taking && call == "sendto" && rest.contains("\"R\"") {
            return counts;
        }
    }
    panic!("invariant: a successor tells that it serves; got\n{text}");
}

/// A successor is killed at each of its calls, and clients do not notice.
#[test]
fn a_successor_that_dies_at_any_step_changes_nothing() {
    drop(tool("strace"));
    let scratch = Scratch::new();
    let (path, control) = (scratch.file("echo"), scratch.file("control"));
    let arguments = [
        &["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", &path][..],
        &["--metrics", "127.0.0.1:0", "--takeover", &control],
    ]
    .concat();
    let first = Program::serving(&arguments);
    let (tcp, mut old) = (first.tcp(), connect(&first.tcp()));
    let counts = calls_until_ready(&arguments, &scratch);
    // The one that was counted has ended with its successor.
    ends(first);
    let first = Program::serving(&[&["--tcp", &tcp][..], &arguments[2..]].concat());
    drop(old);
    old = connect(&tcp);
    let clients = Clients { is_over: AtomicBool::new(false), conversations: AtomicU64::new(0) };
    let steps = ["recvmsg", "getsockopt", "dup", "fcntl", "epoll_ctl", "signalfd4", "sendto"];
    let killed = thread::scope(|scope| {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        scope.spawn(|| clients.repeat(|| converse(connect(&tcp), b"all the time")));
        scope.spawn(|| clients.repeat(|| converse(connect_unix(&path), b"over a Unix socket")));
        let _stop = Stop(&clients.is_over);
        let mut killed = 0;
        for (call, count) in counts.iter().filter(|(call, _)| steps.contains(&call.as_str())) {
            for number in 1..=*count {
                let trace = format!("trace={call}");
                let inject = format!("inject={call}:signal=KILL:when={number}");
                let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e"];
                let strace = [&strace[..], &[inject.as_str()]].concat();
                let arguments = [&["echo"], &arguments[..]].concat();
                let ending = Program::start_under(&strace, &arguments).end();
                assert_eq!(ending.stdout, "", "{call} {number}: it was not ready");
                assert_eq!(ending.code(), None, "{call} {number}: {ending:?}");
                converse(connect(&tcp), b"served");
                killed += 1;
            }
        }
        killed
    });
    assert!(killed >= 20, "there are that many steps at least; got {counts:?}");
    echo(&mut old, b"served all the time");
    drop(old);
    let last = successor(&arguments);
    ends(first);
    converse(connect_unix(&path), b"taken over");
    last.stop().expect_code(0);
}

/// What the successor has not served, it must not remove either.
#[test]
fn a_successor_that_fails_leaves_the_files_of_its_predecessor() {
    let scratch = Scratch::new();
    let (path, control) = (scratch.file("echo"), scratch.file("control"));
    let arguments = ["--unix", &path, "--takeover", &control];
    let first = Program::serving(&arguments);
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=signalfd4", "-e"];
    let strace = [&strace[..], &["inject=signalfd4:error=EMFILE"]].concat();
    let ending = Program::start_under(&strace, &[&["echo"], &arguments[..]].concat()).end();
    assert!(ending.stderr.contains("signalfd: EMFILE"), "{ending:?}");
    first.stderr.line_with("takeover abandoned: the successor has ended");
    assert!(std::fs::exists(&control).unwrap(), "invariant: the control socket stays");
    echo(&mut connect_unix(&path), b"served as before");
    let second = successor(&arguments);
    ends(first);
    echo(&mut connect_unix(&path), b"taken over");
    second.stop().expect_code(0);
    assert!(!std::fs::exists(&path).unwrap(), "invariant: the last one removes the file");
}

/// The other way round: a predecessor that is stopped while its successor sets itself up.
#[test]
fn a_predecessor_that_is_stopped_leaves_the_files_to_its_successor() {
    let scratch = Scratch::new();
    let (path, control) = (scratch.file("echo"), scratch.file("control"));
    let arguments = ["--unix", &path, "--takeover", &control];
    let first = Program::serving(&arguments);
    let mut successor = UnixStream::connect(&control).unwrap();
    successor.read_exact(&mut [0; 16]).expect("the sockets are sent");
    first.stop().expect_code(0);
    for file in [&path, &control] {
        assert!(std::fs::exists(file).unwrap(), "invariant: {file} is the successor's");
    }
    // One that ended, too, leaves files as a server that was killed does.
    drop(successor);
    let next = Program::serving(&arguments);
    echo(&mut connect_unix(&path), b"served");
    next.stop().expect_code(0);
    assert!(!std::fs::exists(&path).unwrap(), "invariant: the last one removes the file");
}

/// Nor does a successor remove what its predecessor goes on with, when it ends before the answer.
#[test]
fn a_successor_that_is_stopped_before_the_answer_leaves_the_files() {
    let scratch = Scratch::new();
    let (path, control) = (scratch.file("echo"), scratch.file("control"));
    let other = python("false_predecessor.py", &[&control, &path]);
    other.stdout.line_with("ready");
    let server = Program::serving(&["--takeover", &control]);
    server.stop().expect_code(0);
    for file in [&path, &control] {
        assert!(std::fs::exists(file).unwrap(), "invariant: {file} is the predecessor's");
    }
    // One whose predecessor has ended instead has the files.
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(&control).unwrap();
    let other = python("false_predecessor.py", &[&control, &path]);
    other.stdout.line_with("ready");
    let server = Program::serving(&["--takeover", &control]);
    drop(other);
    server.stderr.line_with("taken over without an answer: it has ended");
    server.stop().expect_code(0);
    for file in [&path, &control] {
        assert!(!std::fs::exists(file).unwrap(), "invariant: {file} was the successor's");
    }
}

#[test]
fn another_program_at_the_path_is_one_clear_line() {
    let scratch = Scratch::new();
    let control = scratch.file("control");
    let other = UnixListener::bind(&control).unwrap();
    for (answer, expected) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], "it is no epollite of this version"),
        (b"", "it refused"),
        (b"epoltko1\x01\0\x01\0\0\0\0\0\0\0\0\0", "descriptors are missing"),
        (b"epoltko1\0\0\0\0\0\0\0\0\0\0\0\0", "it is no epollite of this version"),
    ] {
        let mut server = Program::start(&["echo", "--takeover", &control]);
        let (mut stream, _) = other.accept().unwrap();
        stream.write_all(answer).unwrap();
        drop(stream);
        let ending = server.end();
        let line = ending.expect_code(69).single_error_line();
        assert!(line.contains(&format!("--takeover unix:{control}: {expected}")), "{line}");
    }
    drop(other);
    std::fs::remove_file(&control).unwrap();
    std::fs::write(&control, "a file").unwrap();
    let ending = Program::run(&["echo", "--tcp", "127.0.0.1:0", "--takeover", &control]);
    let line = ending.expect_code(69).single_error_line();
    assert!(line.contains("the file exists and is not a socket"), "{line}");
}

/// Needs root, to be another user.
#[test]
fn another_user_gets_no_sockets() {
    if !we_are_root() {
        eprintln!("not root: there is no other user to be");
        return;
    }
    drop(tool("setpriv"));
    // An abstract name has no permissions; the program must be executable for the other user.
    let name = format!("@epollite-user-{}", std::process::id());
    let copy = std::env::temp_dir().join(format!("epollite-user-{}", std::process::id()));
    std::fs::copy(PROGRAM, &copy).unwrap();
    let first = Program::serving(&["--tcp", "127.0.0.1:0", "--takeover", &name]);
    let mut other = tool("setpriv");
    other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    other.arg(&copy).args(["echo", "--tcp", "127.0.0.1:0", "--takeover", &name]);
    let ending = Program::start_piped(other).end();
    let line = ending.expect_code(69).single_error_line();
    assert!(line.contains(": it refused: "), "{line}");
    first.stderr.line_with("takeover refused: the other process is of user 65534, not of 0");

    // Nor does a program that does not check the user of the server.
    let mut other = tool("setpriv");
    other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    other.arg(&copy).args(["nc", "-NU", &name]);
    let ending = Program::start_piped(other).end();
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(ending.stdout, "", "invariant: not even a byte");
    until("the second refusal", || first.stderr.count_with("takeover refused: ") == 2);
    is_served(&first.tcp());
    first.stop().expect_code(0);
}

#[test]
fn a_server_that_is_shutting_down_is_replaced() {
    let scratch = Scratch::new();
    let control = scratch.file("control");
    let arguments = ["--tcp", "127.0.0.1:0", "--takeover", &control];
    let first = Program::serving(&[&arguments[..], &["--drain-timeout", "1h"]].concat());
    let address = first.tcp();
    let mut open = connect(&address);
    echo(&mut open, b"here");
    first.signal("STOP");
    first.signal("TERM");
    // The control socket is there, but without an answer; then it ends.
    let mut second = Program::start(&[&["echo"], &arguments[..]].concat());
    first.signal("CONT");
    let ended = eventually("the second server to serve or to fail", || {
        let serves = second.stdout.count_with("listening on ") > 0;
        second.ended().map(|_| false).or(serves.then_some(true))
    });
    if ended {
        second.stop().expect_code(0);
    } else {
        let line = second.end();
        line.expect_code(69).single_error_line();
    }
    drop(open);
    let mut first = first;
    first.end().expect_code(0);
}

#[test]
fn a_takeover_with_other_sockets_or_models_is_rejected() {
    for (arguments, expected) in [
        (&["--takeover", "@x", "--model", "poll"][..], "does not support --takeover"),
        (&["--takeover", "@x", "--listen-fds"], "--takeover and --listen-fds at once"),
        (&["--takeover", ""], "--takeover: ''"),
        (&["--takeover"], "--takeover needs a value"),
        (&["--listen-fds="], "--listen-fds: the name is empty, or not text"),
    ] {
        let ending = Program::run(&[&["echo"], arguments].concat());
        let line = ending.expect_code(2).single_error_line();
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn descriptors_do_not_grow_with_takeovers() {
    let scratch = Scratch::new();
    let control = scratch.file("control");
    let arguments = ["--tcp", "127.0.0.1:0", "--takeover", &control, "--threads", "2"];
    let mut server = Program::serving(&arguments);
    let count = |server: &Program| crate::support::procfs::descriptors(server.pid());
    let mut counts = Vec::new();
    for _ in 0..3 {
        let next = successor(&arguments);
        ends(server);
        server = next;
        is_served(&server.tcp());
        counts.push(eventually("the client to be gone", || {
            let before = count(&server);
            until("no change", || true);
            (count(&server) == before).then_some(before)
        }));
    }
    assert!(counts.iter().max() <= counts.iter().min().map(|min| min + 1).as_ref(), "{counts:?}");
    server.stop().expect_code(0);
}
