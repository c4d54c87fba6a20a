//! `Sim`: a small, faithful, deterministic kernel in memory.
//!
//! It makes no system call and knows nothing above the waist. Whoever wants to understand
//! epoll reads `epoll.rs`: it explains readiness alone, and every other file only says what is
//! so (`World::poll`) and when something happens (`World::wake`).
//!
//! ```text
//!  calls       the 31 verbs and the clock, each to the part that knows it
//!  view        Sim: one process looking at the world, and what a test can do to that world
//!  world       open files, their wait queues, opening and closing
//!  process     descriptors, lowest first, and how many there may be
//!  epoll       interest list, ready list: who is told what, when
//!  socket      what all sockets have, what is so of one, and each verb to its protocol
//!  name        bind, and who is found where
//!  meet        listen, connect, accept
//!  tcp  udp  unix  unix_datagram   four sets of rules for the same verbs
//!  group       multicast: who joins, who hears
//!  letter      what lies unread in the pieces it was sent in, and what that costs
//!  message     many messages in one call
//!  pipe  eventfd  signal  options
//!  config      sizes and limits
//!  version     versions of Linux, where a rule changed
//!  chance      what a kernel may do or leave, drawn from a plan
//! ```
//!
//! The references name the sources of Linux 6.18, `fs/eventpoll.c: ep_insert` say: the rule is
//! there, the words are ours. Where an older Linux has another rule, it compares the configured
//! [`Version`] with the one that changed it. That the model does what Linux does is checked:
//! `conformance` and `conformance_random` in `tests/` run the same programs on both, and
//! `make test-kernels` does so on 6.1, 6.12 and the running kernel.
//!
//! What it leaves out: regular files (there is one that is always empty, since epoll refuses
//! them), routing (every address is this machine's or nobody's), IPv4 through IPv6 sockets,
//! acknowledgements and windows (what is sent has arrived), probes and time-outs of TCP,
//! `TCP_DEFER_ACCEPT`, several threads waiting at once, and with them the one thing that
//! `EPOLLEXCLUSIVE` is for.

mod calls;
mod chance;
mod config;
mod epoll;
mod eventfd;
mod group;
mod letter;
mod meet;
mod message;
mod name;
mod options;
mod pipe;
mod process;
mod signal;
mod socket;
mod tcp;
mod udp;
mod unix;
mod unix_datagram;
mod version;
mod view;
mod world;

pub use chance::{Chance, Odds};
pub use config::{Config, Ipv6};
pub use version::Version;
pub use view::Sim;
