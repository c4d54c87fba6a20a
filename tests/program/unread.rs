//! Output that nobody reads, or not now: a server goes on and drops lines, a result waits.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::client::is_served;
use crate::support::process::Process;
use crate::support::program::{PROGRAM, Program, command};
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::until;

/// Every model that serves TCP.
const MODELS: [&str; 11] = [
    "epoll-edge",
    "epoll-level",
    "blocking",
    "process",
    "thread",
    "nonblocking",
    "select",
    "poll",
    "coroutine",
    "prefork",
    "reuseport",
];

#[test]
fn a_trace_into_a_pipe_that_nobody_reads_stops_nobody() {
    let scratch = Scratch::new();
    for model in MODELS {
        let pipe = scratch.file(model);
        make_pipe(&pipe);
        let trace = format!("--trace={pipe}");
        let server = Program::serving(&["--tcp", "127.0.0.1:0", "--model", model, &trace]);
        // It is open for reading, and nothing is read.
        let _reader = File::options().read(true).write(true).open(&pipe).unwrap();
        serves_more_than_a_pipe_holds(&server);
        let ending = server.stop();
        ending.expect_code(0);
        assert!(ending.stderr.contains("lines were dropped"), "law: {model} says so; {ending:?}");
        assert_eq!(ending.stderr.matches("the trace is not whole").count(), 1, "{ending:?}");
    }
}

#[test]
fn a_trace_into_a_pipe_without_a_reader_does_not_wait_for_one() {
    let scratch = Scratch::new();
    let pipe = scratch.file("pipe");
    make_pipe(&pipe);
    let trace = format!("--trace={pipe}");
    let server = Program::serving(&["--tcp", "127.0.0.1:0", &trace]);
    // One that comes later gets what there is.
    let mut reader = File::open(&pipe).unwrap();
    is_served(&server.tcp());
    let mut first = [0; 6];
    reader.read_exact(&mut first).unwrap();
    server.stop().expect_code(0);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("accept4("), "law: the calls of the server are there; {rest}");
}

#[test]
fn a_trace_and_a_log_to_a_stderr_that_nobody_reads_stop_nobody() {
    for trace in ["--trace", "--trace=/dev/stderr", "-v"] {
        for model in ["epoll-edge", "poll", "prefork", "coroutine", "thread"] {
            let (reader, writer) = std::io::pipe().unwrap();
            let words = ["echo", "--tcp", "127.0.0.1:0", "--model", model, trace];
            let mut server = command(&[] as &[&str], &words);
            server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writer);
            let server = Program::start_as_is(server);
            server.stdout.line_with("listening on");
            serves_more_than_a_pipe_holds(&server);
            server.stop().expect_code(0);
            drop(reader);
        }
    }
}

#[test]
fn a_trace_to_a_socket_that_nobody_reads_stops_nobody() {
    for model in ["epoll-edge", "poll", "prefork"] {
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let words = ["echo", "--tcp", "127.0.0.1:0", "--model", model, "--trace"];
        let mut server = command(&[] as &[&str], &words);
        let writer = std::os::fd::OwnedFd::from(writer);
        server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writer);
        let server = Program::start_as_is(server);
        server.stdout.line_with("listening on");
        serves_more_than_a_pipe_holds(&server);
        server.stop().expect_code(0);
        drop(reader);
    }
}

/// A terminal that has been stopped, with Ctrl-S, takes nothing.
#[test]
fn a_stopped_terminal_stops_nobody() {
    // The other end of the terminal is the script's, which never reads it.
    let script = "\
import os, pty, subprocess, sys, time
master, slave = pty.openpty()
server = subprocess.Popen(sys.argv[1:], stderr=slave)
print(server.wait())";
    let mut python = tool("python3");
    python.args([
        "-c",
        script,
        PROGRAM,
        "echo",
        "--tcp",
        "127.0.0.1:0",
        "--trace",
        "--model",
        "poll",
    ]);
    let python = Process::start(python);
    let line = python.stdout.line_with("listening on tcp ");
    let address = line.rsplit(' ').next().unwrap();
    for _ in 0..800 {
        is_served(address);
    }
    python.signals("kill -TERM $(cat /proc/$0/task/$0/children)");
    python
        .stdout
        .wait_for("the exit code", |lines| lines.iter().any(|line| line == "0").then_some(()));
}

