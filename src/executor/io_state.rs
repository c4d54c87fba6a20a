//! `IoState`: what is known of a descriptor's readiness, and the tasks that wait for it.
//!
//! Knows the bits of an event, and no reactor.

use core::task::Waker;

use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, Interest, Ready};
use crate::net::AddressFamily;

/// A direction of I/O: what a call waits for when it returns `EAGAIN`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Data, a connection or an end of file.
    Read,
    /// Room in the send buffer; the completion of a connect.
    Write,
}

/// The state registered with each descriptor.
#[derive(Debug)]
pub(super) struct IoState {
    reader: Option<Waker>,
    writer: Option<Waker>,
    pub(super) flags: u8,
}

/// A read may succeed.
pub(super) const READABLE: u8 = 1;
/// A write may succeed.
pub(super) const WRITABLE: u8 = 1 << 1;
/// A short read no longer proves that the socket is empty: something other than data was
/// reported. Never cleared: clearing it would save little and could hide an end of file.
pub(super) const SHORT_READ_UNRELIABLE: u8 = 1 << 2;
/// It has no duplicates: closing it is enough.
pub(super) const UNSHARED: u8 = 1 << 3;
/// TCP: short reads can be trusted, and `EPOLLOUT` is an edge only after the buffer was full.
pub(super) const TCP: u8 = 1 << 4;

/// The flag [`TCP`], unless the family is another one.
pub(super) fn tcp_flag(family: Option<AddressFamily>) -> u8 {
    if family == Some(AddressFamily::Unix) { 0 } else { TCP }
}

/// Everything a reader waits for.
pub(super) fn read_interest() -> Interest {
    Interest::READABLE | Interest::READ_CLOSED | Interest::PRIORITY
}

/// The same, and room to write.
pub(super) fn read_write_interest() -> Interest {
    read_interest() | Interest::WRITABLE
}

impl IoState {
    /// Nothing is waited for.
    pub(super) const fn new(flags: u8) -> Self {
        Self { reader: None, writer: None, flags }
    }

    /// Stores what the kernel reports. Returns the wakers to call.
    pub(super) fn on_ready(&mut self, ready: Ready) -> [Option<Waker>; 2] {
        let bits = ready.bits();
        let closed = EPOLLHUP | EPOLLERR;
        let mut woken = [None, None];
        if bits & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | closed) != 0 {
            self.flags |= READABLE;
            woken[0] = self.reader.take();
        }
        if bits & (EPOLLOUT | closed) != 0 {
            self.flags |= WRITABLE;
            woken[1] = self.writer.take();
        }
        if !ready.short_read_means_empty() {
            self.flags |= SHORT_READ_UNRELIABLE;
        }
        woken
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Stores a waker, and returns the previous one.
    pub(super) const fn set_waker(&mut self, side: Direction, waker: Waker) -> Option<Waker> {
        match side {
            Direction::Read => self.reader.replace(waker),
            Direction::Write => self.writer.replace(waker),
        }
    }
}

impl Direction {
    pub(super) const fn flag(self) -> u8 {
        match self {
            Self::Read => READABLE,
            Self::Write => WRITABLE,
        }
    }
}
