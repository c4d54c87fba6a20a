//! The connection machine over a transport that is no socket.

use core::time::Duration;

use epollite::event::{EPOLLERR, EPOLLHUP, EPOLLOUT, Ready};
use epollite::kernel::Shutdown;
use epollite::server::stream::{
    Bulk, CloseReason, Connection, Progress, Step, StreamConfig, StreamStats, TimeoutStep,
    Transport,
};
use epollite::{Errno, Instant, Received, Sent, Trigger};

/// A peer that has sent `unread` bytes, and has room for `room`.
#[derive(Default)]
struct Peer {
    unread: usize,
    room: usize,
    is_shut: bool,
    /// Of what was sent, so many bytes have not been read.
    unsent: usize,
    /// Calls of `recv` and of `send`.
    calls: [u32; 2],
}

impl Transport for Peer {
    fn recv(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        self.calls[0] += 1;
        let count = buf.len().min(self.unread);
        self.unread -= count;
        Ok(if count == 0 { Received::WouldBlock } else { Received::Bytes(count) })
    }

    fn send(&mut self, buf: &[u8]) -> Result<Sent, Errno> {
        self.calls[1] += 1;
        let count = buf.len().min(self.room);
        self.room -= count;
        Ok(if count == 0 { Sent::WouldBlock } else { Sent::Bytes(count) })
    }

    fn shutdown(&mut self, _: Shutdown) -> Result<(), Errno> {
        self.is_shut = true;
        Ok(())
    }

    fn unsent_bytes(&mut self) -> usize {
        self.unsent
    }
}

const BUDGET: usize = 64;

fn step(connection: &mut Connection, peer: &mut Peer, ready: Ready, trigger: Trigger) -> Step {
    let config = StreamConfig { trigger, budget_bytes: BUDGET, ..StreamConfig::default() };
    connection.on_ready(peer, ready, &mut [0; BUDGET], &config, &mut StreamStats::default())
}

/// Room is reported, the buffer is flushed, and the budget ends within what arrived since: no edge
/// reports the rest, and the requeued event must.
#[test]
fn bytes_that_a_flush_leaves_unread_are_requeued_as_readable() {
    let mut connection = Connection::new(false, Instant::ZERO);
    let mut peer = Peer { unread: BUDGET, room: 10, ..Peer::default() };
    let short = step(&mut connection, &mut peer, Ready::READABLE, Trigger::Edge);
    assert_eq!((short.progress, short.requeue), (Progress::Advanced, None));
    assert_eq!(connection.buffered_bytes(), BUDGET - 10);

    (peer.unread, peer.room) = (3 * BUDGET, 1_000);
    let flushed = step(&mut connection, &mut peer, Ready::WRITABLE, Trigger::Edge);
    let ready = flushed.requeue.expect("the budget ended before the socket was empty");
    let more = step(&mut connection, &mut peer, ready, Trigger::Edge);
    assert_eq!(more.progress, Progress::Advanced, "invariant: unread bytes are read, {ready}");
    assert_eq!(peer.unread, BUDGET);
}

/// A read that fills the buffer is not the last, however small the buffer is.
#[test]
fn everything_is_read_in_edge_mode_with_a_buffer_of_any_size() {
    let config = StreamConfig { trigger: Trigger::Edge, ..StreamConfig::default() };
    for buffer_bytes in [1, 8, 20, 21] {
        let mut connection = Connection::new(false, Instant::ZERO);
        let mut peer = Peer { unread: 20, room: 1_000, ..Peer::default() };
        let (buf, stats) = (&mut vec![0; buffer_bytes][..], &mut StreamStats::default());
        let step = connection.on_ready(&mut peer, Ready::READABLE, buf, &config, stats);
        assert_eq!((peer.unread, step.requeue), (0, None), "a buffer of {buffer_bytes}");
        assert_eq!(stats.bytes_out, 20);
    }
}

