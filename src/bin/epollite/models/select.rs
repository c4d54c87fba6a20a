//! **select**: one thread waits for all sockets at once, with select(2).
//!
//! What it teaches: the oldest way to wait for many, from 1983. A set is an array of bits, one per
//! descriptor *number*: bit 7 stands for descriptor 7. The kernel leaves only the bits of ready
//! descriptors set, so both sets, of readers and of writers, are rebuilt before each call.
//!
//! What it costs: as poll(2), O(n) per call; but n is the highest descriptor number, not the count.
//!
//! Where it breaks: the array has `FD_SETSIZE` bits, 1024, fixed when the C library was built.
//! Descriptor 1024 has no bit. In C `FD_SET(1024, &set)` writes past the end of the array, over
//! whatever memory follows; programs have been exploited that way. Here the set rejects the number:
//! the client with that descriptor gets an orderly close, and the log reports it. Raising the limit
//! of descriptors does not help: it is what makes this possible.

use super::fd_list::FdList;
use super::sys::{FdSet, ModelSyscalls as _};
use crate::echo::stats::StatsSnapshot;
use crate::exit::{CliError, syscall_failure};
use crate::instrument::InstrumentedKernel;
use epollite::Interest;

/// The first descriptor that has no bit.
pub(super) const FD_SETSIZE: u32 = FdSet::SIZE;

/// Serves until a signal ends it.
pub(super) fn run<K: InstrumentedKernel>(
    mut fd_list: FdList<K>,
) -> Result<StatsSnapshot, CliError> {
    while fd_list.finish_iteration() {
        let (mut readers, mut writers) = (FdSet::EMPTY, FdSet::EMPTY);
        for at in 0..fd_list.len() {
            let (fd, interest) = fd_list.interest_of(at);
            if interest.contains(Interest::WRITABLE) {
                writers.insert(fd);
            } else if interest.contains(Interest::READABLE) {
                readers.insert(fd);
            }
        }
        let timeout = fd_list.timeout();
        match fd_list.context.kernel.select(&mut readers, &mut writers, timeout) {
            Ok(0) => continue,
            // A signal, or SIGSTOP and SIGCONT: rebuild the sets and call again.
            Err(errno) if errno.is_interrupted() => continue,
            Err(errno) => return Err(syscall_failure("select", errno)),
            Ok(_) => {}
        }
        for at in 0..fd_list.len() {
            let (fd, _) = fd_list.interest_of(at);
            if readers.contains(fd) || writers.contains(fd) {
                fd_list.dispatch(at);
            }
        }
    }
    fd_list.into_stats()
}
