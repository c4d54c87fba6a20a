//! How a connection sends what waits, and moves bytes by splice(2).
//!
//! Knows the transport and the echo machine; when this is done, `connection.rs` decides.

use super::{Connection, IS_STREAMING, IS_UNCONSUMED, ReadStep};
use crate::echo::Want;
use crate::errno::Errno;
use crate::reactor::Sent;
use crate::server::stream::config::StreamStats;
use crate::server::stream::streak::Streak;
use crate::server::stream::transport::Transport;
use crate::server::stream::trigger_mode::TriggerMode;

impl Connection {
    /// Sends what waits: the write buffer, then the external bytes.
    #[inline]
    pub(super) fn send_waiting<T: Transport>(
        &mut self,
        transport: &mut T,
        buf: &mut [u8],
        stats: &mut StreamStats,
    ) -> Result<Sent, Errno> {
        if self.echo.pending().is_empty() {
            return self.send_external(transport, buf, stats);
        }
        let sent = transport.send(self.echo.pending())?;
        if let Sent::Bytes(count) = sent {
            self.echo.sent(count);
            stats.bytes_out += count as u64;
        }
        Ok(sent)
    }

    /// Sends external bytes: from the pipe, or, if that is refused, from `buf`.
    #[inline(never)]
    fn send_external<T: Transport>(
        &mut self,
        transport: &mut T,
        buf: &mut [u8],
        stats: &mut StreamStats,
    ) -> Result<Sent, Errno> {
        if self.has(IS_UNCONSUMED) {
            return self.consume_sent(transport, buf);
        }
        let waiting = self.echo.external_bytes();
        if let Some(sent) = transport.splice_out(waiting)? {
            if let Sent::Bytes(count) = sent {
                self.echo.sent_external(count);
                stats.bytes_out += count as u64;
            }
            return Ok(sent);
        }
        let room = buf.len().min(waiting);
        let count = transport.read_pipe(buf.get_mut(..room).unwrap_or_default())?;
        let bytes = buf.get(..count).unwrap_or_default();
        let (sent, result) = match transport.send(bytes) {
            Ok(Sent::Bytes(count)) => (count, Ok(Sent::Bytes(count))),
            Ok(Sent::WouldBlock) => (0, Ok(Sent::WouldBlock)),
            // The bytes have left the pipe: whatever happened, they must be buffered.
            Err(errno) => (0, Err(errno)),
        };
        stats.bytes_out += sent as u64;
        self.echo.copied_external(bytes, sent, count).map_err(|_| Errno::ENOBUFS)?;
        result
    }

    /// Moves received bytes into a pipe, and from there to the socket. `None`: recv(2) has to be
    /// called, since nothing could be moved.
    #[inline(never)]
    pub(super) fn splice_and_echo<T: Transport>(
        &mut self,
        transport: &mut T,
        bytes_max: usize,
        buf: &mut [u8],
        mode: TriggerMode,
        stats: &mut StreamStats,
    ) -> Result<Option<ReadStep>, Errno> {
        let count = match transport.splice_in(bytes_max)? {
            Some(0) => return Ok(None),
            Some(count) => count,
            None => {
                // Learned again, if it goes on to stream.
                self.set(IS_STREAMING, false);
                self.streak = Streak::new();
                return Ok(None);
            }
        };
        self.echo.received_external(count);
        stats.bytes_in += count as u64;
        stats.echoes += 1;
        match self.send_external(transport, buf, stats) {
            Ok(_) => {}
            // The bytes have been received: after an interruption they are sent later.
            Err(errno) if errno.is_interrupted() => {}
            Err(errno) => return Ok(Some(ReadStep::Failed(count, errno))),
        }
        // A short splice does not prove that the socket is empty, in no mode.
        let is_over = mode.kernel_repeats() && self.echo.want() != Want::Write;
        Ok(Some(if is_over { ReadStep::Done(count) } else { ReadStep::Bytes(count) }))
    }
}
