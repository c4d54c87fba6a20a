//! The datagram server: reply loops, full batches, persistent errors, signals, and statistics.

use core::time::Duration;
use std::net::UdpSocket;

use epollite::instrument::{FaultInjector, FaultPlan};
use epollite::kernel::{Shutdown, SocketType, Syscall};
use epollite::net::AddressFamily;
use epollite::server::datagram::{DatagramConfig, DatagramServer, DatagramStats};
use epollite::server::{PortSharing, bind_datagram};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Fd, Kernel, Linux, Trigger};

use crate::regressions::fault_script::{FaultScript, ScriptedKernel};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

/// More iterations than any of these tests needs.
const ROUNDS_MAX: u32 = 10_000;

#[test]
fn two_sockets_of_one_server_do_not_answer_each_other() {
    for trigger in TRIGGERS {
        let (sim, faults) = (Sim::default(), FaultScript::default());
        let mut kernel = faults.wrap(sim.new_process());
        let (near, _) = bind(&mut kernel, "127.0.0.1:5001");
        let (far, far_addr) = bind(&mut kernel, "127.0.0.1:5002");
        // As if forged: from one of the two sockets to the other.
        assert_eq!(kernel.sendto(&near, b"to and fro", &far_addr), Ok(10));
        let mut server =
            DatagramServer::new(kernel, DatagramConfig { trigger, ..DatagramConfig::default() })
                .unwrap();
        server.add_socket(near).unwrap();
        server.add_socket(far).unwrap();
        let mut rounds = 0;
        while rounds < 100 && server.run_once(Some(epollite::Instant::ZERO)).unwrap() {
            rounds += 1;
        }
        let stats = server.stats();
        assert_eq!((stats.received, stats.refused, stats.echoed), (1, 1, 0), "invariant: no loop");
    }
}

#[test]
fn a_burst_larger_than_any_call_is_echoed_completely() {
    const BURST: usize = 200;
    for trigger in TRIGGERS {
        let addr = "127.0.0.1:0".parse().unwrap();
        let (socket, addr) = bind_datagram(&mut Linux, &addr, PortSharing::Exclusive).unwrap();
        let config = DatagramConfig { trigger, datagrams_max: 128, ..DatagramConfig::default() };
        let mut server = DatagramServer::new(Linux, config).unwrap();
        server.add_socket(socket).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(addr.to_string()).unwrap();
        client.set_nonblocking(true).unwrap();
        for number in 0..BURST {
            client.send(&number.to_ne_bytes()).unwrap();
        }
        // On loopback, sent data is available at once: the server runs until it has nothing to do.
        let mut received = 0;
        while server.run_once(Some(epollite::Instant::ZERO)).unwrap() {
            let mut buf = [0; 8];
            while client.recv(&mut buf).is_ok() {
                assert_eq!(
                    usize::from_ne_bytes(buf),
                    received,
                    "invariant: in order, and none missing"
                );
                received += 1;
            }
        }
        assert_eq!(received, BURST, "invariant: what arrived is answered, in {trigger:?}");
    }
}

#[test]
fn unread_datagram_events_are_bounded() {
    let mut harness = Harness::new(DatagramConfig {
        emit_events: true,
        datagram_bytes_max: 16,
        ..DatagramConfig::default()
    });
    for _ in 0..7_000 {
        (0..10).for_each(|_| harness.send_question());
        harness.run_once();
        while harness.sim.recv(&harness.client, &mut [0; 16]).is_ok() {}
    }
    assert_eq!(harness.server.stats().echoed, 70_000);
    let events = core::iter::from_fn(|| harness.server.next_event()).count();
    assert_eq!(events, 1 << 16, "invariant: memory is bounded, and the kept events are reported");
    harness.finish();
}

