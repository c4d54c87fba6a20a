//! Serves one datagram socket: receives a batch, drops what must not be answered, and sends the
//! rest back from the same buffer.
//!
//! Knows the socket through [`Io`]; the event loop belongs to the caller. When datagrams come in
//! bursts, those that arrive as segments of one packet are received and sent back in one piece.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::reflector::{RefusedPorts, encoded_gets_no_reply};
use crate::errno::Errno;
use crate::event::{Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::{
    CallError, Fd, Kernel, SocketOption, Syscall, is_source_unusable, is_unavailable,
    recv_datagram, reply_datagram,
};
use crate::net::{Addr, AddressFamily, SockAddr};
use crate::net::{BATCH_MAX, DatagramBatch};
use crate::reactor::{Io, RETRY_DELAY};
use crate::server::HAS_OPTIONS;
use crate::server::admission::{Admission, Refusal};
use crate::server::bind::enable_packet_info;

/// Configuration of a datagram server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DatagramConfig {
    /// The trigger mode of sockets.
    pub trigger: Trigger,
    /// Datagrams per call.
    pub datagrams_max: usize,
    /// The longest datagram that is echoed. A longer one is truncated by the kernel: it is
    /// counted and gets no reply, since a partial echo is useless.
    pub datagram_bytes_max: usize,
    /// Receive calls before other descriptors are served.
    pub batches_max: u32,
    /// From which ports datagrams get no reply.
    pub refused_ports: RefusedPorts,
    /// Whether to report every datagram ([`DatagramEvent`]).
    pub emit_events: bool,
}

impl Default for DatagramConfig {
    /// Batches of 32, at which the cost of the call per datagram is negligible; any UDP datagram
    /// is echoed, the longest being 65,507 bytes over IPv4 and 65,527 over IPv6.
    fn default() -> Self {
        Self {
            trigger: Trigger::Edge,
            datagrams_max: 32,
            datagram_bytes_max: 65_536,
            batches_max: 8,
            refused_ports: RefusedPorts::default(),
            emit_events: false,
        }
    }
}

/// Counters of a datagram server since its creation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DatagramStats {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent back.
    pub echoed: u64,
    /// Datagrams too long to be echoed.
    pub truncated: u64,
    /// Datagrams from a port that would reply to the reply.
    pub refused: u64,
    /// Datagrams whose sender's address is not allowed ([`EchoSocket::set_admission`]).
    pub not_allowed: u64,
    /// Datagrams beyond the rate of their sender's address, or whose address could not be counted
    /// for lack of memory.
    pub over_rate: u64,
    /// Replies that the system did not accept.
    pub dropped: u64,
    /// Errors returned instead of datagrams: an earlier reply reached a closed port.
    pub errors: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent back.
    pub bytes_out: u64,
    /// Events that were handled.
    pub events_handled: u64,
    /// Events for which there was nothing to do.
    pub events_spurious: u64,
}

impl DatagramStats {
    /// Adds another server's counters. Cost: O(1).
    pub const fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.echoed += other.echoed;
        self.truncated += other.truncated;
        self.refused += other.refused;
        self.not_allowed += other.not_allowed;
        self.over_rate += other.over_rate;
        self.dropped += other.dropped;
        self.errors += other.errors;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.events_handled += other.events_handled;
        self.events_spurious += other.events_spurious;
    }
}

/// What was done with a datagram.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// It is echoed.
    Echoed,
    /// It was too long.
    Truncated,
    /// Its sender would reply to the reply.
    Reflected,
    /// Its sender is not served.
    Refused(Refusal),
}

/// A datagram was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DatagramEvent {
    /// Its sender.
    pub from: Addr,
    /// How many bytes of it were received.
    pub bytes: usize,
    /// What was done with it.
    pub disposition: Disposition,
}

