//! `Sim`: a small, faithful, deterministic kernel in memory.
//!
//! It makes no system call and knows nothing above the [`Kernel`](crate::Kernel) trait.
//! `epoll.rs` is the place to learn about epoll: it contains all of readiness; every other file
//! only reports its state (`poll`) and its changes (`Wakes`). A file uses only those of the lines
//! below its own:
//!
//! ```text
//!  devices     the calls for experiments that are modelled: signals, urgent bytes
//!  syscalls    the calls and the clock, each forwarded to the module that implements it
//!  handle      Sim: one process of a simulated kernel, and what a test can do to that kernel
//!  state       KernelState: open files and epolls; wake-ups go from the ones to the others
//!  epoll       Epolls: interest lists, ready lists, wait queues: what is reported, and when
//!  splice      bytes between a pipe and any other file
//!  vectored    several buffers in one call, messages with descriptors
//!  file_table  FileTable: every open file by its kind, and the descriptors that refer to it
//!
//!  mmsg        many messages in one call
//!  dispatch    each call on a socket, forwarded to its protocol; readiness of sockets
//!  sockopt     socket options: which sockets support which, and limits of their values
//!  connect     listen, connect, the accept queue
//!  unix_seqpacket   messages of a connection, by the rules of datagrams and of streams
//!  tcp  udp  unix_stream  unix_datagram   four sets of rules for the same calls
//!  packet_queue   receive queues that keep message boundaries, and the memory charged for them
//!  multicast   group membership and delivery
//!  bind        bind, and the lookup of sockets by address
//!  net         Net: all sockets, their names, and the queue of wake-ups
//!
//!  socket      Socket: the state common to all protocols
//!  tcb  packet  socket_options   parts of a socket
//!  pipe  eventfd  signalfd  process   each one a value with its own rules
//!  address     what addresses mean, and which match
//!  id_map      IdMap: values by file id, found in constant time
//!  file        what all kinds of file share: ids, masks, wake-ups
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
//! `TCP_DEFER_ACCEPT`, fast open, credentials, timestamps, error queues, `TCP_INFO`, several
//! threads waiting at once, and with them the one purpose of `EPOLLEXCLUSIVE`.

mod address;
mod bind;
mod config;
mod connect;
mod devices;
mod dispatch;
mod entropy;
mod epoll;
mod eventfd;
mod file;
mod file_table;
mod handle;
mod id_map;
mod mmsg;
mod multicast;
mod net;
mod packet;
mod packet_queue;
mod pipe;
mod process;
mod signalfd;
mod socket;
mod socket_options;
mod sockopt;
mod splice;
mod state;
mod syscalls;
mod tcb;
mod tcp;
mod udp;
mod unix_datagram;
mod unix_seqpacket;
mod unix_stream;
mod vectored;
mod version;

pub use config::{Ipv6, SimConfig};
pub use devices::SimDevices;
pub use entropy::{Entropy, Probabilities};
pub use handle::Sim;
pub use version::Version;
