//! State inherited through exec(2): ignored or blocked signals, child processes, pending signals;
//! and running as pid 1.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::support::MODELS;
use crate::support::client::{connect, connect_unix, echo, is_served};
use crate::support::process::Process;
use crate::support::program::{PROGRAM, Program};
use crate::support::scratch::Scratch;
use crate::support::wait::{eventually, until};

/// Each worker of reuseport binds a socket of its own: no path can be shared so.
fn serves_unix(model: &str) -> bool {
    model != "reuseport"
}

#[test]
fn forking_servers_exit_although_sigchld_was_ignored_or_blocked() {
    for state in ["--ignore-signal=CHLD", "--block-signal=CHLD"] {
        for model in ["process", "prefork", "reuseport"] {
            let server = Program::serving_under(
                &["env", state],
                &["--tcp", "127.0.0.1:0", "--model", model, "--drain-timeout", "1h"],
            );
            let mut client = connect(&server.tcp());
            echo(&mut client, b"here");
            drop(client);
            server.stop().expect_code(0);
        }
    }
}

#[test]
fn killed_workers_are_noticed_although_sigchld_was_ignored() {
    for model in ["prefork", "reuseport"] {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model, "--workers", "2"];
        let server = Program::serving_under(&["env", "--ignore-signal=CHLD"], &arguments);
        for worker in eventually("both workers to be there", || {
            Some(children(&server)).filter(|children| children.len() == 2)
        }) {
            server.signals(&format!("kill -9 {worker}"));
        }
        until("both to be replaced", || server.stderr.count_with("started again") == 2);
        is_served(&server.tcp());
        server.stop().expect_code(0);
    }
}

