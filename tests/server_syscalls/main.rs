//! The system calls of the servers, call by call on the model: no more than needed, no fewer; and
//! how each result is handled.

mod accepting;

use epollite::kernel::{Hooked, SyscallHook};
use epollite::kernel::{SocketOption, SocketType, Syscall};
use epollite::net::{AddressFamily, DatagramBatch};
use epollite::server::stream::{AcceptSharing, Outcome, ServerEvent, StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_datagram, bind_stream, datagram};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Fd, Instant, Kernel, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

#[test]
fn an_echo_is_three_calls_and_what_its_trigger_costs() {
    // Bytes of a message, with a buffer of eight; recv calls, by trigger, for TCP and Unix.
    for (bytes, tcp, unix) in [(5, [1, 1, 1, 1], [1, 2, 1, 1]), (8, [1, 2, 1, 1], [1, 2, 1, 1])] {
        for (wanted, recvs) in [("127.0.0.1:7777", tcp), ("unix:@asking", unix)] {
            for (trigger, recvs) in TRIGGERS.into_iter().zip(recvs) {
                let config = StreamConfig { trigger, buffer_bytes: 8, ..StreamConfig::default() };
                let mut harness = StreamHarness::begin(wanted, config);
                let client = harness.connect();
                harness.run_until_idle();
                harness.clear();
                assert_eq!(harness.sim.send(&client, &b"messages"[..bytes]), Ok(bytes));
                assert_eq!(harness.run_once(), Outcome::Handled);
                let is_rearmed = matches!(trigger, Trigger::OneShot | Trigger::EdgeOneShot);
                let calls = [Syscall::EpollWait, Syscall::Recv, Syscall::Send, Syscall::EpollCtl];
                let made = calls.map(|call| harness.calls(call));
                let wanted = [1, recvs, 1, usize::from(is_rearmed)];
                assert_eq!(made, wanted, "{calls:?} for {bytes} bytes, {trigger:?}");
                harness.run_until_idle();
                harness.sim.close(client).unwrap();
            }
        }
    }
}

#[test]
fn an_idle_unix_client_causes_no_syscalls() {
    // Over TCP there is one writable event; over Unix there would be many.
    for (wanted, spurious) in [("127.0.0.1:7777", 1), ("unix:@silent", 0)] {
        let mut harness = StreamHarness::begin(wanted, StreamConfig::default());
        let client = harness.connect();
        harness.run_until_idle();
        assert_eq!(harness.server.stats().events_spurious, spurious, "{wanted}");
        harness.sim.close(client).unwrap();
    }
}

#[test]
fn accept_failures_stop_the_accept_loop() {
    for trigger in [Trigger::Level, Trigger::Edge] {
        for accepts_max in [1, 3, 100] {
            let config = StreamConfig { trigger, accepts_max, ..StreamConfig::default() };
            let mut harness = StreamHarness::begin("127.0.0.1:7777", config);
            let client = harness.connect();
            harness.fail_next(Syscall::Accept4, Errno::ECONNABORTED, 64);
            harness.run_until_idle();
            let stats = harness.server.stats();
            let counted = (stats.aborted, stats.accept_pauses, stats.accepted);
            assert_eq!(counted, (64, 1, 0), "{trigger:?}");
            harness.sim.advance(core::time::Duration::from_secs(1));
            harness.run_until_idle();
            let accepted = harness.server.stats().accepted;
            assert_eq!(accepted, 1, "invariant: accepting resumes ({trigger:?})");
            harness.sim.close(client).unwrap();
        }
    }
}

#[test]
fn an_aborted_connection_does_not_delay_the_next_one() {
    let shared = [None, Some(AcceptSharing::Exclusive), Some(AcceptSharing::RoundRobin)];
    for sharing in shared {
        for trigger in [Trigger::Level, Trigger::Edge] {
            for aborted in [1, 63] {
                let config = StreamConfig { trigger, accepts_max: 1, ..StreamConfig::default() };
                let mut harness = StreamHarness::shared("127.0.0.1:7777", config, sharing);
                let client = harness.connect();
                harness.fail_next(Syscall::Accept4, Errno::ECONNABORTED, aborted);
                harness.run_until_idle();
                let stats = harness.server.stats();
                let counted = (stats.aborted, stats.accept_pauses, stats.accepted);
                assert_eq!(counted, (aborted.into(), 0, 1), "{trigger:?} {sharing:?}");
                harness.sim.close(client).unwrap();
            }
        }
    }
}

