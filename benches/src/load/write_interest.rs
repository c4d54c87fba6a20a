//! Registration for OUT events (write readiness). It knows no messages.
//!
//! TCP reports OUT only after the send buffer was full. A datagram or Unix socket reports it each
//! time the peer has read something, which for small messages causes useless wake-ups. Those
//! sockets are therefore registered for OUT only after they were full for the first time. A
//! short-lived connection, which has a single message, stays registered for OUT: changing the
//! registration would cost more than it saves.

use epollite::{Interest, Linux, Trigger};

use super::error::{LoadError, Result};

/// A registration of this program's reactor.
pub(super) type Io<'a> = epollite::Io<'a, Linux>;

/// IN, RDHUP and PRI: without PRI (urgent data) a short read would not prove that the socket is
/// empty.
fn read_interest() -> Interest {
    Interest::READABLE | Interest::READ_CLOSED | Interest::PRIORITY
}

/// The initial interest: the read interest, and OUT.
pub(super) fn read_write_interest() -> Interest {
    read_interest() | Interest::WRITABLE
}

/// Removes OUT once the socket is connected. Cost: one system call.
pub(super) fn disable_write_interest(io: &mut Io<'_>) -> Result<()> {
    modify(io, read_interest())
}

/// Adds OUT when the socket is full; if it has room by then, the event follows at once. Cost: one
/// system call, or none if OUT is registered already.
pub(super) fn enable_write_interest(io: &mut Io<'_>) -> Result<()> {
    if io.is_registered_for(read_write_interest(), Trigger::Edge) {
        Ok(())
    } else {
        modify(io, read_write_interest())
    }
}

fn modify(io: &mut Io<'_>, interest: Interest) -> Result<()> {
    io.modify(interest, Trigger::Edge).map_err(LoadError::epoll_ctl)
}
