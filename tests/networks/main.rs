//! The echo server over bad networks: loss, delay, resets, ICMP errors, peers that vanish, black
//! holes. Bytes are right in each, and nothing is left open afterwards.
//!
//! Server and clients are in two network namespaces, joined by a link that the tests spoil with
//! nft(8) and tc(8). Where namespaces cannot be made the tests say so and pass.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_epollite");
const HOST: &str = "10.99.0.1";
const PORT: &str = "7777";

/// How the server waits: what a network does to it must not depend on that.
const MODELS: [&[&str]; 4] = [
    &["--trigger", "edge"],
    &["--trigger", "level"],
    &["--trigger", "oneshot", "--threads", "2"],
    &["--model", "coroutine"],
];

/// The models that a case runs with: all of them with `TORTURE` set, as `make torture` does.
fn models() -> &'static [&'static [&'static str]] {
    if std::env::var_os("TORTURE").is_some() { &MODELS } else { &MODELS[..1] }
}

/// Bounds every wait. No test waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(110);

/// Two namespaces and the link between them; removed when dropped.
struct Network {
    server: String,
    client: String,
}

impl Network {
    /// `None`, with a message, where namespaces or the tools are missing.
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("epl{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let network = Self { server: format!("{id}s"), client: format!("{id}c") };
        let (server, client) = (&network.server, &network.client);
        let is_made = [
            format!("ip netns add {server} && ip netns add {client}"),
            format!("ip link add {id} netns {server} type veth peer name {id} netns {client}"),
            format!("ip -n {server} link set {id} name net0"),
            format!("ip -n {client} link set {id} name net0"),
            format!("ip -n {server} addr add {HOST}/24 dev net0"),
            format!("ip -n {client} addr add 10.99.0.2/24 dev net0"),
            format!("ip -n {server} link set lo up && ip -n {server} link set net0 up"),
            format!("ip -n {client} link set net0 up"),
            format!("ip netns exec {server} nft add table inet t"),
        ]
        .iter()
        .all(|line| shell(line).status.success());
        if !is_made {
            println!("skipped: network namespaces, veth or nft are not available here");
            return None;
        }
        Some(network)
    }

    /// Runs a line in the server's namespace.
    fn spoil(&self, line: &str) {
        let output = shell(&format!("ip netns exec {} {line}", self.server));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Adds a rule for what arrives at the server (`input`) or leaves it (`output`).
    fn rule(&self, hook: &str, rule: &str) {
        self.spoil(&format!(
            "nft 'add chain inet t {hook} {{ type filter hook {hook} priority 0; }}; \
             add rule inet t {hook} {rule}'"
        ));
    }

    fn remove_rules(&self) {
        self.spoil("nft flush ruleset");
        self.spoil("nft add table inet t");
    }

    fn serve(&self, arguments: &[&str]) -> Server {
        let addr = format!("{HOST}:{PORT}");
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.server, PROGRAM, "echo"])
            .args(["--tcp", &addr, "--udp", &addr, "--drain-timeout", "1s"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ip");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let listening = lines
            .by_ref()
            .take(2)
            .filter(|line| line.as_ref().is_ok_and(|line| line.contains("listening")));
        assert_eq!(listening.count(), 2, "the server listens");
        let server = Server { child };
        server.is_quiet();
        server
    }

    fn client(&self, arguments: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.client, "python3", "tests/networks/client.py"]);
        command.args([HOST, PORT]).args(arguments.split(' '));
        command
    }

    /// A client that must print `expected`.
    fn check(&self, arguments: &str, expected: &str) {
        let output = self.client(arguments).output().expect("ip");
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(printed.trim_end(), expected, "{arguments}: {errors}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [&self.server, &self.client] {
            let _ = shell(&format!("ip netns del {name} 2>/dev/null"));
        }
    }
}

/// A server; killed when dropped.
struct Server {
    child: Child,
}

