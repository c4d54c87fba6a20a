//! Sockets that a service manager passes: `LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`.

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;

use crate::support::TRIGGERS;
use crate::support::client::{
    connect, connect_unix, echo, is_served, uninterrupted, until_refused,
};
use crate::support::process::Output;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::TIMEOUT;

/// `epollite echo` with these sockets (and variables), and these arguments.
fn passed(sockets: &[&str], arguments: &[&str]) -> Program {
    drop(tool("python3"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/support/pass_sockets.py");
    let wrapper = [&["python3", script], sockets, &["--"]].concat();
    Program::start_under(&wrapper, &[&["echo"], arguments].concat())
}

/// The same, once it listens on `count` addresses.
fn serving(sockets: &[&str], arguments: &[&str], count: usize) -> Program {
    let server = passed(sockets, arguments);
    server.stdout.wait_for("the listeners", |lines| {
        let listening = lines.iter().filter(|line| line.starts_with("listening on "));
        (listening.count() == count).then_some(())
    });
    server
}

fn datagram_echo(socket: &UdpSocket, bytes: &[u8]) {
    socket.send(bytes).expect("loopback takes a datagram");
    let mut back = [0; 64];
    let len = uninterrupted(|| socket.recv(&mut back)).expect("invariant: a datagram is answered");
    assert_eq!(&back[..len], bytes);
}

#[test]
fn passed_sockets_of_every_kind_are_served() {
    for trigger in TRIGGERS {
        let scratch = Scratch::new();
        let (stream, datagram) = (scratch.file("stream"), scratch.file("datagram"));
        let sockets =
            ["tcp", "udp", &format!("unix:{stream}"), &format!("unix-datagram:{datagram}")];
        let server = serving(&sockets, &["--listen-fds", "--trigger", trigger], 4);
        is_served(&server.tcp());
        echo(&mut connect_unix(&stream), b"over a Unix socket");
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect(server.udp()).unwrap();
        udp.set_read_timeout(Some(TIMEOUT)).unwrap();
        datagram_echo(&udp, b"a datagram");
        let local = UnixDatagram::bind(scratch.file("client")).unwrap();
        local.set_read_timeout(Some(TIMEOUT)).unwrap();
        local.send_to(b"local", &datagram).unwrap();
        let mut back = [0; 16];
        let len = uninterrupted(|| local.recv(&mut back)).unwrap();
        assert_eq!(&back[..len], b"local", "{trigger}");
        for number in 3..7 {
            let info = fs::read_to_string(format!("/proc/{}/fdinfo/{number}", server.pid()));
            let info = info.expect("passed sockets keep their numbers");
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
            let flags = u32::from_str_radix(flags, 8).unwrap();
            const CLOEXEC_AND_NONBLOCK: u32 = 0o2_004_000;
            assert_eq!(flags & CLOEXEC_AND_NONBLOCK, CLOEXEC_AND_NONBLOCK, "{number}: {info}");
        }
        server.stop().expect_code(0);
        assert!(fs::exists(&stream).unwrap(), "invariant: the service manager's file stays");
    }
}

#[test]
fn models_serve_passed_listeners() {
    for model in
        ["blocking", "thread", "process", "nonblocking", "select", "poll", "coroutine", "prefork"]
    {
        let server = serving(&["tcp"], &["--listen-fds", "--model", model], 1);
        is_served(&server.tcp());
        server.stop().expect_code(0);
    }
}

#[test]
fn threads_share_a_passed_listener() {
    let server = serving(&["tcp", "tcp"], &["--listen-fds", "--threads", "3"], 2);
    for address in server.addresses("tcp") {
        let mut clients: Vec<TcpStream> = (0..20).map(|_| connect(&address)).collect();
        clients.iter_mut().for_each(|client| echo(client, b"served"));
    }
    server.stop().expect_code(0);
}

#[test]
fn only_sockets_of_the_wanted_name_are_kept() {
    let scratch = Scratch::new();
    let path = scratch.file("other");
    let other = format!("unix:{path}");
    let names = "LISTEN_FDNAMES=echo:other:echo";
    let arguments = ["--listen-fds=echo", "--tcp", "127.0.0.1:0"];
    let server = serving(&["tcp", &other, "tcp", names], &arguments, 3);
    server.addresses("tcp").iter().for_each(|address| is_served(address));
    let refused = std::os::unix::net::UnixStream::connect(&path);
    assert!(refused.is_err(), "invariant: what is not served is closed");
    let address = server.tcp();
    server.stop().expect_code(0);
    until_refused(&address);
}

#[test]
fn wrong_or_missing_sockets_are_one_clear_line() {
    let scratch = Scratch::new();
    let packets = format!("seqpacket:{}", scratch.file("packets"));
    let cases: &[(&[&str], &str)] = &[
        (&["LISTEN_PID-"], "LISTEN_PID is not set: no service manager passed sockets"),
        (&["tcp", "LISTEN_PID=1"], "LISTEN_PID=1: the sockets are for another process than "),
        (&["tcp", "LISTEN_PID=me"], "LISTEN_PID=me is not a number"),
        (&["tcp", "LISTEN_FDS-"], "LISTEN_FDS is not set"),
        (&["LISTEN_FDS=0"], "LISTEN_FDS=0: no socket was passed"),
        (&["tcp", "LISTEN_FDS=-1"], "LISTEN_FDS=-1 is not a number"),
        (&["LISTEN_FDS=4000000000"], "LISTEN_FDS=4000000000 is more than 256"),
        (&["tcp", "tcp", "LISTEN_FDNAMES=a"], "LISTEN_FDNAMES=a has 1 names for 2 sockets"),
        (&["tcp", "LISTEN_FDNAMES=a\nb:c"], "LISTEN_FDNAMES=a?b:c has 2 names for 1 sockets"),
        (&["closed"], "descriptor 3 (unknown) was not passed: EBADF"),
        (&["tcp", "closed"], "descriptor 4 (unknown) was not passed: EBADF"),
        (&["file"], "descriptor 3 (unknown) is not a socket"),
        (&["idle"], "descriptor 3 (unknown) is a stream socket that does not listen"),
        (&["connected"], "is a stream socket that does not listen"),
        (&[&packets], "is a socket of sequenced packets"),
    ];
    for (sockets, expected) in cases {
        let ending = passed(sockets, &["--listen-fds"]).end();
        let line = ending.expect_code(69).single_error_line();
        assert!(
            line.starts_with("epollite: --listen-fds: ") && line.contains(expected),
            "{sockets:?}: {line:?} should contain {expected:?}"
        );
    }
    let named = passed(&["tcp", "LISTEN_FDNAMES=web"], &["--listen-fds=echo"]).end();
    let line = named.expect_code(69).single_error_line();
    assert_eq!(line, "epollite: --listen-fds: no socket has the name 'echo', but web");
}

#[test]
fn a_model_that_cannot_serve_a_passed_socket_rejects_it() {
    let ending: Output = passed(&["tcp"], &["--listen-fds", "--model", "reuseport"]).end();
    let line = ending.expect_code(2).single_error_line();
    let why = "does not support --listen-fds: each of its workers binds a socket of its own";
    assert!(line.contains(why), "{line}");
    let ending = passed(&["tcp", "tcp"], &["--listen-fds", "--model", "thread"]).end();
    let line = ending.expect_code(1).single_error_line();
    assert!(
        line.contains("2 sockets were passed or are to be bound: it waits in accept"),
        "{line}"
    );
    let ending = passed(&["udp"], &["--listen-fds", "--model", "prefork"]).end();
    let line = ending.expect_code(1).single_error_line();
    assert!(line.contains("a passed udp socket: it distributes connections"), "{line}");
    let scratch = Scratch::new();
    let datagram = format!("unix-datagram:{}", scratch.file("datagram"));
    let ending = passed(&[&datagram], &["--listen-fds", "--model", "poll"]).end();
    let line = ending.expect_code(1).single_error_line();
    assert!(line.contains("only the reactor's server serves Unix datagrams"), "{line}");
}

#[test]
fn variables_without_the_flag_are_ignored() {
    let server = serving(&["tcp"], &["--tcp", "127.0.0.1:0"], 1);
    is_served(&server.tcp());
    server.stop().expect_code(0);
}
