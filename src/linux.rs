//! The real kernel: Linux, by its system calls.
//!
//! The only place of the library with `unsafe` or `libc::`. Each call is a function of the files
//! below; the table of system calls maps the methods of [`Kernel`] to them. Nothing here retries,
//! stores or decides. For experiments are `devices.rs`, `descriptors.rs`, `ancillary.rs`,
//! `child.rs`, `bpf.rs`, `io_uring.rs`, `mounts.rs` and `notification.rs`.

#![expect(unsafe_code, reason = "this is where the system calls are made")]

#[cfg(feature = "alloc")]
mod ancillary;
#[cfg(feature = "alloc")]
mod bpf;
#[cfg(feature = "alloc")]
mod child;
mod control;
#[cfg(feature = "alloc")]
mod descriptors;
#[cfg(feature = "alloc")]
mod devices;
mod epoll;
mod file;
#[cfg(feature = "alloc")]
mod io_uring;
mod layout;
mod message;
mod mmsg;
#[cfg(feature = "alloc")]
mod mounts;
#[cfg(feature = "alloc")]
mod notification;
mod process;
mod result;
mod socket;
mod sockopt;
#[cfg(feature = "std")]
mod std_interop;
mod vectored;

use core::time::Duration;

use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{
    Decision, EpollEvent, EpollOp, Fd, Kernel, MaybeBlockingFd, OutgoingMessage, ReceiveMode,
    ReceivedDatagram, ReceivedMessage, Resource, Rlimit, Shutdown, SignalSet, SocketOption,
    SocketOptionName, SocketType, TcpInfo, for_each_syscall,
};
use crate::net::{Addr, AddressFamily, DatagramBatch, PacketInfo};

/// The kernel that this process runs on.
///
/// It has no state and no size; with optimisation, a call through it compiles to the instructions
/// of a direct call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Linux;

impl Linux {
    /// Takes ownership of a descriptor by its number. Cost: O(1), no system call.
    ///
    /// For programs without `std`; with it, `Fd::from(owned_fd)` is safe. It may be blocking, so
    /// that it is no [`Fd`] yet.
    ///
    /// # Panics
    /// `raw` is negative.
    ///
    /// # Safety
    /// `raw` is open, and the caller owns it and transfers the ownership.
    pub unsafe fn from_raw_fd(raw: i32) -> MaybeBlockingFd {
        assert!(raw >= 0, "a descriptor number is not negative");
        Fd::from_raw(raw).into()
    }
}

#[cfg(feature = "capi")]
pub(crate) use file::set_nonblocking;
#[cfg(feature = "capi")]
pub(crate) use socket::{recv, send};

/// The functions that make the calls, under the names of the trait's methods.
mod calls {
    pub(super) use super::{
        epoll::*, file::*, message::*, mmsg::*, process::*, socket::*, sockopt::*, vectored::*,
    };
}

macro_rules! call_linux {
    ($($call:ident: $name:literal, $kernel_name:literal, $errnos:ident => $method:ident
        ($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        #[deny(clippy::missing_trait_methods)]
        impl Kernel for Linux {
            $(#[cfg_attr(epl_staticlib, inline(always))]
            #[cfg_attr(not(epl_staticlib), inline)]
            fn $method(&mut self, $($arg: $ty),*) -> Result<$ret, Errno> {
                calls::$method($($arg),*)
            })*

            #[inline]
            fn now(&mut self) -> Instant {
                calls::now()
            }

            #[inline]
            fn on_decision(&mut self, _: Decision) {}
        }
    };
}
for_each_syscall!(call_linux);
