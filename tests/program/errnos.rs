//! System calls denied by the system: the reported errno is the real one, and the rest keeps
//! running.

use std::io::Write;
use std::time::Instant;

use crate::support::client::{connect, echo, expect_end, is_served};
use crate::support::datagram::Datagrams;
use crate::support::procfs::cpu_ticks;
use crate::support::program::{Program, descriptors};
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::{settle_time, until};

/// A command that executes the program with these calls denied; its process is the program's.
fn refusing(calls: &str, errno: &str) -> Vec<String> {
    injecting(calls, &format!("error={errno}"))
}

/// The same, with these calls returning something else.
fn injecting(calls: &str, what: &str) -> Vec<String> {
    drop(tool("strace"));
    let inject = format!("inject={calls}:{what}");
    let trace = format!("trace={calls}");
    let strace = ["strace", "-f", "-D", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let no_leaks = ["env", "ASAN_OPTIONS=detect_leaks=0"];
    [&no_leaks[..], &strace].concat().into_iter().map(str::to_owned).collect()
}

/// The C library starts threads, and returns `EAGAIN` where the kernel returned `ENOMEM`.
#[test]
fn threads_that_cannot_be_started_are_reported_without_an_errno_of_the_c_library() {
    for errno in ["EPERM", "ENOMEM"] {
        for model in [&["--threads", "2"][..], &["--model", "blocking"], &["--model", "thread"]] {
            let arguments = [&["echo", "--tcp", "127.0.0.1:0"], model].concat();
            let mut server = Program::start_under(&refusing("clone3", errno), &arguments);
            let ending = server.end();
            let complaint = ending.expect_code(1).single_error_line();
            assert!(complaint.contains("cannot start a thread: "), "{complaint}");
            let names_one = complaint.contains("clone") || complaint.contains("EAGAIN");
            assert!(
                !names_one,
                "invariant: an errno is the kernel's own; after {errno}: {complaint}"
            );
        }
    }
}

#[test]
fn an_experiment_without_a_thread_is_one_line() {
    for arguments in [&["study", "edge-late"][..], &["study", "--all"]] {
        let mut program = Program::start_under(&refusing("clone3", "EAGAIN"), arguments);
        let ending = program.end();
        let complaint = ending.expect_code(1).single_error_line();
        assert!(complaint.contains("cannot start a thread: "), "{complaint}");
    }
}

#[test]
fn a_missing_host_means_all_ipv4_addresses_without_ipv6() {
    // The first socket of each server is the IPv6 one.
    let without_ipv6 = refusing("socket", "EAFNOSUPPORT:when=1");
    for model in ["epoll-edge", "blocking", "process", "poll", "coroutine"] {
        let server = Program::serving_under(&without_ipv6, &["--tcp", ":0", "--model", model]);
        let port = server.tcp().strip_prefix("0.0.0.0:").map(str::to_owned);
        let port =
            port.unwrap_or_else(|| panic!("invariant: IPv4 alone, in {model}: {}", server.tcp()));
        is_served(&format!("127.0.0.1:{port}"));
        server.stop().expect_code(0);
    }
    let server = Program::serving_under(&without_ipv6, &["--udp", ":0"]);
    let port = server.udp().strip_prefix("0.0.0.0:").map(str::to_owned);
    let port = port.unwrap_or_else(|| panic!("invariant: IPv4 alone: {}", server.udp()));
    Datagrams::to(&format!("127.0.0.1:{port}")).echo(b"four");
}

#[test]
fn a_parent_without_children_by_wait4_waits_for_none() {
    for model in ["prefork", "reuseport", "process"] {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model, "--drain-timeout", "1h"];
        let server = Program::serving_under(&refusing("wait4", "ECHILD"), &arguments);
        // Connected until the end: the child of `process` does not exit earlier.
        let mut client = connect(&server.tcp());
        echo(&mut client, b"served");
        // Long before the drain timeout, and before the deadline of this test.
        server.stop().expect_code(0);
    }
}

/// A sandbox that denies wait4(2): the children still running cannot be known, so the wait is
/// bounded by the drain timeout.
#[test]
fn a_parent_that_may_not_reap_exits_after_the_drain_timeout() {
    for model in ["prefork", "process"] {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model, "--drain-timeout", "300ms"];
        let server = Program::serving_under(&refusing("wait4", "EPERM"), &arguments);
        let mut client = connect(&server.tcp());
        echo(&mut client, b"served");
        server.stop().expect_code(0);
    }
}

