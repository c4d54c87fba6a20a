//! Calls that the system refuses: what is told is the errno that came, and what can go on does.

use std::io::Write;
use std::time::Instant;

use crate::support::client::{connect, echo, expect_end, is_served};
use crate::support::datagram::Datagrams;
use crate::support::procfs::cpu_ticks;
use crate::support::program::{Program, descriptors};
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::{a_while, until};

/// A command that becomes the program with these calls refused; its process is the program's.
fn refusing(calls: &str, errno: &str) -> Vec<String> {
    injecting(calls, &format!("error={errno}"))
}

/// The same with these calls made to return something else.
fn injecting(calls: &str, what: &str) -> Vec<String> {
    drop(tool("strace"));
    let inject = format!("inject={calls}:{what}");
    let trace = format!("trace={calls}");
    let strace = ["strace", "-f", "-D", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let no_leaks = ["env", "ASAN_OPTIONS=detect_leaks=0"];
    [&no_leaks[..], &strace].concat().into_iter().map(str::to_owned).collect()
}

/// The C library starts threads, and says `EAGAIN` when the kernel has said `ENOMEM`.
#[test]
fn threads_that_cannot_be_started_are_refused_without_an_errno_that_no_call_said() {
    for errno in ["EPERM", "ENOMEM"] {
        for words in [&["--threads", "2"][..], &["--model", "blocking"], &["--model", "thread"]] {
            let words = [&["echo", "--tcp", "127.0.0.1:0"], words].concat();
            let mut server = Program::start_under(&refusing("clone3", errno), &words);
            let ending = server.end();
            let complaint = ending.expect_code(1).one_complaint();
            assert!(complaint.contains("cannot start a thread: "), "{complaint}");
            let names_one = complaint.contains("clone") || complaint.contains("EAGAIN");
            assert!(!names_one, "law: an errno is the kernel's own; after {errno}: {complaint}");
        }
    }
}

#[test]
fn every_address_is_one_of_ipv4_where_there_is_no_ipv6() {
    // The first socket of each server is that of IPv6.
    let without_ipv6 = refusing("socket", "EAFNOSUPPORT:when=1");
    for model in ["epoll-edge", "blocking", "process", "poll", "coroutine"] {
        let server = Program::serving_under(&without_ipv6, &["--tcp", ":0", "--model", model]);
        let port = server.tcp().strip_prefix("0.0.0.0:").map(str::to_owned);
        let port = port.unwrap_or_else(|| panic!("law: IPv4 alone, in {model}: {}", server.tcp()));
        is_served(&format!("127.0.0.1:{port}"));
        server.stop().expect_code(0);
    }
    let server = Program::serving_under(&without_ipv6, &["--udp", ":0"]);
    let port = server.udp().strip_prefix("0.0.0.0:").map(str::to_owned);
    let port = port.unwrap_or_else(|| panic!("law: IPv4 alone: {}", server.udp()));
    Datagrams::to(&format!("127.0.0.1:{port}")).echo(b"four");
}

#[test]
fn a_parent_that_is_told_that_it_has_no_children_waits_for_none() {
    for model in ["prefork", "reuseport", "process"] {
        let words = ["--tcp", "127.0.0.1:0", "--model", model, "--drain", "1h"];
        let server = Program::serving_under(&refusing("wait4", "ECHILD"), &words);
        // Connected until the end: the child of `process` ends no sooner.
        let mut client = connect(&server.tcp());
        echo(&mut client, b"served");
        // Long before the hour is over, or this test's own deadline comes.
        server.stop().expect_code(0);
    }
}

/// A sandbox that forbids wait4(2): who is still there cannot be known, and the wait has an end.
#[test]
fn a_parent_that_may_not_reap_ends_when_patience_is_over() {
    for model in ["prefork", "process"] {
        let words = ["--tcp", "127.0.0.1:0", "--model", model, "--drain", "300ms"];
        let server = Program::serving_under(&refusing("wait4", "EPERM"), &words);
        let mut client = connect(&server.tcp());
        echo(&mut client, b"served");
        server.stop().expect_code(0);
    }
}

#[test]
fn a_datagram_socket_that_gives_nothing_but_errors_is_asked_now_and_then() {
    for model in ["poll", "select", "blocking", "coroutine"] {
        let words = ["--udp", "127.0.0.1:0", "--model", model, "--log", "json"];
        let refusal = refusing("recvmsg,recvfrom", "ENOMEM");
        let server = Program::serving_under(&refusal, &words);
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"for ever there", server.udp()).unwrap();
        let errors = || server.statistics().number("datagrams.errors");
        until("errors to come", || errors() > 0);
        // 64 in a row, four times a second; the fewer, the slower the machine.
        let (start, before) = (Instant::now(), errors());
        a_while();
        let made = errors() - before;
        let rounds = 2 + u64::try_from(start.elapsed().as_millis() / 250).unwrap();
        assert!(made <= 64 * rounds, "invariant: {model} does not spin, but had {made} errors");
        server.stop().expect_code(0);
    }
}

