//! A connection whose two ends are one socket.
//!
//! Knows getsockname(2) and getpeername(2).

use super::{Fd, Kernel};
use crate::addr::Addr;

/// Whether `socket`, which was connected to `to` and bound to no port before, is connected to
/// itself.
///
/// A client on the same machine may be given, by chance, the very port that it connects to, if
/// nobody else has it: TCP then opens the connection from both sides at once (RFC 9293, 3.5), and
/// the client talks to itself. Nobody listens there: call it refused, and close it. Work: one
/// system call; two when the ports are the same.
///
/// Man page: getsockname(2), getpeername(2)
pub fn is_connected_to_itself<K: Kernel>(kernel: &mut K, socket: &Fd, to: &Addr) -> bool {
    let Ok(own) = kernel.getsockname(socket) else { return false };
    // The address may differ from `to`, which may be the unspecified one.
    own.port().is_some() && own.port() == to.port() && kernel.getpeername(socket) == Ok(own)
}