#[test]
fn a_datagram_socket_that_returns_only_errors_is_polled_at_intervals() {
    for model in ["poll", "select", "blocking", "coroutine"] {
        let arguments = ["--udp", "127.0.0.1:0", "--model", model, "--log-format", "json"];
        let wrapper = refusing("recvmsg,recvfrom", "ENOMEM");
        let server = Program::serving_under(&wrapper, &arguments);
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"never received", server.udp()).unwrap();
        let errors = || server.statistics().number("datagrams.errors");
        until("errors to be counted", || errors() > 0);
        // 64 in a row, four times a second; fewer on a slower machine.
        let (start, before) = (Instant::now(), errors());
        settle_time();
        let made = errors() - before;
        let rounds = 2 + u64::try_from(start.elapsed().as_millis() / 250).unwrap();
        assert!(made <= 64 * rounds, "invariant: {model} does not spin, but had {made} errors");
        server.stop().expect_code(0);
    }
}

#[test]
fn a_write_that_returns_zero_is_an_error_and_is_not_retried() {
    let wrapper = injecting("write", "retval=0");
    Program::start_under(&wrapper, &["--version"]).end().expect_code(1);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut reader = Program::start_under(&wrapper, &["nc", "127.0.0.1", &port]);
    listener.accept().unwrap().0.write_all(b"for stdout").unwrap();
    reader.end().expect_code(1);
}

#[test]
fn clients_rejected_by_a_firewall_pause_accepting_with_the_errno() {
    for model in ["epoll-edge", "epoll-level", "blocking", "thread", "process", "poll", "coroutine"]
    {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model];
        let server = Program::serving_under(&refusing("accept4", "EPERM"), &arguments);
        let mut client = connect(&server.tcp());
        client.write_all(b"let me in").unwrap();
        let line = server.stderr.line_with("accept paused");
        assert!(line.contains("EPERM"), "invariant: {model} reports the errno; got {line}");
        // It retries four times a second, and sleeps in between.
        until("no CPU time while idle (busy loop?)", || {
            let before = cpu_ticks(server.pid());
            settle_time();
            cpu_ticks(server.pid()) - before < 10
        });
        server.stop().expect_code(0);
    }
}

#[test]
fn a_denied_eventfd_is_not_reported_as_descriptor_exhaustion() {
    for model in ["blocking", "process", "thread", "nonblocking", "select", "poll"] {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model];
        let server = Program::serving_under(&refusing("eventfd2", "EPERM"), &arguments);
        is_served(&server.tcp());
        server.stop().expect_code(0);
    }
    let mut server =
        Program::start_under(&refusing("eventfd2", "EPERM"), &["echo", "--tcp", "127.0.0.1:0"]);
    let ending = server.end();
    assert!(ending.expect_code(1).single_error_line().contains("eventfd: EPERM"), "{ending:?}");
}

#[test]
fn an_unknown_limit_is_no_limit() {
    for model in ["epoll-edge", "poll", "prefork"] {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model];
        let server = Program::serving_under(&refusing("prlimit64", "EPERM"), &arguments);
        assert!(server.stderr.line_with("descriptor limit").contains("prlimit: EPERM"));
        let mut clients: Vec<_> = (0..50).map(|_| connect(&server.tcp())).collect();
        for client in &mut clients {
            echo(client, b"served");
        }
        drop(clients);
        server.stop().expect_code(0);
    }
}

#[test]
fn a_datagram_server_needs_no_descriptors_for_clients() {
    for model in ["epoll-edge", "poll", "select", "nonblocking", "blocking"] {
        // The minimum: one fewer is rejected.
        let serves = (3..40).find_map(|limit| {
            let limit = descriptors(&format!("-n {limit}"));
            let arguments = ["echo", "--udp", "127.0.0.1:0", "--model", model];
            let mut server = Program::start_under(&limit, &arguments);
            until("it to serve or to exit", || {
                server.ended().is_some() || server.stdout.count_with("listening") > 0
            });
            if server.ended().is_some() {
                let complaint = server.end().stderr;
                assert!(
                    !complaint.contains("for a client"),
                    "invariant: there are none; {complaint}"
                );
                return None;
            }
            Some(server)
        });
        let server = serves.expect("some limit is enough");
        Datagrams::to(&server.udp()).echo(b"served");
        server.stop().expect_code(0);
    }
}

#[test]
fn a_folder_that_may_not_be_written_is_no_privileged_port() {
    let scratch = Scratch::new();
    let path = scratch.file("socket");
    let arguments = ["echo", "--unix", &path];
    let mut server = Program::start_under(&refusing("bind", "EACCES"), &arguments);
    let ending = server.end();
    let complaint = ending.expect_code(69).single_error_line();
    assert!(complaint.contains("EACCES") && !complaint.contains("ports"), "{complaint}");
}

#[test]
fn a_client_without_a_thread_is_rejected_with_the_errno() {
    let arguments = ["--tcp", "127.0.0.1:0", "--model", "process"];
    let server = Program::serving_under(&refusing("clone,fork", "EPERM"), &arguments);
    expect_end(&mut connect(&server.tcp()));
    assert!(server.stderr.line_with("rejected").contains("EPERM"));
    server.stop().expect_code(0);
}