/// The server's state for one datagram socket.
#[derive(Debug)]
pub struct EchoSocket {
    config: DatagramConfig,
    batch: DatagramBatch,
    /// Datagrams that the next receive may bring.
    recv_max: usize,
    /// Index of the first datagram of `batch` not yet sent: the send buffer was full.
    first_unsent: usize,
    /// Whether the segments of that one are sent as datagrams.
    is_split: bool,
    /// How many of these have been sent, or dropped.
    segments_sent: usize,
    /// Whether to enable segments when datagrams come in bursts: for a lone one there is nothing to
    /// gain.
    may_enable_segments: bool,
    port: Option<u16>,
    is_unix: bool,
    /// Whether recvmmsg(2) and sendmmsg(2) may be called.
    has_mmsg: bool,
    /// Ports of this socket and of others of the same server.
    own_ports: Vec<u16>,
    /// Which peers are served.
    admission: Option<Box<dyn Admission>>,
    stats: DatagramStats,
    events: VecDeque<DatagramEvent>,
}

/// Events kept until they are taken.
const EVENTS_MAX: usize = 1 << 16;

/// Consecutive errors taken from a socket in one call. Each is one reply that reached a closed
/// port; past this many, other descriptors are served.
const ERRORS_MAX: u32 = 16;

/// The longest packet of the internet protocol: a slot must hold it to receive segments.
const PACKET_BYTES_MAX: usize = 65_535;

/// Datagrams that the first receive may bring: as after a lone one.
const RECV_MAX_FIRST: usize = 3;

/// The maximum of the next event's first receive: two more than this event brought, so that a free
/// slot shows that the queue is empty, and no less than half of the last one.
fn next_recv_max(recv_max: usize, received: usize, datagrams_max: usize) -> usize {
    received.saturating_add(2).max(recv_max / 2).max(RECV_MAX_FIRST).min(datagrams_max)
}

/// Whether datagrams of one sender get a reply.
#[cold]
fn ask_admission(
    admission: &mut dyn Admission,
    from: &SockAddr,
    count: u64,
    now: Instant,
) -> Result<(), Refusal> {
    let from = from.decode().unwrap_or(Addr::Unspecified);
    admission.admit_datagrams(&from, u32::try_from(count).unwrap_or(u32::MAX), now)
}

/// How far serving the socket has got.
enum Progress {
    More,
    Drained,
    SendBlocked,
    BudgetSpent,
    Erroring,
}

impl EchoSocket {
    /// Serves `socket`, whose own port must be known so that it does not reply to itself.
    /// `datagrams_max` is limited to what fits into a call, [`BATCH_MAX`]. Cost: one system call,
    /// two for one on a wildcard address, and the allocation of a batch.
    ///
    /// # Errors
    /// [`CallError`]: what getsockname(2) or setsockopt(2) returned.
    ///
    /// # Panics
    /// A bound of `config` is zero.
    pub fn new<K: Kernel>(
        kernel: &mut K,
        socket: &Fd,
        config: DatagramConfig,
    ) -> Result<Self, CallError> {
        assert!(config.datagrams_max > 0 && config.batches_max > 0, "budgets must not be zero");
        assert!(config.datagram_bytes_max > 0, "the receive buffer must not be empty");
        let datagrams_max = config.datagrams_max.min(BATCH_MAX);
        let failed = |call| move |errno| CallError { call, errno };
        let name = kernel.getsockname(socket).map_err(failed(Syscall::Getsockname))?;
        enable_packet_info(kernel, socket, &name).map_err(failed(Syscall::Setsockopt))?;
        let mut batch = DatagramBatch::new(datagrams_max, config.datagram_bytes_max);
        if name.ip().is_some_and(|ip| ip.is_unspecified()) {
            batch.enable_control_messages();
        }
        let (port, is_unix) = (name.port(), name.family() == Some(AddressFamily::Unix));
        Ok(Self {
            config,
            batch,
            recv_max: RECV_MAX_FIRST.min(datagrams_max),
            first_unsent: 0,
            is_split: false,
            segments_sent: 0,
            may_enable_segments: !is_unix && config.datagram_bytes_max >= PACKET_BYTES_MAX,
            port,
            is_unix,
            has_mmsg: true,
            own_ports: port.into_iter().collect(),
            admission: None,
            stats: DatagramStats::default(),
            events: VecDeque::new(),
        })
    }

    /// The interest to register its socket with: datagrams, and a shutdown for reading through a
    /// duplicate, which makes it permanently readable. Cost: O(1).
    #[must_use]
    pub fn interest() -> Interest {
        Interest::READABLE | Interest::READ_CLOSED
    }

