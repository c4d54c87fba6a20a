//! `--trace=perfetto:FILE`: valid JSON at any moment, a track per thread, a slice per call.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::client::{connect, echo};
use crate::support::process::Process;
use crate::support::procfs::state;
use crate::support::program::{PROGRAM, Program};
use crate::support::scratch::Scratch;
use crate::support::wait::until;

/// The events of a file, which is valid.
fn events(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let json: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("invariant: the file is valid JSON: {error}\n{text}"));
    json.as_array().unwrap().clone()
}

fn slices<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["ph"] == "X" && event["name"] == name).collect()
}

#[test]
fn every_call_is_a_slice_on_the_track_of_its_thread() {
    let scratch = Scratch::new();
    let path = scratch.file("trace.json");
    let trace = format!("--trace=perfetto:{path}");
    let server = Program::serving(&["--tcp", "127.0.0.1:0", "--threads", "2", &trace]);
    for _ in 0..20 {
        echo(&mut connect(&server.tcp()), b"hello");
    }
    let pid = u64::from(server.pid());
    server.stop().expect_code(0);
    let events = events(&path);
    let received = slices(&events, "recvfrom");
    assert!(received.len() >= 20, "{}", received.len());
    let with_text = |event: &&&Value| {
        let arguments = event["args"]["arguments"].as_str().unwrap();
        arguments.contains("\"hello\"") && event["args"]["result"] == "5"
    };
    assert_eq!(received.iter().filter(with_text).count(), 20);
    let tracks: BTreeSet<u64> =
        slices(&events, "epoll_wait").iter().map(|event| event["tid"].as_u64().unwrap()).collect();
    assert_eq!(tracks, BTreeSet::from([pid, pid + 1]), "a track for each thread");
    let names: BTreeSet<&str> = events
        .iter()
        .filter(|event| event["ph"] == "M" && event["name"] == "thread_name")
        .map(|event| event["args"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["thread 0", "thread 1"]));
    for event in events.iter().filter(|event| event["ph"] == "X") {
        assert!(event["ts"].as_f64().unwrap() > 0.0 && event["dur"].as_f64().unwrap() >= 0.0);
        assert_eq!(event["pid"].as_u64(), Some(pid));
    }
}

#[test]
fn the_file_is_valid_when_the_server_is_killed() {
    let scratch = Scratch::new();
    let path = scratch.file("trace.json");
    let server = Program::serving(&["--tcp", "127.0.0.1:0", &format!("--trace=perfetto:{path}")]);
    let mut client = connect(&server.tcp());
    let is_traced = |echoes: usize| {
        let text = fs::read_to_string(&path).unwrap();
        text.matches("\"sendto\"").count() >= echoes
    };
    for round in 1..=30 {
        echo(&mut client, b"hello");
        // Wherever it is stopped. (A reader beside a writer may see two states of the file.)
        if round % 10 == 0 {
            until("the echo to be traced", || is_traced(round));
            echo(&mut client, b"and more");
            server.signal("STOP");
            until("the server to stop", || state(server.pid()) == 'T');
            assert!(slices(&events(&path), "sendto").len() >= round);
            server.signal("CONT");
        }
    }
    server.signal("KILL");
    drop(server);
    assert!(slices(&events(&path), "sendto").len() >= 30);
}

#[test]
fn processes_share_one_valid_file() {
    let scratch = Scratch::new();
    let path = scratch.file("trace.json");
    let trace = format!("--trace=perfetto:{path}");
    let server =
        Program::serving(&["--tcp", "127.0.0.1:0", "--model", "prefork", "--workers", "3", &trace]);
    for _ in 0..30 {
        echo(&mut connect(&server.tcp()), b"hello");
    }
    server.stop().expect_code(0);
    let events = events(&path);
    assert_eq!(slices(&events, "accept4").iter().filter(|it| is_success(it)).count(), 30);
    let pids: BTreeSet<u64> = events.iter().map(|event| event["pid"].as_u64().unwrap()).collect();
    assert!(pids.len() >= 2, "parent and workers: {pids:?}");
}

fn is_success(event: &Value) -> bool {
    !event["args"]["result"].as_str().unwrap().starts_with("-1")
}

#[test]
fn a_file_that_may_not_grow_stays_valid_and_the_server_continues() {
    let scratch = Scratch::new();
    let path = scratch.file("trace.json");
    // 32 blocks of 512 bytes, or of 1024: some dozen events.
    let limit = ["sh".to_owned(), "-c".into(), "ulimit -f 32; exec \"$0\" \"$@\"".into()];
    let server = Program::serving_under(
        &limit,
        &["--tcp", "127.0.0.1:0", &format!("--trace=perfetto:{path}")],
    );
    let mut client = connect(&server.tcp());
    for _ in 0..200 {
        echo(&mut client, b"hello");
    }
    let output = server.stop();
    output.expect_code(0);
    assert_eq!(output.stderr.matches("trace truncated").count(), 1, "{}", output.stderr);
    assert!(slices(&events(&path), "sendto").len() > 3);
    assert!(fs::metadata(&path).unwrap().len() <= 32 * 1024);
}

#[test]
fn nc_writes_such_a_trace_too() {
    let scratch = Scratch::new();
    let path = scratch.file("nc.json");
    let server = Program::serving(&["--tcp", "127.0.0.1:0"]);
    let address = server.tcp();
    let (host, port) = address.rsplit_once(':').unwrap();
    let mut nc = std::process::Command::new(PROGRAM);
    nc.args(["nc", "-N", &format!("--trace=perfetto:{path}"), host, port]);
    let mut nc = Process::start(nc);
    nc.write_stdin(b"hello\n");
    drop(nc.take_stdin());
    let output = nc.end();
    output.expect_code(0);
    assert_eq!(output.stdout, "hello\n");
    let events = events(&path);
    for name in ["connect", "epoll_ctl", "sendto", "shutdown", "recvfrom", "write", "close"] {
        assert!(!slices(&events, name).is_empty(), "{name} is traced");
    }
}

#[test]
fn what_cannot_be_rewritten_is_refused_in_one_line() {
    for target in ["/dev/null", "/nowhere/at/all"] {
        let refused = Program::run(&["echo", &format!("--trace=perfetto:{target}")]);
        refused.expect_code(1);
        assert!(refused.single_error_line().contains(&format!("--trace: {target}: ")));
    }
}

#[test]
fn a_path_with_an_end_of_line_is_reported_in_one_line() {
    let output = Program::run(&["echo", "--trace=perfetto:/nonexistent/\x1b[31m\nfile"]);
    output.expect_code(1);
    assert!(output.single_error_line().contains("/nonexistent/?[31m?file"), "{output:?}");
}
