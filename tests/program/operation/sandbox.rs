//! `--sandbox`: the list of system calls is what the server makes, in every configuration.
//!
//! The server runs in its sandbox under strace(1): a call that is missing from the list kills it
//! here, and one that is never made fails this test. With `BLESS=1` it runs without the sandbox,
//! and the list is written.

use core::time::Duration;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;

use crate::support::TRIGGERS;
use crate::support::client::{
    Duplex, connect, connect_from, connect_unix, echo, exchange, expect_end, fill_buffers,
    is_served, uninterrupted,
};
use crate::support::datagram::Datagrams;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::{TIMEOUT, until};

const LIST: &str = "src/bin/epollite/operation/sandbox/seen.rs";
const RULES: &str = include_str!("../../../src/bin/epollite/operation/sandbox.rs");

/// More than the buffers of the server and of the kernel on both sides.
const TOO_MUCH: usize = 32 << 20;

/// Options that no server is traced with: those that add no call of a server in its sandbox.
const NOT_TRACED: [&str; 9] = [
    // The models that fork are not sandboxed, and the others are those of --trigger.
    "--model",
    "--workers",
    "--worker-timeout",
    "--accept",
    "--reuseport-select",
    // Before the filter is set. It needs root.
    "--user",
    // Fewer calls.
    "--quiet",
    // No server.
    "--check",
    "--help",
];

/// The options that servers were traced with.
static TRACED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The long names of all options of `epollite echo`.
fn all_options() -> BTreeSet<String> {
    let help = Program::run(&["echo", "--help"]);
    let lines = help.expect_code(0).stdout.lines().map(str::trim_start);
    let begin = lines.filter(|line| line.starts_with('-'));
    let names = begin.filter_map(|line| {
        let name = line.split_whitespace().take(2).find(|word| word.starts_with("--"))?;
        name.split('[').next()
    });
    names.map(str::to_owned).collect()
}

/// Whether the list is written, and not compared.
fn is_written() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// A server that is traced.
struct Traced {
    server: Program,
    log: String,
}

/// Starts a server in its sandbox and waits until it has `listening` addresses. `before` is
/// executed before strace.
fn start(scratch: &Scratch, before: &[&str], options: &[&str], listening: usize) -> Traced {
    static NEXT: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    let log = scratch.file(&format!("calls.{number}"));
    let no_leaks = ["env", "ASAN_OPTIONS=detect_leaks=0"];
    let strace = ["strace", "-D", "-f", "-q", "-o", &log];
    let wrapper = [before, &no_leaks, &strace].concat();
    let sandbox: &[&str] = if is_written() { &[] } else { &["--sandbox"] };
    let names = options.iter().filter(|option| option.starts_with('-'));
    let names = names.map(|option| match option.split('=').next() {
        Some("-v") => "--verbose".to_owned(),
        name => name.unwrap_or_default().to_owned(),
    });
    TRACED.lock().unwrap().extend(names.chain(["--sandbox".to_owned()]));
    let server = Program::start_under(&wrapper, &[&["echo"], sandbox, options].concat());
    server.stdout.wait_for("the listeners", |lines| {
        let ready = lines.iter().filter(|line| line.contains("listening"));
        (ready.count() >= listening).then_some(())
    });
    Traced { server, log }
}

/// The names of the calls after the filter was set.
fn calls(log: &str) -> BTreeSet<String> {
    // strace writes the last lines after the server has exited.
    let text = || fs::read_to_string(log).unwrap_or_default();
    until("strace to see the exit", || {
        ["exit_group(", "+++ killed"].iter().any(|last| text().contains(last))
    });
    let text = text();
    let start = if is_written() { "\"listening on" } else { "seccomp(SECCOMP_SET_MODE_FILTER" };
    let filtered = text.split_once(start).map(|(_, rest)| rest);
    let filtered = filtered.unwrap_or_else(|| panic!("invariant: a filter is set; got\n{text}"));
    // The rest of that line, and then lines that begin with the number of a thread.
    let calls = filtered.lines().skip(1).filter_map(|line| line.split_once(' ')?.1.split_once('('));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = calls.map(|(name, _)| name.trim_start());
    names.filter(|name| !name.is_empty() && name.chars().all(is_name)).map(str::to_owned).collect()
}

