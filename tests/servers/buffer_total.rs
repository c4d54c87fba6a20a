//! All write buffers of a server together are bounded: what a stalled reader costs, that others
//! are served while there is no room, and that every client gets all bytes in the end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use epollite::instrument::{CallCounter, FaultInjector, FaultPlan};
use epollite::kernel::{SocketOption, SocketType, Syscall};
use epollite::server::stream::{
    Bulk, CloseReason, Outcome, ServerEvent, StreamConfig, StreamServer,
};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::{Sim, SimConfig};
use epollite::{Addr, Errno, Fd, Kernel, Linux, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
const ADDRS: [&str; 2] = ["127.0.0.1:7777", "unix:@total"];
const BUFFER_BYTES: usize = 64;
const NEVER: FaultPlan = FaultPlan::once(u64::MAX, Errno::EIO);

/// A server on the model, whose sockets hold a few hundred bytes. It reports no events, so that
/// usual echoes are served in rounds.
struct Harness {
    sim: Sim,
    server: StreamServer<CallCounter<FaultInjector<Sim>>>,
    addr: Addr,
    total: u64,
}

impl Harness {
    fn begin(addr: &str, trigger: Trigger, buffer_total_bytes: usize, faults: FaultPlan) -> Self {
        let config = StreamConfig {
            trigger,
            buffer_bytes: BUFFER_BYTES,
            buffer_total_bytes,
            ..StreamConfig::default()
        };
        Self::with_config(addr, config, faults)
    }

    fn with_config(addr: &str, config: StreamConfig, faults: FaultPlan) -> Self {
        let small =
            SimConfig { receive_buffer_bytes: 300, send_buffer_bytes: 300, ..SimConfig::default() };
        let sim = Sim::new(small);
        let kernel = CallCounter::new(FaultInjector::new(sim.new_process(), faults));
        let mut server = StreamServer::new(kernel, config).unwrap();
        let addr = addr.parse().unwrap();
        let (listener, addr) = bind_stream(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        Self { sim, server, addr, total: config.buffer_total_bytes as u64 }
    }

    fn connect(&mut self) -> Client {
        let socket = self.sim.socket(self.addr.family().unwrap(), SocketType::Stream).unwrap();
        let connected = self.sim.connect(&socket, &self.addr);
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)));
        self.run();
        Client { socket, sent: 0, received: 0 }
    }

    /// Runs the server until it has nothing to do.
    fn run(&mut self) {
        for _ in 0..10_000 {
            let now = self.server.kernel().now();
            let outcome = self.server.run_once(Some(now)).unwrap();
            let held = self.server.stats().buffer_bytes;
            assert!(held <= self.total, "invariant: {held} bytes of at most {}", self.total);
            assert!(self.server.buffered_bytes() <= held, "invariant: what is buffered is counted");
            if outcome == Outcome::TimedOut {
                return;
            }
        }
        panic!("invariant: no busy loop");
    }

    /// Sends until neither the client nor the server can.
    fn fill(&mut self, client: &mut Client) {
        loop {
            let bytes: Vec<u8> = (client.sent..client.sent + 50).map(byte).collect();
            match self.sim.send(&client.socket, &bytes) {
                Ok(count) => client.sent += count,
                Err(Errno::EAGAIN) => return,
                Err(errno) => panic!("{errno}"),
            }
            self.run();
        }
    }

    /// Receives what there is, and what comes when there is room again.
    fn drain(&mut self, client: &mut Client) {
        let mut buf = [0; 90];
        loop {
            match self.sim.recv(&client.socket, &mut buf) {
                Ok(0) => panic!("invariant: no connection is closed"),
                Ok(count) => {
                    for &received in &buf[..count] {
                        assert_eq!(received, byte(client.received), "invariant: the same bytes");
                        client.received += 1;
                    }
                    self.run();
                }
                Err(Errno::EAGAIN) => return,
                Err(errno) => panic!("{errno}"),
            }
        }
    }
}

struct Client {
    socket: Fd,
    sent: usize,
    received: usize,
}

/// Byte `at` of what each client sends.
fn byte(at: usize) -> u8 {
    (at % 251).to_le_bytes()[0]
}

