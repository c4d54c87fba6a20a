//! The stream server: echo over TCP and Unix sockets, in every trigger mode.
//!
//! This is the only place where both seams meet: the kernel's verbs below, and the [`Echo`]
//! conversation above. Letting connections in is in `door.rs`, serving one in `guest.rs`.
//!
//! [`Echo`]: crate::echo::Echo

mod config;
mod door;
mod guest;

pub use config::{Config, IDLE_MAX, Left, Note, Stats};
pub use door::Herd;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;

use crate::errno::Errno;
use crate::event::{EPOLLIN, EPOLLOUT, Event, Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::{Fd, Kernel};
use crate::linux::Linux;
use crate::reactor::{Io, Limits, Reactor, Waker};
use crate::token::Token;
use door::Door;
use guest::{Guest, Served};

/// What a registration is to this server.
#[derive(Debug)]
enum Role<X> {
    Door(Door),
    Guest(Guest),
    Foreign(X),
}

// An idle connection is a slot of the slab and nothing else: no buffer, no box. The slab
// grows by half, so this bound holds even when it has just grown.
const _: () = assert!(
    Reactor::<Role<Box<u8>>, Linux>::REGISTRATION_BYTES * 3 / 2 <= 64
        && Reactor::<Role<Infallible>, Linux>::REGISTRATION_BYTES * 3 / 2 <= 64,
    "an idle connection costs at most 64 bytes of ours"
);

/// Notes that are kept for who takes them; what happens while so many wait is not noted.
const NOTES_MAX: usize = 1 << 16;

/// What may be so of a connection without our having been told.
const ASSUMED_READY: Ready = Ready::from_bits(EPOLLIN | EPOLLOUT);

/// Registrations that are not connections: listeners, and what the caller adds.
const OTHERS_MAX: u32 = 1 << 10;

/// An echo server for streams.
///
/// It owns a [`Reactor`] and is driven like one, turn by turn: [`turn`](Self::turn) waits
/// once and serves what came, and hands out what is not its own. A program can so have a
/// signalfd or a datagram socket (`X`) in the same loop, at no extra system call; a simulated
/// world can drive it step by step. Who has nothing else calls [`run`](Self::run).
///
/// Laws: what goes out is a prefix of what came in, per connection, and equal once the peer
/// has half-closed and read to the end. One connection makes us hold at most
/// `Config::buffer_bytes`, an idle one 64 bytes. Every turn is bounded.
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use epollite::Linux;
/// use epollite::server::stream::{Config, Server};
/// use std::io::{Read, Write};
/// use std::net::{Shutdown, TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let addr = listener.local_addr()?;
/// listener.set_nonblocking(true)?;
/// let mut server = Server::<Linux>::new(Linux, Config::default())?;
/// server.open(listener.into())?;
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
pub struct Server<K: Kernel = Linux, X = Infallible> {
    reactor: Reactor<Role<X>, K>,
    config: Config,
    /// The one buffer everybody is read into.
    buf: Vec<u8>,
    stats: Stats,
    notes: VecDeque<Note>,
    doors: Vec<Token>,
    guests: u32,
    is_paused: bool,
    /// Set while leaving: when patience ends.
    leaving: Option<Instant>,
    /// Whether [`Turn::Over`] has been said.
    has_left: bool,
}

/// What a turn came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// The deadline passed first.
    Idle,
    /// What came has been served.
    Served,
    /// This event is the caller's: [`Event::Woken`], or of a registration made with
    /// [`admit`](Server::admit). The turn goes on with the next call.
    Foreign(Event),
    /// The server was stopped, and the last connection has left. Said once: further turns
    /// wait for the caller's own events only.
    Over,
}

impl<K: Kernel, X> Server<K, X> {
    /// A server without a door yet. Work: one system call, one allocation of
    /// `config.buffer_bytes`.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: out of something.
    ///
    /// # Panics
    /// A bound of `config` is zero, or `config.idle` is over [`IDLE_MAX`].
    pub fn new(kernel: K, config: Config) -> Result<Self, Errno> {
        assert!(config.buffer_bytes > 0, "reading into nothing tells nothing");
        assert!(config.budget_bytes > 0 && config.accepts_max > 0, "no turn without a budget");
        assert!(config.idle.is_none_or(|idle| idle <= IDLE_MAX), "idle times are under 24 days");
        let registrations_max = config.connections_max.saturating_add(OTHERS_MAX);
        let limits = Limits { registrations_max, events_max: config.events_max };
        Ok(Self {
            reactor: Reactor::with_limits(kernel, limits)?,
            config,
            buf: vec![0; config.buffer_bytes],
            stats: Stats::default(),
            notes: VecDeque::new(),
            doors: Vec::new(),
            guests: 0,
            is_paused: false,
            leaving: None,
            has_left: false,
        })
    }