/// The error of a reactor that finds no descriptor to sleep with.
#[test]
fn a_wait_without_a_spare_descriptor_does_not_stop_a_server() {
    let mut harness = StreamHarness::begin("127.0.0.1:7777", StreamConfig::default());
    harness.fail_next(Syscall::EpollWait, Errno::EMFILE, 1);
    assert_eq!(harness.run_once(), Outcome::Handled, "invariant: the server continues");
    let client = harness.connect();
    harness.run_until_idle();
    assert_eq!(harness.server.stats().accepted, 1);
    harness.sim.close(client).unwrap();
    let mut datagrams = DatagramHarness::begin(Trigger::Edge);
    datagrams.fail_next(Syscall::EpollWait, Errno::EMFILE, 1);
    let outcome = datagrams.server.run_once(Some(Instant::ZERO));
    assert_eq!(outcome, Ok(true), "invariant: the server continues");
    datagrams.finish();
}

#[test]
fn a_full_accept_batch_is_not_a_failure() {
    for trigger in [Trigger::Level, Trigger::Edge] {
        let config = StreamConfig { trigger, accepts_max: 3, ..StreamConfig::default() };
        let mut harness = StreamHarness::begin("127.0.0.1:7777", config);
        let clients: Vec<Fd> = (0..10).map(|_| harness.connect()).collect();
        harness.run_until_idle();
        let stats = harness.server.stats();
        assert_eq!((stats.accepted, stats.accept_pauses, stats.aborted), (10, 0, 0), "{trigger:?}");
        for client in clients {
            harness.sim.close(client).unwrap();
        }
    }
}

#[test]
fn emfile_pauses_accept_and_reports_the_errno() {
    for trigger in [Trigger::Level, Trigger::Edge] {
        let mut harness = StreamHarness::begin(
            "127.0.0.1:7777",
            StreamConfig { trigger, ..StreamConfig::default() },
        );
        let client = harness.connect();
        harness.fail_next(Syscall::Accept4, Errno::EMFILE, 1);
        assert_eq!(harness.run_once(), Outcome::Handled);
        let stats = harness.server.stats();
        assert_eq!((stats.aborted, stats.accept_pauses, stats.accepted), (0, 1, 0), "{trigger:?}");
        assert_eq!(
            harness.server.next_event(),
            Some(ServerEvent::AcceptPaused { errno: Some(Errno::EMFILE) })
        );
        harness.clear();
        assert_eq!(
            harness.run_once(),
            Outcome::TimedOut,
            "invariant: a paused listener is not polled"
        );
        assert_eq!(harness.calls(Syscall::Accept4), 0);
        harness.sim.close(client).unwrap();
    }
}

#[test]
fn a_connection_epoll_refuses_counts_as_aborted() {
    let mut harness = StreamHarness::begin("127.0.0.1:7777", StreamConfig::default());
    let client = harness.connect();
    harness.fail_next(Syscall::EpollCtl, Errno::ENOSPC, 1);
    harness.run_once();
    let stats = harness.server.stats();
    assert_eq!((stats.aborted, stats.accept_pauses, stats.accepted), (1, 1, 0));
    harness.sim.close(client).unwrap();
}

