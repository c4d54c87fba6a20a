//! A stage: a kernel, real or simulated, and a log of what was seen on it.
//!
//! Knows nothing of what is played. A scenario is a function over a stage; played on both
//! kernels it must see the same. Descriptors never show up in a log, labels do.

use std::net::UdpSocket;
use std::{fs, thread};

use epollite::event::{EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT};
use epollite::kernel::{Control, EpollEvent};
use epollite::{Addr, Errno, Family, Fd, Kernel, Kind, Linux, Ready, SocketOption};

pub(crate) const IN: u32 = epollite::event::EPOLLIN;
pub(crate) const PRI: u32 = epollite::event::EPOLLPRI;
pub(crate) const OUT: u32 = epollite::event::EPOLLOUT;
pub(crate) const RDHUP: u32 = epollite::event::EPOLLRDHUP;
pub(crate) const ET: u32 = EPOLLET;
pub(crate) const ONESHOT: u32 = EPOLLONESHOT;
pub(crate) const EXCLUSIVE: u32 = EPOLLEXCLUSIVE;
/// All that can be asked for.
pub(crate) const ALL: u32 = IN | OUT | RDHUP | PRI;

/// How long [`Stage::arrived`] waits: a minute is too long on any machine.
const ARRIVAL_MILLIS: u32 = 60_000;

/// Rounds of [`Stage::settle`]: connecting takes three segments, closing two more.
const ROUNDS: usize = 4;

pub(crate) struct Stage<'k> {
    pub(crate) k: &'k mut dyn Kernel,
    /// The real kernel's loopback hands packets on behind our back.
    probe: Option<UdpSocket>,
    /// Whether it was too late before, so that every processor is waited for.
    is_patient: bool,
    pub(crate) log: Vec<String>,
}

impl<'k> Stage<'k> {
    /// The real kernel, for the first time or again.
    pub(crate) fn real(kernel: &'k mut dyn Kernel, attempt: usize) -> Self {
        let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
        probe.connect(probe.local_addr().unwrap()).unwrap();
        Self { k: kernel, probe: Some(probe), is_patient: attempt > 0, log: Vec::new() }
    }

    pub(crate) fn simulated(kernel: &'k mut dyn Kernel) -> Self {
        Self { k: kernel, probe: None, is_patient: false, log: Vec::new() }
    }

    /// Waits until what was sent has arrived. Loopback packets of one processor stand in one
    /// queue, so that a packet of our own that has come back has seen all others through. On a busy
    /// machine the scheduler may have moved us to another processor in between: then the queues of
    /// all are looked at.
    pub(crate) fn settle(&mut self) {
        if let Some(probe) = &self.probe {
            for _ in 0..ROUNDS {
                if self.is_patient {
                    wait_for_backlogs();
                }
                probe.send(b"?").unwrap();
                probe.recv(&mut [0; 1]).unwrap();
            }
        }
    }

    /// Waits until the real kernel reports one of `events` of a descriptor. On the model what was
    /// sent has arrived. The waiting leaves no trace.
    pub(crate) fn arrived(&mut self, fd: &Fd, events: u32) {
        if self.probe.is_none() {
            return;
        }
        let epoll = Linux.epoll_create1().unwrap();
        Linux.epoll_ctl(&epoll, Control::Add(EpollEvent::new(events, 0)), fd).unwrap();
        let came = Linux.epoll_wait(&epoll, &mut [EpollEvent::default()], Some(ARRIVAL_MILLIS));
        assert_eq!(came, Ok(1), "what was sent has not arrived after {ARRIVAL_MILLIS} ms");
        Linux.close(epoll).unwrap();
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }

    pub(crate) fn epoll(&mut self) -> Fd {
        self.k.epoll_create1().unwrap()
    }

    pub(crate) fn poll_now(&mut self, epoll: &Fd, max: usize) -> String {
        let mut events = vec![EpollEvent::default(); max];
        match self.k.epoll_wait(epoll, &mut events, Some(0)) {
            Err(errno) => format!("{errno:?}"),
            Ok(count) => events[..count]
                .iter()
                .map(|event| format!("{} {}", event.data(), Ready::from_bits(event.events())))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    pub(crate) fn close_all(&mut self, fds: impl IntoIterator<Item = Fd>) {
        for fd in fds {
            self.k.close(fd).unwrap();
        }
    }

    pub(crate) fn unix_pair(&mut self) -> (Fd, Fd) {
        self.k.socketpair(Kind::Stream).unwrap()
    }

    /// A TCP listener and its address.
    pub(crate) fn listener(&mut self, backlog: u32) -> (Fd, Addr) {
        let listener = self.k.socket(Family::Inet, Kind::Stream).unwrap();
        self.k.bind(&listener, &anywhere()).unwrap();
        self.k.listen(&listener, backlog).unwrap();
        let addr = self.k.getsockname(&listener).unwrap();
        (listener, addr)
    }

    /// A TCP socket that has connected.
    pub(crate) fn client(&mut self, addr: &Addr) -> Fd {
        let socket = self.k.socket(Family::Inet, Kind::Stream).unwrap();
        self.k.setsockopt(&socket, SocketOption::NoDelay(true)).unwrap();
        assert_eq!(self.k.connect(&socket, addr), Err(Errno::EINPROGRESS));
        self.settle();
        self.arrived(&socket, OUT);
        assert_eq!(self.k.connect(&socket, addr), Ok(()));
        socket
    }

    /// Two ends of a TCP connection; small segments go at once.
    pub(crate) fn tcp_pair(&mut self) -> (Fd, Fd) {
        let (listener, addr) = self.listener(1);
        let client = self.client(&addr);
        self.arrived(&listener, IN);
        let (server, _) = self.k.accept4(&listener).unwrap();
        self.k.setsockopt(&server, SocketOption::NoDelay(true)).unwrap();
        self.k.close(listener).unwrap();
        (client, server)
    }
}

/// Looks at which the backlogs of packets are waited for, at most: a second or so.
const LOOKS_MAX: usize = 20_000;
/// The column of the length of a processor's backlog, from 0.
///
/// Reference: net/core/net-procfs.c: `softnet_seq_show`
const BACKLOG_COLUMN: usize = 11;

/// Waits until no processor has a packet that it has not handed on.
fn wait_for_backlogs() {
    for _ in 0..LOOKS_MAX {
        let processors = fs::read_to_string("/proc/net/softnet_stat").unwrap();
        let mut lengths = processors
            .lines()
            .filter_map(|processor| processor.split_whitespace().nth(BACKLOG_COLUMN));
        if lengths.all(|length| length == "00000000") {
            return;
        }
        thread::yield_now();
    }
}

/// Any port of this machine.
pub(crate) fn anywhere() -> Addr {
    "127.0.0.1:0".parse().unwrap()
}
