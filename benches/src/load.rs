//! The load generator: one thread on epollite's reactor, closed and open loop, every byte checked.
//! It knows nothing of processes or of tables: it is given a [`Config`] and says what it measured.
//!
//! ```text
//!   run      warm-up, then what is measured, a report         the way in for most
//!   Load     opened once, then slice by slice                 the way in for comparisons
//!    slice    the loop: schedule, events, the end              knows who, not what
//!    churn    a connection for each message                    who comes after whom
//!    watch    ten times a second: observers, losses, silence
//!    stream, connection, datagram   one connection                   sends, receives, checks
//!     queue    a stream's messages on their way   room  who is told when there is room to send
//!     desk     what they share    noise  the bytes    row  those of many messages
//!     autopsy  names what is wrong
//!    meter    latencies and counts     timer  wakes a closed loop
//!   config  sizes  pace  failure  mismatch                    words
//! ```
//!
//! A slice is *closed*: when its time is over no new message begins, but every answer still owed
//! is waited for and counted, and the clock stops when the last one is there or given up. So
//! messages, time and CPU of a slice belong to each other, and the next one starts with nothing
//! under way.
//!
//! With a rate, a latency counts from when the message was *meant* to leave. A server that stops
//! for a while is so charged with every message that should have been sent meanwhile.

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

use std::fmt;
use std::time::Duration;

use epollite::kernel::SIGINFO_BYTES;
use epollite::{
    Event, Instant, Kernel, Reactor, Signal, SocketOption, SocketOptionName, Token, Trigger,
};
use hdrhistogram::Histogram;
use rand::TryRng;

pub use config::{Config, Length, Target};
pub use error::LoadError;
pub use metrics::{Counts, LATENCY_NANOS_MAX, Metrics, Progress, histogram};
pub use mismatch::{Mismatch, MismatchKind};
pub use pace::Pace;
pub use payload::HEADER_BYTES;
pub use run::{Cpu, Latency, Outcome, Report, is_process_readable, run};
pub use sizes::Sizes;
pub use slice::Slice;

use datagram::Socket;
use shared::LoadState;
use short_lived::ShortLivedConnection;
use stream::Stream;
use timerfd::DeadlineTimer;

/// Connections that are being established at the same time: below the shortest queue that a
/// server may have, nearly.
const CONNECTING_MAX: u32 = 64;

/// How long one may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Whom a running load shows itself to. Every method does nothing unless you say otherwise.
pub trait Observer {
    /// About ten times a second: what has been measured so far.
    fn tick(&mut self, _elapsed: Duration, _meter: &Metrics) {}

    /// Once a second, and for the rest at the end: the latencies of that interval.
    fn interval(&mut self, _start: Duration, _length: Duration, _latencies: &Histogram<u64>) {}
}

/// Nobody watches.
impl Observer for () {}

/// A load on one server: opened once, then run slice by slice.
///
/// ```no_run
/// use std::time::Duration;
/// use epollite_bench::load::{Config, Length, Load, Target};
/// let target = Target::Tcp("127.0.0.1:7777".parse().unwrap());
/// let mut load = Load::open(&Config { connections: 64, ..Config::new(target) })?;
/// let slice = load.slice(Length::For(Duration::from_millis(50)), &mut ())?;
/// println!("{} messages in {:?}", slice.messages, slice.elapsed);
/// # Ok::<(), epollite_bench::load::Failure>(())
/// ```
pub struct Load {
    config: Config,
    reactor: Reactor<Source>,
    shared: LoadState,
    timer: DeadlineTimer,
    /// Who has each index; with churn, who is alive.
    tokens: Vec<Option<Token>>,
    /// When those were meant to leave for which no connection was free.
    pending_connects: std::collections::VecDeque<Instant>,
    /// Lives so far, of all indices; without churn, messages that the schedule has handed out.
    started: u64,
    /// Sockets opened for lives so far.
    sockets: u64,
    /// Indices without a connection.
    idle_slots: Vec<u32>,
    slices: u64,
    is_interrupted: bool,
    skip_drain: bool,
}

/// Who is registered. A connection is a stream and more; its box lasts as long as its socket.
enum Source {
    Stream(Stream),
    ShortLived { index: u32, connection: Box<ShortLivedConnection> },
    Socket(Socket),
    Timer,
    Signals,
}

impl Load {
    /// Opens the connections and leaves them idle; raises the limit of open files if need be.
    ///
    /// # Errors
    /// * [`Failure::Absent`], [`Failure::Itself`], [`Failure::Unanswered`]: nobody is there.
    /// * [`Failure::Descriptors`], [`Failure::Ports`]: too many connections.
    ///
    /// # Panics
    /// The configuration cannot be meant: see [`Config::check`].
    pub fn open(config: &Config) -> Result<Self, LoadError> {
        assert_eq!(config.check(), Ok(()), "a configuration is checked before");
        connect::anywhere(config, Self::open_at)
    }

