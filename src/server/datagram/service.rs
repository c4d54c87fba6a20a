//! Serving one datagram socket: receive a batch, drop what must not be answered, send the
//! rest back from where it lies.
//!
//! Knows the socket through [`Io`]; who waits on it is somebody else's affair.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::refusal::refuses;
use crate::addr::{Addr, Family};
use crate::batch::{Batch, DATAGRAMS_A_CALL_MAX};
use crate::errno::Errno;
use crate::event::{Interest, Ready, Trigger};
use crate::kernel::{Fd, Kernel, is_refused, is_source_unusable, recv_datagram, reply_datagram};
use crate::reactor::{Io, patiently};
use crate::server::bind::enable_packet_info;

/// How a datagram server serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// How sockets are watched.
    pub trigger: Trigger,
    /// Datagrams a call.
    pub datagrams_max: usize,
    /// The longest datagram that is echoed. A longer one is truncated by the kernel: it is
    /// counted and not answered, since half an echo is none.
    pub datagram_bytes_max: usize,
    /// Calls that receive, before the others have their turn.
    pub batches_max: u32,
    /// Whether to tell of every datagram ([`Turned`]).
    pub tell: bool,
}

impl Default for Config {
    /// Batches of 32, where the cost of the call has all but vanished; any UDP datagram is
    /// echoed, the longest being 65,507 bytes over IPv4 and 65,527 over IPv6.
    fn default() -> Self {
        Self {
            trigger: Trigger::Edge,
            datagrams_max: 32,
            datagram_bytes_max: 65_536,
            batches_max: 8,
            tell: false,
        }
    }
}

/// What a datagram server has counted since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent back.
    pub echoed: u64,
    /// Too long, and so not answered.
    pub truncated: u64,
    /// From a port that would answer the answer.
    pub refused: u64,
    /// Answers that the system would not take.
    pub dropped: u64,
    /// Errors that came instead of datagrams: an earlier answer met a closed port.
    pub errors: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent back.
    pub bytes_out: u64,
    /// Events after which something was done.
    pub useful: u64,
    /// Events after which there was nothing to do.
    pub spurious: u64,
}

impl Stats {
    /// Adds what another server counted. Work: O(1).
    pub const fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.echoed += other.echoed;
        self.truncated += other.truncated;
        self.refused += other.refused;
        self.dropped += other.dropped;
        self.errors += other.errors;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.useful += other.useful;
        self.spurious += other.spurious;
    }
}

/// What became of a datagram.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Served {
    /// It goes back.
    Echoed,
    /// It was too long.
    Truncated,
    /// Its sender would answer the answer.
    Refused,
}

/// A datagram worth telling of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turned {
    /// Who sent it.
    pub from: Addr,
    /// How many bytes of it came in.
    pub bytes: usize,
    /// What became of it.
    pub served: Served,
}

/// One datagram socket's side of the server.
#[derive(Debug)]
pub struct Service {
    config: Config,
    batch: Batch,
    /// `batch` from here on is still to be sent: the system had no room.
    unsent: usize,
    port: Option<u16>,
    is_unix: bool,
    /// Whether recvmmsg(2) and sendmmsg(2) may be called.
    has_mmsg: bool,
    /// Of this socket and of others of the same server.
    own_ports: Vec<u16>,
    stats: Stats,
    notes: VecDeque<Turned>,
}

/// Notes that are kept for who takes them.
const NOTES_MAX: usize = 1 << 16;

/// When a socket gives nothing but errors: so long until we look again.
const RETRY: Duration = Duration::from_millis(250);

/// Errors in a row that are taken off a socket in one turn. Each is one answer that met a
/// closed port; past this many the others have their turn.
const ERRORS_MAX: u32 = 16;

/// Whether the turn goes on.
enum Next {
    More,
    Drained,
    Full,
    Later,
    Broken,
}

