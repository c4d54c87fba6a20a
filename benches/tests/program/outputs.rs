//! Outputs: files with a size limit, non-blocking pipes, formats of other tools; and environment
//! variables.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::support::{Run, bench, finish, plain_tcp, run, udp};

/// Runs with a limit of file size.
fn with_file_limit(bytes: u32, arguments: &str) -> Run {
    let program = bench(arguments);
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={bytes}")).arg(program.get_program()).args(program.get_args());
    finish(command)
}

#[test]
fn a_file_size_limit_loses_the_log_but_not_the_result() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let how = format!("-n 3000 --warmup 0 --json --hlog {}", log.display());
    let run = with_file_limit(0, &format!("load {} {how}", plain_tcp()));
    run.ended(69, "--hlog: File too large");
    assert_eq!(run.json()["messages"], 3000, "the result is printed");
}

#[test]
fn a_file_size_limit_leaves_no_partial_result() {
    let dir = tempfile::tempdir().unwrap();
    let (out, hgrm) = (dir.path().join("out"), dir.path().join("it.hgrm"));
    let address = plain_tcp();
    let how = format!("-n 3000 --warmup 0 --json --out {}", out.display());
    let run = with_file_limit(64, &format!("load {address} {how}"));
    run.ended(69, "--out: ");
    assert_eq!(run.json()["messages"], 3000, "the result is printed");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "no partial file is left");
    let how = format!("-n 3000 --warmup 0 --json --hgrm={}", hgrm.display());
    let run = with_file_limit(64, &format!("load {address} {how}"));
    run.ended(69, "--hgrm: ");
    assert_eq!(run.json()["messages"], 3000, "the result is printed");
}

#[test]
fn a_full_stdout_does_not_prevent_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let hgrm = dir.path().join("it.hgrm");
    let how = format!("--out {} --hgrm={}", dir.path().display(), hgrm.display());
    let mut command = Command::new("sh");
    let program = bench(&format!("load {} -n 30 --warmup 0 {how}", plain_tcp()));
    command.args(["-c", "exec \"$0\" \"$@\" > /dev/full"]);
    command.arg(program.get_program()).args(program.get_args());
    finish(command).ended(69, "standard output: No space left on device");
    assert!(dir.path().join("rank-0.json").exists(), "the result of the rank");
    assert!(std::fs::read_to_string(hgrm).unwrap().contains("= "), "the distribution");
}

/// Output through a non-blocking pipe of one page. It is read only when it is full, or the program
/// has ended.
fn through_a_full_pipe(arguments: &str) -> (Option<i32>, String) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let (mut read, write): (File, OwnedFd) = (reader.into(), writer);
    fcntl(&write, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let watched = write.try_clone().unwrap();
    let mut command = bench(arguments);
    let mut child = command.stdout(write).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let deadline = Instant::now() + Duration::from_secs(100);
    loop {
        let mut room = [PollFd::new(watched.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut room, PollTimeout::ZERO).unwrap() == 0 || child.try_wait().unwrap().is_some() {
            break;
        }
        assert!(Instant::now() < deadline, "{arguments}: it writes nothing and does not end");
        thread::yield_now();
    }
    drop(watched);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn a_nonblocking_output_is_written_completely() {
    // With the descriptions of the mismatches the output is longer than a page.
    let address = udp(|_, message| {
        let mut bytes = message.to_vec();
        bytes[50] ^= 1;
        vec![bytes]
    });
    let how = "--udp -d 16 -n 20000 --warmup 0 --hgrm";
    let (code, text) = through_a_full_pipe(&format!("load {address} {how}"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.len() > 4096 && text.contains("SubBuckets     =         2048]\n"), "{text}");
    for arguments in ["completions bash", "load --help", "compare --help"] {
        let (code, text) = through_a_full_pipe(arguments);
        assert_eq!((code, text), (Some(0), run(arguments).out), "{arguments}");
    }
}

/// The log is a pipe that is full before the load starts, and is read after the result.
#[test]
fn an_unread_log_does_not_pause_the_load() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut pipe = File::options().read(true).write(true).open(&path).unwrap();
    fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    pipe.write_all(&[b'#'; 4096]).unwrap();
    let how = format!("-t 1200ms --warmup 0 --json --hlog {}", path.display());
    let mut command = bench(&format!("load {} {how}", plain_tcp()));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (send, result) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        while !text.ends_with(b"\n}\n") {
            let mut piece = [0; 4096];
            match stdout.read(&mut piece) {
                Ok(count @ 1..) => text.extend_from_slice(&piece[..count]),
                _ => break,
            }
        }
        send.send(text)
    });
    let Ok(text) = result.recv_timeout(Duration::from_secs(60)) else {
        child.kill().unwrap();
        panic!("the load waits for its log");
    };
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert!(json["messages"].as_u64() > Some(0), "{json}");
    // Now the log is read until the program has ended and the pipe is empty.
    let mut log = Vec::new();
    loop {
        let has_ended = child.try_wait().unwrap().is_some();
        let mut room = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        if poll(&mut room, 10_u8).unwrap() > 0 {
            let mut piece = [0; 4096];
            let count = pipe.read(&mut piece).unwrap();
            log.extend_from_slice(&piece[..count]);
        } else if has_ended {
            break;
        }
    }
    assert!(child.wait().unwrap().success());
    let log = String::from_utf8(log).unwrap();
    assert!(log.contains("[Histogram log format version 1.3]"), "{log}");
}

