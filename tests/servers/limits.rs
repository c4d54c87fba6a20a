//! Limits of peers by their addresses, on the model and on loopback addresses of Linux: which
//! are closed at once, what is counted, and that places and rates come back.

use core::num::NonZeroU32;
use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use epollite::kernel::SocketType;
use epollite::server::datagram::{
    DatagramConfig, DatagramEvent, DatagramServer, Disposition, RefusedPorts,
};
use epollite::server::stream::{Outcome, ServerEvent, StreamConfig, StreamServer, StreamStats};
use epollite::server::{
    Admission, PeerLimits, PeerLimitsConfig, PortSharing, Rate, Refusal, bind_datagram, bind_stream,
};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Fd, Instant, Kernel, Linux, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

fn limits(config: PeerLimitsConfig) -> Box<PeerLimits> {
    Box::new(PeerLimits::new(config).unwrap())
}

fn count(count: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(count)
}

fn per_second(times: u32) -> Option<Rate> {
    count(times).map(|count| Rate { count, period: Duration::from_secs(1) })
}

/// A server on the model, and clients of any address.
struct Harness {
    sim: Sim,
    server: StreamServer<Sim>,
    addr: Addr,
}

impl Harness {
    fn begin(trigger: Trigger, addr: &str, config: PeerLimitsConfig) -> Self {
        let sim = Sim::default();
        let stream = StreamConfig { trigger, emit_events: true, ..StreamConfig::default() };
        let mut server = StreamServer::new(sim.new_process(), stream).unwrap();
        server.set_admission(limits(config));
        let addr = addr.parse().unwrap();
        let (listener, addr) = bind_stream(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        Self { sim, server, addr }
    }

    /// A client from `ip`, and whether it is served.
    fn connect(&mut self, ip: &str) -> (Fd, bool) {
        let socket = self.sim.socket(self.addr.family().unwrap(), SocketType::Stream).unwrap();
        if self.addr.port().is_some() {
            let from = if ip.contains(':') { format!("[{ip}]:0") } else { format!("{ip}:0") };
            self.sim.bind(&socket, &from.parse().unwrap()).unwrap();
        }
        let connected = self.sim.connect(&socket, &self.addr);
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)), "{connected:?}");
        self.run();
        let is_served = self.sim.send(&socket, b"?").is_ok() && {
            self.run();
            self.sim.recv(&socket, &mut [0; 9]) == Ok(1)
        };
        (socket, is_served)
    }

    fn close(&mut self, socket: Fd) {
        self.sim.close(socket).unwrap();
        self.run();
    }

    fn run(&mut self) {
        for _ in 0..1_000 {
            let now = self.server.kernel().now();
            if self.server.run_once(Some(now)).unwrap() == Outcome::TimedOut {
                return;
            }
        }
        panic!("invariant: no busy loop");
    }

    fn refusals(&mut self) -> Vec<Refusal> {
        let events = core::iter::from_fn(|| self.server.next_event());
        let refusal = |event| match event {
            ServerEvent::Refused { why, .. } => Some(why),
            _ => None,
        };
        events.filter_map(refusal).collect()
    }
}

#[test]
fn only_allowed_networks_are_served() {
    for trigger in TRIGGERS {
        let allowed = vec!["127.0.0.0/30".parse().unwrap(), "127.0.1.1".parse().unwrap()];
        let config = PeerLimitsConfig { allowed, ..PeerLimitsConfig::default() };
        let mut harness = Harness::begin(trigger, "127.0.0.1:7777", config);
        let mut sockets = Vec::new();
        for (ip, is_allowed) in
            [("127.0.0.2", true), ("127.0.0.4", false), ("127.0.1.1", true), ("127.0.1.2", false)]
        {
            let (socket, is_served) = harness.connect(ip);
            assert_eq!(is_served, is_allowed, "{ip}, {trigger:?}");
            sockets.push(socket);
        }
        assert_eq!(harness.refusals(), [Refusal::NotAllowed; 2]);
        let StreamStats { accepted, refused_not_allowed, aborted, .. } = harness.server.stats();
        assert_eq!((accepted, refused_not_allowed, aborted), (2, 2, 0));
        assert_eq!(harness.server.connections(), 2);
        sockets.into_iter().for_each(|socket| harness.close(socket));
        assert_eq!(harness.server.stats().closed, 2, "a refused one was never open");
    }
}

#[test]
fn a_unix_socket_is_not_concerned() {
    let allowed = vec!["10.0.0.0/8".parse().unwrap()];
    let (connections_max, accept_rate) = (count(1), per_second(1));
    let config =
        PeerLimitsConfig { allowed, connections_max, accept_rate, ..PeerLimitsConfig::default() };
    let mut harness = Harness::begin(Trigger::Edge, "unix:@limits", config);
    for _ in 0..3 {
        let (socket, is_served) = harness.connect("");
        assert!(is_served);
        harness.sim.close(socket).unwrap();
    }
}

