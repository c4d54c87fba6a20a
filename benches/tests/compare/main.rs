//! `compare` as a program: its output, its record, and the exit code of each failure. The servers
//! are small Python scripts that fail on purpose; performance is not tested.

#[path = "../deadline/mod.rs"]
mod deadline;
mod exit;
mod own;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use epollite_bench::schema::{ResultFile, Status};

/// An echo server that does `action` at its `count`-th received chunk; the action `expire` exits at
/// the first chunk after `count` seconds of activity.
const MISBEHAVING: &str = "
import os, select, socket, sys, time
count, action = int(sys.argv[2]), sys.argv[3]
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
clients, seen, start = {listener.fileno(): listener}, 0, None
while True:
    for fd in select.select(list(clients), [], [])[0]:
        if fd == listener.fileno():
            client = listener.accept()[0]
            clients[client.fileno()] = client
            continue
        data = clients[fd].recv(65536)
        if not data:
            clients.pop(fd).close()
            continue
        seen += 1
        start = start or time.monotonic()
        if action == 'expire' and time.monotonic() - start > count:
            os._exit(7)
        if action != 'expire' and seen >= count:
            if action == 'die':
                os._exit(7)
            if action == 'silent':
                continue
            if action == 'lie':
                data = data[:-1] + b'!'
        clients[fd].sendall(data)
";

