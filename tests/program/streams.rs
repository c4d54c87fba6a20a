//! Its standard streams may be broken, closed or missing: it keeps serving.

use std::io::pipe;
use std::process::Stdio;

use crate::support::client::{connect, connect_unix, echo};
use crate::support::program::{Program, command};
use crate::support::scratch::Scratch;

#[test]
fn a_broken_stdout_does_not_end_it() {
    let scratch = Scratch::new();
    let path = scratch.file("unheard");
    for log in ["text", "json"] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut command = command(&[] as &[&str], &["echo", "--unix", &path, "--log-format", log]);
        command.stdout(writer).stderr(Stdio::piped());
        serves_and_ends(Program::start_as_is(command), &path);
    }
}

#[test]
fn a_broken_stderr_does_not_end_it() {
    let scratch = Scratch::new();
    let path = scratch.file("unheard");
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = command(&[] as &[&str], &["echo", "--unix", &path, "-v"]);
    command.stdout(Stdio::piped()).stderr(writer);
    serves_and_ends(Program::start_as_is(command), &path);
}

#[test]
fn started_without_any_stream_it_serves() {
    let scratch = Scratch::new();
    for (number, closed) in ["<&-", "<&- >&-", "<&- >&- 2>&-", "2>&-", ">&-"].iter().enumerate() {
        let path = scratch.file(&number.to_string());
        let line = format!("exec \"$0\" \"$@\" {closed}");
        let wrapper = ["sh", "-c", &line];
        let arguments = ["echo", "--unix", &path, "-v", "--tcp", "127.0.0.1:0"];
        serves_and_ends(Program::start_under(&wrapper, &arguments), &path);
    }
}

#[test]
fn a_full_disk_under_stdout_and_stderr_does_not_end_it() {
    let scratch = Scratch::new();
    let path = scratch.file("full");
    let line = "exec \"$0\" \"$@\" >/dev/full 2>/dev/full";
    let server = Program::start_under(&["sh", "-c", line], &["echo", "--unix", &path, "-v"]);
    serves_and_ends(server, &path);
}

#[test]
fn a_usage_error_without_stderr_is_exit_2() {
    let line = "exec \"$0\" \"$@\" 2>&-";
    let mut program = Program::start_under(&["sh", "-c", line], &["echo", "--trigger", "x"]);
    program.end().expect_code(2);
}

/// The standard library opens /dev/null where a stream is missing, and every write succeeds.
#[test]
fn a_result_without_stdout_is_a_failure_with_one_line() {
    for arguments in [
        &["--version"][..],
        &["--help"],
        &["study", "list"],
        &["study", "--on", "sim", "edge-late"],
        &["doctor"],
        &["audit", "self"],
        &["sim", "--seed", "1", "--steps", "100"],
    ] {
        let line = "exec \"$0\" \"$@\" >&-";
        let output = Program::start_under(&["sh", "-c", line], arguments).end();
        output.expect_code(1);
        let line = output.single_error_line();
        assert_eq!(line, "epollite: stdout: EBADF: not an open descriptor", "{arguments:?}");
    }
    // Where no result is wanted, it goes to /dev/null.
    let line = "exec \"$0\" \"$@\" >/dev/null";
    Program::start_under(&["sh", "-c", line], &["study", "list"]).end().expect_code(0);
}

/// It serves `path`, also when asked for statistics, sends no log text to a client, and exits
/// cleanly.
fn serves_and_ends(mut server: Program, path: &str) {
    server.until_it_serves(path);
    let mut early = connect_unix(path);
    for _ in 0..20 {
        echo(&mut connect_unix(path), b"does it talk?");
        echo(&mut early, b"and does it stay?");
        server.signal("USR1");
    }
    for address in server.addresses("tcp") {
        echo(&mut connect(&address), b"over TCP");
    }
    server.signal("TERM");
    crate::support::client::expect_end(&mut early);
    drop(early);
    server.end().expect_code(0);
}