#[test]
fn a_failing_socket_is_retried_periodically() {
    const SECONDS: usize = 60;
    for trigger in TRIGGERS {
        let mut harness = Harness::new(DatagramConfig { trigger, ..DatagramConfig::default() });
        harness.send_question();
        harness.faults.refuse(Syscall::Recvmmsg, Errno::ENOMEM, u64::MAX);
        let end = harness.sim.now() + Duration::from_secs(SECONDS as u64);
        let mut rounds = 0;
        while harness.sim.now() < end && rounds < ROUNDS_MAX {
            harness.server.run_once(Some(end)).unwrap();
            rounds += 1;
        }
        // Four retries per second, with some errors each, and as many iterations.
        let (calls, waits) = (harness.faults.count(Syscall::Recvmmsg), rounds as usize);
        assert!(
            calls <= SECONDS * 4 * 20,
            "invariant: no busy loop, but {trigger:?} made {calls} calls"
        );
        assert!(
            waits <= SECONDS * 10,
            "invariant: no busy loop, but {trigger:?} ran {waits} iterations"
        );
        assert!(calls > SECONDS, "invariant: service resumes, so it retries");

        harness.faults.refuse(Syscall::Recvmmsg, Errno::ENOMEM, 0);
        harness.sim.advance(Duration::from_secs(1));
        (0..4).for_each(|_| harness.run_once());
        assert_eq!(harness.answers(), 1, "invariant: service resumes, in {trigger:?}");
        harness.send_question();
        (0..4).for_each(|_| harness.run_once());
        assert_eq!(harness.answers(), 1, "invariant: service stays available, in {trigger:?}");
        harness.finish();
    }
}

/// A sandbox that does not know recvmmsg or sendmmsg returns ENOSYS or EPERM.
#[test]
fn where_a_batch_is_refused_datagrams_go_one_by_one() {
    for call in [Syscall::Recvmmsg, Syscall::Sendmmsg] {
        for errno in [Errno::ENOSYS, Errno::EPERM] {
            for trigger in TRIGGERS {
                let mut harness =
                    Harness::new(DatagramConfig { trigger, ..DatagramConfig::default() });
                harness.faults.refuse(call, errno, u64::MAX);
                for _ in 0..3 {
                    (0..40).for_each(|_| harness.send_question());
                    (0..4).for_each(|_| harness.run_once());
                    assert_eq!(harness.answers(), 40, "{call:?} {errno:?} {trigger:?}");
                }
                assert_eq!(harness.faults.count(call), 1, "a denied call is tried once");
                let stats = harness.server.stats();
                assert_eq!((stats.dropped, stats.errors), (0, 0), "{call:?} {errno:?}");
                harness.finish();
            }
        }
    }
}

/// Longer than the slot is truncated; as long is not.
#[test]
fn where_a_batch_is_refused_the_longest_datagram_is_the_same() {
    for times in [0, u64::MAX] {
        let config = DatagramConfig { datagram_bytes_max: 8, ..DatagramConfig::default() };
        let mut harness = Harness::new(config);
        harness.faults.refuse(Syscall::Recvmmsg, Errno::ENOSYS, times);
        harness.send_question();
        for _ in 0..2 {
            assert_eq!(harness.sim.send(&harness.client, b"questions"), Ok(9));
        }
        (0..4).for_each(|_| harness.run_once());
        let stats = harness.server.stats();
        assert_eq!((stats.received, stats.echoed, stats.truncated), (3, 1, 2));
        assert_eq!(harness.answers(), 1);
        harness.finish();
    }
}

#[test]
fn where_a_batch_is_refused_an_error_among_datagrams_is_counted() {
    for (errno, errors) in [(Errno::ECONNREFUSED, 1), (Errno::EINTR, 0)] {
        let (mut sim, faults) = (Sim::default(), FaultScript::default());
        let second = FaultPlan::once(1, errno).for_syscall(Syscall::Recvmsg);
        let mut kernel = FaultInjector::new(faults.wrap(sim.new_process()), second);
        let (socket, addr) = bind(&mut kernel, "127.0.0.1:5001");
        faults.refuse(Syscall::Recvmmsg, Errno::ENOSYS, u64::MAX);
        let mut server = DatagramServer::new(kernel, DatagramConfig::default()).unwrap();
        server.add_socket(socket).unwrap();
        let client = sim.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
        (0..5).for_each(|_| _ = sim.sendto(&client, b"question", &addr).unwrap());
        (0..4).for_each(|_| _ = server.run_once(Some(sim.now())).unwrap());
        let stats = server.stats();
        assert_eq!((stats.echoed, stats.errors), (5, errors), "{errno}");
        sim.close(client).unwrap();
    }
}

