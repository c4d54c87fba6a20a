//! Every way a connection can end: in order, in a hurry, by reset, without a word.

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
fn data_and_the_end_in_one_go_are_both_seen() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let listeners = ["--tcp", "127.0.0.1:0", "--unix", &path];
        let server = Program::serving(&[&listeners[..], &["--trigger", trigger]].concat());
        for size in [0, 1, 5, 4096, 16_384, 65_536, 100_000] {
            // Stopped, it cannot look before everything is there.
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
fn data_and_the_end_in_one_go_are_both_seen_on_a_connection_known_before() {
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
    assert_eq!(read_to_end(&mut stream), size, "law: all that is sent comes back, then the end");
}

#[test]
fn resets_in_the_middle_of_an_echo_leave_nothing_behind() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        is_served(&server.tcp());
        let descriptors = settled(&server, 1);
        crowd(&server, "reset", 500);
        let after = settled(&server, 501);
        assert_eq!(after, descriptors, "law: a reset connection is closed");
        assert!(after_all(&server).number("connections.reset") > 0, "law: a reset is called one");
        is_served(&server.tcp());
    }
}

#[test]
fn resets_of_clients_that_did_not_read_leave_nothing_behind() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        is_served(&server.tcp());
        let descriptors = settled(&server, 1);
        for size in 0..200 {
            // Whoever closes with unread input resets.
            let mut client = connect(&server.tcp());
            client.write_all(&bytes(size * 333)).unwrap();
        }
        assert_eq!(settled(&server, 201), descriptors, "law: a reset connection is closed");
        is_served(&server.tcp());
    }
}

#[test]
fn resets_while_still_in_the_queue_leave_nothing_behind() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        is_served(&server.tcp());
        let descriptors = settled(&server, 1);
        server.signal("STOP");
        crowd(&server, "reset", 100);
        crowd(&server, "churn", 100);
        server.signal("CONT");
        is_served(&server.tcp());
        assert_eq!(settled(&server, 0), descriptors, "law: what was dead in the queue is closed");
    }
}

#[test]
fn twenty_thousand_connects_and_closes_leave_nothing_behind() {
    let server = Program::on_tcp("edge");
    is_served(&server.tcp());
    let descriptors = settled(&server, 1);
    crowd(&server, "churn", 20_000);
    assert_eq!(settled(&server, 20_001), descriptors, "law: what is closed is closed here too");
    is_served(&server.tcp());
}

#[test]
fn connects_and_closes_leave_nothing_behind_in_any_mode() {
    for trigger in TRIGGERS {
        let address = ["--tcp", "127.0.0.1:0", "--log", "json", "--trigger", trigger];
        let server = Program::serving(&[&address[..], &["--threads", "2"]].concat());
        is_served(&server.tcp());
        let descriptors = settled(&server, 1);
        crowd(&server, "churn", 2000);
        assert_eq!(settled(&server, 2001), descriptors, "law: closed is closed here too");
        is_served(&server.tcp());
    }
}

#[test]
fn peers_that_vanish_without_a_word_are_shown_out_as_idle() {
    for trigger in TRIGGERS {
        let limits = ["--idle-timeout", "1s", "--log", "json"];
        let address = ["--tcp", "127.0.0.1:0", "--trigger", trigger];
        let server = Program::serving(&[&address[..], &limits].concat());
        let arguments = arguments(&server, "vanish", 20);
        let ending = python("crowd.py", &arguments.each_ref().map(String::as_str)).end();
        if ending.code() == Some(77) {
            // To vanish takes TCP_REPAIR, and that takes root. Silent clients are shown above.
            assert!(!we_are_root(), "law: root may vanish; {}", ending.stderr);
            return;
        }
        ending.expect_code(0);
        settled(&server, 20);
        assert_eq!(after_all(&server).number("connections.timed_out"), 20);
        is_served(&server.tcp());
    }
}

fn crowd(server: &Program, what: &str, count: u32) {
    let arguments = arguments(server, what, count);
    python_succeeds("crowd.py", &arguments.each_ref().map(String::as_str));
}

fn arguments(server: &Program, what: &str, count: u32) -> [String; 4] {
    let address = server.tcp();
    let (host, port) = address.rsplit_once(':').unwrap();
    [what, host, port, &count.to_string()].map(str::to_owned)
}

/// Waits until `accepted` connections have come, or more, and all are gone; counts descriptors.
fn settled(server: &Program, accepted: u64) -> usize {
    eventually("every connection to be closed", || {
        let statistics = server.statistics();
        let open = statistics.number("connections.open");
        let came = statistics.number("connections.accepted");
        (open == 0 && came >= accepted).then(|| descriptors(server.pid()))
    })
}

/// Statistics, in which what came in and what became of it are the same number.
fn after_all(server: &Program) -> Json {
    let statistics = server.statistics();
    let number = |path: &str| statistics.number(path);
    let gone = number("connections.closed");
    assert!(
        number("connections.accepted") >= gone
            && gone + number("connections.reset") + number("connections.timed_out")
                >= number("connections.accepted"),
        "law: every connection is told how it ended; got {statistics:?}"
    );
    statistics
}
