//! SIGSTOP and SIGCONT at arbitrary points: each stop interrupts a system call.

use core::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::TRIGGERS;
use crate::support::client::{
    connect, connect_unix, echo, exchange, expect_end, fill_buffers, is_served, read_to_end,
    until_refused,
};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tool::python;

#[test]
fn a_server_stopped_during_a_transfer_loses_no_data() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let clients: Vec<_> = (0..4).map(|_| connect(&server.tcp())).collect();
        thread::scope(|scope| {
            for client in clients {
                scope.spawn(|| exchange(client, 8 << 20));
            }
            server.stop_and_continue(100);
        });
        is_served(&server.tcp());
    }
}

#[test]
fn thousands_of_interrupted_calls_lose_nothing() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let listeners = ["--tcp", "127.0.0.1:0", "--unix", &path, "--trigger", trigger];
        let arguments =
            [&listeners[..], &["--log-format", "json", "--drain-timeout", "1h"]].concat();
        let mut server = Program::serving(&arguments);
        let mut tcp = connect(&server.tcp());
        let mut unix = connect_unix(&path);
        thread::scope(|scope| {
            let storm = scope.spawn(|| {
                server.stop_and_continue(2000);
            });
            while !storm.is_finished() {
                echo(&mut tcp, b"in a storm");
                echo(&mut unix, b"in a storm");
                is_served(&server.tcp());
            }
        });
        echo(&mut tcp, b"after it");
        drop((tcp, unix));
        server.signal("TERM");
        server.end().expect_code(0);
    }
}

#[test]
fn many_statistics_requests_lose_no_data() {
    let server = Program::on_tcp("edge");
    let client = connect(&server.tcp());
    let exchange = thread::spawn(move || exchange(client, 16 << 20));
    server.signals("for i in $(seq 1000); do kill -s USR1 $0; done");
    exchange.join().unwrap();
    is_served(&server.tcp());
    server.stop().expect_code(0);
}

#[test]
fn a_deadline_is_kept_through_interruptions() {
    let address = ["--tcp", "127.0.0.1:0", "--idle-timeout", "1s", "-v"];
    let server = Program::serving(&address);
    let mut idle = connect(&server.tcp());
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                server.stop_and_continue(20);
            }
        });
        expect_end(&mut idle);
        is_done.store(true, Ordering::Relaxed);
    });
    drop(idle);
    server.stderr.line_with("idle");
}

#[test]
fn a_stopped_client_blocks_no_other_and_loses_no_data() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let address = server.tcp();
        let (host, port) = address.rsplit_once(':').unwrap();
        let total = (48 << 20).to_string();
        let mut client = python("asyncio_client.py", &[host, port, &total]);
        crate::support::wait::until("the client to be in the middle", || {
            server.statistics().number("bytes.out") > 1 << 20
        });
        client.signal("STOP");
        for _ in 0..20 {
            is_served(&address);
        }
        exchange(connect(&address), 1 << 20);
        client.signal("CONT");
        let ending = client.end();
        ending.expect_code(0);
        assert!(ending.stdout.contains(&format!("{total} bytes")), "invariant: no data is lost");
    }
}

#[test]
fn a_server_stopped_while_draining_still_flushes() {
    for trigger in TRIGGERS {
        let arguments = ["--tcp", "127.0.0.1:0", "--drain-timeout", "1h", "--trigger", trigger];
        let mut server = Program::serving(&arguments);
        let mut client = connect(&server.tcp());
        fill_buffers(&mut client, 64 << 20);
        server.signal("TERM");
        until_refused(&server.tcp());
        server.stop_and_continue(20);
        read_to_end(&mut client);
        drop(client);
        server.end().expect_code(0);
    }
}
