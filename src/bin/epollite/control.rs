//! What the threads of one server say to each other: "leave", "tell what you have counted".
//!
//! One thread reads the signals and asks; each answers for itself when it is woken.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use epollite::{Linux, Waker};

use crate::report::Snapshot;

/// Shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Control {
    leaving: AtomicBool,
    /// Threads that have not left yet, the one that reads the signals not counted.
    working: AtomicUsize,
    report: Mutex<Report>,
}

/// A report that is being collected.
#[derive(Debug, Default)]
struct Report {
    sum: Snapshot,
    /// Which threads have yet to answer.
    awaited: Vec<usize>,
}

impl Control {
    /// Everybody is to leave.
    pub(crate) fn leave(&self, others: &[Waker]) {
        self.leaving.store(true, Ordering::Release);
        wake(others);
    }

    /// A thread begins to work. It has left when what is returned is dropped, by a panic even.
    /// Then `first` is told, which stays as long as anybody may be signalled.
    pub(crate) fn begin(self: &Arc<Self>, first: &Waker) -> Working {
        self.working.fetch_add(1, Ordering::AcqRel);
        Working { control: Arc::clone(self), first: first.clone() }
    }

    /// Whether nobody works any more.
    pub(crate) fn is_deserted(&self) -> bool {
        self.working.load(Ordering::Acquire) == 0
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Everybody of `threads` is to tell what he has counted. A report that is still being
    /// collected is not begun anew.
    pub(crate) fn ask(&self, threads: usize, others: &[Waker]) {
        {
            let mut report = self.lock();
            if !report.awaited.is_empty() {
                return;
            }
            *report = Report { sum: Snapshot::default(), awaited: (0..threads).collect() };
        }
        wake(others);
    }

    /// Thread `me` tells, if it was asked. The last to tell gets the sum, to print it.
    pub(crate) fn tell(&self, me: usize, count: impl FnOnce() -> Snapshot) -> Option<Snapshot> {
        let mut report = self.lock();
        let at = report.awaited.iter().position(|&thread| thread == me)?;
        report.awaited.swap_remove(at);
        report.sum.add(&count());
        report.awaited.is_empty().then_some(report.sum)
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
    first: Waker,
}

impl Drop for Working {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.control.leave(&[]);
        }
        self.control.working.fetch_sub(1, Ordering::AcqRel);
        wake(core::slice::from_ref(&self.first));
    }
}

fn wake(others: &[Waker]) {
    for other in others {
        // A thread that has left already needs no waking.
        let _ = other.wake(&mut Linux);
    }
}
