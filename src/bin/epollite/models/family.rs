//! A process and its children: born, told to end, reaped, and heard of.
//!
//! It reads the signals of the parent. What the children do all day, it does not know.

use std::collections::HashMap;
use std::time::Duration;

use epollite::kernel::SIGINFO_BYTES;
use epollite::{Errno, Fd, Instant, Signal};

use super::ledger::Ledger;
use super::stage::Stage;
use super::sys::{self, End};
use crate::listen::SocketFiles;
use crate::log::Log;
use crate::meter::Meter;

/// Who has been forked and not been reaped.
pub(super) struct Family {
    /// Which child has which number, by process.
    children: HashMap<u32, usize>,
    pub(super) signals: Fd,
    pub(super) ledger: Ledger,
    pub(super) files: SocketFiles,
    drain: Duration,
    /// Set while leaving: when patience ends, if it has not.
    leaving: Option<Option<Instant>>,
    /// Each child has a part of the ledger, and is told of apart.
    pub(super) is_split: bool,
    /// What those had counted when they ended who did not end in order.
    pub(super) lost: u64,
    /// Whether wait4(2) is refused: nobody can be seen to end.
    is_blind: bool,
}

impl Family {
    pub(super) fn new(signals: Fd, ledger: Ledger, files: SocketFiles, drain: Duration) -> Self {
        let children = HashMap::new();
        let (leaving, is_split, lost, is_blind) = (None, false, 0, false);
        Self { children, signals, ledger, files, drain, leaving, is_split, lost, is_blind }
    }

    /// Forks child `number`. Returns whether this is the child.
    ///
    /// # Errors
    /// What fork(2) said; there is no child then.
    pub(super) fn fork<K: Meter>(
        &mut self,
        stage: &mut Stage<K>,
        number: usize,
    ) -> Result<bool, Errno> {
        // What has been written down is shown first, lest both of us show it.
        stage.settle();
        match sys::fork(&mut stage.kernel)? {
            None => {
                self.files.disown();
                stage.trace.forget();
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

    pub(super) const fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// How long a wait may last.
    pub(super) fn timeout<K: Meter>(&self, stage: &mut Stage<K>) -> Option<Duration> {
        self.leaving.flatten().map(|deadline| deadline - stage.kernel.now())
    }

    /// Ends those who are still here when patience is over.
    pub(super) fn pass_time<K: Meter>(&mut self, stage: &mut Stage<K>) {
        if self.leaving.flatten().is_some_and(|deadline| deadline <= stage.kernel.now()) {
            self.leaving = Some(None);
            self.end_at_once(stage);
            if self.is_blind {
                // They are ended; that they have is not to be learned.
                self.all_have_ended();
            }
        }
    }

    /// Ends those who are still here, whatever they are doing.
    pub(super) fn end_at_once<K: Meter>(&self, stage: &mut Stage<K>) {
        self.signal(stage, sys::SIGKILL);
    }

    /// Reads one signal and does what it asks for.
    pub(super) fn hear<K: Meter>(&mut self, stage: &mut Stage<K>) {
        let mut record = [0; SIGINFO_BYTES];
        let read = stage.kernel.read(&self.signals, &mut record);
        match read.ok().and_then(|count| Signal::from_siginfo(&record[..count])) {
            None => {}
            Some(Signal::CHLD) => self.reap(stage),
            Some(Signal::USR1) => self.tell(stage),
            Some(signal) if self.is_leaving() => {
                // A second one: the user means it. The exit code is the shell's for it.
                self.end_at_once(stage);
                self.files.remove();
                std::process::exit(128 + i32::from(signal.number()))
            }
            Some(_) => {
                self.leaving = Some(Some(stage.kernel.now() + self.drain));
                self.files.remove();
                self.signal(stage, sys::SIGTERM);
            }
        }
    }

    /// Says what everybody has counted.
    pub(super) fn tell<K: Meter>(&mut self, stage: &mut Stage<K>) {
        stage.settle();
        let mut sum = self.ledger.sum();
        if !self.is_split {
            sum.open = self.children.len() as u64;
            sum.stream.closed += self.lost;
        }
        sum.tell(&stage.log);
        if self.is_split {
            self.tell_split(&stage.log);
        }
    }

    /// Says how the connections were split among children, whose parts of the ledger are those
    /// behind the first.
    pub(super) fn tell_split(&self, log: &Log) {
        let split: Vec<String> = (1..self.ledger.parts())
            .map(|part| self.ledger.part(part).stream.accepted.to_string())
            .collect();
        log.result(
            || format!("connections were split {}", split.join("/")),
            || format!("{{\"event\":\"split\",\"accepted\":[{}]}}", split.join(",")),
        );
    }

    /// One signal may stand for several children: signals that wait are not counted.
    pub(super) fn reap<K: Meter>(&mut self, stage: &mut Stage<K>) {
        loop {
            let (child, end) = match sys::waitpid(&mut stage.kernel) {
                Ok(Some(ended)) => ended,
                Ok(None) => return,
                // There are no children, whatever we have on the list: somebody else reaped them.
                Err(Errno::ECHILD) => return self.all_have_ended(),
                Err(_) if self.leaving == Some(None) => return self.all_have_ended(),
                Err(_) => {
                    self.is_blind = true;
                    return;
                }
            };
            // Others may be ours too: those that were inherited through exec(2), and with the
            // first process of a container all that have lost their parent.
            let Some(number) = self.children.remove(&child) else { continue };
            if end == End::Exited(0) {
                continue;
            }
            self.lost += 1;
            if self.is_split {
                self.ledger.close_open(number + 1);
            }
            // After the end of patience it was us.
            if self.leaving != Some(None) {
                tell_end(&stage.log, child, end);
            }
        }
    }

    /// Strikes everybody off the list. How they ended is not known: what they had open is closed.
    fn all_have_ended(&mut self) {
        for (_, number) in self.children.drain() {
            if self.is_split {
                self.ledger.close_open(number + 1);
            }
        }
    }

    fn signal<K: Meter>(&self, stage: &mut Stage<K>, signal: i32) {
        for &child in self.children.keys() {
            // One that has ended already needs no telling.
            let _ = sys::kill(&mut stage.kernel, child, signal);
        }
    }
}

fn tell_end(log: &Log, child: u32, end: End) {
    let how = match end {
        End::Exited(code) => format!("ended with code {code}"),
        End::Killed(signal) => format!("was killed by signal {signal}"),
    };
    log.remark(
        || format!("epollite: process {child} {how}"),
        || format!("{{\"event\":\"process lost\",\"process\":{child},\"text\":\"{how}\"}}"),
    );
}
