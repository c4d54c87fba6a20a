//! A hand-rolled epoll reactor for Linux: safe, small, and nothing below it but `libc`.
//!
//! The house has floors, and uses go down only:
//!
//! ```text
//!  6  bin/epollite                           the program
//!  5  server::{stream, datagram}  task       what is built with the reactor
//!  4  Reactor                                registrations, waiting, timers, stale tokens
//!  3  Linux  Sim  Faulty  Counted  Traced    the real kernel, and what wraps around one
//!  2  Kernel, Fd                             the waist: one method, one system call
//!  1  Slab  Timers  Owed  Echo  Batch        parts: pure data, and the sans-I/O machine
//!  0  Errno  Token  Interest…  Addr  Instant words
//! ```
//!
//! Start reading at [`Reactor`] to use it, at [`Kernel`] to learn what an operating system is
//! asked for, at [`server::stream`] to see both at work, at [`task`] to write straight-line
//! code for each client.
//!
//! Every public type of floors 0 to 4 stands at the root; `echo`, `sim`, `traced`, `server` and
//! `task`, each of which has words of its own (a `Config`, a `State`), keep theirs, and of the
//! first three the root has the one type that all others serve.
//!
//! The crate is `no_std` and needs `alloc`. The feature `std` (on by default) only adds
//! conversions: `std::io::Error`, `OwnedFd`, `std::net`.

#![no_std]
// Here and not in Cargo.toml, since tests and the program have `std` and may say so.
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

// Floor 0: words.
pub mod addr;
pub mod errno;
pub mod event;
mod instant;
mod token;

// Floor 1: parts.
mod batch;
pub mod echo;
mod owed;
mod slab;
mod timer;

// Floor 2: the waist.
pub mod kernel;

// Floor 3: kernels.
mod counted;
mod faulty;
mod linux;
pub mod sim;
pub mod traced;

// Floor 4: the reactor.
pub mod reactor;

// Floor 5: servers, and coroutines.
pub mod server;
pub mod task;

pub use addr::{Addr, AddrError, Family, PacketInfo, SockAddr, UnixAddr};
pub use batch::{Batch, DATAGRAMS_A_CALL_MAX, Datagram, Header};
pub use counted::{Counted, Counts};
pub use echo::Echo;
pub use errno::Errno;
#[cfg(feature = "std")]
pub use errno::NoErrno;
pub use event::{Event, Exclusive, Interest, Ready, Refusal, Trigger, Watch};
pub use faulty::{Faults, Faulty};
pub use instant::Instant;
pub use kernel::{Call, Control, EpollEvent, Fd, Kernel, Kind, Limit, Message, OptionName};
pub use kernel::{Resource, Shut, Signal, SignalSet, SocketOption, Tap, Tapped};
pub use linux::Linux;
pub use owed::{Owed, TooMuch};
pub use reactor::{Io, Limits, Reactor, Reason, Received, Refused, Sent, Source, Waker};
pub use sim::Sim;
pub use slab::{Full, Slab};
pub use timer::Timers;
pub use token::Token;
pub use traced::Traced;
