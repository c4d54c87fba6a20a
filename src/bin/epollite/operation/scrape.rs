//! One request of `--metrics`: it is read, waits for the figures of all threads, is answered, and
//! its connection is closed.
//!
//! ```text
//! Reading --request--> Waiting --figures--> Writing --all sent--> Closing --end--> closed
//!    |                                         ^
//!    +--- not the page: 400, 404, 405, 431 ----+        at any time: the timeout, a reset
//! ```

use std::time::Duration;

use epollite::kernel::Shutdown;
use epollite::{Interest, Io, Kernel, Received, Sent, Trigger};

use super::exposition::{CONTENT_TYPE, exposition};
use super::http::{self, REQUEST_BYTES_MAX, Request};
use crate::echo::stats::StatsSnapshot;

/// Requests at a time. They share the descriptors that are no connections' with listeners.
pub(crate) const SCRAPES_MAX: usize = 32;

/// How long one may take, from accept to the end.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// What is read after the answer, so that the connection is not reset, in one event.
const DISCARD_BYTES: usize = 16 << 10;

#[derive(Debug, Default)]
pub(crate) struct Scrape {
    state: State,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Reading,
    Waiting {
        is_head: bool,
    },
    Writing,
    Closing,
}

/// What is to be done next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Wait,
    /// The figures are wanted: [`answer`](Scrape::answer).
    Collect,
    Close,
}

impl Scrape {
    pub(crate) fn on_ready<K: Kernel>(&mut self, io: &mut Io<'_, K>) -> Step {
        match self.state {
            State::Reading => self.read(io),
            // Only errors are reported in this state.
            State::Waiting { .. } => Step::Close,
            State::Writing => self.write(io),
            State::Closing => match io.recv(&mut [0; DISCARD_BYTES]) {
                Ok(Received::Bytes(_) | Received::WouldBlock) => Step::Wait,
                Ok(Received::Eof) | Err(_) => Step::Close,
            },
        }
    }

    fn read<K: Kernel>(&mut self, io: &mut Io<'_, K>) -> Step {
        let mut bytes = [0; 1024];
        let room = bytes.len().min(REQUEST_BYTES_MAX - self.input.len());
        match io.recv(&mut bytes[..room]) {
            Ok(Received::Bytes(count)) => self.input.extend_from_slice(&bytes[..count]),
            Ok(Received::WouldBlock) => return Step::Wait,
            Ok(Received::Eof) | Err(_) => return Step::Close,
        }
        match http::parse(&self.input) {
            None => Step::Wait,
            Some(Request::Metrics { is_head }) => {
                self.state = State::Waiting { is_head };
                match io.modify(Interest::NONE, Trigger::Level) {
                    Ok(()) => Step::Collect,
                    Err(_) => Step::Close,
                }
            }
            Some(Request::Other(status)) => self.begin_write(http::refusal(status), io),
        }
    }

    /// Answers with these figures, if it waits for them.
    pub(crate) fn answer<K: Kernel>(&mut self, sum: &StatsSnapshot, io: &mut Io<'_, K>) -> Step {
        let State::Waiting { is_head } = self.state else { return Step::Wait };
        self.begin_write(http::page(CONTENT_TYPE, &exposition(sum), is_head), io)
    }

    fn begin_write<K: Kernel>(&mut self, output: Vec<u8>, io: &mut Io<'_, K>) -> Step {
        (self.state, self.output) = (State::Writing, output);
        match io.modify(Interest::WRITABLE, Trigger::Level) {
            Ok(()) => self.write(io),
            Err(_) => Step::Close,
        }
    }

    fn write<K: Kernel>(&mut self, io: &mut Io<'_, K>) -> Step {
        match io.send(&self.output[self.sent..]) {
            Ok(Sent::Bytes(count)) => self.sent += count,
            Ok(Sent::WouldBlock) => return Step::Wait,
            Err(_) => return Step::Close,
        }
        if self.sent < self.output.len() {
            return Step::Wait;
        }
        self.state = State::Closing;
        let ended = io.shutdown(Shutdown::Write);
        match ended.is_ok() && io.modify(Interest::READABLE, Trigger::Level).is_ok() {
            true => Step::Wait,
            false => Step::Close,
        }
    }
}
