//! Churn: one connection per message; opening, socket reuse and closing. The steps of a single
//! connection are in `short_lived.rs`.

use epollite::{Instant, Token};

use super::connect;
use super::error::Result;
use super::short_lived::ShortLivedConnection;
use super::stream::Stream;
use super::{Load, Source};

impl Load {
    /// Opens a connection for one message with the given intended send time.
    pub(super) fn open_connection(&mut self, index: u32, intended: Instant) -> Result<()> {
        let fd = connect::start_connect(&self.config, self.sockets)?;
        self.sockets += 1;
        let connection = Box::new(ShortLivedConnection::new(self.next_stream(index, intended)));
        self.tokens[index as usize] =
            Some(self.register(fd, Source::ShortLived { index, connection })?);
        self.started += 1;
        // On loopback the connection is already established, so sending need not wait for OUT.
        self.flush(index)
    }

    /// As [`Self::open_connection`], but on the socket of a finished connection. Returns false,
    /// with nothing started, if the socket cannot be reused.
    fn reuse_socket(&mut self, token: Token, index: u32, intended: Instant) -> Result<bool> {
        let stream = self.next_stream(index, intended);
        let Some((state, io)) = self.reactor.get_mut(token) else { return Ok(false) };
        let Source::ShortLived { connection, .. } = state else { return Ok(false) };
        match connection.reuse(stream) {
            Some(next) if connect::reconnect(io.fd(), self.config.target).is_ok() => {
                **connection = next
            }
            _ => return Ok(false),
        }
        self.started += 1;
        self.flush(index)?;
        Ok(true)
    }

    fn next_stream(&self, index: u32, intended: Instant) -> Stream {
        let mut stream = Stream::new(index, self.started);
        stream.queue.enqueue(intended, 1);
        stream
    }

    /// Finishes a connection, and starts the next one if a message is waiting.
    pub(super) fn finish_connection(&mut self, token: Token, index: u32) -> Result<()> {
        let next = match self.pending_connects.pop_front() {
            None if self.shared.closed_loop && self.shared.try_start(self.shared.now) => {
                Some(self.shared.now)
            }
            waiting => waiting,
        };
        if let Some(intended) = next
            && self.reuse_socket(token, index, intended)?
        {
            return Ok(());
        }
        self.reactor.close(token);
        self.tokens[index as usize] = None;
        if let Some(intended) = next {
            return self.open_connection(index, intended);
        }
        self.idle_slots.push(index);
        Ok(())
    }
}
