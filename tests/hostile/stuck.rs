//! Clients that never read: their memory is bounded, and nobody else waits for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use crate::support::TRIGGERS;
use crate::support::calls::during;
use crate::support::client::{
    Duplex, connect, connect_unix, echo, exchange, expect_end, is_served, read_to_end, stuff,
    uninterrupted,
};
use crate::support::pattern::Pattern;
use crate::support::procfs::{cpu_ticks, resident_kib};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::wait::{a_while, until};

/// More than any server holds for one client, with the kernel's buffers on both sides.
const TOO_MUCH: usize = 64 << 20;

#[test]
fn a_client_that_never_reads_costs_bounded_memory_and_harms_nobody() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        is_served(&server.tcp());
        let mut stuck = connect(&server.tcp());
        costs_bounded_memory(&server, &mut stuck);
        is_served(&server.tcp());
        exchange(connect(&server.tcp()), 1 << 20);
    }
}

#[test]
fn a_client_of_a_path_that_never_reads_costs_bounded_memory_and_harms_nobody() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let server = Program::serving(&["--unix", &path, "--trigger", trigger, "--log", "json"]);
        echo(&mut connect_unix(&path), b"warm");
        let mut stuck = connect_unix(&path);
        costs_bounded_memory(&server, &mut stuck);
        echo(&mut connect_unix(&path), b"served");
        exchange(connect_unix(&path), 1 << 20);
    }
}

/// Stuffs the server by `stuck`, looks at memory and processor, then reads it all after all.
#[track_caller]
fn costs_bounded_memory(server: &Program, stuck: &mut impl Duplex) {
    /// What one client may make it hold, and as much again for the allocator and for pages of code
    /// that are touched for the first time.
    const BOUND_KIB: u64 = 2 * 1024;
    let before = resident_kib(server.pid());
    let sent = stuff(stuck, TOO_MUCH);
    assert!(sent < TOO_MUCH, "law: a client that never reads is slowed down");
    let grown = resident_kib(server.pid()).saturating_sub(before);
    assert!(grown < BOUND_KIB, "law: bounded memory for a stuck client; grown by {grown} KiB");
    does_not_spin(server);

    stuck.half_close();
    assert_eq!(read_to_end(stuck), sent, "law: slow is not lost");
}

#[test]
fn a_hundred_clients_that_never_read_cost_bounded_memory_and_harm_nobody() {
    const BOUND_KIB: u64 = 100 * 256;
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        is_served(&server.tcp());
        let before = resident_kib(server.pid());
        // The allocator need not give back what is freed, but it must be used again: a second and
        // a third hundred cost no more than the first.
        for _ in 0..3 {
            let stuck = a_hundred_stuck(&server);
            let grown = resident_kib(server.pid()).saturating_sub(before);
            assert!(grown < BOUND_KIB, "law: bounded memory; grown by {grown} KiB for 100");
            does_not_spin(&server);
            exchange(connect(&server.tcp()), 1 << 20);
            drop(stuck);
            until("the stuck clients to be closed", || {
                server.statistics().number("connections.open") == 0
            });
        }
    }
}

fn a_hundred_stuck(server: &Program) -> Vec<TcpStream> {
    let one = || {
        let mut client = connect(&server.tcp());
        stuff(&mut client, TOO_MUCH);
        client
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..100).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn clients_that_go_without_having_read_leave_nothing_behind() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let listeners = ["--tcp", "127.0.0.1:0", "--unix", &path, "--trigger", trigger];
        let server = Program::serving(&[&listeners[..], &["--log", "json"]].concat());
        for _ in 0..5 {
            stuff(&mut connect(&server.tcp()), TOO_MUCH);
            stuff(&mut connect_unix(&path), TOO_MUCH);
        }
        until("the stuck clients to be closed", || {
            server.statistics().number("connections.open") == 0
        });
        is_served(&server.tcp());
        echo(&mut connect_unix(&path), b"served");
    }
}

#[test]
fn a_client_that_reads_a_byte_at_a_time_gets_everything() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let mut client = connect(&server.tcp());
        let sent = stuff(&mut client, TOO_MUCH);
        let mut back = Pattern::new();
        for _ in 0..10_000 {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            back.confirm(&byte);
        }
        client.half_close();
        let mut buf = vec![0; 1 << 20];
        while back.passed() < sent {
            let count = uninterrupted(|| client.read(&mut buf)).unwrap();
            assert!(count > 0, "law: the end comes after everything");
            back.confirm(&buf[..count]);
        }
        expect_end(&mut client);
    }
}

#[test]
fn a_client_that_writes_a_byte_at_a_time_gets_everything() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let client = connect(&server.tcp());
        let mut writing = client.twin();
        let writer = thread::spawn(move || {
            let mut sent = Pattern::new();
            for _ in 0..20_000 {
                writing.write_all(sent.next(1)).unwrap();
            }
            writing.half_close();
        });
        let mut reading = client;
        assert_eq!(read_to_end(&mut reading), 20_000, "law: every byte comes back");
        writer.join().unwrap();
    }
}

#[test]
fn a_flood_does_not_starve_the_others() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let floods: Vec<_> = (0..2)
            .map(|_| {
                let client = connect(&server.tcp());
                let handle = client.twin();
                (handle, thread::spawn(move || exchange(client, 48 << 20)))
            })
            .collect();
        let mut other = connect(&server.tcp());
        for _ in 0..50 {
            echo(&mut other, b"and me");
            is_served(&server.tcp());
        }
        for (_handle, flood) in floods {
            flood.join().unwrap();
        }
    }
}

/// With everybody stuck there is nothing to do, so there comes a stretch of time with no work but
/// our own looks. A server that spins never has one; a busy machine may take a while to get there.
#[track_caller]
pub(crate) fn does_not_spin(server: &Program) {
    until("no work when nothing is to be done: it spins", || {
        let ticks = cpu_ticks(server.pid());
        let calls = during(server, a_while);
        cpu_ticks(server.pid()) - ticks < 10 && calls.total() < 50
    });
}
