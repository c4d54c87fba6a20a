//! A hand-rolled epoll reactor for Linux: safe and small, with no dependency but `libc`.
//!
//! An echo server for TCP, whole:
//!
//! ```no_run
//! # #[cfg(feature = "std")] mod example {
//! use epollite::{Event, Interest, Reactor, Received, Sent, Trigger};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
//!     let listener = std::net::TcpListener::bind(addr)?;
//!     println!("listening on {}", listener.local_addr()?);
//!     let mut reactor = Reactor::new()?;
//!     let listener_token =
//!         reactor.register_or_close(listener.into(), Interest::READABLE, Trigger::Level, ())?;
//!     let mut buf = [0; 4096];
//!     while let Some(event) = reactor.next(None)? {
//!         let Event::Io { token, .. } = event else { continue };
//!         let Some((_, mut io)) = reactor.get_mut(token) else { continue };
//!         if token == listener_token {
//!             if let Some((client, _)) = io.accept()? {
//!                 reactor.register_or_close(client, Interest::READABLE, Trigger::Level, ())?;
//!             }
//!         } else {
//!             match io.recv(&mut buf) {
//!                 Ok(Received::WouldBlock) => {}
//!                 Ok(Received::Bytes(n)) if io.send(&buf[..n]) == Ok(Sent::Bytes(n)) => {}
//!                 _ => drop(reactor.close(token)),
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! # The map
//!
//! The crate is layered, and dependencies only point down:
//!
//! ```text
//!  6  bin/epollite  capi                     the program; the interface for C
//!  5  server::{stream, datagram}  executor   built on the reactor
//!     study                                  experiments with a kernel
//!  4  reactor                                registrations, waiting, timers, stale tokens
//!  3  linux  sim  instrument                 the real kernel, a simulated one, and wrappers
//!                                            that trace, count, and inject faults
//!  2  kernel                                 the syscall layer: one method, one system call
//!  1  collections  echo  audit               data structures, the sans-I/O state machine, and
//!                                            an epoll's interest list compared
//!  0  errno  token  event  instant  net      primitive types
//! ```
//!
//! Start with [`Reactor`] to use it, with [`Kernel`] to see which system calls it makes, with
//! [`server::stream`] to see both in use, with [`executor`] to write sequential code for each
//! client, with [`sim::Sim`] to test a handler against a simulated kernel.
//!
//! What an event loop needs is at the root; everything else is in the module of its layer. Each
//! item has one path.
//!
//! The crate is `no_std`. The feature `std` (on by default) only adds conversions:
//! `std::io::Error`, `OwnedFd`, `std::net`. The feature `alloc` (part of `std`) is for whatever
//! needs an allocator. Without it there are the reactor, in memory that the caller
//! [lends](reactor::Room), the real kernel, addresses, and the collections in lent memory.
//!
//! The features `sim`, the simulated kernel, and `study`, the experiments, are on by default too. A
//! program that needs neither compiles the library in half the time with
//! `default-features = false, features = ["std"]`.

#![no_std]
// Here and not in Cargo.toml, because tests and the program use `std`.
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

/// The example of the package's page is compiled.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("README.md")]
struct Readme;

#[cfg(any(feature = "alloc", test))]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

// Layer 0: primitive types.
mod assertions;
mod errno;
pub mod event;
mod instant;
pub mod net;
mod token;

// Layer 1: data structures and the state machine.
#[cfg(feature = "alloc")]
pub mod audit;
pub mod collections;
#[cfg(feature = "alloc")]
pub mod echo;

// Layer 2: the syscall layer.
pub mod kernel;

// Layer 3: kernels.
#[cfg(feature = "alloc")]
pub mod instrument;
mod linux;
#[cfg(feature = "sim")]
pub mod sim;

// Layer 4: the reactor.
pub mod reactor;

// Layer 5: servers, coroutines, and experiments.
#[cfg(feature = "alloc")]
pub mod executor;
#[cfg(feature = "alloc")]
pub mod server;
#[cfg(feature = "study")]
pub mod study;

// Layer 6: the interface for C.
#[cfg(feature = "capi")]
mod capi;

pub use errno::Errno;
pub use event::event::Event;
pub use event::interest::Interest;
pub use event::trigger::Trigger;
pub use instant::Instant;
pub use kernel::fd::Fd;
pub use kernel::kernel::Kernel;
pub use linux::Linux;
pub use net::addr::Addr;
pub use reactor::io::{Io, Received, Sent};
pub use reactor::reactor::Reactor;
pub use token::Token;
