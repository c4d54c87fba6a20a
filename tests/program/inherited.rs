//! What exec(2) passes on, and nobody meant: signals that are ignored or blocked, children,
//! signals that wait, and what it is to be the first process.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::support::client::{connect, connect_unix, echo, is_served};
use crate::support::process::Process;
use crate::support::program::{PROGRAM, Program};
use crate::support::scratch::Scratch;
use crate::support::wait::{eventually, until};

/// Every model, with a Unix socket where it can have one.
const MODELS: [&str; 10] = [
    "epoll-edge",
    "epoll-level",
    "blocking",
    "process",
    "thread",
    "nonblocking",
    "select",
    "poll",
    "coroutine",
    "prefork",
];

#[test]
fn servers_that_fork_end_although_sigchld_was_ignored_or_blocked() {
    for state in ["--ignore-signal=CHLD", "--block-signal=CHLD"] {
        for model in ["process", "prefork", "reuseport"] {
            let server = Program::serving_under(
                &["env", state],
                &["--tcp", "127.0.0.1:0", "--model", model, "--drain", "1h"],
            );
            let mut client = connect(&server.tcp());
            echo(&mut client, b"here");
            drop(client);
            server.stop().expect_code(0);
        }
    }
}

#[test]
fn workers_that_are_killed_are_missed_although_sigchld_was_ignored() {
    for model in ["prefork", "reuseport"] {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model, "--workers", "2"];
        let mut server = Program::serving_under(&["env", "--ignore-signal=CHLD"], &arguments);
        for worker in eventually("both workers to be there", || {
            Some(children(&server)).filter(|children| children.len() == 2)
        }) {
            server.signals(&format!("kill -9 {worker}"));
        }
        let ending = server.end();
        ending.expect_code(1);
        assert!(ending.stderr.contains("every worker has ended"), "{}", ending.stderr);
    }
}

#[test]
fn signals_that_were_blocked_are_heard() {
    let blocked = ["env", "--block-signal"];
    for model in MODELS {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model, "--log", "json"];
        let server = Program::serving_under(&blocked, &arguments);
        assert_eq!(server.statistics().number("connections.open"), 0);
        server.stop().expect_code(0);
    }
    let mut nc = Program::start_under(&blocked, &["nc", "-lkv", "127.0.0.1", "0"]);
    nc.stderr.line_with("Listening on");
    nc.signal("TERM");
    assert_eq!(nc.end().status.signal(), Some(15));
}

#[test]
fn children_that_were_inherited_are_not_counted_as_lost() {
    for model in ["process", "prefork"] {
        // Fails when it is told to, which is after the server has begun to wait for children.
        let scratch = Scratch::new();
        let pipe = scratch.file("go");
        let line = format!("mkfifo {pipe}; (read -r _ <{pipe}; exit 3) & exec \"$0\" \"$@\"");
        let words = ["echo", "--tcp", "127.0.0.1:0", "--model", model];
        let shell = ["sh", "-c", &line];
        let server = Program::start_under(&shell, &words);
        let listening = server.stdout.line_with("listening on tcp ");
        let address = listening.rsplit(' ').next().unwrap();
        let own = if model == "prefork" { 4 } else { 0 };
        until("all children to be there", || children(&server).len() == own + 1);
        std::fs::write(&pipe, "now\n").unwrap();
        until("the stranger to be reaped", || children(&server).len() == own);
        is_served(address);
        let ending = server.stop();
        ending.expect_code(0);
        assert!(!ending.stderr.contains("code 3"), "law: it was none of ours; {}", ending.stderr);
    }
}

