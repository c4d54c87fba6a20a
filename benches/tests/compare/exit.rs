//! Runs that end early: interrupted, with standard output closed, or with an unwritable record.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use epollite_bench::process_usage;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Harness, error_lines};

#[test]
fn an_interrupted_run_reports_partial_results() {
    let harness = Harness::new();
    let bare = harness.bare(&["--cases", "ping,c64", "--rounds", "2000"]);
    // Tests started in the background of a script, or by nohup(1), inherit SIGINT as ignored.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(bare.get_program()).args(bare.get_args());
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let pid = Pid::from_raw(i32::try_from(run.id()).expect("a pid"));
    let before = Instant::now();
    // Three servers and three loads: the case is running.
    while process_usage::process_tree(pid).len() < 7 {
        assert!(before.elapsed() < Duration::from_secs(100), "the case never started");
        std::thread::yield_now();
    }
    let processes = process_usage::process_tree(pid);
    kill(pid, Signal::SIGINT).expect("it runs");
    let output = run.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let lines = error_lines(&output);
    assert_eq!(lines, ["epollite-bench: interrupted; results so far are kept"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("the servers"), "{output:?}");
    let record = harness.record();
    assert_eq!(record.run.failures, ["interrupted by a signal"]);
    assert_eq!(record.cases.len(), 1, "the next case was not started");
    let alive = |pid: &&Pid| kill(**pid, None).is_ok();
    assert_eq!(processes[1..].iter().filter(alive).count(), 0, "no process is left");
}

/// As after `trap '' CHLD` in the parent shell: exec(3) keeps ignored signals.
#[test]
fn an_inherited_ignored_sigchld_is_harmless() {
    let harness = Harness::new();
    let run = harness.bare(&["--cases", "ping", "--rounds", "1"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' CHLD; exec \"$0\" \"$@\""]);
    let output = command.arg(run.get_program()).args(run.get_args()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(harness.record().run.failures.is_empty());
}

#[test]
fn a_closed_stdout_does_not_panic() {
    let harness = Harness::new();
    let full = || std::fs::File::create("/dev/full").expect("every Linux has it");
    let output = harness.command(&["--list"]).stdout(full()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(error_lines(&output)[0].contains("standard output: No space left"), "{output:?}");
    // The run continues for its record.
    let output = harness.command(&["--cases", "ping"]).stdout(full()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(error_lines(&output).len(), 1, "{output:?}");
    assert!(harness.record().run.failures.is_empty());
}

#[test]
fn a_file_size_limit_loses_the_record_but_not_the_run() {
    let harness = Harness::new();
    // Larger than a compiler's output, smaller than a record of this many rounds.
    let run = harness.command(&["--cases", "ping,udp", "--rounds", "250", "--slice", "5ms"]);
    let mut command = Command::new("prlimit");
    command.arg("--fsize=100000").arg(run.get_program()).args(run.get_args());
    let limited = command.output().expect("it runs");
    assert_eq!(limited.status.code(), Some(69), "{limited:?}");
    let lines = error_lines(&limited);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("File too large"), "{lines:?}");
    let text = String::from_utf8_lossy(&limited.stdout);
    assert!(text.contains("\nping: ") && text.contains("\nudp: ") && text.contains("\nconclusion"));
}

#[test]
fn an_unwritable_output_fails_before_building() {
    let harness = Harness::new();
    let nowhere = harness.folder.path().join("no/such/run.json");
    let output = harness.run(&["--cases", "ping", "--json", nowhere.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(error_lines(&output)[0].contains("cannot write"), "{output:?}");
    assert!(output.stdout.is_empty());
}
