//! A program of system calls, decoded from a plan of bytes and run on a harness.
//!
//! Independent of the kernel. Its log names descriptors in order of creation.

mod connect;

use std::time::{Duration, Instant};

use epollite::event::Ready;
use epollite::kernel::{EpollEvent, EpollOp};
use epollite::kernel::{Shutdown, SocketOption, SocketOptionName, SocketType};
use epollite::net::{AddressFamily, UnixAddr};
use epollite::{Addr, Fd};

use super::conformance::harness::{ALL, ET, EXCLUSIVE, Harness, IN, ONESHOT, OUT, RDHUP, anywhere};

/// Maximum number of open descriptors of a program.
const SLOTS: usize = 10;
/// Steps of a program: longer ones add little.
const STEPS_MAX: usize = 60;

/// The kind of descriptor in a slot: which calls are possible without leaving behaviour that Linux
/// guarantees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FdKind {
    Epoll,
    Tcp,
    Listener,
    UnixListener,
    Unix,
    Udp,
    UnixDatagram,
    Pipe,
    Counter,
}

pub(crate) struct Program<'k, 'p> {
    harness: Harness<'k>,
    plan: std::slice::Iter<'p, u8>,
    slots: Vec<Slot>,
    listeners: Vec<Addr>,
    made: usize,
    has_spliced: bool,
    /// Pieces sent over TCP.
    segments: usize,
    /// When the first FIN may have been sent.
    fin_at: Option<Instant>,
    /// Lines of the log before a delayed ACK may have arrived.
    lines_in_time: Option<usize>,
}

/// What a program observed.
pub(crate) struct Observed {
    pub(crate) log: Vec<String>,
    /// Leading lines of `log` that were observed before a delayed ACK may have arrived.
    pub(crate) lines_in_time: usize,
}

/// Time after a FIN within which no delayed ACK arrives for it: 40 ms, minus a tick of 4 ms at
/// either end.
///
/// Reference: include/net/tcp.h: `TCP_DELACK_MIN`
const ACK_DELAY_MIN: Duration = Duration::from_millis(32);

/// Pieces that one program sends over TCP at most. However small, each takes a packet's memory on
/// Linux; with about twenty unread the window is full, and the rest stays with the sender, which a
/// model that counts bytes does not represent. How much a connection holds is unspecified.
const SEGMENTS_MAX: usize = 12;

struct Slot {
    fd: Fd,
    sort: FdKind,
    name: usize,
}

impl<'k, 'p> Program<'k, 'p> {
    pub(crate) fn new(harness: Harness<'k>, plan: &'p [u8]) -> Self {
        Self {
            harness,
            plan: plan.iter(),
            slots: Vec::new(),
            listeners: Vec::new(),
            made: 0,
            has_spliced: false,
            segments: 0,
            fin_at: None,
            lines_in_time: None,
        }
    }

    pub(crate) fn run(mut self) -> Observed {
        for _ in 0..STEPS_MAX {
            let Some(&op) = self.plan.next() else {
                break;
            };
            let lines = self.harness.log.len();
            self.step(op);
            self.check_time(lines);
        }
        for at in 0..self.slots.len() {
            let lines = self.harness.log.len();
            self.wait_at(at, 16);
            self.check_time(lines);
        }
        // A reset leaves no TIME_WAIT behind. Linux keeps a number of those for a minute, which
        // depends on its memory; beyond it a closed connection is forgotten and answers with a
        // reset.
        for slot in self.slots.iter().filter(|slot| slot.sort == FdKind::Tcp) {
            let _ = self.harness.k.setsockopt(&slot.fd, SocketOption::LingerSeconds(Some(0)));
        }
        self.harness.close_all(self.slots.into_iter().map(|slot| slot.fd));
        let log = self.harness.log;
        Observed { lines_in_time: self.lines_in_time.unwrap_or(log.len()), log }
    }

    /// Called after a step before which the log had `lines`.
    fn check_time(&mut self, lines: usize) {
        if self.fin_at.is_some_and(|at| at.elapsed() > ACK_DELAY_MIN) {
            self.lines_in_time.get_or_insert(lines);
        }
    }

    fn byte(&mut self) -> u8 {
        self.plan.next().copied().unwrap_or(0)
    }

