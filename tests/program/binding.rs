//! Where it listens: the printed addresses are the bound ones, and all of them are served.

use std::net::TcpListener;
use std::thread;

use crate::support::TRIGGERS;
use crate::support::client::{connect, connect_unix, echo, is_served};
use crate::support::datagram::Datagrams;
use crate::support::procfs::has_ipv6_loopback;
use crate::support::program::Program;
use crate::support::scratch::Scratch;

#[test]
fn without_an_address_it_listens_on_tcp_port_7777_of_this_machine() {
    // The only fixed port in the tests: if another process holds it, the expected exit code is 69.
    let held = TcpListener::bind("127.0.0.1:7777");
    let is_free = held.is_ok();
    drop(held);
    if is_free {
        let server = Program::serving(&[]);
        assert_eq!(server.addresses("tcp"), ["127.0.0.1:7777"]);
        is_served("127.0.0.1:7777");
    } else {
        let ending = Program::run(&["echo"]);
        ending.expect_code(69);
        assert!(ending.single_error_line().contains("127.0.0.1:7777"));
    }
}

#[test]
fn port_zero_prints_the_port_it_got() {
    for trigger in TRIGGERS {
        let server = Program::serving(&["--tcp", "127.0.0.1:0", "--trigger", trigger]);
        assert_ne!(server.tcp(), "127.0.0.1:0", "invariant: the port printed is the port open");
        is_served(&server.tcp());
        let log = server.stdout.line_with("listening");
        assert_eq!(log, format!("listening on tcp {}", server.tcp()));
    }
}

#[test]
fn a_missing_host_means_all_addresses_of_both_families() {
    for model in ["epoll-edge", "blocking", "thread", "poll", "coroutine", "reuseport"] {
        let server = Program::serving(&["--tcp", ":0", "--model", model]);
        let port = server.tcp().rsplit(':').next().unwrap().to_owned();
        let mut hosts = vec!["127.0.0.1", "127.0.0.2"];
        hosts.extend(has_ipv6_loopback().then_some("[::1]"));
        for host in hosts {
            is_served(&format!("{host}:{port}"));
        }
        server.stop().expect_code(0);
    }
}

#[test]
fn datagrams_without_a_host_are_answered_in_both_families() {
    for arguments in [&["--udp", ":0"][..], &["--udp", ":0", "--threads", "2"]] {
        let server = Program::serving(&[arguments, &["-v"]].concat());
        let port = server.udp().rsplit(':').next().unwrap().to_owned();
        Datagrams::to(&format!("127.0.0.1:{port}")).echo(b"four");
        // The address is printed in the form of its own family.
        server.stderr.line_with("udp 127.0.0.1:");
        if has_ipv6_loopback() {
            Datagrams::to(&format!("[::1]:{port}")).echo(b"six");
        }
    }
}

#[test]
fn a_name_is_resolved_by_the_program() {
    let server = Program::serving(&["--tcp", "localhost:0", "--udp", "localhost:0"]);
    is_served(&server.tcp());
    Datagrams::to(&server.udp()).echo(b"by name");
}

#[test]
fn every_listener_of_several_is_served() {
    let scratch = Scratch::new();
    let paths = [scratch.file("one"), scratch.file("two")];
    let mut arguments = vec!["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
    arguments.extend(["--tcp", "127.0.0.2:0", "--udp", "127.0.0.2:0"]);
    arguments.extend(["--unix", &paths[0], "--unix", &paths[1]]);
    let ipv6 = has_ipv6_loopback();
    if ipv6 {
        arguments.extend(["--tcp", "[::1]:0", "--udp", "[::1]:0"]);
    }
    let server = Program::serving(&arguments);

    let tcp = server.addresses("tcp");
    let udp = server.addresses("udp");
    let each = if ipv6 { 3 } else { 2 };
    assert_eq!((tcp.len(), udp.len()), (each, each), "invariant: one line per listener");
    assert_eq!(server.addresses("unix"), paths);
    for address in tcp {
        is_served(&address);
    }
    for path in paths {
        echo(&mut connect_unix(&path), b"over a path");
    }
    for address in udp {
        Datagrams::to(&address).echo(b"a datagram");
    }
}

#[test]
fn one_port_may_be_used_for_tcp_and_udp() {
    let server = Program::serving(&["--tcp", "127.0.0.1:0"]);
    let both = server.tcp();
    drop(server);
    let server = Program::serving(&["--tcp", &both, "--udp", &both]);
    assert_eq!((server.tcp(), server.udp()), (both.clone(), both));
}

#[test]
fn four_threads_share_one_port_and_serve_a_hundred_clients() {
    for trigger in TRIGGERS {
        let arguments = ["--tcp", "127.0.0.1:0", "--threads", "4", "--trigger", trigger];
        let server = Program::serving(&arguments);
        let address = server.tcp();
        assert_eq!(
            server.addresses("tcp").len(),
            1,
            "invariant: one line per listener, not a thread"
        );

        let mut clients: Vec<_> = (0..100).map(|_| connect(&address)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            echo(client, format!("client {number}").as_bytes());
        }
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| (0..20).for_each(|_| echo(client, b"all at once")));
            }
        });
        server.stop().expect_code(0);
    }
}

#[test]
fn four_threads_serve_a_path_and_datagrams_too() {
    let scratch = Scratch::new();
    let path = scratch.file("shared");
    let server = Program::serving(&["--unix", &path, "--udp", "127.0.0.1:0", "--threads", "4"]);
    let mut clients: Vec<_> = (0..40).map(|_| connect_unix(&path)).collect();
    for client in &mut clients {
        echo(client, b"by one path");
    }
    for _ in 0..40 {
        Datagrams::to(&server.udp()).echo(b"by one port");
    }
    server.stop().expect_code(0);
    assert!(
        !scratch.path().join("shared").exists(),
        "invariant: the socket file is removed on exit"
    );
}

#[test]
fn a_port_is_free_immediately_after_a_clean_exit() {
    let server = Program::serving(&["--tcp", "127.0.0.1:0"]);
    let address = server.tcp();
    let mut client = connect(&address);
    echo(&mut client, b"still connected when it ends");
    server.stop().expect_code(0);
    let server = Program::serving(&["--tcp", &address]);
    assert_eq!(server.tcp(), address, "invariant: connections in TIME_WAIT do not hold the port");
    is_served(&address);
}
