//! Messages with descriptors, and those of the error queue.

use core::mem::zeroed;
use core::ptr::null_mut;

use super::control::{Control, HEADER_BYTES, LEVEL_OFFSET, TYPE_OFFSET};
use super::message::header;
use super::result::check_count;
use crate::errno::Errno;
use crate::kernel::{ExtendedError, Fd};

pub(super) fn send_rights(socket: &Fd, buf: &[u8], passed: &Fd) -> Result<usize, Errno> {
    let mut control = Control::EMPTY;
    let passed = passed.raw().to_ne_bytes();
    let kind = libc::SCM_RIGHTS;
    let len = control.push(0, libc::SOL_SOCKET, kind, passed.len(), &[&passed]);
    let mut part = libc::iovec { iov_base: buf.as_ptr().cast_mut().cast(), iov_len: buf.len() };
    let mut header = header(&mut part, null_mut(), 0);
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = len as _;
    // SAFETY: sendmsg(2) reads `header`, and through it `buf` and `control`, which live until it
    // returns; it writes to none of them and keeps no pointer.
    check_count(unsafe { libc::sendmsg(socket.raw(), &raw const header, libc::MSG_NOSIGNAL) })
}

pub(super) fn recv_rights(socket: &Fd, buf: &mut [u8]) -> Result<(usize, Option<Fd>), Errno> {
    let (count, control) = recv(socket, buf, libc::MSG_CMSG_CLOEXEC)?;
    let passed = int(&control, libc::SOL_SOCKET, libc::SCM_RIGHTS, 0);
    Ok((count, passed.map(Fd::from_raw)))
}

/// The beginning of `struct sock_extended_err`: the errno, then the origin, the type and the code,
/// of a byte each.
pub(super) fn recv_errqueue(socket: &Fd) -> Result<ExtendedError, Errno> {
    let (_, control) = recv(socket, &mut [0; 64], libc::MSG_ERRQUEUE)?;
    let field = |offset| int(&control, libc::SOL_IP, libc::IP_RECVERR, offset);
    let [_, _, code, _] = field(4).unwrap_or(0).to_ne_bytes();
    Ok(ExtendedError { errno: field(0).and_then(Errno::new), code })
}

/// One message without its address, and its control messages.
fn recv(socket: &Fd, buf: &mut [u8], flags: i32) -> Result<(usize, Control), Errno> {
    let mut control = Control::EMPTY;
    let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: a zeroed msghdr is a value of it: integers and null pointers.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    // SAFETY: recvmsg(2) writes into `header`, and through it at most the stated number of bytes
    // into `buf` and `control`; the first is borrowed exclusively, the other is local, and nothing
    // accesses them until the call returns. It keeps no pointer.
    let count = check_count(unsafe { libc::recvmsg(socket.raw(), &raw mut header, flags) })?;
    Ok((count, control))
}

/// The `int` at `offset` of the first control message, if that is of this kind.
fn int(control: &Control, level: i32, kind: i32, offset: usize) -> Option<i32> {
    let at = |at: usize| Some(i32::from_ne_bytes(*control.0.get(at..)?.first_chunk()?));
    let is_it = at(LEVEL_OFFSET)? == level && at(TYPE_OFFSET)? == kind;
    is_it.then(|| at(HEADER_BYTES + offset)).flatten()
}
