//! Limits of peers on the command line: by address, over several threads, logged and counted.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;

use epollite::kernel::{SocketOption, SocketType};
use epollite::{Addr, Errno, Kernel, Linux};

use crate::support::client::{connect, connect_from, echo, exchange, fill_buffers};
use crate::support::datagram::Datagrams;
use crate::support::procfs::resident_kib;
use crate::support::program::Program;
use crate::support::wait::{until, until_still};
use crate::support::{MODELS, TRIGGERS};

fn serving(options: &[&str]) -> Program {
    let arguments = ["--tcp", "127.0.0.1:0", "--log-format", "json"];
    Program::serving(&[&arguments[..], options].concat())
}

/// Whether a connection is served; it is closed at once otherwise.
fn is_served(stream: &mut TcpStream) -> bool {
    // A reset may come before the byte is sent.
    let _ = stream.write_all(b"?");
    match stream.read(&mut [0; 1]) {
        Ok(count) => count == 1,
        Err(error) => {
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                "invariant: it is closed and not left alone: {error}"
            );
            false
        }
    }
}

#[test]
fn only_allowed_networks_are_served_and_others_logged_in_few_lines() {
    for trigger in TRIGGERS {
        for (allow, is_allowed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false), ("::/0", false)] {
            let server = serving(&["--trigger", trigger, "--allow", allow]);
            for _ in 0..5 {
                assert_eq!(is_served(&mut connect(&server.tcp())), is_allowed, "{allow}");
            }
            let statistics = server.statistics();
            let refused = if is_allowed { 0 } else { 5 };
            assert_eq!(statistics.number("refused.not_allowed"), refused);
            assert_eq!(statistics.number("connections.accepted"), 5 - refused);
            let ending = server.stop();
            // The first at once, the others at the end: a period is ten seconds.
            let counts = logged_counts(&ending.stderr);
            assert!(counts.len() <= 2, "invariant: few lines: {}", ending.stderr);
            assert_eq!(counts.iter().sum::<u64>(), refused, "invariant: none is missing");
        }
    }
}

/// The numbers of refusals in the lines of the log.
fn logged_counts(stderr: &str) -> Vec<u64> {
    let lines = stderr.lines().filter(|line| line.contains("{\"event\":\"refused\""));
    let count = |line: &str| {
        let (_, count) = line.rsplit_once("\"count\":").expect("it has a count");
        count.trim_end_matches('}').parse().expect("a number")
    };
    lines.map(count).collect()
}

/// What the period of the log holds back is logged when the server begins to drain: no later
/// refusal would bring it.
#[test]
fn the_last_refusals_are_logged_when_the_server_begins_to_drain() {
    let options = ["--allow", "127.0.0.1", "--udp", "127.0.0.1:0", "--drain-timeout", "1h"];
    let server = serving(&options);
    let mut pending = connect(&server.tcp());
    fill_buffers(&mut pending, 32 << 20);
    let udp = Datagrams::from("127.0.0.2:0", &server.udp()).unwrap();
    for number in 1..=5 {
        assert!(!is_served(&mut connect_from("127.0.0.2", &server.tcp())));
        udp.send(b"not allowed");
        until("the datagram to arrive", || {
            server.statistics().number("datagrams.not_allowed") == number
        });
    }
    let lines = || server.stderr.count_with("\"event\":\"refused\"");
    assert_eq!(lines(), 2, "one of each kind in a period");
    server.signal("TERM");
    until("the rest to be logged", || lines() == 4);
    pending.set_nonblocking(false).unwrap();
    assert!(pending.read(&mut [0; 16]).unwrap() > 0, "it still drains");
    drop(pending);
    let mut server = server;
    let ending = server.end();
    let mut counts = logged_counts(&ending.expect_code(0).stderr);
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 4, 4], "{}", ending.stderr);
}

#[test]
fn prefork_workers_serve_allowed_networks_only() {
    for model in ["prefork", "reuseport"] {
        for (allow, is_allowed) in [("10.0.0.0/8", false), ("127.0.0.0/8", true)] {
            let server = serving(&["--model", model, "--allow", allow]);
            assert_eq!(is_served(&mut connect(&server.tcp())), is_allowed, "{model} {allow}");
            until("the worker to pass it on", || {
                let (refused, closed) = ("refused.not_allowed", "connections.closed");
                server.statistics().number(if is_allowed { closed } else { refused }) == 1
            });
            server.stop().expect_code(0);
        }
    }
}

#[test]
fn the_connections_of_an_address_are_counted_over_all_threads() {
    let server = serving(&["--threads", "3", "--connections-per-address", "4"]);
    let mut open: Vec<TcpStream> = (0..4).map(|_| connect(&server.tcp())).collect();
    open.iter_mut().for_each(|stream| echo(stream, b"served"));
    for _ in 0..8 {
        assert!(!is_served(&mut connect(&server.tcp())), "invariant: four are the limit");
    }
    assert_eq!(server.statistics().number("refused.connections"), 8);
    drop(open.pop());
    until("a place that is free to be given", || is_served(&mut connect(&server.tcp())));
    server.stop().expect_code(0);
}

