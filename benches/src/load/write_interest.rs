//! Room to send: who is told of it, and who would rather not be. It knows no messages.
//!
//! TCP tells of room only after it has been short of it. A datagram or Unix socket tells each time
//! that the other side has taken something, which for a small message is a wake-up for nothing. So
//! those are watched for room only from the first time on that they were full. A life, which has
//! but one message, is watched all along: hushing it would cost more than it saves.

use epollite::reactor::Io;
use epollite::{Interest, Linux, Trigger};

use super::error::LoadError;

/// An answer, the end, and an urgent mark: without that, a short read would prove nothing.
fn read_interest() -> Interest {
    Interest::READABLE | Interest::READ_CLOSED | Interest::PRIORITY
}

/// What everybody begins with: these, and room.
pub(super) fn read_write_interest() -> Interest {
    read_interest() | Interest::WRITABLE
}

/// It is connected, and need not hear of room. Work: one system call.
pub(super) fn disable_write_interest(io: &mut Io<'_, Linux>) -> Result<(), LoadError> {
    modify(io, read_interest())
}

/// It is full: if there is room already, that is told at once. Work: one system call, or none if
/// it is watched for room.
pub(super) fn enable_write_interest(io: &mut Io<'_, Linux>) -> Result<(), LoadError> {
    if io.is_registered_for(read_write_interest(), Trigger::Edge) {
        Ok(())
    } else {
        modify(io, read_write_interest())
    }
}

fn modify(io: &mut Io<'_, Linux>, interest: Interest) -> Result<(), LoadError> {
    io.modify(interest, Trigger::Edge).map_err(LoadError::epoll_ctl)
}
