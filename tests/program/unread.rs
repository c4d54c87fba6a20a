//! Output that is read late or never: a server keeps running and drops lines; a result waits for
//! its reader.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::MODELS;
use crate::support::client::is_served;
use crate::support::process::Process;
use crate::support::program::{PROGRAM, Program, command};
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::until;

#[test]
fn a_trace_into_an_unread_pipe_blocks_no_client() {
    let scratch = Scratch::new();
    for model in MODELS {
        let pipe = scratch.file(model);
        make_pipe(&pipe);
        let trace = format!("--trace={pipe}");
        let server = Program::serving(&["--tcp", "127.0.0.1:0", "--model", model, &trace]);
        // It is open for reading, but never read.
        let _reader = File::options().read(true).write(true).open(&pipe).unwrap();
        serves_more_than_a_pipe_holds(&server);
        let ending = server.stop();
        ending.expect_code(0);
        assert!(
            ending.stderr.contains("lines were dropped"),
            "invariant: {model} reports it; {ending:?}"
        );
        assert_eq!(ending.stderr.matches("trace truncated").count(), 1, "{ending:?}");
    }
}

#[test]
fn a_trace_into_a_pipe_without_a_reader_does_not_wait_for_one() {
    let scratch = Scratch::new();
    let pipe = scratch.file("pipe");
    make_pipe(&pipe);
    let trace = format!("--trace={pipe}");
    let server = Program::serving(&["--tcp", "127.0.0.1:0", &trace]);
    // A late reader gets what is available.
    let mut reader = File::open(&pipe).unwrap();
    is_served(&server.tcp());
    let mut first = [0; 6];
    reader.read_exact(&mut first).unwrap();
    server.stop().expect_code(0);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("accept4("), "invariant: the trace contains the server's calls; {rest}");
}

#[test]
fn an_unread_stderr_with_trace_and_log_blocks_no_client() {
    for trace in ["--trace", "--trace=/dev/stderr", "-v"] {
        for model in ["epoll-edge", "poll", "prefork", "coroutine", "thread"] {
            let (reader, writer) = std::io::pipe().unwrap();
            let arguments = ["echo", "--tcp", "127.0.0.1:0", "--model", model, trace];
            let mut server = command(&[] as &[&str], &arguments);
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
fn a_trace_to_an_unread_socket_blocks_no_client() {
    for model in ["epoll-edge", "poll", "prefork"] {
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let arguments = ["echo", "--tcp", "127.0.0.1:0", "--model", model, "--trace"];
        let mut server = command(&[] as &[&str], &arguments);
        let writer = std::os::fd::OwnedFd::from(writer);
        server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writer);
        let server = Program::start_as_is(server);
        server.stdout.line_with("listening on");
        serves_more_than_a_pipe_holds(&server);
        server.stop().expect_code(0);
        drop(reader);
    }
}

/// A terminal stopped with Ctrl-S accepts no output.
#[test]
fn a_stopped_terminal_blocks_no_client() {
    // The other end of the terminal belongs to the script, which never reads it.
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
    let helps: [&[&str]; 7] = [
        &["--help"],
        &["echo", "--help"],
        &["nc", "--help"],
        &["sim", "--help"],
        &["study", "--help"],
        &["study", "list"],
        &["--version"],
    ];
    for arguments in helps {
        let whole = Program::run(arguments).stdout;
        let slow = through_a_small_pipe(arguments, "");
        assert!(
            whole == slow,
            "invariant: the output of {arguments:?} is complete; got {} bytes of {}",
            slow.len(),
            whole.len()
        );
    }
}

#[test]
fn the_last_table_of_calls_waits_for_a_late_reader() {
    for model in ["epoll-edge", "poll", "prefork"] {
        let arguments = ["echo", "--tcp", "127.0.0.1:0", "--syscall-summary", "--model", model];
        // The statistics and their table fill most of the pipe.
        let output = through_a_small_pipe(&arguments, "USR1 TERM");
        assert!(output.starts_with("listening on tcp "), "{output}");
        assert!(
            output.contains("\nsyscalls per echo "),
            "invariant: the statistics are complete; got {output}"
        );
        assert!(
            output.ends_with("calls each\n"),
            "invariant: the last table is complete; got {output}"
        );
    }
}

/// The output of the program into a non-blocking pipe of one page, which is read a little at a
/// time, starting when the program has exited or waits for room. Each signal is sent when the pipe
/// holds new data.
fn through_a_small_pipe(arguments: &[&str], signals: &str) -> String {
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
# It has exited, or its pipe has not grown since the last look.
looks = 0
while child.poll() is None and looks < 30:
    time.sleep(0.01)
    looks = looks + 1 if held() > 0 else 0
output = b''
while more := os.read(reader, 64): output += more
sys.stdout.buffer.write(output)
sys.stdout.flush()
sys.exit(child.wait())";
    let mut python = tool("python3");
    python.args(["-c", script, signals, PROGRAM]).args(arguments);
    let ending = Process::start(python).end();
    ending.expect_code(0);
    ending.stdout
}

/// Each client produces about a hundred bytes of trace.
fn serves_more_than_a_pipe_holds(server: &Program) {
    let address = server.tcp();
    for _ in 0..500 {
        is_served(&address);
    }
}

fn make_pipe(path: &str) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success(), "a named pipe can be created");
}

#[test]
fn unread_nc_messages_are_dropped() {
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
    until("it to exit", || nc.ended().is_some());
    drop(reader);
}
