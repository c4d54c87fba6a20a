//! `Sim`: a small, faithful, deterministic kernel in memory.
//!
//! It makes no system call and knows nothing above the [`Kernel`](crate::Kernel) trait.
//! `epoll.rs` is the place to learn about epoll: it contains all of readiness; every other file
//! only reports its state (`KernelState::poll`) and its changes (`KernelState::wake`).
//!
//! ```text
//!  syscalls    the 31 calls and the clock, each forwarded to the module that implements it
//!  handle      Sim: one process of a simulated kernel, and what a test can do to that kernel
//!  state       open files, their wait queues, opening and closing
//!  process     descriptors, lowest first, and their limit
//!  epoll       interest list, ready list: what is reported, and when
//!  socket      state common to all sockets, readiness, and each call's protocol
//!  bind        bind, and the lookup of sockets by address
//!  connect     listen, connect, accept
//!  tcp  udp  unix_stream  unix_datagram   four sets of rules for the same calls
//!  multicast   group membership and delivery
//!  packet      receive queues that keep message boundaries, and the memory they are charged for
//!  mmsg        many messages in one call
//!  pipe  eventfd  signalfd  sockopt
//!  config      sizes and limits
//!  version     versions of Linux in which a rule changed
//!  entropy     behaviour that Linux leaves open, drawn from a plan
//! ```
//!
//! References such as `fs/eventpoll.c: ep_insert` name the sources of Linux 6.18: the rule is
//! from there, the wording is not. Where an older Linux has another rule, the code compares the
//! configured [`Version`] with the one that changed it. That the model does what Linux does is
//! tested: `conformance` and `conformance_random` in `tests/` run the same programs on both, and
//! `make test-kernels` does so on 6.1, 6.12 and the running kernel.
//!
//! Not modelled: regular files (there is one that is always empty, since epoll rejects them),
//! routing (every address is this machine's or unreachable), IPv4 through IPv6 sockets,
//! acknowledgements and windows (what is sent has arrived), keepalive probes and timeouts of TCP,
//! `TCP_DEFER_ACCEPT`, several threads waiting at once, and with them the one purpose of
//! `EPOLLEXCLUSIVE`.

mod bind;
mod config;
mod connect;
mod entropy;
mod epoll;
mod eventfd;
mod handle;
mod mmsg;
mod multicast;
mod packet;
mod pipe;
mod process;
mod signalfd;
mod socket;
mod sockopt;
mod state;
mod syscalls;
mod tcp;
mod udp;
mod unix_datagram;
mod unix_stream;
mod version;

pub use config::{Ipv6, SimConfig};
pub use entropy::{Entropy, Probabilities};
pub use handle::Sim;
pub use version::Version;
