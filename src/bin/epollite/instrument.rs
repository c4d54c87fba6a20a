//! Observation of system calls: how often each was made, and, if requested, a record of each call.
//!
//! Two kernel types, selected at the start: without `--trace` and `--syscall-summary` the program
//! runs code that contains no tracing.

use epollite::instrument::Tracer;
use epollite::instrument::{Argument, ReturnValue, SyscallRecord};
use epollite::kernel::Hooked;
use epollite::{Errno, Kernel, Linux};

use crate::call::{Call, CallTable};

/// A kernel that counts calls, and may record them.
pub(crate) trait InstrumentedKernel: Kernel + Send + 'static {
    /// A new instance with all counts at zero.
    fn new_instance() -> Self;

    /// How often each call was made.
    fn counts(&self) -> CallTable;

    /// Passes each recorded call to `see`.
    fn drain_trace(&mut self, see: impl FnMut(SyscallRecord));

    /// Makes a call that is not part of `Kernel`. It is counted like any other, and if calls are
    /// recorded, with the arguments returned by `show`.
    fn record_syscall<R>(
        &mut self,
        call: Call,
        make: impl FnOnce() -> Result<R, Errno>,
        show: impl FnOnce(&Result<R, Errno>) -> (Vec<Argument>, ReturnValue),
    ) -> Result<R, Errno>;
}

/// The kernel that counts its calls.
pub(crate) type CountingKernel = Hooked<Linux, CallTable>;

impl InstrumentedKernel for CountingKernel {
    fn new_instance() -> Self {
        Self::default()
    }

    fn counts(&self) -> CallTable {
        self.hook
    }

    fn drain_trace(&mut self, _: impl FnMut(SyscallRecord)) {}

    fn record_syscall<R>(
        &mut self,
        call: Call,
        make: impl FnOnce() -> Result<R, Errno>,
        _: impl FnOnce(&Result<R, Errno>) -> (Vec<Argument>, ReturnValue),
    ) -> Result<R, Errno> {
        let result = make();
        self.hook.count(call, result.as_ref().err().copied());
        result
    }
}

impl InstrumentedKernel for Tracer<CountingKernel> {
    fn new_instance() -> Self {
        Self::default()
    }

    fn counts(&self) -> CallTable {
        self.kernel.hook
    }

    fn drain_trace(&mut self, mut see: impl FnMut(SyscallRecord)) {
        self.drain().for_each(&mut see);
    }

    fn record_syscall<R>(
        &mut self,
        call: Call,
        make: impl FnOnce() -> Result<R, Errno>,
        show: impl FnOnce(&Result<R, Errno>) -> (Vec<Argument>, ReturnValue),
    ) -> Result<R, Errno> {
        let start = self.now();
        let result =
            self.kernel.record_syscall(call, make, |_| (Vec::new(), ReturnValue::Number(0)));
        let duration = self.now() - start;
        let (arguments, returned) = show(&result);
        let outcome = result.as_ref().map(|_| returned).map_err(|errno| *errno);
        let (name, call) = (call.syscall_name(), call.syscall());
        self.push(SyscallRecord { name, call, arguments, result: outcome, start, duration });
        result
    }
}
