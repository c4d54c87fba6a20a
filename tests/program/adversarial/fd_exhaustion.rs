//! Out of descriptors: no client is lost, there is no busy loop, and the server recovers.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;

use crate::support::TRIGGERS;
use crate::support::client::{
    connect, connect_unix, echo, expect, expect_silence, fill_buffers, is_served,
};
use crate::support::process::Process;
use crate::support::procfs::descriptors as open_descriptors;
use crate::support::program::{Program, descriptors};
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::{until, until_still};

const CLIENTS: usize = 200;

/// One model of each kind that opens different descriptors.
const MODELS: [&str; 6] = ["epoll-edge", "poll", "thread", "process", "coroutine", "prefork"];
const LIMIT: usize = 64;

#[test]
fn two_hundred_clients_are_served_with_sixty_four_descriptors() {
    for trigger in TRIGGERS {
        for threads in ["1", "2"] {
            let address = ["--tcp", "127.0.0.1:0", "--trigger", trigger, "--threads", threads];
            let arguments = [&address[..], &["--log-format", "json"]].concat();
            let server = Program::serving_under(&descriptors("-n 64"), &arguments);
            all_are_served_in_turn(&server);
        }
    }
}

fn all_are_served_in_turn(server: &Program) {
    let mut waiting: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(&server.tcp())).collect();
    for client in &mut waiting {
        client.write_all(b"me too").unwrap();
        client.set_nonblocking(true).unwrap();
    }
    let mut served = Vec::new();
    // At least half of the descriptors are for clients; the program computes the exact number.
    until("as many to be served as there are descriptors", || {
        move_the_served(&mut waiting, &mut served);
        served.len() >= LIMIT / 2
    });
    until_still("as many to be served as there are descriptors", 100, || {
        move_the_served(&mut waiting, &mut served);
        served.len()
    });
    assert!(served.len() < LIMIT, "the limit holds");
    assert!(open_descriptors(server.pid()) <= LIMIT, "the limit holds");
    super::slow_readers::does_not_spin(server);
    for client in &mut served {
        echo(client, b"those inside are served as ever");
    }

    // One at a time: each disconnect frees a descriptor.
    while !waiting.is_empty() {
        drop(served.pop().expect("invariant: a disconnect makes room for the next client"));
        if served.is_empty() {
            until("the next to be served", || {
                move_the_served(&mut waiting, &mut served);
                !served.is_empty()
            });
        } else {
            move_the_served(&mut waiting, &mut served);
        }
    }
    drop(served);
    is_served(&server.tcp());
    until("all to be closed", || server.statistics().number("connections.open") == 0);
    let complaints = server.stderr.count_with("");
    assert!(complaints < 50, "invariant: logged once, not for each; got {complaints} lines");
}

#[test]
fn idle_clients_at_the_fd_limit_cause_no_busy_loop() {
    for trigger in TRIGGERS {
        let arguments = ["--tcp", "127.0.0.1:0", "--trigger", trigger, "--log-format", "json"];
        let server = Program::serving_under(&descriptors("-n 64"), &arguments);
        let silent: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(&server.tcp())).collect();
        until_full(&server, LIMIT);
        super::slow_readers::does_not_spin(&server);
        drop(silent);
        is_served(&server.tcp());
        until("all to be closed", || server.statistics().number("connections.open") == 0);
    }
}

#[test]
fn shutdown_is_clean_when_descriptors_are_exhausted() {
    for trigger in TRIGGERS {
        let arguments = ["--tcp", "127.0.0.1:0", "--trigger", trigger];
        let server = Program::serving_under(&descriptors("-n 32"), &arguments);
        let clients: Vec<TcpStream> = (0..100).map(|_| connect(&server.tcp())).collect();
        until_full(&server, 32);
        server.stop().expect_code(0);
        drop(clients);
    }
}

