//! The tables of `docs/reliability.md` on the real program: strace(1) makes one call of a running
//! server fail once, the first of its kind, then the second, … until a run that no fault reached.
//! What happens must be what the page says; and afterwards the server rests, and leaks nothing.
//!
//! strace does not make the call that it fails. So a `close` that fails leaves the descriptor open,
//! which Linux does not: of that row is shown that the call is not repeated.
//!
//! `make test` tries one errno of each row, all of them with `TORTURE` set, as `make torture` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use epollite::kernel::Syscall;

use crate::support::client::{connect, uninterrupted};
use crate::support::procfs::{descriptors, state};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::until;

/// What a fault leads to, as the page says it.
const UNNOTICED: &str = "no client notices";
const DELAYED: &str = "accepting pauses and goes on, no client loses a byte";
const DATAGRAM_LOST: &str = "that datagram is lost, the others are answered";
const CLOSED: &str = "that connection closes, the others are served";
const NOT_STARTED: &str = "the server does not start, with this error";

const MESSAGE: &[u8] = b"what a client sends";

/// More calls of one kind than a run makes.
const CALLS_MAX: usize = 200;

/// Runs at the same time in one test: they mostly wait for each other's tracers.
const WORKERS: usize = 4;

/// By call and errno: what may happen.
type Rows = BTreeMap<(&'static str, String), Vec<String>>;

/// What is served, and how.
#[derive(Clone, Copy)]
enum Served {
    /// With these options.
    Stream(&'static [&'static str]),
    Datagrams,
}

/// One fault.
struct Fault<'a> {
    call: &'static str,
    errno: &'a str,
    nth: usize,
}

/// When a fault was met.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    Never,
    Starting,
    Serving,
    Stopping,
}

/// A server under strace, and the file with its calls.
struct Traced {
    program: Program,
    scratch: Scratch,
}

fn is_torture() -> bool {
    std::env::var_os("TORTURE").is_some()
}

/// Whether processes can be traced here.
fn can_trace() -> bool {
    let is_permitted = tool("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let can = is_permitted.is_ok_and(|status| status.success());
    if !can {
        println!("skipped: ptrace(2) is not permitted here");
    }
    can
}

/// The rows of the table of this name: of each the first errno, or all.
fn table(mark: &str) -> Rows {
    let page = fs::read_to_string("docs/reliability.md").expect("the page");
    let (_, rest) = page.split_once(&format!("<!-- {mark} -->")).expect("the page has the mark");
    let (table, _) = rest.split_once(&format!("<!-- end of {mark} -->")).expect("and its end");
    let mut rows = Rows::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [call, errnos, effects] = cells[..] else { panic!("three cells: {row}") };
        let effects: Vec<String> = effects.split(" - or ").map(str::to_owned).collect();
        let errnos = errnos.split(", ").take(if is_torture() { usize::MAX } else { 1 });
        for errno in errnos {
            rows.insert((kernel_name(call.trim_matches('`')), errno.to_owned()), effects.clone());
        }
    }
    assert!(!rows.is_empty(), "the page has rows of {mark}");
    rows
}

/// The calls of the rule "at the start", and others that have no row: the simulated server starts
/// with a bound socket.
fn without_rows(calls: &[(Syscall, &str)]) -> Rows {
    let mut rows = Rows::new();
    for (call, effect) in calls {
        let errnos = call.errnos().iter().take(if is_torture() { usize::MAX } else { 1 });
        for errno in errnos {
            let name = errno.name().expect("an errno of a call has a name").to_owned();
            rows.insert((call.syscall_name(), name), vec![(*effect).to_owned()]);
        }
    }
    rows
}

fn kernel_name(call: &str) -> &'static str {
    let known = Syscall::ALL.into_iter().find(|known| known.name() == call);
    known.expect("the page names calls of the kernel trait").syscall_name()
}

