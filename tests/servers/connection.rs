//! The connection machine over a transport that is no socket.

use epollite::event::Ready;
use epollite::kernel::Shutdown;
use epollite::server::stream::{
    CloseReason, Connection, Progress, Step, StreamConfig, StreamStats, TimeoutStep, Transport,
};
use epollite::{Errno, Instant, Received, Sent, Trigger};

/// A peer that has sent `unread` bytes, and has room for `room`.
#[derive(Default)]
struct Peer {
    unread: usize,
    room: usize,
    is_shut: bool,
}

impl Transport for Peer {
    fn recv(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        let count = buf.len().min(self.unread);
        self.unread -= count;
        Ok(if count == 0 { Received::WouldBlock } else { Received::Bytes(count) })
    }

    fn send(&mut self, buf: &[u8]) -> Result<Sent, Errno> {
        let count = buf.len().min(self.room);
        self.room -= count;
        Ok(if count == 0 { Sent::WouldBlock } else { Sent::Bytes(count) })
    }

    fn shutdown(&mut self, _: Shutdown) -> Result<(), Errno> {
        self.is_shut = true;
        Ok(())
    }

    fn unsent_bytes(&mut self) -> usize {
        0
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
    let idle = core::time::Duration::from_secs(1);
    let config = StreamConfig { idle_timeout: Some(idle), ..StreamConfig::default() };
    let mut connection = Connection::new(false, Instant::ZERO);
    let mut peer = Peer::default();
    let early = connection.on_timeout(&mut peer, Instant::ZERO, &config);
    assert_eq!(early, TimeoutStep::Wait(idle));
    let late = connection.on_timeout(&mut peer, Instant::ZERO + idle, &config);
    assert_eq!(late, TimeoutStep::BeginClose);
    assert!(connection.has_idle_timed_out());
}

/// A peer whose messages are received one by one, as between passed descriptors, and what comes
/// then.
struct Messages {
    lens: Vec<usize>,
    then: Result<Received, Errno>,
    sent: usize,
    /// Sends that succeed.
    sends: usize,
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
            let mut peer = Messages { lens: lens.clone(), then, sent: 0, sends: usize::MAX };
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
        let mut peer =
            Messages { lens: vec![10, 20, 30], then: Ok(Received::WouldBlock), sent: 0, sends };
        let mut connection = Connection::new(true, Instant::ZERO);
        let config = StreamConfig { trigger: Trigger::Edge, ..StreamConfig::default() };
        let (buf, mut stats) = (&mut [0; BUDGET], StreamStats::default());
        let step = connection.on_ready(&mut peer, Ready::READABLE, buf, &config, &mut stats);
        let reason = CloseReason::Error(Errno::EPIPE);
        assert_eq!(step.progress, Progress::Close(reason), "after {sends} sends");
        assert_eq!(stats.bytes_in, [10, 30, 60][sends], "what was received is counted");
    }
}