#[test]
fn the_sum_is_bounded_and_every_client_gets_all_bytes_in_any_order() {
    for (trigger, addr) in cases() {
        // None, less than one read, one, some, and enough for all.
        for total in [0, 10, 64, 150, 64 * 6] {
            for is_reversed in [false, true] {
                let mut harness = Harness::begin(addr, trigger, total, NEVER);
                let mut clients: Vec<Client> = (0..6).map(|_| harness.connect()).collect();
                for client in &mut clients {
                    harness.fill(client);
                }
                let waits = harness.server.stats().buffer_waits;
                let is_held = total < 64 * 6;
                assert_eq!(waits > 0, is_held, "{trigger:?} {addr} {total}: {waits} waits");
                if is_reversed {
                    clients.reverse();
                }
                for client in &mut clients {
                    harness.drain(client);
                    let Client { sent, received, .. } = *client;
                    assert_eq!(
                        received, sent,
                        "invariant: a connection that was held goes on when its own peer reads \
                         ({trigger:?}, {addr}, {total})"
                    );
                }
                assert_eq!(harness.server.stats().buffer_bytes, 0, "invariant: all is given back");
                clients.into_iter().for_each(|client| harness.sim.close(client.socket).unwrap());
                harness.run();
                assert_eq!(harness.server.connections(), 0);
            }
        }
    }
}

#[test]
fn a_client_that_reads_is_served_while_stalled_readers_use_up_the_total() {
    for (trigger, addr) in cases() {
        let mut harness = Harness::begin(addr, trigger, BUFFER_BYTES, NEVER);
        let mut stalled: Vec<Client> = (0..4).map(|_| harness.connect()).collect();
        stalled.iter_mut().for_each(|client| harness.fill(client));
        assert!(harness.server.stats().buffer_bytes > 0, "{trigger:?}, {addr}");
        let reader = harness.connect();
        for round in 0..20 {
            let message: Vec<u8> = (round..round + 40).map(byte).collect();
            harness.sim.send(&reader.socket, &message).unwrap();
            harness.run();
            let mut answer = [0; 64];
            let count = harness.sim.recv(&reader.socket, &mut answer);
            assert_eq!(count, Ok(40), "invariant: one that reads is served ({trigger:?}, {addr})");
            assert_eq!(answer[..40], message, "invariant: the same bytes");
        }
        let peeks = harness.server.kernel().hook.calls(Syscall::RecvPeek);
        assert!(peeks >= 20, "they were served without a buffer, but for {peeks} peeks");
        // With room again nothing is peeked at.
        stalled.iter_mut().for_each(|client| harness.drain(client));
        let peeks = harness.server.kernel().hook.calls(Syscall::RecvPeek);
        harness.sim.send(&reader.socket, b"as usual").unwrap();
        harness.run();
        assert_eq!(harness.sim.recv(&reader.socket, &mut [0; 64]), Ok(8));
        assert_eq!(harness.server.kernel().hook.calls(Syscall::RecvPeek), peeks);
        for client in stalled.into_iter().chain([reader]) {
            harness.sim.close(client.socket).unwrap();
        }
        harness.run();
    }
}

#[test]
fn what_a_reset_connection_kept_is_given_back() {
    for (trigger, addr) in cases() {
        let mut harness = Harness::begin(addr, trigger, BUFFER_BYTES, NEVER);
        let [mut one, mut two] = [harness.connect(), harness.connect()];
        harness.fill(&mut one);
        harness.fill(&mut two);
        // Unread data is left: it resets.
        harness.sim.close(one.socket).unwrap();
        harness.sim.close(two.socket).unwrap();
        harness.run();
        assert_eq!(harness.server.connections(), 0, "{trigger:?}, {addr}");
        assert_eq!(harness.server.stats().buffer_bytes, 0, "{trigger:?}, {addr}");
    }
}

#[test]
fn a_held_connection_whose_peer_reads_nothing_times_out_or_drains() {
    for (trigger, addr) in cases() {
        let config = StreamConfig {
            trigger,
            buffer_bytes: BUFFER_BYTES,
            buffer_total_bytes: 0,
            idle_timeout: Some(Duration::from_millis(500)),
            emit_events: true,
            ..StreamConfig::default()
        };
        let mut harness = Harness::with_config(addr, config, NEVER);
        let mut client = harness.connect();
        harness.fill(&mut client);
        for _ in 0..12 {
            harness.sim.advance(Duration::from_millis(100));
            harness.run();
        }
        let events = core::iter::from_fn(|| harness.server.next_event());
        let closed = events.filter_map(|event| match event {
            ServerEvent::Closed { why, .. } => Some(why),
            _ => None,
        });
        assert_eq!(closed.collect::<Vec<_>>(), [CloseReason::IdleTimeout], "{trigger:?}, {addr}");
        harness.sim.close(client.socket).unwrap();

        let mut harness = Harness::begin(addr, trigger, 0, NEVER);
        let mut client = harness.connect();
        harness.fill(&mut client);
        harness.server.begin_shutdown();
        harness.sim.advance(Duration::from_secs(1));
        harness.run();
        assert_eq!(harness.server.connections(), 1, "it drains: the peer may still read");
        let mut received = 0;
        let mut buf = [0; 90];
        while let Ok(count @ 1..) = harness.sim.recv(&client.socket, &mut buf) {
            received += count;
            harness.run_draining();
        }
        assert_eq!(received, client.sent, "invariant: what has arrived is echoed at a shutdown");
        harness.sim.close(client.socket).unwrap();
        harness.run_draining();
        assert_eq!(harness.server.connections(), 0);
    }
}

