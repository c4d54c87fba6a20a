//! `Event`: what a reactor returns.

use super::Ready;
use crate::token::Token;

/// What [`Reactor::next`](crate::Reactor::next) returns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// A live registration is ready.
    Io {
        /// Its token.
        token: Token,
        /// What it is ready for.
        ready: Ready,
    },
    /// A registration's deadline has passed. It is no longer set.
    Timer {
        /// Its token.
        token: Token,
    },
    /// Another thread has called [`Waker::wake`](crate::reactor::Waker::wake), at least once.
    Woken,
}
