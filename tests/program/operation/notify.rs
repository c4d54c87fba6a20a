//! What a service manager is told, by the protocol of sd_notify(3).

use core::time::Duration;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;

use crate::support::MODELS;
use crate::support::client::{connect, echo, is_served, uninterrupted};
use crate::support::process::Process;
use crate::support::procfs::tracer;
use crate::support::program::{Program, command};
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::{TIMEOUT, until};

/// The socket of a service manager, and its name for the environment.
fn manager(scratch: &Scratch) -> (UnixDatagram, String) {
    let path = scratch.file("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    (socket, path)
}

fn started(variables: &[(&str, &str)], arguments: &[&str]) -> Program {
    let mut line: Command = command(&[] as &[&str], &[&["echo"], arguments].concat());
    line.envs(variables.iter().copied());
    Program::start_piped(line)
}

/// Its address, once it listens.
fn address(server: &Program) -> String {
    server.stdout.line_with("listening on tcp ");
    server.tcp()
}

/// The next message, if one comes within `wait`.
fn message(manager: &UnixDatagram, wait: Duration) -> Option<String> {
    manager.set_read_timeout(Some(wait)).unwrap();
    let mut bytes = [0; 256];
    let len = uninterrupted(|| manager.recv(&mut bytes)).ok()?;
    Some(String::from_utf8(bytes[..len].to_vec()).expect("a message is text"))
}

#[track_caller]
fn expect(manager: &UnixDatagram, text: &str) {
    assert_eq!(message(manager, TIMEOUT).as_deref(), Some(text));
}

/// Without a message in this time there is none: a server that sends too much sends it at once.
const QUIET: Duration = Duration::from_millis(300);

#[test]
fn every_model_tells_when_it_listens_and_when_it_stops() {
    for model in MODELS {
        let scratch = Scratch::new();
        let (manager, name) = manager(&scratch);
        let server =
            started(&[("NOTIFY_SOCKET", &name)], &["--tcp", "127.0.0.1:0", "--model", model]);
        expect(&manager, "READY=1\n");
        is_served(&address(&server));
        server.stop().expect_code(0);
        expect(&manager, "STOPPING=1\n");
        assert_eq!(message(&manager, QUIET), None, "{model}: nothing else is told");
    }
}

#[test]
fn a_shutdown_is_told_once() {
    let scratch = Scratch::new();
    let (manager, name) = manager(&scratch);
    let mut server = started(
        &[("NOTIFY_SOCKET", &name)],
        &["--tcp", "127.0.0.1:0", "--drain-timeout", "1h", "--log-format", "json"],
    );
    expect(&manager, "READY=1\n");
    server.stdout.line_with("listening");
    let mut client = connect(&server.tcp());
    echo(&mut client, b"here");
    server.signal("TERM");
    expect(&manager, "STOPPING=1\n");
    assert_eq!(server.statistics().number("connections.open"), 1, "it drains");
    drop(client);
    server.end().expect_code(0);
    assert_eq!(message(&manager, QUIET), None, "invariant: nothing else is told");
}

#[test]
fn an_abstract_notification_socket_is_used() {
    let name = format!("epollite-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    let variable = format!("@{name}");
    let server = started(&[("NOTIFY_SOCKET", &variable)], &["--tcp", "127.0.0.1:0"]);
    expect(&manager, "READY=1\n");
    server.stop().expect_code(0);
    expect(&manager, "STOPPING=1\n");
}

#[test]
fn a_notification_socket_that_cannot_be_used_is_logged_and_the_server_serves() {
    let scratch = Scratch::new();
    let missing = scratch.file("missing");
    let long = format!("@{}", "n".repeat(108));
    for (name, expected) in [
        ("vsock:2:1", "NOTIFY_SOCKET=vsock:2:1: neither a path nor an abstract name"),
        (&missing, "not notified: READY=1: "),
        (&long, "no notifications: "),
    ] {
        let server = started(&[("NOTIFY_SOCKET", name)], &["--tcp", "127.0.0.1:0"]);
        server.stderr.line_with(expected);
        is_served(&address(&server));
        let ending = server.stop();
        ending.expect_code(0).single_error_line();
    }
}

#[test]
fn a_heartbeat_is_given_only_while_every_thread_serves() {
    let scratch = Scratch::new();
    let (manager, name) = manager(&scratch);
    let variables = [("NOTIFY_SOCKET", name.as_str()), ("WATCHDOG_USEC", "200000")];
    let server = started(&variables, &["--tcp", "127.0.0.1:0", "--threads", "2"]);
    expect(&manager, "READY=1\n");
    (0..5).for_each(|_| expect(&manager, "WATCHDOG=1\n"));
    is_served(&address(&server));

    // The second thread is held at the end of its wait, the first one goes on.
    let second = second_thread(&server).to_string();
    let mut strace = tool("strace");
    let calls = "epoll_wait,epoll_pwait,epoll_pwait2";
    strace.args(["-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={calls}:delay_exit=3600000000"), "-p", &second]);
    let strace = Process::start(strace);
    until("the thread to be traced", || tracer(second.parse().unwrap()) != 0);
    until("heartbeats to end", || message(&manager, Duration::from_secs(1)).is_none());
    server.stderr.line_with("no heartbeat: thread 1 does not serve its events");
    assert_eq!(server.stderr.count_with("no heartbeat"), 1, "invariant: it is logged once");
    drop(strace);
    expect(&manager, "WATCHDOG=1\n");
    server.stop().expect_code(0);
}

fn second_thread(server: &Program) -> u32 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let numbers = tasks.map(|task| task.unwrap().file_name().to_str().unwrap().parse().unwrap());
    numbers.max().expect("there are two threads")
}