    fn step(&mut self, op: u8) {
        let has_tcp = self.slots.iter().any(|slot| slot.sort == FdKind::Tcp);
        if has_tcp && matches!(op % 32, 7 | 27) {
            self.fin_at.get_or_insert_with(Instant::now);
        }
        match op % 32 {
            0..=6 if self.slots.len() < SLOTS => self.make(),
            7 => self.close(),
            8 => self.dup(),
            9..=12 => self.control(0),
            13 => self.control(1),
            14 => self.control(2),
            15..=18 => self.wait(),
            19..=22 => self.send(),
            23..=26 => self.recv(),
            27 => self.shutdown(),
            28 => self.query(),
            29 => self.step_connect(),
            30 => self.set(),
            _ => self.splice(),
        }
        let is_network =
            |slot: &Slot| matches!(slot.sort, FdKind::Tcp | FdKind::Listener | FdKind::Udp);
        if self.slots.iter().any(is_network) {
            self.harness.wait_idle();
        }
    }

    fn keep(&mut self, fd: Fd, sort: FdKind) {
        self.made += 1;
        let name = self.made;
        self.slots.push(Slot { fd, sort, name });
        self.harness.record(format!("{name} is {sort:?}"));
    }

    fn keep_both(&mut self, (one, other): (Fd, Fd), sort: FdKind) {
        self.keep(one, sort);
        self.keep(other, sort);
    }

    fn make(&mut self) {
        match self.byte() % 16 {
            0..=2 => {
                let pair = self.harness.unix_pair();
                self.keep_both(pair, FdKind::Unix);
            }
            3 => {
                let pair = self.harness.k.socketpair(SocketType::Datagram).unwrap();
                self.keep_both(pair, FdKind::UnixDatagram);
            }
            4..=6 => {
                let pair = self.harness.tcp_pair();
                self.keep_both(pair, FdKind::Tcp);
            }
            7 => {
                let pair = self.harness.k.pipe2().unwrap();
                self.keep_both(pair, FdKind::Pipe);
            }
            8 => {
                let fd = self.harness.k.eventfd(0).unwrap();
                self.keep(fd, FdKind::Counter);
            }
            9..=11 => {
                let fd = self.harness.epoll();
                self.keep(fd, FdKind::Epoll);
            }
            12 => self.make_single(AddressFamily::Inet, FdKind::Tcp),
            13 => self.make_single(AddressFamily::Unix, FdKind::Unix),
            14 => self.make_listener(),
            _ => self.make_datagram(),
        }
    }

    fn make_single(&mut self, family: AddressFamily, sort: FdKind) {
        let fd = self.harness.k.socket(family, SocketType::Stream).unwrap();
        self.keep(fd, sort);
    }

    fn make_listener(&mut self) {
        let backlog = u32::from(self.byte() % 3);
        let (fd, sort) = if self.byte().is_multiple_of(2) {
            (self.harness.listener(backlog + 8).0, FdKind::Listener)
        } else {
            let fd = self.harness.k.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
            let unnamed = Addr::Unix(UnixAddr::unnamed());
            self.harness.k.bind(&fd, &unnamed).unwrap();
            self.harness.k.listen(&fd, backlog).unwrap();
            (fd, FdKind::UnixListener)
        };
        self.listeners.push(self.harness.k.getsockname(&fd).unwrap());
        self.keep(fd, sort);
    }

    fn make_datagram(&mut self) {
        let (family, addr, sort) = if self.byte().is_multiple_of(2) {
            (AddressFamily::Inet, anywhere(), FdKind::Udp)
        } else {
            (AddressFamily::Unix, Addr::Unix(UnixAddr::unnamed()), FdKind::UnixDatagram)
        };
        let fd = self.harness.k.socket(family, SocketType::Datagram).unwrap();
        self.harness.k.bind(&fd, &addr).unwrap();
        self.keep(fd, sort);
    }

    fn pick(&mut self) -> Option<usize> {
        let drawn = usize::from(self.byte());
        (!self.slots.is_empty()).then(|| drawn % self.slots.len())
    }

    /// A slot of a suitable kind: the drawn one or the next after it.
    fn pick_of(&mut self, is_suitable: impl Fn(FdKind) -> bool) -> Option<usize> {
        let from = self.pick()?;
        let len = self.slots.len();
        (0..len).map(|step| (from + step) % len).find(|at| is_suitable(self.slots[*at].sort))
    }

    fn close(&mut self) {
        if let Some(at) = self.pick() {
            let slot = self.slots.remove(at);
            self.harness.record(format!("close {}", slot.name));
            self.harness.close_all([slot.fd]);
        }
    }

    fn dup(&mut self) {
        let Some(at) = self.pick().filter(|_| self.slots.len() < SLOTS) else { return };
        let Slot { ref fd, sort, name } = self.slots[at];
        let fd = self.harness.k.dup(fd).unwrap();
        self.harness.record(format!("dup {name}"));
        self.keep(fd, sort);
    }

