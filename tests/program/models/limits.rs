//! The limits of the models: descriptors beyond FD_SETSIZE, connection limits.

use std::io::{Read, Write};

use super::suite::{Model, serving};
use crate::support::client::{
    connect, echo, expect, expect_end, expect_silence, is_served, uninterrupted,
};
use crate::support::process::Process;
use crate::support::procfs::descriptors;
use crate::support::program::Program;
use crate::support::tool::tool;
use crate::support::wait::until;

#[test]
fn a_client_beyond_fd_setsize_gets_eof_and_is_logged() {
    let server = serving(&["select"], &["--log-format", "text"]);
    let mut within = Vec::new();
    // Descriptors are assigned in order: as many as fit the set.
    for _ in descriptors(server.pid())..1024 {
        let mut client = connect(&server.tcp());
        echo(&mut client, b"in");
        within.push(client);
    }
    for _ in 0..5 {
        expect_end(&mut connect(&server.tcp()));
    }
    let line = server.stderr.line_with("rejected");
    assert!(line.contains("its descriptor is 1024, and the set ends at 1024"), "{line}");
    assert_eq!(server.stderr.count_with("rejected"), 1, "invariant: logged once");
    within.iter_mut().for_each(|client| echo(client, b"still here"));
    drop(within.pop());
    is_served_after_room(&server.tcp());
    server.stop().expect_code(0);
}

#[test]
fn each_worker_has_the_descriptor_limit_of_a_process() {
    // About fifty each, where a quarter of the descriptors would be about thirty.
    let arguments = ["--tcp", "127.0.0.1:0", "--model", "reuseport", "--reuseport-select", "hash"];
    let server =
        Program::serving_under(&crate::support::program::descriptors("-n 128"), &arguments);
    let mut clients: Vec<_> = (0..200).map(|_| connect(&server.tcp())).collect();
    clients.iter_mut().for_each(|client| echo(client, b"served"));
    server.stop().expect_code(0);
}

/// The closed connection may not have been processed yet: until then the next does not fit either.
fn is_served_after_room(address: &str) {
    until("a descriptor below FD_SETSIZE to be free", || {
        let mut client = connect(address);
        client.write_all(b"?").is_ok()
            && matches!(uninterrupted(|| client.read(&mut [0; 1])), Ok(1))
    });
}

#[test]
fn a_third_client_waits_at_a_limit_of_two() {
    let models: [Model; 6] =
        [&["process"], &["thread"], &["nonblocking"], &["select"], &["poll"], &["coroutine"]];
    for model in models {
        let server = serving(model, &["--max-connections", "2"]);
        let mut first = connect(&server.tcp());
        let mut second = connect(&server.tcp());
        echo(&mut first, b"one");
        echo(&mut second, b"two");
        let mut third = connect(&server.tcp());
        third.write_all(b"three").unwrap();
        expect_silence(&mut third);
        echo(&mut first, b"one again");
        drop(second);
        expect(&mut third, b"three");
        drop((first, third));
        is_served(&server.tcp());
        server.stop().expect_code(0);
    }
}

#[test]
fn emfile_is_logged_once_and_accept_resumes() {
    let models: [Model; 6] =
        [&["blocking"], &["process"], &["thread"], &["nonblocking"], &["select"], &["poll"]];
    for model in models {
        let server = serving(model, &["--log-format", "text"]);
        limit_descriptors(&server, 3);
        // A thread blocked in accept4(2) has already reserved the descriptor number of its next
        // client.
        drop(connect(&server.tcp()));
        let mut client = connect(&server.tcp());
        client.write_all(b"let me in").unwrap();
        server.stderr.line_with("accept paused: EMFILE");
        expect_silence(&mut client);
        assert_eq!(server.stderr.count_with("EMFILE"), 1, "invariant: logged once");
        limit_descriptors(&server, 256);
        expect(&mut client, b"let me in");
        drop(client);
        server.stop().expect_code(0);
    }
}

fn limit_descriptors(server: &Program, soft: usize) {
    let mut prlimit = tool("prlimit");
    prlimit.args(["--pid", &server.pid().to_string(), &format!("--nofile={soft}:")]);
    let ending = Process::start(prlimit).end();
    assert!(ending.status.success(), "{}", ending.stderr);
}

#[test]
fn idle_clients_are_closed_by_models_with_timeouts() {
    let models: [Model; 3] = [&["nonblocking"], &["select"], &["poll"]];
    for model in models {
        let server = serving(model, &["--idle-timeout", "300ms"]);
        let mut silent = connect(&server.tcp());
        expect_end(&mut silent);
        drop(silent);
        until("it to be closed", || server.statistics().number("connections.open") == 0);
        assert_eq!(server.statistics().number("connections.timed_out"), 1);
        server.stop().expect_code(0);
    }
}