#[test]
fn inherited_blocked_signals_are_received() {
    let blocked = ["env", "--block-signal"];
    for model in MODELS {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model, "--log-format", "json"];
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
fn inherited_children_are_not_reported_as_workers() {
    for model in ["process", "prefork"] {
        // Exits on request, which is after the server has begun to wait for children.
        let scratch = Scratch::new();
        let pipe = scratch.file("go");
        let line = format!("mkfifo {pipe}; (read -r _ <{pipe}; exit 3) & exec \"$0\" \"$@\"");
        let command_line = ["echo", "--tcp", "127.0.0.1:0", "--model", model];
        let shell = ["sh", "-c", &line];
        let server = Program::start_under(&shell, &command_line);
        let listening = server.stdout.line_with("listening on tcp ");
        let address = listening.rsplit(' ').next().unwrap();
        let own = if model == "prefork" { 4 } else { 0 };
        until("all children to be started", || children(&server).len() == own + 1);
        std::fs::write(&pipe, "now\n").unwrap();
        until("the inherited child to be reaped", || children(&server).len() == own);
        is_served(address);
        let ending = server.stop();
        ending.expect_code(0);
        assert!(
            !ending.stderr.contains("code 3"),
            "invariant: the child was not the program's own; {}",
            ending.stderr
        );
    }
}

#[test]
fn an_inherited_child_that_has_exited_is_reaped_at_startup() {
    drop(crate::support::tool::tool("python3"));
    // It is a zombie when the program starts.
    let script = "import os, sys\n\
        child = os.fork() or os._exit(3)\n\
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)\n\
        os.execvp(sys.argv[1], sys.argv[1:])";
    for model in ["process", "prefork"] {
        let arguments = ["echo", "--tcp", "127.0.0.1:0", "--model", model];
        let server = Program::start_under(&["python3", "-c", script], &arguments);
        server.stdout.line_with("listening on tcp ");
        let own = if model == "prefork" { 4 } else { 0 };
        until("the zombie to be reaped", || children(&server).len() == own);
        server.stop().expect_code(0);
    }
}

#[test]
fn signals_ignored_at_startup_stay_ignored_except_sigterm() {
    let scratch = Scratch::new();
    let ignored = ["env", "--ignore-signal=INT,HUP,QUIT,TERM"];
    for model in MODELS.into_iter().filter(|&it| serves_unix(it)) {
        let path = scratch.file(model);
        let command_line = ["--unix", &path, "--model", model, "--log-format", "json"];
        let server = Program::serving_under(&ignored, &command_line);
        for signal in ["INT", "HUP", "QUIT"] {
            server.signal(signal);
        }
        // signalfd returns signals in the order of their numbers: the statistics request is the
        // last.
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
fn each_termination_signal_removes_the_socket_file() {
    let scratch = Scratch::new();
    let unblocked = ["env", "--default-signal=INT,HUP,QUIT,TERM"];
    for model in MODELS.into_iter().filter(|&it| serves_unix(it)) {
        for signal in ["HUP", "INT", "QUIT", "TERM"] {
            let path = scratch.file("socket");
            let mut server =
                Program::serving_under(&unblocked, &["--unix", &path, "--model", model]);
            server.signal(signal);
            server.end().expect_code(0);
            assert!(
                std::fs::metadata(&path).is_err(),
                "invariant: SIG{signal} leaves no file, {model}"
            );
        }
    }
    for (signal, code) in [("HUP", 129), ("QUIT", 131)] {
        for command_line in [&["nc", "-lkU"][..], &["nc", "-luU"]] {
            let path = scratch.file("socket");
            let mut nc = Program::start_under(&unblocked, &[command_line, &[&path]].concat());
            until("the socket to be created", || std::fs::metadata(&path).is_ok());
            nc.signal(signal);
            nc.end().expect_code(code);
            assert!(
                std::fs::metadata(&path).is_err(),
                "invariant: SIG{signal} leaves no file, {command_line:?}"
            );
        }
    }
}

#[test]
fn a_statistics_request_before_startup_does_not_kill_it() {
    // The signal is pending, blocked, before the program starts.
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
    for command_line in commands {
        for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
            let namespace = ["env", "--default-signal=INT,HUP,TERM", "unshare"];
            let flags = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
            let mut outside =
                Program::start_under(&[&namespace[..], &flags].concat(), command_line);
            // The first process is a child; it receives only signals it has handlers for.
            let first = eventually("the first process to run", || {
                let first = *children(&outside).first()?;
                let caught = status(first, "SigCgt:")? | status(first, "SigBlk:")?;
                (caught >> 14 & 1 == 1).then_some(first)
            });
            // The server exits cleanly once it has printed its address.
            let is_server = command_line == ["echo", "--tcp", "127.0.0.1:0"];
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
    for (at, command_line) in commands.into_iter().enumerate() {
        // One has exited before the program starts, and an orphan exits on request.
        let pipe = scratch.file(&at.to_string());
        let line = format!("mkfifo {pipe}; (sh -c 'read -r _ <{pipe}' &); : & exec \"$0\" \"$@\"");
        let flags = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
        let outside =
            Program::start_under(&[&flags[..], &["sh", "-c", &line]].concat(), command_line);
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

/// A signal mask from a process' status, once it executes our program.
fn status(pid: u32, name: &str) -> Option<u64> {
    let own = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    if own.file_name() != std::path::Path::new(PROGRAM).file_name() {
        return None;
    }
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mask = text.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// The processes whose parent is this one, including zombies.
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
        let command_line = ["--tcp", "127.0.0.1:0", "--model", model, &format!("--trace={trace}")];
        let limited = ["sh", "-c", "ulimit -f 4; exec \"$0\" \"$@\""];
        let server = Program::serving_under(&limited, &command_line);
        for _ in 0..50 {
            is_served(&server.tcp());
        }
        let ending = server.stop();
        ending.expect_code(0);
        assert_eq!(
            ending.stderr.matches("EFBIG").count()
                + ending.stderr.matches("File too large").count(),
            1,
            "invariant: reported once; {ending:?}"
        );
    }
}

#[test]
fn a_limit_of_file_size_is_a_failure_of_nc_and_of_results() {
    let scratch = Scratch::new();
    let line = "ulimit -f 0; exec \"$0\" \"$@\" >\"$OUT\"";
    let run = |command_line: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", line, PROGRAM]).args(command_line).env("OUT", scratch.file("out"));
        command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        Process::start_as_is(command)
    };
    let help = run(&["echo", "--help"]).end();
    assert!(help.expect_code(1).single_error_line().contains("File too large"), "{help:?}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut nc = run(&["nc", "127.0.0.1", &port]);
    let (mut connection, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut connection, b"too much").unwrap();
    let nc = nc.end();
    assert!(nc.expect_code(1).single_error_line().contains("EFBIG"), "{nc:?}");
    let _ = connection.read(&mut [0; 1]);
}
