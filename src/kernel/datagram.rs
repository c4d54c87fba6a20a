//! One datagram at a time, by whatever call the system permits.
//!
//! Knows recvmsg(2), sendmsg(2) and what stands in for them. Where they are refused (a sandbox
//! that has never heard of them) a datagram is received and answered all the same, only not from
//! the address that it came to.

use super::{Fd, Kernel, Message};
use crate::addr::{Addr, PacketInfo};
use crate::errno::Errno;

/// Whether a call is not to be had here: old kernels do not know it, and sandboxes forbid what
/// they do not know.
pub(crate) const fn is_refused(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSYS | Errno::EPERM)
}

/// Receives a datagram with the address that it came to; without, where recvmsg(2) is refused.
/// Work: one system call, or two.
///
/// # Errors
/// As [`Kernel::recvfrom`].
///
/// Man page: recvmsg(2), recvfrom(2)
pub fn recv_datagram<K: Kernel>(
    kernel: &mut K,
    socket: &Fd,
    buf: &mut [u8],
) -> Result<Message, Errno> {
    match kernel.recvmsg(socket, buf) {
        Err(errno) if is_refused(errno) => {
            let (len_bytes, from) = kernel.recvfrom(socket, buf)?;
            Ok(Message { len_bytes, from, packet_info: None })
        }
        result => result,
    }
}

/// Answers a datagram, from the address that it came to where that can be. Work: one system call,
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
    asked: Option<PacketInfo>,
) -> Result<usize, Errno> {
    let Some(info) = asked.and_then(PacketInfo::reply) else {
        return kernel.sendto(socket, buf, to);
    };
    match kernel.sendmsg(socket, buf, to, Some(info)) {
        // The address has gone since, or no answer can come from it; or there is no sendmsg(2). Not
        // for EPERM: recvmsg(2) was permitted, or `asked` would be missing, so a firewall says it
        // of an answer from this address. From another one it would pass by what forbids it.
        Err(errno) if errno == Errno::ENOSYS || is_source_unusable(errno) => {
            kernel.sendto(socket, buf, to)
        }
        result => result,
    }
}

/// Whether it may be the local address that cannot be sent from.
pub(crate) const fn is_source_unusable(errno: Errno) -> bool {
    matches!(errno, Errno::EINVAL | Errno::ENETUNREACH | Errno::EADDRNOTAVAIL)
}
