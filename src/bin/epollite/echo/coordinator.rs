//! Coordination between the threads of one server: shutdown, statistics, heartbeats, and leaving
//! the listeners to another server.
//!
//! The requesting thread wakes the others; each thread handles the request for itself.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use epollite::Linux;
use epollite::reactor::Waker;

use crate::echo::stats::StatsSnapshot;

/// Shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    shutting_down: AtomicBool,
    /// Threads that have not exited yet, not counting the one that reads the signals.
    active_threads: AtomicUsize,
    /// The waker of each thread. Set before any thread runs.
    wakers: OnceLock<Vec<Waker>>,
    report: Mutex<PendingReport>,
    /// Whether another server takes the listeners over.
    handing_over: AtomicBool,
}

/// A report that is being collected.
#[derive(Debug, Default)]
struct PendingReport {
    sum: StatsSnapshot,
    /// Threads that have yet to submit their statistics.
    pending: Vec<usize>,
    /// Threads that have exited, and the sum of their statistics.
    exited: Vec<usize>,
    exited_sum: StatsSnapshot,
    /// The same for a request of `--metrics`, and its complete sum.
    scrape_pending: Vec<usize>,
    scrape_sum: StatsSnapshot,
    scraped: Option<StatsSnapshot>,
    /// Threads that have yet to give a heartbeat.
    without_heartbeat: Vec<usize>,
    /// Threads that have yet to close their listeners.
    listening: Vec<usize>,
}

impl PendingReport {
    fn active(&self, threads: usize) -> Vec<usize> {
        (0..threads).filter(|thread| !self.exited.contains(thread)).collect()
    }
}

impl Coordinator {
    /// Sets the waker of each thread; once, before any thread runs.
    pub(crate) fn set_wakers(&self, wakers: Vec<Waker>) {
        assert!(self.wakers.set(wakers).is_ok(), "the wakers are set once");
    }

    pub(crate) fn threads(&self) -> usize {
        self.wakers.get().map_or(0, Vec::len)
    }

    /// Thread `index` requests that all threads shut down.
    pub(crate) fn request_shutdown(&self, index: usize) {
        if !self.shutting_down.swap(true, Ordering::AcqRel) {
            self.wake_others(index);
        }
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Acquire)
    }

    /// Thread `index` requests the statistics of all threads. Does nothing while a report is being
    /// collected.
    pub(crate) fn request_stats(&self, index: usize) {
        {
            let mut report = self.lock();
            if !report.pending.is_empty() {
                return;
            }
            report.sum = report.exited_sum;
            report.pending = report.active(self.threads());
        }
        self.wake_others(index);
    }

    /// Submits the statistics of thread `index`, if requested. The last one gets the sum, to print
    /// it.
    pub(crate) fn submit_stats(
        &self,
        index: usize,
        count: impl FnOnce() -> StatsSnapshot,
    ) -> Option<StatsSnapshot> {
        let mut report = self.lock();
        let at = report.pending.iter().position(|&thread| thread == index)?;
        report.pending.swap_remove(at);
        report.sum.add(&count());
        report.pending.is_empty().then_some(report.sum)
    }

    /// Thread `index` exits with these final statistics. If they were requested, this submits them;
    /// if it was the last pending thread, it gets the sum, to print it.
    pub(crate) fn thread_exited(
        &self,
        index: usize,
        snapshot: &StatsSnapshot,
    ) -> Option<StatsSnapshot> {
        let sum = self.submit_stats(index, || *snapshot);
        self.submit_scrape(index, || *snapshot);
        let mut report = self.lock();
        report.exited.push(index);
        report.without_heartbeat.retain(|&thread| thread != index);
        report.listening.retain(|&thread| thread != index);
        report.exited_sum.add(snapshot);
        sum
    }

    /// Thread `index` requests the statistics of all threads for `--metrics`. Those that are being
    /// collected serve as well.
    pub(crate) fn request_scrape(&self, index: usize) {
        {
            let mut report = self.lock();
            if !report.scrape_pending.is_empty() {
                return;
            }
            report.scrape_sum = report.exited_sum;
            report.scrape_pending = report.active(self.threads());
        }
        self.wake_others(index);
    }

    /// Submits the statistics of thread `index`, if requested. The last one wakes the others.
    pub(crate) fn submit_scrape(&self, index: usize, count: impl FnOnce() -> StatsSnapshot) {
        {
            let mut report = self.lock();
            let at = report.scrape_pending.iter().position(|&thread| thread == index);
            let Some(at) = at else { return };
            report.scrape_pending.swap_remove(at);
            report.scrape_sum.add(&count());
            if !report.scrape_pending.is_empty() {
                return;
            }
            report.scraped = Some(report.scrape_sum);
        }
        self.wake_others(index);
    }

    /// Takes the complete sum.
    pub(crate) fn take_scrape(&self) -> Option<StatsSnapshot> {
        self.lock().scraped.take()
    }

    /// Thread `index` requests a heartbeat of all threads. While some are missing it requests
    /// none, and returns the threads that have not given one.
    pub(crate) fn request_heartbeats(&self, index: usize) -> Vec<usize> {
        {
            let mut report = self.lock();
            if !report.without_heartbeat.is_empty() {
                return report.without_heartbeat.clone();
            }
            report.without_heartbeat = report.active(self.threads());
        }
        self.wake_others(index);
        Vec::new()
    }

    /// Thread `index` serves its events. Returns whether its heartbeat was the last one missing.
    pub(crate) fn give_heartbeat(&self, index: usize) -> bool {
        let mut report = self.lock();
        let missing = report.without_heartbeat.len();
        report.without_heartbeat.retain(|&thread| thread != index);
        missing > 0 && report.without_heartbeat.is_empty()
    }

    /// Thread `index` requests that all threads close their listeners, once.
    pub(crate) fn request_handover(&self, index: usize) {
        {
            let mut report = self.lock();
            if self.handing_over.swap(true, Ordering::AcqRel) {
                return;
            }
            report.listening = report.active(self.threads());
        }
        self.wake_others(index);
    }

    pub(crate) fn is_handing_over(&self) -> bool {
        self.handing_over.load(Ordering::Acquire)
    }

    /// Thread `index` has closed its listeners. The last one wakes the others.
    pub(crate) fn listeners_closed(&self, index: usize) {
        let is_last = {
            let mut report = self.lock();
            report.listening.retain(|&thread| thread != index);
            report.listening.is_empty()
        };
        if is_last {
            self.wake_others(index);
        }
    }

    /// Whether no thread listens any more.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.is_handing_over() && self.lock().listening.is_empty()
    }

    /// Counts a thread as active until the returned guard is dropped, even by a panic. The drop
    /// wakes the first thread, which waits for all others because it reads the signals.
    pub(crate) fn enter(self: &Arc<Self>, index: usize) -> ActiveGuard {
        self.active_threads.fetch_add(1, Ordering::AcqRel);
        ActiveGuard { coordinator: Arc::clone(self), index }
    }

    pub(crate) fn all_exited(&self) -> bool {
        self.active_threads.load(Ordering::Acquire) == 0
    }

    fn wake_others(&self, index: usize) {
        for (thread, waker) in self.wakers.get().into_iter().flatten().enumerate() {
            if thread != index {
                // An error is harmless: the thread has already exited.
                let _ = waker.wake(&mut Linux);
            }
        }
    }

    /// Ignores poisoning: a thread that panicked while it held the lock left a consistent report.
    fn lock(&self) -> std::sync::MutexGuard<'_, PendingReport> {
        self.report.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Counts one active thread.
