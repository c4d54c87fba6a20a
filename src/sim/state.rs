//! The state of the simulated kernel: the open files, the epolls that watch them, and the clock.
//!
//! Knows that files wake and epolls are woken, and joins the two; no file knows of epolls.

use core::mem;
use core::time::Duration;

use super::config::SimConfig;
use super::epoll::Epolls;
use super::file::{FileId, Result, err_if};
use super::file_table::{FileKind, FileTable};
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{EpollEvent, EpollOp, Fd};

pub(super) struct KernelState {
    pub(super) files: FileTable,
    epolls: Epolls,
    pub(super) now: Instant,
}

impl KernelState {
    pub(super) fn new(config: SimConfig) -> Self {
        Self {
            files: FileTable::new(config),
            epolls: Epolls::new(),
            // Not zero, which would hide a program that never reads the clock.
            now: Instant::from_nanos(1_000_000_000),
        }
    }

    pub(super) fn close(&mut self, process: usize, fd: &Fd) {
        let file = self.files.processes[process].remove(fd);
        self.release(file);
    }

    /// The process exits: the kernel closes its descriptors, one after the other. Each close is
    /// noticed before the next.
    pub(super) fn exit(&mut self, process: usize) {
        for file in self.files.processes[process].remove_all() {
            self.release(file);
            self.deliver_wakes();
        }
    }

    /// Removes one descriptor. With the last the file is closed: first every epoll drops it, then
    /// the release function of its kind runs.
    ///
    /// Reference: fs/file_table.c: `__fput`
    fn release(&mut self, file: FileId) {
        if self.files.put(file) && !self.files.is_in_flight(file) {
            self.close_file(file);
        }
    }

    fn close_file(&mut self, file: FileId) {
        self.epolls.release(file);
        self.files.close(file);
    }

    /// Closes files that were in a message that is gone: no descriptor refers to them. (Linux also
    /// finds sockets that are only in each other's messages: net/unix/garbage.c.)
    pub(super) fn close_discarded(&mut self) {
        while let Some(file) = self.files.discarded() {
            self.close_file(file);
        }
    }

    /// What every system call ends with. Not inlined into each of them.
    #[inline(never)]
    pub(super) fn end_call(&mut self) {
        self.close_discarded();
        self.deliver_wakes();
    }

    /// Calls the wait queues of all files back that woke.
    fn deliver_wakes(&mut self) {
        while let Some((file, key)) = self.files.net.wakes.pop_front() {
            self.epolls.wake(file, key);
        }
    }

    pub(super) fn epoll_create(&mut self, process: usize) -> Result<Fd> {
        let fd = self.files.open(process, FileKind::Epoll)?;
        self.epolls.create(self.files.file(process, &fd));
        Ok(fd)
    }

    /// Reference: fs/eventpoll.c: `do_epoll_ctl`; man page: epoll_ctl(2)
    pub(super) fn epoll_ctl(
        &mut self,
        epoll: FileId,
        op: EpollOp,
        (file, number): (FileId, u32),
    ) -> Result<()> {
        // Regular files are always ready and have no wait queue.
        err_if(self.files.is_regular(file), Errno::EPERM)?;
        let Self { files, epolls, .. } = self;
        epolls.ctl(epoll, op, (file, number), &mut |file| files.poll(file))
    }

    /// Waits: reports what is ready; otherwise, if it may block, the clock advances to the
    /// timeout. A signal only interrupts a wait that would block.
    ///
    /// Reference: fs/eventpoll.c: `ep_poll`
    ///
    /// # Panics
    /// Nothing is ready, and no timeout: with a single thread, a lost wake-up.
    pub(super) fn epoll_wait(
        &mut self,
        process: usize,
        epoll: FileId,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize> {
        err_if(events.is_empty() || !self.epolls.contains(epoll), Errno::EINVAL)?;
        self.files.net.run_deferred();
        self.deliver_wakes();
        let Self { files, epolls, .. } = self;
        let probabilities = files.net.config.probabilities;
        epolls.inject_noise(epoll, &mut files.net.entropy, probabilities);
        let count = epolls.send_events(epoll, events, &mut |file| files.poll(file));
        if count > 0 || timeout == Some(Duration::ZERO) {
            return Ok(count);
        }
        let is_interrupted = mem::take(&mut files.processes[process].is_interrupted);
        err_if(
            is_interrupted || files.net.entropy.chance(probabilities.interrupted),
            Errno::EINTR,
        )?;
        let Some(timeout) = timeout else {
            panic!("endless wait: nothing is ready, and no timeout is set");
        };
        self.now = self.now + timeout;
        Ok(0)
    }
}
