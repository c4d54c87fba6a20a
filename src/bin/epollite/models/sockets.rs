//! Operations on sockets that all models share: echoing one datagram, what follows a failed accept.

use std::time::Instant;

use epollite::collections::RecvBuffer;
use epollite::kernel::{ReceivedDatagram, Shutdown, close_quietly, recv_datagram, reply_datagram};
use epollite::server::datagram::{DatagramEvent, Disposition, RefusedPorts, gets_no_reply};
use epollite::{Addr, Errno, Fd};

use super::context::{BUFFER_BYTES, WorkerContext};
use super::sys::ModelSyscalls as _;
use crate::echo::client_log;
use crate::instrument::InstrumentedKernel;

/// Datagrams are answered, except those that are too long or come from a port that would answer the
/// reply; a reply that the system has no buffer for is dropped, as the network would do.
impl<K: InstrumentedKernel> WorkerContext<K> {
    /// Receives one datagram and sends it back. Returns whether there was one.
    pub(super) fn echo_datagram(&mut self, socket: &Fd, own_ports: &[u16], buf: &mut [u8]) -> bool {
        let received = recv_datagram(&mut self.kernel, socket, buf);
        let disposition = self.count_received(&received, buf.len(), own_ports);
        if let (Some(Disposition::Echoed), Ok(message)) = (disposition, received) {
            let ReceivedDatagram { len_bytes, from, packet_info, .. } = message;
            let bytes = &buf[..len_bytes];
            let sent = reply_datagram(&mut self.kernel, socket, bytes, &from, packet_info);
            self.count_sent(sent);
        }
        disposition.is_some()
    }

    /// Counts and logs what was received, if anything. Returns whether it is to be answered.
    pub(super) fn count_received(
        &mut self,
        received: &Result<ReceivedDatagram, Errno>,
        buf_len: usize,
        own_ports: &[u16],
    ) -> Option<Disposition> {
        let stats = &mut self.datagrams;
        let (len, from) = match received {
            // This is how recvmsg(2) reports that the socket was shut down for reading.
            Ok(ReceivedDatagram { from: Addr::Unspecified, .. }) => return None,
            &Ok(ReceivedDatagram { len_bytes, from, .. }) => (len_bytes, from),
            Err(errno) => {
                stats.errors += u64::from(!errno.is_would_block() && !errno.is_interrupted());
                return None;
            }
        };
        let bytes = len.min(buf_len);
        stats.received += 1;
        stats.bytes_in += bytes as u64;
        let disposition = if len > buf_len {
            stats.truncated += 1;
            Disposition::Truncated
        } else if gets_no_reply(own_ports, RefusedPorts::default(), &from) {
            stats.refused += 1;
            Disposition::Reflected
        } else {
            Disposition::Echoed
        };
        if self.log.is_verbose {
            client_log::datagram(&self.log, &DatagramEvent { from, bytes, disposition });
        }
        Some(disposition)
    }

    /// Counts the result of sending a reply.
    pub(super) fn count_sent(&mut self, sent: Result<usize, Errno>) {
        match sent {
            Ok(bytes) => {
                self.datagrams.echoed += 1;
                self.datagrams.bytes_out += bytes as u64;
            }
            Err(_) => self.datagrams.dropped += 1,
        }
    }
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

/// Accepts what is in the backlog of a listener and passes it to `serve`, until that returns false;
/// then closes the listener. Closing one resets what is left in its backlog, with all data received
/// there. Cost: a system call for each connection, and three.
pub(super) fn drain_backlog<K: InstrumentedKernel>(
    context: &mut WorkerContext<K>,
    listener: Fd,
    serve: impl FnMut(&mut WorkerContext<K>, Fd, Addr) -> bool,
) {
    accept_backlog(context, &listener, serve);
    close_quietly(&mut context.kernel, listener);
}

/// Accepts what is in the backlog of a listener and passes it to `serve`, until that returns false.
/// Returns whether the backlog is empty. Cost: a system call for each connection, and two.
pub(super) fn accept_backlog<K: InstrumentedKernel>(
    context: &mut WorkerContext<K>,
    listener: &Fd,
    mut serve: impl FnMut(&mut WorkerContext<K>, Fd, Addr) -> bool,
) -> bool {
    let mut failure_streak = FailureStreak::default();
    if context.kernel.set_nonblocking(listener).is_err() {
        return false;
    }
    loop {
        match context.kernel.accept4(listener) {
            Ok((socket, peer)) => {
                failure_streak.reset();
                if !serve(context, socket, peer) {
                    return false;
                }
            }
            Err(errno) if errno.is_interrupted() => {}
            // It has left the queue as well.
            Err(errno) if errno.is_transient_accept_error() && !failure_streak.record() => {
                context.stats.aborted += 1;
            }
            Err(errno) => return errno.is_would_block(),
        }
    }
}

/// What a server remembers of its accepts: failures, and when each message was last logged.
#[derive(Default)]
pub(super) struct Acceptor {
    failure_streak: FailureStreak,
    pub(super) last_pause_log: Option<Instant>,
    last_reject_log: Option<Instant>,
}

/// Why a client was not accepted.
pub(super) enum AcceptError {
    /// That client has aborted: accept the next one.
    Aborted,
    /// The listener never accepts again.
    ListenerFailed,
    /// For lack of resources: accepting is to be paused.
    Paused,
}

impl Acceptor {
    /// A client was accepted.
    pub(super) fn succeeded(&mut self) {
        self.failure_streak.reset();
    }

    /// Counts and logs an error of accept4(2) other than `EAGAIN` and `EINTR`.
    pub(super) fn failed<K: InstrumentedKernel>(
        &mut self,
        context: &mut WorkerContext<K>,
        errno: Errno,
    ) -> AcceptError {
        if errno.is_transient_accept_error() && !self.failure_streak.record() {
            context.stats.aborted += 1;
            return AcceptError::Aborted;
        }
        if errno.never_accepts() {
            client_log::listener_failed(&context.log, errno);
            return AcceptError::ListenerFailed;
        }
        self.pause(context, Some(errno), 0);
        AcceptError::Paused
    }

    /// Counts and logs a pause: for `errno`, or because `open` clients are the limit.
    pub(super) fn pause<K: InstrumentedKernel>(
        &mut self,
        context: &mut WorkerContext<K>,
        errno: Option<Errno>,
        open: u32,
    ) {
        context.stats.accept_pauses += 1;
        client_log::accept_paused(&context.log, &mut self.last_pause_log, errno, open);
    }

    /// Closes a client that cannot be served, and logs it. Reads its pending input first: closing
    /// with unread input sends a reset, and the client should see an orderly close.
    pub(super) fn reject<K: InstrumentedKernel>(
        &mut self,
        context: &mut WorkerContext<K>,
        socket: Fd,
        name: &str,
        why: &str,
    ) {
        client_log::rejected(&context.log, &mut self.last_reject_log, name, why);
        let _ = context.kernel.shutdown(&socket, Shutdown::Write);
        let _ = context.kernel.recv(&socket, &mut RecvBuffer::new(BUFFER_BYTES));
        close_quietly(&mut context.kernel, socket);
    }
}