#[test]
fn a_short_batch_ends_the_receive_loop() {
    for trigger in TRIGGERS {
        // Three fit in a batch: after three it is unknown whether there are more.
        for (datagrams, recvs) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
            let mut harness = DatagramHarness::begin(trigger);
            for number in 0..datagrams {
                harness.send(&[number]);
            }
            harness.clear();
            harness.run_once();
            assert_eq!(
                harness.calls(Syscall::Recvmmsg),
                recvs,
                "{datagrams} datagrams, {trigger:?}"
            );
            let stats = harness.server.stats();
            let datagrams = u64::from(datagrams);
            assert_eq!((stats.received, stats.echoed), (datagrams, datagrams));
            assert_eq!((stats.bytes_in, stats.bytes_out), (datagrams, datagrams));
            assert_eq!((stats.events_handled, stats.events_spurious), (1, 0));
            for number in 0..datagrams {
                assert_eq!(harness.recv(), Some(vec![u8::try_from(number).unwrap()]));
            }
            harness.finish();
        }
    }
}

#[test]
fn a_pending_socket_error_is_consumed_then_datagrams_are_served() {
    for (errno, errors) in [(Errno::ECONNREFUSED, 1), (Errno::EINTR, 0)] {
        let mut harness = DatagramHarness::begin(Trigger::Edge);
        harness.send(b"behind it");
        harness.fail_next(Syscall::Recvmmsg, errno, 1);
        harness.run_once();
        let stats = harness.server.stats();
        assert_eq!((stats.errors, stats.echoed, stats.events_handled), (errors, 1, 1), "{errno:?}");
        harness.finish();
    }
}

#[test]
fn a_receive_without_datagrams_counts_as_spurious() {
    let mut harness = DatagramHarness::begin(Trigger::Level);
    // Whatever has been echoed and dropped before.
    (0..3).for_each(|_| harness.send(b"earlier"));
    harness.fail_next(Syscall::Sendmmsg, Errno::EHOSTUNREACH, 1);
    harness.run_once();
    let stats = harness.server.stats();
    assert_eq!((stats.echoed, stats.dropped, stats.events_handled), (2, 1, 1));
    harness.send(b"there");
    harness.fail_next(Syscall::Recvmmsg, Errno::EAGAIN, 1);
    harness.run_once();
    let stats = harness.server.stats();
    assert_eq!((stats.events_handled, stats.events_spurious), (1, 1));
    // Level-triggered, it is reported again.
    harness.run_once();
    assert_eq!(harness.server.stats().events_handled, 2);
    harness.finish();
}

#[test]
fn unsendable_replies_are_dropped_and_counted_singly() {
    let mut harness = DatagramHarness::begin(Trigger::Edge);
    for word in [&b"a"[..], b"b", b"c"] {
        harness.send(word);
    }
    harness.fail_next(Syscall::Sendmmsg, Errno::EHOSTUNREACH, 2);
    harness.run_once();
    let stats = harness.server.stats();
    assert_eq!((stats.dropped, stats.echoed, stats.bytes_out), (2, 1, 1));
    assert_eq!(
        harness.recv(),
        Some(b"c".to_vec()),
        "invariant: a failed send does not delay others"
    );
    harness.finish();
}

/// Sends datagrams of two bytes, as segments of one message; the last one has a byte.
fn send_segments(harness: &mut DatagramHarness, datagrams: u8) -> Vec<Vec<u8>> {
    let mut sent: Vec<Vec<u8>> = (0..datagrams).map(|number| vec![b'x', number]).collect();
    sent.last_mut().unwrap().pop();
    let mut batch = DatagramBatch::new(1, 64);
    assert!(batch.push(&sent.concat(), &harness.addr.encode()));
    batch.set_len(1)[0].segment_bytes = 2;
    assert_eq!(harness.sim.sendmmsg(&harness.writer, &batch, 0), Ok(1));
    harness.clear();
    harness.run_once();
    sent
}

/// The replies, each with its segments: it arrives as it was sent.
fn recv_messages(harness: &mut DatagramHarness) -> Vec<Vec<Vec<u8>>> {
    let mut batch = DatagramBatch::new(16, 64);
    batch.enable_control_messages();
    let _ = harness.sim.recvmmsg(&harness.writer, &mut batch);
    batch.iter().map(|message| message.segments().map(<[u8]>::to_vec).collect()).collect()
}

