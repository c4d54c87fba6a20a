//! The stream server: echo over TCP and Unix sockets, in every trigger mode.
//!
//! Connects two layers of the architecture: the [`Kernel`] trait and the [`Echo`] state machine.
//! `accept.rs` accepts connections, `connection.rs` serves one, `served.rs` does what that leaves
//! to the server.
//!
//! [`Echo`]: crate::echo::Echo

mod accept;
mod accept_limit;
mod buffer_total;
mod bulk;
mod config;
mod connection;
mod listener;
mod served;
mod streak;
mod transport;
mod trigger_mode;

pub use config::{
    Bulk, CloseReason, IDLE_TIMEOUT_MAX, LINGER_TIMEOUT, ServerEvent, StreamConfig, StreamStats,
};
pub use connection::{Connection, Progress, Step, TimeoutStep};
pub use listener::AcceptSharing;
pub use transport::{Socket, Transport};

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;

use crate::collections::RecvBuffer;
use crate::errno::Errno;
use crate::event::{EPOLLIN, EPOLLOUT, Event, Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::{CallError, ConnectionDecision, Decision, Fd, Kernel};
use crate::linux::Linux;
use crate::reactor::{BatchStep, Io, Limits, Reactor, Spin, Waker};
use crate::server::HAS_OPTIONS;
use crate::server::admission::{Admission, AdmissionId};
use crate::token::Token;
use accept_limit::AcceptLimit;
use buffer_total::BufferTotal;
use bulk::PipePool;
use connection::FirstRead;
use listener::Listener;
use served::{Shared, continue_event, explain, finish, push_event};
use streak::large_bytes;

/// What a registration in the reactor belongs to.
#[derive(Debug)]
enum Source<X> {
    Listener(Listener),
    Connection(Connection),
    User(X),
}

// An idle connection costs one slot of the slab: no buffer, no box. The slab grows by half, so
// this bound holds even immediately after it has grown.
const _: () = assert!(
    Reactor::<Source<Box<u8>>, Linux>::REGISTRATION_BYTES * 3 / 2 <= 64
        && Reactor::<Source<Infallible>, Linux>::REGISTRATION_BYTES * 3 / 2 <= 64,
    "an idle connection costs at most 64 bytes of user-space memory"
);

/// Readiness that a connection may have before the kernel reports it.
const ASSUMED_READY: Ready = Ready::from_bits(EPOLLIN | EPOLLOUT);

/// Registrations that are not connections: listeners, and what the caller adds.
const NON_CONNECTIONS_MAX: u32 = 1 << 10;

/// An echo server for streams.
///
/// It owns a [`Reactor`]: [`run_once`](Self::run_once) waits once, serves the events that arrived
/// and returns those that belong to the caller. A program can therefore run a signalfd or a
/// datagram socket (`X`) in the same loop, at no extra system call, and a simulation can drive
/// the server step by step. A program without descriptors of its own calls [`run`](Self::run).
///
/// Invariants: for each connection the output is a prefix of the input, and equal to it once the
/// peer has half-closed and read to the end. One connection buffers at most
/// `StreamConfig::buffer_bytes`, all together at most `StreamConfig::buffer_total_bytes`, an idle
/// one costs at most 64 bytes, and 20 to 40 more with an idle timeout. Every call is bounded.
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use epollite::Linux;
/// use epollite::server::stream::{StreamConfig, StreamServer};
/// use std::io::{Read, Write};
/// use std::net::{Shutdown, TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let addr = listener.local_addr()?;
/// let mut server = StreamServer::<Linux>::new(Linux, StreamConfig::default())?;
/// server.add_listener(listener.into())?;
/// let waker = server.waker()?;
/// let thread = std::thread::spawn(move || server.run());
///
/// let mut client = TcpStream::connect(addr)?;
/// client.write_all(b"hello")?;
/// client.shutdown(Shutdown::Write)?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert_eq!(answer, "hello");
///
/// waker.wake(&mut Linux)?;                       // asks the server to stop
/// assert_eq!(thread.join().unwrap()?.bytes_out, 5);
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
///
/// It is `Send` if the kernel and `X` are, and not `Sync`: one thread serves it, and others use its
/// [`waker`](Self::waker).
pub struct StreamServer<K: Kernel = Linux, X = Infallible> {
    reactor: Reactor<Source<X>, K>,
    config: StreamConfig,
    /// Whether an echo is all that there is to do for a message that was sent back whole: no event
    /// to emit, no activity to record, no registration to re-arm.
    echo_is_all: bool,
    /// How many bytes make an event large.
    large_bytes: usize,
    /// The receive buffer shared by all connections.
    buf: RecvBuffer,
    /// What all connections keep for peers that do not read.
    total: BufferTotal,
    /// The pipes of connections that stream.
    pipes: PipePool,
    stats: StreamStats,
    events: VecDeque<ServerEvent>,
    listeners: Vec<Token>,
    connections: u32,
    /// Which peers are served, and what it keeps each connection under, by slot.
    admission: Option<Box<dyn Admission>>,
    admission_ids: Vec<AdmissionId>,
    accept_paused: bool,
    accept_limit: AcceptLimit,
    /// Set while draining: when the drain timeout ends.
    drain_deadline: Option<Instant>,
    /// Whether [`Outcome::Drained`] has been returned.
    is_drained: bool,
}

/// Is called before each wait of [`run_rounds_with`](StreamServer::run_rounds_with) that follows
/// nothing but echoes, with the counters and the kernel. After anything else the call returns, and
/// the caller publishes.
pub type AfterRound<'a, K> = &'a mut dyn FnMut(&StreamStats, &mut K);

/// What [`run_once`](StreamServer::run_once) did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The deadline passed first.
    TimedOut,
    /// The events have been handled.
    Handled,
    /// This event is the caller's: [`Event::Woken`], or of a registration made with
    /// [`register`](StreamServer::register). The next call continues with the remaining events.
    User(Event),
    /// The server was stopped, and the last connection has closed. Returned once: further calls
    /// wait for the caller's own events only.
    Drained,
}