/// A full send buffer is waited for, but on a Unix socket: it is that of one client.
#[test]
fn where_a_batch_is_refused_a_full_send_buffer_is_waited_for() {
    for (at, from, dropped) in [
        ("127.0.0.1:5001", "127.0.0.1:0", 0),
        ("unix:@where-a-batch-is-refused", "unix:@client", 1),
    ] {
        let (mut sim, faults) = (Sim::default(), FaultScript::default());
        let full = FaultPlan::once(0, Errno::EAGAIN).for_syscall(Syscall::Sendto);
        let mut kernel = FaultInjector::new(faults.wrap(sim.new_process()), full);
        let (socket, addr) = bind(&mut kernel, at);
        faults.refuse(Syscall::Sendmmsg, Errno::ENOSYS, u64::MAX);
        let mut server = DatagramServer::new(kernel, DatagramConfig::default()).unwrap();
        server.add_socket(socket).unwrap();
        let client = sim.socket(addr.family().unwrap(), SocketType::Datagram).unwrap();
        sim.bind(&client, &from.parse().unwrap()).unwrap();
        (0..2).for_each(|_| _ = sim.sendto(&client, b"question", &addr).unwrap());
        (0..4).for_each(|_| _ = server.run_once(Some(sim.now())).unwrap());
        let stats = server.stats();
        assert_eq!((stats.echoed, stats.dropped), (2 - dropped, dropped), "{at}");
        sim.close(client).unwrap();
    }
}

/// What a server on a wildcard address does about one datagram to another of its addresses.
fn asked_at_another_address(faults: &FaultScript) -> DatagramStats {
    let mut sim = Sim::default();
    let mut kernel = faults.wrap(sim.new_process());
    let (socket, _) = bind(&mut kernel, "0.0.0.0:5001");
    let mut server = DatagramServer::new(kernel, DatagramConfig::default()).unwrap();
    server.add_socket(socket).unwrap();
    let client = sim.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
    sim.sendto(&client, b"ask", &"127.0.0.2:5001".parse().unwrap()).unwrap();
    server.run_once(Some(sim.now())).unwrap();
    sim.close(client).unwrap();
    server.stats()
}

/// The address that it was sent to is gone, for example: only then it is sent from another.
#[test]
fn a_reply_whose_source_is_unusable_is_sent_from_another_address() {
    for (errno, echoed) in [(Errno::EADDRNOTAVAIL, 1), (Errno::EHOSTUNREACH, 0)] {
        let faults = FaultScript::default();
        faults.refuse(Syscall::Sendmmsg, errno, 1);
        let stats = asked_at_another_address(&faults);
        assert_eq!((stats.echoed, stats.dropped), (echoed, 1 - echoed), "{errno}");
    }
}

/// A receive prepares headers for as many as may be there: few at first, and twice as many after
/// each that was full. One datagram alone is no reason to ask for segments.
#[test]
fn a_burst_takes_few_receives_and_one_datagram_alone_takes_one() {
    let mut harness = Harness::new(DatagramConfig::default());
    let [receives, options] = [Syscall::Recvmmsg, Syscall::Setsockopt];
    let before = harness.faults.count(options);
    harness.send_question();
    harness.run_once();
    assert_eq!((harness.faults.count(receives), harness.faults.count(options)), (1, before));
    (0..20).for_each(|_| harness.send_question());
    harness.run_once();
    // 3, 6 and 11 of 12.
    let calls = (harness.faults.count(receives) - 1, harness.faults.count(options) - before);
    assert_eq!(calls, (3, 1));
    assert_eq!(harness.server.next_event(), None, "invariant: no event unless asked for");
    harness.finish();
}

/// A firewall rejects one datagram with EPERM, for every kind of send call.
#[test]
fn a_firewall_that_refuses_a_datagram_costs_that_one_only() {
    let mut harness = Harness::new(DatagramConfig::default());
    harness.faults.refuse_both([Syscall::Sendmmsg, Syscall::Sendto], Errno::EPERM, 2);
    (0..3).for_each(|_| harness.send_question());
    (0..3).for_each(|_| harness.run_once());
    let stats = harness.server.stats();
    assert_eq!((stats.dropped, stats.echoed), (2, 1));
    assert_eq!(harness.answers(), 1);
    let batches = harness.faults.count(Syscall::Sendmmsg);
    harness.send_question();
    harness.run_once();
    assert_eq!(
        harness.faults.count(Syscall::Sendmmsg),
        batches + 1,
        "sending in batches continues"
    );
    harness.finish();
}

