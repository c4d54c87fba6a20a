//! `&mut K` and `Box<K>` are kernels when `K` is.
//!
//! Knows the [`Kernel`] trait only; every method is forwarded, by the table of system calls.

use core::time::Duration;

use super::syscall::for_each_syscall;
use super::{
    Decision, EpollEvent, EpollOp, Fd, Kernel, OutgoingMessage, ReceiveMode, ReceivedDatagram,
    ReceivedMessage, Resource, Rlimit, Shutdown, SignalSet, SocketOption, SocketOptionName,
    SocketType, TcpInfo,
};
use crate::errno::Errno;
use crate::instant::Instant;
use crate::net::DatagramBatch;
use crate::net::{Addr, AddressFamily, PacketInfo};

macro_rules! forward {
    ($($call:ident: $name:literal, $kernel_name:literal, $errnos:ident => $method:ident
        $args:tt -> $ret:ty;)*) => {
        forward_by!(&mut K, $($method $args -> $ret;)*);
        #[cfg(feature = "alloc")]
        forward_by!(alloc::boxed::Box<K>, $($method $args -> $ret;)*);
    };
}

macro_rules! forward_by {
    ($owner:ty, $($method:ident ($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        #[deny(clippy::missing_trait_methods)]
        impl<K: Kernel + ?Sized> Kernel for $owner {
            $(#[inline]
            fn $method(&mut self, $($arg: $ty),*) -> Result<$ret, Errno> {
                (**self).$method($($arg),*)
            })*

            #[inline]
            fn now(&mut self) -> Instant {
                (**self).now()
            }

            #[inline]
            fn on_decision(&mut self, decision: Decision) {
                (**self).on_decision(decision);
            }
        }
    };
}
for_each_syscall!(forward);