#[test]
fn a_write_that_takes_nothing_is_an_error_and_not_asked_for_ever() {
    let wrapper = injecting("write", "retval=0");
    Program::start_under(&wrapper, &["--version"]).end().expect_code(1);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut reader = Program::start_under(&wrapper, &["nc", "127.0.0.1", &port]);
    listener.accept().unwrap().0.write_all(b"for stdout").unwrap();
    reader.end().expect_code(1);
}

#[test]
fn clients_that_a_firewall_refuses_pause_accepting_with_its_errno() {
    for model in ["epoll-edge", "epoll-level", "blocking", "thread", "process", "poll", "coroutine"]
    {
        let words = ["--tcp", "127.0.0.1:0", "--model", model];
        let server = Program::serving_under(&refusing("accept4", "EPERM"), &words);
        let mut client = connect(&server.tcp());
        client.write_all(b"let me in").unwrap();
        let said = server.stderr.line_with("accepting pauses");
        assert!(said.contains("EPERM"), "law: {model} says what came; got {said}");
        // It looks again four times a second, and sleeps between.
        until("no work when nothing is to be done: it spins", || {
            let before = cpu_ticks(server.pid());
            a_while();
            cpu_ticks(server.pid()) - before < 10
        });
        server.stop().expect_code(0);
    }
}

#[test]
fn a_refused_eventfd_is_no_want_of_descriptors() {
    for model in ["blocking", "process", "thread", "nonblocking", "select", "poll"] {
        let words = ["--tcp", "127.0.0.1:0", "--model", model];
        let server = Program::serving_under(&refusing("eventfd2", "EPERM"), &words);
        is_served(&server.tcp());
        server.stop().expect_code(0);
    }
    let mut server =
        Program::start_under(&refusing("eventfd2", "EPERM"), &["echo", "--tcp", "127.0.0.1:0"]);
    let ending = server.end();
    assert!(ending.expect_code(1).one_complaint().contains("eventfd: EPERM"), "{ending:?}");
}

#[test]
fn a_limit_that_is_not_known_limits_nobody() {
    for model in ["epoll-edge", "poll", "prefork"] {
        let words = ["--tcp", "127.0.0.1:0", "--model", model];
        let server = Program::serving_under(&refusing("prlimit64", "EPERM"), &words);
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
fn a_server_of_datagrams_wants_no_descriptor_for_clients() {
    for model in ["epoll-edge", "poll", "select", "nonblocking", "blocking"] {
        // As few as it can be: one fewer is refused.
        let serves = (3..40).find_map(|limit| {
            let limit = descriptors(&format!("-n {limit}"));
            let words = ["echo", "--udp", "127.0.0.1:0", "--model", model];
            let mut server = Program::start_under(&limit, &words);
            until("it to serve or to end", || {
                server.ended().is_some() || server.stdout.count_with("listening") > 0
            });
            if server.ended().is_some() {
                let complaint = server.end().stderr;
                assert!(!complaint.contains("for a client"), "law: there are none; {complaint}");
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
    let words = ["echo", "--unix", &path];
    let mut server = Program::start_under(&refusing("bind", "EACCES"), &words);
    let ending = server.end();
    let complaint = ending.expect_code(69).one_complaint();
    assert!(complaint.contains("EACCES") && !complaint.contains("ports"), "{complaint}");
}

#[test]
fn a_client_without_a_thread_is_turned_away_with_the_errno_that_came() {
    let words = ["--tcp", "127.0.0.1:0", "--model", "process"];
    let server = Program::serving_under(&refusing("clone,fork", "EPERM"), &words);
    expect_end(&mut connect(&server.tcp()));
    assert!(server.stderr.line_with("is turned away").contains("EPERM"));
    server.stop().expect_code(0);
}
