//! **select**: one thread waits for all sockets at once, with select(2).
//!
//! What it teaches: the oldest way to wait for many, from 1983. A set is an array of bits, one a
//! descriptor *number*: bit 7 stands for descriptor 7. The kernel leaves those bits set that are
//! ready, so that both sets, of readers and of writers, are made anew each turn.
//!
//! What it costs: as poll(2), O(n) a turn; and n is the highest number, not how many there are.
//!
//! Where it breaks: the array has `FD_SETSIZE` bits, 1024, fixed when the C library was built.
//! Descriptor 1024 has no bit. In C `FD_SET(1024, &set)` writes behind the array, over whatever
//! lies there; programs have been broken into that way. Here the set refuses the number, and the
//! client that got it sees an orderly end, and the log a line. Raising the limit of descriptors
//! does not help: that is what makes it happen.

use super::crowd::Crowd;
use super::sys::{self, FdSet};
use crate::echo::failed;
use crate::failure::Failure;
use crate::meter::Meter;
use crate::report::Snapshot;
use epollite::Interest;

/// The first descriptor that has no bit.
pub(super) const WALL: u32 = FdSet::SIZE;

/// Serves until a signal has ended it.
pub(super) fn run<K: Meter>(mut crowd: Crowd<K>) -> Result<Snapshot, Failure> {
    while crowd.goes_on() {
        let (mut readers, mut writers) = (FdSet::EMPTY, FdSet::EMPTY);
        for at in 0..crowd.len() {
            let (fd, interest) = crowd.watched(at);
            if interest.contains(Interest::WRITABLE) {
                writers.insert(fd);
            } else if interest.contains(Interest::READABLE) {
                readers.insert(fd);
            }
        }
        let timeout = crowd.timeout();
        match sys::select(&mut crowd.stage.kernel, &mut readers, &mut writers, timeout) {
            Ok(0) => continue,
            // A signal, or a stop: the sets are made anew.
            Err(errno) if errno.interrupted() => continue,
            Err(errno) => return Err(failed("select", errno)),
            Ok(_) => {}
        }
        for at in 0..crowd.len() {
            let (fd, _) = crowd.watched(at);
            if readers.contains(fd) || writers.contains(fd) {
                crowd.serve(at);
            }
        }
    }
    crowd.sum()
}
