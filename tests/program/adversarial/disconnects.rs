//! Every way a connection can end: clean close, early close, reset, silent disappearance.

use std::io::Write;

use crate::support::TRIGGERS;
use crate::support::client::{Duplex, connect, connect_unix, echo, is_served, read_to_end};
use crate::support::json::Json;
use crate::support::pattern::bytes;
use crate::support::procfs::{descriptors, we_are_root};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tool::{python, python_succeeds};
use crate::support::wait::eventually;

#[test]
fn data_and_fin_in_one_segment_are_both_seen() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let listeners = ["--tcp", "127.0.0.1:0", "--unix", &path];
        let server = Program::serving(&[&listeners[..], &["--trigger", trigger]].concat());
        for size in [0, 1, 5, 4096, 16_384, 65_536, 100_000] {
            // While stopped, the server cannot observe a partial state.
            server.signal("STOP");
            let tcp = sent_and_ended(connect(&server.tcp()), size);
            let unix = sent_and_ended(connect_unix(&path), size);
            server.signal("CONT");
            echoes_to_the_end(tcp, size);
            echoes_to_the_end(unix, size);
        }
    }
}

#[test]
fn data_and_fin_together_are_both_seen_on_an_established_connection() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let listeners = ["--tcp", "127.0.0.1:0", "--unix", &path];
        let server = Program::serving(&[&listeners[..], &["--trigger", trigger]].concat());
        for size in [0, 1, 5, 4096, 16_384, 65_536, 100_000] {
            let mut tcp = connect(&server.tcp());
            let mut unix = connect_unix(&path);
            echo(&mut tcp, b"we know each other");
            echo(&mut unix, b"we know each other");
            server.signal("STOP");
            let tcp = sent_and_ended(tcp, size);
            let unix = sent_and_ended(unix, size);
            server.signal("CONT");
            echoes_to_the_end(tcp, size);
            echoes_to_the_end(unix, size);
        }
    }
}

fn sent_and_ended<S: Duplex>(mut stream: S, size: usize) -> S {
    stream.write_all(&bytes(size)).unwrap();
    stream.half_close();
    stream
}

#[track_caller]
fn echoes_to_the_end(mut stream: impl Duplex, size: usize) {
    assert_eq!(read_to_end(&mut stream), size, "invariant: all data comes back, then EOF");
}

#[test]
fn resets_during_an_echo_leak_nothing() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        is_served(&server.tcp());
        let descriptors = settled(&server, 1);
        run_clients(&server, "reset", 500);
        let after = settled(&server, 501);
        assert_eq!(after, descriptors, "invariant: a reset connection is closed");
        assert!(
            after_all(&server).number("connections.reset") > 0,
            "invariant: a reset is counted as one"
        );
        is_served(&server.tcp());
    }
}

#[test]
fn resets_by_non_readers_leak_nothing() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        is_served(&server.tcp());
        let descriptors = settled(&server, 1);
        for size in 0..200 {
            // Closing with unread input sends a reset.
            let mut client = connect(&server.tcp());
            client.write_all(&bytes(size * 333)).unwrap();
        }
        assert_eq!(settled(&server, 201), descriptors, "invariant: a reset connection is closed");
        is_served(&server.tcp());
    }
}

#[test]
fn resets_in_the_backlog_leak_nothing() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        is_served(&server.tcp());
        let descriptors = settled(&server, 1);
        server.signal("STOP");
        run_clients(&server, "reset", 100);
        run_clients(&server, "churn", 100);
        server.signal("CONT");
        is_served(&server.tcp());
        assert_eq!(
            settled(&server, 0),
            descriptors,
            "invariant: connections reset in the backlog are closed"
        );
    }
}

#[test]
fn twenty_thousand_connections_leak_nothing() {
    let server = Program::on_tcp("edge");
    is_served(&server.tcp());
    let descriptors = settled(&server, 1);
    run_clients(&server, "churn", 20_000);
    assert_eq!(
        settled(&server, 20_001),
        descriptors,
        "invariant: a connection closed by the client is closed by the server"
    );
    is_served(&server.tcp());
}

#[test]
fn connections_leak_nothing_in_any_mode() {
    for trigger in TRIGGERS {
        let address = ["--tcp", "127.0.0.1:0", "--log-format", "json", "--trigger", trigger];
        let server = Program::serving(&[&address[..], &["--threads", "2"]].concat());
        is_served(&server.tcp());
        let descriptors = settled(&server, 1);
        run_clients(&server, "churn", 2000);
        assert_eq!(
            settled(&server, 2001),
            descriptors,
            "invariant: a connection closed by the client is closed by the server"
        );
        is_served(&server.tcp());
    }
}

#[test]
fn vanished_peers_are_closed_by_the_idle_timeout() {
    for trigger in TRIGGERS {
        let limits = ["--idle-timeout", "1s", "--log-format", "json"];
        let address = ["--tcp", "127.0.0.1:0", "--trigger", trigger];
        let server = Program::serving(&[&address[..], &limits].concat());
        let arguments = arguments(&server, "vanish", 20);
        let ending = python("clients.py", &arguments.each_ref().map(String::as_str)).end();
        if ending.code() == Some(77) {
            // Disappearing silently needs TCP_REPAIR, which needs root. Silent clients are covered
            // above.
            assert!(!we_are_root(), "invariant: root may use TCP_REPAIR; {}", ending.stderr);
            return;
        }
        ending.expect_code(0);
        settled(&server, 20);
        assert_eq!(after_all(&server).number("connections.timed_out"), 20);
        is_served(&server.tcp());
    }
}

fn run_clients(server: &Program, what: &str, count: u32) {
    let arguments = arguments(server, what, count);
    python_succeeds("clients.py", &arguments.each_ref().map(String::as_str));
}

fn arguments(server: &Program, what: &str, count: u32) -> [String; 4] {
    let address = server.tcp();
    let (host, port) = address.rsplit_once(':').unwrap();
    [what, host, port, &count.to_string()].map(str::to_owned)
}

/// Waits until at least `accepted` connections have been accepted, and all are closed; counts
/// descriptors.
fn settled(server: &Program, accepted: u64) -> usize {
    eventually("every connection to be closed", || {
        let statistics = server.statistics();
        let open = statistics.number("connections.open");
        let got = statistics.number("connections.accepted");
        (open == 0 && got >= accepted).then(|| descriptors(server.pid()))
    })
}

/// Statistics in which accepted and finished connections add up.
fn after_all(server: &Program) -> Json {
    let statistics = server.statistics();
    let number = |path: &str| statistics.number(path);
    let gone = number("connections.closed");
    assert!(
        number("connections.accepted") >= gone
            && gone + number("connections.reset") + number("connections.timed_out")
                >= number("connections.accepted"),
        "invariant: every connection has a close reason; got {statistics:?}"
    );
    statistics
}
