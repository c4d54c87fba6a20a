//! `EpollEntry`: one entry of an interest list, by the numbers of epoll_ctl(2).

use crate::event::{
    EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLPRI,
    EPOLLRDHUP, Ready,
};
use crate::token::Token;

/// What can be asked for, besides `EPOLLERR` and `EPOLLHUP`, which are always reported.
const CONDITIONS: u32 = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP;

/// A file, whatever descriptor refers to it. All eventfds, epolls, signalfds and the like share
/// one: they have no inodes of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FileId {
    /// The inode's number.
    pub inode: u64,
    /// Its device, encoded as in `st_dev` of stat(2).
    pub device: u64,
}

/// One entry of an epoll's interest list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EpollEntry {
    /// The number of the descriptor that was registered. It may be closed, or be another file's.
    pub fd: u32,
    /// The mask: the kernel's includes `EPOLLERR | EPOLLHUP`, unless a one-shot registration has
    /// fired.
    pub events: u32,
    /// `epoll_event.data`.
    pub data: u64,
    /// The file that is watched, if it is known.
    pub file: Option<FileId>,
}

impl EpollEntry {
    /// The registration, if a [`Reactor`](crate::Reactor) made the entry. Cost: O(1).
    #[must_use]
    pub const fn token(&self) -> Token {
        Token::from_bits(self.data)
    }

    /// The conditions that are waited for, of `IN`, `PRI`, `OUT` and `RDHUP`. Cost: O(1).
    #[must_use]
    pub const fn conditions(&self) -> Ready {
        Ready::from_bits(self.events & CONDITIONS)
    }

    /// Whether a condition is reported as long as it holds: neither edge-triggered nor one-shot.
    /// Cost: O(1).
    #[must_use]
    pub const fn is_level(&self) -> bool {
        self.events & (EPOLLET | EPOLLONESHOT) == 0
    }

    /// Whether it is a one-shot registration that has fired: the kernel has cleared its conditions,
    /// and reports nothing until it is modified. Cost: O(1).
    #[must_use]
    pub const fn is_disarmed(&self) -> bool {
        self.events & (CONDITIONS | EPOLLERR | EPOLLHUP) == 0
    }

    /// The bits that the caller of epoll_ctl(2) chooses. Cost: O(1).
    #[must_use]
    pub const fn requested(&self) -> u32 {
        self.events & (CONDITIONS | EPOLLEXCLUSIVE | EPOLLET | EPOLLONESHOT)
    }
}