/// The same while draining, in level mode: the end of the data must be seen.
#[test]
fn a_drain_whose_budget_ends_with_the_data_closes() {
    let mut connection = Connection::new(false, Instant::ZERO);
    let mut peer = Peer { unread: BUDGET, room: 10, ..Peer::default() };
    let _ = step(&mut connection, &mut peer, Ready::READABLE, Trigger::Level);
    assert!(connection.begin_drain(), "it is open, and an idle timeout no longer applies");
    (peer.unread, peer.room) = (BUDGET, 1_000);
    let flushed = step(&mut connection, &mut peer, Ready::WRITABLE, Trigger::Level);
    let ready = flushed.requeue.expect("whether more has arrived is not known yet");
    let ended = step(&mut connection, &mut peer, ready, Trigger::Level);
    assert!(ended.lingers && peer.is_shut, "invariant: a drained connection closes, {ready}");
}

#[test]
fn an_idle_connection_begins_to_close_and_one_that_is_active_waits() {
    let idle = IDLE;
    let config = StreamConfig { idle_timeout: Some(idle), ..StreamConfig::default() };
    let mut connection = Connection::new(false, Instant::ZERO);
    let mut peer = Peer::default();
    let early = connection.on_timeout(&mut peer, Instant::ZERO, &config);
    assert_eq!(early, TimeoutStep::Wait(idle));
    let late = connection.on_timeout(&mut peer, Instant::ZERO + idle, &config);
    assert_eq!(late, TimeoutStep::BeginClose);
    assert!(connection.has_idle_timed_out());
}

const IDLE: Duration = Duration::from_secs(1);

/// A connection with a peer that does nothing but what `change` does, which is called with each
/// time at which it is checked; returns those times in milliseconds until it begins to close.
fn checks(mut change: impl FnMut(u64, &mut Connection, &mut Peer)) -> Vec<u64> {
    let config = StreamConfig { idle_timeout: Some(IDLE), ..StreamConfig::default() };
    let mut connection = Connection::new(false, Instant::ZERO);
    let (mut peer, mut times) = (Peer::default(), vec![0]);
    loop {
        let millis = *times.last().unwrap();
        change(millis, &mut connection, &mut peer);
        let now = Instant::ZERO + Duration::from_millis(millis);
        match connection.on_timeout(&mut peer, now, &config) {
            TimeoutStep::Wait(wait) => {
                times.push(millis + u64::try_from(wait.as_millis()).unwrap())
            }
            step => {
                assert_eq!(step, TimeoutStep::BeginClose);
                return times;
            }
        }
    }
}

/// While bytes are left unread by the peer, they are looked at four times per idle timeout.
#[test]
fn a_connection_is_idle_when_nothing_has_come_or_gone_for_the_timeout() {
    assert_eq!(checks(|_, _, _| {}), [0, 1_000], "nothing is unsent");
    let unsent = checks(|_, _, peer| peer.unsent = 100);
    assert_eq!(unsent, [0, 1_000, 1_250, 1_500, 1_750, 2_000], "the first look proves nothing");
    let read = checks(|millis, _, peer| peer.unsent = if millis < 1_750 { 100 } else { 90 });
    assert_eq!(read[4..], [1_750, 2_000, 2_250, 2_500, 2_750], "a change is activity");
    let all_read = checks(|millis, _, peer| peer.unsent = if millis < 1_250 { 100 } else { 0 });
    assert_eq!(all_read, [0, 1_000, 1_250, 2_250], "what is empty is not looked at");
    let active = checks(|millis, connection, peer| {
        peer.unsent = 100;
        if millis == 1_750 {
            connection.record_activity(Instant::ZERO + Duration::from_millis(1_600));
        }
    });
    assert_eq!(active[4..], [1_750, 2_000, 2_250, 2_500, 2_750], "what was known is forgotten");
}

#[test]
fn a_timeout_is_due_when_it_has_passed_or_while_it_closes() {
    let config = StreamConfig { idle_timeout: Some(IDLE), ..StreamConfig::default() };
    let mut connection = Connection::new(false, Instant::ZERO);
    let at = |millis| Instant::ZERO + Duration::from_millis(millis);
    assert!(!connection.is_due(at(999), &config) && connection.is_due(at(1_000), &config));
    assert!(connection.is_due(at(0), &StreamConfig { idle_timeout: None, ..config }));
    assert_eq!(
        connection.on_timeout(&mut Peer::default(), at(1_000), &config),
        TimeoutStep::BeginClose
    );
    assert!(connection.is_due(at(0), &config), "the deadline is that of the linger timeout");
}

