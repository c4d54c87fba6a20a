//! **poll**: one thread waits for all sockets at once, with poll(2).
//!
//! What it teaches: waiting for many descriptors. We pass the kernel a list with one entry per
//! descriptor, holding the events we want; it sleeps until one of them is ready, and writes the
//! ready events into each entry. Level-triggered: unread data is reported again.
//!
//! What it costs: O(n) per call, three times over. We write the list, the kernel scans all of it,
//! and we scan it again to find the ready descriptor. With ten clients this does not matter; with
//! ten thousand, of which one is active, it is most of the work. epoll(7) is this with the list
//! kept in the kernel and only the ready entries returned.
//!
//! Where it breaks: it does not; it gets slow. The only limit is the limit of descriptors. A client
//! that never reads is polled for writability instead of data, and costs 64 KiB at most.

use super::fd_list::FdList;
use super::sys::{ModelSyscalls as _, PollFd};
use crate::echo::stats::StatsSnapshot;
use crate::exit::{CliError, syscall_failure};
use crate::instrument::InstrumentedKernel;

/// Serves until a signal ends it.
pub(super) fn run<K: InstrumentedKernel>(
    mut fd_list: FdList<K>,
) -> Result<StatsSnapshot, CliError> {
    let mut list = Vec::new();
    while fd_list.finish_iteration() {
        list.clear();
        list.extend((0..fd_list.len()).map(|at| {
            let (fd, interest) = fd_list.interest_of(at);
            PollFd::new(fd, interest)
        }));
        let timeout = fd_list.timeout();
        match fd_list.context.kernel.poll(&mut list, timeout) {
            Ok(0) => continue,
            // A signal, or SIGSTOP and SIGCONT: build the list and poll again.
            Err(errno) if errno.is_interrupted() => continue,
            Err(errno) => return Err(syscall_failure("poll", errno)),
            Ok(_) => {}
        }
        for (at, polled) in list.iter().enumerate() {
            if polled.is_ready() {
                fd_list.dispatch(at);
            }
        }
    }
    fd_list.into_stats()
}
