//! The harness: a kernel, real or simulated, and a log of what was observed on it.
//!
//! Independent of the scenarios. A scenario is a function over a harness; run on both kernels it
//! must observe the same. The log contains labels, never descriptors.

use std::net::UdpSocket;
use std::{fs, thread};

use epollite::event::Ready;
use epollite::event::{EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT};
use epollite::kernel::{EpollEvent, EpollOp};
use epollite::kernel::{SocketOption, SocketType};
use epollite::net::AddressFamily;
use epollite::{Addr, Errno, Fd, Kernel, Linux};

pub(crate) const IN: u32 = epollite::event::EPOLLIN;
pub(crate) const PRI: u32 = epollite::event::EPOLLPRI;
pub(crate) const OUT: u32 = epollite::event::EPOLLOUT;
pub(crate) const RDHUP: u32 = epollite::event::EPOLLRDHUP;
pub(crate) const ET: u32 = EPOLLET;
pub(crate) const ONESHOT: u32 = EPOLLONESHOT;
pub(crate) const EXCLUSIVE: u32 = EPOLLEXCLUSIVE;
/// All events in which interest can be registered.
pub(crate) const ALL: u32 = IN | OUT | RDHUP | PRI;

/// How long [`Harness::arrived`] waits: a minute is too long on any machine.
const ARRIVAL_MILLIS: u32 = 60_000;

/// Rounds of [`Harness::wait_idle`]: connecting takes three segments, closing two more.
const ROUNDS: usize = 4;

pub(crate) struct Harness<'k> {
    pub(crate) k: &'k mut dyn Kernel,
    /// The real kernel's loopback delivers packets asynchronously.
    probe: Option<UdpSocket>,
    /// Whether an earlier attempt observed too early, so that the backlogs of all CPUs are waited
    /// for.
    waits_for_all_cpus: bool,
    pub(crate) log: Vec<String>,
}

impl<'k> Harness<'k> {
    /// The real kernel, for the first or a later attempt.
    pub(crate) fn real(kernel: &'k mut dyn Kernel, attempt: usize) -> Self {
        let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
        probe.connect(probe.local_addr().unwrap()).unwrap();
        Self { k: kernel, probe: Some(probe), waits_for_all_cpus: attempt > 0, log: Vec::new() }
    }

    pub(crate) fn simulated(kernel: &'k mut dyn Kernel) -> Self {
        Self { k: kernel, probe: None, waits_for_all_cpus: false, log: Vec::new() }
    }

    /// Waits until everything sent has arrived. Loopback packets of one CPU share one queue, so
    /// that all earlier packets have been delivered when a probe packet comes back. On a busy
    /// machine the scheduler may have moved us to another CPU in between: then the queues of all
    /// CPUs are checked.
    pub(crate) fn wait_idle(&mut self) {
        if let Some(probe) = &self.probe {
            for _ in 0..ROUNDS {
                if self.waits_for_all_cpus {
                    wait_for_backlogs();
                }
                probe.send(b"?").unwrap();
                probe.recv(&mut [0; 1]).unwrap();
            }
        }
    }

    /// Waits until the real kernel reports one of `events` of a descriptor. On the model everything
    /// sent has arrived. The wait leaves no trace.
    pub(crate) fn arrived(&mut self, fd: &Fd, events: u32) {
        if self.probe.is_none() {
            return;
        }
        let epoll = Linux.epoll_create1().unwrap();
        Linux.epoll_ctl(&epoll, EpollOp::Add(EpollEvent::new(events, 0)), fd).unwrap();
        let got = Linux.epoll_wait(&epoll, &mut [EpollEvent::default()], Some(ARRIVAL_MILLIS));
        assert_eq!(got, Ok(1), "what was sent has not arrived after {ARRIVAL_MILLIS} ms");
        Linux.close(epoll).unwrap();
    }

    pub(crate) fn record(&mut self, what: impl Into<String>) {
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
        self.k.socketpair(SocketType::Stream).unwrap()
    }

    /// A TCP listener and its address.
    pub(crate) fn listener(&mut self, backlog: u32) -> (Fd, Addr) {
        let listener = self.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
        self.k.bind(&listener, &anywhere()).unwrap();
        self.k.listen(&listener, backlog).unwrap();
        let addr = self.k.getsockname(&listener).unwrap();
        (listener, addr)
    }

    /// A connected TCP socket.
    pub(crate) fn client(&mut self, addr: &Addr) -> Fd {
        let socket = self.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
        self.k.setsockopt(&socket, SocketOption::NoDelay(true)).unwrap();
        assert_eq!(self.k.connect(&socket, addr), Err(Errno::EINPROGRESS));
        self.wait_idle();
        self.arrived(&socket, OUT);
        assert_eq!(self.k.connect(&socket, addr), Ok(()));
        socket
    }

    /// Two ends of a TCP connection without Nagle's algorithm.
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

/// Upper limit on polls of the packet backlogs: about a second.
const POLLS_MAX: usize = 20_000;
/// The column of the length of a CPU's backlog, from 0.
///
/// Reference: net/core/net-procfs.c: `softnet_seq_show`
const BACKLOG_COLUMN: usize = 11;

/// Waits until no CPU has undelivered packets.
fn wait_for_backlogs() {
    for _ in 0..POLLS_MAX {
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