impl<K: Kernel, X> StreamServer<K, X> {
    /// Creates a server without listeners. Cost: one system call, one allocation of
    /// `config.buffer_bytes` and a page.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: out of descriptors or memory.
    ///
    /// # Panics
    /// A bound of `config` other than `connections_max` is zero, or `config.idle_timeout` is over
    /// [`IDLE_TIMEOUT_MAX`].
    pub fn new(kernel: K, config: StreamConfig) -> Result<Self, Errno> {
        assert!(config.buffer_bytes > 0, "the receive buffer must not be empty");
        assert!(config.budget_bytes > 0 && config.accepts_max > 0, "budgets must not be zero");
        assert!(
            config.idle_timeout.is_none_or(|idle| idle <= IDLE_TIMEOUT_MAX),
            "an idle timeout is at most IDLE_TIMEOUT_MAX, 24 days"
        );
        let buf = RecvBuffer::new(config.buffer_bytes.min(config.budget_bytes));
        Self::with_buffer(kernel, config, buf)
    }

    /// As [`new`](Self::new), with a configuration that was checked, and a receive buffer for it.
    pub(crate) fn with_buffer(
        kernel: K,
        config: StreamConfig,
        buf: RecvBuffer,
    ) -> Result<Self, Errno> {
        let registrations_max = config.connections_max.saturating_add(NON_CONNECTIONS_MAX);
        let limits = Limits { registrations_max, events_max: config.events_max };
        Ok(Self {
            reactor: Reactor::with_limits(kernel, limits)?,
            echo_is_all: !config.emit_events
                && config.idle_timeout.is_none()
                && !config.trigger.is_oneshot(),
            large_bytes: large_bytes(&config),
            total: BufferTotal::new(config.buffer_total_bytes, buf.len()),
            config,
            buf,
            pipes: PipePool::new(&config),
            stats: StreamStats::default(),
            events: VecDeque::new(),
            listeners: Vec::new(),
            connections: 0,
            admission: None,
            admission_ids: Vec::new(),
            accept_paused: false,
            accept_limit: AcceptLimit::new(config.accepts_max),
            drain_deadline: None,
            is_drained: false,
        })
    }

    /// Registers the caller's own descriptor, a non-blocking one, in this loop: its events are
    /// returned by [`run_once`](Self::run_once). Cost: one system call.
    ///
    /// # Errors
    /// What epoll_ctl(2) returned; the descriptor is closed in that case.
    pub fn register(
        &mut self,
        fd: Fd,
        interest: Interest,
        trigger: Trigger,
        state: X,
    ) -> Result<Token, Errno> {
        let source = Source::User(state);
        self.reactor.register_or_close(fd, interest, trigger, source).map_err(Errno::from)
    }

