//! A descriptor that tasks wait for: registered once, edge-triggered, closed when it is dropped.
//!
//! Knows which calls may have to wait, and remembers what the kernel has said, since it says it
//! once. It does not know what the calls are.

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker, ready};

use super::{Handle, Shared};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};
use crate::event::{Interest, Ready, Trigger};
use crate::kernel::release;
use crate::kernel::{Fd, Kernel};
use crate::reactor::{Source, patiently};
use crate::token::Token;

/// A direction, and what a call waits for when it says `EAGAIN`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// Something to read, to accept, or an end.
    Read,
    /// Room to write; the end of a connect.
    Write,
}

/// What the reactor holds beside a descriptor.
#[derive(Debug, Default)]
pub(super) struct Waits {
    reader: Option<Waker>,
    writer: Option<Waker>,
    facts: u8,
}

/// A call to read is worth trying.
const READABLE: u8 = 1;
/// A call to write is worth trying.
const WRITABLE: u8 = 1 << 1;
/// A read that stops short may do so for another reason than that there is no more: something
/// else than data was reported. Holds for good: it saves little and hides an end.
const ODD: u8 = 1 << 2;
/// No duplicate of it can live: closing it is enough.
const OURS: u8 = 1 << 3;
/// TCP: short reads can be trusted, and room to write is news only where there was none.
const TCP: u8 = 1 << 4;

/// Everything that concerns a reader.
fn reading() -> Interest {
    Interest::READABLE | Interest::READ_CLOSED | Interest::PRIORITY
}

/// And room to write.
fn everything() -> Interest {
    reading() | Interest::WRITABLE
}

impl Waits {
    /// Notes what the kernel reports. Returns who waited for it.
    pub(super) fn hear(&mut self, ready: Ready) -> [Option<Waker>; 2] {
        let bits = ready.bits();
        let is_over = EPOLLHUP | EPOLLERR;
        let mut woken = [None, None];
        if bits & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | is_over) != 0 {
            self.facts |= READABLE;
            woken[0] = self.reader.take();
        }
        if bits & (EPOLLOUT | is_over) != 0 {
            self.facts |= WRITABLE;
            woken[1] = self.writer.take();
        }
        if !ready.short_read_means_empty() {
            self.facts |= ODD;
        }
        woken
    }

    fn has(&self, fact: u8) -> bool {
        self.facts & fact != 0
    }

    /// Puts a waker in its place, and gives back who was there.
    const fn wait(&mut self, side: Side, waker: Waker) -> Option<Waker> {
        match side {
            Side::Read => self.reader.replace(waker),
            Side::Write => self.writer.replace(waker),
        }
    }
}

impl Side {
    const fn fact(self) -> u8 {
        match self {
            Self::Read => READABLE,
            Self::Write => WRITABLE,
        }
    }
}

/// What is known of a descriptor when it is taken over.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    /// It was made or accepted here.
    pub(super) is_ours: bool,
    pub(super) is_tcp: bool,
    /// It listens: nothing but connections is news.
    pub(super) is_door: bool,
    /// A call to write is worth trying.
    pub(super) is_writable: bool,
}

/// Any descriptor that epoll takes, for calls that have no verb here: a signalfd, an eventfd, a
/// pipe. Streams, listeners and datagram sockets have types of their own around one of these.
///
/// Dropping it closes it.
pub struct Watched<K: Kernel> {
    shared: Rc<Shared<K>>,
    token: Token,
}

impl<K: Kernel> Handle<K> {
    /// Takes any non-blocking descriptor over. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EPERM`]: a kind of file that cannot be waited for, a regular one say.
    /// * [`Errno::ENOSPC`], [`Errno::ENOMEM`], [`Errno::EEXIST`]: as epoll_ctl(2) says.
    ///
    /// The descriptor is closed then.
    ///
    /// Man page: epoll_ctl(2)
    pub fn watch(&self, fd: Fd) -> Result<Watched<K>, Errno> {
        self.adopt(fd, Origin { is_ours: false, is_tcp: false, is_door: false, is_writable: true })
    }

    pub(super) fn adopt(&self, fd: Fd, origin: Origin) -> Result<Watched<K>, Errno> {
        let interest = match origin {
            Origin { is_door: true, .. } => Interest::READABLE,
            Origin { is_tcp: true, .. } => everything(),
            _ => reading(),
        };
        let facts = [(origin.is_writable, WRITABLE), (origin.is_ours, OURS), (origin.is_tcp, TCP)]
            .into_iter()
            .fold(0, |facts, (is_so, fact)| if is_so { facts | fact } else { facts });
        let waits = Waits { facts, ..Waits::default() };
        let mut reactor = self.0.reactor.borrow_mut();
        match reactor.register_or_close(fd, interest, Trigger::Edge, waits) {
            Ok(token) => Ok(Watched { shared: Rc::clone(&self.0), token }),
            Err(reason) => Err(reason.into()),
        }
    }
}

