//! Outbound connections: several addresses in turn, one deadline, one registration at the end.
//!
//! Knows the calls from socket(2) to getsockopt(2) and the reactor's registrations and timers; no
//! names are resolved here.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::reactor::Reactor;
use super::register_error::RegisterError;
use super::retry::retry_on_eintr;
use super::storage::StorageOf;
use crate::errno::Errno;
use crate::event::{EPOLLOUT, Event, Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::{
    CallError, Fd, Kernel, SocketOption, SocketOptionName, SocketType, Syscall, close_quietly,
    is_connected_to_itself,
};
use crate::net::{Addr, AddressFamily};
use crate::token::Token;

/// Delay until a connect to a Unix listener whose accept queue is full is retried: no event
/// reports that it has room. Three calls each time.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Where to connect to, and how.
///
/// ```
/// use epollite::reactor::ConnectConfig;
/// let addrs = vec!["[::1]:7".parse()?, "127.0.0.1:7".parse()?];
/// let config = ConnectConfig { addrs, ..ConnectConfig::default() };
/// # Ok::<(), epollite::net::AddrError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectConfig {
    /// The addresses, which are tried one after the other until one accepts.
    pub addrs: Vec<Addr>,
    /// The type of the socket.
    pub kind: SocketType,
    /// Options that are set before bind(2).
    pub options: Vec<SocketOption>,
    /// The local address. It is bound first, and an address of another family then fails. Without
    /// a port here a connection to itself counts as refused
    /// ([`is_connected_to_itself`]).
    pub bind: Option<Addr>,
    /// When to give up, whatever is left to try.
    pub deadline: Option<Instant>,
    /// How long one address may take, if there are others after it or not.
    pub attempt_timeout: Option<Duration>,
    /// What the registration waits for when it is connected.
    pub interest: Interest,
    /// Its trigger then.
    pub trigger: Trigger,
}

impl Default for ConnectConfig {
    /// No address, no limit of time; then readable, level-triggered.
    fn default() -> Self {
        Self {
            addrs: Vec::new(),
            kind: SocketType::Stream,
            options: Vec::new(),
            bind: None,
            deadline: None,
            attempt_timeout: None,
            interest: Interest::READABLE,
            trigger: Trigger::Level,
        }
    }
}

/// A connection that is being established by [`Reactor::connect`].
///
/// It owns no descriptor: the reactor does, under [`token`](Self::token). Dropping it before it is
/// connected leaves that registration; [`Reactor::close`] with the token ends both.
#[must_use = "it continues only with the events that are passed to it"]
#[derive(Debug)]
pub struct Connector {
    config: ConnectConfig,
    /// Index of the address that is tried.
    index: usize,
    stage: Stage,
    token: Token,
    /// When the address that is tried has taken too long.
    until: Option<Instant>,
}

/// ```text
///              +--- 10 ms ---+ EAGAIN of a Unix listener
///              v             |
///   start -> attempt -> Waiting
///              ^  |
///    failed,   |  +-> Connecting -> Over (connected)
///    next one  +--------+  |
///                          +-> Over (no address left, or the deadline)
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The token is that of a socket.
    Connecting,
    /// The token is that of a timer.
    Waiting,
    /// The token is no longer this connector's.
    Over,
}

/// What an event meant for a [`Connector`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectProgress {
    /// The event belongs to another registration, or the connector has finished.
    Unrelated,
    /// It goes on, perhaps with the next address and another token.
    Pending,
    /// The connection is established. Its token is that of the event.
    Connected {
        /// Index of its address in [`ConnectConfig::addrs`].
        index: usize,
    },
}

/// No address could be connected to: the failure of the last that was tried.
pub struct ConnectError<T> {
    /// The call, and its error.
    pub error: CallError,
    /// Index of the address in [`ConnectConfig::addrs`].
    pub index: usize,
    /// The state that was passed in.
    pub state: T,
}

