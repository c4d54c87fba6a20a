//! Models that fork: no zombie is left, who is killed harms nobody, and shares are what is said.

use std::fs;
use std::io::{Read, Write};

use super::suite::{Model, serving};
use crate::support::client::{
    connect, echo, expect, expect_end, expect_silence, is_served, stuff, until_refused,
};
use crate::support::process::Process;
use crate::support::procfs::tracer;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::{eventually, until};

#[test]
fn a_child_that_has_ended_is_reaped() {
    let server = serving(&["process"], &[]);
    let mut stays = connect(&server.tcp());
    echo(&mut stays, b"stays");
    // Many at once: signals that wait are not counted.
    for _ in 0..5 {
        let clients: Vec<_> = (0..20).map(|_| connect(&server.tcp())).collect();
        drop(clients);
    }
    // Of those who are gone some may still wait to be accepted: fewer children are no sign.
    let closed = || server.statistics().number("connections.closed");
    until("everybody else to be served", || closed() == 100);
    until("everybody else to be reaped", || children(&server).len() == 1);
    echo(&mut stays, b"still here");
    drop(stays);
    until("the last to be served", || closed() == 101);
    until("nobody to be left", || children(&server).is_empty());
    server.stop().expect_code(0);
}

#[test]
fn a_child_that_is_killed_harms_nobody_but_its_client() {
    let server = serving(&["process"], &["--log", "text"]);
    let mut first = connect(&server.tcp());
    echo(&mut first, b"first");
    let victim = children(&server)[0];
    let mut second = connect(&server.tcp());
    echo(&mut second, b"second");
    kill(victim);
    assert!(matches!(first.read(&mut [0; 8]), Ok(0) | Err(_)), "law: its client sees an end");
    server.stderr.line_with(&format!("process {victim} was killed by signal 9"));
    echo(&mut second, b"second still");
    is_served(&server.tcp());
    drop(second);
    until("everybody to be reaped", || children(&server).is_empty());
    server.stop().expect_code(0);
}

#[test]
fn a_killed_parent_leaves_children_that_serve_and_a_port_that_is_free() {
    let mut server = serving(&["process"], &[]);
    let address = server.tcp();
    let mut client = connect(&address);
    echo(&mut client, b"before");
    server.signal("KILL");
    until("the parent to be gone", || server.ended().is_some());
    until_refused(&address);
    echo(&mut client, b"after");
    drop(client);
    Program::serving(&["--tcp", &address, "--model", "process"]).stop().expect_code(0);
}

#[test]
fn a_killed_parent_takes_its_workers_along() {
    for model in ["prefork", "reuseport"] {
        let model: Model = if model == "prefork" { &["prefork"] } else { &["reuseport"] };
        let mut server = serving(model, &[]);
        let address = server.tcp();
        is_served(&address);
        server.signal("KILL");
        until("the parent to be gone", || server.ended().is_some());
        // Each says good-bye to its clients first, and then the port is free.
        until_refused(&address);
        Program::serving(&["--tcp", &address]).stop().expect_code(0);
    }
}

#[test]
fn a_child_that_is_stuck_is_ended_when_patience_is_over() {
    let server = serving(&["process"], &["--drain", "300ms"]);
    let mut client = connect(&server.tcp());
    stuff(&mut client, super::suite::TOO_MUCH);
    let child = children(&server)[0];
    let ending = server.stop();
    ending.expect_code(0);
    assert!(!ending.stderr.contains("killed"), "law: what we did is no news; {}", ending.stderr);
    assert!(fs::metadata(format!("/proc/{child}")).is_err(), "law: no child is left");
}