    /// The state registered under `token`, and access to its descriptor. Cost: O(1).
    pub fn get_mut(&mut self, token: Token) -> Option<(&mut X, Io<'_, K>)> {
        let (state, io) = self.reactor.get_mut(token)?;
        match state {
            Source::User(state) => Some((state, io)),
            Source::Listener(_) | Source::Connection(_) => None,
        }
    }

    /// Removes the registration `token` and returns what it held. Cost: one system call.
    pub fn deregister(&mut self, token: Token) -> Option<(Fd, X)> {
        self.get_mut(token)?;
        match self.reactor.deregister(token)? {
            (fd, Source::User(state)) => Some((fd, state)),
            (_, Source::Listener(_) | Source::Connection(_)) => {
                unreachable!("it was a user registration just now")
            }
        }
    }

    /// Waits until an event arrives, `deadline` at most, and serves the events. Cost: one wait
    /// (more when they are interrupted), then at most `events_max` events, the requeued ones, and
    /// the deadlines that have passed, each within its budget; when the drain timeout has passed,
    /// every connection once.
    ///
    /// # Errors
    /// What epoll_wait(2) returned; the server cannot continue then. An interrupted wait is not
    /// an error.
    pub fn run_once(&mut self, deadline: Option<Instant>) -> Result<Outcome, Errno> {
        // Events left over from a call that returned `Outcome::User` are served first: until
        // then no connection counts as timed out.
        if !self.reactor.has_next() {
            if self.drain_deadline.is_some() && self.check_drained() {
                return Ok(Outcome::Drained);
            }
            let idle = match self.reactor.wait(self.wait_until(deadline)) {
                Ok(true) => None,
                Ok(false) => Some(Outcome::TimedOut),
                // Interrupted repeatedly, or no descriptor to sleep with: no events, but the
                // drain deadline still applies.
                Err(errno) if errno.is_interrupted() || errno.is_resource_exhausted() => {
                    Some(Outcome::Handled)
                }
                Err(errno) => return Err(errno),
            };
            if let Some(outcome) = idle {
                return Ok(if self.check_drained() { Outcome::Drained } else { outcome });
            }
            if self.may_serve_rounds() {
                self.serve_rounds(false, None);
            }
        }
        Ok(self.serve_rest())
    }

    /// Serves what is left of a round, up to an event of the caller's.
    fn serve_rest(&mut self) -> Outcome {
        while let Some(event) = self.reactor.try_next() {
            if let Some(event) = self.dispatch(event) {
                return Outcome::User(event);
            }
            if self.may_serve_rounds() {
                self.serve_rounds(false, None);
            }
        }
        Outcome::Handled
    }

    /// As [`run_once`](Self::run_once) without a deadline, but again and again while events bring
    /// messages that are echoed whole, and nothing else happens. For callers that have nothing to
    /// do then. Cost: as `run_once` for each round; not bounded.
    ///
    /// # Errors
    /// As [`run_once`](Self::run_once).
    pub fn run_rounds(&mut self) -> Result<Outcome, Errno> {
        self.run_rounds_observed(None)
    }

    /// As [`run_rounds`](Self::run_rounds), but calls `after_round` after each of these rounds: it
    /// may publish counters. Cost: as there, and one call per round.
    ///
    /// # Errors
    /// As [`run_once`](Self::run_once).
    pub fn run_rounds_with(&mut self, after_round: AfterRound<'_, K>) -> Result<Outcome, Errno> {
        self.run_rounds_observed(Some(after_round))
    }

    fn run_rounds_observed(
        &mut self,
        after_round: Option<AfterRound<'_, K>>,
    ) -> Result<Outcome, Errno> {
        if self.may_serve_rounds() && self.drain_deadline.is_none() {
            if self.serve_rounds(true, after_round) {
                return Ok(Outcome::Handled);
            }
            // If only stale events were left, they are dropped, and `run_once` waits: it sleeps
            // when they repeat.
            if self.reactor.has_next() {
                return Ok(self.serve_rest());
            }
        }
        self.run_once(None)
    }

    /// Whether [`serve_rounds`](Self::serve_rounds) may be called: it reads whatever the total of
    /// the buffers is.
    const fn may_serve_rounds(&self) -> bool {
        self.echo_is_all && !self.total.is_scarce()
    }

