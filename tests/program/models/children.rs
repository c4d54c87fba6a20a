//! Models that fork: no zombies, a killed child affects no other client, and connections are
//! distributed as documented.

use std::fs;
use std::io::{Read, Write};

use super::suite::{Model, serving};
use crate::support::client::{
    connect, echo, expect, expect_end, expect_silence, fill_buffers, is_served, uninterrupted,
    until_refused,
};
use crate::support::process::Process;
use crate::support::procfs::{self, tracer};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::{eventually, until};

#[test]
fn a_child_that_has_ended_is_reaped() {
    let server = serving(&["process"], &[]);
    let mut stays = connect(&server.tcp());
    echo(&mut stays, b"stays");
    // Many at once: pending signals of one kind are merged, not counted.
    for _ in 0..5 {
        let clients: Vec<_> = (0..20).map(|_| connect(&server.tcp())).collect();
        drop(clients);
    }
    // Connections of killed children may still be in the accept queue: fewer children prove
    // nothing.
    let closed = || server.statistics().number("connections.closed");
    until("all other clients to be served", || closed() == 100);
    until("all other children to be reaped", || children(&server).len() == 1);
    echo(&mut stays, b"still here");
    drop(stays);
    until("the last to be served", || closed() == 101);
    until("no child to be left", || children(&server).is_empty());
    server.stop().expect_code(0);
}

#[test]
fn killing_a_child_affects_only_its_client() {
    let server = serving(&["process"], &["--log-format", "text"]);
    let mut first = connect(&server.tcp());
    echo(&mut first, b"first");
    let victim = children(&server)[0];
    let mut second = connect(&server.tcp());
    echo(&mut second, b"second");
    kill(victim);
    assert!(
        matches!(uninterrupted(|| first.read(&mut [0; 8])), Ok(0) | Err(_)),
        "invariant: its client sees EOF or a reset"
    );
    server.stderr.line_with(&format!("process {victim} was killed by signal 9"));
    echo(&mut second, b"second still");
    is_served(&server.tcp());
    drop(second);
    until("all children to be reaped", || children(&server).is_empty());
    server.stop().expect_code(0);
}

#[test]
fn children_survive_a_killed_parent_and_the_port_is_free() {
    let mut server = serving(&["process"], &[]);
    let address = server.tcp();
    let mut client = connect(&address);
    echo(&mut client, b"before");
    server.signal("KILL");
    until("the parent to exit", || server.ended().is_some());
    until_refused(&address);
    echo(&mut client, b"after");
    drop(client);
    Program::serving(&["--tcp", &address, "--model", "process"]).stop().expect_code(0);
}

#[test]
fn workers_exit_with_the_parent() {
    for model in ["prefork", "reuseport"] {
        let model: Model = if model == "prefork" { &["prefork"] } else { &["reuseport"] };
        let mut server = serving(model, &[]);
        let address = server.tcp();
        is_served(&address);
        server.signal("KILL");
        until("the parent to exit", || server.ended().is_some());
        // Each worker closes its client connections first; then the port is free.
        until_refused(&address);
        Program::serving(&["--tcp", &address]).stop().expect_code(0);
    }
}

#[test]
fn a_stuck_child_is_killed_after_the_drain_timeout() {
    let server = serving(&["process"], &["--drain-timeout", "300ms"]);
    let mut client = connect(&server.tcp());
    fill_buffers(&mut client, super::suite::TOO_MUCH);
    let child = children(&server)[0];
    let ending = server.stop();
    ending.expect_code(0);
    assert!(
        !ending.stderr.contains("killed"),
        "invariant: children killed by the program itself are not reported; {}",
        ending.stderr
    );
    assert!(fs::metadata(format!("/proc/{child}")).is_err(), "invariant: no child is left");
}

#[test]
fn a_failed_fork_leaves_no_workers() {
    drop(tool("strace"));
    // LeakSanitizer does not work under ptrace, so it is disabled where strace runs.
    let no_leaks = ["env", "ASAN_OPTIONS=detect_leaks=0"];
    let strace = ["strace", "-f", "-D", "-qq", "-o", "/dev/null", "-e", "trace=clone"];
    let wrapper = [&no_leaks[..], &strace].concat();
    let wrapper = [&wrapper[..], &["-e", "inject=clone:error=EAGAIN:when=3"]].concat();
    for model in ["prefork", "reuseport"] {
        // An argument by which all processes are found, whatever their parent is.
        let known = format!("--drain-timeout={}s", std::process::id());
        let arguments = ["echo", "--model", model, "--tcp", "127.0.0.1:0", &known];
        let mut server = Program::start_under(&wrapper, &arguments);
        let complaint = server.end().expect_code(1).single_error_line().to_owned();
        assert!(complaint.contains("fork"), "{complaint}");
        until("the forked children to exit", || {
            let mut processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
            processes.all(|path| {
                let arguments = fs::read(path.join("cmdline")).unwrap_or_default();
                !String::from_utf8_lossy(&arguments).contains(&known)
            })
        });
    }
}

