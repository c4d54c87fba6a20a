//! A program of system calls, read from a plan of bytes and run on a stage.
//!
//! Knows no kernel in particular. Its log names descriptors in the order in which they were
//! made.

#[path = "sim_meeting.rs"]
mod meeting;

use epollite::kernel::{Control, EpollEvent};
use epollite::{Addr, Family, Fd, Kind, OptionName, Ready, Shut, SocketOption, UnixAddr};

use super::stage::{ALL, ET, EXCLUSIVE, IN, ONESHOT, OUT, RDHUP, Stage, anywhere};

/// Descriptors that a program has at once.
const SLOTS: usize = 10;
/// Steps of a program: what is longer adds little.
const STEPS_MAX: usize = 60;

/// What kind of descriptor is in a slot: what may be asked of it without leaving what Linux
/// promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sort {
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
    stage: Stage<'k>,
    plan: std::slice::Iter<'p, u8>,
    slots: Vec<Slot>,
    doors: Vec<Addr>,
    made: usize,
    has_spliced: bool,
    /// Pieces sent over TCP.
    segments: usize,
}

/// Pieces that one program sends over TCP at most. However small, each takes a packet's memory
/// on Linux; with some twenty unread the window is full, and the rest stays with the sender, which
/// a model that counts bytes knows nothing of. How much a connection holds is left open.
const SEGMENTS_MAX: usize = 12;

struct Slot {
    fd: Fd,
    sort: Sort,
    name: usize,
}

impl<'k, 'p> Program<'k, 'p> {
    pub(crate) fn new(stage: Stage<'k>, plan: &'p [u8]) -> Self {
        Self {
            stage,
            plan: plan.iter(),
            slots: Vec::new(),
            doors: Vec::new(),
            made: 0,
            has_spliced: false,
            segments: 0,
        }
    }

    pub(crate) fn run(mut self) -> Vec<String> {
        for _ in 0..STEPS_MAX {
            let Some(&op) = self.plan.next() else {
                break;
            };
            self.step(op);
        }
        for at in 0..self.slots.len() {
            self.wait_at(at, 16);
        }
        // A reset leaves no TIME_WAIT behind. Of those Linux keeps a number for a minute, which
        // depends on its memory; beyond it a closed end is forgotten, and answers with a reset.
        for slot in self.slots.iter().filter(|slot| slot.sort == Sort::Tcp) {
            let _ = self.stage.k.setsockopt(&slot.fd, SocketOption::LingerSeconds(Some(0)));
        }
        self.stage.close_all(self.slots.into_iter().map(|slot| slot.fd));
        self.stage.log
    }

    fn byte(&mut self) -> u8 {
        self.plan.next().copied().unwrap_or(0)
    }