#[test]
fn a_child_that_was_inherited_and_has_ended_is_reaped_at_the_start() {
    drop(crate::support::tool::tool("python3"));
    // It is a zombie when the program begins.
    let script = "import os, sys\n\
        child = os.fork() or os._exit(3)\n\
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)\n\
        os.execvp(sys.argv[1], sys.argv[1:])";
    for model in ["process", "prefork"] {
        let words = ["echo", "--tcp", "127.0.0.1:0", "--model", model];
        let server = Program::start_under(&["python3", "-c", script], &words);
        server.stdout.line_with("listening on tcp ");
        let own = if model == "prefork" { 4 } else { 0 };
        until("the zombie to be reaped", || children(&server).len() == own);
        server.stop().expect_code(0);
    }
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored_but_for_sigterm() {
    let scratch = Scratch::new();
    let ignored = ["env", "--ignore-signal=INT,HUP,QUIT,TERM"];
    for model in MODELS {
        let path = scratch.file(model);
        let words = ["--unix", &path, "--model", model, "--log", "json"];
        let server = Program::serving_under(&ignored, &words);
        for signal in ["INT", "HUP", "QUIT"] {
            server.signal(signal);
        }
        // Signals are read in the order of their numbers: the question is the last.
        assert_eq!(server.statistics().number("connections.accepted"), 0);
        echo(&mut connect_unix(&path), b"still here");
        server.stop().expect_code(0);
    }
    let path = scratch.file("nc");
    let mut nc = Program::start_under(&ignored, &["nc", "-lkU", "--echo", &path]);
    nc.until_it_serves(&path);
    nc.signal("INT");
    echo(&mut connect_unix(&path), b"still here");
    nc.signal("TERM");
    nc.end().expect_code(143);
}

#[test]
fn each_signal_that_ends_it_takes_the_file_of_the_socket_along() {
    let scratch = Scratch::new();
    let heard = ["env", "--default-signal=INT,HUP,QUIT,TERM"];
    for model in MODELS {
        for signal in ["HUP", "INT", "QUIT", "TERM"] {
            let path = scratch.file("socket");
            let mut server = Program::serving_under(&heard, &["--unix", &path, "--model", model]);
            server.signal(signal);
            server.end().expect_code(0);
            assert!(std::fs::metadata(&path).is_err(), "law: SIG{signal} leaves no file, {model}");
        }
    }
    for (signal, code) in [("HUP", 129), ("QUIT", 131)] {
        for words in [&["nc", "-lkU"][..], &["nc", "-luU"]] {
            let path = scratch.file("socket");
            let mut nc = Program::start_under(&heard, &[words, &[&path]].concat());
            until("the socket to be there", || std::fs::metadata(&path).is_ok());
            nc.signal(signal);
            nc.end().expect_code(code);
            assert!(
                std::fs::metadata(&path).is_err(),
                "law: SIG{signal} leaves no file, {words:?}"
            );
        }
    }
}

#[test]
fn a_question_that_comes_before_the_first_moment_does_not_end_it() {
    // It waits, blocked, from before the program is there.
    let line = "kill -s USR1 $$; exec \"$0\" \"$@\"";
    for model in MODELS {
        let early = ["env", "--block-signal=USR1", "sh", "-c", line];
        let server = Program::serving_under(&early, &["--tcp", "127.0.0.1:0", "--model", model]);
        is_served(&server.tcp());
        server.stop().expect_code(0);
    }
}

#[test]
fn the_first_process_of_a_container_ends_by_signals() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let (host, port) = silent.split_once(':').unwrap();
    let commands: [&[&str]; 5] = [
        &["nc", "-lk", "127.0.0.1", "0"],
        &["nc", host, port],
        &["echo", "--check", &silent],
        &["sim", "--seed", "1", "--steps", "1000000000", "-q"],
        &["echo", "--tcp", "127.0.0.1:0"],
    ];
    if !may_make_a_namespace() {
        println!("skipped: namespaces of processes cannot be made here");
        return;
    }
    for words in commands {
        for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
            let namespace = ["env", "--default-signal=INT,HUP,TERM", "unshare"];
            let flags = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
            let mut outside = Program::start_under(&[&namespace[..], &flags].concat(), words);
            // The first process is a child; it hears signals when it has handlers for them.
            let first = eventually("the first process to run", || {
                let first = *children(&outside).first()?;
                let caught = status(first, "SigCgt:")? | status(first, "SigBlk:")?;
                (caught >> 14 & 1 == 1).then_some(first)
            });
            // The server ends in order, from when it has told its address on.
            let is_server = words == ["echo", "--tcp", "127.0.0.1:0"];
            if is_server {
                outside.stdout.line_with("listening on tcp ");
            }
            outside.signals(&format!("kill -s {signal} {first}"));
            let code = if is_server { 0 } else { code };
            outside.end().expect_code(code);
        }
    }
}