/// It would keep a successor alive that hangs: the service manager accepts messages of both.
#[test]
fn a_server_that_was_taken_over_tells_nothing() {
    let scratch = Scratch::new();
    let (manager, name) = manager(&scratch);
    let variables = [("NOTIFY_SOCKET", name.as_str()), ("WATCHDOG_USEC", "40000")];
    let control = scratch.file("control");
    let arguments = ["--tcp", "127.0.0.1:0", "--takeover", &control, "--drain-timeout", "1h"];
    let mut first = started(&variables, &arguments);
    let mut open = connect(&address(&first));
    echo(&mut open, b"before");
    expect(&manager, "READY=1\n");
    expect(&manager, "WATCHDOG=1\n");
    // This one has no manager: what is told after the takeover is told by the first one.
    let second = Program::serving(&["--takeover", &control]);
    first.stderr.line_with("handed over to another server");
    manager.set_nonblocking(true).unwrap();
    while manager.recv(&mut [0; 64]).is_ok() {}
    manager.set_nonblocking(false).unwrap();
    first.signal("HUP");
    first.stderr.line_with("reloaded: ");
    echo(&mut open, b"after");
    assert_eq!(message(&manager, QUIET), None, "invariant: the service is the successor's");
    drop(open);
    first.end().expect_code(0);
    assert_eq!(message(&manager, QUIET), None, "nor that it stops");
    second.stop().expect_code(0);
}

#[test]
fn a_watchdog_of_another_process_or_without_a_socket_is_ignored() {
    let scratch = Scratch::new();
    let (manager, name) = manager(&scratch);
    let variables =
        [("NOTIFY_SOCKET", name.as_str()), ("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")];
    let server = started(&variables, &["--tcp", "127.0.0.1:0"]);
    expect(&manager, "READY=1\n");
    assert_eq!(message(&manager, QUIET), None, "invariant: WATCHDOG_PID is another process");
    server.stop().expect_code(0);
    let server = started(&[("WATCHDOG_USEC", "20000")], &["--tcp", "127.0.0.1:0"]);
    is_served(&address(&server));
    server.stop().expect_code(0);
}

#[test]
fn a_watchdog_that_cannot_be_served_is_one_clear_line() {
    let scratch = Scratch::new();
    let (_manager, name) = manager(&scratch);
    for (time, model, expected) in [
        ("soon", "epoll-edge", "WATCHDOG_USEC=soon is not a number of microseconds"),
        ("0", "epoll-edge", "WATCHDOG_USEC=0 is not a number of microseconds"),
        ("1000000", "poll", "WATCHDOG_USEC (WatchdogSec) is set: only the reactor's server"),
    ] {
        let variables = [("NOTIFY_SOCKET", name.as_str()), ("WATCHDOG_USEC", time)];
        let mut server = started(&variables, &["--tcp", "127.0.0.1:0", "--model", model]);
        let ending = server.end();
        let line = ending.expect_code(1).single_error_line();
        assert!(line.contains(expected), "{line}");
    }
}