    /// The port of its own socket. Cost: O(1).
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Declares that another socket of the same server is bound to `port`: datagrams from there
    /// get no reply, since the two would reply to each other endlessly. Cost: O(ports).
    pub fn add_own_port(&mut self, port: u16) {
        if !self.own_ports.contains(&port) {
            self.own_ports.push(port);
        }
    }

    /// Sets which peers are served from here on. Cost: O(1).
    pub fn set_admission(&mut self, admission: Box<dyn Admission>) {
        self.admission = Some(admission);
    }

    /// Serves the socket after an event or a deadline, at most `batches_max` batches. Replies
    /// that did not fit are sent before anything more is received. Cost: usually a receive and a
    /// send for each batch, and at most one epoll_ctl; where the system refuses a batch or
    /// segments, one or two calls for each datagram.
    pub fn on_ready<K: Kernel>(&mut self, io: &mut Io<'_, K>, ready: Ready) {
        let replies = self.stats.echoed + self.stats.dropped;
        let errors = self.stats.errors;
        let mut next = self.send(io);
        let (mut rounds, mut received) = (0, 0);
        while let Progress::More = next {
            next = if rounds == self.config.batches_max {
                Progress::BudgetSpent
            } else {
                self.recv_and_reply(io, ready, &mut received)
            };
            rounds += 1;
        }
        if received > 0 {
            self.recv_max = next_recv_max(self.recv_max, received, self.batch.datagrams_max());
            if received > 1 && self.may_enable_segments {
                self.enable_segments(io);
            }
        }
        let is_spurious = received == 0
            && errors == self.stats.errors
            && replies == self.stats.echoed + self.stats.dropped;
        self.stats.events_spurious += u64::from(is_spurious);
        self.stats.events_handled += u64::from(!is_spurious);
        self.update_interest(io, ready, &next);
    }

    /// Only after recvmmsg(2) has worked: recvfrom(2) does not tell segments apart. If `has_mmsg`
    /// becomes false later, by a send, recvmsg(2) does.
    #[cold]
    fn enable_segments<K: Kernel>(&mut self, io: &mut Io<'_, K>) {
        self.may_enable_segments = false;
        let gro = SocketOption::UdpGro(true);
        if self.has_mmsg && io.syscall(|kernel, fd| kernel.setsockopt(fd, gro)).is_ok() {
            self.batch.enable_control_messages();
        }
    }

