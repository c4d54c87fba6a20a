//! The stream server when it moves bytes by splice(2): bytes that wait in a pipe when a connection
//! ends, what it learns, and what it does when it is refused.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use epollite::instrument::{CallCounter, FaultInjector, FaultPlan};
use epollite::kernel::{Resource, Rlimit, SocketOption, SocketType, Syscall};
use epollite::server::stream::{Bulk, Outcome, StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::{Sim, SimConfig};
use epollite::{Addr, Errno, Fd, Kernel, Linux, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
const ADDRS: [&str; 2] = ["127.0.0.1:7777", "unix:@bulk"];
const ROUNDS_MAX: u32 = 10_000;
const NEVER: FaultPlan = FaultPlan::once(u64::MAX, Errno::EIO);

/// A server on the model, whose sockets hold a few hundred bytes.
struct Harness {
    sim: Sim,
    server: StreamServer<CallCounter<FaultInjector<Sim>>>,
    addr: Addr,
}

impl Harness {
    fn begin(addr: &str, config: StreamConfig, faults: FaultPlan) -> Self {
        let small =
            SimConfig { receive_buffer_bytes: 300, send_buffer_bytes: 300, ..SimConfig::default() };
        let sim = Sim::new(small);
        let kernel = CallCounter::new(FaultInjector::new(sim.new_process(), faults));
        let mut server = StreamServer::new(kernel, config).unwrap();
        let addr = addr.parse().unwrap();
        let (listener, addr) = bind_stream(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        Self { sim, server, addr }
    }

    fn connect(&mut self) -> Fd {
        let socket = self.connect_unserved();
        self.run();
        socket
    }

    /// The server has not run since.
    fn connect_unserved(&mut self) -> Fd {
        let socket = self.sim.socket(self.addr.family().unwrap(), SocketType::Stream).unwrap();
        let connected = self.sim.connect(&socket, &self.addr);
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)));
        socket
    }

    /// Runs the server until it has nothing to do; returns whether it has drained.
    fn run(&mut self) -> bool {
        for _ in 0..ROUNDS_MAX {
            let now = self.server.kernel().now();
            match self.server.run_once(Some(now)).unwrap() {
                Outcome::TimedOut => return false,
                Outcome::Drained => return true,
                _ => {}
            }
        }
        panic!("invariant: no busy loop");
    }

    /// Sends until neither the client nor the server can; returns how many bytes.
    fn fill(&mut self, client: &Fd) -> usize {
        let mut sent = 0;
        loop {
            let bytes: Vec<u8> = (sent..sent + 64).map(byte).collect();
            match self.sim.send(client, &bytes) {
                Ok(count) => sent += count,
                Err(Errno::EAGAIN) => return sent,
                Err(errno) => panic!("{errno}"),
            }
            self.run();
        }
    }

    /// Receives all there is, and checks it; returns how many bytes, and whether the end followed.
    fn receive(&mut self, client: &Fd, mut offset: usize) -> (usize, bool) {
        let mut buf = [0; 100];
        loop {
            self.run();
            match self.sim.recv(client, &mut buf) {
                Ok(0) => return (offset, true),
                Ok(count) => {
                    let expected: Vec<u8> = (offset..offset + count).map(byte).collect();
                    assert_eq!(buf[..count], expected, "invariant: output is a prefix of input");
                    offset += count;
                }
                Err(Errno::EAGAIN) => return (offset, false),
                Err(errno) => panic!("invariant: no client is disconnected: {errno}"),
            }
        }
    }

    fn calls(&mut self, call: Syscall) -> u64 {
        self.server.kernel().hook.calls(call)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "only the low byte is used")]
fn byte(offset: usize) -> u8 {
    (offset * 31 + offset / 251) as u8
}

fn config(trigger: Trigger) -> StreamConfig {
    StreamConfig { trigger, bulk: Bulk::Splice, pipes_max: 1, ..StreamConfig::default() }
}