impl<T, K: Kernel, S: StorageOf<T>> Reactor<T, K, S> {
    /// Begins to connect to the first of `config.addrs` that accepts, and registers the socket with
    /// `state`. Cost: four system calls for each address that is tried at once, one for each
    /// option, and one if `bind` is set.
    ///
    /// Pass each event to [`Connector::on_event`] until that returns
    /// [`Connected`](ConnectProgress::Connected), also when the connection was established at once.
    ///
    /// ```
    /// use epollite::{Addr, Kernel, Reactor};
    /// use epollite::reactor::{ConnectConfig, ConnectProgress};
    /// use epollite::server::{bind_stream, PortSharing};
    /// use epollite::sim::Sim;
    ///
    /// let servers = Sim::default();
    /// let mut server = servers.new_process();
    /// let any = "127.0.0.1:0".parse()?;
    /// let (listener, addr) = bind_stream(&mut server, &any, PortSharing::Exclusive)?;
    ///
    /// let mut reactor = Reactor::with_kernel(servers.new_process())?;
    /// let addrs = vec!["127.0.0.1:1".parse()?, addr]; // The first one refuses.
    /// let mut connector = reactor
    ///     .connect(ConnectConfig { addrs, ..ConnectConfig::default() }, "state")?;
    /// let token = loop {
    ///     let event = reactor.next(None)?.expect("there is no deadline");
    ///     if let ConnectProgress::Connected { index } = connector.on_event(&mut reactor, event)? {
    ///         assert_eq!(index, 1);
    ///         break connector.token();
    ///     }
    /// };
    /// let (state, mut io) = reactor.get_mut(token).expect("it is registered");
    /// assert_eq!(*state, "state");
    /// io.send(b"hello")?;
    /// # server.close(listener)?;
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ConnectError`], when no address is left. [`Errno::EDESTADDRREQ`]: there was none.
    /// [`Errno::EMFILE`] and others of socket(2), [`Errno::EADDRINUSE`] of bind(2),
    /// [`Errno::ECONNREFUSED`] of connect(2), … Nothing stays open.
    ///
    /// Man page: connect(2)
    #[doc(alias = "EINPROGRESS")]
    pub fn connect(
        &mut self,
        config: ConnectConfig,
        state: T,
    ) -> Result<Connector, ConnectError<T>> {
        // Replaced by the first attempt, or never used.
        let token = Token::from_bits(0);
        let mut connector = Connector { config, index: 0, stage: Stage::Over, token, until: None };
        let error = CallError { call: Syscall::Connect, errno: Errno::EDESTADDRREQ };
        connector.try_addresses(self, ConnectError { error, index: 0, state })?;
        Ok(connector)
    }
}

impl Connector {
    /// Continues with an event. Cost: at most six system calls, and those of
    /// [`Reactor::connect`] when the next address is tried.
    ///
    /// The outcome is that of `SO_ERROR`. When it is connected, the registration is changed to
    /// [`ConnectConfig::interest`] and its deadline is cancelled.
    ///
    /// # Errors
    /// [`ConnectError`], with the state: no address is left, or [`Errno::ETIMEDOUT`] because the
    /// deadline has passed. The socket is closed.
    ///
    /// Man page: connect(2), `EINPROGRESS`; socket(7), `SO_ERROR`
    #[doc(alias = "SO_ERROR")]
    pub fn on_event<T, K: Kernel, S: StorageOf<T>>(
        &mut self,
        reactor: &mut Reactor<T, K, S>,
        event: Event,
    ) -> Result<ConnectProgress, ConnectError<T>> {
        let (Event::Io { token, .. } | Event::Timer { token }) = event else {
            return Ok(ConnectProgress::Unrelated);
        };
        if self.stage == Stage::Over || token != self.token {
            return Ok(ConnectProgress::Unrelated);
        }
        let is_timer = matches!(event, Event::Timer { .. });
        let error = if is_timer && self.stage == Stage::Waiting && !self.has_ended(reactor) {
            None
        } else if is_timer {
            Some(CallError { call: Syscall::Connect, errno: Errno::ETIMEDOUT })
        } else {
            match self.finish(reactor) {
                Ok(()) => {
                    self.stage = Stage::Over;
                    return Ok(ConnectProgress::Connected { index: self.index });
                }
                Err(error) => Some(error),
            }
        };
        self.stage = Stage::Over;
        // The token was live: its event has just been returned, or the caller has closed it since.
        let Some(state) = reactor.close(token) else { return Ok(ConnectProgress::Unrelated) };
        let is_timeout = is_timer && error.is_some();
        let error = match error {
            Some(error) => ConnectError { error, index: self.index, state },
            None => match self.try_again(reactor, state) {
                Ok(()) => return Ok(ConnectProgress::Pending),
                Err(error) => error,
            },
        };
        if is_timeout && self.is_last_deadline() {
            return Err(error);
        }
        self.index += 1;
        self.try_addresses(reactor, error)?;
        Ok(ConnectProgress::Pending)
    }

    /// Gives up: closes the socket and returns the state. `None` when it has finished before.
    /// Cost: two system calls.
    pub fn cancel<T, K: Kernel, S: StorageOf<T>>(
        self,
        reactor: &mut Reactor<T, K, S>,
    ) -> Option<T> {
        if self.stage == Stage::Over { None } else { reactor.close(self.token) }
    }

    /// The registration: of the socket, or of the timer until the next attempt. It changes with
    /// each address, and stays when connected. Cost: O(1).
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// Where it is to connect to. Cost: O(1).
    #[must_use]
    pub const fn config(&self) -> &ConnectConfig {
        &self.config
    }

    /// Tries each address that is left, until one is connected or in progress. `error` is that of
    /// the address before.
    fn try_addresses<T, K: Kernel, S: StorageOf<T>>(
        &mut self,
        reactor: &mut Reactor<T, K, S>,
        mut error: ConnectError<T>,
    ) -> Result<(), ConnectError<T>> {
        while self.index < self.config.addrs.len() {
            let timeout = self.config.attempt_timeout;
            let until = timeout.map(|timeout| reactor.kernel.now() + timeout);
            self.until = until.into_iter().chain(self.config.deadline).min();
            match self.try_again(reactor, error.state) {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
            self.index += 1;
        }
        Err(error)
    }

    /// Tries the current address.
    fn try_again<T, K: Kernel, S: StorageOf<T>>(
        &mut self,
        reactor: &mut Reactor<T, K, S>,
        state: T,
    ) -> Result<(), ConnectError<T>> {
        let index = self.index;
        let addr = &self.config.addrs[index];
        let failed = |error, state| ConnectError { error, index, state };
        let (socket, is_done) = match start(&mut reactor.kernel, &self.config, addr) {
            Ok(started) => started,
            Err(error) if self.is_retried(error, addr) => return self.wait(reactor, state),
            Err(error) => return Err(failed(error, state)),
        };
        let registered = reactor.register(socket, Interest::WRITABLE, Trigger::Level, state);
        self.token = registered.map_err(|RegisterError { kind, fd, state }| {
            close_quietly(&mut reactor.kernel, fd);
            failed(CallError { call: Syscall::EpollCtl, errno: kind.into() }, state)
        })?;
        let mut prepared = Ok(());
        if let Some((_, mut io)) = reactor.get_mut(self.token) {
            if let Some(until) = self.until {
                prepared = io.try_set_deadline(until);
            }
            if is_done {
                prepared = prepared.and_then(|()| io.try_requeue(Ready::from_bits(EPOLLOUT)));
            }
        }
        if let Err(errno) = prepared
            && let Some(state) = reactor.close(self.token)
        {
            return Err(failed(CallError { call: Syscall::Connect, errno }, state));
        }
        self.stage = Stage::Connecting;
        Ok(())
    }

    /// Sets a timer until the next attempt.
    fn wait<T, K: Kernel, S: StorageOf<T>>(
        &mut self,
        reactor: &mut Reactor<T, K, S>,
        state: T,
    ) -> Result<(), ConnectError<T>> {
        let again = reactor.kernel.now() + RETRY_INTERVAL;
        let until = self.until.map_or(again, |until| until.min(again));
        let registered = reactor.try_add_timer(until, state);
        self.token = registered.map_err(|(kind, state)| ConnectError {
            error: CallError { call: Syscall::Connect, errno: kind.into() },
            index: self.index,
            state,
        })?;
        self.stage = Stage::Waiting;
        Ok(())
    }

    /// The outcome of a connect that was in progress.
    fn finish<T, K: Kernel, S: StorageOf<T>>(
        &self,
        reactor: &mut Reactor<T, K, S>,
    ) -> Result<(), CallError> {
        // Closed by the caller: there is no state to return either.
        let Some((_, mut io)) = reactor.get_mut(self.token) else {
            return Err(CallError { call: Syscall::Connect, errno: Errno::EBADF });
        };
        let failed = |call| move |errno| CallError { call, errno };
        let error = io.syscall(|kernel, fd| kernel.getsockopt(fd, SocketOptionName::Error));
        match error.map_err(failed(Syscall::Getsockopt))? {
            SocketOption::Error(None) => {}
            SocketOption::Error(Some(errno)) => return Err(failed(Syscall::Connect)(errno)),
            option => unreachable!("a kernel returns the option that was asked, not {option:?}"),
        }
        let addr = &self.config.addrs[self.index];
        let is_port_chosen = self.config.bind.and_then(|bind| bind.port()).is_some_and(|p| p != 0);
        let itself = |kernel: &mut K, fd: &Fd| Ok(is_connected_to_itself(kernel, fd, addr));
        if !is_port_chosen && io.syscall(itself) == Ok(true) {
            return Err(failed(Syscall::Connect)(Errno::ECONNREFUSED));
        }
        io.cancel_deadline();
        if io.is_registered_for(self.config.interest, self.config.trigger) {
            return Ok(());
        }
        io.modify(self.config.interest, self.config.trigger)
            .map_err(|kind| failed(Syscall::EpollCtl)(kind.into()))
    }

    /// Whether the time of the current address is over.
    fn has_ended<T, K: Kernel, S: StorageOf<T>>(&self, reactor: &mut Reactor<T, K, S>) -> bool {
        self.until.is_some_and(|until| until <= reactor.reported_until())
    }

    /// Whether the deadline that the current address has is the last one.
    fn is_last_deadline(&self) -> bool {
        self.config.deadline.is_some() && self.until == self.config.deadline
    }
}

impl Connector {
    /// Whether the same address is tried again. Not with an address of its own: a path that was
    /// bound stays behind, and cannot be bound again.
    fn is_retried(&self, error: CallError, addr: &Addr) -> bool {
        is_queue_full(error, addr) && self.config.bind.is_none()
    }
}

/// Whether a Unix listener's accept queue is full.
fn is_queue_full(error: CallError, addr: &Addr) -> bool {
    let would_block = CallError { call: Syscall::Connect, errno: Errno::EAGAIN };
    error == would_block && addr.family() == Some(AddressFamily::Unix)
}

/// Creates a socket that connects; returns also whether that has completed already.
fn start<K: Kernel>(
    kernel: &mut K,
    config: &ConnectConfig,
    addr: &Addr,
) -> Result<(Fd, bool), CallError> {
    let failed = |call| move |errno| CallError { call, errno };
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT).map_err(failed(Syscall::Socket))?;
    let socket = kernel.socket(family, config.kind).map_err(failed(Syscall::Socket))?;
    let mut connect = || {
        for &option in &config.options {
            kernel.setsockopt(&socket, option).map_err(failed(Syscall::Setsockopt))?;
        }
        if let Some(local) = &config.bind {
            kernel.bind(&socket, local).map_err(failed(Syscall::Bind))?;
        }
        match retry_on_eintr(|| kernel.connect(&socket, addr)) {
            // An interrupted connect continues by itself, and is in progress already when retried.
            Err(Errno::EINPROGRESS | Errno::EALREADY) => Ok(false),
            Ok(()) | Err(Errno::EISCONN) => Ok(true),
            Err(errno) => Err(failed(Syscall::Connect)(errno)),
        }
    };
    match connect() {
        Ok(is_done) => Ok((socket, is_done)),
        Err(error) => {
            close_quietly(kernel, socket);
            Err(error)
        }
    }
}

impl<T> fmt::Debug for ConnectError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectError({:?}, address {})", self.error, self.index)
    }
}

impl<T> fmt::Display for ConnectError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> core::error::Error for ConnectError<T> {}
