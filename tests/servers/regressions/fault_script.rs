//! A simulated kernel with scripted errors: which calls fail, and how often, can be changed while
//! it runs.
//!
//! Independent of the servers.

use std::cell::RefCell;
use std::rc::Rc;

use epollite::Errno;
use epollite::kernel::Syscall;
use epollite::kernel::{Hooked, SyscallHook};
use epollite::sim::Sim;

/// The planned errors, and the calls made.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultScript(Rc<RefCell<FaultLog>>);

#[derive(Debug, Default)]
struct FaultLog {
    refused: Vec<(Syscall, Errno, u64)>,
    calls: Vec<Syscall>,
}

pub(crate) type ScriptedKernel = Hooked<Sim, FaultScript>;

impl FaultScript {
    /// A process that follows this script.
    pub(crate) fn wrap(&self, kernel: Sim) -> ScriptedKernel {
        Hooked { kernel, hook: self.clone() }
    }

    /// From now on `call` fails the given number of times; replaces the earlier script.
    pub(crate) fn refuse(&self, call: Syscall, errno: Errno, times: u64) {
        self.0.borrow_mut().refused = vec![(call, errno, times)];
    }

    /// As [`refuse`](Self::refuse), for each of two calls.
    pub(crate) fn refuse_both(&self, calls: [Syscall; 2], errno: Errno, times: u64) {
        self.0.borrow_mut().refused = calls.map(|call| (call, errno, times)).to_vec();
    }

    /// How often `call` was made.
    pub(crate) fn count(&self, call: Syscall) -> usize {
        self.0.borrow().calls.iter().filter(|made| **made == call).count()
    }

    /// Whether all planned errors have been returned.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.0.borrow().refused.iter().all(|(_, _, times)| *times == 0)
    }
}

impl SyscallHook for FaultScript {
    fn on_enter(&mut self, call: Syscall) -> Result<(), Errno> {
        let mut book = self.0.borrow_mut();
        book.calls.push(call);
        for (refused, errno, times) in &mut book.refused {
            if *refused == call && *times > 0 {
                *times -= 1;
                return Err(*errno);
            }
        }
        Ok(())
    }

    fn on_exit(&mut self, _: Syscall, _: Option<Errno>) {}
}