#[test]
fn the_distribution_can_be_written_to_its_own_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.hgrm");
    let how = format!("-n 1000 --warmup 0 --json --hgrm={}", path.display());
    let run = run(&format!("load {} {how}", plain_tcp()));
    assert_eq!((run.code, &run.json()["messages"]), (Some(0), &1000.into()), "{run:?}");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"),
        "{text}"
    );
    assert!(text.ends_with("#[Buckets =           26, SubBuckets     =         2048]\n"), "{text}");
    crate::support::run("load 127.0.0.1:7 --hgrm=/nowhere/at/all").ended(2, "--hgrm: /nowhere");
}

#[test]
fn the_interval_log_has_the_reference_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let how = format!("-n 1000 --warmup 0 --hlog {}", path.display());
    assert_eq!(run(&format!("load {} {how}", plain_tcp())).code, Some(0));
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "#[Histogram log format version 1.3]");
    let legend =
        "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"";
    let at = lines.iter().position(|line| *line == legend).expect("the legend");
    assert!(lines[..at].iter().all(|line| line.starts_with('#')), "comments before it: {text}");
    assert_eq!(lines.len(), at + 2, "one interval behind it: {text}");
    for comment in ["#[StartTime: ", "#[BaseTime: "] {
        assert!(lines[..at].iter().any(|line| line.starts_with(comment)), "{comment}: {text}");
    }
}

const VARIABLES: [&str; 13] = [
    "EPL_CONNECTIONS",
    "EPL_DEPTH",
    "EPL_MESSAGE_SIZE",
    "EPL_RATE",
    "EPL_DURATION",
    "EPL_WARMUP",
    "EPL_SEED",
    "EPL_PIN",
    "EPL_START_AT",
    "EPL_OUT",
    "EPL_RANK",
    "EPL_SIZE",
    "JOB_COMPLETION_INDEX",
];

fn with(variables: &[(&str, &str)], arguments: &str) -> Run {
    let mut command = bench(arguments);
    command.envs(variables.iter().copied());
    finish(command)
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let load = format!("load {} -n 10 --warmup 0 --json", plain_tcp());
    for name in VARIABLES {
        let run = with(&[(name, "")], &load);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{name}: {run:?}");
    }
    let all: Vec<(&str, &str)> = VARIABLES.map(|name| (name, "")).to_vec();
    assert_eq!(with(&all, &load).code, Some(0));
    with(&[("EPL_ADDR", "")], "load -n 10").ended_with_usage("<ADDR>");
    with(&[("EPL_RATE", "")], &format!("{load} --poisson")).ended_with_usage("--rate <R>");
    with(&[("EPL_RATE", "x")], &load).ended_with_usage("'x' is not an amount");
}

#[test]
fn the_command_line_takes_precedence_over_the_environment() {
    let address = plain_tcp();
    let run = with(&[("EPL_DURATION", "60s")], &format!("load {address} -n 10 --warmup 0 --json"));
    assert_eq!((run.code, &run.json()["messages"]), (Some(0), &10.into()), "{run:?}");
    let variables = [("EPL_DEPTH", "4"), ("EPL_CONNECTIONS", "7")];
    let run = with(&variables, &format!("load {address} --churn -c 2 -n 10 --warmup 0 --json"));
    assert_eq!((run.code, &run.json()["config"]["connections"]), (Some(0), &2.into()), "{run:?}");
    with(&[], &format!("load {address} -n 10 -t 1s")).ended_with_usage("cannot be used with");
    with(&[], &format!("load {address} -n 10 --churn -d 4"))
        .ended(2, "with churn a connection carries");
}

/// Width of a terminal.
const WIDTH: usize = 80;

#[track_caller]
fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn every_help_text_fits_into_80_columns() {
    let commands =
        ["", "load", "merge", "compare", "models", "instructions", "report", "completions"];
    for command in commands {
        for help in ["--help", "-h"] {
            let run = run(&format!("{command} {help}"));
            assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{command} {help}");
            fits(&run.out);
        }
    }
    fits(&run("load").err);
}

#[test]
fn every_result_fits_into_80_columns() {
    let dir = tempfile::tempdir().unwrap();
    let address = plain_tcp();
    let how = format!("-c 20 --rate 2k -n 500 --warmup 0 --out {}", dir.path().display());
    let load = run(&format!("load {address} {how} --server-pid 1"));
    assert!(load.code == Some(0) && load.out.contains("send lag"), "{load:?}");
    fits(&load.out);
    let merged = run(&format!("merge {}", dir.path().display()));
    assert_eq!(merged.code, Some(0), "{merged:?}");
    fits(&merged.out);
}
