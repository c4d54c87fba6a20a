//! A connection for a single message: connect, send, receive the echo, half-close, wait for EOF.
//! The next connection may reuse its socket.

use super::write_interest::Io;
use epollite::Instant;
use epollite::event::Ready;
use epollite::kernel::Shutdown;

use super::error::Result;
use super::shared::LoadState;
use super::stream::Stream;

/// Maximum number of connections per socket: beyond it, a new socket adds little cost, and since
/// each new socket has the next source address (see `connect.rs`), the ports of many addresses are
/// used.
const REUSES_MAX: u32 = 64;

/// One short-lived connection. Each step may have to wait; an event resumes the same step.
///
/// ```text
///   Exchanging --response complete, shutdown(WR)--> Closing --EOF--> finished
///   (a connection that is not established yet cannot send yet)
/// ```
#[derive(Debug)]
pub(super) struct ShortLivedConnection {
    pub(super) stream: Stream,
    closing_since: Option<Instant>,
    /// How many connections its socket has had, this one included.
    uses: u32,
}

impl ShortLivedConnection {
    pub(super) const fn new(stream: Stream) -> Self {
        Self { stream, closing_since: None, uses: 1 }
    }

    /// The next connection on the same socket; `None` when the socket has reached [`REUSES_MAX`].
    pub(super) fn reuse(&self, stream: Stream) -> Option<Self> {
        (self.uses < REUSES_MAX).then(|| Self { uses: self.uses + 1, ..Self::new(stream) })
    }

    /// Since when it has been waiting: for connect, the response, or EOF.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.closing_since.or_else(|| self.stream.waiting_since())
    }

    /// Advances as far as possible. Returns whether the connection is finished.
    pub(super) fn advance(
        &mut self,
        io: &mut Io<'_>,
        ready: Ready,
        shared: &mut LoadState,
    ) -> Result<bool> {
        self.stream.writable(shared);
        self.stream.send(io, shared)?;
        if !(ready.is_readable() || ready.is_hup() || ready.is_error()) {
            return Ok(false);
        }
        let has_ended = self.stream.receive(io, ready, shared)?;
        if self.stream.queue.outstanding() > 0 {
            return if has_ended { Err(self.stream.closed_error(None)) } else { Ok(false) };
        }
        if self.closing_since.is_none() {
            self.closing_since = Some(shared.now);
            // Fails if the server closed first; then no FIN is needed.
            let _ = io.shutdown(Shutdown::Write);
        }
        Ok(has_ended)
    }
}
