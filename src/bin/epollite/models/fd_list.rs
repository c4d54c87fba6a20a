//! The list of descriptors of one thread: signals, listeners, datagram sockets, connections.
//!
//! `nonblocking`, `select` and `poll` share it. It does not know how to wait: the model goes
//! through the list, finds out which descriptors are ready, and calls [`FdList::dispatch`].

use std::time::Duration;

use epollite::collections::RecvBuffer;
use epollite::kernel::{Signal, close_quietly};
use epollite::reactor::RETRY_DELAY;
use epollite::server::stream::{CloseReason, Progress, StreamConfig};
use epollite::{Addr, Errno, Fd, Instant, Interest, Trigger};

use super::client::Client;
use super::context::{BUFFER_BYTES, WorkerContext};
use super::sockets::{self, AcceptError, Acceptor};
use crate::echo::client_log;
use crate::echo::stats::StatsSnapshot;
use crate::exit::{CliError, syscall_failure};
use crate::instrument::InstrumentedKernel;
use crate::listen::{BoundSocket, SocketFiles};
use crate::operation::{notify, reload};
use crate::signals::{exit_by, read_signals};

/// Connections accepted, or datagrams answered, before other descriptors are served.
const BATCH_MAX: u32 = 64;

/// Upper bound of connections accepted from the backlog of one listener on shutdown.
const DRAIN_ACCEPTS_MAX: u32 = 1 << 16;

/// Limits of the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerLimits {
    /// Concurrent clients; further ones wait in the backlog.
    pub(super) connections_max: u32,
    /// Descriptors from this number on cannot be waited for.
    pub(super) fd_limit: Option<u32>,
    pub(super) idle: Option<Duration>,
    pub(super) drain: Duration,
}

enum Source {
    Signals,
    Listener,
    Datagrams(DatagramState),
    Client(Client),
    /// To be closed, for the reason given.
    Closing(Client, CloseReason),
    /// A listener that has failed permanently.
    Dead(Errno),
}

/// State of a datagram socket.
#[derive(Default)]
struct DatagramState {
    /// How often in a row it was ready and had no datagram.
    failure_streak: sockets::FailureStreak,
    /// Set while reading is paused: the time to retry.
    paused_until: Option<Instant>,
}

struct FdEntry {
    fd: Fd,
    role: Source,
}

/// The list.
pub(super) struct FdList<K: InstrumentedKernel> {
    pub(super) context: WorkerContext<K>,
    entries: Vec<FdEntry>,
    limits: ServerLimits,
    /// How clients are served.
    config: StreamConfig,
    buf: RecvBuffer,
    files: SocketFiles,
    /// The ports of our own datagram sockets.
    ports: Vec<u16>,
    /// Number of clients so far; the next client's number is one more.
    next_id: u64,
    acceptor: Acceptor,
    /// Set while accepting is paused; the inner value is the latest time to retry.
    paused: Option<Option<Instant>>,
    /// Set during shutdown: when the drain timeout ends.
    drain_deadline: Option<Instant>,
    /// The errno of accept4(2) when the last listener failed.
    failed: Option<Errno>,
    /// Whether the listeners are closed.
    listeners_closed: bool,
}

impl<K: InstrumentedKernel> FdList<K> {
    pub(super) fn new(
        context: WorkerContext<K>,
        signals: Fd,
        bounds: Vec<BoundSocket>,
        limits: ServerLimits,
    ) -> Self {
        let mut fd_list = Self {
            context,
            entries: vec![FdEntry { fd: signals, role: Source::Signals }],
            limits,
            config: StreamConfig {
                trigger: Trigger::Level,
                idle_timeout: limits.idle,
                ..StreamConfig::default()
            },
            buf: RecvBuffer::new(BUFFER_BYTES),
            files: SocketFiles::default(),
            ports: Vec::new(),
            next_id: 0,
            acceptor: Acceptor::default(),
            paused: None,
            drain_deadline: None,
            failed: None,
            listeners_closed: false,
        };
        for bound in bounds {
            let is_datagram = bound.transport == "udp";
            if is_datagram {
                let name = fd_list.context.kernel.getsockname(&bound.fd);
                fd_list.ports.extend(name.ok().and_then(|name| name.port()));
            }
            fd_list.files.extend(bound.file);
            let role = if is_datagram {
                Source::Datagrams(DatagramState::default())
            } else {
                Source::Listener
            };
            fd_list.entries.push(FdEntry { fd: bound.fd, role });
        }
        fd_list
    }

    /// The number of descriptors.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The descriptor at `at`, and the interest to wait for.
    pub(super) fn interest_of(&self, at: usize) -> (&Fd, Interest) {
        let FdEntry { fd, role } = &self.entries[at];
        let interest = match role {
            Source::Datagrams(DatagramState { paused_until: Some(_), .. }) => Interest::NONE,
            Source::Signals | Source::Datagrams(_) => Interest::READABLE,
            Source::Listener if self.paused.is_some() => Interest::NONE,
            Source::Listener => Interest::READABLE,
            Source::Client(client) => client.interest(),
            Source::Closing(..) | Source::Dead(_) => Interest::NONE,
        };
        (fd, interest)
    }