#[test]
fn bytes_in_the_pipe_of_a_connection_that_ended_reach_no_other() {
    for trigger in TRIGGERS {
        for addr in ADDRS {
            let mut harness = Harness::begin(addr, config(trigger), NEVER);
            let client = harness.connect();
            harness.fill(&client);
            assert!(harness.server.buffered_bytes() > 0, "{trigger:?}: bytes wait in the pipe");
            assert_eq!(harness.calls(Syscall::Send), 0, "not copied");
            harness.sim.setsockopt(&client, SocketOption::LingerSeconds(Some(0))).unwrap();
            harness.sim.close(client).unwrap();
            harness.run();
            assert_eq!(harness.server.connections(), 0, "{trigger:?} {addr}");
            assert_eq!(harness.calls(Syscall::Pipe2), 1);
            let other = harness.connect();
            let bytes: Vec<u8> = (0..50).map(byte).collect();
            assert_eq!(harness.sim.send(&other, &bytes), Ok(50));
            assert_eq!(harness.receive(&other, 0), (50, false), "{trigger:?} {addr}");
            let pipes = harness.calls(Syscall::Pipe2);
            assert_eq!(pipes, 2, "the first was closed with its connection, {trigger:?} {addr}");
            harness.sim.close(other).unwrap();
        }
    }
}

#[test]
fn a_peer_that_reads_late_gets_everything_also_while_the_server_drains() {
    for trigger in TRIGGERS {
        for (addr, drains) in ADDRS.into_iter().flat_map(|addr| [(addr, false), (addr, true)]) {
            let mut harness = Harness::begin(addr, config(trigger), NEVER);
            let client = harness.connect();
            let sent = harness.fill(&client);
            assert!(harness.server.buffered_bytes() > 0, "{trigger:?}: bytes wait in the pipe");
            if drains {
                harness.server.begin_shutdown();
            } else {
                harness.sim.shutdown(&client, epollite::kernel::Shutdown::Write).unwrap();
            }
            assert_eq!(harness.receive(&client, 0), (sent, true), "{trigger:?} {addr} {drains}");
            harness.sim.close(client).unwrap();
            assert_eq!(harness.run(), drains);
            assert_eq!(harness.server.connections(), 0);
        }
    }
}

#[test]
fn an_idle_timeout_ends_a_connection_whose_peer_does_not_read_and_its_pipe() {
    for trigger in TRIGGERS {
        let idle = Duration::from_secs(1);
        let config = StreamConfig { idle_timeout: Some(idle), ..config(trigger) };
        let mut harness = Harness::begin(ADDRS[0], config, NEVER);
        let client = harness.connect();
        harness.fill(&client);
        assert!(harness.server.buffered_bytes() > 0, "{trigger:?}: bytes wait in the pipe");
        let closed = harness.calls(Syscall::Close);
        for _ in 0..16 {
            harness.sim.advance(idle / 4);
            harness.run();
        }
        assert_eq!(harness.server.connections(), 0, "{trigger:?}");
        assert_eq!(harness.calls(Syscall::Close) - closed, 3, "socket and pipe, {trigger:?}");
        harness.sim.close(client).unwrap();
    }
}

/// There splice(2) returns nothing, or 0, as if the stream had ended. The urgent byte itself is
/// received in line.
#[test]
fn an_urgent_byte_and_bytes_behind_it_are_echoed() {
    for trigger in TRIGGERS {
        let mut harness = Harness::begin(ADDRS[0], config(trigger), NEVER);
        let client = harness.connect();
        let bytes: Vec<u8> = (0..20).map(byte).collect();
        assert_eq!(harness.sim.send(&client, &bytes[..10]), Ok(10));
        harness.sim.send_urgent(&client, bytes[10]).unwrap();
        assert_eq!(harness.sim.send(&client, &bytes[11..]), Ok(9));
        harness.sim.shutdown(&client, epollite::kernel::Shutdown::Write).unwrap();
        assert_eq!(harness.receive(&client, 0), (20, true), "{trigger:?}");
        harness.sim.close(client).unwrap();
        harness.run();
    }
}