    /// Serves the connections of the batch, until an event of another kind is next; if
    /// `is_repeated`, round after round, until anything but a whole echo has happened or is next.
    /// Returns whether it has happened.
    #[inline(never)]
    fn serve_rounds(
        &mut self,
        is_repeated: bool,
        mut after_round: Option<AfterRound<'_, K>>,
    ) -> bool {
        let mut has_happened = false;
        loop {
            while let Some((token, progress)) = self.serve_echoes() {
                self.count_progress(token, progress);
                has_happened = true;
                if self.total.is_scarce() {
                    return has_happened;
                }
            }
            if has_happened || !is_repeated {
                return has_happened;
            }
            if let Some(after_round) = &mut after_round {
                after_round(&self.stats, self.reactor.kernel());
            }
            if !self.reactor.wait_plainly() {
                return false;
            }
        }
    }

    /// The earlier of `deadline` and the end of the drain.
    #[inline]
    fn wait_until(&self, deadline: Option<Instant>) -> Option<Instant> {
        match self.drain_deadline {
            Some(end) if !self.is_drained => Some(deadline.map_or(end, |until| until.min(end))),
            _ => deadline,
        }
    }

    /// Serves connections of the batch until one does anything but echo a message whole, which is
    /// returned, or until an event of another kind is next.
    #[inline(always)]
    fn serve_echoes(&mut self) -> Option<(Token, Progress)> {
        let Self { reactor, config, large_bytes, buf, total, pipes, stats, events, .. } = self;
        let (buf, mut other) = (&mut buf[..], None);
        reactor.serve_batch(|ready, source, parts| {
            let Source::Connection(connection) = source else { return BatchStep::Decline };
            let socket = &mut Socket { kernel: parts.kernel, fd: &parts.watched.fd };
            let first = match connection.echo_once(socket, ready, buf, *large_bytes, config, stats)
            {
                FirstRead::Echoed(_) => {
                    stats.events_handled += 1;
                    return BatchStep::Continue;
                }
                FirstRead::Other(first) => first,
            };
            let token = parts.token;
            let shared = Shared { config, buf, total, pipes, stats, events };
            other = Some((token, continue_event(first, connection, parts.join(), ready, shared)));
            BatchStep::Break
        });
        other
    }

    /// Counts what serving a connection came to, and closes it if that is over.
    fn count_progress(&mut self, token: Token, progress: Progress) {
        self.stats.record_event(progress != Progress::Spurious);
        if let Progress::Close(why) = progress {
            self.close_connection(token, why);
        }
    }

    /// Whether the drain has finished. Connections that are still open at its deadline are served
    /// once more, since data sent in time may not have been reported yet, and closed.
    fn check_drained(&mut self) -> bool {
        let Some(drain_deadline) = self.drain_deadline.filter(|_| !self.is_drained) else {
            return false;
        };
        if self.connections > 0 && self.reactor.kernel().now() >= drain_deadline {
            let connections = self.connections;
            self.reactor.kernel().on_decision(Decision::DrainTimedOut { connections });
            self.for_each_connection(|server, token| {
                server.serve_unreported(token, ASSUMED_READY);
                server.close_connection(token, CloseReason::DrainTimeout);
            });
        }
        self.is_drained = self.connections == 0;
        self.is_drained
    }

    /// Handles one event, or returns it when it belongs to the caller.
    fn dispatch(&mut self, event: Event) -> Option<Event> {
        let (token, ready) = match event {
            Event::Io { token, ready } => (token, Some(ready)),
            Event::Timer { token } => (token, None),
            Event::Woken => return Some(event),
        };
        let handled = match (self.reactor.get_mut(token)?.0, ready) {
            (Source::User(_), _) => return Some(event),
            (&mut Source::Listener(Listener { is_unix, .. }), Some(_)) => {
                self.on_listener_ready(token, is_unix)
            }
            (Source::Listener(_), None) => {
                self.resume_accept();
                true
            }
            (Source::Connection(_), Some(ready)) => self.on_connection_ready(token, ready),
            (Source::Connection(_), None) => self.on_connection_timeout(token),
        };
        self.stats.record_event(handled);
        None
    }

