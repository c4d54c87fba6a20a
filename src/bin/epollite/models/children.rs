//! A process and its children: forking, signalling, reaping and reporting their exits.
//!
//! It reads the signals of the parent. What the children do, it does not know.

use std::collections::HashMap;
use std::time::Duration;

use epollite::kernel::Signal;
use epollite::{Errno, Fd, Instant};

use super::context::WorkerContext;
use super::shared_stats::SharedCounters;
use super::sys::{self, ExitStatus, ModelSyscalls as _};
use crate::instrument::InstrumentedKernel;
use crate::listen::SocketFiles;
use crate::operation::{notify, reload};
use crate::output::log::Log;
use crate::signals::{exit_by, read_signals};

/// Children that have been forked and not yet reaped.
pub(super) struct ChildProcesses<K: InstrumentedKernel> {
    /// The parent's.
    pub(super) context: WorkerContext<K>,
    /// The number of each child, by process ID.
    children: HashMap<u32, usize>,
    pub(super) signals: Fd,
    pub(super) counters: SharedCounters,
    pub(super) files: SocketFiles,
    drain: Duration,
    /// Set during shutdown: when the drain timeout ends; `Some(None)` once it has.
    drain_deadline: Option<Option<Instant>>,
    /// Each child has its own part of the shared counters, and is reported separately.
    pub(super) per_child_stats: bool,
    /// The numbers of children that have exited before the shutdown.
    exited: Vec<usize>,
    /// How many of them have been replaced.
    pub(super) replaced: u64,
    /// The number of children that did not exit with code 0.
    pub(super) abnormal_exits: u64,
    /// Whether wait4(2) is denied: exits of children cannot be observed.
    wait_denied: bool,
}

impl<K: InstrumentedKernel> ChildProcesses<K> {
    pub(super) fn new(
        context: WorkerContext<K>,
        signals: Fd,
        counters: SharedCounters,
        files: SocketFiles,
        drain: Duration,
    ) -> Self {
        Self {
            context,
            children: HashMap::new(),
            signals,
            counters,
            files,
            drain,
            drain_deadline: None,
            per_child_stats: false,
            exited: Vec::new(),
            replaced: 0,
            abnormal_exits: 0,
            wait_denied: false,
        }
    }

    /// Forks child `number`. Returns whether this is the child.
    ///
    /// # Errors
    /// The errno of fork(2); no child was created.
    pub(super) fn fork(&mut self, number: usize) -> Result<bool, Errno> {
        // The trace is flushed first, so that parent and child do not both print it.
        self.context.flush_stats();
        match self.context.kernel.fork()? {
            None => {
                self.files.forget();
                self.context.trace.forget();
                self.children.clear();
                return Ok(true);
            }
            Some(child) => self.children.insert(child, number),
        };
        Ok(false)
    }

    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    pub(super) const fn is_shutting_down(&self) -> bool {
        self.drain_deadline.is_some()
    }

    /// How long a wait may last.
    pub(super) fn timeout(&mut self) -> Option<Duration> {
        self.drain_deadline.flatten().map(|deadline| deadline - self.context.kernel.now())
    }

    /// Kills the remaining children once the drain timeout has passed.
    pub(super) fn kill_if_expired(&mut self) {
        if self
            .drain_deadline
            .flatten()
            .is_some_and(|deadline| deadline <= self.context.kernel.now())
        {
            self.drain_deadline = Some(None);
            self.kill_all();
            if self.wait_denied {
                // They have been killed, but their exits cannot be observed.
                self.forget_all();
            }
        }
    }

    /// Kills the remaining children with SIGKILL.
    pub(super) fn kill_all(&mut self) {
        self.signal_all(sys::SIGKILL);
    }

