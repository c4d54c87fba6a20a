//! An epoll's interest list as the kernel shows it (proc_pid_fdinfo(5)), compared with what a
//! program believes: registrations whose descriptor is closed, sockets that are not watched, masks
//! that make a loop spin.
//!
//! Knows texts and tables, and reads no file: the program's `epollite audit` does.
//!
//! ```
//! # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use epollite::audit::{compare, parse_fdinfo};
//! use epollite::kernel::SocketType;
//! use epollite::{Interest, Kernel, Reactor, Trigger};
//!
//! let mut reactor = Reactor::new()?;
//! let (near, far) = reactor.kernel().socketpair(SocketType::Stream)?;
//! let token = reactor.register_or_close(near, Interest::READABLE, Trigger::Edge, ())?;
//!
//! let path = format!("/proc/self/fdinfo/{}", reactor.epoll());
//! let in_kernel = parse_fdinfo(&std::fs::read_to_string(&path)?)?;
//! let in_reactor: Vec<_> = reactor.interest_list().collect();
//! assert_eq!((in_reactor.len(), in_reactor[0].token()), (1, token));
//! assert!(compare(&in_reactor, &in_kernel).is_empty());
//! # reactor.kernel().close(far)?;
//! # Ok(()) }
//! # #[cfg(not(feature = "std"))] fn main() {}
//! ```

mod compare;
mod entry;
mod fault;
mod fdinfo;

pub use compare::{Difference, compare};
pub use entry::{EpollEntry, FileId};
pub use fault::{Fault, FileKind, OpenFile, Target, WatchedEpoll, find_faults, target_of};
pub use fdinfo::{FdinfoError, parse_fdinfo};
