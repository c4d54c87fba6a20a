//! recvmsg(2) and sendmsg(2): one datagram, with its local destination.
//!
//! Batches are in `mmsg.rs`.

use core::mem::zeroed;
use core::ptr::{from_mut, null_mut};

use super::control::{Ancillary, Control};
use super::result::check_count;
use crate::errno::Errno;
use crate::kernel::{Fd, ReceivedDatagram};
use crate::net::{Addr, PacketInfo, SockAddr};

/// A header for one message: bytes, and an address of `addr_len` bytes. Only stores pointers;
/// the caller must keep them valid until the call returns.
pub(super) fn header(part: *mut libc::iovec, addr: *mut u8, addr_len: u32) -> libc::msghdr {
    // SAFETY: `mem::zeroed` makes a value of msghdr: integers and null pointers. (It cannot be
    // written out: musl pads it with private fields.)
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = part;
    header.msg_iovlen = 1;
    header.msg_name = if addr_len == 0 { null_mut() } else { addr.cast() };
    header.msg_namelen = addr_len;
    header
}

pub(super) fn recvmsg(socket: &Fd, buf: &mut [u8]) -> Result<ReceivedDatagram, Errno> {
    let mut addr = SockAddr::EMPTY;
    let mut control = Control::EMPTY;
    let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let mut header = header(&mut part, addr.buffer_mut().as_mut_ptr(), SockAddr::LEN_MAX);
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    // SAFETY: recvmsg(2) writes into `header`, and through it at most the stated number of bytes
    // into `buf`, `addr` and `control`; the first is borrowed exclusively, the others are local,
    // and nothing accesses them until the call returns. It keeps no pointer.
    let returned = unsafe { libc::recvmsg(socket.raw(), from_mut(&mut header), libc::MSG_TRUNC) };
    let len_bytes = check_count(returned)?;
    addr.set_len(header.msg_namelen);
    let Ancillary { packet_info, segment_bytes } = control.decode();
    Ok(ReceivedDatagram {
        len_bytes,
        segment_bytes,
        from: addr.decode().unwrap_or(Addr::Unspecified),
        packet_info,
    })
}

pub(super) fn sendmsg(
    socket: &Fd,
    buf: &[u8],
    addr: &Addr,
    packet_info: Option<PacketInfo>,
) -> Result<usize, Errno> {
    let addr = addr.encode();
    let mut part = libc::iovec { iov_base: buf.as_ptr().cast_mut().cast(), iov_len: buf.len() };
    let name = addr.as_bytes().as_ptr().cast_mut();
    let mut header = header(&mut part, name, addr.socklen());
    let ancillary = packet_info.map(|_| Ancillary { packet_info, segment_bytes: 0 });
    let mut control = ancillary.map(Control::encode);
    if let Some((control, len)) = &mut control {
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = *len as _;
    }
    // SAFETY: sendmsg(2) reads `header`, and through it `buf`, `addr` and `control`, which live
    // until it returns; it writes to none of them and keeps no pointer.
    check_count(unsafe { libc::sendmsg(socket.raw(), &raw const header, libc::MSG_NOSIGNAL) })
}
