//! One datagram as recvmsg(2) returns it.
//!
//! Values only.

use crate::net::{Addr, PacketInfo};

/// The result of recvmsg(2); the bytes are in the caller's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceivedDatagram {
    /// Its *whole* length: if that is more than the buffer holds, the rest is lost.
    pub len_bytes: usize,
    /// As [`Datagram::segment_bytes`](crate::net::Datagram::segment_bytes), with the option
    /// [`SocketOption::UdpGro`](super::SocketOption::UdpGro); otherwise 0.
    pub segment_bytes: u16,
    /// The sender.
    pub from: Addr,
    /// The local destination, if the socket option is set
    /// ([`SocketOption::PacketInfoV4`](super::SocketOption::PacketInfoV4),
    /// [`PacketInfoV6`](super::SocketOption::PacketInfoV6)).
    pub packet_info: Option<PacketInfo>,
}
