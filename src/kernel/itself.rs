//! Connections whose two ends are the same socket.
//!
//! Knows getsockname(2) and getpeername(2).

use super::{Fd, Kernel};
use crate::net::Addr;

/// Returns whether `socket`, which was connected to `to` without being bound first, is connected to
/// itself.
///
/// A client on the same machine may be assigned, by chance, the very port that it connects to, if
/// no socket is bound to it: TCP then opens the connection from both sides at once (RFC 9293, 3.5),
/// and the client talks to itself. No server listens there: treat it as refused, and close it.
/// Cost: one system call; two when the ports are equal.
///
/// Man page: getsockname(2), getpeername(2)
pub fn is_connected_to_itself<K: Kernel>(kernel: &mut K, socket: &Fd, to: &Addr) -> bool {
    let Ok(local) = kernel.getsockname(socket) else { return false };
    // The address may differ from `to`, which may be the unspecified one.
    local.port().is_some() && local.port() == to.port() && kernel.getpeername(socket) == Ok(local)
}