#[test]
fn the_rate_of_an_address_is_counted_over_all_threads() {
    let server = serving(&["--threads", "3", "--accept-rate", "5/h"]);
    let served = (0..20).filter(|_| is_served(&mut connect(&server.tcp()))).count();
    assert_eq!(served, 5, "invariant: five at once, and the next in twelve minutes");
    assert_eq!(server.statistics().number("refused.rate"), 15);
    server.stop().expect_code(0);
}

#[test]
fn datagrams_beyond_the_rate_get_no_answer_and_are_logged() {
    let arguments = ["--udp", "127.0.0.1:0", "--udp-rate", "3/h", "--log-format", "json"];
    let server = Program::serving(&arguments);
    let first = Datagrams::from("127.0.0.1:0", &server.udp()).unwrap();
    let other = Datagrams::from("127.0.0.2:0", &server.udp()).unwrap();
    (0..9).for_each(|_| first.send(b"three of nine"));
    other.echo(b"has its own");
    until("nine and one to arrive", || server.statistics().number("datagrams.in") == 10);
    let statistics = server.statistics();
    assert_eq!(statistics.number("datagrams.out"), 4);
    assert_eq!(statistics.number("datagrams.over_rate"), 6);
    let ending = server.stop();
    let lines: Vec<&str> = ending.stderr.lines().filter(|line| line.contains("refused")).collect();
    assert!(lines.iter().all(|line| line.contains("too often")), "{lines:?}");
    assert_eq!(logged_counts(&ending.stderr).iter().sum::<u64>(), 6, "invariant: none is missing");
}

#[test]
fn stalled_readers_cost_no_more_than_the_total_and_others_are_served() {
    for trigger in TRIGGERS {
        let server = serving(&["--trigger", trigger, "--buffer-total", "64KiB"]);
        let mut stalled: Vec<TcpStream> = (0..6).map(|_| connect(&server.tcp())).collect();
        stalled.iter_mut().for_each(|stream| _ = fill_buffers(stream, 32 << 20));
        let statistics = server.statistics();
        assert!(statistics.number("buffers.bytes") <= 64 << 10, "invariant: the sum is bounded");
        assert!(statistics.number("buffers.waits") > 0, "{trigger}");
        let mut reader = connect(&server.tcp());
        for _ in 0..10 {
            echo(&mut reader, b"one that reads is served");
        }
        drop(stalled);
        until("the memory to be given back", || server.statistics().number("buffers.bytes") == 0);
        server.stop().expect_code(0);
    }
}

/// Its buffers do not grow, so that two hundred of them do not use up the kernel's memory. It does
/// not block.
fn connect_with_small_buffers(address: &str) -> TcpStream {
    const BYTES: u32 = 64 << 10;
    let address: Addr = address.parse().unwrap();
    let socket = Linux.socket(address.family().unwrap(), SocketType::Stream).unwrap();
    for option in [SocketOption::SendBufferBytes(BYTES), SocketOption::ReceiveBufferBytes(BYTES)] {
        Linux.setsockopt(&socket, option).unwrap();
    }
    assert!(matches!(Linux.connect(&socket, &address), Ok(()) | Err(Errno::EINPROGRESS)));
    TcpStream::from(OwnedFd::from(socket))
}