#[test]
fn workers_that_cannot_all_be_forked_are_not_left_behind() {
    drop(tool("strace"));
    // The address sanitizer, if that watches too, cannot look for leaks where strace does.
    let no_leaks = ["env", "ASAN_OPTIONS=detect_leaks=0"];
    let strace = ["strace", "-f", "-D", "-qq", "-o", "/dev/null", "-e", "trace=clone"];
    let wrapper = [&no_leaks[..], &strace].concat();
    let wrapper = [&wrapper[..], &["-e", "inject=clone:error=EAGAIN:when=3"]].concat();
    for model in ["prefork", "reuseport"] {
        // A word by which all of them are known, whoever their parent is.
        let known = format!("--drain={}s", std::process::id());
        let words = ["echo", "--model", model, "--tcp", "127.0.0.1:0", &known];
        let mut server = Program::start_under(&wrapper, &words);
        let complaint = server.end().expect_code(1).one_complaint().to_owned();
        assert!(complaint.contains("fork"), "{complaint}");
        until("those who were forked to be gone", || {
            let mut processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
            processes.all(|path| {
                let words = fs::read(path.join("cmdline")).unwrap_or_default();
                !String::from_utf8_lossy(&words).contains(&known)
            })
        });
    }
}

#[test]
fn who_gets_no_process_or_thread_is_turned_away_in_order() {
    // What the C library says when it starts no thread is no system call's.
    let models: [(Model, &str); 2] =
        [(&["process"], "no process for it: EAGAIN"), (&["thread"], "no thread for it: Resource")];
    for (model, why) in models {
        let server = serving(model, &["--log", "text"]);
        let mut stays = connect(&server.tcp());
        echo(&mut stays, b"stays");
        let strace = refuse_to_clone(&server);
        for _ in 0..3 {
            expect_end(&mut connect(&server.tcp()));
        }
        let said = server.stderr.line_with("is turned away");
        assert!(said.contains(why), "law: the log says why; got {said}");
        assert_eq!(server.stderr.count_with("is turned away"), 1, "law: no flood of the log");
        echo(&mut stays, b"still here");
        strace.signal("INT");
        until("the tracer to be gone", || tracer(server.pid()) == 0);
        is_served(&server.tcp());
        drop(stays);
        server.stop().expect_code(0);
    }
}

/// From now on nothing can be started: fork(2) and clone(2) say EAGAIN.
fn refuse_to_clone(server: &Program) -> Process {
    let mut strace = tool("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=clone,clone3"]);
    strace.args(["-e", "inject=clone,clone3:error=EAGAIN", "-p", &server.pid().to_string()]);
    let strace = Process::start(strace);
    until("strace to be attached", || tracer(server.pid()) != 0);
    strace
}

#[test]
fn exclusive_gives_most_to_one_and_rotation_gives_all_the_same() {
    let exclusive = split(&["prefork", "--share", "exclusive"]);
    // The first in the list gets nearly all; on a busy machine it is not always back in time.
    assert!(exclusive.iter().max() > Some(&150), "law: it is not even; got {exclusive:?}");
    let rotated = split(&["prefork", "--share", "rotate"]);
    assert!(rotated.iter().all(|&share| (70..=130).contains(&share)), "law: even; got {rotated:?}");
}

