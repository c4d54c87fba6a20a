//! Wraps a kernel and calls a hook before and after every system call.
//!
//! Knows the [`Kernel`] trait only. Counting and fault injection are hooks. (Tracing needs the
//! arguments too: `tracer/syscalls.rs`.)

use core::time::Duration;

use super::syscall::for_each_syscall;
use super::{
    Decision, EpollEvent, EpollOp, Fd, Kernel, OutgoingMessage, ReceiveMode, ReceivedDatagram,
    ReceivedMessage, Resource, Rlimit, Shutdown, SignalSet, SocketOption, SocketOptionName,
    SocketType, Syscall, TcpInfo,
};
use crate::errno::Errno;
use crate::instant::Instant;
use crate::net::DatagramBatch;
use crate::net::{Addr, AddressFamily, PacketInfo};

/// Called before and after every system call; may reject it.
pub trait SyscallHook {
    /// Called before `call` is made. Cost: should be minimal; it is on every path.
    ///
    /// # Errors
    /// The error that the caller gets instead of the call being made. (A `close` is made
    /// all the same: the kernel releases the descriptor whatever it returns.)
    #[inline]
    fn on_enter(&mut self, call: Syscall) -> Result<(), Errno> {
        let _ = call;
        Ok(())
    }

    /// Called after `call` was made or rejected; `error` is its error.
    fn on_exit(&mut self, call: Syscall, error: Option<Errno>);

    /// Called for each decision of the layers above. Cost: should be minimal; it is on every path.
    #[inline]
    fn on_decision(&mut self, decision: Decision) {
        let _ = decision;
    }
}

/// `kernel`, with `hook` called for every system call. Composable: the kernel may be hooked too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hooked<K, T> {
    /// The kernel that makes the calls.
    pub kernel: K,
    /// The hook.
    pub hook: T,
}

impl<K: Kernel, T: SyscallHook> Hooked<K, T> {
    #[inline]
    fn call_hooked<R>(
        &mut self,
        call: Syscall,
        call_fn: impl FnOnce(&mut K) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let result = match self.hook.on_enter(call) {
            Ok(()) => call_fn(&mut self.kernel),
            // The descriptor must not stay open: its owner has given it away.
            Err(errno) if matches!(call, Syscall::Close) => {
                call_fn(&mut self.kernel).and(Err(errno))
            }
            Err(errno) => Err(errno),
        };
        self.hook.on_exit(call, result.as_ref().err().copied());
        result
    }
}

macro_rules! hook {
    ($($call:ident: $name:literal, $kernel_name:literal, $errnos:ident => $method:ident
        ($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        #[deny(clippy::missing_trait_methods)]
        impl<K: Kernel, T: SyscallHook> Kernel for Hooked<K, T> {
            $(#[inline]
            fn $method(&mut self, $($arg: $ty),*) -> Result<$ret, Errno> {
                self.call_hooked(Syscall::$call, |kernel| kernel.$method($($arg),*))
            })*

            #[inline]
            fn now(&mut self) -> Instant {
                self.kernel.now()
            }

            #[inline]
            fn on_decision(&mut self, decision: Decision) {
                self.hook.on_decision(decision);
                self.kernel.on_decision(decision);
            }
        }
    };
}
for_each_syscall!(hook);
