//! How a connection is served while the buffers of its server have no room: bytes stay in the
//! receive queue until they are sent.
//!
//! ```text
//! peek -> send -> all of it taken?  recv, to remove what was sent: done, three calls
//!                 a part?           recv that part, and try once more
//!                 nothing?          wait until there is room to send: the connection is held
//! ```
//!
//! Knows the transport and the echo machine. What was sent and could not be removed is external to
//! the machine until it is.

use super::{Connection, IS_HELD, IS_UNCONSUMED, ReadStep};
use crate::errno::Errno;
use crate::event::Ready;
use crate::kernel::{ConnectionDecision, StopReason};
use crate::reactor::{Received, Sent};
use crate::server::stream::config::StreamStats;
use crate::server::stream::transport::Transport;
use crate::server::stream::trigger_mode::TriggerMode;

impl Connection {
    /// Reads once without removing anything, sends, and removes what was sent. The machine wants to
    /// read.
    #[inline(never)]
    pub(super) fn peek_and_echo<T: Transport>(
        &mut self,
        transport: &mut T,
        ready: Ready,
        room: &mut [u8],
        mode: TriggerMode,
        stats: &mut StreamStats,
    ) -> Result<ReadStep, Errno> {
        let was_held = self.has(IS_HELD);
        self.set(IS_HELD, false);
        let count = match transport.peek(room)? {
            Received::Bytes(count) => count,
            Received::WouldBlock => {
                let why = StopReason::WouldBlock;
                transport.on_decision(ConnectionDecision::ReadingStopped { why, bytes: 0 });
                return Ok(ReadStep::WouldBlock);
            }
            Received::Eof => {
                transport.on_decision(ConnectionDecision::ReceivedEof { unsent_bytes: 0 });
                self.echo.received_eof();
                return Ok(ReadStep::Eof);
            }
        };
        let sent = match transport.send(room.get(..count).unwrap_or_default())? {
            // No socket does that; it would be asked again and again.
            Sent::Bytes(0) => return Err(Errno::EIO),
            Sent::Bytes(sent) => sent,
            Sent::WouldBlock => {
                self.set(IS_HELD, true);
                if !was_held {
                    stats.buffer_waits += 1;
                    transport.on_decision(ConnectionDecision::Held { bytes: count });
                }
                return Ok(ReadStep::Held);
            }
        };
        stats.bytes_in += sent as u64;
        stats.bytes_out += sent as u64;
        stats.echoes += 1;
        self.echo.received_external(sent);
        self.set(IS_UNCONSUMED, true);
        match self.consume_sent(transport, room) {
            Ok(_) => {}
            Err(errno) => return Ok(ReadStep::Failed(sent, errno)),
        }
        let below = mode.over_below(room.len());
        if sent == count && mode.read_is_over(ready, count, below) {
            let why = if mode.kernel_repeats() {
                StopReason::KernelRepeats
            } else {
                StopReason::ShortRead
            };
            transport.on_decision(ConnectionDecision::ReadingStopped { why, bytes: count });
            return Ok(ReadStep::Done(sent));
        }
        Ok(ReadStep::Bytes(sent))
    }

    /// Removes from the receive queue what was sent from there.
    pub(super) fn consume_sent<T: Transport>(
        &mut self,
        transport: &mut T,
        buf: &mut [u8],
    ) -> Result<Sent, Errno> {
        let sent = self.echo.external_bytes();
        while self.has(IS_UNCONSUMED) {
            let room = buf.len().min(self.echo.external_bytes());
            match transport.recv(buf.get_mut(..room).unwrap_or_default())? {
                Received::Bytes(count) => {
                    let is_last = count >= self.echo.external_bytes();
                    self.set(IS_UNCONSUMED, !is_last);
                    self.echo.sent_external(count);
                }
                // They have been seen there: another holder of the socket has taken them.
                Received::WouldBlock | Received::Eof => return Err(Errno::EIO),
            }
        }
        Ok(Sent::Bytes(sent))
    }
}