    fn control(&mut self, how: u8) {
        let Some(epoll) = self.pick_of(|sort| sort == FdKind::Epoll) else { return };
        let Some(at) = self.pick() else { return };
        let name = self.slots[at].name as u64;
        let events = mask(self.byte());
        let (verb, control) = match how {
            0 => ("add", EpollOp::Add(EpollEvent::new(events, name))),
            1 => ("mod", EpollOp::Modify(EpollEvent::new(events, name))),
            _ => ("del", EpollOp::Delete),
        };
        let made = self.harness.k.epoll_ctl(&self.slots[epoll].fd, control, &self.slots[at].fd);
        let (epoll, events) = (self.slots[epoll].name, Ready::from_bits(events));
        self.harness.record(format!("{epoll} {verb} {name} {events}: {made:?}"));
    }

    fn wait(&mut self) {
        let max = usize::from(self.byte() % 4) + 1;
        if let Some(at) = self.pick_of(|sort| sort == FdKind::Epoll) {
            self.wait_at(at, max);
        }
    }

    fn wait_at(&mut self, at: usize, max: usize) {
        if self.slots[at].sort == FdKind::Epoll {
            let got = self.harness.poll_now(&self.slots[at].fd, max);
            self.harness.record(format!("{} wait {max}: [{got}]", self.slots[at].name));
        }
    }

    fn send(&mut self) {
        let Some(at) = self.pick() else { return };
        let drawn = usize::from(self.byte());
        let slot = &self.slots[at];
        if matches!(slot.sort, FdKind::Tcp) {
            if self.segments == SEGMENTS_MAX {
                return;
            }
            self.segments += 1;
        }
        let (kernel, fd) = (&mut self.harness.k, &slot.fd);
        let (len, sent) = match slot.sort {
            FdKind::Counter if drawn > 240 => (9, kernel.write(fd, &[0; 9])),
            FdKind::Counter => (8, kernel.write(fd, &(drawn as u64 % 3).to_ne_bytes())),
            FdKind::Pipe if drawn > 200 && !self.has_spliced => {
                (30_000, kernel.write(fd, &[7; 30_000]))
            }
            FdKind::Pipe => (drawn % 8, kernel.write(fd, &[7; 8][..drawn % 8])),
            FdKind::Unix if drawn > 200 => {
                let len = (drawn - 200) * 1_000;
                (len, kernel.send(fd, &vec![7; len]))
            }
            FdKind::Epoll => (1, kernel.write(fd, &[7])),
            _ => (drawn % 8, kernel.send(fd, &[7; 8][..drawn % 8])),
        };
        self.harness.record(format!("send {} {len}: {sent:?}", self.slots[at].name));
    }

    fn recv(&mut self) {
        let Some(at) = self.pick() else { return };
        let drawn = usize::from(self.byte());
        let len = if drawn > 200 { 40_000 } else { drawn % 10 };
        let mut buf = vec![0; len];
        let slot = &self.slots[at];
        let (kernel, fd) = (&mut self.harness.k, &slot.fd);
        let read = match slot.sort {
            FdKind::Counter | FdKind::Pipe | FdKind::Epoll => kernel.read(fd, &mut buf),
            _ => kernel.recv(fd, &mut buf),
        };
        self.harness.record(format!("recv {} {len}: {read:?}", self.slots[at].name));
    }

    fn shutdown(&mut self) {
        let Some(at) = self.pick() else { return };
        let how = [Shutdown::Write, Shutdown::Read, Shutdown::Both][usize::from(self.byte() % 3)];
        let done = self.harness.k.shutdown(&self.slots[at].fd, how);
        self.harness.record(format!("shutdown {} {how:?}: {done:?}", self.slots[at].name));
    }

    fn query(&mut self) {
        let Some(Slot { name, fd, .. }) = self.pick().map(|at| &self.slots[at]) else { return };
        let error = self.harness.k.getsockopt(fd, SocketOptionName::Error);
        let peer = self.harness.k.getpeername(fd).map(|_| ());
        self.harness.record(format!("query {name}: {error:?} {peer:?}"));
    }
}

fn mask(drawn: u8) -> u32 {
    let mut events = [ALL, IN, OUT, IN | RDHUP, IN | OUT, RDHUP, 0, ALL][usize::from(drawn % 8)];
    events |= [0, ET, ET, ONESHOT, ET | ONESHOT, 0, ET, EXCLUSIVE][usize::from(drawn / 8 % 8)];
    events
}