/// A firewall that rejects replies from one address rejects them; they are not sent from another.
#[test]
fn a_reply_that_a_firewall_rejects_is_not_sent_from_another_address() {
    for (errno, echoed, calls) in [(Errno::EPERM, 0, 0), (Errno::ENOSYS, 1, 1)] {
        let faults = FaultScript::default();
        faults.refuse_both([Syscall::Sendmmsg, Syscall::Sendmsg], errno, 1);
        let stats = asked_at_another_address(&faults);
        assert!(faults.is_exhausted());
        assert_eq!(faults.count(Syscall::Sendto), calls, "invariant: no other path, after {errno}");
        assert_eq!((stats.echoed, stats.dropped), (echoed, 1 - echoed), "{errno}");
    }
}

/// Each way to address a server on a wildcard address at another local address.
#[test]
fn a_reply_comes_from_the_requested_address() {
    for trigger in TRIGGERS {
        for refused in [None, Some(Syscall::Recvmmsg), Some(Syscall::Sendmmsg)] {
            for (bound, asked) in [
                ("0.0.0.0:5001", "127.0.0.1:5001"),
                ("0.0.0.0:5001", "127.0.0.2:5001"),
                ("0.0.0.0:5001", "127.200.3.4:5001"),
                ("127.0.0.9:5001", "127.0.0.9:5001"),
                ("[::]:5001", "[::1]:5001"),
            ] {
                let (mut sim, faults) = (Sim::default(), FaultScript::default());
                let mut kernel = faults.wrap(sim.new_process());
                let (socket, _) = bind(&mut kernel, bound);
                let config = DatagramConfig { trigger, ..DatagramConfig::default() };
                let mut server = DatagramServer::new(kernel, config).unwrap();
                server.add_socket(socket).unwrap();
                if let Some(call) = refused {
                    faults.refuse(call, Errno::ENOSYS, u64::MAX);
                }
                let asked: Addr = asked.parse().unwrap();
                let client = sim.socket(asked.family().unwrap(), SocketType::Datagram).unwrap();
                for _ in 0..2 {
                    sim.sendto(&client, b"ask", &asked).unwrap();
                    server.run_once(Some(sim.now())).unwrap();
                    let answer = sim.recvfrom(&client, &mut [0; 8]);
                    assert_eq!(answer, Ok((3, asked)), "{bound} {refused:?} {trigger:?}");
                }
                sim.close(client).unwrap();
            }
        }
    }
}

/// The same on the real kernel, over several addresses of the loopback network.
#[test]
fn linux_sends_the_reply_from_the_requested_address() {
    let (socket, addr) = bind(&mut Linux, "0.0.0.0:0");
    let mut server = DatagramServer::new(Linux, DatagramConfig::default()).unwrap();
    server.add_socket(socket).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for ip in ["127.0.0.1", "127.0.0.2", "127.1.2.3"] {
        let asked = std::net::SocketAddr::new(ip.parse().unwrap(), addr.port().unwrap());
        client.send_to(b"ask", asked).unwrap();
        server.run_once(Some(Linux.now() + Duration::from_secs(10))).unwrap();
        assert_eq!(client.recv_from(&mut [0; 8]).unwrap(), (3, asked));
    }
}

/// Its queue is full and stays full: it loses its replies, and other clients are unaffected.
#[test]
fn a_unix_client_that_reads_nothing_costs_itself_only() {
    for trigger in TRIGGERS {
        let (mut sim, faults) = (Sim::default(), FaultScript::default());
        let mut kernel = faults.wrap(sim.new_process());
        let (socket, addr) = bind(&mut kernel, "unix:@server");
        let mut server =
            DatagramServer::new(kernel, DatagramConfig { trigger, ..DatagramConfig::default() })
                .unwrap();
        server.add_socket(socket).unwrap();
        let clients = ["unix:@silent", "unix:@good"].map(|name| {
            let client = sim.socket(AddressFamily::Unix, SocketType::Datagram).unwrap();
            sim.bind(&client, &name.parse().unwrap()).unwrap();
            client
        });
        let [silent, good] = clients;
        for _ in 0..40 {
            let _ = sim.sendto(&silent, b"m", &addr);
            server.run_once(Some(sim.now())).unwrap();
        }
        assert!(server.stats().dropped > 0, "its queue is full");
        for _ in 0..3 {
            sim.sendto(&good, b"hello", &addr).unwrap();
            server.run_once(Some(sim.now())).unwrap();
            assert_eq!(sim.recv(&good, &mut [0; 8]), Ok(5), "{trigger:?}: others are answered");
        }
        let calls = faults.count(Syscall::Sendmmsg);
        let end = sim.now() + Duration::from_secs(5);
        assert_eq!(server.run_once(Some(end)), Ok(false), "{trigger:?}: nothing is left to do");
        assert_eq!(faults.count(Syscall::Sendmmsg), calls);
        sim.close(silent).unwrap();
        sim.close(good).unwrap();
    }
}

