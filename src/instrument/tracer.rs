//! A kernel that records every call it makes, as a value.
//!
//! Knows the [`Kernel`] trait only. The traces in the documentation come from here, and so from
//! the calls that the program really makes; unlike strace(1) it does not slow the program down
//! until it makes other calls.

mod record;
mod recorder;
mod sink;
mod syscalls;

pub use record::{Argument, Bytes, MessageParts, MsgHdr, ReturnValue, SyscallRecord};
pub use sink::RecordSink;

use alloc::collections::VecDeque;
use core::time::Duration;

use recorder::Recorder;

use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{
    Decision, EpollEvent, EpollOp, Fd, Kernel, OutgoingMessage, ReceiveMode, ReceivedDatagram,
    ReceivedMessage, Resource, Rlimit, Shutdown, SignalSet, SocketOption, SocketOptionName,
    SocketType, TcpInfo, for_each_syscall,
};
use crate::net::{Addr, AddressFamily, DatagramBatch, PacketInfo};

/// `kernel`, with a record of every call: kept until it is taken, or passed on at once to another
/// sink.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use epollite::{Kernel, Linux};
/// use epollite::instrument::Tracer;
/// let mut kernel = Tracer::new(Linux);
/// let eventfd = kernel.eventfd(1).unwrap();
/// kernel.read(&eventfd, &mut [0; 8]).unwrap();
/// let number = eventfd.number();
/// kernel.close(eventfd).unwrap();
/// let lines: Vec<String> = kernel.drain().map(|record| record.to_string()).collect();
/// assert_eq!(lines[1], format!(r#"read({number}, "\1\0\0\0\0\0\0\0", 8) = 8"#));
/// assert_eq!(lines[2], format!("close({number}) = 0"));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tracer<K, S = VecDeque<SyscallRecord>> {
    /// The kernel that makes the calls.
    pub kernel: K,
    /// Where the records go.
    pub sink: S,
}

impl<K: Kernel> Tracer<K> {
    /// Wraps `kernel`, tracing from now on. Cost: O(1).
    pub const fn new(kernel: K) -> Self {
        Self { kernel, sink: VecDeque::new() }
    }

    /// Removes and returns the records, the oldest first. They accumulate until then: drain them
    /// regularly. Cost: O(1) each.
    pub fn drain(&mut self) -> impl Iterator<Item = SyscallRecord> {
        self.sink.drain(..)
    }

    /// Adds the record of a call that was not made by this kernel. Cost: O(1).
    pub fn push(&mut self, record: SyscallRecord) {
        self.sink.push_back(record);
    }
}

impl<K: Kernel, S: RecordSink> Tracer<K, S> {
    /// Wraps `kernel`, and passes each record to `sink` as soon as its call has returned.
    /// Cost: O(1).
    pub const fn with_sink(kernel: K, sink: S) -> Self {
        Self { kernel, sink }
    }

    /// What makes and records the calls. It knows neither type, so that there is one copy of it,
    /// however many tracers a program has.
    fn recorder(&mut self) -> Recorder<'_> {
        Recorder { kernel: &mut self.kernel, sink: &mut self.sink }
    }
}

macro_rules! record {
    ($($call:ident: $name:literal, $kernel_name:literal, $errnos:ident => $method:ident
        ($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        #[deny(clippy::missing_trait_methods)]
        impl<K: Kernel, S: RecordSink> Kernel for Tracer<K, S> {
            // Not inlined: a result that one of two branches makes would be copied.
            $(#[inline(never)]
            fn $method(&mut self, $($arg: $ty),*) -> Result<$ret, Errno> {
                if self.sink.is_recording() {
                    self.recorder().$method($($arg),*)
                } else {
                    self.kernel.$method($($arg),*)
                }
            })*

            #[inline]
            fn now(&mut self) -> Instant {
                self.kernel.now()
            }

            #[inline]
            fn on_decision(&mut self, decision: Decision) {
                if self.sink.is_recording() {
                    self.sink.decision(decision);
                }
                self.kernel.on_decision(decision);
            }
        }
    };
}
for_each_syscall!(record);