    /// Serves one connection outside of the batch. Returns whether anything was done.
    fn on_connection_ready(&mut self, token: Token, ready: Ready) -> bool {
        let Self { reactor, config, large_bytes, buf, total, pipes, stats, events, .. } = self;
        let Some((state, mut io)) = reactor.get_mut(token) else { return false };
        let Source::Connection(connection) = state else { return false };
        let socket = &mut Socket::of(&mut io);
        // The libraries for C have no second copy of the short path.
        let first = if !HAS_OPTIONS || total.is_scarce() {
            connection.without_first_read(socket, ready)
        } else {
            connection.echo_once(socket, ready, buf, *large_bytes, config, stats)
        };
        let progress = match first {
            FirstRead::Echoed(bytes) => {
                finish(Step::echoed(bytes), connection, io, ready, config, events)
            }
            FirstRead::Other(first) => {
                let shared = Shared { config, buf, total, pipes, stats, events };
                continue_event(first, connection, io, ready, shared)
            }
        };
        if let Progress::Close(why) = progress {
            self.close_connection(token, why);
        }
        progress != Progress::Spurious
    }

    /// The same without an event of the kernel's. Returns whether anything was done.
    fn serve_unreported(&mut self, token: Token, ready: Ready) -> bool {
        if let Some((_, mut io)) = self.reactor.get_mut(token) {
            explain(&mut io, ConnectionDecision::NotReported);
        }
        self.on_connection_ready(token, ready)
    }

    fn on_connection_timeout(&mut self, token: Token) -> bool {
        let now = self.reactor.reported_until();
        let Some((state, _)) = self.reactor.get_mut(token) else { return false };
        let Source::Connection(connection) = state else { return false };
        if connection.is_due(now, &self.config) {
            // The kernel does not guarantee an order for events beyond one batch.
            self.serve_unreported(token, ASSUMED_READY);
        }
        let Some((state, mut io)) = self.reactor.get_mut(token) else { return true };
        let Source::Connection(connection) = state else { return false };
        let was_timed_out = connection.has_idle_timed_out();
        let kept_bytes = connection.kept_bytes();
        let step = connection.on_timeout(&mut Socket::of(&mut io), now, &self.config);
        self.total.replace(kept_bytes, connection.kept_bytes());
        self.stats.timed_out += u64::from(connection.has_idle_timed_out() && !was_timed_out);
        match step {
            TimeoutStep::Wait(span) => {
                explain(&mut io, ConnectionDecision::StillActive);
                // There is room: that of the one that has passed.
                let _ = io.try_set_deadline(now + span);
            }
            TimeoutStep::BeginClose => {
                explain(&mut io, ConnectionDecision::IdleTimedOut);
                self.serve_unreported(token, Ready::READABLE);
            }
            TimeoutStep::Close(reason) => self.close_connection(token, reason),
        }
        true
    }

    /// Closes a connection: its descriptor is free, so a paused accept may resume.
    fn close_connection(&mut self, token: Token, why: CloseReason) {
        if let Some((Source::Connection(connection), mut io)) = self.reactor.get_mut(token) {
            let unsent_bytes = connection.buffered_bytes();
            self.total.replace(connection.kept_bytes(), 0);
            explain(&mut io, ConnectionDecision::Closed { why, unsent_bytes });
        }
        match self.reactor.close(token) {
            None => return,
            Some(Source::Connection(mut connection)) if HAS_OPTIONS => {
                self.pipes.discard(connection.pipe_mut().take(), self.reactor.kernel());
            }
            Some(_) => {}
        }
        self.connections -= 1;
        self.release_admission(token);
        self.stats.record_close(why);
        if HAS_OPTIONS && self.config.emit_events {
            self.push_event(ServerEvent::Closed { token, why });
        }
        self.resume_accept();
    }

    /// Begins to drain: accepts the connections already in the accept queues, as far as limits
    /// allow, closes the listeners, and closes every connection as soon as the data that has
    /// arrived is echoed. [`run_once`](Self::run_once) returns [`Outcome::Drained`] when all have
    /// closed, or when `StreamConfig::drain_timeout` has passed. Cost: O(connections), each within
    /// its budget; once.
    pub fn begin_shutdown(&mut self) {
        if self.drain_deadline.is_some() {
            return;
        }
        self.accept_paused = true;
        let connections = self.connections;
        self.reactor.kernel().on_decision(Decision::DrainBegins { connections });
        self.drain_deadline = Some(self.reactor.kernel().now() + self.config.drain_timeout);
        self.close_listeners();
        self.for_each_connection(|server, token| {
            let Some((state, mut io)) = server.reactor.get_mut(token) else { return };
            let Source::Connection(connection) = state else { return };
            if connection.begin_drain() {
                io.cancel_deadline();
            }
            server.serve_unreported(token, Ready::READABLE);
        });
    }

