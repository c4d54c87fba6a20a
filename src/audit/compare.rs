//! Compares two interest lists of one epoll: a reactor's and the kernel's.

use alloc::vec::Vec;
use core::fmt;

use super::entry::EpollEntry;

/// Where two interest lists differ. An entry is identified by its descriptor and its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Difference {
    /// The reactor has a registration that the kernel does not know.
    OnlyInReactor(EpollEntry),
    /// The kernel watches what the reactor has forgotten: a ghost.
    OnlyInKernel(EpollEntry),
    /// Both have it, with another mask. (That of a one-shot registration is cleared when it fires,
    /// which is no difference.)
    Mask {
        /// The reactor's.
        in_reactor: EpollEntry,
        /// The kernel's.
        in_kernel: EpollEntry,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyInReactor(entry) => {
                write!(f, "fd {} ({}) is in the reactor only", entry.fd, entry.token())
            }
            Self::OnlyInKernel(entry) => {
                write!(f, "fd {} ({}) is in the kernel only", entry.fd, entry.token())
            }
            Self::Mask { in_reactor, in_kernel } => write!(
                f,
                "fd {} ({}) has mask {:#x} in the reactor and {:#x} in the kernel",
                in_reactor.fd,
                in_reactor.token(),
                in_reactor.requested(),
                in_kernel.requested()
            ),
        }
    }
}

/// Compares a reactor's interest list ([`Reactor::interest_list`](crate::Reactor::interest_list))
/// with the kernel's ([`parse_fdinfo`](super::parse_fdinfo)). Cost: O(n log n), two allocations.
#[must_use]
pub fn compare(in_reactor: &[EpollEntry], in_kernel: &[EpollEntry]) -> Vec<Difference> {
    let key = |entry: &EpollEntry| (entry.fd, entry.data);
    let sorted = |entries: &[EpollEntry]| {
        let mut sorted = entries.to_vec();
        sorted.sort_unstable_by_key(key);
        sorted
    };
    let (own, kernel) = (sorted(in_reactor), sorted(in_kernel));
    let (mut own, mut kernel) = (own.iter().peekable(), kernel.iter().peekable());
    let mut differences = Vec::new();
    loop {
        let (first, second) = match (own.peek(), kernel.peek()) {
            (None, None) => return differences,
            (first, second) => (first.map(|entry| key(entry)), second.map(|entry| key(entry))),
        };
        // The lesser key comes first; a list that has ended has none.
        let is_own_next = second.is_none_or(|second| first.is_some_and(|first| first <= second));
        let is_kernel_next = first.is_none_or(|first| second.is_some_and(|second| second <= first));
        let taken = (own.next_if(|_| is_own_next), kernel.next_if(|_| is_kernel_next));
        match taken {
            (Some(&in_reactor), Some(&in_kernel)) => {
                if !has_same_mask(&in_reactor, &in_kernel) {
                    differences.push(Difference::Mask { in_reactor, in_kernel });
                }
            }
            (Some(&entry), None) => differences.push(Difference::OnlyInReactor(entry)),
            (None, Some(&entry)) => differences.push(Difference::OnlyInKernel(entry)),
            (None, None) => unreachable!("one of two keys is not greater than the other"),
        }
    }
}

fn has_same_mask(in_reactor: &EpollEntry, in_kernel: &EpollEntry) -> bool {
    let (own, kernel) = (in_reactor.requested(), in_kernel.requested());
    own == kernel || in_kernel.is_disarmed() && own & kernel == kernel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT};

    const fn entry(fd: u32, data: u64, events: u32) -> EpollEntry {
        EpollEntry { fd, events, data, file: None }
    }

    #[test]
    fn equal_lists_do_not_differ_in_any_order() {
        let kernel = EPOLLIN | EPOLLERR | EPOLLHUP;
        let own = [entry(4, 0, EPOLLIN), entry(5, 1, EPOLLIN)];
        let theirs = [entry(5, 1, kernel), entry(4, 0, kernel)];
        assert_eq!(compare(&own, &theirs), []);
        assert_eq!(compare(&[], &[]), []);
    }

    #[test]
    fn each_difference_is_found_once() {
        let own = [entry(4, 0, EPOLLIN), entry(5, 1, EPOLLIN), entry(6, 2, EPOLLOUT)];
        let theirs = [entry(5, 1, EPOLLOUT), entry(6, 2, EPOLLOUT), entry(9, 7, EPOLLIN)];
        let expected = [
            Difference::OnlyInReactor(own[0]),
            Difference::Mask { in_reactor: own[1], in_kernel: theirs[0] },
            Difference::OnlyInKernel(theirs[2]),
        ];
        assert_eq!(compare(&own, &theirs), expected);
    }

    #[test]
    fn a_reused_descriptor_is_two_entries() {
        let (own, ghost) = (entry(4, 1 << 32, EPOLLIN), entry(4, 0, EPOLLIN));
        assert_eq!(compare(&[own], &[ghost, own]), [Difference::OnlyInKernel(ghost)]);
    }

    #[test]
    fn a_oneshot_registration_that_has_fired_does_not_differ() {
        let own = entry(4, 0, EPOLLIN | EPOLLONESHOT);
        assert_eq!(compare(&[own], &[entry(4, 0, EPOLLONESHOT)]), []);
        let other = entry(4, 0, EPOLLOUT | EPOLLONESHOT | EPOLLERR | EPOLLHUP);
        assert_eq!(compare(&[own], &[other]).len(), 1);
    }
}