#[test]
fn too_few_descriptors_to_start_is_one_error_line_and_no_panic() {
    // A server that listens can serve; one that cannot serve does not listen.
    for (limit, model) in (3..24).flat_map(|limit| MODELS.map(|model| (limit, model))) {
        let wrapper = descriptors(&format!("-n {limit}"));
        let command_line = ["echo", "--model", model, "--tcp", "127.0.0.1:0"];
        let mut program = Program::start_under(&wrapper, &command_line);
        until("it to start or to exit", || {
            program.ended().is_some() || program.stdout.count_with("listening") == 1
        });
        if program.ended().is_none() {
            let address = program.tcp();
            is_served(&address);
            is_served(&address);
            program.signal("TERM");
            program.end().expect_code(0);
            continue;
        }
        let ending = program.end();
        let refused = [Some(1), Some(69), Some(127)].contains(&ending.code());
        assert!(refused, "invariant: a failed start has its exit code; got {ending:?}");
        assert!(!ending.stderr.contains("panicked"), "invariant: no panic; got {}", ending.stderr);
        // 127 comes from the loader: it could not open the libraries, and the program never ran.
        if ending.code() != Some(127) {
            ending.single_error_line();
        }
    }
}

#[test]
fn accept_resumes_after_the_fd_limit_is_raised_without_clients() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        is_served(&server.tcp());
        until("the first to be closed", || server.statistics().number("connections.open") == 0);
        // It keeps its descriptors and gets no more, and there is no client that could free any.
        limit_to(&server, 3);
        let mut waiting = connect(&server.tcp());
        waiting.write_all(b"patience").unwrap();
        expect_silence(&mut waiting);
        super::slow_readers::does_not_spin(&server);
        limit_to(&server, LIMIT);
        expect(&mut waiting, b"patience");
    }
}

/// Sets the limit of a running process.
fn limit_to(server: &Program, limit: usize) {
    let mut prlimit = tool("prlimit");
    prlimit.args(["--pid", &server.pid().to_string(), &format!("--nofile={limit}:")]);
    let ending = Process::start(prlimit).end();
    assert!(ending.status.success(), "a soft limit can be set: {}", ending.stderr);
}

/// Waits until no more descriptors of `limit` are being opened.
fn until_full(server: &Program, limit: usize) {
    until("half of the descriptors to be in use", || open_descriptors(server.pid()) >= limit / 2);
    until_still("the server to be full", 100, || open_descriptors(server.pid()));
}

/// Moves clients that got a reply to the served ones.
fn move_the_served(waiting: &mut Vec<TcpStream>, served: &mut Vec<TcpStream>) {
    let has_answer = |client: &mut TcpStream| match client.peek(&mut [0; 16]) {
        Ok(count) => count == 6,
        Err(error) => {
            assert_eq!(
                error.kind(),
                ErrorKind::WouldBlock,
                "invariant: a waiting client is not disconnected"
            );
            false
        }
    };
    for mut client in waiting.extract_if(.., has_answer) {
        client.set_nonblocking(false).unwrap();
        expect(&mut client, b"me too");
        served.push(client);
    }
}

#[test]
fn a_freed_descriptor_serves_unix_and_tcp_clients() {
    let scratch = Scratch::new();
    let path = scratch.file("short");
    let arguments = ["--tcp", "127.0.0.1:0", "--unix", &path, "--log-format", "json"];
    let server = Program::serving_under(&descriptors("-n 40"), &arguments);
    let many: Vec<TcpStream> = (0..100).map(|_| connect(&server.tcp())).collect();
    until_full(&server, 40);
    let mut late = connect_unix(&path);
    late.write_all(b"by path").unwrap();
    expect_silence(&mut late);
    drop(many);
    expect(&mut late, b"by path");
    is_served(&server.tcp());
}

/// Their pipes do not take the descriptors of later clients.
#[test]
fn clients_that_do_not_read_leave_room_for_others_when_bytes_are_spliced() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let arguments = ["echo", "--unix", &path, "--trigger", trigger, "--bulk", "splice"];
        let mut server = Program::start_under(&descriptors("-n 40"), &arguments);
        server.until_it_serves(&path);
        let mut unread: Vec<_> = (0..10).map(|_| connect_unix(&path)).collect();
        for client in &mut unread {
            fill_buffers(client, 1 << 24);
        }
        // Fewer than there would be without pipes.
        let mut others: Vec<_> = (0..7).map(|_| connect_unix(&path)).collect();
        for client in &mut others {
            echo(client, b"there is room");
        }
        let complaints = server.stderr.count_with("accept paused");
        assert_eq!(complaints, 0, "invariant: one that does not read costs only itself");
    }
}