    /// Accepts the connections in the accept queues, as far as limits allow, and closes the
    /// listeners; connections are served on, and listeners may be added again. For a server whose
    /// listeners another one holds too, and that leaves them to it: nothing that is queued is lost.
    /// Cost: four system calls for each connection that is accepted, two for each listener.
    pub fn stop_listening(&mut self) {
        self.close_listeners();
    }

    fn for_each_connection(&mut self, mut act: impl FnMut(&mut Self, Token)) {
        for slot in 0..self.reactor.slot_count() {
            if let Some(token) = self.reactor.token_at(slot)
                && let Some((state, _)) = self.reactor.get_mut(token)
                && matches!(state, Source::Connection(_))
            {
                act(self, token);
            }
        }
    }

    /// A waker for use by another thread: [`run_once`](Self::run_once) returns the event,
    /// [`run`](Self::run) stops on it. Cost: two system calls the first time.
    ///
    /// # Errors
    /// As [`Reactor::waker`].
    pub fn waker(&mut self) -> Result<Waker, CallError> {
        self.reactor.waker()
    }

    /// Sets whether to poll before blocking ([`Reactor::set_spin`]). Cost: O(1).
    pub fn set_spin(&mut self, spin: Spin) {
        self.reactor.set_spin(spin);
    }

    /// The kernel. Cost: O(1).
    pub fn kernel(&mut self) -> &mut K {
        self.reactor.kernel()
    }

    fn push_event(&mut self, event: ServerEvent) {
        push_event(&mut self.events, event);
    }

    /// Removes and returns the oldest event. The queue must be drained regularly: it keeps some
    /// 65,000. Cost: O(1).
    pub fn next_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// The counters. Cost: O(1).
    #[must_use]
    pub const fn stats(&self) -> StreamStats {
        StreamStats {
            events_stale: self.reactor.stale_events(),
            buffer_bytes: self.total.used_bytes() as u64,
            ..self.stats
        }
    }

    /// Bytes received and not yet sent, of all connections: in write buffers, and in pipes, which
    /// are the kernel's memory.
    /// Cost: O(connections).
    pub fn buffered_bytes(&mut self) -> u64 {
        let mut sum = 0;
        self.for_each_connection(|server, token| {
            if let Some((state, _)) = server.reactor.get_mut(token)
                && let Source::Connection(connection) = state
            {
                sum += connection.buffered_bytes() as u64;
            }
        });
        sum
    }

    /// The number of listeners: those added, without those that failed or that
    /// [`begin_shutdown`](Self::begin_shutdown) has closed. Cost: O(1).
    #[must_use]
    pub const fn listeners(&self) -> usize {
        self.listeners.len()
    }

    /// The number of connections. Cost: O(1).
    #[must_use]
    pub const fn connections(&self) -> u32 {
        self.connections
    }

    /// The number of slots that its reactor's slab has, free ones included: as many as there once
    /// were registrations at the same time. Cost: O(1).
    #[must_use]
    pub fn slot_count(&self) -> u32 {
        self.reactor.slot_count()
    }

    /// The number of deadlines that are set. Cost: O(1).
    #[must_use]
    pub fn deadline_count(&self) -> usize {
        self.reactor.deadline_count()
    }
}

impl<K: Kernel> StreamServer<K> {
    /// Serves until [woken](Self::waker), then drains; returns the counters.
    /// Cost: that of `run_once` per iteration.
    ///
    /// # Errors
    /// As [`run_once`](Self::run_once).
    pub fn run(&mut self) -> Result<StreamStats, Errno> {
        loop {
            match self.run_rounds()? {
                Outcome::Drained => return Ok(self.stats()),
                Outcome::User(_) => self.begin_shutdown(),
                Outcome::TimedOut | Outcome::Handled => self.events.clear(),
            }
        }
    }
}

impl<K: Kernel, X> Drop for StreamServer<K, X> {
    fn drop(&mut self) {
        self.release_admissions();
        if HAS_OPTIONS {
            self.pipes.close_all(self.reactor.kernel());
        }
    }
}

impl<K: Kernel, X> fmt::Debug for StreamServer<K, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamServer")
            .field("config", &self.config)
            .field("connections", &self.connections)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