#[test]
fn an_address_has_so_many_connections_and_gets_a_place_back() {
    for trigger in TRIGGERS {
        let connections_max = count(2);
        let config = PeerLimitsConfig { connections_max, ..PeerLimitsConfig::default() };
        let mut harness = Harness::begin(trigger, "127.0.0.1:7777", config);
        let mut open = vec![harness.connect("127.0.0.2"), harness.connect("127.0.0.2")];
        assert!(open.iter().all(|(_, is_served)| *is_served));
        for _ in 0..3 {
            let (refused, is_served) = harness.connect("127.0.0.2");
            assert!(!is_served, "invariant: two are the limit ({trigger:?})");
            harness.close(refused);
            let (other, is_served) = harness.connect("127.0.0.3");
            assert!(is_served, "invariant: another address has its own ({trigger:?})");
            harness.close(other);
            let (first, _) = open.remove(0);
            harness.close(first);
            open.push(harness.connect("127.0.0.2"));
            assert!(open[1].1, "invariant: a place that is free is given ({trigger:?})");
        }
        assert_eq!(harness.server.stats().refused_connections, 3);
        for (socket, _) in open {
            harness.sim.close(socket).unwrap();
        }
    }
}

#[test]
fn an_address_connects_as_often_as_its_rate_allows() {
    for trigger in TRIGGERS {
        let accept_rate = per_second(4);
        let config = PeerLimitsConfig { accept_rate, ..PeerLimitsConfig::default() };
        let mut harness = Harness::begin(trigger, "127.0.0.1:7777", config);
        let served = |harness: &mut Harness, times: usize| {
            let sockets: Vec<_> = (0..times).map(|_| harness.connect("127.0.0.2")).collect();
            let served = sockets.iter().filter(|(_, is_served)| *is_served).count();
            sockets.into_iter().for_each(|(socket, _)| harness.close(socket));
            served
        };
        assert_eq!(served(&mut harness, 9), 4, "four at once ({trigger:?})");
        harness.sim.advance(Duration::from_nanos(249_999_999));
        assert_eq!(served(&mut harness, 2), 0, "invariant: never early ({trigger:?})");
        harness.sim.advance(Duration::from_nanos(1));
        assert_eq!(served(&mut harness, 2), 1, "one each quarter of a second ({trigger:?})");
        let (other, is_served) = harness.connect("127.0.0.3");
        assert!(is_served, "another address has its own ({trigger:?})");
        harness.close(other);
        harness.sim.advance(Duration::from_secs(3_600));
        assert_eq!(served(&mut harness, 9), 4, "no more than four are saved up ({trigger:?})");
        assert_eq!(harness.server.stats().refused_rate, 5 + 2 + 1 + 5);
    }
}