/// Readable and hung up forever, with nothing to read: a duplicate was shut down.
#[test]
fn a_datagram_socket_that_was_shut_down_is_retried_periodically() {
    let cases = TRIGGERS.into_iter().flat_map(|it| [(it, Shutdown::Both), (it, Shutdown::Read)]);
    for (trigger, how) in cases {
        let (mut sim, faults) = (Sim::default(), FaultScript::default());
        let mut kernel = faults.wrap(sim.new_process());
        let (socket, _) = bind(&mut kernel, "127.0.0.1:5001");
        let _ = kernel.shutdown(&socket, how);
        let mut server =
            DatagramServer::new(kernel, DatagramConfig { trigger, ..DatagramConfig::default() })
                .unwrap();
        server.add_socket(socket).unwrap();
        let end = sim.now() + Duration::from_secs(10);
        let mut rounds = 0;
        while sim.now() < end && rounds < ROUNDS_MAX {
            server.run_once(Some(end)).unwrap();
            rounds += 1;
        }
        assert!(
            rounds <= 10 * 20,
            "invariant: no busy loop, but {trigger:?} {how:?} took {rounds} iterations"
        );
        sim.advance(Duration::ZERO);
    }
}

#[test]
fn a_signal_while_sending_loses_no_datagram() {
    for trigger in TRIGGERS {
        let mut harness = Harness::new(DatagramConfig { trigger, ..DatagramConfig::default() });
        harness.faults.refuse(Syscall::Sendmmsg, Errno::EINTR, 3);
        (0..5).for_each(|_| harness.send_question());
        (0..4).for_each(|_| harness.run_once());
        assert!(harness.faults.is_exhausted());
        assert_eq!(harness.answers(), 5, "invariant: EINTR loses no data");
        assert_eq!(harness.server.stats().dropped, 0);
        harness.finish();
    }
}

#[test]
fn a_signal_while_a_socket_is_opened_is_no_refusal() {
    let (sim, faults) = (Sim::default(), FaultScript::default());
    let mut kernel = faults.wrap(sim.new_process());
    let (socket, _) = bind(&mut kernel, "127.0.0.1:5001");
    let mut server = DatagramServer::new(kernel, DatagramConfig::default()).unwrap();
    faults.refuse(Syscall::EpollCtl, Errno::EINTR, 3);
    assert!(server.add_socket(socket).is_ok(), "invariant: EINTR loses no data");
    assert!(faults.is_exhausted());
}

fn bind(kernel: &mut impl Kernel, addr: &str) -> (Fd, Addr) {
    crate::deadline::arm();
    bind_datagram(kernel, &addr.parse().unwrap(), PortSharing::Exclusive).unwrap()
}

/// A server with one socket, and a client of it.
struct Harness {
    sim: Sim,
    faults: FaultScript,
    server: DatagramServer<ScriptedKernel>,
    client: Fd,
}

impl Harness {
    fn new(config: DatagramConfig) -> Self {
        let (mut sim, faults) = (Sim::default(), FaultScript::default());
        let mut kernel = faults.wrap(sim.new_process());
        let (socket, addr) = bind(&mut kernel, "127.0.0.1:5001");
        let mut server = DatagramServer::new(kernel, config).unwrap();
        server.add_socket(socket).unwrap();
        let client = sim.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
        sim.connect(&client, &addr).unwrap();
        Self { sim, faults, server, client }
    }

    fn send_question(&mut self) {
        assert_eq!(self.sim.send(&self.client, b"question"), Ok(8));
    }

    /// One non-blocking iteration.
    fn run_once(&mut self) {
        let now = self.sim.now();
        self.server.run_once(Some(now)).unwrap();
    }

    fn answers(&mut self) -> usize {
        let Self { sim, client, .. } = self;
        core::iter::from_fn(|| sim.recv(client, &mut [0; 16]).ok()).count()
    }

    fn finish(mut self) {
        self.sim.close(self.client).unwrap();
    }
}
