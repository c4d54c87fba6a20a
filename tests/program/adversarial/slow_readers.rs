//! Clients that never read: their memory is bounded, and no other client waits for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use crate::support::TRIGGERS;
use crate::support::client::{
    Duplex, connect, connect_unix, echo, exchange, expect_end, fill_buffers, is_served,
    read_to_end, uninterrupted,
};
use crate::support::pattern::Pattern;
use crate::support::procfs::{cpu_ticks, resident_kib};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::syscall_counts::during;
use crate::support::wait::{settle_time, until};

/// More than any server buffers for one client, including the kernel's buffers on both sides.
const TOO_MUCH: usize = 64 << 20;

#[test]
fn a_client_that_never_reads_uses_bounded_memory() {
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
fn a_unix_client_that_never_reads_uses_bounded_memory() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let server =
            Program::serving(&["--unix", &path, "--trigger", trigger, "--log-format", "json"]);
        echo(&mut connect_unix(&path), b"warm");
        let mut stuck = connect_unix(&path);
        costs_bounded_memory(&server, &mut stuck);
        echo(&mut connect_unix(&path), b"served");
        exchange(connect_unix(&path), 1 << 20);
    }
}

/// Fills the server's buffers by `stuck`, checks memory and CPU time, then reads everything after
/// all.
#[track_caller]
fn costs_bounded_memory(server: &Program, stuck: &mut impl Duplex) {
    /// The memory one client may use, and as much again for the allocator and for code pages
    /// touched for the first time.
    const BOUND_KIB: u64 = 2 * 1024;
    let before = resident_kib(server.pid());
    let sent = fill_buffers(stuck, TOO_MUCH);
    assert!(sent < TOO_MUCH, "invariant: a client that never reads is throttled by backpressure");
    let grown = resident_kib(server.pid()).saturating_sub(before);
    assert!(
        grown < BOUND_KIB,
        "invariant: bounded memory for a stuck client; grown by {grown} KiB"
    );
    does_not_spin(server);

    stuck.half_close();
    assert_eq!(read_to_end(stuck), sent, "invariant: a slow reader loses no data");
}

#[test]
fn a_hundred_non_readers_use_bounded_memory() {
    const BOUND_KIB: u64 = 100 * 256;
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        is_served(&server.tcp());
        let before = resident_kib(server.pid());
        // The allocator need not return freed memory, but it must be reused: a second and a third
        // hundred cost no more than the first.
        for _ in 0..3 {
            let stuck = a_hundred_stuck(&server);
            let grown = resident_kib(server.pid()).saturating_sub(before);
            assert!(grown < BOUND_KIB, "invariant: bounded memory; grown by {grown} KiB for 100");
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
        fill_buffers(&mut client, TOO_MUCH);
        client
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..100).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn non_readers_that_disconnect_leak_nothing() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let listeners = ["--tcp", "127.0.0.1:0", "--unix", &path, "--trigger", trigger];
        let server = Program::serving(&[&listeners[..], &["--log-format", "json"]].concat());
        for _ in 0..5 {
            fill_buffers(&mut connect(&server.tcp()), TOO_MUCH);
            fill_buffers(&mut connect_unix(&path), TOO_MUCH);
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
        let sent = fill_buffers(&mut client, TOO_MUCH);
        let mut back = Pattern::new();
        for _ in 0..10_000 {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            back.verify(&byte);
        }
        client.half_close();
        let mut buf = vec![0; 1 << 20];
        while back.offset() < sent {
            let count = uninterrupted(|| client.read(&mut buf)).unwrap();
            assert!(count > 0, "invariant: EOF comes after all data");
            back.verify(&buf[..count]);
        }
        expect_end(&mut client);
    }
}

#[test]
fn a_client_that_writes_a_byte_at_a_time_gets_everything() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let client = connect(&server.tcp());
        let mut writing = client.second_handle();
        let writer = thread::spawn(move || {
            let mut sent = Pattern::new();
            for _ in 0..20_000 {
                writing.write_all(sent.next(1)).unwrap();
            }
            writing.half_close();
        });
        let mut reading = client;
        assert_eq!(read_to_end(&mut reading), 20_000, "invariant: every byte comes back");
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
                let handle = client.second_handle();
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

/// With all clients stuck there is nothing to do, so at some point there is an interval with no
/// work but our own polls. A server that spins never has one; a busy machine may take a while to
/// get there.
#[track_caller]
pub(crate) fn does_not_spin(server: &Program) {
    until("no CPU time while idle (busy loop?)", || {
        let ticks = cpu_ticks(server.pid());
        let calls = during(server, settle_time);
        cpu_ticks(server.pid()) - ticks < 10 && calls.total() < 50
    });
}