impl Server {
    /// How many descriptors it has open: its listeners and what it needs itself, when no client is
    /// connected.
    fn descriptors(&self) -> usize {
        // `ip netns exec` becomes the program: it has its process id.
        let folder = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    /// Waits until it has as many descriptors as `expected`.
    fn has_descriptors(&self, expected: usize) {
        let begun = Instant::now();
        while self.descriptors() != expected {
            let seen = self.descriptors();
            assert!(begun.elapsed() < DEADLINE, "{seen} descriptors are open, not {expected}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it has set up everything: its number of descriptors is the same for a while.
    fn is_quiet(&self) -> usize {
        let (mut last, mut same) = (self.descriptors(), 0);
        while same < 5 {
            thread::sleep(Duration::from_millis(10));
            let now = self.descriptors();
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        last
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that holds a connection until it is told to go on.
struct Held(Child);

impl Held {
    fn new(network: &Network, kind: &str, says: &str) -> Self {
        let mut command = network.client(kind);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ip");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe"))
            .read_line(&mut line)
            .expect("it prints a line");
        assert_eq!(line.trim_end(), says);
        Self(child)
    }

    /// What became of the connection.
    fn end(mut self) -> String {
        // One that does not wait for it may have ended.
        let _ = self.0.stdin.take().expect("a pipe").write_all(b"\n");
        let output = self.0.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

fn shell(line: &str) -> Output {
    Command::new("sh").args(["-c", line]).output().expect("sh")
}

/// The same scenario for each way to wait.
fn in_each_model(scenario: impl Fn(&Network, &Server, usize)) {
    for model in models() {
        let Some(network) = Network::new() else { return };
        let server = network.serve(&[*model, &["--idle-timeout", "off"]].concat());
        let idle = server.is_quiet();
        scenario(&network, &server, idle);
        network.remove_rules();
        // It is alive, and serves.
        network.check("pings 3", "pings 3");
        server.has_descriptors(idle);
    }
}

#[test]
fn bytes_are_right_when_packets_are_lost() {
    in_each_model(|network, _, _| {
        network.rule("input", "numgen random mod 100 < 5 drop");
        network.rule("output", "numgen random mod 100 < 5 drop");
        network.check("streams 4 200000", "streams 4 of 4");
    });
}

#[test]
fn bytes_are_right_when_the_link_is_slow_and_its_queue_short() {
    in_each_model(|network, _, _| {
        network.spoil("tc qdisc add dev net0 root tbf rate 40mbit burst 16kbit latency 20ms");
        network.check("streams 3 1000000", "streams 3 of 3");
        network.spoil("tc qdisc del dev net0 root");
    });
}

#[test]
fn bytes_are_right_when_the_link_is_down_for_a_moment() {
    in_each_model(|network, _, _| {
        network.spoil("tc qdisc add dev net0 root tbf rate 40mbit burst 16kbit latency 20ms");
        let mut client = network.client("streams 2 2000000");
        let client = client.stdout(Stdio::piped()).spawn().expect("ip");
        thread::sleep(Duration::from_millis(200));
        network.spoil("ip link set net0 down");
        thread::sleep(Duration::from_millis(200));
        network.spoil("ip link set net0 up");
        let output = client.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "streams 2 of 2\n");
        network.spoil("tc qdisc del dev net0 root");
    });
}

#[test]
fn a_reset_by_a_firewall_closes_that_connection_only() {
    in_each_model(|network, server, idle| {
        let (first, second) =
            (Held::new(network, "held", "held"), Held::new(network, "held", "held"));
        server.has_descriptors(idle + 2);
        // What the first sends next is answered with a reset, in the server's name; and the server
        // gets one in the client's, as firewalls do.
        let port = format!("ss -Htn state established sport = :{PORT} | awk '{{print $NF}}'");
        let output = shell(&format!("ip netns exec {} {port}", network.server));
        let peers = String::from_utf8_lossy(&output.stdout).into_owned();
        let peer = peers.lines().next().and_then(|peer| peer.rsplit(':').next());
        let peer = peer.expect("a connection").to_owned();
        network.rule("input", &format!("tcp sport {peer} reject with tcp reset"));
        let (one, other) = (first.end(), second.end());
        let ends = [&one, &other];
        assert!(ends.iter().any(|end| *end == "received more"), "{ends:?}");
        assert!(ends.iter().any(|end| end.starts_with("error")), "{ends:?}");
        network.remove_rules();
        // The firewall told the server nothing: its end is still open, until it is killed.
        network.spoil(&format!("ss -K dst 10.99.0.2 dport = :{peer}"));
        server.has_descriptors(idle);
    });
}

#[test]
fn a_socket_that_the_administrator_kills_is_closed() {
    in_each_model(|network, server, idle| {
        let held = Held::new(network, "held", "held");
        server.has_descriptors(idle + 1);
        network.spoil("ss -K dst 10.99.0.2");
        server.has_descriptors(idle);
        let end = held.end();
        assert!(end.starts_with("error") || end == "received the end", "{end}");
    });
}

#[test]
fn icmp_errors_do_not_end_a_connection() {
    in_each_model(|network, server, idle| {
        let held = Held::new(network, "held", "held");
        server.has_descriptors(idle + 1);
        network.rule("input", "tcp dport 7777 reject with icmpx type host-unreachable");
        let mut client = network.client("pings 1");
        let refused = client.output().expect("ip");
        assert!(!refused.status.success(), "a new connection is refused");
        network.remove_rules();
        assert_eq!(held.end(), "received more");
    });
}

#[test]
fn a_client_that_vanishes_is_closed_by_the_idle_timeout() {
    for model in models() {
        let Some(network) = Network::new() else { return };
        let server = network.serve(&[*model, &["--idle-timeout", "1s"]].concat());
        let idle = server.is_quiet();
        for _ in 0..3 {
            network.check("vanish", "vanished");
        }
        server.has_descriptors(idle);
        network.check("pings 3", "pings 3");
    }
}

#[test]
fn a_black_hole_for_large_packets_costs_only_the_connection_in_it() {
    for hook in ["input", "output"] {
        for model in models() {
            let Some(network) = Network::new() else { return };
            let server = network.serve(&[*model, &["--idle-timeout", "1s"]].concat());
            let idle = server.is_quiet();
            // Dropped without an ICMP error: neither end can find out.
            network.rule(hook, "meta length > 1000 drop");
            let stuck = Held::new(&network, "stuck", "connected");
            network.check("pings 20", "pings 20");
            server.has_descriptors(idle);
            network.remove_rules();
            let end = stuck.end();
            // What the server sent before it closed is the kernel's to deliver, and it did so when
            // the hole was gone, or gave up.
            let is_right = end.starts_with("error")
                || end == if hook == "input" { "received 0" } else { "received 30000" };
            assert!(is_right, "{hook}: {end}");
        }
    }
}

#[test]
fn datagrams_are_echoed_whole_or_not_at_all() {
    in_each_model(|network, _, _| {
        network.rule("input", "numgen random mod 100 < 20 drop");
        network.check("datagrams 200", "datagrams some");
        network.rule("output", "udp sport 7777 reject with icmpx type port-unreachable");
        let _ = network.client("datagrams 20").output().expect("ip");
        network.remove_rules();
        network.check("datagrams 20", "datagrams some");
    });
}