    /// Opens it at the target, and nowhere else.
    fn open_at(config: &Config) -> Result<Self, LoadError> {
        connect::raise_limit(config.connections)?;
        // The schedule is in microseconds; without this the kernel wakes us up to 50 µs late.
        // Best effort: then the report says how late we were.
        let _ = nix::sys::prctl::set_timerslack(1);
        let reactor = Reactor::new().map_err(LoadError::call("epoll_create1"))?;
        let (timer, watched) = DeadlineTimer::new().map_err(LoadError::call("timerfd_create"))?;
        let run = random_run_id();
        let mut load = Self {
            shared: LoadState::new(config, run),
            timer: timer,
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
            // Whether anybody is there is told before the first slice, as it is without churn.
            load.probe()?;
            load.idle_slots = (0..config.connections).rev().collect();
        } else {
            load.connect_all()?;
        }
        Ok(load)
    }

    /// From now on SIGTERM, and SIGINT unless it was ignored at the start, end the slice that runs,
    /// in order: what is under way is still waited for. The calling thread does not get them any
    /// more.
    ///
    /// # Errors
    /// [`Failure::Syscall`]: the kernel refuses.
    pub fn install_signalfd(&mut self) -> Result<(), LoadError> {
        let mut signals = epollite::SignalSet::from(Signal::TERM);
        if !crate::interrupt::is_ignored(Signal::INT.number().into()) {
            signals = signals | Signal::INT.into();
        }
        let kernel = self.reactor.kernel();
        kernel.sigprocmask(signals).map_err(LoadError::call("sigprocmask"))?;
        let fd = kernel.signalfd(signals).map_err(LoadError::call("signalfd"))?;
        self.register(fd, Source::Signals).map(drop)
    }

    /// From the next slice on, this decides when messages leave.
    ///
    /// # Panics
    /// The configuration cannot be meant then: see [`Config::check`].
    pub fn set_pace(&mut self, pace: Pace) {
        self.config.pace = pace;
        assert_eq!(self.config.check(), Ok(()), "a configuration is checked before");
        (self.shared.closed_loop, self.shared.window) =
            (pace.rate().is_none(), self.config.window());
    }

    /// What it was asked; the target is the one of several addresses that answered.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What has been measured since the last slice began.
    #[must_use]
    pub const fn meter(&self) -> &Metrics {
        &self.shared.meter
    }

    /// Whether a signal has asked for the end.
    #[must_use]
    pub const fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    fn connect_all(&mut self) -> Result<(), LoadError> {
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

    /// Waits until those are connected. The first event of each says that it is, or why not.
    fn wait_connected(&mut self, indices: std::ops::Range<u32>) -> Result<(), LoadError> {
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
                && let Some(source) = self.reactor.get_mut(token)
                && let Ok(SocketOption::Error(Some(errno))) =
                    source.io.kernel.getsockopt(source.io.fd, SocketOptionName::Error)
            {
                return Err(LoadError::ConnectFailed { target, errno });
            }
            awaited.remove(&token);
            if !matches!(target, Target::Tcp(_))
                && let Some(mut source) = self.reactor.get_mut(token)
            {
                write_interest::disable_write_interest(&mut source.io)?;
            }
        }
        Ok(())
    }

    /// Opens one connection and closes it again.
    fn probe(&mut self) -> Result<(), LoadError> {
        let fd = connect::start_connect(&self.config, 0)?;
        let source = Source::Stream(Stream::new(0, 0));
        let token = self.register(fd, source)?;
        self.tokens[0] = Some(token);
        let result = self.wait_connected(0..1);
        self.tokens[0] = None;
        self.reactor.close(token);
        result
    }

    fn register(&mut self, fd: epollite::Fd, source: Source) -> Result<Token, LoadError> {
        self.reactor
            .register_or_close(fd, write_interest::read_write_interest(), Trigger::Edge, source)
            .map_err(LoadError::epoll_ctl)
    }

    /// Takes the signals that have come; any of them means the end.
    fn on_signal(&mut self, token: Token) {
        let Some(source) = self.reactor.get_mut(token) else {
            return;
        };
        let mut record = [0; SIGINFO_BYTES];
        while source.io.kernel.read(source.io.fd, &mut record).is_ok() {
            // Asked twice, we do not wait for anybody.
            self.skip_drain = self.is_interrupted;
            self.is_interrupted = true;
            self.shared.close();
        }
    }
}

/// A number that the run before did not have, nor one beside it.
fn random_run_id() -> u32 {
    rand::rngs::SysRng.try_next_u32().unwrap_or_else(|_| std::process::id())
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("config", &self.config).finish_non_exhaustive()
    }
}