#[test]
fn a_complete_run_succeeds_and_is_recorded() {
    let harness = Harness::new();
    let output = harness.run(&["--servers", "C level", "--cases", "ping,udp"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let record = harness.record();
    assert!(record.run.failures.is_empty(), "{:?}", record.run.failures);
    assert_eq!(names(&record), ["C edge", "A/A", "C level"]);
    let ping = &record.cases[0];
    assert!(ping.noise.is_some() && ping.results.iter().all(|it| it.status == Status::Complete));
    let level = ping.results[2].measured.as_ref().expect("measured");
    assert_eq!(level.rounds.len(), record.run.rounds);
    assert!(level.cpu_ratio.is_some() && level.peak_rss_bytes.is_some());
    assert_eq!(record.cases[1].results[2].status, Status::Skipped, "C level has no UDP");
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["A/A noise", "the noise", "the reference", "skipped: UDP is not supported"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_sweep_offers_rising_rates_to_every_server() {
    let harness = Harness::new();
    let output = harness.run(&["--servers", "C level", "--cases", "knee"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let knee = harness.record().knee.expect("the sweep was requested");
    let names: Vec<&str> = knee.curves.iter().map(|curve| curve.server.as_str()).collect();
    assert_eq!(names, ["C edge", "A/A", "C level"]);
    for curve in &knee.curves {
        assert!(curve.why.is_none() && !curve.steps.is_empty(), "{curve:?}");
        for (one, other) in curve.steps.iter().zip(&knee.curves[0].steps) {
            assert!(
                (one.offered - other.offered).abs() < 1.0,
                "all servers are offered the same rates"
            );
            assert!(one.p50_ns > 0 && one.p50_ns <= one.p99_ns && one.answered > 0.0, "{one:?}");
        }
        assert!(curve.steps.windows(2).all(|pair| pair[0].offered < pair[1].offered));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("knee: open loop"), "{text}");
}

#[test]
fn a_server_that_dies_in_a_sweep_keeps_its_steps() {
    let harness = Harness::new();
    // It exits after a time, not after a number of messages: the number of messages in the first
    // slices depends on the machine. From its first message on, the slices before the first rate
    // take 1.3 s, that rate of all three 0.6 s, and the last one starts after 5.6 s: each slice has
    // a minimum length on every machine.
    let misbehaving = harness.misbehaving("expire", 5);
    let output = harness.run(&["--cases", "knee", "--slice", "100ms", "--extra", &misbehaving]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let record = harness.record();
    let curves = record.knee.expect("the sweep continues").curves;
    assert!(curves[2].why.as_ref().is_some_and(|why| why.contains("exit status: 7")), "{curves:?}");
    assert!(!curves[2].steps.is_empty(), "its earlier steps are kept");
    assert!(curves[2].steps.len() < curves[0].steps.len(), "the reference completes all steps");
    assert_eq!(record.run.failures.len(), 1, "{:?}", record.run.failures);
}

#[test]
fn a_server_that_does_not_start_is_one_line_and_69() {
    let harness = Harness::new();
    for case in ["knee", "ping"] {
        let output = harness.run(&["--cases", case, "--extra", "broken=false {port}"]);
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        let why = "broken: did not start; it ended: exit status: 1";
        assert_eq!(error_lines(&output), [format!("epollite-bench: {case}: broken: {why}")]);
    }
    let record = harness.record();
    assert_eq!(record.cases[0].results[2].status, Status::Absent);
    assert!(record.cases[0].results[1].measured.is_some(), "the others are measured nevertheless");
    assert_eq!(record.run.failures.len(), 1);
}

#[test]
fn a_server_that_dies_is_one_line_and_1_and_its_rounds_are_kept() {
    let (record, line) = failing("die", 1_500);
    assert!(line.contains("it ended: exit status: 7"), "{line}");
    let failed = &record.cases[0].results[2];
    assert_eq!(failed.status, Status::Failed);
    assert!(failed.why.as_ref().is_some_and(|why| why.starts_with("ended: ")), "{failed:?}");
    assert!(record.cases[0].results[0].measured.is_some(), "the others continue");
}

#[test]
fn a_stalled_server_is_reported() {
    let (_, line) = failing("silent", 50);
    assert!(line.contains("stalled: "), "{line}");
}

#[test]
fn orphans_of_a_shell_command_are_killed() {
    let harness = Harness::new();
    let misbehaving = harness.misbehaving("nothing", 1);
    let (_, command) = misbehaving.split_once('=').expect("NAME=COMMAND");
    let script = harness.folder.path().join("misbehaving.py");
    for (after, code) in [("wait", 0), ("", 69)] {
        let extra = format!("left=sh -c '{command} & {after}'");
        let mut command = harness.command(&["--cases", "ping", "--extra", &extra]);
        // No pipe: an orphan would keep it open, and the test would not end.
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it runs");
        assert_eq!(status.code(), Some(code), "{extra}");
        let left: Vec<String> =
            running().filter(|it| it.contains(&*script.to_string_lossy())).collect();
        assert_eq!(left, [""; 0], "{extra}");
    }
}

/// The command lines of all processes.
fn running() -> impl Iterator<Item = String> {
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    all.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok())
}

#[test]
fn duplicate_server_names_are_rejected() {
    let harness = Harness::new();
    for names in [&["C edge"][..], &["A/A"], &["x", "x"]] {
        let extras =
            names.iter().flat_map(|name| ["--extra".to_owned(), format!("{name}=a {{port}}")]);
        let output = harness.command(&["--cases", "ping"]).args(extras).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(error_lines(&output).len(), 1, "{output:?}");
        assert!(error_lines(&output)[0].contains("name of another server"), "{output:?}");
    }
}

#[test]
fn a_missing_program_fails_before_building() {
    let harness = Harness::new();
    let output = harness.run(&["--cases", "ping", "--program", "/nowhere/epollite"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert_eq!(
        error_lines(&output),
        ["epollite-bench: --program: /nowhere/epollite is not a program"]
    );
    assert!(!harness.json().exists());
}

#[test]
fn a_wrong_echo_is_found() {
    let (_, line) = failing("lie", 50);
    assert!(line.contains("wrong: "), "{line}");
}

#[test]
fn bad_arguments_are_one_line_and_2() {
    let harness = Harness::new();
    for (arguments, why) in [
        (["--extra", "broken=sleep 9"], "contains {port}"),
        (["--extra", "broken=true {port} 'x"], "unterminated quote"),
        (["--servers", "missing"], "unknown server 'missing'"),
        (["--reference", "missing"], "--reference: unknown server 'missing'"),
        (["--cases", "nothing"], "the cases are ping"),
        (["--slice", "1ms"], "5ms to 10s"),
        (["--rounds", "0"], "1..=10000"),
    ] {
        let output = harness.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(why), "{arguments:?}: {text}");
    }
}

#[test]
fn without_a_compiler_there_is_no_reference() {
    let harness = Harness::new();
    let output =
        harness.command(&["--cases", "ping"]).env("CC", "false").output().expect("it runs");
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert_eq!(error_lines(&output).len(), 1, "{output:?}");
    assert!(
        error_lines(&output)[0].contains("the reference C edge is not available"),
        "{output:?}"
    );
}

#[test]
fn a_named_but_missing_server_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let harness = Harness::new();
    let node = harness.folder.path().join("node");
    std::fs::write(&node, "#!/bin/sh\nexit 1\n").expect("written");
    std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o755)).expect("allowed");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", harness.folder.path().display());
    let mut command = harness.command(&["--servers", "node", "--cases", "ping"]);
    let output = command.env("PATH", path).output().expect("it runs");
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert_eq!(error_lines(&output).len(), 1, "{output:?}");
    let record = harness.record();
    assert_eq!(record.absent[0].name, "node");
    assert_eq!(names(&record), ["C edge", "A/A"]);
}

/// Runs a failing server; returns the record and the one error line.
fn failing(action: &str, count: usize) -> (ResultFile, String) {
    let harness = Harness::new();
    let extra = harness.misbehaving(action, count);
    let rounds = if count > 1000 { "200" } else { "12" };
    let output = harness.run(&["--cases", "ping", "--rounds", rounds, "--extra", &extra]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = error_lines(&output);
    assert_eq!(lines.len(), 1, "one line per failure: {lines:?}");
    (harness.record(), lines[0].clone())
}

/// The error lines of this program; servers write to standard error too.
fn error_lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| line.starts_with("epollite-bench: ")).map(str::to_owned).collect()
}

fn names(record: &ResultFile) -> Vec<&str> {
    record.servers.iter().map(|server| server.name.as_str()).collect()
}

struct Harness {
    folder: tempfile::TempDir,
}

impl Harness {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    /// The `--extra` argument for the server that does `action` at its `count`-th chunk.
    fn misbehaving(&self, action: &str, count: usize) -> String {
        let script = self.folder.path().join("misbehaving.py");
        std::fs::write(&script, MISBEHAVING).expect("written");
        format!("misbehaving=python3 {} {{port}} {count} {action}", script.display())
    }

    fn json(&self) -> PathBuf {
        self.folder.path().join("run.json")
    }

    fn record(&self) -> ResultFile {
        ResultFile::read(Path::new(&self.json())).expect("the record is written")
    }

    /// The command with a deadline.
    fn command(&self, arguments: &[&str]) -> Command {
        self.with_arguments(deadline::program(), arguments)
    }

    /// The command without a deadline, for tests that need the process itself.
    fn bare(&self, arguments: &[&str]) -> Command {
        self.with_arguments(Command::new(env!("CARGO_BIN_EXE_epollite-bench")), arguments)
    }

    fn with_arguments(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(["compare", "--idle", "0", "--no-syscalls"]);
        if !arguments.contains(&"--servers") {
            command.arg("--no-check");
        }
        if !arguments.contains(&"--json") {
            command.arg("--json").arg(self.json());
        }
        for (name, value) in [("--rounds", "6"), ("--slice", "10ms")] {
            if !arguments.contains(&name) {
                command.args([name, value]);
            }
        }
        if !arguments.contains(&"--servers") {
            // With a server of the test's own, only the reference is measured besides.
            let others = if arguments.contains(&"--extra") { "C edge" } else { "C level" };
            command.args(["--servers", others]);
        }
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }
}
