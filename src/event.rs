//! Interest, trigger mode and events: the flags of epoll_ctl(2).
//!
//! Defines the bits by number and makes no system call; `linux/` asserts that they are the
//! kernel's numbers.

#[expect(clippy::module_inception, reason = "a type is in the file of its name")]
pub(crate) mod event;
pub(crate) mod interest;
mod mask;
mod ready;
pub(crate) mod trigger;

pub(crate) use event::Event;
pub(crate) use interest::Interest;
pub use mask::{EventMask, MaskError};
pub use ready::Ready;
pub use trigger::ExclusiveTrigger;
pub(crate) use trigger::Trigger;

use core::fmt;

/// `EPOLLIN`: data, a connection or an end of file can be read.
pub const EPOLLIN: u32 = 0x001;
/// `EPOLLPRI`: urgent data.
pub const EPOLLPRI: u32 = 0x002;
/// `EPOLLOUT`: there is room in the send buffer.
pub const EPOLLOUT: u32 = 0x004;
/// `EPOLLERR`: an error is pending; always reported.
pub const EPOLLERR: u32 = 0x008;
/// `EPOLLHUP`: both directions are shut down; always reported.
pub const EPOLLHUP: u32 = 0x010;
/// `EPOLLRDHUP`: the peer has shut its write side down.
pub const EPOLLRDHUP: u32 = 0x2000;
/// `EPOLLEXCLUSIVE`: wake one or some of the epolls that wait for the same file.
pub const EPOLLEXCLUSIVE: u32 = 1 << 28;
/// `EPOLLONESHOT`: disarm after one report.
pub const EPOLLONESHOT: u32 = 1 << 30;
/// `EPOLLET`: report changes, not states.
pub const EPOLLET: u32 = 1 << 31;

/// The names of epoll_ctl(2), in the order in which they are printed.
pub(crate) const NAMES: [(u32, &str); 9] = [
    (EPOLLIN, "EPOLLIN"),
    (EPOLLPRI, "EPOLLPRI"),
    (EPOLLOUT, "EPOLLOUT"),
    (EPOLLERR, "EPOLLERR"),
    (EPOLLHUP, "EPOLLHUP"),
    (EPOLLRDHUP, "EPOLLRDHUP"),
    (EPOLLEXCLUSIVE, "EPOLLEXCLUSIVE"),
    (EPOLLONESHOT, "EPOLLONESHOT"),
    (EPOLLET, "EPOLLET"),
];

/// Prints the bits of a mask by their names without `EPOLL`, unknown ones in hexadecimal.
struct MaskDisplay(u32);

impl fmt::Display for MaskDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut between = "";
        for (bit, name) in NAMES {
            if rest & bit != 0 {
                write!(f, "{between}{}", name.trim_start_matches("EPOLL"))?;
                between = "|";
                rest &= !bit;
            }
        }
        if rest != 0 || self.0 == 0 {
            write!(f, "{between}{rest:#x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn masks_print_as_the_man_page_names_them() {
        let mask = EventMask::new(Interest::READABLE | Interest::READ_CLOSED, Trigger::EdgeOneShot);
        assert_eq!(format!("{mask:?}"), "EventMask(IN|RDHUP|ONESHOT|ET)");
        assert_eq!(format!("{}", Ready::from_bits(0)), "0x0");
        assert_eq!(format!("{}", Ready::from_bits(0x101)), "IN|0x100");
    }

    #[test]
    fn exclusive_refuses_what_the_kernel_would() {
        for bad in [Interest::PRIORITY, Interest::READ_CLOSED] {
            let mask = EventMask::exclusive(Interest::READABLE | bad, ExclusiveTrigger::Edge);
            assert_eq!(mask, Err(MaskError::ExclusiveInterest));
        }
        let mask =
            EventMask::exclusive(Interest::READABLE | Interest::WRITABLE, ExclusiveTrigger::Level);
        assert!(mask.is_ok_and(EventMask::is_exclusive));
    }
}
