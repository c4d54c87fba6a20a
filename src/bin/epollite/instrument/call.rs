//! The system calls of the program: those of the library's kernels, and those that only the server
//! models make; and how often each was made.
//!
//! Knows names and counters. `models/sys.rs` makes the calls.

use epollite::Errno;
use epollite::instrument::{ReturnValue, SyscallRecord};
use epollite::kernel::{Syscall, SyscallHook};

/// A system call of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// One that a kernel of the library makes.
    Kernel(Syscall),
    Poll,
    Select,
    Fork,
    Waitpid,
    Kill,
}

/// The calls that no kernel of the library makes.
const OWN: [Call; 5] = [Call::Poll, Call::Select, Call::Fork, Call::Waitpid, Call::Kill];

impl Call {
    pub(crate) const COUNT: usize = Syscall::ALL.len() + OWN.len();

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Syscall::ALL.into_iter().map(Self::Kernel).chain(OWN)
    }

    /// The call of a record.
    pub(crate) fn from_record(record: &SyscallRecord) -> Self {
        let own = || OWN.into_iter().find(|call| call.syscall_name() == record.name);
        let call = record.call.map(Self::Kernel).or_else(own);
        call.expect("every record is of a kernel's call or of one of OWN")
    }

    /// Its position in [`all`](Self::all).
    pub(crate) const fn index(self) -> usize {
        let first = Syscall::ALL.len();
        match self {
            Self::Kernel(call) => call as usize,
            Self::Poll => first,
            Self::Select => first + 1,
            Self::Fork => first + 2,
            Self::Waitpid => first + 3,
            Self::Kill => first + 4,
        }
    }

    /// The call of a kernel of the library, if it is one.
    pub(crate) const fn syscall(self) -> Option<Syscall> {
        if let Self::Kernel(call) = self { Some(call) } else { None }
    }

    /// Its name in C.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kernel(call) => call.name(),
            Self::Poll => "poll",
            Self::Select => "select",
            Self::Fork => "fork",
            Self::Waitpid => "waitpid",
            Self::Kill => "kill",
        }
    }

    /// Its name in the kernel's table, as strace(1) prints it.
    pub(crate) const fn syscall_name(self) -> &'static str {
        match self {
            Self::Kernel(call) => call.syscall_name(),
            Self::Fork => "clone",
            Self::Waitpid => "wait4",
            own => own.name(),
        }
    }
}

/// How often a call was made, and how often it failed.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct CallCount {
    pub(crate) calls: u64,
    pub(crate) eagain: u64,
    /// Failures other than `EAGAIN`.
    pub(crate) errors: u64,
    /// Bytes transferred, and time taken: only if calls are recorded.
    pub(crate) bytes: u64,
    pub(crate) nanos: u64,
}

impl CallCount {
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.eagain += other.eagain;
        self.errors += other.errors;
        self.bytes += other.bytes;
        self.nanos += other.nanos;
    }

    /// Not inlined into every call.
    #[cold]
    #[inline(never)]
    const fn add_failure(&mut self, errno: Errno) {
        if errno.is_would_block() {
            self.eagain += 1;
        } else {
            self.errors += 1;
        }
    }
}

/// The counts of all calls, by [`Call::index`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallTable([CallCount; Call::COUNT]);

impl CallTable {
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, count)| sum.add(count));
    }

    /// The calls that were made, and how often.
    pub(crate) fn made(&self) -> Vec<(Call, CallCount)> {
        let all = Call::all().map(|call| (call, self.0[call.index()]));
        all.filter(|(_, count)| count.calls > 0).collect()
    }

    /// How often `call` was made.
    #[inline]
    pub(crate) fn calls(&self, call: Call) -> u64 {
        self.0[call.index()].calls
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|count| count.calls).sum()
    }

    /// Calls divided by `echoes`: 0 before the first echo.
    #[expect(clippy::cast_precision_loss, reason = "few digits are printed")]
    pub(crate) fn per_echo(&self, echoes: u64) -> f64 {
        if echoes == 0 { 0.0 } else { self.total() as f64 / echoes as f64 }
    }

    /// Visits all counters in a fixed order.
    pub(crate) fn for_each_counter(&mut self, visit: &mut dyn FnMut(&mut u64)) {
        for CallCount { calls, eagain, errors, bytes, nanos } in &mut self.0 {
            [calls, eagain, errors, bytes, nanos].into_iter().for_each(&mut *visit);
        }
    }

    /// Counts one call.
    #[inline]
    pub(crate) fn count(&mut self, call: Call, error: Option<Errno>) {
        let count = &mut self.0[call.index()];
        count.calls += 1;
        if let Some(errno) = error {
            count.add_failure(errno);
        }
    }

    /// Adds what only the record of a call shows; the call itself was counted when it was made.
    pub(crate) fn measure(&mut self, record: &SyscallRecord) {
        let count = &mut self.0[Call::from_record(record).index()];
        count.nanos += u64::try_from(record.duration.as_nanos()).unwrap_or(u64::MAX);
        if let Ok(ReturnValue::Number(number)) = record.result
            && record.call.is_some_and(moves_bytes)
        {
            count.bytes += number as u64;
        }
    }
}

/// Whether the call returns a number of bytes.
const fn moves_bytes(call: Syscall) -> bool {
    use Syscall::{Read, Recv, Recvfrom, Send, Sendto, Write};
    matches!(call, Recv | Send | Recvfrom | Sendto | Read | Write)
}

impl Default for CallTable {
    fn default() -> Self {
        Self([CallCount::default(); Call::COUNT])
    }
}

impl SyscallHook for CallTable {
    #[inline]
    fn on_exit(&mut self, call: Syscall, error: Option<Errno>) {
        self.count(Call::Kernel(call), error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_call_is_its_position() {
        assert_eq!(Call::all().count(), Call::COUNT);
        for (index, call) in Call::all().enumerate() {
            assert_eq!(call.index(), index, "{}", call.name());
        }
    }
}
