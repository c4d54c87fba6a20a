//! The examples run and do what they say.

#![cfg(feature = "std")]

#[path = "support/deadline.rs"]
mod deadline;
#[path = "examples/dns.rs"]
mod dns;
#[path = "support/example.rs"]
mod example;

use core::time::Duration;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

#[test]
fn echo_echoes_many_clients_until_each_has_read_to_the_end() {
    for (name, len) in [("echo", 3_000), ("patient_echo", 3_000_000), ("coroutine", 3_000_000)] {
        let (_server, addr) = serve(name, "127.0.0.1:0");
        let clients = [(); 3].map(|()| TcpStream::connect(&addr).unwrap());
        for (number, client) in (0..).zip(&clients) {
            assert_eq!(echoed_tcp(client, &noise(number, len)), len);
        }
    }
}

#[test]
fn unix_echo_echoes_more_than_any_buffer_holds() {
    let name = format!("epollite example {}", std::process::id());
    let (_server, addr) = serve("unix_echo", &format!("unix:@{name}"));
    assert!(addr.starts_with("unix:@"), "{addr}");
    let addr = SocketAddr::from_abstract_name(name).unwrap();
    let bytes = noise(7, 3_000_000);
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
        assert!(back == bytes, "law: output equals input at the end");
    }
}

#[test]
fn sim_tests_a_handler_without_a_network() {
    let said = run("sim");
    assert!(said.contains("shown out") && said.contains("no memory: ENOMEM"), "{said}");
}

#[test]
fn udp_echo_answers_each_datagram_to_its_sender() {
    let (_server, addr) = serve("udp_echo", "127.0.0.1:0");
    let clients = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    for len in [0, 1, 1_000, 60_000] {
        for (number, client) in (0..).zip(&clients) {
            let bytes = noise(number, len);
            // Loopback loses nothing; if it does all the same, this test ends.
            client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            client.send_to(&bytes, &addr).unwrap();
            let mut buf = vec![0; 65_536];
            let (count, from) = client.recv_from(&mut buf).unwrap();
            assert_eq!(from.to_string(), addr);
            assert!(buf[..count] == bytes, "law: what comes back is what went");
        }
    }
}

#[test]
fn timer_fires_in_the_order_of_its_deadlines() {
    let said = run("timer");
    let names: Vec<_> =
        said.lines().filter_map(|line| line.split_once(" after ")).map(|(name, _)| name).collect();
    assert_eq!(names, ["toast", "eggs", "tea"], "{said}");
}

#[test]
fn wake_hears_every_job_and_ends() {
    assert_eq!(run("wake"), "wash\npeel\ncut\ndone\n");
}

#[test]
fn nested_hears_the_inner_reactor_through_the_outer_one() {
    let said = run("nested");
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    let wanted =
        ["inner: first leaf", "inner: second leaf", "outer: the nest is empty", "outer: urgent"];
    assert_eq!(lines, wanted, "{said}");
}

#[test]
fn an_address_that_is_none_ends_a_server_with_an_error() {
    for name in ["echo", "patient_echo", "coroutine", "udp_echo", "unix_echo"] {
        let output = command(name).arg("nowhere").output().unwrap();
        assert!(!output.status.success(), "{name} has nowhere to listen");
        assert!(!output.stderr.is_empty(), "{name} says why");
    }
}

/// A server, ended with the test, whatever its outcome.
struct Server {
    child: Child,
    /// Kept, so that it may go on printing.
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server and waits until it listens; says where.
fn serve(name: &str, addr: &str) -> (Server, String) {
    let mut child =
        command(name).arg(addr).stdout(Stdio::piped()).spawn().expect("it is a program");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    let read = stdout.read_line(&mut line);
    let server = Server { child, _stdout: stdout };
    read.expect("it prints text");
    let addr = line.trim_end().strip_prefix("listening on ");
    let addr = addr.expect("a server says where it listens").to_owned();
    (server, addr)
}

/// Runs an example that ends by itself; returns what it printed.
fn run(name: &str) -> String {
    let output = command(name).output().expect("it is a program");
    let said = String::from_utf8(output.stdout).expect("it prints text");
    let status = output.status;
    assert!(status.success(), "{name} ended with {status}: {said}");
    said
}

fn command(name: &str) -> Command {
    deadline::arm();
    Command::new(example::example(name))
}

/// Sends everything and half-closes, while reading until the end. Returns how many bytes came
/// back, and they are the same.
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
    assert!(back == bytes, "law: output equals input at the end");
    back.len()
}

/// Bytes that differ from place to place.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}