impl<K: Kernel> Watched<K> {
    /// Makes `call`; when it says [`EAGAIN`](Errno::EAGAIN), waits for `side` and makes it
    /// again. Work: a call for each time that the kernel says there is something.
    ///
    /// Dropped before it is done, it has done nothing: the call either was made and its result
    /// is out, or had nothing to do.
    ///
    /// # Errors
    /// What `call` says.
    ///
    /// # Panics
    /// `call` uses a socket or a handle of these tasks: the kernel is in use.
    pub fn attempt<R>(
        &mut self,
        side: Side,
        mut call: impl FnMut(&mut K, &Fd) -> Result<R, Errno>,
    ) -> impl Future<Output = Result<R, Errno>> {
        poll_fn(move |cx| self.poll_call(cx, side, &mut call, |_| false))
    }

    /// Makes calls that do not wait: getpeername(2), setsockopt(2). Work: the calls'.
    ///
    /// # Panics
    /// As [`attempt`](Self::attempt).
    pub fn with<R>(&self, calls: impl FnOnce(&mut K, &Fd) -> R) -> R {
        let mut reactor = self.shared.reactor.borrow_mut();
        let Source { io, .. } = reactor.source(self.token).expect(LIVES);
        calls(io.kernel, io.fd)
    }

    /// Gives the descriptor back, open. Work: one system call.
    ///
    /// Man page: epoll_ctl(2), `EPOLL_CTL_DEL`
    pub fn into_fd(self) -> Fd {
        let given = self.shared.reactor.borrow_mut().deregister(self.token);
        let Some((fd, _)) = given else { unreachable!("{LIVES}") };
        fd
    }

    /// `is_short` tells a read that has emptied the socket, if nothing speaks against it.
    pub(super) fn poll_call<R>(
        &self,
        cx: &Context<'_>,
        side: Side,
        mut call: impl FnMut(&mut K, &Fd) -> Result<R, Errno>,
        is_short: impl FnOnce(&R) -> bool,
    ) -> Poll<Result<R, Errno>> {
        ready!(self.shared.poll_turn(cx));
        let mut reactor = self.shared.reactor.borrow_mut();
        let Source { state, mut io } = reactor.source(self.token).expect(LIVES);
        if state.has(side.fact()) {
            match patiently(|| call(io.kernel, io.fd)) {
                Err(errno) if errno.would_block() => state.facts &= !side.fact(),
                // Interrupted again and again: no failure of the call's, so it is made in the
                // next turn.
                Err(errno) if errno.interrupted() => {
                    drop(reactor);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                result => {
                    if state.facts & (TCP | ODD) == TCP && result.as_ref().is_ok_and(is_short) {
                        state.facts &= !side.fact();
                    }
                    return Poll::Ready(result);
                }
            }
        }
        // Where a reader's pace would be an edge of room each time, room is not watched before
        // it is wanted. To change the mask reports what is so by now.
        if side == Side::Write && !io.watches(everything(), Trigger::Edge) {
            io.rearm(everything(), Trigger::Edge).map_err(Errno::from)?;
        }
        let old = state.wait(side, cx.waker().clone());
        drop(reactor);
        // A stranger's waker may do as it likes when it falls.
        drop(old);
        Poll::Pending
    }

    pub(super) const fn shared(&self) -> &Rc<Shared<K>> {
        &self.shared
    }
}

const LIVES: &str = "a registration lives as long as who owns its token";

impl<K: Kernel> Drop for Watched<K> {
    fn drop(&mut self) {
        let mut reactor = self.shared.reactor.borrow_mut();
        // It may have been given back.
        let Some(source) = reactor.source(self.token) else { return };
        let waits = if source.state.has(OURS) {
            reactor.close(self.token)
        } else {
            // A duplicate may live, and would haunt the epoll.
            reactor.deregister(self.token).map(|(fd, waits)| {
                release(reactor.kernel(), fd);
                waits
            })
        };
        drop(reactor);
        drop(waits);
        self.shared.give_hope();
    }
}

impl<K: Kernel> fmt::Debug for Watched<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("token", &self.token).finish_non_exhaustive()
    }
}