#[test]
fn what_is_closed_at_the_end_of_a_drain_is_given_back() {
    for (trigger, addr) in cases() {
        let mut harness = Harness::begin(addr, trigger, 8 * BUFFER_BYTES, NEVER);
        let mut client = harness.connect();
        harness.fill(&mut client);
        assert!(harness.server.stats().buffer_bytes > 0, "{trigger:?}, {addr}");
        harness.server.begin_shutdown();
        harness.sim.advance(Duration::from_secs(60));
        harness.run_draining();
        let left = (harness.server.connections(), harness.server.stats().buffer_bytes);
        assert_eq!(left, (0, 0), "{trigger:?}, {addr}");
        harness.sim.close(client.socket).unwrap();
    }
}

impl Harness {
    fn run_draining(&mut self) {
        for _ in 0..1_000 {
            let now = self.server.kernel().now();
            match self.server.run_once(Some(now)).unwrap() {
                Outcome::TimedOut | Outcome::Drained => return,
                _ => {}
            }
        }
        panic!("invariant: no busy loop");
    }
}

#[test]
fn a_kernel_that_does_not_peek_costs_the_connection_that_would_need_it() {
    for (trigger, addr) in cases() {
        let refused = FaultPlan::persistent(0, Errno::ENOSYS).for_syscall(Syscall::RecvPeek);
        let mut harness = Harness::begin(addr, trigger, BUFFER_BYTES, refused);
        let mut stalled = harness.connect();
        harness.fill(&mut stalled);
        let other = harness.connect();
        harness.sim.send(&other.socket, b"no room").unwrap();
        harness.run();
        assert_eq!(harness.server.connections(), 1, "{trigger:?}, {addr}");
        let received = harness.sim.recv(&other.socket, &mut [0; 9]);
        assert!(matches!(received, Ok(0) | Err(Errno::ECONNRESET)), "{received:?}");
        harness.drain(&mut stalled);
        assert_eq!(stalled.received, stalled.sent, "the others lose nothing");
        for client in [other, stalled] {
            harness.sim.close(client.socket).unwrap();
        }
        harness.run();
    }
}

/// What was sent and could not be removed from the receive queue is not sent again.
#[test]
fn an_interruption_between_send_and_recv_sends_nothing_twice() {
    for (trigger, addr) in cases() {
        for nth in 0..4 {
            let always = FaultPlan::persistent(nth, Errno::EINTR).for_syscall(Syscall::Recv);
            let mut harness = Harness::begin(addr, trigger, 0, always);
            let client = harness.connect();
            for round in 0..6_usize {
                let bytes: Vec<u8> = (10 * round..10 * round + 10).map(byte).collect();
                let sent = harness.sim.send(&client.socket, &bytes);
                assert!(matches!(sent, Ok(10) | Err(Errno::EAGAIN)), "{sent:?}");
                for _ in 0..20 {
                    let now = harness.server.kernel().now();
                    harness.server.run_once(Some(now)).unwrap();
                }
            }
            let mut received = [0; 100];
            let count = harness.sim.recv(&client.socket, &mut received).unwrap_or(0);
            let expected: Vec<u8> = (0..count).map(byte).collect();
            assert_eq!(received[..count], expected, "invariant: a prefix ({trigger:?}, {addr})");
            assert_eq!(harness.server.connections(), 1, "the work remains");
            harness.sim.close(client.socket).unwrap();
        }
    }
}

/// On Linux there is no model of when room to send is reported: whatever is held goes on.
#[test]
fn on_linux_stalled_readers_cost_no_more_than_the_total_and_lose_nothing() {
    const STALLED: usize = 8;
    for trigger in TRIGGERS {
        for bulk in [Bulk::Copy, Bulk::Splice] {
            let mut served = OnLinux::begin(trigger, bulk);
            let mut clients: Vec<LinuxClient> = (0..STALLED).map(|_| served.connect()).collect();
            served.fill(&mut clients);
            assert!(
                served.server.stats().buffer_waits > 0,
                "some are held ({trigger:?}, {bulk:?})"
            );
            // Unread data is left: they reset, and one of them was the first, which is buffered.
            drop(clients.remove(0));
            drop(clients.pop());
            for (number, mut client) in clients.into_iter().enumerate() {
                // Of some the end is queued behind what is held, others go on to send.
                let mut left = if number % 2 == 0 { 0 } else { 1 << 20 };
                while left > 0 {
                    left -= client.send(left).unwrap_or(0);
                    served.receive(&mut client);
                }
                client.stream.shutdown(Shutdown::Write).unwrap();
                while !served.receive(&mut client) {}
                assert_eq!(
                    client.received, client.sent,
                    "invariant: a stalled reader that reads gets all its bytes"
                );
            }
            while served.server.connections() > 0 {
                served.progresses(Duration::from_secs(1));
            }
            assert_eq!(served.server.stats().buffer_bytes, 0, "{trigger:?}, {bulk:?}");
        }
    }
}

