//! Other threads and processes that take part in an experiment: the [`Actors`] trait.
//!
//! Knows signatures; threads are started by the program, since the library has none.

use alloc::vec::Vec;
use core::time::Duration;

use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{ChildRole, EpollEvent, Fd, Signal};

/// The state of a wait that another thread or process has begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Waited {
    /// It still waits.
    Blocked,
    /// It has returned.
    Returned {
        /// What it returned, or the error.
        result: Result<Returned, Errno>,
        /// When the call was made.
        start: Instant,
        /// How long it took.
        duration: Duration,
    },
}

/// What a call of another thread or process returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Returned {
    /// The events of a wait.
    Events(Vec<EpollEvent>),
    /// How many datagrams were received.
    Count(usize),
}

/// Threads and child processes by name. What is not implemented returns [`Errno::ENOSYS`].
///
/// An actor waits in at most one call. A name that was not forked is that of a thread, which lives
/// as long as its call.
#[expect(unused_variables, reason = "a call that is not implemented ignores its arguments")]
#[expect(clippy::missing_errors_doc, reason = "each error is that of the man page")]
pub trait Actors {
    /// Lets an actor begin an epoll_wait(2); returns when it sleeps in the call or has returned.
    fn begin_wait(
        &mut self,
        actor: &str,
        epoll: &Fd,
        events_max: usize,
        timeout_millis: u32,
    ) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// The same of a recvmmsg(2) that waits.
    fn begin_receive(
        &mut self,
        actor: &str,
        socket: &Fd,
        messages_max: usize,
        timeout_millis: u32,
    ) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// The state of the wait when every actor has done what it can: each sleeps, or has returned.
    /// A wait that has returned is over.
    fn end_wait(&mut self, actor: &str) -> Result<Waited, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates a child process, with a copy of every descriptor. Man page: fork(2)
    fn fork(&mut self, actor: &str) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates a child process, and the descriptor that it makes in its role. Man page: fork(2)
    fn fork_with(&mut self, actor: &str, role: ChildRole) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends an actor a signal; returns when it has stopped, for `SIGSTOP`, or has ended, for
    /// `SIGKILL`. In threads `SIGURG` has a handler, which does nothing. Man page: kill(2)
    fn kill(&mut self, actor: &str, signal: Signal) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// A descriptor of a child process. Man page: pidfd_open(2)
    fn pidfd(&mut self, actor: &str) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Removes a child process that has ended; `EBUSY` if it has not. Man page: waitpid(2)
    fn reap(&mut self, actor: &str) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Ends every wait and every child process.
    fn end_all(&mut self) {}
}

/// No actors.
impl Actors for () {}
