//! What is done with one socket in one go, whatever the model: a datagram answered, a client
//! turned away.

use epollite::kernel::{Message, recv_datagram, release, reply_datagram};
use epollite::server::datagram::{Served, Turned, refuses};
use epollite::{Addr, Fd, Kernel, Shut};

use super::stage::Stage;
use crate::meter::Meter;
use crate::tell;

/// Reads one datagram and sends it back. Returns whether there was one. What is too long, or comes from a
/// port that would answer the answer, is not answered; nor what the system has no room for, as
/// the network would not.
pub(super) fn answer<K: Meter>(
    stage: &mut Stage<K>,
    socket: &Fd,
    own_ports: &[u16],
    buf: &mut [u8],
) -> bool {
    let stats = &mut stage.datagrams;
    let Message { len_bytes: length, from, packet_info } =
        match recv_datagram(&mut stage.kernel, socket, buf) {
            Ok(came) => came,
            Err(errno) => {
                stats.errors += u64::from(!errno.would_block() && !errno.interrupted());
                return false;
            }
        };
    // This is how a blocking recvmsg(2) says that the socket was shut for reading.
    if from == Addr::Unspec {
        return false;
    }
    stats.received += 1;
    let bytes = length.min(buf.len());
    stats.bytes_in += bytes as u64;
    let served = if length > buf.len() {
        stats.truncated += 1;
        Served::Truncated
    } else if refuses(own_ports, &from) {
        stats.refused += 1;
        Served::Refused
    } else if reply_datagram(&mut stage.kernel, socket, &buf[..bytes], &from, packet_info).is_ok() {
        stats.echoed += 1;
        stats.bytes_out += bytes as u64;
        Served::Echoed
    } else {
        stats.dropped += 1;
        Served::Echoed
    };
    if stage.log.is_verbose {
        tell::datagram(&stage.log, &Turned { from, bytes, served });
    }
    true
}

/// Clients that were gone when they were to be accepted, or times that a datagram socket was ready
/// and gave nothing, one after the other. A firewall that refuses all clients says so for ever, and
/// so does a socket that somebody shut for reading; both stay readable: after some of these the
/// socket is left alone for a while.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Gone(u32);

impl Gone {
    /// Failures in a row that cost nothing worth speaking of.
    const MAX: u32 = 64;

    /// Another one. Returns whether there have been so many that it is time for a pause.
    pub(super) fn again(&mut self) -> bool {
        self.0 = (self.0 + 1) % Self::MAX;
        self.0 == 0
    }

    /// One has come.
    pub(super) fn over(&mut self) {
        self.0 = 0;
    }
}

/// Ends a client that cannot be served. What it has said already is read first: to close over
/// unread input sends a reset, and it is to see an orderly end.
pub(super) fn turn_away<K: Kernel>(kernel: &mut K, socket: Fd, buf: &mut [u8]) {
    let _ = kernel.shutdown(&socket, Shut::Write);
    let _ = kernel.recv(&socket, buf);
    release(kernel, socket);
}
