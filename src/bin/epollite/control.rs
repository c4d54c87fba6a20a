//! What the threads of one server say to each other: "leave", "tell what you have counted".
//!
//! Whoever asks wakes the others; each answers for itself.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use epollite::{Linux, Waker};

use crate::report::Snapshot;

/// Shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Control {
    leaving: AtomicBool,
    /// Threads that have not left yet, the one that reads the signals not counted.
    working: AtomicUsize,
    /// How to wake each thread. Known before any of them works.
    wakers: OnceLock<Vec<Waker>>,
    report: Mutex<Report>,
}

/// A report that is being collected.
#[derive(Debug, Default)]
struct Report {
    sum: Snapshot,
    /// Which threads have yet to answer.
    awaited: Vec<usize>,
    /// Threads that have left, and what they had counted together.
    departed: Vec<usize>,
    departed_sum: Snapshot,
}

impl Control {
    /// Says how each thread is woken; once, before any works.
    pub(crate) fn introduce(&self, wakers: Vec<Waker>) {
        assert!(self.wakers.set(wakers).is_ok(), "threads are introduced once");
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.wakers.get().map_or(0, Vec::len)
    }

    /// Thread `me` wants everybody to leave.
    pub(crate) fn leave(&self, me: usize) {
        if !self.leaving.swap(true, Ordering::AcqRel) {
            self.wake_others(me);
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Thread `me` wants everybody to tell what he has counted. A report that is still being
    /// collected is not begun anew.
    pub(crate) fn ask(&self, me: usize) {
        {
            let mut report = self.lock();
            if !report.awaited.is_empty() {
                return;
            }
            report.sum = report.departed_sum;
            let is_here = |thread: &usize| !report.departed.contains(thread);
            report.awaited = (0..self.threads()).filter(is_here).collect();
        }
        self.wake_others(me);
    }

    /// Thread `me` tells, if it was asked. The last to tell gets the sum, to print it.
    pub(crate) fn tell(&self, me: usize, count: impl FnOnce() -> Snapshot) -> Option<Snapshot> {
        let mut report = self.lock();
        let at = report.awaited.iter().position(|&thread| thread == me)?;
        report.awaited.swap_remove(at);
        report.sum.add(&count());
        report.awaited.is_empty().then_some(report.sum)
    }

    /// Thread `me` leaves and will tell nothing more: this is what it has counted. If it was
    /// asked, that is its answer; and if it was the last that was awaited, it gets the sum, to
    /// print it.
    pub(crate) fn depart(&self, me: usize, counted: &Snapshot) -> Option<Snapshot> {
        let sum = self.tell(me, || *counted);
        let mut report = self.lock();
        report.departed.push(me);
        report.departed_sum.add(counted);
        sum
    }

    /// A thread begins to work. It has left when what is returned is dropped, by a panic even.
    /// Then the first thread is told, which stays as long as anybody may be signalled.
    pub(crate) fn begin(self: &Arc<Self>, me: usize) -> Working {
        self.working.fetch_add(1, Ordering::AcqRel);
        Working { control: Arc::clone(self), me }
    }

    /// Whether nobody works any more.
    pub(crate) fn is_deserted(&self) -> bool {
        self.working.load(Ordering::Acquire) == 0
    }

    fn wake_others(&self, me: usize) {
        for (thread, waker) in self.wakers.get().into_iter().flatten().enumerate() {
            if thread != me {
                // A thread that has left already needs no waking.
                let _ = waker.wake(&mut Linux);
            }
        }
    }

    /// A thread that panicked while it held the lock left a sum that is whole, or not begun.
    fn lock(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A thread that works.
#[derive(Debug)]
pub(crate) struct Working {
    control: Arc<Control>,
    me: usize,
}

impl Drop for Working {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.control.leave(self.me);
        }
        self.control.working.fetch_sub(1, Ordering::AcqRel);
        self.control.wake_others(self.me);
    }
}

#[cfg(test)]
mod tests {
    use epollite::Reactor;

    use super::*;

    fn counted(open: u64) -> Snapshot {
        Snapshot { open, ..Snapshot::default() }
    }

    #[test]
    fn a_thread_that_leaves_after_it_was_asked_has_answered() {
        let mut reactors = [(); 3].map(|()| Reactor::<(), Linux>::on(Linux).unwrap());
        let control = Control::default();
        let wakers = reactors.iter_mut().map(|reactor| reactor.waker().unwrap());
        control.introduce(wakers.collect());
        control.depart(2, &counted(4));
        control.ask(0);
        assert!(control.tell(0, || counted(1)).is_none(), "one is awaited");
        let sum = control.depart(1, &counted(2));
        assert_eq!(sum.map(|sum| sum.open), Some(7), "law: the last of the awaited has the sum");
        control.ask(0);
        let sum = control.tell(0, || counted(1));
        assert_eq!(sum.map(|sum| sum.open), Some(7), "law: who has left is counted once");
    }
}