/// Waits for the exit, and adds the calls to `seen`.
#[track_caller]
fn finish(traced: Traced, seen: &mut BTreeSet<String>) {
    let Traced { mut server, log } = traced;
    let ending = server.end();
    seen.extend(calls(&log));
    let text = fs::read_to_string(&log).unwrap();
    let last: Vec<&str> = text.lines().rev().take(5).collect();
    assert_eq!(ending.code(), Some(0), "{ending:?}; the last calls, backwards:\n{last:#?}");
}

#[track_caller]
fn stop(traced: Traced, seen: &mut BTreeSet<String>) {
    traced.server.signal("TERM");
    finish(traced, seen);
}

/// Clients of every kind.
fn exercise<S: Duplex>(connect: impl Fn() -> S) {
    let mut many: Vec<S> = (0..20).map(|_| connect()).collect();
    many.iter_mut().for_each(|client| echo(client, b"one of many"));
    drop(many);
    let mut client = connect();
    (0..5).for_each(|_| echo(&mut client, &[b'x'; 16 << 10]));
    client.half_close();
    expect_end(&mut client);
    exchange(connect(), 2 << 20);
    // A client that never reads, and is reset with what it has not read.
    fill_buffers(&mut connect(), TOO_MUCH);
}

fn datagrams(address: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut back = vec![0; 1 << 16];
    for bytes in [&[1; 1][..], &[2; 1400], &[3; 60_000]] {
        socket.send(bytes).unwrap();
        assert_eq!(uninterrupted(|| socket.recv(&mut back)).unwrap(), bytes.len());
    }
    (0..40).for_each(|_| _ = socket.send(b"burst").unwrap());
    assert_eq!(uninterrupted(|| socket.recv(&mut back)).unwrap(), 5);
}

/// Everything that a server does with a mode of epoll: also a shutdown that flushes data.
fn of_trigger(trigger: &str, options: &[&str], seen: &mut BTreeSet<String>) {
    let scratch = Scratch::new();
    let path = scratch.file("echo");
    let addresses = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", &path];
    let arguments = [&addresses[..], &["--trigger", trigger], options].concat();
    let traced = start(&scratch, &[], &arguments, 3);
    let (tcp, udp) = (traced.server.tcp(), traced.server.udp());
    exercise(|| connect(&tcp));
    exercise(|| connect_unix(&path));
    datagrams(&udp);
    traced.server.signal("USR1");
    traced.server.stdout.line_with("statistics");
    let (mut idle, mut pending) = (connect(&tcp), connect(&tcp));
    echo(&mut idle, b"idle");
    fill_buffers(&mut pending, TOO_MUCH);
    traced.server.signal("TERM");
    expect_end(&mut idle);
    drop(idle);
    let mut buf = vec![0; 1 << 16];
    while uninterrupted(|| pending.read(&mut buf)).is_ok_and(|count| count > 0) {}
    drop(pending);
    finish(traced, seen);
}