#[test]
fn refused_connections_do_not_use_up_the_places_of_others() {
    for trigger in TRIGGERS {
        let allowed = vec!["127.0.0.1".parse().unwrap()];
        let config = PeerLimitsConfig { allowed, ..PeerLimitsConfig::default() };
        let sim = Sim::default();
        let stream = StreamConfig { trigger, connections_max: 1, ..StreamConfig::default() };
        let mut server = StreamServer::new(sim.new_process(), stream).unwrap();
        server.set_admission(limits(config));
        let addr = "127.0.0.1:7777".parse().unwrap();
        let (listener, addr) = bind_stream(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        let mut harness = Harness { sim, server, addr };
        let refused: Vec<_> = (0..200).map(|_| harness.connect("127.0.0.9").0).collect();
        let (one, is_served) = harness.connect("127.0.0.1");
        assert!(is_served, "{trigger:?}");
        assert_eq!(harness.server.stats().refused_not_allowed, 200);
        assert_eq!(harness.refusals().len(), 1, "without events one is reported at a time");
        for socket in refused.into_iter().chain([one]) {
            harness.sim.close(socket).unwrap();
        }
    }
}

#[test]
fn servers_that_share_limits_count_together() {
    let config = PeerLimitsConfig { connections_max: count(3), ..PeerLimitsConfig::default() };
    let shared = Arc::new(Mutex::new(PeerLimits::new(config).unwrap()));
    let serve = || {
        let mut server = StreamServer::<Linux>::new(Linux, StreamConfig::default()).unwrap();
        server.set_admission(Box::new(Arc::clone(&shared)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        server.add_listener(listener.into()).unwrap();
        (server, addr)
    };
    let mut servers = [serve(), serve()];
    let mut clients = Vec::new();
    for at in [0, 1, 0, 1, 0] {
        clients.push(TcpStream::connect(servers[at].1).unwrap());
        run_linux(&mut servers[at].0);
    }
    let stats = servers.each_ref().map(|(server, _)| server.stats());
    assert_eq!(stats.map(|stats| stats.accepted), [2, 1], "three over both servers");
    assert_eq!(stats.map(|stats| stats.refused_connections), [1, 1]);
    let [(first, _), (mut second, addr)] = servers;
    drop(first);
    // What a server that has ended held is free.
    let mut client = TcpStream::connect(addr).unwrap();
    run_linux(&mut second);
    client.write_all(b"served").unwrap();
    run_linux(&mut second);
    client.read_exact(&mut [0; 6]).unwrap();
    assert_eq!(shared.lock().unwrap().addresses().0, 1);
}

/// Runs until nothing more happens.
fn run_linux(server: &mut StreamServer<Linux>) {
    let deadline = |millis| Some(Linux.now() + Duration::from_millis(millis));
    while server.run_once(deadline(50)).unwrap() != Outcome::TimedOut {}
}

#[test]
fn addresses_of_both_families_are_told_apart_on_linux() {
    let allowed = vec!["127.0.0.2".parse().unwrap(), "::1".parse().unwrap()];
    let config = PeerLimitsConfig { allowed, ..PeerLimitsConfig::default() };
    let mut server = StreamServer::<Linux>::new(Linux, StreamConfig::default()).unwrap();
    server.set_admission(limits(config));
    let (listener, addr) =
        epollite::server::bind_stream_everywhere(server.kernel(), 0, PortSharing::Exclusive)
            .unwrap();
    server.add_listener(listener).unwrap();
    let port = addr.port().unwrap();
    let cases = [("127.0.0.1", "127.0.0.2", true), ("127.0.0.1", "127.0.0.3", false)];
    let v6 = matches!(addr, Addr::V6(_)).then_some(("::1", "::1", true));
    for (to, from, is_allowed) in cases.into_iter().chain(v6) {
        let mut client = connect_from(from, SocketAddr::new(to.parse().unwrap(), port));
        run_linux(&mut server);
        let _ = client.write_all(b"?");
        run_linux(&mut server);
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let is_served = match client.read(&mut [0; 9]) {
            Ok(count) => count == 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                false
            }
        };
        assert_eq!(is_served, is_allowed, "{from}");
    }
    assert_eq!(server.stats().refused_not_allowed, 1);
}

/// Connects from an address of this machine.
fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let mut kernel = Linux;
    let to = Addr::from(to);
    let socket = kernel.socket(to.family().unwrap(), SocketType::Stream).unwrap();
    let from = SocketAddr::new(from.parse().unwrap(), 0);
    kernel.bind(&socket, &from.into()).unwrap();
    let connected = kernel.connect(&socket, &to);
    assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)), "{connected:?}");
    let stream = TcpStream::from(std::os::fd::OwnedFd::from(socket));
    stream.set_nonblocking(false).unwrap();
    stream
}