/// Two hundred clients that never read: without the bound they would have 12 MiB.
#[test]
fn a_swarm_that_never_reads_costs_no_more_than_the_total() {
    const CLIENTS: usize = 200;
    const TOTAL: u64 = 1 << 20;
    /// The total, as much again for the allocator, and code pages touched for the first time.
    const BOUND_KIB: u64 = 2 * (TOTAL >> 10) + 1024;
    for options in [&["--trigger", "edge"][..], &["--trigger", "level", "--bulk", "splice"]] {
        let server = serving(&[options, &["--buffer-total", "1MiB"]].concat());
        echo(&mut connect(&server.tcp()), b"warm");
        let before = resident_kib(server.pid());
        let mut swarm: Vec<TcpStream> =
            (0..CLIENTS).map(|_| connect_with_small_buffers(&server.tcp())).collect();
        let chunk = vec![b'x'; 64 << 10];
        // Until none of them can send any more.
        let mut sent = 0;
        until_still("the swarm to be stuck", 20, || {
            for stream in &mut swarm {
                match stream.write(&chunk) {
                    Ok(count) => sent += count,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            sent
        });
        let statistics = server.statistics();
        assert!(statistics.number("buffers.bytes") <= TOTAL, "invariant: the sum is bounded");
        assert!(statistics.number("buffers.waits") > 0, "the total was reached: {options:?}");
        let grown = resident_kib(server.pid()).saturating_sub(before);
        assert!(grown < BOUND_KIB, "invariant: bounded memory; grown by {grown} KiB");
        exchange(connect(&server.tcp()), 3 << 20);
        for stream in &mut swarm[..2] {
            stream.set_nonblocking(false).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let sums = swarm.drain(..2).map(|mut stream| {
            let mut back = Vec::new();
            stream.read_to_end(&mut back).expect("invariant: an orderly end");
            back.len()
        });
        assert!(sums.sum::<usize>() > 0, "a client that reads after all is served");
        drop(swarm);
        until("all memory to be given back", || server.statistics().number("buffers.bytes") == 0);
        server.stop().expect_code(0);
    }
}

/// Each number is another one: none is shown under another name.
#[test]
fn what_is_refused_is_counted_by_its_reason_for_prometheus() {
    let by_address = ["--allow", "127.0.0.0/29", "--connections-per-address", "2"];
    let rates = ["--accept-rate", "3/h", "--udp-rate", "2/h"];
    let addresses = ["--udp", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
    let server = serving(&[&by_address[..], &rates, &addresses].concat());
    let mut open = [(); 2].map(|()| connect(&server.tcp()));
    open.iter_mut().for_each(|stream| echo(stream, b"two at a time"));
    let served = |from: &str, times: usize| {
        (0..times).filter(|_| is_served(&mut connect_from(from, &server.tcp()))).count()
    };
    assert_eq!(served("127.0.0.1", 1), 0);
    assert_eq!(served("127.0.0.2", 5), 3);
    assert_eq!(served("127.0.0.9", 3), 0);
    for (from, count) in [("127.0.0.1:0", 6), ("127.0.0.9:0", 5)] {
        let socket = Datagrams::from(from, &server.udp()).unwrap();
        (0..count).for_each(|_| socket.send(b"two an hour"));
    }
    until("all to arrive", || server.statistics().number("datagrams.in") == 11);
    let mut client = connect(&server.addresses("metrics")[0]);
    client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut page = String::new();
    client.read_to_string(&mut page).unwrap();
    for line in [
        "epollite_connections_refused_total{reason=\"connections\"} 1",
        "epollite_connections_refused_total{reason=\"rate\"} 2",
        "epollite_connections_refused_total{reason=\"not_allowed\"} 3",
        "epollite_datagrams_over_rate_total 4",
        "epollite_datagrams_not_allowed_total 5",
        "epollite_datagrams_refused_total 0",
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line} is missing: {page}");
    }
    server.stop().expect_code(0);
}

/// What the kernel shows is twice the number: socket(7).
#[test]
fn socket_buffers_have_the_size_that_was_asked_for() {
    for model in MODELS {
        let server = Program::serving(
            &[&["--tcp", "127.0.0.1:0", "--model", model][..], &["--socket-buffers", "20000"]]
                .concat(),
        );
        let address = server.tcp();
        let mut client = connect(&address);
        echo(&mut client, b"accepted");
        let (_, port) = address.rsplit_once(':').unwrap();
        let filter = format!("sport = :{port}");
        let shown = Command::new("ss")
            .args(["-tmnH", "state", "established", &filter])
            .output()
            .expect("make tools installs ss");
        let shown = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.contains("rb40000,") && shown.contains("tb40000,"), "{model}: {shown}");
        exchange(client, 1 << 20);
        server.stop().expect_code(0);
    }
}

#[test]
fn limits_that_make_no_sense_are_one_clear_line() {
    for (arguments, expected) in [
        ("--allow 10.0.0.1/8", "bits set after the prefix"),
        ("--allow localhost", "not a network"),
        ("--allow 10.0.0.0/33", "from 0 to 32"),
        ("--allow", "--allow needs a value"),
        ("--connections-per-address 0", "not a number from 1"),
        ("--accept-rate 5/d", "not a rate"),
        ("--udp-rate 0/s", "not a rate"),
        ("--udp-refuse all", "is not reserved or reflectors"),
        ("--buffer-total 0", "not a size"),
        ("--buffer-total 65535", "--buffer-total 65535 with --threads 1: each needs 65536 bytes"),
        ("--threads 3 --buffer-total 128K", "--buffer-total 131072 with --threads 3: each needs"),
        ("--model prefork --buffer-total 128K", "--buffer-total 131072 with --workers 4: each"),
        ("--socket-buffers 0", "not a size"),
        ("--socket-buffers 1GiB", "is more than 1073741823"),
        ("--model poll --allow ::1", "does not support --allow: only the reactor's"),
        ("--model poll --buffer-total 1M", "does not support --buffer-total"),
        ("--model prefork --accept-rate 1", "share no table"),
        ("--model coroutine --udp-rate 1", "does not support --udp-rate"),
    ] {
        let arguments: Vec<&str> = ["echo"].into_iter().chain(arguments.split(' ')).collect();
        let ending = Program::run(&arguments);
        let line = ending.expect_code(2).single_error_line();
        assert!(line.contains(expected), "{arguments:?}: {line}");
    }
}
