//! Very many silent clients, and the few among them that send.

use std::cmp::min;

use crate::support::TRIGGERS;
use crate::support::client::{connect, echo, is_served};
use crate::support::process::Process;
use crate::support::procfs::{descriptor_limits, resident_kib};
use crate::support::program::Program;
use crate::support::tool::python;
use crate::support::wait::until;

#[test]
fn an_active_client_is_served_among_five_thousand_silent_ones() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let (clients, _) = hold(&server, 5000);
        is_served(&server.tcp());
        super::slow_readers::does_not_spin(&server);
        drop(clients);
        is_served(&server.tcp());
        all_closed(&server);
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
        let (clients, idle) = hold(&server, 10_000);
        until("all to be accepted", || server.statistics().number("connections.open") == idle + 64);
        let grown = resident_kib(server.pid()).saturating_sub(before) * 1024;
        // 64 bytes are ours; the rest allows for pages touched for the first time.
        assert!(
            grown < idle * 100,
            "invariant: an idle client costs 64 bytes at most; {grown} bytes for {idle}"
        );
        for _ in 0..20 {
            for client in &mut active {
                echo(client, b"among ten thousand");
            }
        }
        drop(clients);
        only_served(64, &server);
        for client in &mut active {
            echo(client, b"alone again");
        }
    }
}

#[test]
fn four_threads_serve_many_connections() {
    let arguments = ["--tcp", "127.0.0.1:0", "--threads", "4", "--log-format", "json"];
    let server = Program::serving(&arguments);
    let (clients, idle) = hold(&server, 2000);
    until("all to be accepted", || server.statistics().number("connections.open") == idle);
    is_served(&server.tcp());
    drop(clients);
    all_closed(&server);
    server.stop().expect_code(0);
}

/// A process that holds `count` connections, or as many as this machine allows a process.
fn hold(server: &Program, count: u64) -> (Process, u64) {
    let (_, hard) = descriptor_limits("self");
    let count = min(count, hard.saturating_sub(200));
    let address = server.tcp();
    let (host, port) = address.rsplit_once(':').unwrap();
    let clients = python("clients.py", &["hold", host, port, &count.to_string()]);
    clients.stdout.line_with(&format!("holding {count}"));
    (clients, count)
}

fn all_closed(server: &Program) {
    only_served(0, server);
}

fn only_served(stayed: u64, server: &Program) {
    until("the clients to be closed", || server.statistics().number("connections.open") == stayed);
}
