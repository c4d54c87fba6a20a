//! A connection that lives for one message: connect, send, hear the echo, half-close, wait for the
//! end. It does not know who comes next, only whether that may have the same socket.

use epollite::reactor::Io;
use epollite::{Instant, Linux, Ready, Shutdown};

use super::error::LoadError;
use super::shared::LoadState;
use super::stream::Stream;

/// One socket has at most so many lives: a new one then adds little, and since each comes from the
/// next source address (see `open`), the ports are those of many.
const REUSES_MAX: u32 = 64;

/// One short life. Each step may have to wait; an event brings us back to the same step.
///
/// ```text
///   Talking --all is back, shutdown(WR)--> Leaving --end of stream--> over
///   (a connection that is not established yet is one that cannot send yet)
/// ```
#[derive(Debug)]
pub(super) struct ShortLivedConnection {
    pub(super) stream: Stream,
    leaving_since: Option<Instant>,
    /// Which life of its socket it is.
    uses: u32,
}

impl ShortLivedConnection {
    pub(super) const fn new(stream: Stream) -> Self {
        Self { stream, leaving_since: None, uses: 1 }
    }

    /// The next life of this one's socket; `None` when that has lived often enough.
    pub(super) fn reuse(&self, stream: Stream) -> Option<Self> {
        (self.uses < REUSES_MAX).then(|| Self { uses: self.uses + 1, ..Self::new(stream) })
    }

    /// Since when it waits: for its connection, an answer, or the end.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.leaving_since.or_else(|| self.stream.waiting_since())
    }

    /// Takes it as far as it goes. Returns whether it is over.
    pub(super) fn advance(
        &mut self,
        io: &mut Io<'_, Linux>,
        ready: Ready,
        shared: &mut LoadState,
    ) -> Result<bool, LoadError> {
        self.stream.writable(shared);
        self.stream.send(io, shared)?;
        if !(ready.is_readable() || ready.is_hup() || ready.is_error()) {
            return Ok(false);
        }
        let has_ended = self.stream.receive(io, ready, shared)?;
        if self.stream.outstanding() > 0 {
            return if has_ended { Err(self.stream.closed_error(None)) } else { Ok(false) };
        }
        if self.leaving_since.is_none() {
            self.leaving_since = Some(shared.now);
            // A server that has ended first has nobody to tell.
            let _ = io.shutdown(Shutdown::Write);
        }
        Ok(has_ended)
    }
}