#[test]
fn results_wait_for_a_reader_of_a_small_non_blocking_pipe() {
    let helps: [&[&str]; 5] =
        [&["--help"], &["echo", "--help"], &["nc", "--help"], &["sim", "--help"], &["--version"]];
    for words in helps {
        let whole = Program::run(words).stdout;
        let slow = through_a_small_pipe(words, "");
        assert!(
            whole == slow,
            "law: {words:?} is whole; got {} bytes of {}",
            slow.len(),
            whole.len()
        );
    }
}

#[test]
fn the_last_table_of_calls_waits_for_a_reader_that_comes_late() {
    for model in ["epoll-edge", "poll", "prefork"] {
        let words = ["echo", "--tcp", "127.0.0.1:0", "--count", "--model", model];
        // The statistics and their table fill most of the pipe.
        let said = through_a_small_pipe(&words, "USR1 TERM");
        assert!(said.starts_with("listening on tcp "), "{said}");
        assert!(said.contains("\nsyscalls per echo "), "law: the statistics are whole; got {said}");
        assert!(said.ends_with("calls each\n"), "law: the last table is whole; got {said}");
    }
}

/// What the program says into a non-blocking pipe of a page, which is read, a little at a time, from
/// when the program has ended or waits for room. Each signal is sent when there is something in the
/// pipe that was not there before.
fn through_a_small_pipe(words: &[&str], signals: &str) -> String {
    let script = "\
import array, fcntl, os, signal, subprocess, sys, termios, time
reader, writer = os.pipe()
fcntl.fcntl(writer, 1031, 4096)
os.set_blocking(writer, False)
child = subprocess.Popen(sys.argv[2:], stdout=writer, stdin=subprocess.DEVNULL)
os.close(writer)
def held():
    count = array.array('i', [0])
    fcntl.ioctl(reader, termios.FIONREAD, count)
    return count[0]
before = 0
for name in sys.argv[1].split():
    while held() == before: time.sleep(0.01)
    before = held()
    child.send_signal(getattr(signal, 'SIG' + name))
# It has ended, or its pipe holds what it held a moment ago.
looks = 0
while child.poll() is None and looks < 30:
    time.sleep(0.01)
    looks = looks + 1 if held() > 0 else 0
said = b''
while more := os.read(reader, 64): said += more
sys.stdout.buffer.write(said)
sys.stdout.flush()
sys.exit(child.wait())";
    let mut python = tool("python3");
    python.args(["-c", script, signals, PROGRAM]).args(words);
    let ending = Process::start(python).end();
    ending.expect_code(0);
    ending.stdout
}

/// Each client makes some hundred bytes of trace.
fn serves_more_than_a_pipe_holds(server: &Program) {
    let address = server.tcp();
    for _ in 0..500 {
        is_served(&address);
    }
}

fn make_pipe(path: &str) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success(), "a named pipe can be made");
}

#[test]
fn what_nc_tells_is_dropped_when_nobody_reads_it() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut nc = command(&[] as &[&str], &["nc", "-lkvv", "--echo", "127.0.0.1", "0"]);
    nc.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    let mut nc = Process::start_as_is(nc);
    let mut line = [0; 4096];
    let mut reader = reader;
    let count = reader.read(&mut line).unwrap();
    let line = String::from_utf8_lossy(&line[..count]).into_owned();
    let port = line.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    for _ in 0..1_000 {
        is_served(&format!("127.0.0.1:{port}"));
    }
    nc.signal("TERM");
    until("it to end", || nc.ended().is_some());
    drop(reader);
}
