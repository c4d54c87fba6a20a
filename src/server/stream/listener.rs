//! `Listener`: a listening socket of a server, and how it is shared with other servers.

use crate::token::Token;

/// How wake-ups are distributed among servers that wait for the same listener, each with its own
/// epoll. Without it every server wakes up for each connection: one gets it, the others wake up
/// for nothing (the thundering herd).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AcceptSharing {
    /// `EPOLLEXCLUSIVE`: wakes the first waiter in the kernel's list, which is the one that
    /// registered first (fs/eventpoll.c: `ep_ptable_queue_proc`). Most connections go to that one.
    Exclusive,
    /// The same, and a server that has accepted moves to the other end of the list, by
    /// `EPOLL_CTL_DEL` and `EPOLL_CTL_ADD`. All get the same share, for two system calls per
    /// connection.
    RoundRobin,
}

/// A listening socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener {
    /// Whether it is a Unix socket.
    pub(super) is_unix: bool,
    /// Whether it is shared, and how.
    pub(super) sharing: Option<AcceptSharing>,
    /// The token that `add_shared_listener` returned, once it has been registered again.
    pub(super) original_token: Option<Token>,
}
