//! Observation of system calls: how often each was made, and, if requested, a record of each call
//! and of each decision.
//!
//! Two kernel types, selected at the start: without `--trace`, `--syscall-summary`, `--explain` and
//! `--recorder` the program runs code that contains no tracing.

use std::collections::VecDeque;

use epollite::instrument::{Argument, RecordSink, ReturnValue, SyscallRecord, Tracer};
use epollite::kernel::{Decision, Hooked};
use epollite::{Errno, Instant, Kernel, Linux};

use crate::call::{Call, CallTable};
use crate::entry::Entry;
use crate::ring;

/// Keeps entries until they are drained; the flight recorder, if there is one, gets each at once.
#[derive(Debug, Default)]
pub(crate) struct EntryQueue(VecDeque<Entry>);

impl RecordSink for EntryQueue {
    fn record(&mut self, record: SyscallRecord) {
        self.push(Entry::Call(record));
    }

    fn decision(&mut self, decision: Decision) {
        self.push(Entry::Decision(decision));
    }
}

impl EntryQueue {
    fn push(&mut self, entry: Entry) {
        ring::keep(&entry);
        self.0.push_back(entry);
    }
}

/// A kernel that counts calls, and may record them. A new one has all counts at zero.
pub(crate) trait InstrumentedKernel: Kernel + Default + Send + 'static {
    const RECORDS: bool;

    /// How often each call was made; and, as far as the records are drained, its bytes and time.
    fn counts(&mut self) -> &mut CallTable;

    /// Removes and returns the records, the oldest first.
    fn take_records(&mut self) -> Vec<Entry>;

    /// Adds the record of a call that is not part of `Kernel`.
    fn push_record(&mut self, record: SyscallRecord);

    /// Passes each recorded call and decision to `see`.
    fn drain_trace(&mut self, mut see: impl FnMut(&Entry)) {
        if !Self::RECORDS {
            return;
        }
        for entry in self.take_records() {
            if let Entry::Call(record) = &entry {
                self.counts().measure(record);
            }
            see(&entry);
        }
    }

    /// Makes a call that is not part of `Kernel`. It is counted like any other, and if calls are
    /// recorded, with the arguments that `show` makes of the number returned, 0 after an error.
    fn record_syscall(
        &mut self,
        call: Call,
        make: impl FnOnce() -> Result<usize, Errno>,
        show: impl FnOnce(usize) -> Vec<Argument>,
    ) -> Result<usize, Errno> {
        let start = if Self::RECORDS { self.now() } else { Instant::ZERO };
        let returned = make();
        self.counts().count(call, returned.err());
        if Self::RECORDS {
            let duration = self.now() - start;
            let arguments = show(returned.unwrap_or(0));
            let (name, call) = (call.syscall_name(), call.syscall());
            let result = returned.map(ReturnValue::Number);
            self.push_record(SyscallRecord { name, call, arguments, result, start, duration });
        }
        returned
    }
}

/// The kernel that counts its calls.
pub(crate) type CountingKernel = Hooked<Linux, CallTable>;

impl InstrumentedKernel for CountingKernel {
    const RECORDS: bool = false;

    fn counts(&mut self) -> &mut CallTable {
        &mut self.hook
    }

    fn take_records(&mut self) -> Vec<Entry> {
        Vec::new()
    }

    fn push_record(&mut self, _: SyscallRecord) {}
}

/// The kernel that records too.
pub(crate) type RecordingKernel = Tracer<CountingKernel, EntryQueue>;

impl InstrumentedKernel for RecordingKernel {
    const RECORDS: bool = true;

    fn counts(&mut self) -> &mut CallTable {
        &mut self.kernel.hook
    }

    fn take_records(&mut self) -> Vec<Entry> {
        self.sink.0.drain(..).collect()
    }

    fn push_record(&mut self, record: SyscallRecord) {
        self.sink.record(record);
    }
}
