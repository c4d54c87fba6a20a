//! Observation of system calls: how often each was made, and, if requested, a record of each call.
//!
//! Two kernel types, selected at the start: without `--trace` and `--syscall-summary` the program
//! runs code that contains no tracing.

use epollite::instrument::{Argument, ReturnValue, SyscallRecord, Tracer};
use epollite::kernel::Hooked;
use epollite::{Errno, Instant, Kernel, Linux};

use crate::call::{Call, CallTable};

/// A kernel that counts calls, and may record them. A new one has all counts at zero.
pub(crate) trait InstrumentedKernel: Kernel + Default + Send + 'static {
    const RECORDS: bool;

    /// How often each call was made; and, as far as the records are drained, its bytes and time.
    fn counts(&mut self) -> &mut CallTable;

    /// Removes and returns the records, the oldest first.
    fn take_records(&mut self) -> Vec<SyscallRecord>;

    /// Adds the record of a call that is not part of `Kernel`.
    fn push_record(&mut self, record: SyscallRecord);

    /// Passes each recorded call to `see`.
    fn drain_trace(&mut self, mut see: impl FnMut(SyscallRecord)) {
        if !Self::RECORDS {
            return;
        }
        for record in self.take_records() {
            self.counts().measure(&record);
            see(record);
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

    fn take_records(&mut self) -> Vec<SyscallRecord> {
        Vec::new()
    }

    fn push_record(&mut self, _: SyscallRecord) {}
}

impl InstrumentedKernel for Tracer<CountingKernel> {
    const RECORDS: bool = true;

    fn counts(&mut self) -> &mut CallTable {
        &mut self.kernel.hook
    }

    fn take_records(&mut self) -> Vec<SyscallRecord> {
        self.drain().collect()
    }

    fn push_record(&mut self, record: SyscallRecord) {
        self.push(record);
    }
}
