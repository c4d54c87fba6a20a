//! Several buffers in one call: readv(2) and writev(2), and sendmsg(2) and recvmsg(2) with all
//! their control messages.
//!
//! One datagram with its local destination, the common case, is in `message.rs`.

use core::ptr::{from_mut, null_mut};
use core::time::Duration;

use super::control::{Ancillary, HEADER_BYTES, encode_into, entries, push};
use super::message::header;
use super::result::{check_count, check_ok};
use crate::errno::Errno;
use crate::kernel::{
    CONTROL_BYTES, Credentials, ErrorOrigin, Fd, IOVECS_MAX, OutgoingMessage,
    RECEIVED_DESCRIPTORS_MAX, ReceiveMode, ReceivedMessage, SENT_DESCRIPTORS_MAX, SocketError,
};
use crate::net::{Addr, SockAddr};

/// Memory for control messages, aligned as the kernel requires.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

const INT_BYTES: usize = size_of::<libc::c_int>();
const UCRED_BYTES: usize = size_of::<libc::ucred>();
const ERROR_BYTES: usize = size_of::<libc::sock_extended_err>();

const _: () = {
    // Everything that is sent at once fits, and each descriptor that is received has a place.
    let rights = HEADER_BYTES + SENT_DESCRIPTORS_MAX * INT_BYTES;
    // Packet info, the length of segments, credentials: with their padding.
    let others = 3 * HEADER_BYTES + 24 + 8 + 16;
    assert!(rights + others <= CONTROL_BYTES);
    assert!((CONTROL_BYTES - HEADER_BYTES) / INT_BYTES <= RECEIVED_DESCRIPTORS_MAX);
    assert!(align_of::<Control>() >= align_of::<libc::cmsghdr>());
    assert!(UCRED_BYTES == 12 && ERROR_BYTES == 16);
};

/// A table of at most [`IOVECS_MAX`] buffers, and how many there are.
fn iovecs(bufs: impl Iterator<Item = (*mut u8, usize)>) -> ([libc::iovec; IOVECS_MAX], usize) {
    let mut table = [libc::iovec { iov_base: null_mut(), iov_len: 0 }; IOVECS_MAX];
    let mut count = 0;
    for (entry, (base, len)) in table.iter_mut().zip(bufs) {
        *entry = libc::iovec { iov_base: base.cast(), iov_len: len };
        count += 1;
    }
    (table, count)
}

fn to_write(bufs: &[&[u8]]) -> ([libc::iovec; IOVECS_MAX], usize) {
    iovecs(bufs.iter().map(|buf| (buf.as_ptr().cast_mut(), buf.len())))
}

fn to_read(bufs: &mut [&mut [u8]]) -> ([libc::iovec; IOVECS_MAX], usize) {
    iovecs(bufs.iter_mut().map(|buf| (buf.as_mut_ptr(), buf.len())))
}

/// At most [`IOVECS_MAX`], as C's calls take it.
fn c_count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(0)
}

pub(super) fn readv(fd: &Fd, bufs: &mut [&mut [u8]]) -> Result<usize, Errno> {
    let (table, count) = to_read(bufs);
    // SAFETY: readv(2) reads `count` entries of `table`, a local array of at least as many, and
    // writes at most their lengths at their addresses, which are those of buffers that are borrowed
    // exclusively until it returns. It keeps no pointer.
    check_count(unsafe { libc::readv(fd.raw(), table.as_ptr(), c_count(count)) })
}

pub(super) fn writev(fd: &Fd, bufs: &[&[u8]]) -> Result<usize, Errno> {
    let (table, count) = to_write(bufs);
    // SAFETY: writev(2) reads `count` entries of `table`, a local array of at least as many, and
    // the buffers that they name, which are borrowed until it returns. It writes to none of them
    // and keeps no pointer.
    check_count(unsafe { libc::writev(fd.raw(), table.as_ptr(), c_count(count)) })
}

pub(super) fn ioctl_fionbio(fd: &Fd) -> Result<(), Errno> {
    let mut on: libc::c_int = 1;
    // SAFETY: ioctl(2) with FIONBIO reads one `int` at `on`, which lives until it returns.
    check_ok(unsafe { libc::ioctl(fd.raw(), libc::FIONBIO, from_mut(&mut on)) })
}

pub(super) fn send_message(socket: &Fd, message: &OutgoingMessage<'_>) -> Result<usize, Errno> {
    message.check()?;
    let (mut table, count) = to_write(message.bufs);
    let addr = message.to.map_or(SockAddr::EMPTY, Addr::encode);
    let name = addr.as_bytes().as_ptr().cast_mut();
    let mut header = header(table.as_mut_ptr(), name, addr.socklen());
    header.msg_iovlen = count as _;
    let mut control = Control([0; CONTROL_BYTES]);
    let len = encode(&mut control.0, message);
    if len > 0 {
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = len as _;
    }
    // SAFETY: sendmsg(2) reads `header`, and through it `table`, the buffers that it names, `addr`
    // and `control`, which live until it returns; it writes to none of them and keeps no pointer.
    check_count(unsafe { libc::sendmsg(socket.raw(), &raw const header, libc::MSG_NOSIGNAL) })
}

