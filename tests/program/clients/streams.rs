//! Streams: netcats and asyncio over TCP and Unix sockets, in every mode.

use std::io::Write;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use crate::support::TRIGGERS;
use crate::support::client::{connect, connect_unix, exchange, read_to_end};
use crate::support::pattern::Pattern;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tool::{python_succeeds, tool};
use crate::support::wait::{eventually, until};

const MUCH: usize = 64 << 20;

#[test]
fn openbsd_nc_gets_everything_back() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let (host, port) = host_and_port(&server);
        gets_everything_back(tool("nc").args(["-N", &host, &port]));
        no_client_is_left(&server);
    }
}

#[test]
fn socat_gets_everything_back() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let to = format!("TCP:{}", server.tcp());
        gets_everything_back(tool("socat").args(["-t", "60", "STDIO", &to]));
        no_client_is_left(&server);
    }
}

#[test]
fn ncat_gets_everything_back() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let (host, port) = host_and_port(&server);
        gets_everything_back(tool("ncat").args([&host, &port]));
        no_client_is_left(&server);
    }
}

#[test]
fn asyncio_gets_everything_back() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let (host, port) = host_and_port(&server);
        python_succeeds("asyncio_client.py", &[&host, &port, &MUCH.to_string()]);
        no_client_is_left(&server);
    }
}

#[test]
fn netcats_and_asyncio_get_everything_back_over_a_path() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let server =
            Program::serving(&["--unix", &path, "--trigger", trigger, "--log-format", "json"]);
        gets_everything_back(tool("nc").args(["-N", "-U", &path]));
        let to = format!("UNIX-CONNECT:{path}");
        gets_everything_back(tool("socat").args(["-t", "60", "STDIO", &to]));
        python_succeeds("asyncio_client.py", &[&path, &MUCH.to_string()]);
        no_client_is_left(&server);
    }
}

#[test]
fn any_number_of_bytes_is_echoed_before_eof() {
    // Around every likely size of a buffer, a budget or a page.
    let around = |size: usize| [size - 1, size, size + 1];
    let sizes = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20].map(around);
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let listeners = ["--tcp", "127.0.0.1:0", "--unix", &path];
        let server = Program::serving(&[&listeners[..], &["--trigger", trigger]].concat());
        for total in [0, 1, 2].into_iter().chain(sizes.into_iter().flatten()) {
            exchange(connect(&server.tcp()), total);
            exchange(connect_unix(&path), total);
        }
    }
}

#[test]
fn many_clients_at_once_each_get_their_own_bytes_back() {
    for trigger in TRIGGERS {
        for threads in ["1", "3"] {
            let arguments = ["--tcp", "127.0.0.1:0", "--trigger", trigger, "--threads", threads];
            let server = Program::serving(&arguments);
            let address = server.tcp();
            thread::scope(|scope| {
                for number in 0..16 {
                    let client = connect(&address);
                    scope.spawn(move || exchange(client, 400_000 + number * 7));
                }
            });
        }
    }
}

fn host_and_port(server: &Program) -> (String, String) {
    let address = server.tcp();
    let (host, port) = address.rsplit_once(':').unwrap();
    (host.to_owned(), port.to_owned())
}

/// `client` copies its stdin to the server and the echo to its stdout.
#[track_caller]
fn gets_everything_back(client: &mut Command) {
    let mut client = Child(client.stdin(piped()).stdout(piped()).spawn().unwrap());
    let stdin = client.0.stdin.take().unwrap();
    let stdout = client.0.stdout.take().unwrap();
    let writer = thread::spawn(|| send_much(stdin));
    let reader = thread::spawn(|| read_much(stdout));
    // A panic here kills the client, and that ends both threads.
    until("the client to receive the whole echo", || reader.is_finished());
    reader.join().expect("invariant: output equals input");
    writer.join().unwrap();
    let status = eventually("the client to end", || client.0.try_wait().unwrap());
    assert!(status.success(), "invariant: the client exits successfully");
}

fn send_much(mut stdin: ChildStdin) {
    let mut sent = Pattern::new();
    while sent.offset() < MUCH {
        // A client that exited early is judged by its output.
        if stdin.write_all(sent.next(MUCH - sent.offset())).is_err() {
            return;
        }
    }
}

fn read_much(mut stdout: ChildStdout) {
    let back = read_to_end(&mut stdout);
    assert_eq!(back, MUCH, "invariant: all that is sent comes back before the end");
}

/// The server has closed all connections cleanly.
#[track_caller]
fn no_client_is_left(server: &Program) {
    until("the connection to be closed", || server.statistics().number("connections.open") == 0);
    let statistics = server.statistics();
    assert_eq!(
        statistics.number("connections.reset"),
        0,
        "invariant: a full echo ends without reset"
    );
    assert_eq!(statistics.number("bytes.in"), statistics.number("bytes.out"));
}

fn piped() -> Stdio {
    Stdio::piped()
}

/// Killed by its pid when dropped.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