#[test]
fn fork_failure_rejects_the_client_cleanly() {
    // For a thread the reason is the C library's message: it names no system call.
    let models: [(Model, &str); 2] =
        [(&["process"], "no process for it: EAGAIN"), (&["thread"], "no thread for it: Resource")];
    for (model, reason) in models {
        let server = serving(model, &["--log-format", "text"]);
        let mut stays = connect(&server.tcp());
        echo(&mut stays, b"stays");
        let strace = refuse_to_clone(&server);
        for _ in 0..3 {
            expect_end(&mut connect(&server.tcp()));
        }
        let line = server.stderr.line_with("rejected");
        assert!(line.contains(reason), "invariant: the log gives the reason; got {line}");
        assert_eq!(server.stderr.count_with("rejected"), 1, "invariant: logged once");
        echo(&mut stays, b"still here");
        strace.signal("INT");
        until("the tracer to exit", || tracer(server.pid()) == 0);
        is_served(&server.tcp());
        drop(stays);
        server.stop().expect_code(0);
    }
}

/// From now on nothing can be started: fork(2) and clone(2) fail with EAGAIN.
fn refuse_to_clone(server: &Program) -> Process {
    let mut strace = tool("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=clone,clone3"]);
    strace.args(["-e", "inject=clone,clone3:error=EAGAIN", "-p", &server.pid().to_string()]);
    let strace = Process::start(strace);
    until("strace to be attached", || tracer(server.pid()) != 0);
    strace
}

#[test]
fn exclusive_is_skewed_and_round_robin_is_even() {
    let exclusive = split(&["prefork", "--accept", "exclusive"]);
    // The first in the list gets nearly all; on a busy machine it is not always back in time.
    assert!(exclusive.iter().max() > Some(&150), "invariant: it is not even; got {exclusive:?}");
    let rotated = split(&["prefork", "--accept", "round-robin"]);
    assert!(
        rotated.iter().all(|&share| (70..=130).contains(&share)),
        "invariant: even; got {rotated:?}"
    );
}

#[test]
fn workers_fill_up_before_clients_queue() {
    for share in ["all", "exclusive", "round-robin"] {
        let model: Model = match share {
            "all" => &["prefork", "--accept", "all"],
            "exclusive" => &["prefork", "--accept", "exclusive"],
            _ => &["prefork", "--accept", "round-robin"],
        };
        // Two each. The first worker to be woken is soon full, and then the others are woken.
        let server = serving(model, &["--max-connections", "8"]);
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let mut client = connect(&server.tcp());
                echo(&mut client, b"here");
                client
            })
            .collect();
        drop(clients);
        server.stop().expect_code(0);
    }
}

#[test]
fn reuseport_distributes_by_hash_at_random_or_by_cpu() {
    for steer in ["hash", "random"] {
        let steered: Model = if steer == "hash" {
            &["reuseport", "--reuseport-select", "hash"]
        } else {
            &["reuseport", "--reuseport-select", "random"]
        };
        let shares = split(steered);
        assert!(
            shares.iter().all(|share| (50..=150).contains(share)),
            "invariant: even; got {shares:?}"
        );
    }
    let processors = std::thread::available_parallelism().unwrap().get();
    let shares = split(&["reuseport", "--reuseport-select", "cpu"]);
    let busy = shares.iter().filter(|&&share| share > 0).count();
    assert!(busy <= processors, "invariant: one worker per CPU; got {shares:?}");
}

