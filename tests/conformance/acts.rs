//! What the scenarios do on a stage, again and again: register, wait, read, and note it.
//!
//! Knows nothing of a scenario.

use epollite::kernel::{Control, EpollEvent};
use epollite::{Addr, Errno, Family, Fd, Kind, UnixAddr};

use super::stage::Stage;

impl Stage<'_> {
    pub(crate) fn see<T: std::fmt::Debug>(&mut self, what: &str, seen: T) {
        self.log.push(format!("{what}: {seen:?}"));
    }

    pub(crate) fn ctl(&mut self, epoll: &Fd, control: Control, fd: &Fd) -> Result<(), Errno> {
        self.k.epoll_ctl(epoll, control, fd)
    }

    pub(crate) fn add(&mut self, epoll: &Fd, fd: &Fd, events: u32, label: u64) {
        let control = Control::Add(EpollEvent::new(events, label));
        self.k.epoll_ctl(epoll, control, fd).unwrap();
    }

    pub(crate) fn modify(&mut self, epoll: &Fd, fd: &Fd, events: u32, label: u64) {
        let control = Control::Modify(EpollEvent::new(events, label));
        self.k.epoll_ctl(epoll, control, fd).unwrap();
    }

    /// What a wait that does not wait brings, in order: `label mask, label mask`.
    pub(crate) fn poll(&mut self, epoll: &Fd, max: usize) -> String {
        self.settle();
        self.poll_now(epoll, max)
    }

    /// Waits and notes what came.
    pub(crate) fn wait(&mut self, epoll: &Fd, when: &str) {
        let came = self.poll(epoll, 16);
        self.log.push(format!("{when}: [{came}]"));
    }

    pub(crate) fn send(&mut self, fd: &Fd, bytes: &[u8]) {
        let sent = self.k.send(fd, bytes);
        assert_eq!(sent, Ok(bytes.len()), "there is room for a few bytes");
        self.settle();
    }

    /// Reads at most `max` bytes, and notes them.
    pub(crate) fn recv(&mut self, fd: &Fd, max: usize) -> Result<usize, Errno> {
        self.settle();
        let mut buf = vec![0; max];
        let read = self.k.recv(fd, &mut buf);
        let bytes = read.map(|count| String::from_utf8_lossy(&buf[..count]).into_owned());
        self.log.push(format!("recv {max}: {bytes:?}"));
        read
    }

    /// Sends until there is no room. How much that was is not noted: it is Linux' affair.
    pub(crate) fn fill(&mut self, fd: &Fd) -> usize {
        let block = [b'f'; 4_096];
        let mut sent = 0;
        // The real kernel's receiver makes room as it goes.
        for _ in 0..5 {
            while let Ok(count) = self.k.send(fd, &block) {
                sent += count;
            }
            self.settle();
        }
        let is_full = self.k.send(fd, b"x").is_err_and(Errno::would_block);
        self.see("no room", is_full);
        sent
    }

    /// Reads and throws away; returns how much.
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
        self.settle();
        read
    }

    pub(crate) fn close(&mut self, fd: Fd) {
        self.k.close(fd).unwrap();
        self.settle();
    }

    /// Two ends of a stream of either family.
    pub(crate) fn pair(&mut self, is_tcp: bool) -> (Fd, Fd) {
        if is_tcp { self.tcp_pair() } else { self.unix_pair() }
    }

    /// A Unix listener and its name, which the kernel chose.
    pub(crate) fn unix_listener(&mut self, backlog: u32) -> (Fd, Addr) {
        let listener = self.k.socket(Family::Unix, Kind::Stream).unwrap();
        let unnamed = Addr::Unix(UnixAddr::unnamed());
        self.k.bind(&listener, &unnamed).unwrap();
        self.k.listen(&listener, backlog).unwrap();
        let addr = self.k.getsockname(&listener).unwrap();
        (listener, addr)
    }
}
