//! A connection that lives for one message: connect, send, hear the echo, half-close, wait for the
//! end. It does not know who comes next, only whether that may have the same socket.

use epollite::reactor::Io;
use epollite::{Instant, Linux, Ready, Shut};

use super::desk::Desk;
use super::failure::Failure;
use super::stream::Stream;

/// So many lives one socket has. With the next socket comes the next source address: see `open`.
const LIVES_MAX: u32 = 64;

/// One short life. Each step may have to wait; an event brings us back to the same step.
///
/// ```text
///   Talking --all is back, shutdown(WR)--> Leaving --end of stream--> over
///   (a connection that is not established yet is one that cannot send yet)
/// ```
#[derive(Debug)]
pub(super) struct Life {
    pub(super) stream: Stream,
    born: Instant,
    leaving_since: Option<Instant>,
    /// Its end was heard after it had left: both FINs are acknowledged, nothing is under way.
    has_left: bool,
    /// Which life of its socket it is.
    number: u32,
}

impl Life {
    pub(super) const fn new(stream: Stream, born: Instant) -> Self {
        Self { stream, born, leaving_since: None, has_left: false, number: 1 }
    }

    /// The next life, when this one is over. `None` when it needs a socket of its own: this one
    /// has lived often enough, or the other side ended first and our FIN may still be under way.
    pub(super) fn next(&self, stream: Stream, born: Instant) -> Option<Self> {
        let is_gone = self.has_left && self.number < LIVES_MAX;
        is_gone.then(|| Self { number: self.number + 1, ..Self::new(stream, born) })
    }

    /// Since when it waits: for its connection, an answer, or the end.
    pub(super) fn silent_since(&self) -> Instant {
        self.leaving_since.or_else(|| self.stream.silent_since()).unwrap_or(self.born)
    }

    /// Takes it as far as it goes. Returns whether it is over.
    pub(super) fn advance(
        &mut self,
        io: &mut Io<'_, Linux>,
        ready: Ready,
        desk: &mut Desk,
    ) -> Result<bool, Failure> {
        self.stream.writable(desk);
        self.stream.send(io, desk)?;
        if !(ready.is_readable() || ready.is_hup() || ready.is_error()) {
            return Ok(false);
        }
        let has_ended = self.stream.receive(io, ready, desk)?;
        if self.stream.owed() > 0 {
            return if has_ended { Err(self.stream.closed(None)) } else { Ok(false) };
        }
        self.has_left = self.leaving_since.is_some();
        if !self.has_left {
            self.leaving_since = Some(desk.now);
            // A server that has ended first has nobody to tell.
            let _ = io.shutdown(Shut::Write);
        }
        Ok(has_ended)
    }
}