#[test]
fn reuseport_select_is_attached_before_the_address_is_printed() {
    drop(tool("strace"));
    let scratch = Scratch::new();
    let log = scratch.file("strace");
    let strace = ["strace", "-D", "-qq", "-o", &log, "-e", "trace=setsockopt,write"];
    let arguments = ["--tcp", "127.0.0.1:0", "--model", "reuseport", "--reuseport-select", "cpu"];
    let server = Program::serving_under(&strace, &arguments);
    server.stop().expect_code(0);
    let log = fs::read_to_string(&log).unwrap();
    let at = |what| log.lines().position(|line| line.contains(what)).expect("a call of it");
    let (steered, reported) = (at("SO_ATTACH_REUSEPORT_CBPF"), at("listening on tcp"));
    assert!(
        steered < reported,
        "invariant: the program is attached before the address is printed; got\n{log}"
    );
}

/// How 400 clients, connecting one by one and staying, are distributed among four workers.
fn split(model: Model) -> Vec<u64> {
    let server = serving(model, &[]);
    let workers = eventually("all workers to be there", || {
        Some(children(&server)).filter(|children| children.len() == 4)
    });
    let clients: Vec<_> = (0..400)
        .map(|_| {
            // The kernel passes over a worker that does not wait: on a busy machine it may not be
            // back yet.
            until("every worker to wait", || workers.iter().all(|&pid| procfs::state(pid) == 'S'));
            let mut client = connect(&server.tcp());
            echo(&mut client, b"here");
            client
        })
        .collect();
    assert_eq!(server.statistics().number("connections.open"), 400);
    drop(clients);
    let ending = server.stop();
    ending.expect_code(0);
    let line = ending.stdout.lines().rfind(|line| line.contains("\"distribution\"")).unwrap();
    let shares = line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    let shares: Vec<u64> = shares.split(',').map(|share| share.parse().unwrap()).collect();
    assert_eq!(
        shares.iter().sum::<u64>(),
        400,
        "invariant: each connection is counted once; got {line}"
    );
    shares
}

#[test]
fn other_workers_survive_a_killed_worker() {
    let models: [Model; 2] = [&["prefork"], &["reuseport"]];
    for model in models {
        let server = serving(model, &["--log-format", "text", "--workers", "3"]);
        let workers = eventually("all workers to be there", || {
            Some(children(&server)).filter(|children| children.len() == 3)
        });
        kill(workers[0]);
        server.stderr.line_with(&format!("process {} was killed by signal 9", workers[0]));
        for _ in 0..30 {
            is_served(&server.tcp());
        }
        server.stop().expect_code(0);
    }
}

#[test]
fn the_connection_limit_is_exact_when_workers_do_not_divide_it() {
    let models: [Model; 2] =
        [&["prefork", "--accept", "exclusive"], &["prefork", "--accept", "all"]];
    for model in models {
        let server = serving(model, &["--max-connections", "7", "--workers", "3"]);
        let mut clients: Vec<_> = (0..7).map(|_| connect(&server.tcp())).collect();
        clients.iter_mut().for_each(|client| echo(client, b"here"));
        let mut eighth = connect(&server.tcp());
        eighth.write_all(b"my turn").unwrap();
        expect_silence(&mut eighth);
        drop(clients);
        expect(&mut eighth, b"my turn");
        drop(eighth);
        server.stop().expect_code(0);
    }
}

#[test]
fn connections_of_a_killed_worker_are_counted_as_closed() {
    let models: [Model; 2] = [&["prefork"], &["reuseport"]];
    for model in models {
        let server = serving(model, &["--workers", "2"]);
        let mut clients: Vec<_> = (0..20).map(|_| connect(&server.tcp())).collect();
        clients.iter_mut().for_each(|client| echo(client, b"here"));
        assert_eq!(server.statistics().number("connections.open"), 20);
        kill(children(&server)[0]);
        let mut alive = 0;
        for client in &mut clients {
            let answered = client.write_all(b"?").is_ok()
                && matches!(uninterrupted(|| client.read(&mut [0; 1])), Ok(1));
            alive += u64::from(answered);
        }
        until("the worker to be replaced", || {
            server.stderr.count_with("started again") == 1 && children(&server).len() == 2
        });
        let statistics = server.statistics();
        assert_eq!(
            statistics.number("connections.open"),
            alive,
            "invariant: open counts open connections"
        );
        assert_eq!(statistics.number("connections.closed"), 20 - alive);
        drop(clients);
        server.stop().expect_code(0);
    }
}

/// The processes whose parent is this one, including zombies.
fn children(server: &Program) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let text = fs::read_to_string(path).expect("the kernel lists children");
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Kills a child of the server under test.
fn kill(pid: u32) {
    let killed = std::process::Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status();
    assert!(killed.unwrap().success());
}