#[test]
fn the_first_process_of_a_container_leaves_no_zombie() {
    if !may_make_a_namespace() {
        println!("skipped: namespaces of processes cannot be made here");
        return;
    }
    let scratch = Scratch::new();
    let commands: [&[&str]; 4] = [
        &["nc", "-lk", "127.0.0.1", "0"],
        &["echo", "--tcp", "127.0.0.1:0"],
        &["echo", "--tcp", "127.0.0.1:0", "--model", "thread"],
        &["echo", "--tcp", "127.0.0.1:0", "--model", "process"],
    ];
    for (at, words) in commands.into_iter().enumerate() {
        // One has ended before the program is there, and an orphan ends when it is told to.
        let pipe = scratch.file(&at.to_string());
        let line = format!("mkfifo {pipe}; (sh -c 'read -r _ <{pipe}' &); : & exec \"$0\" \"$@\"");
        let flags = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
        let outside = Program::start_under(&[&flags[..], &["sh", "-c", &line]].concat(), words);
        let first = eventually("the first process to run", || {
            let first = *children(&outside).first()?;
            status(first, "SigCgt:").filter(|_| !children_of(first).is_empty()).map(|_| first)
        });
        std::fs::write(&pipe, "now\n").unwrap();
        until("the orphan to be reaped", || children_of(first).is_empty());
    }
}

fn may_make_a_namespace() -> bool {
    let mut unshare = crate::support::tool::tool("unshare");
    unshare.args(["--user", "--map-root-user", "--pid", "--fork", "true"]);
    unshare.status().is_ok_and(|status| status.success())
}

/// A mask of a process' status, if it is our program already.
fn status(pid: u32, name: &str) -> Option<u64> {
    let own = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    if own.file_name() != std::path::Path::new(PROGRAM).file_name() {
        return None;
    }
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mask = text.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// The processes whose parent is this one, zombies too.
fn children(process: &Process) -> Vec<u32> {
    children_of(process.pid())
}

fn children_of(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn a_limit_of_file_size_ends_no_server() {
    let scratch = Scratch::new();
    for model in ["epoll-edge", "poll", "prefork"] {
        let trace = scratch.file(model);
        let words = ["--tcp", "127.0.0.1:0", "--model", model, &format!("--trace={trace}")];
        let limited = ["sh", "-c", "ulimit -f 4; exec \"$0\" \"$@\""];
        let server = Program::serving_under(&limited, &words);
        for _ in 0..50 {
            is_served(&server.tcp());
        }
        let ending = server.stop();
        ending.expect_code(0);
        assert_eq!(
            ending.stderr.matches("EFBIG").count()
                + ending.stderr.matches("File too large").count(),
            1,
            "law: told once; {ending:?}"
        );
    }
}

#[test]
fn a_limit_of_file_size_is_a_failure_of_nc_and_of_results() {
    let scratch = Scratch::new();
    let line = "ulimit -f 0; exec \"$0\" \"$@\" >\"$OUT\"";
    let run = |words: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", line, PROGRAM]).args(words).env("OUT", scratch.file("out"));
        command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        Process::start_as_is(command)
    };
    let help = run(&["echo", "--help"]).end();
    assert!(help.expect_code(1).one_complaint().contains("File too large"), "{help:?}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut nc = run(&["nc", "127.0.0.1", &port]);
    let (mut guest, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut guest, b"too much").unwrap();
    let nc = nc.end();
    assert!(nc.expect_code(1).one_complaint().contains("EFBIG"), "{nc:?}");
    let _ = guest.read(&mut [0; 1]);
}
