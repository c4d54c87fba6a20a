//! Properties of `Echo`: output is a prefix of input, for every split of reads and writes and every
//! order of events.
//!
//! Plain functions over a plan, used by proptest (`tests/properties/main.rs`) and by the fuzzer;
//! they depend on neither. Each panics with the name of the violated invariant.

use std::collections::VecDeque;

use epollite::echo::{Echo, State, Want};

/// Runs a connection as `plan` directs: performs the wanted operation on as many bytes as the next
/// plan byte allows, and injects other events now and then. Its first byte is the buffer limit.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn echoes_a_prefix(plan: &[u8]) {
    let Some((pending_max, plan)) = plan.split_first() else {
        return;
    };
    let mut harness = Harness::new(usize::from(pending_max % 32) + 1);
    for step in plan.chunks_exact(2) {
        match step[0] {
            // Rarely, so that a connection makes progress before.
            0..=3 => harness.end(),
            4..=7 => harness.stop(),
            8 => harness.give_up(Echo::connection_lost),
            9 => harness.give_up(Echo::timed_out),
            how_much => harness.perform(how_much, step[1]),
        }
        harness.agree();
    }
    harness.finish();
}

struct Harness {
    echo: Echo,
    pending_max: usize,
    /// Bytes that wait outside of the machine, as in a pipe.
    external: VecDeque<u8>,
    /// All bytes received that are to be echoed.
    received: Vec<u8>,
    /// All bytes sent to the peer.
    sent: Vec<u8>,
    next: u8,
    ended: bool,
    stopped: bool,
    shut: bool,
    broken: bool,
}

impl Harness {
    fn new(pending_max: usize) -> Self {
        Self {
            echo: Echo::new(),
            pending_max,
            external: VecDeque::new(),
            received: Vec::new(),
            sent: Vec::new(),
            next: 0,
            ended: false,
            stopped: false,
            shut: false,
            broken: false,
        }
    }

    /// Performs the wanted operation on up to `how_much` bytes; of a read, up to `at_once` bytes
    /// are echoed directly.
    fn perform(&mut self, how_much: u8, at_once: u8) {
        let how_much = usize::from(how_much) % self.pending_max + 1;
        match self.echo.want() {
            Want::Read if at_once.is_multiple_of(4) => {
                let bytes = self.recv(how_much);
                self.echo.received_external(bytes.len());
                self.received.extend_from_slice(&bytes);
                self.external.extend(bytes);
            }
            Want::Read => {
                let bytes = self.recv(how_much);
                let sent = usize::from(at_once) % (bytes.len() + 1);
                let taken = self.echo.received(&bytes, sent, self.pending_max);
                assert_eq!(taken, Ok(()), "invariant: a wanted read always fits the buffer");
                self.received.extend_from_slice(&bytes);
                self.sent.extend_from_slice(&bytes[..sent]);
            }
            Want::Write if self.echo.pending().is_empty() => {
                let count = how_much.min(self.external.len());
                let bytes: Vec<u8> = self.external.drain(..count).collect();
                let sent = if at_once.is_multiple_of(2) {
                    self.echo.sent_external(count);
                    count
                } else {
                    let sent = usize::from(at_once) % (count + 1);
                    let taken = self.echo.copied_external(&bytes, sent, self.pending_max);
                    assert_eq!(taken, Ok(()), "invariant: an empty buffer has room");
                    sent
                };
                self.sent.extend_from_slice(&bytes[..sent]);
            }
            Want::Write => {
                let pending = self.echo.pending();
                let count = how_much.min(pending.len());
                self.sent.extend_from_slice(&pending[..count]);
                self.echo.sent(count);
            }
            Want::Shutdown => {
                self.echo.write_shut_down();
                self.shut = true;
            }
            Want::Discard => {
                let bytes = self.recv(how_much);
                let taken = self.echo.received(&bytes, 0, self.pending_max);
                assert_eq!(taken, Ok(()), "invariant: discarded input is never refused");
            }
            Want::Close => {}
        }
    }

    /// Bytes from the peer, which has not sent EOF.
    fn recv(&mut self, len: usize) -> Vec<u8> {
        assert!(!self.ended, "invariant: nothing is read after the end");
        (0..len)
            .map(|_| {
                self.next = self.next.wrapping_add(1);
                self.next
            })
            .collect()
    }

    fn end(&mut self) {
        self.echo.received_eof();
        self.ended = true;
    }

    fn stop(&mut self) {
        self.stopped |= self.echo.state() == State::Open;
        self.echo.begin_close();
    }

    fn give_up(&mut self, how: impl FnOnce(&mut Echo)) {
        how(&mut self.echo);
        self.broken = true;
        assert!(
            self.echo.pending().is_empty() && self.echo.external_bytes() == 0,
            "invariant: a closed connection has an empty buffer"
        );
    }

    fn agree(&self) {
        let (echo, pending) = (&self.echo, self.echo.pending());
        assert!(self.received.starts_with(&self.sent), "invariant: output is a prefix of input");
        assert!(pending.len() <= self.pending_max, "invariant: the write buffer is bounded");
        if !self.broken {
            let rest = &self.received[self.sent.len()..];
            let held: Vec<u8> = pending.iter().chain(&self.external).copied().collect();
            assert_eq!(held, rest, "invariant: buffered and external is exactly the unsent data");
            assert_eq!(echo.external_bytes(), self.external.len());
        }
        let nothing = pending.is_empty() && echo.external_bytes() == 0;
        let wanted = match echo.want() {
            Want::Close => nothing && (self.broken || self.ended),
            Want::Write => !nothing && !self.broken,
            Want::Read => nothing && !self.broken && !self.ended && !self.stopped,
            Want::Shutdown => nothing && self.stopped && !self.ended && !self.shut,
            Want::Discard => nothing && self.stopped && !self.ended && self.shut,
        };
        assert!(wanted, "invariant: {:?} is not what {:?} should want", echo.want(), echo.state());
        assert_eq!(
            echo.is_idle() && echo.external_bytes() == 0,
            echo.want() == Want::Read,
            "invariant: an idle connection reads, and no other does"
        );
    }

    /// The peer finally sends EOF and reads everything: now all of it must have been echoed.
    fn finish(mut self) {
        self.end();
        self.agree();
        // Each step sends at least one byte.
        for _ in 0..2 * self.pending_max {
            self.perform(0, 0);
            self.agree();
        }
        let want = self.echo.want();
        assert_eq!(want, Want::Close, "invariant: a connection terminates");
        assert_eq!(self.echo.state(), State::Closed, "invariant: and is in the state Closed");
        assert!(
            self.broken || self.sent == self.received,
            "invariant: output equals input at the end"
        );
    }
}