/// A server on Linux. It runs in the thread of its clients, and only when they ask for it.
struct OnLinux {
    server: StreamServer<Linux>,
    addr: Addr,
    /// Turns in a row in which neither it nor a client did anything.
    idle_turns: u32,
}

struct LinuxClient {
    stream: TcpStream,
    sent: usize,
    received: usize,
}

impl OnLinux {
    /// One read: while anything is kept, there is no room for another.
    const TOTAL: usize = 64 << 10;

    fn begin(trigger: Trigger, bulk: Bulk) -> Self {
        const SMALL: u32 = 32 << 10;
        let buffer_total_bytes = Self::TOTAL;
        let config = StreamConfig { trigger, bulk, buffer_total_bytes, ..StreamConfig::default() };
        let mut server = StreamServer::<Linux>::new(Linux, config).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let (listener, addr) = bind_stream(server.kernel(), &any, PortSharing::Exclusive).unwrap();
        // Connections inherit it: so little data is enough.
        for option in
            [SocketOption::SendBufferBytes(SMALL), SocketOption::ReceiveBufferBytes(SMALL)]
        {
            server.kernel().setsockopt(&listener, option).unwrap();
        }
        server.add_listener(listener).unwrap();
        Self { server, addr, idle_turns: 0 }
    }

    fn connect(&self) -> LinuxClient {
        let stream = TcpStream::connect(self.addr.to_string()).unwrap();
        stream.set_nonblocking(true).unwrap();
        LinuxClient { stream, sent: 0, received: 0 }
    }

    /// Lets the server run, and wait for so long. Returns whether it did anything.
    fn turn(&mut self, wait: Duration) -> bool {
        let outcome = self.server.run_once(Some(Linux.now() + wait)).unwrap();
        let stats = self.server.stats();
        assert!(stats.buffer_bytes <= Self::TOTAL as u64, "invariant: a bounded sum: {stats:?}");
        outcome != Outcome::TimedOut
    }

    /// As `turn`, where something has to happen.
    fn progresses(&mut self, wait: Duration) {
        // A minute at most. No turn waits for nothing in a row, where all goes well, but for the
        // timers of TCP with small windows.
        self.idle_turns = if self.turn(wait) { 0 } else { self.idle_turns + 1 };
        assert!(self.idle_turns < 60, "invariant: what is held goes on when its peer reads");
    }

    /// Sends from all clients until neither they nor the server can.
    fn fill(&mut self, clients: &mut [LinuxClient]) {
        let mut idle_turns = 0;
        while idle_turns < 3 {
            let sends = clients.iter_mut().filter_map(|client| client.send(usize::MAX)).count();
            let is_idle = !self.turn(Duration::from_millis(20)) && sends == 0;
            idle_turns = if is_idle { idle_turns + 1 } else { 0 };
        }
    }

    /// Receives once, or waits for the server. Returns whether the end was received.
    fn receive(&mut self, client: &mut LinuxClient) -> bool {
        match client.receive() {
            Some(0) => return true,
            Some(_) => {
                self.idle_turns = 0;
                self.turn(Duration::ZERO);
            }
            None => self.progresses(Duration::from_secs(1)),
        }
        false
    }
}

impl LinuxClient {
    /// Sends at most so many bytes; none if it would block.
    fn send(&mut self, most: usize) -> Option<usize> {
        let bytes: Vec<u8> = (self.sent..).take(most.min(64 << 10)).map(byte).collect();
        match self.stream.write(&bytes) {
            Ok(count) => {
                self.sent += count;
                Some(count)
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                None
            }
        }
    }

    /// Receives what there is, checks it and returns how much it was; none if it would block.
    fn receive(&mut self) -> Option<usize> {
        let mut buf = vec![0; 64 << 10];
        match self.stream.read(&mut buf) {
            Ok(count) => {
                let expected = (self.received..).take(count).map(byte);
                assert!(buf[..count].iter().copied().eq(expected), "invariant: the same bytes");
                self.received += count;
                Some(count)
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                None
            }
        }
    }
}

fn cases() -> impl Iterator<Item = (Trigger, &'static str)> {
    TRIGGERS.into_iter().flat_map(|trigger| ADDRS.map(|addr| (trigger, addr)))
}