/// Tries every row, several at a time.
fn check(served: Served, rows: &Rows) {
    if !can_trace() {
        return;
    }
    let queue = Mutex::new(rows.iter());
    let runs = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no worker panics with it").next();
                    let Some(((call, errno), expected)) = next else { break };
                    let made = check_row(served, call, errno, expected);
                    *runs.lock().expect("no worker panics with it") += made;
                }
            });
        }
    });
    println!("{} rows, {} runs", rows.len(), runs.into_inner().expect("no worker panicked"));
}

/// Fails each call of a kind; returns how many runs that were.
fn check_row(served: Served, call: &'static str, errno: &str, expected: &[String]) -> usize {
    let mut seen = BTreeSet::new();
    for nth in 1..CALLS_MAX {
        let fault = Fault { call, errno, nth };
        let (effect, met) = match served {
            Served::Stream(options) => stream(&fault, options),
            Served::Datagrams => datagrams(&fault),
        };
        let what = format!("{call} number {nth} fails with {errno}");
        if met == Met::Never {
            assert_eq!(effect, UNNOTICED, "without a fault: {what}");
            assert!(nth > 1, "invariant: a row of the page is reached: {call} {errno}");
            return nth;
        }
        // The page is about servers that serve: none is stopped there.
        let is_expected =
            expected.iter().any(|it| it == effect) || (met == Met::Stopping && effect == UNNOTICED);
        assert!(is_expected, "{what}: {effect}; the page says {expected:?}");
        seen.insert(effect);
    }
    panic!("invariant: there are not so many calls of {call} in a run; seen {seen:?}");
}

impl Traced {
    /// Starts the server. An error is its end, with one line and the errno; or that of the dynamic
    /// loader, which the program does not see.
    fn start(fault: &Fault<'_>, arguments: &[&str]) -> Result<Self, (&'static str, Met)> {
        let scratch = Scratch::new();
        let Fault { call, errno, nth } = fault;
        let inject = format!("inject={call}:error={errno}:when={nth}");
        // The waits too: whether it rests shows there.
        let trace = format!("trace={call},epoll_wait,epoll_pwait2");
        let log = scratch.file("trace");
        let strace = ["strace", "-f", "-D", "-qq", "-o", &log, "-e", &trace, "-e", &inject];
        let wrapper = [&["env", "ASAN_OPTIONS=detect_leaks=0"][..], &strace].concat();
        let echo = [&["echo", "--drain-timeout", "10s"], arguments].concat();
        let mut program = Program::start_under(&wrapper, &echo);
        until("it to serve or to exit", || {
            program.stdout.count_with("listening") > 0 || program.ended().is_some()
        });
        if program.ended().is_none() {
            return Ok(Self { program, scratch });
        }
        let output = program.end();
        if output.code() == Some(127) && output.stderr.contains("loading shared libraries") {
            return Err((UNNOTICED, Met::Stopping));
        }
        assert!([Some(1), Some(69)].contains(&output.code()), "{call} {errno}: {output:?}");
        let line = output.single_error_line();
        assert!(line.contains(errno), "invariant: {call} {errno} is named; got {line}");
        let name = Syscall::ALL.into_iter().find(|known| known.syscall_name() == *call);
        let name = name.expect("a call of the kernel trait").name();
        assert!(line.contains(name), "invariant: the call that failed is named: {call}: {line}");
        let met = if is_met(&scratch) { Met::Starting } else { Met::Never };
        Err((NOT_STARTED, met))
    }

    fn log(&self) -> String {
        log(&self.scratch)
    }

    /// Whether it sleeps, and has made no call for a moment. It is woken as soon as something
    /// arrives, so there is nothing that it is still to do.
    fn is_at_rest(&self) -> bool {
        let before = self.log().len();
        let sleeps = || state(self.program.pid()) == 'S';
        sleeps() && {
            thread::sleep(Duration::from_millis(5));
            sleeps() && self.log().len() == before
        }
    }