#[test]
fn workers_have_as_many_clients_as_they_may_before_anybody_waits() {
    for share in ["plain", "exclusive", "rotate"] {
        let model: Model = match share {
            "plain" => &["prefork", "--share", "plain"],
            "exclusive" => &["prefork", "--share", "exclusive"],
            _ => &["prefork", "--share", "rotate"],
        };
        // Two each. Whoever is woken first is soon full, and then the others are woken.
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
fn a_port_of_many_is_spread_by_hash_and_by_lot_and_by_processor() {
    for steer in ["hash", "random"] {
        let steered: Model = if steer == "hash" {
            &["reuseport", "--steer", "hash"]
        } else {
            &["reuseport", "--steer", "random"]
        };
        let shares = split(steered);
        assert!(shares.iter().all(|share| (50..=150).contains(share)), "law: even; got {shares:?}");
    }
    let processors = std::thread::available_parallelism().unwrap().get();
    let shares = split(&["reuseport", "--steer", "cpu"]);
    let busy = shares.iter().filter(|&&share| share > 0).count();
    assert!(busy <= processors, "law: a worker a processor; got {shares:?}");
}

#[test]
fn a_port_is_steered_before_its_address_is_told() {
    drop(tool("strace"));
    let scratch = Scratch::new();
    let log = scratch.file("strace");
    let strace = ["strace", "-D", "-qq", "-o", &log, "-e", "trace=setsockopt,write"];
    let words = ["--tcp", "127.0.0.1:0", "--model", "reuseport", "--steer", "cpu"];
    let server = Program::serving_under(&strace, &words);
    server.stop().expect_code(0);
    let log = fs::read_to_string(&log).unwrap();
    let at = |what| log.lines().position(|line| line.contains(what)).expect("a call of it");
    let (steered, told) = (at("SO_ATTACH_REUSEPORT_CBPF"), at("listening on tcp"));
    assert!(steered < told, "law: the first client is steered too; got\n{log}");
}

/// How 400 clients, who come one by one and stay, are split among four workers.
fn split(model: Model) -> Vec<u64> {
    let server = serving(model, &[]);
    let clients: Vec<_> = (0..400)
        .map(|_| {
            let mut client = connect(&server.tcp());
            echo(&mut client, b"here");
            client
        })
        .collect();
    assert_eq!(server.statistics().number("connections.open"), 400);
    drop(clients);
    let ending = server.stop();
    ending.expect_code(0);
    let line = ending.stdout.lines().rfind(|line| line.contains("\"split\"")).unwrap();
    let shares = line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    let shares: Vec<u64> = shares.split(',').map(|share| share.parse().unwrap()).collect();
    assert_eq!(shares.iter().sum::<u64>(), 400, "law: everybody is counted once; got {line}");
    shares
}

#[test]
fn a_worker_that_is_killed_leaves_the_others_serving() {
    let models: [Model; 2] = [&["prefork"], &["reuseport"]];
    for model in models {
        let mut server = serving(model, &["--log", "text", "--workers", "3"]);
        let workers = eventually("all workers to be there", || {
            Some(children(&server)).filter(|children| children.len() == 3)
        });
        kill(workers[0]);
        server.stderr.line_with(&format!("process {} was killed by signal 9", workers[0]));
        for _ in 0..30 {
            is_served(&server.tcp());
        }
        kill(workers[1]);
        kill(workers[2]);
        let ending = server.end();
        ending.expect_code(1);
        assert!(ending.stderr.contains("every worker has ended"), "{}", ending.stderr);
    }
}

#[test]
fn every_place_that_is_promised_is_there_when_workers_do_not_divide_it() {
    let models: [Model; 2] =
        [&["prefork", "--share", "exclusive"], &["prefork", "--share", "plain"]];
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
fn what_a_killed_worker_had_open_is_closed() {
    let models: [Model; 2] = [&["prefork"], &["reuseport"]];
    for model in models {
        let server = serving(model, &["--workers", "2"]);
        let mut clients: Vec<_> = (0..20).map(|_| connect(&server.tcp())).collect();
        clients.iter_mut().for_each(|client| echo(client, b"here"));
        assert_eq!(server.statistics().number("connections.open"), 20);
        kill(children(&server)[0]);
        let mut alive = 0;
        for client in &mut clients {
            let answered =
                client.write_all(b"?").is_ok() && matches!(client.read(&mut [0; 1]), Ok(1));
            alive += u64::from(answered);
        }
        until("the worker to be reaped", || children(&server).len() == 1);
        let statistics = server.statistics();
        assert_eq!(statistics.number("connections.open"), alive, "law: open is what is open");
        assert_eq!(statistics.number("connections.closed"), 20 - alive);
        drop(clients);
        server.stop().expect_code(0);
    }
}

/// The processes whose parent is this one, zombies too.
fn children(server: &Program) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let text = fs::read_to_string(path).expect("the kernel lists children");
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Kills a child of our own server.
fn kill(pid: u32) {
    let killed = std::process::Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status();
    assert!(killed.unwrap().success());
}