    /// Has the caller's own descriptor, a non-blocking one, waited on in this loop: its events
    /// come out of [`turn`](Self::turn). Work: one system call.
    ///
    /// # Errors
    /// What epoll_ctl(2) said; the descriptor is closed then.
    pub fn admit(
        &mut self,
        fd: Fd,
        interest: Interest,
        trigger: Trigger,
        state: X,
    ) -> Result<Token, Errno> {
        let role = Role::Foreign(state);
        self.reactor.register_or_close(fd, interest, trigger, role).map_err(Errno::from)
    }

    /// What was admitted under `token`. Work: O(1).
    pub fn foreign(&mut self, token: Token) -> Option<(&mut X, Io<'_, K>)> {
        let source = self.reactor.source(token)?;
        match source.state {
            Role::Foreign(state) => Some((state, source.io)),
            Role::Door(_) | Role::Guest(_) => None,
        }
    }

    /// Ends what was admitted under `token` and hands it back. Work: one system call.
    pub fn dismiss(&mut self, token: Token) -> Option<(Fd, X)> {
        self.foreign(token)?;
        match self.reactor.deregister(token)? {
            (fd, Role::Foreign(state)) => Some((fd, state)),
            (_, Role::Door(_) | Role::Guest(_)) => unreachable!("it was foreign just now"),
        }
    }

    /// Waits until an event comes, `deadline` at most, and serves what came. Work: one wait (more
    /// when they are interrupted), then at most `events_max` events, those that stand again,
    /// and the deadlines that have passed, each within its budget. Once, when the drain time is
    /// over: every connection within its budget.
    ///
    /// # Errors
    /// What epoll_wait(2) said; the server can go no further then. An interrupted wait is no
    /// error.
    pub fn turn(&mut self, deadline: Option<Instant>) -> Result<Turn, Errno> {
        // What an earlier turn left when it handed an event out is served first: until then
        // nobody is late.
        let mut event = self.reactor.pending();
        if event.is_none() {
            if self.is_over() {
                return Ok(Turn::Over);
            }
            let leaving = self.leaving.filter(|_| !self.has_left);
            let until = [deadline, leaving].into_iter().flatten().min();
            event = match self.reactor.next(until) {
                Ok(event) => event,
                Err(errno) if errno.interrupted() || errno.exhausted() => {
                    // Again and again: the kernel tells nothing, and the end cannot wait for it.
                    return Ok(if self.is_over() { Turn::Over } else { Turn::Served });
                }
                Err(errno) => return Err(errno),
            };
        }
        if event.is_none() {
            return Ok(if self.is_over() { Turn::Over } else { Turn::Idle });
        }
        while let Some(came) = event {
            if let Some(foreign) = self.serve(came) {
                return Ok(Turn::Foreign(foreign));
            }
            event = self.reactor.pending();
        }
        Ok(Turn::Served)
    }

    /// Whether the drain is over. Connections that are still open at its deadline are served once
    /// more, since what they sent in time may not have been reported yet, and closed.
    fn is_over(&mut self) -> bool {
        let Some(leaving) = self.leaving.filter(|_| !self.has_left) else { return false };
        if self.guests > 0 && self.reactor.kernel().now() >= leaving {
            self.each_guest(|server, token| {
                server.attend(token, ASSUMED_READY);
                server.farewell(token, Left::Expired);
            });
        }
        self.has_left = self.guests == 0;
        self.has_left
    }

    /// Serves one event, or hands it out.
    fn serve(&mut self, event: Event) -> Option<Event> {
        let (token, ready) = match event {
            Event::Io { token, ready } => (token, Some(ready)),
            Event::Timer { token } => (token, None),
            Event::Woken => return Some(event),
        };
        let did = match (self.reactor.source(token)?.state, ready) {
            (Role::Foreign(_), _) => return Some(event),
            (&mut Role::Door(Door { local, .. }), Some(_)) => self.accept(token, local),
            (Role::Door(_), None) => {
                self.resume();
                true
            }
            (Role::Guest(_), Some(ready)) => self.attend(token, ready),
            (Role::Guest(_), None) => self.check_patience(token),
        };
        if did {
            self.stats.useful += 1;
        } else {
            self.stats.spurious += 1;
        }
        None
    }

    /// Serves one connection. Returns whether anything was done.
    fn attend(&mut self, token: Token, ready: Ready) -> bool {
        let Some(mut source) = self.reactor.source(token) else { return false };
        let Role::Guest(guest) = source.state else { return false };
        let before = self.stats.bytes_in;
        let served =
            guest.serve(&mut source.io, ready, &mut self.buf, &self.config, &mut self.stats);
        if self.config.idle.is_some() && served != Served::Spurious {
            guest.was_active(source.io.kernel.now());
        }
        if self.config.tell && self.stats.bytes_in > before {
            let bytes = usize::try_from(self.stats.bytes_in - before).unwrap_or(usize::MAX);
            self.tell(Note::Said { token, bytes });
        }
        if let Served::Over(left) = served {
            self.farewell(token, left);
        }
        served != Served::Spurious
    }

