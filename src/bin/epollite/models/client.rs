//! One client on a non-blocking socket: the library's connection, with a name for the log.
//!
//! Knows one descriptor. The caller decides when to try; how it finds out that a socket is ready is
//! what the models differ in.

use std::time::Duration;

use epollite::event::Ready;
use epollite::server::stream::{
    CloseReason, Connection, Progress, Socket, StreamConfig, StreamStats, TimeoutStep,
};
use epollite::{Fd, Instant, Interest, Kernel, Trigger};

/// What a client may be ready for: the model does not say, and trying shows it.
const ASSUMED_READY: Ready = Ready::from_bits(Ready::READABLE.bits() | Ready::WRITABLE.bits());

/// One connected client.
pub(super) struct Client {
    /// Its name in the log; empty unless logging is verbose.
    pub(super) name: String,
    /// Bytes received from it.
    pub(super) bytes: u64,
    connection: Connection,
    /// When the current timeout (idle, linger) ends, if there is one.
    pub(super) deadline: Option<Instant>,
    /// Work is left that no readiness will report: it is served again in the next iteration.
    pub(super) is_requeued: bool,
    is_draining: bool,
}

impl Client {
    /// A client that was just accepted.
    pub(super) fn new(name: String, idle: Option<Duration>, now: Instant) -> Self {
        Self {
            name,
            bytes: 0,
            connection: Connection::new(false, now),
            deadline: idle.map(|idle| now + idle),
            is_requeued: false,
            is_draining: false,
        }
    }

    /// The interest to wait for: poll(2) and select(2) are level-triggered.
    pub(super) fn interest(&self) -> Interest {
        self.connection.interest(Trigger::Level)
    }

    /// Does what is possible now: one read and its echo, or more of a pending write.
    pub(super) fn on_ready<K: Kernel>(
        &mut self,
        fd: &Fd,
        kernel: &mut K,
        buf: &mut [u8],
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> Progress {
        let mut socket = Socket { kernel, fd };
        let step = self.connection.on_ready(&mut socket, ASSUMED_READY, buf, config, stats);
        self.bytes += step.received_bytes as u64;
        self.is_requeued = step.requeue.is_some();
        if step.lingers {
            self.deadline = Some(kernel.now() + config.linger_timeout);
        } else if let Some(idle) = config.idle_timeout
            && step.progress == Progress::Advanced
            && !self.is_draining
            && !self.connection.has_idle_timed_out()
        {
            let now = kernel.now();
            self.connection.record_activity(now);
            self.deadline = Some(now + idle);
        }
        step.progress
    }

    /// Begins to drain: echoes the data that has already arrived, then closes.
    pub(super) fn begin_drain(&mut self) {
        self.is_draining = true;
        if self.connection.begin_drain() {
            self.deadline = None;
        }
    }

    /// Called when the deadline has passed and all data received by then has been read. Returns
    /// why to close it; otherwise it is to be served once more.
    pub(super) fn on_timeout<K: Kernel>(
        &mut self,
        fd: &Fd,
        kernel: &mut K,
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> Option<CloseReason> {
        let was_timed_out = self.connection.has_idle_timed_out();
        let now = kernel.now();
        let step = self.connection.on_timeout(&mut Socket { kernel, fd }, now, config);
        stats.timed_out += u64::from(self.connection.has_idle_timed_out() && !was_timed_out);
        self.deadline = None;
        match step {
            TimeoutStep::Wait(span) => self.deadline = Some(now + span),
            TimeoutStep::BeginClose => self.is_requeued = true,
            TimeoutStep::Close(why) => return Some(why),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use epollite::kernel::SocketType;
    use epollite::sim::Sim;

    use super::*;

    const CONFIG: StreamConfig = StreamConfig {
        trigger: Trigger::Level,
        connections_max: 1,
        buffer_bytes: 8,
        buffer_total_bytes: usize::MAX,
        budget_bytes: 8,
        events_max: core::num::NonZeroU32::MIN,
        accepts_max: 1,
        idle_timeout: Some(Duration::from_secs(1)),
        drain_timeout: Duration::from_secs(9),
        linger_timeout: Duration::from_secs(2),
        bulk: epollite::server::stream::Bulk::Copy,
        pipes_max: 0,
        emit_events: false,
    };

    fn step(client: &mut Client, sim: &mut Sim, fd: &Fd) -> Progress {
        client.on_ready(fd, sim, &mut [0; 8], &CONFIG, &mut StreamStats::default())
    }

    /// Its budget ends with its data: poll(2) reports nothing more, and the end must be seen.
    #[test]
    fn a_draining_client_is_served_again_without_being_reported() {
        let mut sim = Sim::default();
        let (ours, theirs) = sim.socketpair(SocketType::Stream).unwrap();
        let mut client = Client::new(String::new(), None, sim.now());
        sim.send(&theirs, &[7; 8]).unwrap();
        client.begin_drain();
        assert_eq!(step(&mut client, &mut sim, &ours), Progress::Advanced);
        assert!(client.is_requeued, "invariant: a drain does not wait for a report");
        assert_eq!(step(&mut client, &mut sim, &ours), Progress::Advanced);
        assert!(!client.is_requeued && client.deadline.is_some(), "it lingers");
        [ours, theirs].into_iter().for_each(|fd| sim.close(fd).unwrap());
    }

    /// A silent peer holds up a drain no longer than its linger timeout.
    #[test]
    fn a_drain_cancels_the_idle_timeout_and_no_linger_timeout() {
        let mut sim = Sim::default();
        let (ours, theirs) = sim.socketpair(SocketType::Stream).unwrap();
        let mut client = Client::new(String::new(), CONFIG.idle_timeout, sim.now());
        sim.advance(Duration::from_secs(1));
        let ended = client.on_timeout(&ours, &mut sim, &CONFIG, &mut StreamStats::default());
        assert!(ended.is_none() && client.is_requeued, "it begins to close");
        assert_eq!(step(&mut client, &mut sim, &ours), Progress::Advanced);
        client.begin_drain();
        assert_eq!(client.deadline, Some(sim.now() + CONFIG.linger_timeout));
        let mut idle = Client::new(String::new(), CONFIG.idle_timeout, sim.now());
        idle.begin_drain();
        assert_eq!(idle.deadline, None);
        [ours, theirs].into_iter().for_each(|fd| sim.close(fd).unwrap());
    }
}
