//! The examples run and do what they document.

mod chat;
mod dns;
mod dns_forwarder;

use core::time::Duration;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use crate::support::client::uninterrupted;

#[test]
fn echo_echoes_many_clients_until_each_has_read_to_the_end() {
    for (name, len) in [("echo", 3_000), ("echo_backpressure", 3_000_000), ("coroutine", 3_000_000)]
    {
        let (_server, addr) = serve(name, "127.0.0.1:0");
        let clients = [(); 3].map(|()| TcpStream::connect(&addr).unwrap());
        for (number, client) in (0..).zip(&clients) {
            assert_eq!(echoed_tcp(client, &pattern(number, len)), len);
        }
    }
}

#[test]
fn unix_echo_echoes_more_than_any_buffer_holds() {
    let name = format!("epollite example {}", std::process::id());
    let (_server, addr) = serve("unix_echo", &format!("unix:@{name}"));
    assert!(addr.starts_with("unix:@"), "{addr}");
    let addr = SocketAddr::from_abstract_name(name).unwrap();
    let bytes = pattern(7, 3_000_000);
    for _ in 0..2 {
        let mut client = UnixStream::connect_addr(&addr).unwrap();
        let (mut writer, wanted) = (client.try_clone().unwrap(), bytes.clone());
        let sender = thread::spawn(move || {
            writer.write_all(&wanted).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        client.read_to_end(&mut back).unwrap();
        sender.join().unwrap();
        assert!(back == bytes, "invariant: output equals input at the end");
    }
}

#[test]
fn sim_tests_a_handler_without_a_network() {
    let printed = run("sim");
    assert!(
        printed.contains("silence: closed") && printed.contains("no memory: ENOMEM"),
        "{printed}"
    );
}

#[test]
fn udp_echo_answers_each_datagram_to_its_sender() {
    let (_server, addr) = serve("udp_echo", "127.0.0.1:0");
    let clients = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    for len in [0, 1, 1_000, 60_000] {
        for (number, client) in (0..).zip(&clients) {
            let bytes = pattern(number, len);
            // Loopback loses nothing; if it does all the same, this test fails.
            client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            client.send_to(&bytes, &addr).unwrap();
            let mut buf = vec![0; 65_536];
            let (count, from) = uninterrupted(|| client.recv_from(&mut buf)).unwrap();
            assert_eq!(from.to_string(), addr);
            assert!(buf[..count] == bytes, "invariant: the echo equals the input");
        }
    }
}

#[test]
fn timer_fires_in_the_order_of_its_deadlines() {
    let printed = run("timer");
    let names: Vec<_> = printed
        .lines()
        .filter_map(|line| line.split_once(" after "))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["toast", "eggs", "tea"], "{printed}");
}

#[test]
fn wake_example_receives_every_item_and_exits() {
    assert_eq!(run("wake"), "wash\npeel\ncut\ndone\n");
}

#[test]
fn futures_example_shows_the_first_all_and_one_or_the_other() {
    let printed = run("futures");
    let wanted = "server 1 was the first: after 10ms\n\
                  all: after 300ms, after 10ms, after 100ms\n\
                  next: after 10ms\nnext: after 100ms\nnext: after 300ms\n\
                  not in time\n";
    assert_eq!(printed, wanted);
}

#[test]
fn nested_example_reports_the_inner_reactor() {
    let printed = run("nested");
    let mut lines: Vec<_> = printed.lines().collect();
    lines.sort_unstable();
    let wanted =
        ["inner: first leaf", "inner: second leaf", "outer: the nest is empty", "outer: urgent"];
    assert_eq!(lines, wanted, "{printed}");
}

#[test]
fn devices_are_descriptors_as_others() {
    let printed = run("devices");
    let mut lines: Vec<_> = printed.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["child: exit status: 0", "file: changed", "timer: 3 ticks"], "{printed}");
}

#[test]
fn connect_tries_the_second_address_when_the_first_refuses() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (_server, addr) = serve("echo", "127.0.0.1:0");
    let output = command("connect").args([&closed, &addr]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("connected to {addr}\nhello\n"));

    let output = command("connect").arg(&closed).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("ECONNREFUSED"), "{output:?}");
}

#[test]
fn a_malformed_address_is_an_error() {
    let names =
        ["echo", "echo_backpressure", "coroutine", "udp_echo", "unix_echo", "chat", "connect"];
    for name in names {
        let output = command(name).arg("nowhere").output().unwrap();
        assert!(!output.status.success(), "{name} has nowhere to listen");
        assert!(!output.stderr.is_empty(), "{name} reports the reason");
    }
}

/// A server, stopped with the test, whatever its outcome.
struct Server {
    child: Child,
    /// Kept open, so that it can continue printing.
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server and waits until it listens; returns the address.
fn serve(name: &str, addr: &str) -> (Server, String) {
    serve_with(name, &[addr])
}

fn serve_with(name: &str, args: &[&str]) -> (Server, String) {
    let mut child = command(name)
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example can be executed");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    let read = stdout.read_line(&mut line);
    let server = Server { child, _stdout: stdout };
    read.expect("the output is UTF-8");
    let addr = line.trim_end().strip_prefix("listening on ");
    let addr = addr.expect("a server prints its address").to_owned();
    (server, addr)
}

/// Runs an example that exits by itself; returns its output.
fn run(name: &str) -> String {
    let output = command(name).output().expect("the example can be executed");
    let printed = String::from_utf8(output.stdout).expect("the output is UTF-8");
    let status = output.status;
    assert!(status.success(), "{name} ended with {status}: {printed}");
    printed
}

fn command(name: &str) -> Command {
    crate::support::deadline::arm();
    Command::new(crate::support::example::example(name))
}

/// Sends everything and half-closes, while reading until EOF. Returns the number of bytes echoed,
/// after comparing them.
fn echoed_tcp(client: &TcpStream, bytes: &[u8]) -> usize {
    let (mut reader, mut writer) = (client, client);
    let mut back = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(bytes).expect("the server reads");
            client.shutdown(Shutdown::Write).expect("it is connected");
        });
        reader.read_to_end(&mut back).expect("the server writes");
    });
    assert!(back == bytes, "invariant: output equals input at the end");
    back.len()
}

/// Bytes that differ from position to position.
fn pattern(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}
