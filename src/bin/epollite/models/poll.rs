//! **poll**: one thread waits for all sockets at once, with poll(2).
//!
//! What it teaches: to wait for many. We hand the kernel a list, one line a descriptor with what
//! we want to hear of it; it sleeps until one of them is ready, and writes into each line what
//! is so. Level-triggered: what is left unread is reported again.
//!
//! What it costs: O(n) a turn, three times over. We write the list, the kernel goes through all
//! of it, and we go through it again to find the one that is ready. With ten clients nobody
//! notices; with ten thousand, of whom one speaks, that is most of the work. epoll(7) is this
//! with the list kept in the kernel and only the ready ones handed back.
//!
//! Where it breaks: it does not; it gets slow. There is no wall but the limit of descriptors.
//! A client that never reads is asked for room instead of bytes, and costs 64 KiB at most.

use super::crowd::Crowd;
use super::sys::{self, PollFd};
use crate::echo::failed;
use crate::failure::Failure;
use crate::meter::Meter;
use crate::report::Snapshot;

/// Serves until a signal has ended it.
pub(super) fn run<K: Meter>(mut crowd: Crowd<K>) -> Result<Snapshot, Failure> {
    let mut list = Vec::new();
    while crowd.goes_on() {
        list.clear();
        list.extend((0..crowd.len()).map(|at| {
            let (fd, interest) = crowd.watched(at);
            PollFd::new(fd, interest)
        }));
        let timeout = crowd.timeout();
        match sys::poll(&mut crowd.stage.kernel, &mut list, timeout) {
            Ok(0) => continue,
            // A signal, or a stop: the list is asked anew.
            Err(errno) if errno.interrupted() => continue,
            Err(errno) => return Err(failed("poll", errno)),
            Ok(_) => {}
        }
        for (at, polled) in list.iter().enumerate() {
            if polled.is_ready() {
                crowd.serve(at);
            }
        }
    }
    crowd.sum()
}
