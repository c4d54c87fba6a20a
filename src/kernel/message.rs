//! One datagram as recvmsg(2) gives it.
//!
//! Values only.

use crate::addr::{Addr, PacketInfo};

/// What recvmsg(2) said of a datagram; its bytes are in the caller's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its *whole* length: more than the buffer has means that the rest is lost.
    pub len_bytes: usize,
    /// Who sent it.
    pub from: Addr,
    /// Which address of ours it came to, when the socket was told to say so
    /// ([`SocketOption::PacketInfoV4`](super::SocketOption::PacketInfoV4),
    /// [`PacketInfoV6`](super::SocketOption::PacketInfoV6)).
    pub packet_info: Option<PacketInfo>,
}
