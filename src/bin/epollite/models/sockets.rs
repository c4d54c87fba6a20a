//! Operations on one socket that all models share: echoing one datagram, rejecting one client.

use epollite::kernel::Shutdown;
use epollite::kernel::{ReceivedDatagram, close_quietly, recv_datagram, reply_datagram};
use epollite::server::datagram::{DatagramEvent, Disposition, is_reflector};
use epollite::{Addr, Fd, Kernel};

use super::context::WorkerContext;
use crate::client_log;
use crate::instrument::InstrumentedKernel;

/// Receives one datagram and sends it back. Returns whether there was one. Not answered are
/// datagrams that are too long or come from a port that would answer the reply; a reply that the
/// system has no buffer for is dropped, as the network would do.
pub(super) fn echo_datagram<K: InstrumentedKernel>(
    context: &mut WorkerContext<K>,
    socket: &Fd,
    own_ports: &[u16],
    buf: &mut [u8],
) -> bool {
    let stats = &mut context.datagrams;
    let ReceivedDatagram { len_bytes: length, from, packet_info } =
        match recv_datagram(&mut context.kernel, socket, buf) {
            Ok(message) => message,
            Err(errno) => {
                stats.errors += u64::from(!errno.is_would_block() && !errno.is_interrupted());
                return false;
            }
        };
    // This is how a blocking recvmsg(2) reports that the socket was shut down for reading.
    if from == Addr::Unspecified {
        return false;
    }
    stats.received += 1;
    let bytes = length.min(buf.len());
    stats.bytes_in += bytes as u64;
    let served = if length > buf.len() {
        stats.truncated += 1;
        Disposition::Truncated
    } else if is_reflector(own_ports, &from) {
        stats.refused += 1;
        Disposition::Reflected
    } else if reply_datagram(&mut context.kernel, socket, &buf[..bytes], &from, packet_info).is_ok()
    {
        stats.echoed += 1;
        stats.bytes_out += bytes as u64;
        Disposition::Echoed
    } else {
        stats.dropped += 1;
        Disposition::Echoed
    };
    if context.log.is_verbose {
        client_log::datagram(&context.log, &DatagramEvent { from, bytes, disposition: served });
    }
    true
}

/// Consecutive clients that aborted before they were accepted, or consecutive times that a datagram
/// socket was ready and had no datagram. A firewall that rejects every client makes accept(2) fail
/// endlessly, a socket that was shut down for reading from outside makes recvmsg(2) return nothing
/// endlessly, and both stay readable: after a number of failures the socket is paused.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct FailureStreak(u32);

impl FailureStreak {
    /// Failures in a row before a pause.
    const MAX: u32 = 64;

    /// Counts a failure. Returns whether the socket should be paused now.
    pub(super) fn record(&mut self) -> bool {
        self.0 = (self.0 + 1) % Self::MAX;
        self.0 == 0
    }

    /// Resets the count after a success.
    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }
}

/// Closes a client that cannot be served. Reads its pending input first: closing with unread input
/// sends a reset, and the client should see an orderly close.
pub(super) fn reject<K: Kernel>(kernel: &mut K, socket: Fd, buf: &mut [u8]) {
    let _ = kernel.shutdown(&socket, Shutdown::Write);
    let _ = kernel.recv(&socket, buf);
    close_quietly(kernel, socket);
}
