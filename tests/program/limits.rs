//! User-configured limits: descriptors, connections, idle time.

use std::io::{ErrorKind, Read, Write};

use crate::support::TRIGGERS;
use crate::support::client::{
    Duplex, connect, connect_unix, echo, exchange, expect, expect_end, expect_silence, fill_buffers,
};
use crate::support::procfs::{descriptor_limits, resident_kib, sysctl};
use crate::support::program::{Program, descriptors};
use crate::support::scratch::Scratch;
use crate::support::wait::until;

#[test]
fn the_nofile_limit_is_raised_and_logged() {
    let (_, hard) = descriptor_limits("self");
    let server = Program::serving_under(&descriptors("-Sn 256"), &["--tcp", "127.0.0.1:0"]);
    let line = server.stderr.line_with("descriptor limit");
    assert_eq!(line, format!("epollite: raised the descriptor limit from 256 to {hard}"));
    assert_eq!(descriptor_limits(&server.pid().to_string()), (hard, hard));
}

#[test]
fn a_descriptor_limit_that_cannot_be_raised_is_not_mentioned() {
    let server = Program::serving_under(&descriptors("-n 256"), &["--tcp", "127.0.0.1:0"]);
    let ending = server.stop();
    assert!(
        ending.stderr.is_empty(),
        "invariant: no message when nothing was raised; got {}",
        ending.stderr
    );
}

/// Neither a table with an entry for each descriptor, nor a loop over all of them at the start.
#[test]
fn the_highest_descriptor_limit_of_the_machine_costs_no_memory() {
    every_descriptor_costs_no_memory(sysctl("fs/nr_open").expect("proc is mounted"));
}

/// No memory for any of `most` descriptors, in servers that may have so many.
pub(crate) fn every_descriptor_costs_no_memory(most: u64) {
    /// Far more than the program and one client need; a table of a word each is more.
    const BOUND_KIB: u64 = 6 << 10;
    // Only root may raise its hard limit; "unlimited" is more than any kernel grants.
    let raise =
        format!("ulimit -n {most} 2>/dev/null || ulimit -n $(ulimit -Hn); exec \"$0\" \"$@\"");
    let wrapper = ["sh", "-c", &raise];
    for model in ["epoll-edge", "coroutine", "poll", "select", "prefork", "thread"] {
        let server = Program::serving_under(&wrapper, &["--tcp", "127.0.0.1:0", "--model", model]);
        echo(&mut connect(&server.tcp()), b"served");
        let (soft, hard) = descriptor_limits(&server.pid().to_string());
        assert_eq!(soft, hard, "it has all that there are: {model}");
        let resident = resident_kib(server.pid());
        assert!(resident < BOUND_KIB, "invariant: {model}: {resident} KiB with {soft} descriptors");
        server.stop().expect_code(0);
    }
}

#[test]
fn quiet_raises_the_descriptor_limit_silently() {
    let (_, hard) = descriptor_limits("self");
    let scratch = Scratch::new();
    let path = scratch.file("quiet");
    let arguments = ["echo", "--unix", &path, "-q"];
    let mut server = Program::start_under(&descriptors("-Sn 256"), &arguments);
    server.until_it_serves(&path);
    assert_eq!(descriptor_limits(&server.pid().to_string()), (hard, hard));
    let ending = server.stop();
    assert!(ending.stderr.is_empty(), "invariant: -q prints errors only; got {}", ending.stderr);
}

#[test]
fn the_idle_timeout_closes_idle_clients_only() {
    for trigger in TRIGGERS {
        let limits = ["--idle-timeout", "1500ms", "--log-format", "json"];
        let address = ["--tcp", "127.0.0.1:0", "--trigger", trigger];
        let server = Program::serving(&[&address[..], &limits].concat());
        let mut busy = connect(&server.tcp());
        let mut idle = connect(&server.tcp());
        echo(&mut idle, b"then nothing more");
        idle.set_blocking(false);
        loop {
            echo(&mut busy, b"still here");
            match idle.read(&mut [0; 16]) {
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => panic!("invariant: an idle client gets a clean EOF; got {other:?}"),
            }
        }
        echo(&mut busy, b"and still");
        drop(idle);
        until("the idle client to be closed", || {
            server.statistics().number("connections.open") == 1
        });
        let statistics = server.statistics();
        assert_eq!(statistics.number("connections.timed_out"), 1);
        // Closing while the client may be sending would send it a reset.
        assert_eq!(
            statistics.count("syscalls.shutdown"),
            1,
            "invariant: shutdown comes before close"
        );
        echo(&mut busy, b"and still");
    }
}

