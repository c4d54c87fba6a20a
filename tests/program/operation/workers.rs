//! Workers of prefork and reuseport that die or hang are replaced.

use std::fs;

use crate::support::client::{connect, echo, is_served, until_refused};
use crate::support::program::Program;
use crate::support::tool::tool;
use crate::support::wait::{eventually, until};

const MODELS: [&str; 2] = ["prefork", "reuseport"];

fn serving(model: &str, options: &[&str]) -> Program {
    let arguments = ["--tcp", "127.0.0.1:0", "--model", model, "--workers", "2"];
    let server = Program::serving(&[&arguments[..], options].concat());
    until("both workers to be there", || children(&server).len() == 2);
    server
}

fn children(server: &Program) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Waits until two workers run, of which `old` is none.
fn until_replaced(server: &Program, old: u32) {
    until("the worker to be replaced", || {
        let now = children(server);
        now.len() == 2 && !now.contains(&old)
    });
}

#[test]
fn a_killed_worker_is_replaced_again_and_again() {
    for model in MODELS {
        let server = serving(model, &[]);
        for round in 1..=4 {
            let old = children(&server)[0];
            server.signals(&format!("kill -s KILL {old}"));
            until_replaced(&server, old);
            server.stderr.line_with(&format!("process {old} was killed by signal 9"));
            until("the log", || server.stderr.count_with("started again") == round);
            // With a listener for each worker a connection comes to each of them.
            (0..20).for_each(|_| is_served(&server.tcp()));
        }
        let address = server.tcp();
        let ending = server.stop();
        ending.expect_code(0);
        assert!(ending.stdout.contains("; workers replaced: 4"), "{}", ending.stdout);
        until_refused(&address);
    }
}

#[test]
fn clients_of_the_other_worker_do_not_notice() {
    for model in MODELS {
        let server = serving(model, &[]);
        let mut clients: Vec<_> = (0..30).map(|_| connect(&server.tcp())).collect();
        clients.iter_mut().for_each(|client| echo(client, b"here"));
        let old = children(&server)[1];
        let sockets = |pid: u32| {
            let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            links.count()
        };
        let served = sockets(old);
        server.signals(&format!("kill -s KILL {old}"));
        until_replaced(&server, old);
        let mut lost = 0;
        for client in &mut clients {
            use std::io::{Read, Write};
            let is_lost = client.write_all(b"x").is_err() || client.read_exact(&mut [0]).is_err();
            lost += usize::from(is_lost);
        }
        assert!(lost < served, "{model}: {lost} of {} clients", clients.len());
        drop(clients);
        server.stop().expect_code(0);
    }
}

#[test]
fn a_worker_that_hangs_is_killed_and_replaced() {
    for model in MODELS {
        let server = serving(model, &["--worker-timeout", "300ms"]);
        let old = children(&server)[0];
        server.signals(&format!("kill -s STOP {old}"));
        until_replaced(&server, old);
        let expected = format!("(process {old}) killed: no heartbeat for 300ms");
        server.stderr.line_with(&expected);
        assert_eq!(server.stderr.count_with("no heartbeat"), 1, "only the one that hangs");
        (0..20).for_each(|_| is_served(&server.tcp()));
        server.stop().expect_code(0);
    }
}

/// What was stopped as a whole has not hung: a debugger, a frozen container.
#[test]
fn workers_that_were_stopped_with_their_parent_are_not_killed() {
    let server = serving("prefork", &["--worker-timeout", "300ms"]);
    let workers = children(&server);
    let all = format!("{} {} $0", workers[0], workers[1]);
    server.signals(&format!("kill -s STOP {all}; sleep 1; kill -s CONT $0 {all}"));
    (0..20).for_each(|_| is_served(&server.tcp()));
    assert_eq!(children(&server), workers, "invariant: the same processes serve");
    let ending = server.stop();
    ending.expect_code(0);
    assert!(!ending.stderr.contains("no heartbeat"), "{}", ending.stderr);
}

#[test]
fn without_a_timeout_a_stopped_worker_stays() {
    let server = serving("prefork", &["--worker-timeout", "off"]);
    let workers = children(&server);
    server.signals(&format!("kill -s STOP {}", workers[0]));
    (0..20).for_each(|_| is_served(&server.tcp()));
    server.signals(&format!("kill -s CONT {}", workers[0]));
    assert_eq!(children(&server), workers);
    server.stop().expect_code(0);
}

#[test]
fn a_server_whose_workers_cannot_run_ends() {
    drop(tool("prlimit"));
    for model in MODELS {
        let mut server = serving(model, &[]);
        // Each replacement lacks a descriptor for its epoll.
        server.signals("prlimit --pid $0 --nofile=3:3");
        let workers = children(&server);
        server.signals(&format!("kill -s KILL {} {}", workers[0], workers[1]));
        let ending = server.end();
        ending.expect_code(1);
        assert!(ending.stderr.contains("every worker has exited"), "{}", ending.stderr);
        let attempts = ending.stderr.matches("started again").count();
        assert!((8..=40).contains(&attempts), "bounded: {attempts}\n{}", ending.stderr);
    }
}

#[test]
fn a_signal_ends_a_server_while_a_worker_waits_to_be_replaced() {
    let server = serving("prefork", &[]);
    for round in 1..=5 {
        let old = children(&server)[0];
        server.signals(&format!("kill -s KILL {old}"));
        eventually("the death to be logged", || {
            (server.stderr.count_with("was killed by signal 9") == round).then_some(())
        });
        if round < 5 {
            until_replaced(&server, old);
        }
    }
    server.stop().expect_code(0);
}
