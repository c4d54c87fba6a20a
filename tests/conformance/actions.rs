//! Common actions of scenarios on a harness: register, wait, read, and record the result.
//!
//! Independent of the scenarios.

use epollite::kernel::SocketType;
use epollite::kernel::{EpollEvent, EpollOp};
use epollite::net::{AddressFamily, UnixAddr};
use epollite::{Addr, Errno, Fd};

use super::harness::Harness;

impl Harness<'_> {
    pub(crate) fn read_and_record<T: std::fmt::Debug>(&mut self, what: &str, seen: T) {
        self.log.push(format!("{what}: {seen:?}"));
    }

    pub(crate) fn ctl(&mut self, epoll: &Fd, control: EpollOp, fd: &Fd) -> Result<(), Errno> {
        self.k.epoll_ctl(epoll, control, fd)
    }

    pub(crate) fn add(&mut self, epoll: &Fd, fd: &Fd, events: u32, label: u64) {
        let control = EpollOp::Add(EpollEvent::new(events, label));
        self.k.epoll_ctl(epoll, control, fd).unwrap();
    }

    pub(crate) fn modify(&mut self, epoll: &Fd, fd: &Fd, events: u32, label: u64) {
        let control = EpollOp::Modify(EpollEvent::new(events, label));
        self.k.epoll_ctl(epoll, control, fd).unwrap();
    }

    /// The result of a non-blocking wait, in order: `label mask, label mask`.
    pub(crate) fn poll(&mut self, epoll: &Fd, max: usize) -> String {
        self.wait_idle();
        self.poll_now(epoll, max)
    }

    /// Waits and records the events.
    pub(crate) fn wait(&mut self, epoll: &Fd, when: &str) {
        let got = self.poll(epoll, 16);
        self.log.push(format!("{when}: [{got}]"));
    }

    pub(crate) fn send(&mut self, fd: &Fd, bytes: &[u8]) {
        let sent = self.k.send(fd, bytes);
        assert_eq!(sent, Ok(bytes.len()), "there is room for a few bytes");
        self.wait_idle();
    }

    /// Reads at most `max` bytes, and records them.
    pub(crate) fn recv(&mut self, fd: &Fd, max: usize) -> Result<usize, Errno> {
        self.wait_idle();
        let mut buf = vec![0; max];
        let read = self.k.recv(fd, &mut buf);
        let bytes = read.map(|count| String::from_utf8_lossy(&buf[..count]).into_owned());
        self.log.push(format!("recv {max}: {bytes:?}"));
        read
    }

    /// Sends until there is no room. The amount is not recorded: it is up to Linux.
    pub(crate) fn fill(&mut self, fd: &Fd) -> usize {
        let block = [b'f'; 4_096];
        let mut sent = 0;
        // The real kernel's receiver makes room as it goes.
        for _ in 0..5 {
            while let Ok(count) = self.k.send(fd, &block) {
                sent += count;
            }
            self.wait_idle();
        }
        let is_full = self.k.send(fd, b"x").is_err_and(Errno::is_would_block);
        self.read_and_record("full", is_full);
        sent
    }

    /// Reads and discards; returns the number of bytes.
    pub(crate) fn drain(&mut self, fd: &Fd, max: usize) -> usize {
        let mut buf = vec![0; 65_536];
        let mut read = 0;
        while read < max {
            let room = buf.len().min(max - read);
            match self.k.recv(fd, &mut buf[..room]) {
                Ok(count) if count > 0 => read += count,
                _ => break,
            }
        }
        self.wait_idle();
        read
    }

    pub(crate) fn close(&mut self, fd: Fd) {
        self.k.close(fd).unwrap();
        self.wait_idle();
    }

    /// Two ends of a stream of either family.
    pub(crate) fn pair(&mut self, is_tcp: bool) -> (Fd, Fd) {
        if is_tcp { self.tcp_pair() } else { self.unix_pair() }
    }

    /// A Unix listener and its name, chosen by the kernel.
    pub(crate) fn unix_listener(&mut self, backlog: u32) -> (Fd, Addr) {
        self.unix_listener_of(SocketType::Stream, backlog)
    }

    pub(crate) fn unix_listener_of(&mut self, kind: SocketType, backlog: u32) -> (Fd, Addr) {
        let listener = self.k.socket(AddressFamily::Unix, kind).unwrap();
        let unnamed = Addr::Unix(UnixAddr::unnamed());
        self.k.bind(&listener, &unnamed).unwrap();
        self.k.listen(&listener, backlog).unwrap();
        let addr = self.k.getsockname(&listener).unwrap();
        (listener, addr)
    }
}