#[test]
fn a_client_that_never_sends_is_idle() {
    for trigger in TRIGGERS {
        let address = ["--tcp", "127.0.0.1:0", "--trigger", trigger];
        let server = Program::serving(&[&address[..], &["--idle-timeout", "200ms", "-v"]].concat());
        let mut silent = connect(&server.tcp());
        expect_end(&mut silent);
        drop(silent);
        server.stderr.line_with("closed after 0 bytes: idle timeout");
    }
}

#[test]
fn a_client_that_reads_nothing_is_idle_too() {
    let arguments = ["--tcp", "127.0.0.1:0", "--idle-timeout", "1s", "--log-format", "json"];
    let server = Program::serving(&arguments);
    let mut client = connect(&server.tcp());
    stuff_until_cut_off(&mut client);
    until("the stuck client to be closed", || {
        let statistics = server.statistics();
        statistics.number("connections.timed_out") == 1
            && statistics.number("connections.open") == 0
    });
}

fn stuff_until_cut_off(client: &mut impl Duplex) {
    client.set_blocking(false);
    until("the server to disconnect us", || {
        loop {
            if let Err(error) = client.write_all(&[0; 4096]) {
                return error.kind() != ErrorKind::WouldBlock;
            }
        }
    });
}

#[test]
fn idle_timeout_off_keeps_idle_clients() {
    for off in ["0", "off"] {
        let server = Program::serving(&["--tcp", "127.0.0.1:0", "--idle-timeout", off]);
        let mut client = connect(&server.tcp());
        expect_silence(&mut client);
        echo(&mut client, b"still here");
    }
}

#[test]
fn a_third_connection_waits_at_a_limit_of_two() {
    for trigger in TRIGGERS {
        let limits = ["--max-connections", "2", "--log-format", "json"];
        let address = ["--tcp", "127.0.0.1:0", "--trigger", trigger];
        let server = Program::serving(&[&address[..], &limits].concat());
        let mut first = connect(&server.tcp());
        let mut second = connect(&server.tcp());
        echo(&mut first, b"one");
        echo(&mut second, b"two");

        let mut third = connect(&server.tcp());
        third.write_all(b"three").unwrap();
        expect_silence(&mut third);
        echo(&mut first, b"one again");
        assert_eq!(server.statistics().number("connections.open"), 2);

        drop(second);
        expect(&mut third, b"three");
        echo(&mut first, b"one still");
    }
}

#[test]
fn a_budget_of_any_size_changes_no_byte() {
    for trigger in TRIGGERS {
        for (budget, total) in
            [("1", 5000), ("100", 200_000), ("64k", 2_000_000), ("1MiB", 5_000_000)]
        {
            let arguments = ["--tcp", "127.0.0.1:0", "--trigger", trigger, "--read-budget", budget];
            let server = Program::serving(&arguments);
            for _ in 0..5 {
                exchange(connect(&server.tcp()), total);
            }
        }
    }
}

#[test]
fn a_limit_of_connections_holds_with_stuck_clients_and_frees_with_them() {
    let arguments = ["--tcp", "127.0.0.1:0", "--max-connections", "1"];
    let server = Program::serving(&arguments);
    let mut stuck = connect(&server.tcp());
    fill_buffers(&mut stuck, 64 << 20);
    let mut waiting = connect(&server.tcp());
    waiting.write_all(b"my turn").unwrap();
    drop(stuck);
    expect(&mut waiting, b"my turn");
}

#[test]
fn no_client_waits_for_a_full_thread_while_another_has_room() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let limits = ["--threads", "3", "--max-connections", "7", "--trigger", trigger];
        let server = Program::serving(&[&["--unix", &path][..], &limits].concat());
        all_places_are_used(|| connect_unix(&path));
        server.stop().expect_code(0);
        let server = Program::serving(&[&["--tcp", "127.0.0.1:0"][..], &limits].concat());
        all_places_are_used(|| connect(&server.tcp()));
        server.stop().expect_code(0);
    }
}

/// Seven are served at once, whichever worker accepts them, and the eighth when one of them has
/// disconnected.
fn all_places_are_used<S: Duplex>(connect: impl Fn() -> S) {
    let mut clients: Vec<S> = (0..7).map(|_| connect()).collect();
    clients.iter_mut().for_each(|client| echo(client, b"here"));
    let mut eighth = connect();
    eighth.write_all(b"my turn").unwrap();
    expect_silence(&mut eighth);
    drop(clients.remove(3));
    expect(&mut eighth, b"my turn");
    clients.iter_mut().for_each(|client| echo(client, b"still here"));
}
