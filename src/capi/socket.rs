//! Sockets, with addresses as text. Knows no reactor: each function takes a descriptor.

use core::ffi::{c_char, c_int, c_void};

use super::address;
use super::boundary::{count, done, slice, slice_mut, status, text};
use crate::errno::Errno;
use crate::kernel::close_quietly;
use crate::kernel::{Fd, Kernel, Shutdown, SocketOption, SocketOptionName, SocketType};
use crate::linux::{self, Linux};
use crate::net::Addr;
use crate::reactor::retry::{retry_after_eintr, retry_on_eintr};
use crate::server::{PortSharing, create_socket};

/// Flag of [`epl_listen`] and [`epl_bind_datagram`].
const REUSE_PORT: u32 = 1;

const SHUT_RD: c_int = 0;
const SHUT_WR: c_int = 1;
const SHUT_RDWR: c_int = 2;

/// A listening socket.
///
/// # Safety
/// `address` is null or a text that ends with a zero byte.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_listen(address: *const c_char, flags: u32) -> c_int {
    // SAFETY: as the caller has promised.
    status(unsafe { bind(address, flags, SocketType::Stream) })
}

/// A bound datagram socket.
///
/// # Safety
/// As [`epl_listen`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_bind_datagram(address: *const c_char, flags: u32) -> c_int {
    // SAFETY: as the caller has promised.
    status(unsafe { bind(address, flags, SocketType::Datagram) })
}

/// A stream socket whose connection is under way.
///
/// # Safety
/// As [`epl_listen`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_connect(address: *const c_char) -> c_int {
    let connect = |addr: Addr| {
        let family = addr.family().ok_or(Errno::EINVAL)?;
        let fd = Linux.socket(family, SocketType::Stream)?;
        // Interrupted, it goes on by itself; in progress, too.
        match Linux.connect(&fd, &addr) {
            Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(fd.raw()),
            Err(errno) => {
                close_quietly(&mut Linux, fd);
                Err(errno)
            }
        }
    };
    // SAFETY: as the caller has promised.
    status(unsafe { parse(address) }.and_then(connect))
}

/// The pending error of a socket: the result of a connection.
#[unsafe(no_mangle)]
extern "C" fn epl_socket_error(fd: c_int) -> c_int {
    let error = || match Linux.getsockopt(&lent(fd), SocketOptionName::Error)? {
        SocketOption::Error(Some(errno)) => Err(errno),
        _ => Ok(()),
    };
    done(error())
}

/// Accepts a connection; `-EAGAIN` if none waits.
///
/// # Safety
/// `peer` is null, or `peer_bytes` bytes may be written there.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_accept(listener: c_int, peer: *mut c_char, peer_bytes: usize) -> c_int {
    let accept = || {
        // SAFETY: as the caller has promised.
        let room = unsafe { optional(peer, peer_bytes) }?;
        let (fd, addr) = retry_on_eintr(|| Linux.accept4(&lent(listener)))?;
        // A name that does not fit is cut: a connection is worth more than its name.
        let _ = room.map(|room| address::write(room, &addr));
        Ok(fd.raw())
    };
    status(accept())
}

/// Receives bytes; 0 is the end.
///
/// # Safety
/// `buf` is null, or `len` bytes may be written there.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_recv(fd: c_int, buf: *mut c_void, len: usize) -> isize {
    // SAFETY: as the caller has promised.
    let received = match unsafe { slice_mut(buf.cast::<u8>(), len) } {
        Ok(buf) => match linux::recv(&lent(fd), buf) {
            Err(Errno::EINTR) => retry_after_eintr(|| Linux.recv(&lent(fd), buf)),
            received => received,
        },
        Err(errno) => Err(errno),
    };
    count(received)
}

/// Sends bytes, perhaps fewer.
///
/// # Safety
/// `buf` is null, or points to `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_send(fd: c_int, buf: *const c_void, len: usize) -> isize {
    // SAFETY: as the caller has promised.
    let sent = match unsafe { slice(buf.cast::<u8>(), len) } {
        Ok(buf) => match linux::send(&lent(fd), buf) {
            Err(Errno::EINTR) => retry_after_eintr(|| Linux.send(&lent(fd), buf)),
            sent => sent,
        },
        Err(errno) => Err(errno),
    };
    count(sent)
}