impl Service {
    /// For `socket`, whose own port must be known, so that it does not answer itself. Work: one
    /// system call, two for one on a wildcard address, and the allocation of a batch. Of `datagrams_max` no more are taken than go into
    /// a call, [`DATAGRAMS_A_CALL_MAX`].
    ///
    /// # Errors
    /// What getsockname(2) or setsockopt(2) said.
    ///
    /// # Panics
    /// A bound of `config` is zero.
    pub fn of<K: Kernel>(kernel: &mut K, socket: &Fd, config: Config) -> Result<Self, Errno> {
        assert!(config.datagrams_max > 0 && config.batches_max > 0, "no turn without a budget");
        assert!(config.datagram_bytes_max > 0, "reading into nothing tells nothing");
        let datagrams_max = config.datagrams_max.min(DATAGRAMS_A_CALL_MAX);
        let name = kernel.getsockname(socket)?;
        enable_packet_info(kernel, socket, &name)?;
        let mut batch = Batch::new(datagrams_max, config.datagram_bytes_max);
        if name.ip().is_some_and(|ip| ip.is_unspecified()) {
            batch = batch.with_packet_info();
        }
        let port = name.port();
        Ok(Self {
            config,
            batch,
            unsent: 0,
            port,
            is_unix: name.family() == Some(Family::Unix),
            has_mmsg: true,
            own_ports: port.into_iter().collect(),
            stats: Stats::default(),
            notes: VecDeque::new(),
        })
    }

    /// What its socket is to be registered for: datagrams, and that somebody shut it for reading,
    /// which makes it readable for ever. Work: O(1).
    #[must_use]
    pub fn interest() -> Interest {
        Interest::READABLE | Interest::READ_CLOSED
    }

    /// The port of its own socket. Work: O(1).
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Another socket of the same server is bound to `port`: datagrams from there are not
    /// answered, or the two would answer each other for ever. Work: O(ports).
    pub fn refuse(&mut self, port: u16) {
        if !self.own_ports.contains(&port) {
            self.own_ports.push(port);
        }
    }

    /// Serves the socket, for an event or a deadline of it, at most `batches_max` batches. What the system has no room for is
    /// sent before anything more is received. Work: at most twice `batches_max` system calls,
    /// one more for each answer that fails, at most one epoll_ctl.
    pub fn serve<K: Kernel>(&mut self, io: &mut Io<'_, K>, ready: Ready) {
        let before = (self.stats.received, self.stats.errors, self.unsent);
        let mut next = self.send(io);
        let mut rounds = 0;
        while let Next::More = next {
            next =
                if rounds == self.config.batches_max { Next::Later } else { self.round(io, ready) };
            rounds += 1;
        }
        if before == (self.stats.received, self.stats.errors, self.unsent) {
            self.stats.spurious += 1;
        } else {
            self.stats.useful += 1;
        }
        self.settle(io, ready, &next);
    }

    fn round<K: Kernel>(&mut self, io: &mut Io<'_, K>, ready: Ready) -> Next {
        let received = match self.receive(io) {
            Ok(received) => received,
            // Shut for reading by somebody who has a duplicate: readable for ever, and nothing is
            // there to be read.
            Err(Next::Drained) if ready.is_hup() || ready.is_read_closed() => return Next::Broken,
            Err(next) => return next,
        };
        // Fewer than there was room for, and no error waiting: the queue was empty.
        let is_drained = received < self.batch.datagrams_max() && !ready.is_error();
        self.sift();
        self.batch.set_reply_addresses();
        match self.send(io) {
            Next::More if is_drained => Next::Drained,
            next => next,
        }
    }

    /// Receives a batch. An error that comes instead is of an earlier answer: taken, counted,
    /// gone. When nothing but errors comes, it is something worse, and can wait.
    fn receive<K: Kernel>(&mut self, io: &mut Io<'_, K>) -> Result<usize, Next> {
        self.unsent = 0;
        for _ in 0..ERRORS_MAX {
            let received = if self.has_mmsg {
                io.kernel.recvmmsg(io.fd, &mut self.batch)
            } else {
                self.receive_one_by_one(io)
            };
            match received {
                Ok(received) => return Ok(received),
                Err(errno) => {
                    self.batch.clear();
                    if errno.would_block() {
                        return Err(Next::Drained);
                    }
                    if self.has_mmsg && is_refused(errno) {
                        self.has_mmsg = false;
                        continue;
                    }
                    self.stats.errors += u64::from(!errno.interrupted());
                }
            }
        }
        Err(Next::Broken)
    }

