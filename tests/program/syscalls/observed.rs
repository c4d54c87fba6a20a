//! Counted by external tools on the same run: the program reports the calls the kernel saw.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use crate::support::TRIGGERS;
use crate::support::client::{connect, echo, expect_end};
use crate::support::datagram::Datagrams;
use crate::support::process::Process;
use crate::support::procfs::{state, tracer};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::syscall_counts::{Calls, during};
use crate::support::tool::tool;
use crate::support::wait::until;

const ECHOES: u64 = 500;

/// The part of a trace in which the program answers a statistics query.
const ANSWER: &str = r#", "{\"event\":\"statistics\""#;

/// Before a line is written, the pipe is polled for free space. That call belongs to the log, not
/// to the server, which asks for many events at once.
const GATE: &str = ", 1, 0) = ";

#[test]
fn the_counts_by_kind_equal_those_of_strace() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let listeners = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
        let server = Program::serving(
            &[&listeners[..], &["--log-format", "json", "--trigger", trigger]].concat(),
        );
        let strace = attach(&server, &path);
        let reported = during(&server, || {
            let mut client = connect(&server.tcp());
            for _ in 0..ECHOES {
                echo(&mut client, &[7; 64]);
            }
            client.shutdown(std::net::Shutdown::Write).unwrap();
            expect_end(&mut client);
            let client = Datagrams::to(&server.udp());
            for _ in 0..20 {
                client.echo(b"and datagrams");
            }
        });
        detach(strace);
        let seen = between_two_answers(&fs::read_to_string(&path).unwrap());
        assert_eq!(reported.of("send"), ECHOES, "invariant: one send per echo");
        assert_eq!(
            reported, seen,
            "invariant: the program reports what the kernel saw, in {trigger} mode"
        );
    }
}

#[test]
fn the_total_count_equals_that_of_perf() {
    if !perf_is_permitted() {
        return;
    }
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let mut client = connect(&server.tcp());
        echo(&mut client, b"warm");
        let looking = during(&server, || {}).total();

        let mut seen = 0;
        let reported = during(&server, || {
            is_asleep(&server);
            let mut perf = Perf::on(&server, &scratch);
            perf.ask("enable");
            for _ in 0..ECHOES {
                echo(&mut client, &[7; 64]);
            }
            is_asleep(&server);
            perf.ask("disable");
            seen = perf.counted();
        });
        let reported = reported.total() - looking;
        assert_eq!(
            reported, seen,
            "invariant: the program reports what the kernel saw, in {trigger} mode"
        );
        let most = if trigger == "oneshot" { 5 } else { 3 };
        assert!(seen <= most * ECHOES, "invariant: at most {most} calls per echo; perf saw {seen}");
    }
}

/// Traces the server from now on, into a file.
fn attach(server: &Program, path: &str) -> Process {
    let mut strace = tool("strace");
    strace.args(["-f", "-qq", "-s", "40", "-e", "signal=none", "-o", path]);
    strace.args(["-p", &server.pid().to_string()]);
    let mut strace = Process::start(strace);
    until("strace to be attached", || {
        if strace.ended().is_some() {
            panic!("strace may not trace its own user's processes here: {:?}", strace.end());
        }
        tracer(server.pid()) != 0
    });
    strace
}

fn detach(mut strace: Process) {
    strace.signal("INT");
    strace.end();
}

/// The calls of a trace from after one statistics answer to just before the next, by the names that
/// the program uses.
fn between_two_answers(trace: &str) -> Calls {
    let mut calls = Calls::default();
    let behind_first = trace.lines().skip_while(|line| !line.contains(ANSWER)).skip(1);
    for line in behind_first {
        if line.contains(ANSWER) {
            return calls;
        }
        if line.contains(GATE) {
            continue;
        }
        // "1234 recvfrom(7, ...) = 64"; a resumed call was counted when it began.
        let call = line.split_once(' ').map_or("", |(_pid, call)| call.trim_start());
        let name = call.split(['(', ' ']).next().unwrap_or_default();
        if !name.is_empty() && !call.starts_with(['<', '-', '+', '[']) {
            *calls.0.entry(library_name(name).to_owned()).or_default() += 1;
        }
    }
    panic!("the trace holds fewer than two answers:\n{trace}");
}

/// The C library's name of a call, where the kernel's is different.
fn library_name(name: &str) -> &str {
    match name {
        "recvfrom" => "recv",
        "sendto" => "send",
        "epoll_pwait" => "epoll_wait",
        same => same,
    }
}

fn is_asleep(server: &Program) {
    until("the server to wait", || state(server.pid()) == 'S');
}

/// Whether this machine allows counting. It depends on permissions, not on installed tools.
fn perf_is_permitted() -> bool {
    let mut perf = tool("perf");
    perf.args(["stat", "-e", "raw_syscalls:sys_enter", "true"]);
    let probe = Process::start(perf).end();
    if !probe.status.success() {
        eprintln!("perf may not count system calls here:\n{}", probe.stderr);
    }
    probe.status.success()
}

/// A `perf stat` that counts one process between "enable" and "disable".
struct Perf {
    process: Process,
    control: fs::File,
    answers: fs::File,
}

impl Perf {
    fn on(server: &Program, scratch: &Scratch) -> Self {
        let [control, answers] = ["control", "answers"].map(|name| {
            let path = scratch.file(&format!("{name}-{}", server.pid()));
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.unwrap().success(), "a named pipe can be created");
            path
        });
        let mut perf = tool("perf");
        perf.args(["stat", "-x", ",", "-D", "-1", "-e", "raw_syscalls:sys_enter"]);
        perf.args(["--control", &format!("fifo:{control},{answers}")]);
        perf.args(["-p", &server.pid().to_string()]);
        // Opened for reading and writing, a FIFO does not wait for a peer.
        let mut options = fs::File::options();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        let open = |path: &str| options.open(path).unwrap();
        Self { control: open(&control), answers: open(&answers), process: Process::start(perf) }
    }

    /// Sends a command and waits for its acknowledgement.
    fn ask(&mut self, what: &str) {
        self.control.write_all(format!("{what}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        until("perf to acknowledge the command", || {
            if self.process.ended().is_some() {
                panic!("perf does not count: {:?}", self.process.end());
            }
            let mut buf = [0; 64];
            let count = self.answers.read(&mut buf).unwrap_or(0);
            answer += &String::from_utf8_lossy(&buf[..count]);
            // Some versions append a NUL to the line, where the next answer begins.
            answer.trim_start_matches('\0').starts_with("ack\n")
        });
    }

    /// Stops it and reads its count.
    fn counted(mut self) -> u64 {
        self.process.signal("INT");
        let ending = self.process.end();
        let mut lines = ending.stderr.lines();
        let line = lines.find(|line| line.contains("raw_syscalls:sys_enter"));
        let count = line.and_then(|line| line.split(',').next()?.parse().ok());
        count.unwrap_or_else(|| panic!("perf prints a number; got {ending:?}"))
    }
}