#[test]
fn a_connection_is_spliced_while_it_streams() {
    for trigger in TRIGGERS {
        let bulk = Bulk::Auto;
        let config = StreamConfig { bulk, buffer_bytes: 64, ..config(trigger) };
        let mut harness = Harness::begin(ADDRS[0], config, NEVER);
        let client = harness.connect();
        let mut offset = 0;
        // Messages that fill the buffer, and some that do not.
        let mut exchange = |harness: &mut Harness, count: usize, size: usize| {
            let before = harness.calls(Syscall::Splice);
            for _ in 0..count {
                let bytes: Vec<u8> = (offset..offset + size).map(byte).collect();
                assert_eq!(harness.sim.send(&client, &bytes), Ok(size));
                assert_eq!(harness.receive(&client, offset), (offset + size, false));
                offset += size;
            }
            harness.calls(Syscall::Splice) - before
        };
        assert_eq!(exchange(&mut harness, 50, 63), 0, "{trigger:?}: too small");
        assert_eq!(exchange(&mut harness, 4, 64), 0, "{trigger:?}: four are copied");
        assert!(exchange(&mut harness, 10, 64) >= 20, "{trigger:?}: it streams");
        assert!(exchange(&mut harness, 3, 5) >= 6, "{trigger:?}: it may be the end of a message");
        assert_eq!(exchange(&mut harness, 10, 5), 0, "{trigger:?}: it streams no longer");
        harness.sim.close(client).unwrap();
        harness.run();
    }
}

#[test]
fn where_splice_or_a_pipe_is_refused_bytes_are_copied() {
    let refusals = [
        (Syscall::Splice, Errno::ENOSYS),
        (Syscall::Splice, Errno::EPERM),
        (Syscall::Splice, Errno::EINVAL),
        (Syscall::Splice, Errno::ENOMEM),
        (Syscall::Pipe2, Errno::EMFILE),
        (Syscall::Pipe2, Errno::ENFILE),
        (Syscall::FcntlSetpipeSz, Errno::EPERM),
    ];
    for trigger in TRIGGERS {
        for (call, errno) in refusals {
            // From the first call on; or when half a stream is in the pipe.
            for nth in [0, 1, 2, 3, 5] {
                let faults = FaultPlan::persistent(nth, errno).for_syscall(call);
                let mut harness = Harness::begin(ADDRS[0], config(trigger), faults);
                let client = harness.connect();
                let sent = harness.fill(&client);
                harness.sim.shutdown(&client, epollite::kernel::Shutdown::Write).unwrap();
                let received = harness.receive(&client, 0);
                assert_eq!(received, (sent, true), "{trigger:?}, {call:?} {nth}: {errno}");
                harness.sim.close(client).unwrap();
                harness.run();
                // Nor for another connection.
                let other = harness.connect();
                let sent = harness.fill(&other);
                harness.sim.shutdown(&other, epollite::kernel::Shutdown::Write).unwrap();
                assert_eq!(harness.receive(&other, 0), (sent, true));
                harness.sim.close(other).unwrap();
                harness.run();
                if call == Syscall::Splice && errno != Errno::ENOMEM {
                    assert!(harness.calls(call) <= nth + 2, "it is not tried again");
                }
            }
        }
    }
}

/// Pipes that no connection uses are closed for a connection to be accepted.
#[test]
fn an_unused_pipe_takes_no_descriptor_from_a_client() {
    for trigger in TRIGGERS {
        let mut harness = Harness::begin(ADDRS[0], config(trigger), NEVER);
        let client = harness.connect();
        assert_eq!(harness.sim.send(&client, &[byte(0)]), Ok(1));
        assert_eq!(harness.receive(&client, 0), (1, false));
        assert_eq!(harness.calls(Syscall::Pipe2), 1);
        // Open are: three as ever, epoll, listener, connection, and the pipe.
        let limit = Rlimit { soft: 8, hard: 8 };
        harness.server.kernel().prlimit(Resource::Nofile, Some(limit)).unwrap();
        let other = harness.connect();
        assert_eq!(harness.server.connections(), 2, "{trigger:?}");
        assert_eq!(harness.server.stats().accept_pauses, 0, "{trigger:?}");
        harness.sim.close(client).unwrap();
        harness.sim.close(other).unwrap();
        harness.run();
    }
}