    fn check_patience(&mut self, token: Token) -> bool {
        let now = self.reactor.reported_until();
        let Some(source) = self.reactor.source(token) else { return false };
        let Role::Guest(guest) = source.state else { return false };
        if guest.is_due(now, &self.config) {
            // Nothing promises in which order a kernel tells of more than a batch holds.
            self.attend(token, ASSUMED_READY);
        }
        let Some(mut source) = self.reactor.source(token) else { return true };
        let Role::Guest(guest) = source.state else { return false };
        let was_idled = guest.idled;
        let left = guest.time_passed(&mut source.io, now, &self.config);
        let is_idled = guest.idled;
        self.stats.timed_out += u64::from(is_idled && !was_idled);
        match left {
            Some(left) => self.farewell(token, left),
            // It was asked to leave: begin with that.
            None if is_idled => _ = self.attend(token, Ready::READABLE),
            None => {}
        }
        true
    }

    /// A connection ends: its descriptor is free, and with it perhaps the door.
    fn farewell(&mut self, token: Token, why: Left) {
        if self.reactor.close(token).is_none() {
            return;
        }
        self.guests -= 1;
        self.stats.closed += 1;
        if let Left::Failed(Errno::ECONNRESET | Errno::EPIPE) = why {
            self.stats.reset += 1;
        }
        if self.config.tell {
            self.tell(Note::Left { token, why });
        }
        self.resume();
    }

    /// Begins to leave: lets in who has queued already, shuts the doors, and asks everybody to
    /// go as soon as what has arrived is answered. [`turn`](Self::turn) is [`Turn::Over`] when
    /// they have gone, or when `Config::drain` has passed. Work: O(connections), each within
    /// its budget; once.
    pub fn stop(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        self.is_paused = true;
        self.leaving = Some(self.reactor.kernel().now() + self.config.drain);
        self.shut_doors();
        self.each_guest(|server, token| {
            let Some(mut source) = server.reactor.source(token) else { return };
            let Role::Guest(guest) = source.state else { return };
            guest.is_leaving = true;
            // From here on patience is the drain's, not that of silence.
            source.io.cancel_deadline();
            server.attend(token, Ready::READABLE);
        });
    }

    fn each_guest(&mut self, mut act: impl FnMut(&mut Self, Token)) {
        for slot in 0..self.reactor.slots() {
            if let Some(token) = self.reactor.token_at(slot)
                && let Some(source) = self.reactor.source(token)
                && matches!(source.state, Role::Guest(_))
            {
                act(self, token);
            }
        }
    }

    /// Something another thread can wake this server with: [`turn`](Self::turn) hands the
    /// event out, [`run`](Self::run) stops on it. Work: two system calls the first time.
    ///
    /// # Errors
    /// As [`Reactor::waker`].
    pub fn waker(&mut self) -> Result<Waker, Errno> {
        self.reactor.waker()
    }

    /// The kernel below. Work: O(1).
    pub fn kernel(&mut self) -> &mut K {
        self.reactor.kernel()
    }

    fn tell(&mut self, note: Note) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push_back(note);
        }
    }

    /// The oldest thing worth telling that has not been told; to be taken now and again, since
    /// only some 65,000 are kept. Work: O(1).
    pub fn note(&mut self) -> Option<Note> {
        self.notes.pop_front()
    }

    /// What it has counted. Work: O(1).
    #[must_use]
    pub const fn stats(&self) -> Stats {
        Stats { stale: self.reactor.stale(), ..self.stats }
    }

    /// How many bytes are owed to all connections together: the memory that they make us
    /// hold beside their slots. Work: O(connections).
    pub fn owed_bytes(&mut self) -> u64 {
        let mut sum = 0;
        self.each_guest(|server, token| {
            if let Some(source) = server.reactor.source(token)
                && let Role::Guest(guest) = source.state
            {
                sum += guest.echo.owed().len() as u64;
            }
        });
        sum
    }

    /// How many listeners there are: those that were opened, without those that failed or that
    /// [`stop`](Self::stop) has closed. Work: O(1).
    #[must_use]
    pub const fn listeners(&self) -> usize {
        self.doors.len()
    }

    /// How many connections there are. Work: O(1).
    #[must_use]
    pub const fn connections(&self) -> u32 {
        self.guests
    }
}

impl<K: Kernel> Server<K> {
    /// Serves until [woken](Self::waker), then leaves in order; returns what it counted.
    /// Work: turn after turn.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn run(&mut self) -> Result<Stats, Errno> {
        loop {
            match self.turn(None)? {
                Turn::Over => return Ok(self.stats()),
                Turn::Foreign(_) => self.stop(),
                Turn::Idle | Turn::Served => self.notes.clear(),
            }
        }
    }
}

impl<K: Kernel, X> fmt::Debug for Server<K, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("config", &self.config)
            .field("connections", &self.guests)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
