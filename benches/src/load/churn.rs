//! Churn: who comes after whom. What happens in a life is in `life.rs`.

use epollite::{Instant, Token};

use super::failure::Failure;
use super::life::Life;
use super::open;
use super::stream::Stream;
use super::{Guest, Load};

impl Load {
    /// A connection for one message, which is meant to leave at `intended`.
    pub(super) fn bear(&mut self, index: u32, intended: Instant) -> Result<(), Failure> {
        let fd = open::connecting(&self.config, self.sockets)?;
        self.sockets += 1;
        let life = Box::new(Life::new(self.next_stream(index, intended)));
        self.tokens[index as usize] = Some(self.register(fd, Guest::Life { index, life })?);
        self.born += 1;
        // On loopback it is connected by now, and need not be told so.
        self.flush(index)
    }

    /// As `bear`, but on the socket of a life that is over. Returns false, and nothing has begun,
    /// if that cannot be had.
    fn revive(&mut self, token: Token, index: u32, intended: Instant) -> Result<bool, Failure> {
        let stream = self.next_stream(index, intended);
        let Some(source) = self.reactor.source(token) else { return Ok(false) };
        let Guest::Life { life, .. } = source.state else { return Ok(false) };
        match life.next(stream) {
            Some(next) if open::again(source.io.fd, self.config.target).is_ok() => **life = next,
            _ => return Ok(false),
        }
        self.born += 1;
        self.flush(index)?;
        Ok(true)
    }

    fn next_stream(&self, index: u32, intended: Instant) -> Stream {
        let mut stream = Stream::new(index, self.born);
        stream.begin(intended, 1);
        stream
    }

    /// Ends a life, and begins the next one if there is a message for it.
    pub(super) fn bury(&mut self, token: Token, index: u32) -> Result<(), Failure> {
        let next = match self.unborn.pop_front() {
            None if self.desk.answers_pace && self.desk.may_begin(self.desk.now) => {
                Some(self.desk.now)
            }
            waiting => waiting,
        };
        if let Some(intended) = next
            && self.revive(token, index, intended)?
        {
            return Ok(());
        }
        self.reactor.close(token);
        self.tokens[index as usize] = None;
        if let Some(intended) = next {
            return self.bear(index, intended);
        }
        self.free.push(index);
        Ok(())
    }
}