/// Writes the control messages of `message`, and returns their length.
fn encode(control: &mut [u8], message: &OutgoingMessage<'_>) -> usize {
    let OutgoingMessage { packet_info, segment_bytes, .. } = *message;
    let mut len = encode_into(control, Ancillary { packet_info, segment_bytes });
    if let Some(Credentials { pid, uid, gid }) = message.credentials {
        let parts = [&pid.to_ne_bytes()[..], &uid.to_ne_bytes(), &gid.to_ne_bytes()];
        let kind = libc::SCM_CREDENTIALS;
        len = push(control, len, libc::SOL_SOCKET, kind, UCRED_BYTES, &parts);
    }
    if !message.descriptors.is_empty() {
        let mut numbers = [0; SENT_DESCRIPTORS_MAX * INT_BYTES];
        for (entry, fd) in numbers.chunks_exact_mut(INT_BYTES).zip(message.descriptors) {
            entry.copy_from_slice(&fd.raw().to_ne_bytes());
        }
        let bytes = message.descriptors.len() * INT_BYTES;
        let numbers = &numbers[..bytes];
        len = push(control, len, libc::SOL_SOCKET, libc::SCM_RIGHTS, bytes, &[numbers]);
    }
    len
}

pub(super) fn recv_message(
    socket: &Fd,
    bufs: &mut [&mut [u8]],
    mode: ReceiveMode,
) -> Result<ReceivedMessage, Errno> {
    if bufs.len() > IOVECS_MAX {
        return Err(Errno::EMSGSIZE);
    }
    let flags = match mode {
        ReceiveMode::Consume => 0,
        ReceiveMode::Peek => libc::MSG_PEEK,
        ReceiveMode::ErrorQueue => libc::MSG_ERRQUEUE,
    };
    let (mut table, count) = to_read(bufs);
    let mut addr = SockAddr::EMPTY;
    let mut control = Control([0; CONTROL_BYTES]);
    let name = addr.buffer_mut().as_mut_ptr();
    let mut header = header(table.as_mut_ptr(), name, SockAddr::LEN_MAX);
    header.msg_iovlen = count as _;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    let (to, flags) = (from_mut(&mut header), flags | libc::MSG_CMSG_CLOEXEC);
    // SAFETY: recvmsg(2) reads `table`, writes into `header`, and through it at most the stated
    // number of bytes into the buffers, `addr` and `control`; the first are borrowed exclusively,
    // the others are local, and nothing accesses them until the call returns. It keeps no pointer.
    let len_bytes = check_count(unsafe { libc::recvmsg(socket.raw(), to, flags) })?;
    addr.set_len(header.msg_namelen);
    let mut message = ReceivedMessage::new(len_bytes);
    message.from = addr.decode().unwrap_or(Addr::Unspecified);
    let has = |flag| header.msg_flags & flag != 0;
    message.is_truncated = has(libc::MSG_TRUNC);
    message.is_control_truncated = has(libc::MSG_CTRUNC);
    message.is_end_of_record = has(libc::MSG_EOR);
    for (level, kind, data) in entries(&control.0) {
        // What is too short for its kind is skipped.
        let _ = decode(&mut message, level, kind, data);
    }
    Ok(message)
}

/// A descriptor of the sender's process: since Linux 6.5, and not in the `libc` crate.
const SCM_PIDFD: i32 = 4;

/// Adds one control message to what was received; `None` if it is too short.
fn decode(message: &mut ReceivedMessage, level: i32, kind: i32, data: &[u8]) -> Option<()> {
    let word = |at: usize| Some(u32::from_ne_bytes(*data.get(at..)?.first_chunk()?));
    match (level, kind) {
        // With SO_PASSPIDFD a message has a pidfd, too: it is a descriptor, and must not leak.
        (libc::SOL_SOCKET, libc::SCM_RIGHTS | SCM_PIDFD) => {
            for number in data.chunks_exact(INT_BYTES) {
                let raw = i32::from_ne_bytes(*number.first_chunk()?);
                message.descriptors.push(Fd::from_raw(raw));
            }
        }
        (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
            let (pid, uid, gid) = (word(0)?, word(4)?, word(8)?);
            message.credentials = Some(Credentials { pid, uid, gid });
        }
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
            // `struct timespec`: two words of the machine.
            let (seconds, nanos) = data.split_at_checked(size_of::<libc::time_t>())?;
            let seconds = libc::time_t::from_ne_bytes(*seconds.first_chunk()?);
            let nanos = libc::c_long::from_ne_bytes(*nanos.first_chunk()?);
            let (seconds, nanos) = (u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
            message.timestamp = Some(Duration::new(seconds, nanos));
        }
        (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR) => {
            message.error = Some(socket_error(data)?);
        }
        _ => {
            let mut ancillary = Ancillary {
                packet_info: message.packet_info,
                segment_bytes: message.segment_bytes,
            };
            ancillary.add(level, kind, data)?;
            message.packet_info = ancillary.packet_info;
            message.segment_bytes = ancillary.segment_bytes;
        }
    }
    Some(())
}

/// `struct sock_extended_err`, which the address of the offender follows.
fn socket_error(data: &[u8]) -> Option<SocketError> {
    let (fixed, offender) = data.split_at_checked(ERROR_BYTES)?;
    let word = |at: usize| Some(u32::from_ne_bytes(*fixed.get(at..)?.first_chunk()?));
    let origin = match fixed[4] {
        libc::SO_EE_ORIGIN_LOCAL => ErrorOrigin::Local,
        libc::SO_EE_ORIGIN_ICMP => ErrorOrigin::Icmp,
        libc::SO_EE_ORIGIN_ICMP6 => ErrorOrigin::Icmp6,
        other => ErrorOrigin::Other(other),
    };
    let offender = Addr::decode(offender).ok().filter(|addr| *addr != Addr::Unspecified);
    Some(SocketError {
        errno: Errno::new(word(0)?.cast_signed()),
        origin,
        kind: fixed[5],
        code: fixed[6],
        info: word(8)?,
        offender,
    })
}