fn recv_all(harness: &mut DatagramHarness) -> Vec<Vec<u8>> {
    recv_messages(harness).concat()
}

#[test]
fn segments_are_received_and_sent_in_one_piece_once_there_is_a_burst() {
    let mut harness = DatagramHarness::begin(Trigger::Edge);
    harness.clear();
    harness.send(b"alone");
    harness.run_once();
    assert_eq!(harness.calls(Syscall::Setsockopt), 0, "a lone datagram has nothing to gain");
    assert_eq!(recv_all(&mut harness), [b"alone"]);
    for (setsockopts, messages) in [(1, 3), (0, 1)] {
        let sent = send_segments(&mut harness, 3);
        assert_eq!(harness.calls(Syscall::Setsockopt), setsockopts);
        let replies = recv_messages(&mut harness);
        assert_eq!(replies.len(), messages, "messages that carry three datagrams");
        assert_eq!(replies.concat(), sent, "invariant: datagrams keep their boundaries");
    }
    let stats = harness.server.stats();
    assert_eq!((stats.received, stats.echoed), (7, 7), "each segment counts");
    assert_eq!((stats.bytes_in, stats.bytes_out), (15, 15));
    harness.finish();
}

#[test]
fn segments_that_are_refused_are_sent_as_datagrams() {
    for errno in [Errno::EINVAL, Errno::EMSGSIZE, Errno::EIO, Errno::EHOSTUNREACH, Errno::EPERM] {
        let mut harness = DatagramHarness::begin(Trigger::Edge);
        send_segments(&mut harness, 2);
        recv_all(&mut harness);
        harness.fail_next(Syscall::Sendmmsg, errno, 1);
        let sent = send_segments(&mut harness, 3);
        assert_eq!(recv_all(&mut harness), sent, "invariant: none is lost ({errno:?})");
        assert_eq!(harness.calls(Syscall::Sendto), 3, "{errno:?}");
        let sent = send_segments(&mut harness, 3);
        assert_eq!(recv_messages(&mut harness), [sent], "the next may be accepted");
        let stats = harness.server.stats();
        assert_eq!((stats.echoed, stats.dropped, stats.bytes_out), (8, 0, 13), "{errno:?}");
        harness.finish();
    }
}

#[test]
fn a_split_message_continues_where_the_send_buffer_was_full() {
    for trigger in TRIGGERS {
        let mut harness = DatagramHarness::begin(trigger);
        send_segments(&mut harness, 2);
        recv_all(&mut harness);
        let hook = &mut harness.server.kernel().hook;
        hook.refused = Some((Syscall::Sendmmsg, Errno::EIO, 1));
        hook.refused_range = Some((Syscall::Sendto, Errno::EAGAIN, 1..2));
        let sent = send_segments(&mut harness, 3);
        let first = recv_all(&mut harness);
        assert_eq!(first, sent[..1], "the second was refused ({trigger:?})");
        harness.run_once();
        assert_eq!(recv_all(&mut harness), sent[1..], "{trigger:?}");
        assert_eq!(harness.server.stats().echoed, 5);
        harness.finish();
    }
}

/// In turn each call of a burst fails, with what stops a datagram and with what does not.
#[test]
fn a_call_that_fails_once_drops_at_most_the_datagram_it_concerns() {
    let errnos = [Errno::EINTR, Errno::ENOSYS, Errno::ENOBUFS, Errno::EAGAIN, Errno::EINVAL];
    let calls = [
        Syscall::Recvmmsg,
        Syscall::Sendmmsg,
        Syscall::Setsockopt,
        Syscall::Sendto,
        Syscall::EpollCtl,
    ];
    for (trigger, errno, call) in TRIGGERS.into_iter().flat_map(|trigger| {
        errnos.into_iter().flat_map(move |errno| calls.map(|call| (trigger, errno, call)))
    }) {
        let mut harness = DatagramHarness::begin(trigger);
        harness.fail_next(call, errno, 1);
        let mut sent = send_segments(&mut harness, 4);
        sent.extend(send_segments(&mut harness, 5));
        for _ in 0..4 {
            harness.sim.advance(core::time::Duration::from_secs(1));
            harness.run_once();
        }
        let got = recv_all(&mut harness);
        let stats = harness.server.stats();
        let why = format!("{call:?} {errno:?} {trigger:?}: {stats:?}");
        assert!(got.iter().all(|datagram| sent.contains(datagram)), "{why}");
        assert_eq!((stats.received, stats.echoed + stats.dropped), (9, 9), "{why}");
        assert_eq!(got.len() as u64, stats.echoed, "{why}");
        assert!(stats.dropped <= 1, "invariant: one refused call drops one datagram: {why}");
        harness.finish();
    }
}

