//! A hand-rolled epoll reactor for Linux: safe and small, with no dependency but `libc`.
//!
//! The crate is layered, and dependencies only point down:
//!
//! ```text
//!  6  bin/epollite                           the program
//!  5  server::{stream, datagram}  task       built on the reactor
//!  4  Reactor                                registrations, waiting, timers, stale tokens
//!  3  Linux  Sim  FaultInjector              the real kernel, a simulated one, and wrappers
//!     CallCounter  Tracer                    around either
//!  2  Kernel, Fd                             the syscall layer: one method, one system call
//!  1  Slab  TimerHeap  WriteBuffer           data structures, and the sans-I/O state machine
//!     Echo  DatagramBatch
//!  0  Errno  Token  Interest…  Addr  Instant primitive types
//! ```
//!
//! Start with [`Reactor`] to use it, with [`Kernel`] to see which system calls it makes, with
//! [`server::stream`] to see both in use, with [`task`] to write sequential code for each client.
//!
//! Every public type of layers 0 to 4 is exported at the root. `echo`, `sim`, `tracer`, `server`
//! and `task` have types with common names (a `Config`, a `State`) and keep those; of the first
//! three the root exports the main type.
//!
//! The crate is `no_std` and needs `alloc`. The feature `std` (on by default) only adds
//! conversions: `std::io::Error`, `OwnedFd`, `std::net`.

#![no_std]
// Here and not in Cargo.toml, because tests and the program use `std`.
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

// Layer 0: primitive types.
pub mod addr;
pub mod errno;
pub mod event;
mod instant;
mod token;

// Layer 1: data structures and the state machine.
mod datagram_batch;
pub mod echo;
mod slab;
mod timer;
mod write_buffer;

// Layer 2: the syscall layer.
pub mod kernel;

// Layer 3: kernels.
mod call_counter;
mod fault_injector;
mod linux;
pub mod sim;
pub mod tracer;

// Layer 4: the reactor.
pub mod reactor;

// Layer 5: servers, and coroutines.
pub mod server;
pub mod task;

pub use addr::{Addr, AddrError, AddressFamily, PacketInfo, SockAddr, UnixAddr};
pub use call_counter::{CallCounter, CallCounts};
pub use datagram_batch::{BATCH_MAX, Datagram, DatagramBatch, DatagramMeta};
pub use echo::Echo;
pub use errno::Errno;
#[cfg(feature = "std")]
pub use errno::NotOsError;
pub use event::{Event, EventMask, ExclusiveTrigger, Interest, MaskError, Ready, Trigger};
pub use fault_injector::{FaultInjector, FaultPlan};
pub use instant::Instant;
pub use kernel::{
    EpollEvent, EpollOp, Fd, Kernel, Message, Rlimit, SocketOptionName, SocketType, Syscall,
};
pub use kernel::{Hooked, Resource, Shutdown, Signal, SignalSet, SocketOption, SyscallHook};
pub use linux::Linux;
pub use reactor::{Io, Limits, Reactor, Received, RegisterError, RegisterErrorKind, Sent, Waker};
pub use sim::Sim;
pub use slab::{Full, Slab};
pub use timer::TimerHeap;
pub use token::Token;
pub use tracer::Tracer;
pub use write_buffer::{BufferFull, WriteBuffer};