/// After the half-close a connection lingers as long as the peer reads what was sent.
#[test]
fn a_connection_lingers_while_its_peer_reads() {
    let config = StreamConfig { idle_timeout: Some(IDLE), ..StreamConfig::default() };
    let closed = TimeoutStep::Close(CloseReason::IdleTimeout);
    // Bytes unsent at the half-close, and at each linger timeout after it.
    for (unsent, then, last) in
        [(100, &[90, 80][..], 80), (100, &[], 100), (100, &[], 0), (0, &[], 0), (0, &[7], 7)]
    {
        let mut connection = Connection::new(false, Instant::ZERO);
        let mut peer = Peer::default();
        let began = connection.on_timeout(&mut peer, Instant::ZERO + IDLE, &config);
        assert_eq!(began, TimeoutStep::BeginClose);
        peer.unsent = unsent;
        let half_closed = step(&mut connection, &mut peer, Ready::WRITABLE, Trigger::Level);
        assert!(half_closed.lingers && peer.is_shut);
        for &unsent in then {
            peer.unsent = unsent;
            let waits = connection.on_timeout(&mut peer, Instant::ZERO + IDLE, &config);
            assert_eq!(waits, TimeoutStep::Wait(config.linger_timeout), "{unsent} unsent");
        }
        peer.unsent = last;
        let ends = connection.on_timeout(&mut peer, Instant::ZERO + IDLE, &config);
        assert_eq!(ends, closed, "{unsent}, {then:?}, {last}");
    }
    // One that has not begun to close does not linger.
    let mut connection = Connection::new(false, Instant::ZERO);
    let mut peer = Peer { unsent: 100, ..Peer::default() };
    let config = StreamConfig { idle_timeout: None, ..config };
    let ends = connection.on_timeout(&mut peer, Instant::ZERO, &config);
    assert_eq!(ends, TimeoutStep::Close(CloseReason::DrainTimeout));
}

/// In edge mode an event that does not concern what the connection waits for costs no call.
#[test]
fn an_event_of_another_kind_costs_no_call() {
    let mut connection = Connection::new(false, Instant::ZERO);
    let mut peer = Peer::default();
    let writable = step(&mut connection, &mut peer, Ready::WRITABLE, Trigger::Edge);
    assert_eq!((writable.progress, peer.calls), (Progress::Spurious, [0, 0]));
    (peer.unread, peer.room) = (20, 10);
    let _ = step(&mut connection, &mut peer, Ready::READABLE, Trigger::Edge);
    assert_eq!(connection.buffered_bytes(), 10);
    let calls = peer.calls;
    let _ = step(&mut connection, &mut peer, Ready::READABLE, Trigger::Edge);
    assert_eq!(peer.calls, calls, "the send queue is still full");
    for bits in [EPOLLHUP, EPOLLERR, EPOLLOUT] {
        let before = peer.calls[1];
        let _ = step(&mut connection, &mut peer, Ready::from_bits(bits), Trigger::Edge);
        assert_eq!(peer.calls[1], before + 1, "{:?}", Ready::from_bits(bits));
    }
}

/// A transport of the caller's need not move bytes without copying them.
#[test]
fn a_transport_without_pipes_is_copied_from_and_to() {
    let mut connection = Connection::new(false, Instant::ZERO);
    let bulk = Bulk::Splice;
    let config = StreamConfig { trigger: Trigger::Level, bulk, ..StreamConfig::default() };
    let mut stats = StreamStats::default();
    let mut buf = vec![0; 1 << 16];
    for _ in 0..10 {
        let mut peer = Peer { unread: 1 << 20, room: 1 << 20, ..Peer::default() };
        while peer.unread > 0 {
            let ready = Ready::READABLE;
            let step = connection.on_ready(&mut peer, ready, &mut buf, &config, &mut stats);
            assert_eq!(step.progress, Progress::Advanced);
        }
        assert_eq!(peer.room, 0, "invariant: all of it is echoed");
    }
}