/// What others ask of it: figures, signals, heartbeats, files.
fn operated(seen: &mut BTreeSet<String>) {
    let scratch = Scratch::new();
    let name = scratch.file("notify");
    let manager = UnixDatagram::bind(&name).unwrap();
    let variables = ["env", &format!("NOTIFY_SOCKET={name}"), "WATCHDOG_USEC=200000"];
    let (trace, explain) = (scratch.file("trace"), scratch.file("explain"));
    let files = [format!("--trace={trace}"), format!("--explain={explain}")];
    let options = [
        &["--tcp", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--threads", "2", "-v"][..],
        &["--syscall-summary", "--idle-timeout", "3s", &files[0], &files[1]],
    ]
    .concat();
    let traced = start(&scratch, &variables, &options, 2);
    let server = &traced.server;
    exercise(|| connect(&server.tcp()));
    let mut idle = connect(&server.tcp());
    fill_buffers(&mut idle, TOO_MUCH);
    let mut silent = connect(&server.tcp());
    expect_end(&mut silent);
    let metrics = server.addresses("metrics").remove(0);
    for request in ["GET /metrics HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n"] {
        let mut client = connect(&metrics);
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    for signal in ["USR1", "USR2", "HUP"] {
        server.signal(signal);
    }
    // The sandbox opens no file.
    if !is_written() {
        server.stderr.line_with("--trace: not opened again: Permission denied");
    }
    until("heartbeats", || {
        let mut bytes = [0; 64];
        uninterrupted(|| manager.recv(&mut bytes)).is_ok_and(|len| bytes[..len] == *b"WATCHDOG=1\n")
    });
    is_served(&server.tcp());
    stop(traced, seen);
    let scratch = Scratch::new();
    let perfetto = format!("--trace=perfetto:{}", scratch.file("perfetto"));
    let traced = start(&scratch, &[], &["--tcp", "127.0.0.1:0", &perfetto], 1);
    exercise(|| connect(&traced.server.tcp()));
    stop(traced, seen);
}

/// Limits: places, descriptors, and sockets that are shared by threads.
fn limited(seen: &mut BTreeSet<String>) {
    let scratch = Scratch::new();
    let options = ["--tcp", "127.0.0.1:0", "--threads", "2", "--max-connections", "2"];
    let traced = start(&scratch, &[], &options, 1);
    let address = traced.server.tcp();
    let mut clients: Vec<_> = (0..2).map(|_| connect(&address)).collect();
    clients.iter_mut().for_each(|client| echo(client, b"here"));
    let mut waiting = connect(&address);
    waiting.write_all(b"then").unwrap();
    drop(clients);
    let mut back = [0; 4];
    waiting.read_exact(&mut back).unwrap();
    drop(waiting);
    stop(traced, seen);
}

/// Peers that are refused, and those that do not read what is sent to them.
fn limits_of_peers(bulk: &str, seen: &mut BTreeSet<String>) {
    let scratch = Scratch::new();
    let by_address = ["--allow", "127.0.0.0/29", "--connections-per-address", "4"];
    let rates = ["--accept-rate", "6/h", "--udp-rate", "5/h", "--udp-refuse", "reflectors"];
    let memory = ["--buffer-total", "128KiB", "--threads", "2", "--bulk", bulk];
    let others = ["--read-budget", "64KiB", "--drain-timeout", "1s", "--log-format", "json"];
    let buffers = ["--socket-buffers", "256KiB"];
    let addresses =
        ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--recorder"];
    let options = [&addresses[..], &by_address, &rates, &memory, &others, &buffers].concat();
    let traced = start(&scratch, &[], &options, 3);
    let server = &traced.server;
    let mut stalled: Vec<_> = (0..4).map(|_| connect(&server.tcp())).collect();
    stalled.iter_mut().for_each(|client| _ = fill_buffers(client, TOO_MUCH));
    expect_closed(connect(&server.tcp()));
    let mut reader = connect_from("127.0.0.2", &server.tcp());
    (0..5).for_each(|_| echo(&mut reader, &[b'x'; 16 << 10]));
    expect_closed(connect_from("127.0.0.9", &server.tcp()));
    for number in 0..8 {
        let mut client = connect_from("127.0.0.3", &server.tcp());
        if number < 6 {
            echo(&mut client, b"within the rate");
        } else {
            expect_closed(client);
        }
    }
    let (udp, not_allowed) = ("127.0.0.1:0", "127.0.0.9:0");
    let udp = Datagrams::from(udp, &server.udp()).unwrap();
    (0..7).for_each(|_| udp.send(b"five of seven"));
    Datagrams::from(not_allowed, &server.udp()).unwrap().send(b"none");
    for (count, figure) in [
        (1, "refused.not_allowed"),
        (1, "refused.connections"),
        (2, "refused.rate"),
        (1, "datagrams.not_allowed"),
        (2, "datagrams.over_rate"),
    ] {
        until(figure, || server.statistics().number(figure) == count);
    }
    assert!(server.statistics().number("buffers.waits") > 0, "memory is scarce");
    let mut metrics = connect(&server.addresses("metrics")[0]);
    metrics.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    metrics.read_to_end(&mut Vec::new()).unwrap();
    server.signal("USR2");
    server.stderr.line_with("recorder");
    stop(traced, seen);
}

/// It is closed without an answer.
fn expect_closed(mut client: std::net::TcpStream) {
    let read = uninterrupted(|| client.read(&mut [0; 1]));
    assert!(!matches!(read, Ok(1..)), "invariant: it is refused; got {read:?}");
}

/// As predecessor and as successor, twice.
fn taken_over(seen: &mut BTreeSet<String>) {
    let scratch = Scratch::new();
    let (control, path) = (scratch.file("control"), scratch.file("echo"));
    let addresses = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", &path];
    let options = [&addresses[..], &["--takeover", &control, "--metrics", "127.0.0.1:0"]].concat();
    let mut traced = start(&scratch, &[], &options, 4);
    for _ in 0..2 {
        let mut open = connect(&traced.server.tcp());
        echo(&mut open, b"before");
        let next = start(&scratch, &[], &options, 4);
        traced.server.stderr.line_with("handed over to another server");
        echo(&mut open, b"after");
        drop(open);
        finish(traced, seen);
        is_served(&next.server.tcp());
        traced = next;
    }
    stop(traced, seen);
}

/// Sockets that were passed, of which one is for Unix datagrams.
fn passed(seen: &mut BTreeSet<String>) {
    let scratch = Scratch::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/support/pass_sockets.py");
    let datagram = scratch.file("datagram");
    let socket = format!("unix-datagram:{datagram}");
    let before = ["python3", script, "tcp", &socket, "--"];
    let traced = start(&scratch, &before, &["--listen-fds"], 2);
    is_served(&traced.server.tcp());
    let local = UnixDatagram::bind(scratch.file("client")).unwrap();
    local.set_read_timeout(Some(TIMEOUT)).unwrap();
    local.send_to(b"local", &datagram).unwrap();
    assert_eq!(uninterrupted(|| local.recv(&mut [0; 16])).unwrap(), 5);
    stop(traced, seen);
}

/// The names of the constant `name` among the rules, each the first text of its line.
fn names_in_rules(name: &str) -> BTreeSet<String> {
    let (_, rest) = RULES.split_once(&format!("const {name}: ")).expect("the rules have it");
    let (list, _) = rest.split_once("];\n").expect("it ends");
    let rows = list.lines().filter_map(|line| line.trim().strip_prefix("(\""));
    rows.map(|row| row.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn the_list_is_what_the_server_calls() {
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    drop(tool("strace"));
    let mut seen = BTreeSet::new();
    for trigger in TRIGGERS {
        of_trigger(trigger, &[], &mut seen);
    }
    of_trigger("edge", &["--bulk", "splice", "--threads", "2"], &mut seen);
    of_trigger("level", &["--bulk", "auto", "--spin", "50us"], &mut seen);
    operated(&mut seen);
    limited(&mut seen);
    limits_of_peers("copy", &mut seen);
    limits_of_peers("splice", &mut seen);
    taken_over(&mut seen);
    passed(&mut seen);
    let traced = TRACED.lock().unwrap().clone();
    let is_missing =
        |option: &String| !traced.contains(option) && !NOT_TRACED.contains(&option.as_str());
    let missing: Vec<String> = all_options().into_iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "invariant: the list is made with every option: {missing:?}");
    let rare = names_in_rules("RARE");
    assert!(rare.len() > 10, "the rare calls are found: {rare:?}");
    seen.retain(|call| !rare.contains(call) && call != "openat");
    let quoted: Vec<String> = seen.iter().map(|call| format!("    \"{call}\",\n")).collect();
    let text = format!(
        "//! The system calls that the server has been seen to make after its start, on x86_64. \
         Generated:\n//! `BLESS=1 cargo test --test program operation::sandbox`\n\n\
         pub(super) const CALLS: [&str; {}] = [\n{}];\n",
        seen.len(),
        quoted.concat()
    );
    if is_written() {
        fs::write(LIST, text).unwrap();
        return;
    }
    let list = fs::read_to_string(LIST).unwrap();
    assert_eq!(list, text, "invariant: the list is what is called, no more and no less");
}

/// Without files of Unix sockets none can be removed.
#[test]
fn a_server_without_files_does_not_call_what_only_they_need() {
    drop(tool("strace"));
    let scratch = Scratch::new();
    let mut seen = BTreeSet::new();
    let options = ["--tcp", "127.0.0.1:0", "--unix", "@epollite-no-file"];
    let traced = start(&scratch, &[], &options, 2);
    exercise(|| connect(&traced.server.tcp()));
    stop(traced, &mut seen);
    assert!(!seen.contains("unlink") && !seen.contains("statx"), "{seen:?}");
}

/// A call that fails is replaced by others: those must be allowed as well.
#[test]
fn calls_may_be_denied_by_another_sandbox() {
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    drop(tool("python3"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/support/deny_call.py");
    let (eperm, enosys) = ("1", "38");
    for (call, number) in [
        ("recvmmsg", "299"),
        ("sendmmsg", "307"),
        ("sendmsg", "46"),
        ("epoll_pwait2", "441"),
        ("splice", "275"),
        ("pipe2", "293"),
        ("ioctl", "16"),
        ("statx", "332"),
        ("shutdown", "48"),
        ("madvise", "28"),
        ("getrandom", "318"),
    ] {
        for errno in [eperm, enosys] {
            let scratch = Scratch::new();
            let path = scratch.file("echo");
            let wrapper = ["python3", script, number, errno];
            let addresses = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", &path];
            let options =
                ["--sandbox", "--bulk", "splice", "--threads", "2", "--idle-timeout", "1h"];
            let server = Program::serving_under(&wrapper, &[&addresses[..], &options].concat());
            datagrams(&server.udp());
            exchange(connect(&server.tcp()), 2 << 20);
            is_served(&server.tcp());
            let ending = server.stop();
            assert_eq!(ending.code(), Some(0), "{call}, errno {errno}: {ending:?}");
            assert!(!fs::exists(&path).unwrap(), "{call}, errno {errno}: the file stays");
        }
    }
}

#[test]
fn a_second_signal_ends_a_sandboxed_server() {
    let scratch = Scratch::new();
    let path = scratch.file("echo");
    let options = ["--sandbox", "--unix", &path, "--drain-timeout", "1h"];
    let mut server = Program::serving(&options);
    let mut client = connect_unix(&path);
    fill_buffers(&mut client, TOO_MUCH);
    server.signal("TERM");
    until("the shutdown to begin", || !fs::exists(&path).unwrap());
    std::thread::sleep(Duration::from_millis(10));
    server.signal("TERM");
    server.end().expect_code(143);
}

#[test]
fn every_thread_is_in_the_sandbox() {
    let server = Program::serving(&["--sandbox", "--tcp", "127.0.0.1:0", "--threads", "4"]);
    is_served(&server.tcp());
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let mut count = 0;
    for thread in threads.map(|thread| thread.unwrap().path()) {
        let status = fs::read_to_string(thread.join("status")).unwrap();
        assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        assert!(status.contains("Seccomp:\t2\n"), "a filter: {status}");
        count += 1;
    }
    assert_eq!(count, 4);
    server.stop().expect_code(0);
}

#[test]
fn a_model_whose_calls_are_not_known_is_rejected() {
    for (model, why) in [
        ("prefork", "it forks while it serves"),
        ("reuseport", "it forks while it serves"),
        ("process", "it forks while it serves"),
        ("thread", "it starts threads while it serves"),
        ("blocking", "only the calls of the reactor's server are known"),
        ("coroutine", "only the calls of the reactor's server are known"),
    ] {
        let ending = Program::run(&["echo", "--sandbox", "--model", model]);
        let line = ending.expect_code(2).single_error_line();
        assert!(line.contains(&format!("does not support --sandbox: {why}")), "{line}");
    }
}
