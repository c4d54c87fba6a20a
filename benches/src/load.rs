//! The load generator: one thread on epollite's reactor, closed and open loop, every byte checked.
//! It takes a [`Config`] and returns measurements; it knows no processes and no tables.
//!
//! ```text
//!   run             warm-up, measured part, report       entry point for a single measurement
//!   Load            opened once, run slice by slice      entry point for comparisons
//!    slice          the loop: schedule, events, end of slice
//!    churn          one connection per message: opening, reuse, closing
//!    tick           ten times per second: observers, losses, stalls
//!    stream, short_lived, datagram     one connection: sends, receives, checks
//!     queue            messages of one stream between schedule and echo
//!     write_interest   EPOLLOUT registration
//!     shared           state shared by all connections
//!     payload          bytes of a message       run_of_messages   runs of equal-sized messages
//!     diagnose         classifies a mismatch
//!    metrics        latencies and counts        timerfd           deadline of a closed loop
//!   config  sizes  pace  error  mismatch        configuration and result types
//! ```
//!
//! A slice is *closed*: when its time is over no new message starts, but every outstanding response
//! is waited for and counted, and the clock stops when the last one has arrived or is given up.
//! Messages, time and CPU of a slice therefore refer to the same work, and the next slice starts
//! with nothing in flight.
//!
//! With a rate, a latency is measured from the *intended* send time. A server that stalls is
//! therefore charged with every message that should have been sent during the stall (no coordinated
//! omission).

mod churn;
mod config;
mod connect;
mod datagram;
mod diagnose;
mod error;
mod metrics;
mod mismatch;
mod pace;
mod payload;
mod queue;
mod run;
mod run_of_messages;
mod shared;
mod short_lived;
mod sizes;
mod slice;
mod stream;
mod tick;
mod timerfd;
mod write_interest;

use std::time::Duration;

use epollite::kernel::SIGINFO_BYTES;
use epollite::kernel::{Signal, SocketOption, SocketOptionName};
use epollite::{Event, Instant, Kernel, Reactor, Token, Trigger};
use hdrhistogram::Histogram;
use rand::TryRng;

pub use config::{Config, Length, Target};
pub use error::{LoadError, Result};
pub use metrics::{Counts, Metrics, Progress, histogram};
pub use mismatch::{Mismatch, MismatchKind};
pub use pace::Pace;
pub use run::{Cpu, Latency, Outcome, Report};
pub(crate) use run::{is_process_readable, run};
pub use sizes::Sizes;

use datagram::Socket;
use shared::LoadState;
use short_lived::ShortLivedConnection;
use stream::Stream;
use timerfd::DeadlineTimer;

/// Connections that are established at the same time: below the accept backlog of nearly every
/// server.
const CONNECTING_MAX: u32 = 64;

/// Time limit for establishing a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Receives progress of a running load. All methods default to doing nothing.
pub trait Observer {
    /// Called about ten times per second with the measurements so far.
    fn tick(&mut self, _elapsed: Duration, _meter: &Metrics) {}

    /// Called once per second, and at the end for the remainder, with the latencies of that
    /// interval.
    fn interval(&mut self, _length: Duration, _latencies: &Histogram<u64>) {}
}

/// Ignores all progress.
impl Observer for () {}

/// A load on one server: opened once, then run slice by slice.
///
/// ```no_run
/// use std::time::Duration;
/// use epollite_bench::load::{Config, Length, Load, Target};
/// let target = Target::Tcp("127.0.0.1:7777".parse().unwrap());
/// let mut load = Load::open(&Config { connections: 64, ..Config::new(target) })?;
/// let elapsed = load.slice(Length::For(Duration::from_millis(50)), &mut ())?;
/// println!("{} messages in {elapsed:?}", load.meter().counts.messages);
/// # Ok::<(), epollite_bench::load::LoadError>(())
/// ```
#[derive(Debug)]
pub struct Load {
    /// Of several addresses, `target` is the one that accepted the connections.
    config: Config,
    reactor: Reactor<Source>,
    shared: LoadState,
    timer: DeadlineTimer,
    /// The connection of each index; with churn, only open connections have one.
    tokens: Vec<Option<Token>>,
    /// Churn: intended send times of messages that wait for a free connection slot.
    pending_connects: std::collections::VecDeque<Instant>,
    /// Connections started so far over all indices; without churn, messages the schedule has
    /// released.
    started: u64,
    /// Churn: sockets opened so far.
    sockets: u64,
    /// Churn: indices without an open connection.
    idle_slots: Vec<u32>,
    slices: u64,
    is_interrupted: bool,
    skip_drain: bool,
}

/// What is registered with the reactor. A short-lived connection contains a stream; its box is
/// reused as long as its socket.
#[derive(Debug)]
enum Source {
    Stream(Stream),
    ShortLived { index: u32, connection: Box<ShortLivedConnection> },
    Socket(Socket),
    Timer,
    Signals,
}

impl Load {
    /// Opens the connections and leaves them idle; raises `RLIMIT_NOFILE` if necessary.
    ///
    /// # Errors
    /// * [`LoadError::ConnectFailed`], [`LoadError::Itself`], [`LoadError::Unanswered`]: no server.
    /// * [`LoadError::Descriptors`], [`LoadError::Ports`]: too many connections.
    ///
    /// # Panics
    /// The configuration is invalid: see [`Config::check`].
    pub fn open(config: &Config) -> Result<Self> {
        assert_eq!(config.check(), Ok(()), "the configuration was checked before");
        connect::open_any(config, Self::open_at)
    }

