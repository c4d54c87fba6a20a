//! Very many silent clients, and the few among them that send.

use std::cmp::min;

use crate::support::TRIGGERS;
use crate::support::client::{connect, echo, is_served};
use crate::support::process::Process;
use crate::support::procfs::{descriptor_limits, resident_kib};
use crate::support::program::{Program, descriptors};
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

/// Nineteen thousand in all, which is what a limit of 20,000 descriptors leaves room for. Only with
/// `TORTURE` set: they need a minute, and much of the kernel's memory.
#[test]
fn ten_thousand_busy_clients_are_served_among_nine_thousand_silent_ones() {
    if std::env::var_os("TORTURE").is_none() {
        println!("skipped: TORTURE is not set");
        return;
    }
    for options in [&["--threads", "1"][..], &["--threads", "2"], &["--buffer-total", "1MiB"]] {
        let address = ["--tcp", "127.0.0.1:0", "--log-format", "json"];
        let limit = descriptors("-n 20000");
        let server = Program::serving_under(&limit, &[&address[..], options].concat());
        let (silent, idle) = hold(&server, 9_000);
        let before = server.statistics().number("echoes");
        let (clients, busy) = many("busy", "echoed", &server, 10_000);
        let statistics = server.statistics();
        assert_eq!(statistics.number("connections.open"), idle + busy, "none is lost");
        assert_eq!(statistics.number("connections.pauses"), 0, "there are enough descriptors");
        assert!(statistics.number("echoes") >= before + 20 * busy, "each message is read alone");
        is_served(&server.tcp());
        drop((silent, clients));
        all_closed(&server);
        server.stop().expect_code(0);
    }
}

/// A process that holds `count` connections, or as many as this machine allows a process.
fn hold(server: &Program, count: u64) -> (Process, u64) {
    many("hold", "holding", server, count)
}

/// A process of `count` clients that do `what`, or of as many as it may have; returns when it says
/// `done`.
fn many(what: &str, done: &str, server: &Program, count: u64) -> (Process, u64) {
    let (_, hard) = descriptor_limits("self");
    let count = min(count, hard.saturating_sub(200));
    let address = server.tcp();
    let (host, port) = address.rsplit_once(':').unwrap();
    let clients = python("clients.py", &[what, host, port, &count.to_string()]);
    clients.stdout.line_with(&format!("{done} {count}"));
    (clients, count)
}

fn all_closed(server: &Program) {
    only_served(0, server);
}

fn only_served(stayed: u64, server: &Program) {
    until("the clients to be closed", || server.statistics().number("connections.open") == stayed);
}