    /// Waits until it rests, and checks that nothing is open but what was, and `more`.
    fn rests(&self, fault: &Fault<'_>, before: usize, more: usize) {
        until("the server to rest (busy loop?)", || self.is_at_rest());
        // What strace does not close is no leak of the server.
        if fault.call != "close" {
            let what = format!("descriptors as before {} {}", fault.call, fault.errno);
            until(&what, || descriptors(self.program.pid()) <= before + more);
        }
    }

    /// Waits until it has stopped, after SIGTERM; returns when the fault was met.
    fn end(mut self, fault: &Fault<'_>, was_met: bool) -> Met {
        self.program.end().expect_code(0);
        if fault.call == "close" {
            closes_once(&self.log());
        }
        match (was_met, is_met(&self.scratch)) {
            (true, _) => Met::Serving,
            (false, true) => Met::Stopping,
            (false, false) => Met::Never,
        }
    }
}

fn log(scratch: &Scratch) -> String {
    fs::read_to_string(scratch.file("trace")).unwrap_or_default()
}

fn is_met(scratch: &Scratch) -> bool {
    log(scratch).contains("(INJECTED)")
}

/// The descriptor whose close failed is not closed again: another file could have its number.
fn closes_once(log: &str) {
    let mut lines = log.lines().filter_map(|line| Some(line.split_once(" close(")?.1));
    let Some(failed) = lines.find(|line| line.contains("(INJECTED)")) else { return };
    let (fd, _) = failed.split_once(')').expect("strace prints the argument");
    let again = lines.find(|line| line.split_once(')').is_some_and(|(other, _)| other == fd));
    assert_eq!(again, None, "invariant: close is never repeated");
}

/// Three clients, one after the other, the last of which is there when the server is stopped.
fn stream(fault: &Fault<'_>, options: &[&str]) -> (&'static str, Met) {
    let arguments = [&["--tcp", "127.0.0.1:0"], options].concat();
    let server = match Traced::start(fault, &arguments) {
        Ok(server) => server,
        Err(ended) => return ended,
    };
    // A pipe is kept to be used again.
    let kept = if options.contains(&"splice") { 2 } else { 0 };
    let (address, before) = (server.program.tcp(), descriptors(server.program.pid()) + kept);
    let mut served = 0;
    for _ in 0..2 {
        let mut client = connect(&address);
        // A descriptor that strace does not close sends no end.
        let is_ended = |client: &mut _| fault.call == "close" || half_close_and_end(client);
        served += usize::from(echoes(&mut client) && is_ended(&mut client));
    }
    server.rests(fault, before, 0);
    let mut last = connect(&address);
    let is_echoed = echoes(&mut last);
    server.rests(fault, before, usize::from(is_echoed));
    let is_paused = server.program.stderr.count_with("accept paused") > 0;
    let was_met = is_met(&server.scratch);
    server.program.signal("TERM");
    let is_served = is_echoed && (fault.call == "close" || is_end(&mut last));
    drop(last);
    served += usize::from(is_served);
    let met = server.end(fault, was_met);
    let effect = match served {
        3 if is_paused => DELAYED,
        3 => UNNOTICED,
        2 => CLOSED,
        _ => panic!("invariant: {} {} costs one connection", fault.call, fault.errno),
    };
    (effect, met)
}

fn echoes(client: &mut TcpStream) -> bool {
    let mut back = [0; MESSAGE.len()];
    let is_whole = client.write_all(MESSAGE).and_then(|()| client.read_exact(&mut back)).is_ok();
    assert!(!is_whole || back == MESSAGE, "invariant: output equals input");
    is_whole
}

fn half_close_and_end(client: &mut TcpStream) -> bool {
    client.shutdown(Shutdown::Write).is_ok() && is_end(client)
}

fn is_end(client: &mut TcpStream) -> bool {
    matches!(uninterrupted(|| client.read(&mut [0; 16])), Ok(0))
}