    /// Reads and handles the pending signals.
    pub(super) fn on_signals(&mut self) {
        for signal in read_signals(|records| self.context.kernel.read(&self.signals, records)) {
            self.on_signal(signal);
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::CHLD => self.reap(),
            Signal::USR1 => self.print_stats(),
            Signal::HUP if reload::is_on() => reload::run(&self.context.log),
            _ if self.is_shutting_down() => {
                self.kill_all();
                self.files.remove();
                exit_by(signal)
            }
            _ => {
                self.drain_deadline = Some(Some(self.context.kernel.now() + self.drain));
                self.files.remove();
                notify::stopping();
                self.signal_all(sys::SIGTERM);
            }
        }
    }

    /// Prints the statistics of all processes.
    pub(super) fn print_stats(&mut self) {
        self.context.flush_stats();
        let mut sum = self.counters.sum();
        if !self.per_child_stats {
            sum.open = self.children.len() as u64;
            sum.stream.closed += self.abnormal_exits;
        }
        sum.print(&self.context.log);
        if self.per_child_stats {
            self.print_distribution();
        }
    }

    /// Prints the number of connections per child. The first part of the counters is the parent's;
    /// the others are the children's.
    pub(super) fn print_distribution(&self) {
        let per_worker: Vec<String> = (1..self.counters.part_count())
            .map(|part| self.counters.part(part).stream.accepted.to_string())
            .collect();
        let replaced = self.replaced;
        self.context.log.print_result(
            || match replaced {
                0 => format!("connections per worker: {}", per_worker.join("/")),
                _ => format!(
                    "connections per worker: {}; workers replaced: {replaced}",
                    per_worker.join("/")
                ),
            },
            || {
                let accepted = per_worker.join(",");
                let event = "\"event\":\"distribution\"";
                format!("{{{event},\"accepted\":[{accepted}],\"replaced\":{replaced}}}")
            },
        );
    }

    /// One signal may stand for several children: pending signals are not counted.
    pub(super) fn reap(&mut self) {
        loop {
            let (child, end) = match self.context.kernel.waitpid() {
                Ok(Some(exited)) => exited,
                Ok(None) => return,
                // There are no children even if the list is not empty: they were reaped elsewhere.
                Err(Errno::ECHILD) => return self.forget_all(),
                Err(_) if self.drain_deadline == Some(None) => return self.forget_all(),
                Err(_) => {
                    self.wait_denied = true;
                    return;
                }
            };
            // Unknown children may be ours too: inherited through exec(2), or, for the first
            // process of a container, reparented orphans.
            let Some(number) = self.children.remove(&child) else { continue };
            if self.per_child_stats && !self.is_shutting_down() {
                self.exited.push(number);
            }
            if end == ExitStatus::Exited(0) {
                continue;
            }
            self.abnormal_exits += 1;
            if self.per_child_stats {
                self.counters.close_open(number + 1);
            }
            // After the drain timeout we have killed it.
            if self.drain_deadline != Some(None) {
                log_exit(&self.context.log, child, end);
            }
        }
    }

    /// Removes all children from the list. Their exit status is unknown: their open connections are
    /// counted as closed.
    fn forget_all(&mut self) {
        for (_, number) in self.children.drain() {
            if self.per_child_stats {
                self.exited.push(number);
                self.counters.close_open(number + 1);
            }
        }
    }

    /// The numbers of the children that have exited since the last call.
    pub(super) fn take_exited(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.exited)
    }

    /// The process ID of child `number`, if it runs.
    pub(super) fn process(&self, number: usize) -> Option<u32> {
        self.children.iter().find(|&(_, &other)| other == number).map(|(&process, _)| process)
    }

    fn signal_all(&mut self, signal: i32) {
        for &child in self.children.keys() {
            // An error is harmless: the child has already exited.
            let _ = self.context.kernel.kill(child, signal);
        }
    }
}

fn log_exit(log: &Log, child: u32, end: ExitStatus) {
    let how = match end {
        ExitStatus::Exited(code) => format!("exited with code {code}"),
        ExitStatus::Killed(signal) => format!("was killed by signal {signal}"),
    };
    log.message(
        || format!("epollite: process {child} {how}"),
        || format!("{{\"event\":\"child_exited\",\"process\":{child},\"text\":\"{how}\"}}"),
    );
}