/// What a full send buffer left is sent by the next event, which is not spurious for that.
#[test]
fn an_event_that_only_sends_what_was_left_is_handled() {
    for trigger in TRIGGERS {
        let mut harness = DatagramHarness::begin(trigger);
        harness.send(b"left");
        harness.fail_next(Syscall::Sendmmsg, Errno::EAGAIN, 1);
        harness.run_once();
        assert_eq!(harness.recv(), None);
        harness.run_once();
        assert_eq!(harness.recv(), Some(b"left".to_vec()));
        let stats = harness.server.stats();
        assert_eq!((stats.events_handled, stats.events_spurious), (2, 0), "{trigger:?}");
        harness.finish();
    }
}

/// Where datagrams are received one by one, an error in between does not mean that there are no
/// more.
#[test]
fn an_interrupted_receive_leaves_no_datagram_behind() {
    // An interrupted call is repeated 15 times.
    for (errno, times) in [(Errno::EINTR, 17), (Errno::ECONNREFUSED, 1)] {
        let mut harness = DatagramHarness::begin(Trigger::Edge);
        harness.fail_next(Syscall::Recvmmsg, Errno::ENOSYS, 1);
        harness.send(b"first");
        harness.run_once();
        (0..3).for_each(|number| harness.send(&[number]));
        harness.clear();
        let refused = (Syscall::Recvmsg, errno, 1..1 + times);
        harness.server.kernel().hook.refused_range = Some(refused);
        harness.run_once();
        harness.server.kernel().hook.refused_range = None;
        harness.run_once();
        assert_eq!(harness.server.stats().received, 4, "{errno:?}");
        harness.finish();
    }
}

#[test]
fn an_exhausted_budget_requeues_in_edge_mode() {
    for trigger in TRIGGERS {
        let mut harness = DatagramHarness::begin(trigger);
        // Two batches of three per iteration.
        for number in 0..20 {
            harness.send(&[number]);
        }
        let mut rounds = 0;
        while harness.server.stats().received < 20 {
            assert!(
                rounds < 10,
                "invariant: undrained edge-triggered sources are requeued ({trigger:?})"
            );
            harness.run_once();
            rounds += 1;
        }
        assert_eq!(rounds, 4, "six per iteration ({trigger:?})");
        harness.finish();
    }
}

/// The calls made, and the planned errors.
#[derive(Debug, Default)]
struct CallRecorder {
    made: Vec<Syscall>,
    refused: Option<(Syscall, Errno, u32)>,
    /// Of the calls in `made` those of this kind are refused whose numbers are in the range.
    refused_range: Option<(Syscall, Errno, core::ops::Range<usize>)>,
}

impl SyscallHook for CallRecorder {
    fn on_enter(&mut self, call: Syscall) -> Result<(), Errno> {
        self.made.push(call);
        if let Some((refused, errno, numbers)) = &self.refused_range {
            let number = self.made.iter().filter(|made| **made == call).count() - 1;
            if *refused == call && numbers.contains(&number) {
                return Err(*errno);
            }
        }
        match &mut self.refused {
            Some((refused, errno, times)) if *refused == call && *times > 0 => {
                *times -= 1;
                Err(*errno)
            }
            _ => Ok(()),
        }
    }

    fn on_exit(&mut self, _: Syscall, _: Option<Errno>) {}
}

