//! Observation of system calls: how often each was made, and, if requested, a record of each call
//! and of each decision.
//!
//! Two kernel types, selected at the start: without `--trace`, `--syscall-summary`, `--explain` and
//! `--recorder` the reactor's own server runs code that contains no tracing. The other models have
//! one copy of their code: there a call first asks whether it is recorded.

pub(crate) mod call;
pub(crate) mod entry;
mod explain;
pub(crate) mod origin;
mod perfetto;
pub(crate) mod recorder;
pub(crate) mod ring;
pub(crate) mod trace;
pub(crate) mod trace_event;

use std::collections::VecDeque;

use call::{Call, CallTable};
use entry::Entry;
use epollite::instrument::{Argument, RecordSink, ReturnValue, SyscallRecord, Tracer};
use epollite::kernel::{Decision, Hooked};
use epollite::{Errno, Instant, Kernel, Linux};

/// Keeps entries until they are drained; the flight recorder, if there is one, gets each at once.
#[derive(Debug, Default)]
pub(crate) struct EntryQueue {
    /// A field of its own: it is asked before each call.
    is_recording: bool,
    entries: VecDeque<Entry>,
}

impl RecordSink for EntryQueue {
    #[inline]
    fn is_recording(&self) -> bool {
        self.is_recording
    }

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
        self.entries.push_back(entry);
    }
}

/// A kernel that counts calls, and may record them.
pub(crate) trait InstrumentedKernel: Kernel + Send + 'static {
    /// Another for a thread or a process of the same server, with all counts at zero.
    fn fresh(&self) -> Self;

    /// Whether calls are recorded.
    fn is_recording(&self) -> bool;

    /// How often each call was made; and, as far as the records are drained, its bytes and time.
    fn counts(&mut self) -> &mut CallTable;

    /// Removes and returns the records, the oldest first.
    fn take_records(&mut self) -> Vec<Entry>;

    /// Adds the record of a call that is not part of `Kernel`.
    fn push_record(&mut self, record: SyscallRecord);

    /// Passes each recorded call and decision to `see`.
    fn drain_trace(&mut self, mut see: impl FnMut(&Entry)) {
        if !self.is_recording() {
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
        let is_recording = self.is_recording();
        let start = if is_recording { self.now() } else { Instant::ZERO };
        let returned = make();
        self.counts().count(call, returned.err());
        if is_recording {
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
    fn fresh(&self) -> Self {
        Self::default()
    }

    #[inline]
    fn is_recording(&self) -> bool {
        false
    }

    fn counts(&mut self) -> &mut CallTable {
        &mut self.hook
    }

    fn take_records(&mut self) -> Vec<Entry> {
        Vec::new()
    }

    fn push_record(&mut self, _: SyscallRecord) {}
}

/// The kernel that may record too.
pub(crate) type RecordingKernel = Tracer<CountingKernel, EntryQueue>;

/// One that does, or does not.
pub(crate) fn recording_kernel(is_recording: bool) -> RecordingKernel {
    let sink = EntryQueue { is_recording, entries: VecDeque::new() };
    Tracer::with_sink(CountingKernel::default(), sink)
}

impl InstrumentedKernel for RecordingKernel {
    fn fresh(&self) -> Self {
        recording_kernel(self.is_recording())
    }

    #[inline]
    fn is_recording(&self) -> bool {
        self.sink.is_recording()
    }

    fn counts(&mut self) -> &mut CallTable {
        &mut self.kernel.hook
    }

    fn take_records(&mut self) -> Vec<Entry> {
        self.sink.entries.drain(..).collect()
    }

    fn push_record(&mut self, record: SyscallRecord) {
        self.sink.record(record);
    }
}