/// Receives a datagram and its sender.
///
/// # Safety
/// As [`epl_recv`]; `peer` as in [`epl_accept`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    peer: *mut c_char,
    peer_bytes: usize,
) -> isize {
    let receive = || {
        // SAFETY: as the caller has promised.
        let buf = unsafe { slice_mut(buf.cast::<u8>(), len) }?;
        // SAFETY: as the caller has promised.
        let room = unsafe { optional(peer, peer_bytes) }?;
        let (len, addr) = retry_on_eintr(|| Linux.recvfrom(&lent(fd), buf))?;
        let _ = room.map(|room| address::write(room, &addr));
        // What the buffer holds, as recvfrom(2) without flags returns, and not the whole length.
        Ok(len.min(buf.len()))
    };
    count(receive())
}

/// Sends a datagram to an address.
///
/// # Safety
/// As [`epl_send`]; `address` as in [`epl_listen`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_sendto(
    fd: c_int,
    buf: *const c_void,
    len: usize,
    address: *const c_char,
) -> isize {
    let send = || {
        // SAFETY: as the caller has promised.
        let buf = unsafe { slice(buf.cast::<u8>(), len) }?;
        // SAFETY: as the caller has promised.
        let addr = unsafe { parse(address) }?;
        retry_on_eintr(|| Linux.sendto(&lent(fd), buf, &addr))
    };
    count(send())
}

/// Ends one or both directions.
#[unsafe(no_mangle)]
extern "C" fn epl_shutdown(fd: c_int, how: c_int) -> c_int {
    let how = match how {
        SHUT_RD => Shutdown::Read,
        SHUT_WR => Shutdown::Write,
        SHUT_RDWR => Shutdown::Both,
        _ => return done(Err(Errno::EINVAL)),
    };
    done(Linux.shutdown(&lent(fd), how))
}

/// Closes a descriptor that no reactor owns.
#[unsafe(no_mangle)]
extern "C" fn epl_close_fd(fd: c_int) -> c_int {
    if fd < 0 { done(Err(Errno::EBADF)) } else { done(Linux.close(Fd::from_raw(fd))) }
}

/// Sends small messages at once (1), or waits for more (0).
#[unsafe(no_mangle)]
extern "C" fn epl_set_nodelay(fd: c_int, is_on: c_int) -> c_int {
    done(Linux.setsockopt(&lent(fd), SocketOption::NoDelay(is_on != 0)))
}

/// A socket's own address; returns its length.
///
/// # Safety
/// `room` is null, or `bytes` bytes may be written there.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_local_address(fd: c_int, room: *mut c_char, bytes: usize) -> isize {
    // SAFETY: as the caller has promised.
    let room = unsafe { slice_mut(room.cast::<u8>(), bytes) };
    count(room.and_then(|room| address::write(room, &Linux.getsockname(&lent(fd))?)))
}

/// The address of a socket's peer; returns its length.
///
/// # Safety
/// As [`epl_local_address`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_peer_address(fd: c_int, room: *mut c_char, bytes: usize) -> isize {
    // SAFETY: as the caller has promised.
    let room = unsafe { slice_mut(room.cast::<u8>(), bytes) };
    count(room.and_then(|room| address::write(room, &Linux.getpeername(&lent(fd))?)))
}

/// A bound socket, one code for both kinds.
///
/// # Safety
/// As [`epl_listen`].
unsafe fn bind(address: *const c_char, flags: u32, kind: SocketType) -> Result<c_int, Errno> {
    // SAFETY: as the caller has promised.
    let addr = unsafe { parse(address) }?;
    let bound = create_socket(&mut Linux, &addr, kind, sharing(flags)?, true);
    bound.map(|(fd, _)| fd.raw()).map_err(|error| error.errno)
}

/// A descriptor for one call: the number stays C's. A negative one is `EBADF` in the call.
const fn lent(fd: c_int) -> Fd {
    Fd::from_raw(fd)
}

/// # Safety
/// As [`text`].
unsafe fn parse(address: *const c_char) -> Result<Addr, Errno> {
    // SAFETY: as the caller has promised.
    address::parse(unsafe { text(address) }?)
}

/// # Safety
/// As [`slice_mut`].
unsafe fn optional<'a>(room: *mut c_char, bytes: usize) -> Result<Option<&'a mut [u8]>, Errno> {
    if room.is_null() {
        return Ok(None);
    }
    // SAFETY: as the caller has promised.
    unsafe { slice_mut(room.cast::<u8>(), bytes) }.map(Some)
}

const fn sharing(flags: u32) -> Result<PortSharing, Errno> {
    match flags {
        0 => Ok(PortSharing::Exclusive),
        REUSE_PORT => Ok(PortSharing::ReusePort),
        _ => Err(Errno::EINVAL),
    }
}