    /// Fills the batch as recvmmsg(2) would, where that is refused.
    fn receive_one_by_one<K: Kernel>(&mut self, io: &mut Io<'_, K>) -> Result<usize, Errno> {
        let mut received = 0;
        for (bytes, header) in self.batch.room() {
            match recv_datagram(io.kernel, io.fd, bytes) {
                Ok(message) => {
                    header.addr = message.from.encode();
                    header.truncated = message.len_bytes > bytes.len();
                    header.len_bytes = message.len_bytes.min(bytes.len());
                    header.packet_info = message.packet_info;
                    received += 1;
                }
                Err(errno) if received == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        self.batch.filled(received);
        Ok(received)
    }

    /// Keeps what is to be answered, and counts.
    fn sift(&mut self) {
        let Self { batch, stats, notes, own_ports, config, .. } = self;
        batch.retain(|datagram| {
            stats.received += 1;
            stats.bytes_in += datagram.bytes.len() as u64;
            let from = datagram.addr.decode().unwrap_or(Addr::Unspec);
            let served = if datagram.truncated {
                stats.truncated += 1;
                Served::Truncated
            } else if refuses(own_ports, &from) {
                stats.refused += 1;
                Served::Refused
            } else {
                Served::Echoed
            };
            if config.tell && notes.len() < NOTES_MAX {
                notes.push_back(Turned { from, bytes: datagram.bytes.len(), served });
            }
            served == Served::Echoed
        });
    }

    /// Sends what has not been sent. A datagram that the system will not take is dropped, as
    /// the network would; when there is no room the rest waits. A Unix peer whose queue is full
    /// loses its answer: no event tells when it reads again, and nobody else waits for it.
    fn send<K: Kernel>(&mut self, io: &mut Io<'_, K>) -> Next {
        while self.unsent < self.batch.len() {
            let sent = if self.has_mmsg {
                patiently(|| io.kernel.sendmmsg(io.fd, &self.batch, self.unsent))
            } else {
                self.send_one(io).map(|()| 1)
            };
            match sent {
                Err(errno) if errno.would_block() && !self.is_unix => return Next::Full,
                // A firewall says EPERM too, of one datagram: then sendmsg fails the same way.
                Err(errno) if self.has_mmsg && is_refused(errno) => match self.send_one(io) {
                    Ok(()) => {
                        self.has_mmsg = false;
                        self.count_sent(1);
                    }
                    Err(errno) if errno.would_block() && !self.is_unix => return Next::Full,
                    Err(_) => self.drop_one(),
                },
                Err(errno)
                    if is_source_unusable(errno) && self.batch.forget_packet_info(self.unsent) => {}
                Ok(0) | Err(_) => self.drop_one(),
                Ok(sent) => self.count_sent(sent),
            }
        }
        self.batch.clear();
        self.unsent = 0;
        Next::More
    }

    fn send_one<K: Kernel>(&self, io: &mut Io<'_, K>) -> Result<(), Errno> {
        let datagram = self.batch.get(self.unsent);
        let to = datagram.addr.decode().unwrap_or(Addr::Unspec);
        let info = datagram.packet_info;
        patiently(|| reply_datagram(io.kernel, io.fd, datagram.bytes, &to, info)).map(drop)
    }

    const fn drop_one(&mut self) {
        self.stats.dropped += 1;
        self.unsent += 1;
    }

    fn count_sent(&mut self, sent: usize) {
        for at in self.unsent..(self.unsent + sent).min(self.batch.len()) {
            self.stats.echoed += 1;
            self.stats.bytes_out += self.batch.get(at).bytes.len() as u64;
        }
        self.unsent += sent;
    }

    /// Waits for what is wanted next: room while answers wait, datagrams otherwise.
    fn settle<K: Kernel>(&self, io: &mut Io<'_, K>, ready: Ready, next: &Next) {
        let trigger = self.config.trigger;
        let (interest, trigger) = match next {
            Next::Full => (Interest::WRITABLE, trigger),
            // An error cannot be masked: by level it would be told for ever.
            Next::Broken => (Interest::NONE, Trigger::Edge),
            Next::More | Next::Drained | Next::Later => (Self::interest(), trigger),
        };
        if let Next::Broken = next {
            let retry = io.kernel.now() + RETRY;
            io.set_deadline(retry);
        }
        let mut is_armed = true;
        if trigger.disarms() || !io.watches(interest, trigger) {
            is_armed = io.rearm(interest, trigger).is_ok();
        }
        let nobody_reminds = matches!(trigger, Trigger::Edge) && matches!(next, Next::Later);
        if nobody_reminds || !is_armed {
            io.again(ready | Ready::READABLE);
        }
    }

    /// The oldest datagram worth telling of that has not been told. Work: O(1).
    pub fn note(&mut self) -> Option<Turned> {
        self.notes.pop_front()
    }

    /// What it has counted. Work: O(1).
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }
}