    /// Tries to serve the descriptor at `at`. New connections are appended to the list; closed ones
    /// stay in it until [`finish_iteration`](Self::finish_iteration), so that indexes stay valid.
    pub(super) fn dispatch(&mut self, at: usize) {
        let handled = match self.entries[at].role {
            Source::Signals => self.on_signals(at),
            Source::Listener => self.accept_batch(at, BATCH_MAX) > 0,
            Source::Datagrams(_) => self.echo_datagrams(at) > 0,
            Source::Client(_) => self.on_client_ready(at),
            Source::Closing(..) | Source::Dead(_) => false,
        };
        let stats = &mut self.context.stats;
        *if handled { &mut stats.events_handled } else { &mut stats.events_spurious } += 1;
    }

    /// Ends an iteration: removes closed connections, checks timers. Returns whether to continue.
    pub(super) fn finish_iteration(&mut self) -> bool {
        if self.drain_deadline.is_some() && !self.listeners_closed {
            self.begin_shutdown();
        }
        self.expire_timers();
        self.remove_closed();
        self.context.drain_trace();
        if self.failed.is_some() && self.context.open == 0 && self.drain_deadline.is_none() {
            self.drain_deadline = Some(self.context.kernel.now());
            self.begin_shutdown();
        }
        self.drain_deadline.is_none() || self.context.open > 0
    }

    /// How long a wait may last: until the first deadline. Cost: O(clients) when there are any.
    pub(super) fn timeout(&mut self) -> Option<Duration> {
        let deadlines = self.entries.iter().filter_map(|entry| match &entry.role {
            Source::Client(client) if client.is_requeued => Some(Instant::ZERO),
            Source::Client(client) => client.deadline,
            Source::Datagrams(datagrams) => datagrams.paused_until,
            _ => None,
        });
        let first = deadlines.chain(self.drain_deadline).chain(self.paused.flatten()).min()?;
        Some(first - self.context.kernel.now())
    }

    /// The final statistics.
    pub(super) fn into_stats(mut self) -> Result<StatsSnapshot, CliError> {
        match self.failed {
            Some(errno) => Err(syscall_failure("accept4", errno)),
            None => Ok(self.context.snapshot()),
        }
    }

    /// Called when a listener has failed. If it was the last, the server stops after the existing
    /// connections have closed.
    fn on_listener_failed(&mut self, errno: Errno) {
        let serves =
            |entry: &FdEntry| matches!(entry.role, Source::Listener | Source::Datagrams(_));
        if self.drain_deadline.is_none() && !self.entries.iter().any(serves) {
            self.failed = Some(errno);
        }
    }

    fn expire_timers(&mut self) {
        let has_passed = |deadline: Option<Instant>, now| deadline.is_some_and(|at| at <= now);
        let now = self.context.kernel.now();
        if has_passed(self.paused.flatten(), now) {
            self.paused = None;
        }
        for at in 0..self.entries.len() {
            if let Source::Datagrams(datagrams) = &mut self.entries[at].role {
                datagrams.paused_until = datagrams.paused_until.filter(|&until| until > now);
            }
            let Source::Client(client) = &self.entries[at].role else { continue };
            let is_shutting_down = has_passed(self.drain_deadline, now);
            let is_due = is_shutting_down || has_passed(client.deadline, now);
            if !is_due && !client.is_requeued {
                continue;
            }
            // This check may be late, and readiness may not have been reported yet: data that
            // arrived in time is served first, which may extend the deadline.
            self.on_client_ready(at);
            let FdEntry { fd, role: Source::Client(client) } = &mut self.entries[at] else {
                continue;
            };
            if is_shutting_down {
                self.mark_closing(at, CloseReason::DrainTimeout);
            } else if has_passed(client.deadline, now) {
                let WorkerContext { kernel, stats, .. } = &mut self.context;
                match client.on_timeout(fd, kernel, &self.config, stats) {
                    Some(why) => self.mark_closing(at, why),
                    None if client.is_requeued => _ = self.on_client_ready(at),
                    None => {}
                }
            }
        }
    }

    /// Closes finished connections, which frees descriptors and so may end a pause of accepting.
    fn remove_closed(&mut self) {
        let mut at = 0;
        while at < self.entries.len() {
            if !matches!(self.entries[at].role, Source::Closing(..) | Source::Dead(_)) {
                at += 1;
                continue;
            }
            let FdEntry { fd, role } = self.entries.swap_remove(at);
            close_quietly(&mut self.context.kernel, fd);
            if let Source::Dead(errno) = role {
                self.on_listener_failed(errno);
            }
            if let Source::Closing(client, why) = role {
                self.context.connection_closed(&client.name, client.bytes, why);
                self.paused = None;
            }
        }
    }

