//! Addresses of sockets, and batches of datagrams: what system calls take and return.
//!
//! Knows layouts and texts, and makes no system call.

pub(crate) mod addr;
mod addr_error;
mod datagram_batch;
mod network;
mod packet_info;
mod parse;
mod unix;

pub(crate) use addr::{
    AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, Addr, SOCKADDR_IN_BYTES, SOCKADDR_IN6_BYTES,
};
pub use addr::{AddressFamily, SockAddr};
pub use addr_error::AddrError;
pub use datagram_batch::{BATCH_MAX, Datagram, DatagramBatch, DatagramMeta};
pub use network::{Network, NetworkError};
pub use packet_info::PacketInfo;
#[cfg(feature = "capi")]
pub(crate) use parse::parse_unix;
pub use unix::UnixAddr;
pub(crate) use unix::{SUN_PATH_BYTES, SUN_PATH_OFFSET};
