//! Very many clients that say nothing, and the few among them that do.

use std::cmp::min;

use crate::support::TRIGGERS;
use crate::support::client::{connect, echo, is_served};
use crate::support::process::Process;
use crate::support::procfs::{descriptor_limits, resident_kib};
use crate::support::program::Program;
use crate::support::tool::python;
use crate::support::wait::until;

#[test]
fn behind_five_thousand_silent_clients_one_that_speaks_is_served() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let (crowd, _) = hold(&server, 5000);
        is_served(&server.tcp());
        super::stuck::does_not_spin(&server);
        drop(crowd);
        is_served(&server.tcp());
        nobody_is_open(&server);
    }
}

#[test]
fn ten_thousand_idle_clients_cost_next_to_nothing_and_sixty_four_are_served() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let mut active: Vec<_> = (0..64).map(|_| connect(&server.tcp())).collect();
        for client in &mut active {
            echo(client, &[1; 4096]);
        }
        let before = resident_kib(server.pid());
        let (crowd, idle) = hold(&server, 10_000);
        until("all to be accepted", || server.statistics().number("connections.open") == idle + 64);
        let grown = resident_kib(server.pid()).saturating_sub(before) * 1024;
        // 64 bytes are ours; the rest is room for pages that are touched for the first time.
        assert!(
            grown < idle * 100,
            "law: an idle client costs 64 bytes at most; {grown} bytes for {idle}"
        );
        for _ in 0..20 {
            for client in &mut active {
                echo(client, b"among ten thousand");
            }
        }
        drop(crowd);
        nobody_but(64, &server);
        for client in &mut active {
            echo(client, b"alone again");
        }
    }
}

#[test]
fn four_threads_hold_a_crowd_together() {
    let arguments = ["--tcp", "127.0.0.1:0", "--threads", "4", "--log", "json"];
    let server = Program::serving(&arguments);
    let (crowd, idle) = hold(&server, 2000);
    until("all to be accepted", || server.statistics().number("connections.open") == idle);
    is_served(&server.tcp());
    drop(crowd);
    nobody_is_open(&server);
    server.stop().expect_code(0);
}

/// A process that holds `count` connections, or as many as this machine lets a process have.
fn hold(server: &Program, count: u64) -> (Process, u64) {
    let (_, hard) = descriptor_limits("self");
    let count = min(count, hard.saturating_sub(200));
    let address = server.tcp();
    let (host, port) = address.rsplit_once(':').unwrap();
    let crowd = python("crowd.py", &["hold", host, port, &count.to_string()]);
    crowd.stdout.line_with(&format!("holding {count}"));
    (crowd, count)
}

fn nobody_is_open(server: &Program) {
    nobody_but(0, server);
}

fn nobody_but(stayed: u64, server: &Program) {
    until("the crowd to be gone", || server.statistics().number("connections.open") == stayed);
}