    fn mark_closing(&mut self, at: usize, why: CloseReason) {
        let role = &mut self.entries[at].role;
        *role = match std::mem::replace(role, Source::Signals) {
            Source::Client(client) => Source::Closing(client, why),
            other => other,
        };
    }

    /// Serves the client at `at`. Returns whether anything was done.
    fn on_client_ready(&mut self, at: usize) -> bool {
        let FdEntry { fd, role: Source::Client(client) } = &mut self.entries[at] else {
            return false;
        };
        let before = client.bytes;
        let WorkerContext { kernel, stats, .. } = &mut self.context;
        let served = client.on_ready(fd, kernel, &mut self.buf, &self.config, stats);
        if self.context.log.is_verbose && client.bytes > before {
            let bytes = usize::try_from(client.bytes - before).unwrap_or(usize::MAX);
            client_log::received(&self.context.log, &client.name, bytes);
        }
        if let Progress::Close(why) = served {
            self.mark_closing(at, why);
        }
        served != Progress::Spurious
    }

    /// Accepts connections from the listener at `at`. Returns how many.
    fn accept_batch(&mut self, at: usize, max: u32) -> u32 {
        let mut handled = 0;
        while self.paused.is_none() && handled < max {
            if self.context.open >= self.limits.connections_max {
                self.paused = Some(None);
                let open = self.context.open;
                self.acceptor.pause(&mut self.context, None, open);
                break;
            }
            match self.context.kernel.accept4(&self.entries[at].fd) {
                Ok((fd, peer)) => {
                    self.acceptor.succeeded();
                    self.add_connection(fd, &peer);
                }
                Err(errno) if errno.is_would_block() || errno.is_interrupted() => break,
                Err(errno) => match self.acceptor.failed(&mut self.context, errno) {
                    AcceptError::Aborted => {}
                    AcceptError::ListenerFailed => {
                        self.entries[at].role = Source::Dead(errno);
                        break;
                    }
                    AcceptError::Paused => {
                        self.paused = Some(Some(self.context.kernel.now() + RETRY_DELAY));
                    }
                },
            }
            handled += 1;
        }
        handled
    }

    fn add_connection(&mut self, fd: Fd, peer: &Addr) {
        self.next_id += 1;
        let context = &mut self.context;
        if let Some(fd_limit) = self.limits.fd_limit.filter(|&fd_limit| fd.number() >= fd_limit) {
            let name = client_log::client_name(peer, self.next_id);
            let why = format!("its descriptor is {}, and the set ends at {fd_limit}", fd.number());
            context.stats.aborted += 1;
            self.acceptor.reject(context, fd, &name, &why);
            return;
        }
        let name = context.connection_opened(peer, self.next_id);
        let client = Client::new(name, self.limits.idle, context.kernel.now());
        self.entries.push(FdEntry { fd, role: Source::Client(client) });
    }

    /// Echoes the pending datagrams. Returns how many. A socket that is ready many times in a row
    /// without a datagram, because it was shut down for reading from outside, is paused.
    fn echo_datagrams(&mut self, at: usize) -> u32 {
        let FdEntry { fd, role: Source::Datagrams(datagrams) } = &mut self.entries[at] else {
            return 0;
        };
        let mut handled = 0;
        while handled < BATCH_MAX && self.context.echo_datagram(fd, &self.ports, &mut self.buf) {
            handled += 1;
        }
        if handled > 0 {
            datagrams.failure_streak.reset();
        } else if datagrams.failure_streak.record() {
            datagrams.paused_until = Some(self.context.kernel.now() + RETRY_DELAY);
        }
        handled
    }

    fn on_signals(&mut self, at: usize) -> bool {
        let signalfd = &self.entries[at].fd;
        let mut is_any = false;
        for signal in read_signals(|records| self.context.kernel.read(signalfd, records)) {
            is_any = true;
            self.on_signal(signal);
        }
        is_any
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::USR1 => self.context.snapshot().print(&self.context.log),
            Signal::HUP if reload::is_on() => reload::run(&self.context.log),
            _ if self.drain_deadline.is_some() => {
                self.files.remove();
                exit_by(signal)
            }
            _ => self.drain_deadline = Some(self.context.kernel.now() + self.limits.drain),
        }
    }

    /// Accepts the backlog, closes the listeners, echoes pending data and begins draining
    /// connections.
    fn begin_shutdown(&mut self) {
        self.listeners_closed = true;
        self.files.remove();
        notify::stopping();
        self.paused = None;
        let mut at = 0;
        while at < self.entries.len() {
            match self.entries[at].role {
                Source::Listener => _ = self.accept_batch(at, DRAIN_ACCEPTS_MAX),
                Source::Datagrams(_) => _ = self.echo_datagrams(at),
                _ => {
                    at += 1;
                    continue;
                }
            }
            let FdEntry { fd, .. } = self.entries.swap_remove(at);
            close_quietly(&mut self.context.kernel, fd);
        }
        for at in 0..self.entries.len() {
            if let Source::Client(client) = &mut self.entries[at].role {
                client.begin_drain();
                self.on_client_ready(at);
            }
        }
    }
}
