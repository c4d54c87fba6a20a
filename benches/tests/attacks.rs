//! `attacks` as a program: a short run with epollite's server, which is not judged by time; servers
//! that are wrong, or end; its arguments.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

mod deadline;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use epollite_bench::attacks::Attacks;

/// How wide a terminal is.
const WIDTH: usize = 80;

/// How long the server that does not like many connections waits, and how many those are.
const DELAY: Duration = Duration::from_millis(30);
const MANY: usize = 100;

/// When this program is started again as a server, this is its main function: it ends, alters, or
/// becomes slow with the connections of an attack.
#[test]
fn serves_when_told_so() {
    let (Ok(wrong), Ok(port)) = (std::env::var("WRONG"), std::env::var("PORT")) else { return };
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    let open = Arc::new(AtomicUsize::new(0));
    for (nth, stream) in listener.incoming().enumerate() {
        let (mut stream, wrong) = (stream.unwrap(), wrong.clone());
        if wrong == "ends" && nth > 100 {
            std::process::exit(3);
        }
        let open = Arc::clone(&open);
        open.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buf) {
                if wrong == "alters" && nth > 1 {
                    buf[0] ^= 1;
                }
                if wrong == "slow-with-many" && open.load(Ordering::Relaxed) > MANY {
                    std::thread::sleep(DELAY);
                }
                if stream.write_all(&buf[..count]).is_err() {
                    break;
                }
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn attacks(arguments: &[&str]) -> Output {
    deadline::program().arg("attacks").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_attack_takes_place_and_the_polite_client_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("a.json");
    let json = json.to_str().unwrap();
    let output =
        attacks(&["--servers", "epoll-edge", "--rounds", "1", "--slice", "20ms", "--json", json]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let out = text(&output.stdout);
    assert!(out.lines().all(|line| line.chars().count() <= WIDTH), "{out}");
    let found: Attacks =
        serde_json::from_str(&std::fs::read_to_string(Path::new(json)).unwrap()).unwrap();
    assert_eq!(found.servers, ["epoll-edge", "A/A"]);
    let names: Vec<&str> = found.rows.iter().map(|row| row.attack.as_str()).collect();
    let expected = ["churn", "reset", "flood", "slowloris", "silent", "stream", "tiny", "late"];
    assert_eq!(names, expected);
    for row in &found.rows {
        assert!(out.contains(&format!("\n{} ", row.attack)), "{out}");
        for measured in &row.servers {
            let [round] = measured.rounds[..] else { panic!("{row:?}") };
            assert!(round.actions > 0, "the attackers did something: {row:?}");
            for pair in [round.echo, round.connect] {
                assert!(pair.quiet.count > 0 && pair.attacked.count > 0, "{row:?}");
                assert!(pair.quiet.p50_ns <= pair.quiet.p99_ns, "{row:?}");
                assert!(pair.attacked.p99_ns <= pair.attacked.max_ns, "{row:?}");
            }
        }
    }
}

/// No ratio is as great as the first, and none is as small as the last.
#[test]
fn a_threshold_is_exit_code_1() {
    let short =
        ["--servers", "epoll-edge", "--attacks", "churn", "--rounds", "1", "--slice", "5ms"];
    for (most, code) in [("1000000000", 0), ("0.000000001", 1)] {
        let output = attacks(&[&short[..], &["--fail-if", most]].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let lines = text(&output.stderr).lines().count();
        // Three figures, of the server and of its copy.
        assert_eq!(lines, if code == 0 { 0 } else { 6 }, "{output:?}");
    }
}

/// The server of this file, as an argument.
fn extra(how: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    let server = "--exact serves_when_told_so --nocapture --quiet";
    format!("{how}=env WRONG={how} PORT={{port}} {program} {server}")
}

/// What the client is made to wait under attack is in the figures: a lower bound, which no machine
/// can break.
#[test]
fn the_attack_goes_on_while_the_client_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("a.json");
    let json = json.to_str().unwrap();
    let output = attacks(&[
        "--servers",
        "epoll-edge",
        "--extra",
        &extra("slow-with-many"),
        "--attacks",
        "slowloris",
        "--rounds",
        "1",
        "--slice",
        "100ms",
        "--json",
        json,
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found: Attacks = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let [round] = found.rows[0].servers[2].rounds[..] else { panic!("{found:?}") };
    let most = u64::try_from(DELAY.as_nanos()).unwrap();
    // A histogram of three digits.
    let least = most - most / 500;
    assert!(round.echo.attacked.p50_ns >= least, "{round:?}");
    assert!(round.connect.attacked.p50_ns >= least, "{round:?}");
}

#[test]
fn a_wrong_server_is_told_and_the_others_are_measured() {
    let output = attacks(&[
        "--servers",
        "epoll-edge",
        "--extra",
        &extra("ends"),
        "--extra",
        &extra("alters"),
        "--attacks",
        "churn",
        "--rounds",
        "2",
        "--slice",
        "20ms",
        "--fail-if",
        "1000000000",
    ]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // Long lines are folded.
    let out = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(out.contains("churn, ends: "), "{out}");
    assert!(out.contains("it ended: exit status: 3"), "{out}");
    assert!(out.contains("churn, alters: "), "{out}");
    assert!(out.contains("differs from what was sent"), "{out}");
    assert!(!out.contains("churn, epoll-edge: "), "{out}");
    assert_eq!(text(&output.stderr).lines().count(), 2, "{output:?}");
}

#[test]
fn bad_arguments_are_2_and_one_line() {
    for (arguments, why) in [
        (&["--servers", "no-such-server"][..], "unknown server 'no-such-server'"),
        (&["--program", "/no/such/program"], "is not a program"),
        (&["--json", "/no/such/folder/a.json"], "cannot write"),
    ] {
        let output = attacks(arguments);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(why) && err.lines().count() == 1, "{arguments:?}: {err}");
    }
    for arguments in
        [["--attacks", "war"], ["--rounds", "0"], ["--slice", "0s"], ["--fail-if", "-1"]]
    {
        let output = attacks(&arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}