    /// Receives a batch and replies. Adds the number of messages received to `total`; segments of
    /// one packet are one message.
    fn recv_and_reply<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        ready: Ready,
        total: &mut usize,
    ) -> Progress {
        let received = match self.receive(io) {
            Ok(received) => received,
            // Shut down for reading through a duplicate: permanently readable, with nothing to
            // read.
            Err(Progress::Drained) if ready.is_hup() || ready.is_read_closed() => {
                return Progress::Erroring;
            }
            Err(next) => return next,
        };
        // Fewer datagrams than fit, and no pending error: the queue is empty.
        let is_drained = received < self.recv_max && !ready.is_error();
        if received == self.recv_max {
            self.recv_max = (2 * self.recv_max).min(self.batch.datagrams_max());
        }
        *total += received;
        let now = match self.admission {
            Some(_) if HAS_OPTIONS => io.now(),
            _ => Instant::ZERO,
        };
        self.filter_batch(now);
        if self.batch.has_control_messages() {
            self.batch.set_reply_addresses();
        }
        match self.send(io) {
            Progress::More if is_drained => Progress::Drained,
            next => next,
        }
    }

    /// Receives a batch. An error returned instead concerns an earlier reply: it is counted and
    /// skipped. When only errors are returned the cause is something else, and is retried later.
    fn receive<K: Kernel>(&mut self, io: &mut Io<'_, K>) -> Result<usize, Progress> {
        self.first_unsent = 0;
        self.batch.set_recv_max(self.recv_max);
        for _ in 0..ERRORS_MAX {
            let received = if self.has_mmsg {
                io.syscall(|kernel, fd| kernel.recvmmsg(fd, &mut self.batch))
            } else {
                self.receive_one_by_one(io)
            };
            match received {
                Ok(received) => return Ok(received),
                Err(errno) => {
                    self.batch.clear();
                    if errno.is_would_block() {
                        return Err(Progress::Drained);
                    }
                    if self.has_mmsg && is_unavailable(errno) {
                        self.has_mmsg = false;
                        continue;
                    }
                    self.stats.errors += u64::from(!errno.is_interrupted());
                }
            }
        }
        Err(Progress::Erroring)
    }

    /// Fills the batch as recvmmsg(2) would, where that call is denied.
    fn receive_one_by_one<K: Kernel>(&mut self, io: &mut Io<'_, K>) -> Result<usize, Errno> {
        let mut received = 0;
        for (bytes, header) in self.batch.recv_slots() {
            match io.syscall(|kernel, fd| recv_datagram(kernel, fd, bytes)) {
                Ok(message) => {
                    header.addr = message.from.encode();
                    header.truncated = message.len_bytes > bytes.len();
                    header.len_bytes = message.len_bytes.min(bytes.len());
                    header.segment_bytes = message.segment_bytes;
                    header.packet_info = message.packet_info;
                    received += 1;
                }
                Err(errno) if received == 0 => return Err(errno),
                Err(errno) => {
                    // As if the batch were full: only EAGAIN means that the queue is empty.
                    if !errno.is_would_block() {
                        self.stats.errors += u64::from(!errno.is_interrupted());
                        self.recv_max = received;
                    }
                    break;
                }
            }
        }
        self.batch.set_len(received);
        Ok(received)
    }

    /// Keeps the datagrams that get a reply, and counts.
    fn filter_batch(&mut self, now: Instant) {
        let Self { batch, stats, events, own_ports, config, admission, .. } = self;
        batch.retain(|datagram| {
            let count = datagram.segment_count() as u64;
            stats.received += count;
            stats.bytes_in += datagram.bytes.len() as u64;
            let disposition = if datagram.truncated {
                stats.truncated += count;
                Disposition::Truncated
            } else if encoded_gets_no_reply(own_ports, config.refused_ports, datagram.addr) {
                stats.refused += count;
                Disposition::Reflected
            } else if HAS_OPTIONS
                && let Some(admission) = admission
                && let Err(why) = ask_admission(&mut **admission, datagram.addr, count, now)
            {
                match why {
                    Refusal::NotAllowed => stats.not_allowed += count,
                    _ => stats.over_rate += count,
                }
                Disposition::Refused(why)
            } else {
                Disposition::Echoed
            };
            if HAS_OPTIONS && config.emit_events {
                let from = datagram.addr.decode().unwrap_or(Addr::Unspecified);
                for segment in datagram.segments().take(EVENTS_MAX - events.len()) {
                    events.push_back(DatagramEvent { from, bytes: segment.len(), disposition });
                }
            }
            disposition == Disposition::Echoed
        });
    }

    /// Sends the unsent part of the batch. A datagram that the system does not accept is dropped,
    /// as the network would; when the send buffer is full the rest waits. A reply to a Unix peer
    /// whose queue is full is dropped: no event reports when it reads again.
    fn send<K: Kernel>(&mut self, io: &mut Io<'_, K>) -> Progress {
        while self.first_unsent < self.batch.len() {
            let sent = if self.has_mmsg && !self.is_split {
                io.syscall(|kernel, fd| kernel.sendmmsg(fd, &self.batch, self.first_unsent))
            } else {
                self.send_one(io)
            };
            match sent {
                Err(errno) if errno.is_would_block() && !self.is_unix => {
                    return Progress::SendBlocked;
                }
                // Of several segments some may be accepted, or all, if each is a datagram.
                Ok(0) | Err(_) if self.must_split() => self.is_split = true,
                // A firewall returns EPERM too, for one datagram: then sendmmsg fails the same way.
                Err(errno) if self.has_mmsg && is_unavailable(errno) => match self.send_one(io) {
                    Ok(_) => {
                        self.has_mmsg = false;
                        self.count_one(true);
                    }
                    Err(errno) if errno.is_would_block() && !self.is_unix => {
                        return Progress::SendBlocked;
                    }
                    Err(_) => self.count_one(false),
                },
                Err(errno)
                    if is_source_unusable(errno)
                        && self.batch.forget_packet_info(self.first_unsent) => {}
                Ok(0) | Err(_) => self.count_one(false),
                Ok(_) if !self.has_mmsg || self.is_split => self.count_one(true),
                Ok(sent) => self.count_sent(sent),
            }
        }
        self.batch.clear();
        self.first_unsent = 0;
        Progress::More
    }

    /// Sends the next datagram; of several segments, the next one.
    fn send_one<K: Kernel>(&self, io: &mut Io<'_, K>) -> Result<usize, Errno> {
        let datagram = self.batch.get(self.first_unsent);
        let to = datagram.addr.decode().unwrap_or(Addr::Unspecified);
        let (bytes, info) = (datagram.segment(self.segments_sent), datagram.packet_info);
        io.syscall(|kernel, fd| reply_datagram(kernel, fd, bytes, &to, info)).map(|_| 1)
    }

    fn must_split(&self) -> bool {
        self.has_mmsg && !self.is_split && self.batch.get(self.first_unsent).segment_count() > 1
    }

    /// Accounts for [`send_one`](Self::send_one).
    fn count_one(&mut self, is_sent: bool) {
        let datagram = self.batch.get(self.first_unsent);
        if is_sent {
            self.stats.echoed += 1;
            self.stats.bytes_out += datagram.segment(self.segments_sent).len() as u64;
        } else {
            self.stats.dropped += 1;
        }
        self.segments_sent += 1;
        if self.segments_sent == datagram.segment_count() {
            self.first_unsent += 1;
            (self.segments_sent, self.is_split) = (0, false);
        }
    }

    /// Accounts for messages that have been sent whole.
    fn count_sent(&mut self, messages: usize) {
        for datagram in self.batch.iter().skip(self.first_unsent).take(messages) {
            self.stats.echoed += datagram.segment_count() as u64;
            self.stats.bytes_out += datagram.bytes.len() as u64;
        }
        self.first_unsent += messages;
    }

    /// Updates the interest: writable while replies wait, datagrams otherwise.
    fn update_interest<K: Kernel>(&self, io: &mut Io<'_, K>, ready: Ready, next: &Progress) {
        let trigger = self.config.trigger;
        let (interest, trigger) = match next {
            Progress::SendBlocked => (Interest::WRITABLE, trigger),
            // An error cannot be masked: level-triggered it would be reported endlessly.
            Progress::Erroring => (Interest::NONE, Trigger::Edge),
            Progress::More | Progress::Drained | Progress::BudgetSpent => {
                (Self::interest(), trigger)
            }
        };
        if let Progress::Erroring = next {
            let retry = io.now() + RETRY_DELAY;
            io.set_deadline(retry);
        }
        let mut is_armed = true;
        if trigger.is_oneshot() || !io.is_registered_for(interest, trigger) {
            is_armed = io.modify(interest, trigger).is_ok();
        }
        let must_requeue =
            matches!(trigger, Trigger::Edge) && matches!(next, Progress::BudgetSpent);
        if must_requeue || !is_armed {
            io.requeue(ready | Ready::READABLE);
        }
    }

    /// Removes and returns the oldest datagram event. Cost: O(1).
    pub fn next_event(&mut self) -> Option<DatagramEvent> {
        self.events.pop_front()
    }

    /// The counters. Cost: O(1).
    #[must_use]
    pub const fn stats(&self) -> DatagramStats {
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_slots_follows_the_load() {
        let mut recv_max = RECV_MAX_FIRST;
        let mut follow = |received| {
            recv_max = next_recv_max(recv_max, received, 32);
            recv_max
        };
        assert_eq!([1, 1, 1].map(&mut follow), [3, 3, 3], "a lone datagram and two free slots");
        assert_eq!([16, 16, 200].map(&mut follow), [18, 18, 32], "a burst, up to the limit");
        assert_eq!([1, 1, 1, 1, 1].map(&mut follow), [16, 8, 4, 3, 3], "and slowly back");
        assert_eq!(next_recv_max(1, 1, 1), 1, "a batch of one stays one");
    }
}