struct StreamHarness {
    sim: Sim,
    server: StreamServer<Hooked<Sim, CallRecorder>>,
    addr: Addr,
}

impl StreamHarness {
    fn begin(wanted: &str, config: StreamConfig) -> Self {
        Self::shared(wanted, config, None)
    }

    fn shared(wanted: &str, config: StreamConfig, sharing: Option<AcceptSharing>) -> Self {
        let sim = Sim::default();
        let kernel = Hooked { kernel: sim.new_process(), hook: CallRecorder::default() };
        let mut server = StreamServer::new(kernel, config).unwrap();
        let wanted: Addr = wanted.parse().unwrap();
        let (listener, addr) =
            bind_stream(server.kernel(), &wanted, PortSharing::Exclusive).unwrap();
        match sharing {
            None => server.add_listener(listener).unwrap(),
            Some(sharing) => server.add_shared_listener(listener, sharing).unwrap(),
        };
        Self { sim, server, addr }
    }

    fn connect(&mut self) -> Fd {
        let socket = self.sim.socket(self.addr.family().unwrap(), SocketType::Stream).unwrap();
        let connected = self.sim.connect(&socket, &self.addr);
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)), "{connected:?}");
        socket
    }

    fn run_once(&mut self) -> Outcome {
        self.server.run_once(Some(Instant::ZERO)).expect("invariant: no errno stops the server")
    }

    fn run_until_idle(&mut self) {
        while self.run_once() == Outcome::Handled {}
    }

    fn fail_next(&mut self, call: Syscall, errno: Errno, times: u32) {
        self.server.kernel().hook.refused = Some((call, errno, times));
    }

    fn clear(&mut self) {
        self.server.kernel().hook.made.clear();
    }

    fn calls(&mut self, call: Syscall) -> usize {
        self.server.kernel().hook.made.iter().filter(|made| **made == call).count()
    }
}

/// A datagram server, and a client that sends datagrams to it.
struct DatagramHarness {
    sim: Sim,
    server: datagram::DatagramServer<Hooked<Sim, CallRecorder>>,
    addr: Addr,
    writer: Fd,
}

impl DatagramHarness {
    fn begin(trigger: Trigger) -> Self {
        let mut sim = Sim::default();
        let kernel = Hooked { kernel: sim.new_process(), hook: CallRecorder::default() };
        let config = datagram::DatagramConfig {
            trigger,
            datagrams_max: 3,
            batches_max: 2,
            ..datagram::DatagramConfig::default()
        };
        let mut server = datagram::DatagramServer::new(kernel, config).unwrap();
        let wanted: Addr = "127.0.0.1:7777".parse().unwrap();
        let (socket, addr) =
            bind_datagram(server.kernel(), &wanted, PortSharing::Exclusive).unwrap();
        server.add_socket(socket).unwrap();
        let writer = sim.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
        sim.setsockopt(&writer, SocketOption::UdpGro(true)).unwrap();
        Self { sim, server, addr, writer }
    }

    fn send(&mut self, datagram: &[u8]) {
        assert_eq!(self.sim.sendto(&self.writer, datagram, &self.addr), Ok(datagram.len()));
    }

    fn recv(&mut self) -> Option<Vec<u8>> {
        let mut buf = [0; 64];
        let (length, _) = self.sim.recvfrom(&self.writer, &mut buf).ok()?;
        Some(buf[..length].to_vec())
    }

    fn run_once(&mut self) {
        self.server.run_once(Some(Instant::ZERO)).expect("invariant: no errno stops the server");
    }

    fn fail_next(&mut self, call: Syscall, errno: Errno, times: u32) {
        self.server.kernel().hook.refused = Some((call, errno, times));
    }

    fn clear(&mut self) {
        self.server.kernel().hook.made.clear();
    }

    fn calls(&mut self, call: Syscall) -> usize {
        self.server.kernel().hook.made.iter().filter(|made| **made == call).count()
    }

    fn finish(mut self) {
        self.sim.close(self.writer).unwrap();
    }
}
