//! The walls of the models: descriptors that have no bit, limits of connections.

use std::io::{Read, Write};

use super::suite::{Model, serving};
use crate::support::client::{connect, echo, expect, expect_end, expect_silence, is_served};
use crate::support::process::Process;
use crate::support::procfs::descriptors;
use crate::support::program::Program;
use crate::support::tool::tool;
use crate::support::wait::until;

#[test]
fn the_client_past_the_wall_of_select_gets_a_clean_end_and_the_log_a_line() {
    let server = serving(&["select"], &["--log", "text"]);
    let mut within = Vec::new();
    // Descriptors are given out in order: as many as there are bits left.
    for _ in descriptors(server.pid())..1024 {
        let mut client = connect(&server.tcp());
        echo(&mut client, b"in");
        within.push(client);
    }
    for _ in 0..5 {
        expect_end(&mut connect(&server.tcp()));
    }
    let said = server.stderr.line_with("is turned away");
    assert!(said.contains("its descriptor is 1024, and the set ends at 1024"), "{said}");
    assert_eq!(server.stderr.count_with("is turned away"), 1, "law: no flood of the log");
    within.iter_mut().for_each(|client| echo(client, b"still here"));
    drop(within.pop());
    is_served_after_room(&server.tcp());
    server.stop().expect_code(0);
}

#[test]
fn each_worker_has_the_descriptors_of_a_process() {
    // Some fifty each, where a quarter of the descriptors would be some thirty.
    let arguments = ["--tcp", "127.0.0.1:0", "--model", "reuseport", "--steer", "hash"];
    let server =
        Program::serving_under(&crate::support::program::descriptors("-n 128"), &arguments);
    let mut clients: Vec<_> = (0..200).map(|_| connect(&server.tcp())).collect();
    clients.iter_mut().for_each(|client| echo(client, b"served"));
    server.stop().expect_code(0);
}

/// The one who left may not have been seen off yet: until then the next has no bit either.
fn is_served_after_room(address: &str) {
    until("a bit to be free", || {
        let mut client = connect(address);
        client.write_all(b"?").is_ok() && matches!(client.read(&mut [0; 1]), Ok(1))
    });
}

#[test]
fn the_third_of_two_waits_until_one_leaves() {
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
fn without_a_descriptor_it_says_so_once_and_goes_on_when_there_is_one() {
    let models: [Model; 6] =
        [&["blocking"], &["process"], &["thread"], &["nonblocking"], &["select"], &["poll"]];
    for model in models {
        let server = serving(model, &["--log", "text"]);
        limit_descriptors(&server, 3);
        // Who waits in accept4(2) has the number already that its next client gets.
        drop(connect(&server.tcp()));
        let mut client = connect(&server.tcp());
        client.write_all(b"let me in").unwrap();
        server.stderr.line_with("accepting pauses: EMFILE");
        expect_silence(&mut client);
        assert_eq!(server.stderr.count_with("EMFILE"), 1, "law: no flood of the log");
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
fn the_silent_are_shown_out_by_those_who_can_wait_with_an_end() {
    let models: [Model; 3] = [&["nonblocking"], &["select"], &["poll"]];
    for model in models {
        let server = serving(model, &["--idle-timeout", "300ms"]);
        let mut silent = connect(&server.tcp());
        expect_end(&mut silent);
        drop(silent);
        until("it to be seen off", || server.statistics().number("connections.open") == 0);
        assert_eq!(server.statistics().number("connections.timed_out"), 1);
        server.stop().expect_code(0);
    }
}