/// A peer whose messages are received one by one, as between passed descriptors, and what comes
/// then.
struct Messages {
    lens: Vec<usize>,
    then: Result<Received, Errno>,
    sent: usize,
    /// Sends that succeed.
    sends: usize,
    /// Those that failed.
    failed: usize,
}

impl Transport for Messages {
    fn recv(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        let Some(len) = self.lens.first_mut() else {
            return std::mem::replace(&mut self.then, Ok(Received::WouldBlock));
        };
        let count = buf.len().min(*len);
        *len -= count;
        self.lens.retain(|len| *len > 0);
        Ok(Received::Bytes(count))
    }

    fn send(&mut self, buf: &[u8]) -> Result<Sent, Errno> {
        if self.sends == 0 {
            self.failed += 1;
            return Err(Errno::EPIPE);
        }
        self.sends -= 1;
        self.sent += buf.len();
        Ok(Sent::Bytes(buf.len()))
    }

    fn shutdown(&mut self, _: Shutdown) -> Result<(), Errno> {
        Ok(())
    }

    fn unsent_bytes(&mut self) -> usize {
        0
    }
}

/// In edge mode a Unix socket is read until there is nothing more: whatever comes behind the first
/// message, none of it is forgotten, and no event reads more than its budget.
#[test]
fn what_is_behind_the_first_message_of_an_edge_is_served_with_it() {
    let reset = Progress::Close(CloseReason::Error(Errno::ECONNRESET));
    let messages = [vec![10], vec![10, 10], vec![10, 20, 30], vec![10, BUDGET], vec![10, 60, 70]];
    // The budget of one event is one buffer, and some.
    for (lens, budget_bytes) in messages.iter().flat_map(|lens| [(lens, BUDGET), (lens, 200)]) {
        for (then, last) in [
            (Ok(Received::WouldBlock), Progress::Advanced),
            (Ok(Received::Eof), Progress::Close(CloseReason::PeerClosed)),
            (Err(Errno::ECONNRESET), reset),
        ] {
            let case = format!("{lens:?}, then {then:?}, {budget_bytes} an event");
            let all: usize = lens.iter().sum();
            let mut peer =
                Messages { lens: lens.clone(), then, sent: 0, sends: usize::MAX, failed: 0 };
            let mut connection = Connection::new(true, Instant::ZERO);
            let mut ready = Ready::READABLE;
            for _ in 0..10 {
                let sent = peer.sent;
                let config = StreamConfig {
                    trigger: Trigger::Edge,
                    budget_bytes,
                    ..StreamConfig::default()
                };
                let (buf, mut stats) = (&mut [0; BUDGET], StreamStats::default());
                let step = connection.on_ready(&mut peer, ready, buf, &config, &mut stats);
                assert!(peer.sent - sent <= budget_bytes, "{case}: {} bytes", peer.sent - sent);
                assert_eq!(stats.bytes_in, (peer.sent - sent) as u64, "{case}");
                match step.requeue {
                    Some(next) => ready = next,
                    None => {
                        assert_eq!(step.progress, last, "{case}");
                        break;
                    }
                }
            }
            assert_eq!(peer.sent, all, "{case}");
        }
    }
}

#[test]
fn a_send_that_fails_closes_whichever_message_it_is_of() {
    for sends in 0..3 {
        let (lens, then) = (vec![10, 20, 30], Ok(Received::WouldBlock));
        let mut peer = Messages { lens, then, sent: 0, sends, failed: 0 };
        let mut connection = Connection::new(true, Instant::ZERO);
        let config = StreamConfig { trigger: Trigger::Edge, ..StreamConfig::default() };
        let (buf, mut stats) = (&mut [0; BUDGET], StreamStats::default());
        let step = connection.on_ready(&mut peer, Ready::READABLE, buf, &config, &mut stats);
        let reason = CloseReason::Error(Errno::EPIPE);
        assert_eq!(step.progress, Progress::Close(reason), "after {sends} sends");
        assert_eq!(stats.bytes_in, [10, 30, 60][sends], "what was received is counted");
        assert_eq!((step.received_bytes as u64, peer.failed), (stats.bytes_in, 1));
    }
}
