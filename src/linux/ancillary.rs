//! Messages with one descriptor, and those of the error queue: what experiments and their child
//! processes need of `vectored.rs`. Nothing is allocated: a child of a program with threads calls
//! it.

use super::Linux;
use super::vectored::{recv_message, send_message};
use crate::errno::Errno;
use crate::kernel::{ExtendedError, Fd, MaybeBlockingFd, OutgoingMessage, ReceiveMode};

pub(super) fn send_rights(socket: &Fd, buf: &[u8], passed: &Fd) -> Result<usize, Errno> {
    let (bufs, descriptors) = ([buf], [passed]);
    let message =
        OutgoingMessage { bufs: &bufs, descriptors: &descriptors, ..OutgoingMessage::default() };
    send_message(socket, &message)
}

/// The first descriptor, if there is one; others are closed.
pub(super) fn recv_rights(socket: &Fd, buf: &mut [u8]) -> Result<(usize, Option<Fd>), Errno> {
    let mut received = recv_message(socket, &mut [buf], ReceiveMode::Consume)?;
    let passed = received.descriptors.take().map(MaybeBlockingFd::into_fd_as_is);
    received.descriptors.close_all(&mut Linux);
    Ok((received.len_bytes, passed))
}

pub(super) fn recv_errqueue(socket: &Fd) -> Result<ExtendedError, Errno> {
    let mut buf = [0_u8; 64];
    let received = recv_message(socket, &mut [&mut buf[..]], ReceiveMode::ErrorQueue)?;
    received.descriptors.close_all(&mut Linux);
    let (errno, code) = received.error.map_or((None, 0), |error| (error.errno, error.code));
    Ok(ExtendedError { errno, code })
}
