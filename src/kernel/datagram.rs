//! One datagram at a time, by whichever call the system permits.
//!
//! Knows recvmsg(2), sendmsg(2) and their substitutes. Where they are denied (a sandbox older than
//! the calls) a datagram is received and answered all the same, but not with its local
//! destination as the source of the reply.

use super::{Fd, Kernel, ReceivedDatagram};
use crate::errno::Errno;
use crate::net::{Addr, PacketInfo};

/// Whether a call is unavailable: `ENOSYS` on old kernels, `EPERM` in sandboxes older than the
/// call.
pub(crate) const fn is_unavailable(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSYS | Errno::EPERM)
}

/// Receives a datagram with its local destination; without it, where recvmsg(2) is denied.
/// Cost: one system call, or two.
///
/// # Errors
/// As [`Kernel::recvfrom`].
///
/// Man page: recvmsg(2), recvfrom(2)
pub fn recv_datagram<K: Kernel>(
    kernel: &mut K,
    socket: &Fd,
    buf: &mut [u8],
) -> Result<ReceivedDatagram, Errno> {
    match kernel.recvmsg(socket, buf) {
        Err(errno) if is_unavailable(errno) => {
            let (len_bytes, from) = kernel.recvfrom(socket, buf)?;
            Ok(ReceivedDatagram { len_bytes, segment_bytes: 0, from, packet_info: None })
        }
        result => result,
    }
}

/// Replies to a datagram, from its local destination where possible. Cost: one system call,
/// or two.
///
/// # Errors
/// As [`Kernel::sendto`].
///
/// Man page: sendmsg(2), sendto(2)
pub fn reply_datagram<K: Kernel>(
    kernel: &mut K,
    socket: &Fd,
    buf: &[u8],
    to: &Addr,
    packet_info: Option<PacketInfo>,
) -> Result<usize, Errno> {
    let Some(info) = packet_info.and_then(PacketInfo::reply) else {
        return kernel.sendto(socket, buf, to);
    };
    match kernel.sendmsg(socket, buf, to, Some(info)) {
        // The address was removed since, or cannot be a source address; or sendmsg(2) does not
        // exist. Not for EPERM: recvmsg(2) was permitted, or `packet_info` would be missing, so a
        // firewall returns it for a reply from this address. A reply from another one would bypass
        // the rule.
        Err(errno) if errno == Errno::ENOSYS || is_source_unusable(errno) => {
            kernel.sendto(socket, buf, to)
        }
        result => result,
    }
}

/// Whether the error may concern the source address.
pub(crate) const fn is_source_unusable(errno: Errno) -> bool {
    matches!(errno, Errno::EINVAL | Errno::ENETUNREACH | Errno::EADDRNOTAVAIL)
}