#[derive(Debug)]
pub(crate) struct ActiveGuard {
    coordinator: Arc<Coordinator>,
    index: usize,
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.coordinator.request_shutdown(self.index);
        }
        self.coordinator.active_threads.fetch_sub(1, Ordering::AcqRel);
        self.coordinator.wake_others(self.index);
    }
}

#[cfg(test)]
mod tests {
    use epollite::Reactor;

    use super::*;

    fn snapshot(open: u64) -> StatsSnapshot {
        StatsSnapshot { open, ..StatsSnapshot::default() }
    }

    #[test]
    fn a_heartbeat_needs_every_thread_that_runs() {
        let mut reactors = [(); 3].map(|()| Reactor::<(), Linux>::with_kernel(Linux).unwrap());
        let coordinator = Coordinator::default();
        let wakers = reactors.iter_mut().map(|reactor| reactor.waker().unwrap());
        coordinator.set_wakers(wakers.collect());
        assert!(!coordinator.give_heartbeat(0), "none was requested");
        assert!(coordinator.request_heartbeats(0).is_empty());
        assert!(
            !coordinator.give_heartbeat(0) && !coordinator.give_heartbeat(0),
            "two are missing"
        );
        assert_eq!(coordinator.request_heartbeats(0), [1, 2]);
        assert!(!coordinator.give_heartbeat(1), "the second request is part of the first");
        assert!(coordinator.give_heartbeat(2), "the last one");
        coordinator.thread_exited(1, &snapshot(0));
        assert!(coordinator.request_heartbeats(0).is_empty());
        assert!(!coordinator.give_heartbeat(2) && coordinator.give_heartbeat(0), "one has exited");
    }

    #[test]
    fn a_thread_that_exits_after_a_request_has_submitted() {
        let mut reactors = [(); 3].map(|()| Reactor::<(), Linux>::with_kernel(Linux).unwrap());
        let coordinator = Coordinator::default();
        let wakers = reactors.iter_mut().map(|reactor| reactor.waker().unwrap());
        coordinator.set_wakers(wakers.collect());
        coordinator.thread_exited(2, &snapshot(4));
        coordinator.request_stats(0);
        assert!(coordinator.submit_stats(0, || snapshot(1)).is_none(), "one thread is pending");
        let sum = coordinator.thread_exited(1, &snapshot(2));
        assert_eq!(sum.map(|sum| sum.open), Some(7), "the last pending thread gets the sum");
        coordinator.request_stats(0);
        let sum = coordinator.submit_stats(0, || snapshot(1));
        assert_eq!(sum.map(|sum| sum.open), Some(7), "a thread that has exited is counted once");
    }
}