fn datagram_server(config: PeerLimitsConfig) -> (DatagramServer<Sim>, Sim, Addr) {
    let sim = Sim::default();
    let events = DatagramConfig { emit_events: true, ..DatagramConfig::default() };
    let mut server = DatagramServer::new(sim.new_process(), events).unwrap();
    let addr = "127.0.0.1:7777".parse().unwrap();
    let (socket, addr) = bind_datagram(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
    let token = server.add_socket(socket).unwrap();
    // As if other sockets shared it.
    let shared = Arc::new(Mutex::new(PeerLimits::new(config).unwrap()));
    assert!(server.set_admission(token, Box::new(shared)));
    (server, sim, addr)
}

#[test]
fn datagrams_are_limited_by_address_and_counted() {
    let allowed = vec!["127.0.0.0/30".parse().unwrap()];
    let datagram_rate = per_second(3);
    let config = PeerLimitsConfig { allowed, datagram_rate, ..PeerLimitsConfig::default() };
    let (mut server, mut sim, addr) = datagram_server(config);
    let answers = |server: &mut DatagramServer<Sim>, sim: &mut Sim, from: &str, times| {
        let socket = sim.socket(addr.family().unwrap(), SocketType::Datagram).unwrap();
        sim.bind(&socket, &from.parse().unwrap()).unwrap();
        (0..times).for_each(|_| _ = sim.sendto(&socket, b"echo", &addr).unwrap());
        let now = server.kernel().now();
        while server.run_once(Some(now)).unwrap() {}
        let count = core::iter::from_fn(|| sim.recv(&socket, &mut [0; 9]).ok()).count();
        sim.close(socket).unwrap();
        count
    };
    assert_eq!(answers(&mut server, &mut sim, "127.0.0.2:4000", 5), 3, "three at once");
    assert_eq!(answers(&mut server, &mut sim, "127.0.0.2:4001", 1), 0, "whatever the port is");
    assert_eq!(answers(&mut server, &mut sim, "127.0.0.3:4000", 1), 1, "another address");
    assert_eq!(answers(&mut server, &mut sim, "127.0.0.4:4000", 2), 0, "not allowed");
    sim.advance(Duration::from_millis(334));
    assert_eq!(answers(&mut server, &mut sim, "127.0.0.2:4000", 2), 1, "one third of a second");
    let stats = server.stats();
    assert_eq!((stats.echoed, stats.over_rate, stats.not_allowed), (5, 4, 2), "{stats:?}");
    let events = core::iter::from_fn(|| server.next_event());
    let refused = |event: DatagramEvent| match event.disposition {
        Disposition::Refused(why) => Some(why),
        _ => None,
    };
    let refused: Vec<Refusal> = events.filter_map(refused).collect();
    let (rate, network) = (Refusal::Rate, Refusal::NotAllowed);
    assert_eq!(refused, [rate, rate, rate, network, network, rate]);
}

/// Forged addresses of datagrams do not make those of connections forgotten.
#[test]
fn datagrams_and_connections_have_tables_of_their_own() {
    let config = PeerLimitsConfig {
        accept_rate: per_second(1),
        datagram_rate: per_second(1),
        addresses_max: 4,
        ..PeerLimitsConfig::default()
    };
    let mut limits = PeerLimits::new(config).unwrap();
    let peer = |number: u32| Addr::from(SocketAddr::from((number.to_be_bytes(), 4_000)));
    let now = Instant::from_nanos(5_000_000_000);
    let id = limits.admit(&peer(1), now).unwrap();
    limits.release(id);
    for number in 0..1_000 {
        assert_eq!(limits.admit_datagrams(&peer(number), 1, now), Ok(()), "the first of each");
    }
    assert_eq!(limits.admit(&peer(1), now), Err(Refusal::Rate), "it is still known");
    assert_eq!(limits.addresses(), (1, 4));
    let long_after = now + Duration::from_secs(60);
    assert_eq!(limits.admit_datagrams(&peer(2_000), 1, long_after), Ok(()));
    assert_eq!(limits.admit_datagrams(&peer(2_001), 1, long_after), Ok(()));
    assert_eq!(limits.addresses().1, 2, "addresses whose rate is not in use are forgotten");
}

#[test]
fn ports_below_1024_get_no_answer_unless_it_is_asked_for() {
    for (refused_ports, is_answered) in
        [(RefusedPorts::Reserved, false), (RefusedPorts::Reflectors, true)]
    {
        let mut sim = Sim::default();
        let config = DatagramConfig { refused_ports, ..DatagramConfig::default() };
        let mut server = DatagramServer::new(sim.new_process(), config).unwrap();
        let addr = "127.0.0.1:7777".parse().unwrap();
        let (socket, addr) = bind_datagram(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
        server.add_socket(socket).unwrap();
        for (from, is_known) in [("127.0.0.1:1023", false), ("127.0.0.1:53", true)] {
            let socket = sim.socket(addr.family().unwrap(), SocketType::Datagram).unwrap();
            sim.bind(&socket, &from.parse().unwrap()).unwrap();
            sim.sendto(&socket, b"echo", &addr).unwrap();
            let now = server.kernel().now();
            while server.run_once(Some(now)).unwrap() {}
            let answered = sim.recv(&socket, &mut [0; 9]).is_ok();
            assert_eq!(answered, is_answered && !is_known, "{from}, {refused_ports:?}");
            sim.close(socket).unwrap();
        }
        assert_eq!(server.stats().refused, if is_answered { 1 } else { 2 });
    }
}

#[test]
fn datagrams_on_linux_are_limited_by_address() {
    let config = PeerLimitsConfig { datagram_rate: per_second(2), ..PeerLimitsConfig::default() };
    let mut server = DatagramServer::new(Linux, DatagramConfig::default()).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let addr = socket.local_addr().unwrap();
    let token = server.add_socket(socket.into()).unwrap();
    assert!(server.set_admission(token, limits(config)));
    for from in ["127.0.0.1:0", "127.0.0.2:0"] {
        let client = UdpSocket::bind(from).unwrap();
        // At most a second passes, or the bucket has more: so the server is asked once, at the end.
        (0..20).for_each(|_| _ = client.send_to(b"echo", addr).unwrap());
        while server.run_once(Some(Linux.now())).unwrap() {}
        client.set_nonblocking(true).unwrap();
        let answers = core::iter::from_fn(|| client.recv(&mut [0; 9]).ok()).count();
        assert_eq!(answers, 2, "{from}");
    }
    assert_eq!((server.stats().echoed, server.stats().over_rate), (4, 36));
}