/// The same for a connection that waits while the server shuts down.
#[test]
fn an_unused_pipe_takes_no_descriptor_from_a_client_that_waits_at_shutdown() {
    for trigger in TRIGGERS {
        let mut harness = Harness::begin(ADDRS[0], config(trigger), NEVER);
        let client = harness.connect();
        assert_eq!(harness.sim.send(&client, &[byte(0)]), Ok(1));
        assert_eq!(harness.receive(&client, 0), (1, false));
        let limit = Rlimit { soft: 8, hard: 8 };
        harness.server.kernel().prlimit(Resource::Nofile, Some(limit)).unwrap();
        let other = harness.connect_unserved();
        assert_eq!(harness.sim.send(&other, &[byte(0)]), Ok(1));
        harness.server.begin_shutdown();
        assert_eq!(harness.receive(&other, 0).0, 1, "{trigger:?}");
        harness.sim.close(client).unwrap();
        harness.sim.close(other).unwrap();
        harness.run();
    }
}

/// A client of either family on the real kernel.
trait Client: Read + Write {
    fn half_close(&self);
}

impl Client for TcpStream {
    fn half_close(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl Client for UnixStream {
    fn half_close(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

#[test]
fn a_stream_is_moved_on_the_real_kernel_and_a_late_reader_gets_all_of_it() {
    super::deadline::arm();
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        for bulk in [Bulk::Splice, Bulk::Auto] {
            for is_unix in [false, true] {
                stream(StreamConfig { trigger, bulk, ..StreamConfig::default() }, is_unix);
            }
        }
    }
}

/// Sends until everything is full, and at least so much; half-closes; reads to the end.
fn stream(config: StreamConfig, is_unix: bool) {
    const BYTES_MIN: usize = 3 << 20;
    let mut server = StreamServer::<_>::new(CallCounter::new(Linux), config).unwrap();
    let name = format!("unix:@epollite-bulk-{}", std::process::id());
    let addr = if is_unix { &name } else { "127.0.0.1:0" }.parse().unwrap();
    let (listener, addr) = bind_stream(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
    server.add_listener(listener).unwrap();
    let mut client: Box<dyn Client> = if is_unix {
        use std::os::linux::net::SocketAddrExt as _;
        let addr = std::os::unix::net::SocketAddr::from_abstract_name(&name["unix:@".len()..]);
        let client = UnixStream::connect_addr(&addr.unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        Box::new(client)
    } else {
        let client = TcpStream::connect(addr.to_string()).unwrap();
        client.set_nonblocking(true).unwrap();
        Box::new(client)
    };
    let pattern: Vec<u8> = (0..(1 << 20) + 251).map(byte).collect();
    let mut buf = vec![0; 64 << 10];
    let (mut sent, mut received) = (0, 0);
    let (mut is_full, mut has_half_closed, mut has_ended) = (false, false, false);
    while !has_ended {
        let soon = server.kernel().now() + Duration::from_millis(1);
        let served = server.run_once(Some(soon)).unwrap();
        let at = sent % pattern.len();
        match client.write(&pattern[at..]) {
            _ if is_full && sent >= BYTES_MIN => {}
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                is_full |= served == Outcome::TimedOut && server.buffered_bytes() > 0;
            }
            Err(error) => panic!("{error}"),
        }
        if is_full && sent >= BYTES_MIN && !has_half_closed {
            client.half_close();
            has_half_closed = true;
        }
        // Late: only when nothing more can be sent.
        if !is_full {
            continue;
        }
        loop {
            match client.read(&mut buf) {
                Ok(0) => {
                    has_ended = true;
                    break;
                }
                Ok(count) => {
                    for &got in &buf[..count] {
                        let expected = pattern[received % pattern.len()];
                        assert_eq!(got, expected, "at {received}, {config:?}");
                        received += 1;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(received, sent, "{config:?}");
    assert!(server.kernel().hook.calls(Syscall::Splice) > 2, "it was not copied, {config:?}");
}
