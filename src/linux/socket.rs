//! socket(2) to shutdown(2): one socket, one connection, bytes.
//!
//! Options and batches of datagrams have files of their own.

use core::ptr::from_mut;

use super::result::{check_count, check_fd, check_ok};
use crate::errno::Errno;
use crate::kernel::{Fd, Shutdown, SocketType};
use crate::net::{Addr, AddressFamily, SockAddr};

/// Every new descriptor is non-blocking and close-on-exec.
const DEFAULT_FLAGS: i32 = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;

const fn domain(family: AddressFamily) -> i32 {
    match family {
        AddressFamily::Inet => libc::AF_INET,
        AddressFamily::Inet6 => libc::AF_INET6,
        AddressFamily::Unix => libc::AF_UNIX,
    }
}

const fn kind_bits(kind: SocketType) -> i32 {
    match kind {
        SocketType::Stream => libc::SOCK_STREAM,
        SocketType::Datagram => libc::SOCK_DGRAM,
        SocketType::SeqPacket => libc::SOCK_SEQPACKET,
    }
}

pub(super) fn socket(family: AddressFamily, kind: SocketType) -> Result<Fd, Errno> {
    // SAFETY: socket(2) takes three numbers and touches no user memory.
    check_fd(unsafe { libc::socket(domain(family), kind_bits(kind) | DEFAULT_FLAGS, 0) })
}

pub(super) fn socketpair(kind: SocketType) -> Result<(Fd, Fd), Errno> {
    let mut pair = [0; 2];
    // SAFETY: socketpair(2) writes two `int`s at `pair`, a local array of two `int`s that lives
    // until it returns.
    let returned = unsafe {
        libc::socketpair(libc::AF_UNIX, kind_bits(kind) | DEFAULT_FLAGS, 0, pair.as_mut_ptr())
    };
    check_ok(returned)?;
    Ok((Fd::from_raw(pair[0]), Fd::from_raw(pair[1])))
}

pub(super) fn bind(socket: &Fd, addr: &Addr) -> Result<(), Errno> {
    let addr = addr.encode();
    // SAFETY: bind(2) reads `socklen` bytes at the address, which are initialised and live until
    // it returns.
    check_ok(unsafe { libc::bind(socket.raw(), addr.as_bytes().as_ptr().cast(), addr.socklen()) })
}

pub(super) fn listen(socket: &Fd, backlog: u32) -> Result<(), Errno> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // SAFETY: listen(2) takes two numbers and touches no user memory.
    check_ok(unsafe { libc::listen(socket.raw(), backlog) })
}

/// Runs a call that writes an address, and decodes it. An unsupported family is decoded as
/// [`Addr::Unspecified`]: the name is lost, the socket is not.
#[inline]
fn address_from<R>(
    call: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> Result<R, Errno>,
) -> Result<(R, Addr), Errno> {
    let mut addr = SockAddr::EMPTY;
    let mut len = SockAddr::LEN_MAX;
    let returned = call(addr.buffer_mut().as_mut_ptr().cast(), from_mut(&mut len))?;
    Ok((returned, decoded(&mut addr, len)))
}

/// Not inlined into every call.
#[inline(never)]
fn decoded(addr: &mut SockAddr, len: libc::socklen_t) -> Addr {
    addr.set_len(len);
    addr.decode().unwrap_or(Addr::Unspecified)
}

pub(super) fn accept4(listener: &Fd) -> Result<(Fd, Addr), Errno> {
    address_from(|addr, len| {
        // SAFETY: accept4(2) writes at most `*len` bytes at `addr` and one number at `len`;
        // `address_from` holds both until the call returns.
        check_fd(unsafe { libc::accept4(listener.raw(), addr, len, DEFAULT_FLAGS) })
    })
}

pub(super) fn connect(socket: &Fd, addr: &Addr) -> Result<(), Errno> {
    let addr = addr.encode();
    // SAFETY: connect(2) reads `socklen` bytes at the address, which are initialised and live
    // until it returns.
    check_ok(unsafe {
        libc::connect(socket.raw(), addr.as_bytes().as_ptr().cast(), addr.socklen())
    })
}

pub(super) fn getsockname(socket: &Fd) -> Result<Addr, Errno> {
    let named = address_from(|addr, len| {
        // SAFETY: getsockname(2) writes at most `*len` bytes at `addr` and one number at
        // `len`; `address_from` holds both until the call returns.
        check_ok(unsafe { libc::getsockname(socket.raw(), addr, len) })
    });
    named.map(|((), addr)| addr)
}

pub(super) fn getpeername(socket: &Fd) -> Result<Addr, Errno> {
    let named = address_from(|addr, len| {
        // SAFETY: getpeername(2) writes at most `*len` bytes at `addr` and one number at
        // `len`; `address_from` holds both until the call returns.
        check_ok(unsafe { libc::getpeername(socket.raw(), addr, len) })
    });
    named.map(|((), addr)| addr)
}

#[inline(always)]
pub(crate) fn recv(socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: recv(2) writes at most `buf.len()` bytes at `buf`, which we hold exclusively
    // until it returns, and it keeps no pointer afterwards.
    check_count(unsafe { libc::recv(socket.raw(), buf.as_mut_ptr().cast(), buf.len(), 0) })
}

pub(super) fn recv_peek(socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
    let (into, len) = (buf.as_mut_ptr().cast(), buf.len());
    // SAFETY: recv(2) writes at most `len` bytes at `into`, which we hold exclusively until it
    // returns, and it keeps no pointer afterwards.
    check_count(unsafe { libc::recv(socket.raw(), into, len, libc::MSG_PEEK) })
}

#[inline(always)]
pub(crate) fn send(socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
    // SAFETY: send(2) reads at most `buf.len()` bytes at `buf`, which is borrowed until it
    // returns, and it keeps no pointer afterwards.
    check_count(unsafe {
        libc::send(socket.raw(), buf.as_ptr().cast(), buf.len(), libc::MSG_NOSIGNAL)
    })
}

pub(super) fn recvfrom(socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
    address_from(|addr, len| {
        let (fd, capacity, buf) = (socket.raw(), buf.len(), buf.as_mut_ptr());
        // SAFETY: recvfrom(2) writes at most `capacity` bytes at `buf`, `*len` at `addr` and one
        // number at `len`; the first is borrowed exclusively and `address_from` holds the
        // others until the call returns.
        check_count(unsafe { libc::recvfrom(fd, buf.cast(), capacity, libc::MSG_TRUNC, addr, len) })
    })
}

pub(super) fn sendto(socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
    let addr = addr.encode();
    let (fd, bytes, len) = (socket.raw(), buf.as_ptr().cast(), buf.len());
    let to = addr.as_bytes().as_ptr().cast();
    // SAFETY: sendto(2) reads `buf.len()` bytes at `buf` and `socklen` at the address; both
    // are borrowed until it returns, and it keeps no pointer afterwards.
    check_count(unsafe { libc::sendto(fd, bytes, len, libc::MSG_NOSIGNAL, to, addr.socklen()) })
}

pub(super) fn shutdown(socket: &Fd, how: Shutdown) -> Result<(), Errno> {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: shutdown(2) takes two numbers and touches no user memory.
    check_ok(unsafe { libc::shutdown(socket.raw(), how) })
}

pub(super) fn ioctl_outq(socket: &Fd) -> Result<usize, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: ioctl(2) with TIOCOUTQ (which SIOCOUTQ is another name of) writes one `int` at
    // `bytes`, which lives until it returns, and keeps no pointer.
    check_ok(unsafe { libc::ioctl(socket.raw(), libc::TIOCOUTQ, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}