    fn step(&mut self, op: u8) {
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
            28 => self.ask(),
            29 => self.meet(),
            30 => self.set(),
            _ => self.splice(),
        }
        let is_network = |slot: &Slot| matches!(slot.sort, Sort::Tcp | Sort::Listener | Sort::Udp);
        if self.slots.iter().any(is_network) {
            self.stage.settle();
        }
    }

    fn keep(&mut self, fd: Fd, sort: Sort) {
        self.made += 1;
        let name = self.made;
        self.slots.push(Slot { fd, sort, name });
        self.stage.note(format!("{name} is {sort:?}"));
    }

    fn keep_both(&mut self, (one, other): (Fd, Fd), sort: Sort) {
        self.keep(one, sort);
        self.keep(other, sort);
    }

    fn make(&mut self) {
        match self.byte() % 16 {
            0..=2 => {
                let pair = self.stage.unix_pair();
                self.keep_both(pair, Sort::Unix);
            }
            3 => {
                let pair = self.stage.k.socketpair(Kind::Datagram).unwrap();
                self.keep_both(pair, Sort::UnixDatagram);
            }
            4..=6 => {
                let pair = self.stage.tcp_pair();
                self.keep_both(pair, Sort::Tcp);
            }
            7 => {
                let pair = self.stage.k.pipe2().unwrap();
                self.keep_both(pair, Sort::Pipe);
            }
            8 => {
                let fd = self.stage.k.eventfd(0).unwrap();
                self.keep(fd, Sort::Counter);
            }
            9..=11 => {
                let fd = self.stage.epoll();
                self.keep(fd, Sort::Epoll);
            }
            12 => self.make_single(Family::Inet, Sort::Tcp),
            13 => self.make_single(Family::Unix, Sort::Unix),
            14 => self.make_listener(),
            _ => self.make_datagram(),
        }
    }

    fn make_single(&mut self, family: Family, sort: Sort) {
        let fd = self.stage.k.socket(family, Kind::Stream).unwrap();
        self.keep(fd, sort);
    }

    fn make_listener(&mut self) {
        let backlog = u32::from(self.byte() % 3);
        let (fd, sort) = if self.byte().is_multiple_of(2) {
            (self.stage.listener(backlog + 8).0, Sort::Listener)
        } else {
            let fd = self.stage.k.socket(Family::Unix, Kind::Stream).unwrap();
            let unnamed = Addr::Unix(UnixAddr::unnamed());
            self.stage.k.bind(&fd, &unnamed).unwrap();
            self.stage.k.listen(&fd, backlog).unwrap();
            (fd, Sort::UnixListener)
        };
        self.doors.push(self.stage.k.getsockname(&fd).unwrap());
        self.keep(fd, sort);
    }

    fn make_datagram(&mut self) {
        let (family, addr, sort) = if self.byte().is_multiple_of(2) {
            (Family::Inet, anywhere(), Sort::Udp)
        } else {
            (Family::Unix, Addr::Unix(UnixAddr::unnamed()), Sort::UnixDatagram)
        };
        let fd = self.stage.k.socket(family, Kind::Datagram).unwrap();
        self.stage.k.bind(&fd, &addr).unwrap();
        self.keep(fd, sort);
    }

    fn pick(&mut self) -> Option<usize> {
        let drawn = usize::from(self.byte());
        (!self.slots.is_empty()).then(|| drawn % self.slots.len())
    }

    /// A slot of a sort that pleases, the drawn one or the next after it.
    fn pick_of(&mut self, pleases: impl Fn(Sort) -> bool) -> Option<usize> {
        let from = self.pick()?;
        let len = self.slots.len();
        (0..len).map(|step| (from + step) % len).find(|at| pleases(self.slots[*at].sort))
    }

    fn close(&mut self) {
        if let Some(at) = self.pick() {
            let slot = self.slots.remove(at);
            self.stage.note(format!("close {}", slot.name));
            self.stage.close_all([slot.fd]);
        }
    }

    fn dup(&mut self) {
        let Some(at) = self.pick().filter(|_| self.slots.len() < SLOTS) else { return };
        let Slot { ref fd, sort, name } = self.slots[at];
        let fd = self.stage.k.dup(fd).unwrap();
        self.stage.note(format!("dup {name}"));
        self.keep(fd, sort);
    }

    fn control(&mut self, how: u8) {
        let Some(epoll) = self.pick_of(|sort| sort == Sort::Epoll) else { return };
        let Some(at) = self.pick() else { return };
        let name = self.slots[at].name as u64;
        let events = mask(self.byte());
        let (word, control) = match how {
            0 => ("add", Control::Add(EpollEvent::new(events, name))),
            1 => ("mod", Control::Modify(EpollEvent::new(events, name))),
            _ => ("del", Control::Delete),
        };
        let made = self.stage.k.epoll_ctl(&self.slots[epoll].fd, control, &self.slots[at].fd);
        let (epoll, events) = (self.slots[epoll].name, Ready::from_bits(events));
        self.stage.note(format!("{epoll} {word} {name} {events}: {made:?}"));
    }

    fn wait(&mut self) {
        let max = usize::from(self.byte() % 4) + 1;
        if let Some(at) = self.pick_of(|sort| sort == Sort::Epoll) {
            self.wait_at(at, max);
        }
    }

    fn wait_at(&mut self, at: usize, max: usize) {
        if self.slots[at].sort == Sort::Epoll {
            let came = self.stage.poll_now(&self.slots[at].fd, max);
            self.stage.note(format!("{} wait {max}: [{came}]", self.slots[at].name));
        }
    }

    fn send(&mut self) {
        let Some(at) = self.pick() else { return };
        let drawn = usize::from(self.byte());
        let slot = &self.slots[at];
        if matches!(slot.sort, Sort::Tcp) {
            if self.segments == SEGMENTS_MAX {
                return;
            }
            self.segments += 1;
        }
        let (kernel, fd) = (&mut self.stage.k, &slot.fd);
        let (len, sent) = match slot.sort {
            Sort::Counter if drawn > 240 => (9, kernel.write(fd, &[0; 9])),
            Sort::Counter => (8, kernel.write(fd, &(drawn as u64 % 3).to_ne_bytes())),
            Sort::Pipe if drawn > 200 && !self.has_spliced => {
                (30_000, kernel.write(fd, &[7; 30_000]))
            }
            Sort::Pipe => (drawn % 8, kernel.write(fd, &[7; 8][..drawn % 8])),
            Sort::Unix if drawn > 200 => {
                let len = (drawn - 200) * 1_000;
                (len, kernel.send(fd, &vec![7; len]))
            }
            Sort::Epoll => (1, kernel.write(fd, &[7])),
            _ => (drawn % 8, kernel.send(fd, &[7; 8][..drawn % 8])),
        };
        self.stage.note(format!("send {} {len}: {sent:?}", self.slots[at].name));
    }

    fn recv(&mut self) {
        let Some(at) = self.pick() else { return };
        let drawn = usize::from(self.byte());
        let len = if drawn > 200 { 40_000 } else { drawn % 10 };
        let mut buf = vec![0; len];
        let slot = &self.slots[at];
        let (kernel, fd) = (&mut self.stage.k, &slot.fd);
        let read = match slot.sort {
            Sort::Counter | Sort::Pipe | Sort::Epoll => kernel.read(fd, &mut buf),
            _ => kernel.recv(fd, &mut buf),
        };
        self.stage.note(format!("recv {} {len}: {read:?}", self.slots[at].name));
    }

    fn shutdown(&mut self) {
        let Some(at) = self.pick() else { return };
        let how = [Shut::Write, Shut::Read, Shut::Both][usize::from(self.byte() % 3)];
        let done = self.stage.k.shutdown(&self.slots[at].fd, how);
        self.stage.note(format!("shutdown {} {how:?}: {done:?}", self.slots[at].name));
    }

    fn ask(&mut self) {
        let Some(Slot { name, fd, .. }) = self.pick().map(|at| &self.slots[at]) else { return };
        let error = self.stage.k.getsockopt(fd, OptionName::Error);
        let peer = self.stage.k.getpeername(fd).map(|_| ());
        self.stage.note(format!("ask {name}: {error:?} {peer:?}"));
    }
}

fn mask(drawn: u8) -> u32 {
    let mut events = [ALL, IN, OUT, IN | RDHUP, IN | OUT, RDHUP, 0, ALL][usize::from(drawn % 8)];
    events |= [0, ET, ET, ONESHOT, ET | ONESHOT, 0, ET, EXCLUSIVE][usize::from(drawn / 8 % 8)];
    events
}