    /// Opens the load at `config.target`, without trying alternatives.
    fn open_at(config: &Config) -> Result<Self> {
        connect::raise_limit(config.connections)?;
        // The schedule has microsecond resolution; the default timer slack would add up to 50 µs.
        // Best effort: without it, the send lag in the report is larger.
        let _ = nix::sys::prctl::set_timerslack(1);
        let reactor = Reactor::new().map_err(LoadError::call("epoll_create1"))?;
        let (timer, watched) = DeadlineTimer::new().map_err(LoadError::call("timerfd_create"))?;
        // It differs from those of earlier and concurrent runs.
        let run = rand::rngs::SysRng.try_next_u32().unwrap_or_else(|_| std::process::id());
        let mut load = Self {
            shared: LoadState::new(config, run),
            timer,
            tokens: (0..config.connections).map(|_| None).collect(),
            config: config.clone(),
            reactor,
            pending_connects: std::collections::VecDeque::new(),
            started: 0,
            sockets: 0,
            idle_slots: Vec::new(),
            slices: 0,
            is_interrupted: false,
            skip_drain: false,
        };
        load.register(watched.into(), Source::Timer)?;
        if config.churn {
            // A missing server is reported before the first slice, as it is without churn.
            load.probe()?;
            load.idle_slots = (0..config.connections).rev().collect();
        } else {
            load.connect_all()?;
        }
        Ok(load)
    }

    /// Makes SIGTERM, and SIGINT unless it was ignored at the start, end the running slice
    /// gracefully: messages in flight are still waited for. Blocks both signals for the calling
    /// thread.
    pub(crate) fn install_signalfd(&mut self) -> Result<()> {
        let mut signals = epollite::kernel::SignalSet::from(Signal::TERM);
        if !crate::interrupt::is_ignored(Signal::INT.number().into()) {
            signals = signals | Signal::INT.into();
        }
        let kernel = self.reactor.kernel();
        kernel.sigprocmask(signals).map_err(LoadError::call("sigprocmask"))?;
        let fd = kernel.signalfd(signals).map_err(LoadError::call("signalfd"))?;
        self.register(fd, Source::Signals).map(drop)
    }

    /// Sets when messages are sent, from the next slice on.
    ///
    /// # Panics
    /// The configuration is invalid with this pace: see [`Config::check`].
    pub(crate) fn set_pace(&mut self, pace: Pace) {
        self.config.pace = pace;
        assert_eq!(self.config.check(), Ok(()), "the configuration was checked before");
        (self.shared.closed_loop, self.shared.window) =
            (pace.rate().is_none(), self.config.window());
    }

    /// The measurements since the last slice began.
    pub const fn meter(&self) -> &Metrics {
        &self.shared.meter
    }

    fn connect_all(&mut self) -> Result<()> {
        let mut opened = 0;
        while opened < self.config.connections {
            let end = self.config.connections.min(opened + CONNECTING_MAX);
            for index in opened..end {
                let fd = connect::start_connect(&self.config, u64::from(index))?;
                let source = if self.config.target.is_datagrams() {
                    Source::Socket(Socket::new(index))
                } else {
                    Source::Stream(Stream::new(index, 0))
                };
                self.tokens[index as usize] = Some(self.register(fd, source)?);
            }
            self.wait_connected(opened..end)?;
            opened = end;
        }
        Ok(())
    }

    /// Waits until these are connected. The first event of each reports success or the error.
    fn wait_connected(&mut self, indices: std::ops::Range<u32>) -> Result<()> {
        let target = self.config.target;
        let mut awaited: std::collections::HashSet<Token> =
            indices.filter_map(|index| self.tokens[index as usize]).collect();
        let deadline = self.reactor.kernel().now() + CONNECT_MAX;
        while !awaited.is_empty() {
            let event = self.reactor.next(Some(deadline)).map_err(LoadError::call("epoll_wait"))?;
            let Some(Event::Io { token, ready }) = event else {
                return Err(LoadError::Unanswered { target, seconds: CONNECT_MAX.as_secs_f64() });
            };
            if ready.is_error()
                && let Some((_, mut io)) = self.reactor.get_mut(token)
                && let Ok(SocketOption::Error(Some(errno))) =
                    io.syscall(|kernel, fd| kernel.getsockopt(fd, SocketOptionName::Error))
            {
                return Err(LoadError::ConnectFailed { target, errno });
            }
            awaited.remove(&token);
            if !matches!(target, Target::Tcp(_))
                && let Some((_, mut io)) = self.reactor.get_mut(token)
            {
                write_interest::disable_write_interest(&mut io)?;
            }
        }
        Ok(())
    }

    /// Opens one connection and closes it, to check that a server listens.
    fn probe(&mut self) -> Result<()> {
        let fd = connect::start_connect(&self.config, 0)?;
        let source = Source::Stream(Stream::new(0, 0));
        let token = self.register(fd, source)?;
        self.tokens[0] = Some(token);
        let result = self.wait_connected(0..1);
        self.tokens[0] = None;
        self.reactor.close(token);
        result
    }

    fn register(&mut self, fd: epollite::Fd, source: Source) -> Result<Token> {
        self.reactor
            .register_or_close(fd, write_interest::read_write_interest(), Trigger::Edge, source)
            .map_err(LoadError::epoll_ctl)
    }

    /// Reads pending signals; any of them ends the slice.
    fn on_signal(&mut self, token: Token) {
        let Some((_, mut io)) = self.reactor.get_mut(token) else {
            return;
        };
        let mut record = [0; SIGINFO_BYTES];
        while io.syscall(|kernel, fd| kernel.read(fd, &mut record)).is_ok() {
            // A second signal skips waiting for outstanding responses.
            self.skip_drain = self.is_interrupted;
            self.is_interrupted = true;
            self.shared.remaining = 0;
        }
    }
}