/// Two clients with three datagrams each.
fn datagrams(fault: &Fault<'_>) -> (&'static str, Met) {
    let server = match Traced::start(fault, &["--udp", "127.0.0.1:0"]) {
        Ok(server) => server,
        Err(ended) => return ended,
    };
    let (address, before) = (server.program.udp(), descriptors(server.program.pid()));
    let clients = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    let mut answered = 0;
    for nth in 0..3_u8 {
        for client in &clients {
            client.set_nonblocking(true).expect("fcntl");
            client.send_to(&[nth], &address).expect("the datagram is sent");
            let mut back = [0; 16];
            // Lost is what has not come when the server rests again.
            until("an echo, or the server to rest", || {
                let is_at_rest = server.is_at_rest();
                let received = client.recv(&mut back);
                let is_right = received.as_ref().is_ok_and(|&count| back[..count] == [nth]);
                assert!(is_right || received.is_err(), "invariant: output equals input");
                answered += usize::from(is_right);
                is_right || is_at_rest
            });
        }
    }
    server.rests(fault, before, 0);
    let was_met = is_met(&server.scratch);
    server.program.signal("TERM");
    let met = server.end(fault, was_met);
    let effect = match 6 - answered {
        0 => UNNOTICED,
        1 => DATAGRAM_LOST,
        lost => panic!("invariant: {} {} costs one datagram, not {lost}", fault.call, fault.errno),
    };
    (effect, met)
}

/// The rows of edge-triggered streams, with those that differ.
fn rows(mark: &str) -> Rows {
    let mut rows = if is_torture() { table("streams, edge-triggered") } else { Rows::new() };
    rows.extend(table(mark));
    rows
}

#[test]
fn edge_triggered_streams_do_what_the_page_says() {
    check(Served::Stream(&["--trigger", "edge"]), &table("streams, edge-triggered"));
}

#[test]
fn level_triggered_streams_do_what_the_page_says() {
    check(Served::Stream(&["--trigger", "level"]), &rows("streams, level-triggered"));
}

#[test]
fn oneshot_streams_do_what_the_page_says() {
    check(Served::Stream(&["--trigger", "oneshot"]), &rows("streams, one-shot"));
}

/// Only what differs: it makes no `send`. Not its `fcntl`: strace cannot tell the size of a pipe
/// from a duplicate of a descriptor.
#[test]
fn spliced_streams_do_what_the_page_says() {
    let mut rows = table("streams, spliced");
    rows.retain(|(call, _), _| *call != Syscall::FcntlSetpipeSz.syscall_name());
    check(Served::Stream(&["--bulk", "splice"]), &rows);
}

#[test]
fn streams_with_an_idle_timeout_do_what_the_page_says() {
    check(Served::Stream(&["--idle-timeout", "1h"]), &rows("streams, idle timeout"));
}

#[test]
fn datagrams_do_what_the_page_says() {
    check(Served::Datagrams, &table("datagrams"));
}

#[test]
fn a_server_that_cannot_start_says_so_in_one_line() {
    let at_the_start = [
        (Syscall::Socket, NOT_STARTED),
        (Syscall::Setsockopt, NOT_STARTED),
        (Syscall::Bind, NOT_STARTED),
        (Syscall::Listen, NOT_STARTED),
        // Also by the server, after the socket has been bound.
        (Syscall::Getsockname, NOT_STARTED),
        (Syscall::Eventfd, NOT_STARTED),
        (Syscall::Signalfd, NOT_STARTED),
        (Syscall::Shutdown, UNNOTICED),
    ];
    check(Served::Stream(&[]), &without_rows(&at_the_start));
    let of_datagrams = [
        Syscall::Socket,
        Syscall::Setsockopt,
        Syscall::Bind,
        Syscall::Getsockname,
        Syscall::Eventfd,
    ];
    check(Served::Datagrams, &without_rows(&of_datagrams.map(|call| (call, NOT_STARTED))));
}
