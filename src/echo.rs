//! The echo protocol as a state machine: bytes in, the same bytes out, and an end.
//!
//! Sans-I/O: it owns no descriptor, makes no system call and does not know the kernel. The caller
//! reports inputs and performs what the machine wants next.

use core::fmt;

use crate::collections::{BufferFull, WriteBuffer};

/// The state of an echo connection.
///
/// ```text
///           Bytes, Flushed
///             ┌──────┐
///             │      ▼        Close (by this side)
///             │   ┌──────┐ ─────────────────────────▶ ┌─────────┐ ┐ Bytes (discarded),
///             └── │ Open │                            │ Closing │ │ Flushed, Close
///                 └──────┘            Eof             └─────────┘ ◀
///                     │     ┌───────────────────────────┘     │
///                 Eof ▼     ▼                                 │
///                ┌──────────┐                                 │
///                │ Draining │  flushes the write buffer       │ TimedOut or Reset
///                └──────────┘                                 │ (from any state)
///                     │ Flushed                               │
///                     ▼                                       ▼
///                ┌──────────────────────────────────────────────┐
///                │ Closed                                       │
///                └──────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Both directions are open: received bytes are echoed.
    Open,
    /// The peer has half-closed: the write buffer is flushed, then the connection closes.
    Draining,
    /// This side closes: the write buffer is flushed, the write side is shut down, and further
    /// input is read and discarded until the peer closes too. Closing at once, with unread input,
    /// would send a reset and destroy the echo in flight.
    Closing,
    /// Only close(2) is left to do.
    Closed,
}

/// An input of the state machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// Bytes arrived.
    Bytes,
    /// The write buffer has become empty.
    Flushed,
    /// The peer has shut its write side down.
    Eof,
    /// This side wants to close.
    Close,
    /// The deadline passed.
    TimedOut,
    /// The connection was lost.
    Reset,
}

impl State {
    /// The transition function: the state after `input`. Cost: O(1).
    #[must_use]
    pub const fn next(self, input: Input) -> Self {
        use Input::{Bytes, Close, Eof, Flushed, Reset, TimedOut};
        match (self, input) {
            (Self::Closed, _) | (_, TimedOut | Reset) => Self::Closed,
            (Self::Open, Bytes | Flushed) => Self::Open,
            (Self::Open, Close) | (Self::Closing, Bytes | Flushed | Close) => Self::Closing,
            (Self::Open | Self::Closing, Eof) | (Self::Draining, Bytes | Eof | Close) => {
                Self::Draining
            }
            (Self::Draining, Flushed) => Self::Closed,
        }
    }
}

/// What the caller is to do next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Want {
    /// Read, and call [`Echo::received`] or [`Echo::received_eof`].
    Read,
    /// Send [`Echo::pending`], and call [`Echo::sent`]; when that is empty, send the
    /// [external](Echo::external_bytes) bytes, and call [`Echo::sent_external`]. Until then nothing
    /// more is read: this is the backpressure.
    Write,
    /// Shut the write side down, and call [`Echo::write_shut_down`].
    Shutdown,
    /// Read and discard, and call [`Echo::received_eof`] at the end of file.
    Discard,
    /// Close.
    Close,
}

/// The echo state of one connection.
///
/// Invariant: the output is a prefix of the input, and equal to it once the peer has half-closed
/// and the write buffer is flushed.
///
/// Bytes that were received and do not pass through this process's memory, because splice(2) has
/// moved them to a pipe, are *external*: the machine knows how many there are. They come after the
/// contents of the write buffer.
///
/// ```
/// # use epollite::echo::{Echo, Want};
/// let mut echo = Echo::new();
/// assert_eq!(echo.want(), Want::Read);
/// echo.received(b"hello", 3, 64)?;              // three bytes were sent back at once
/// assert_eq!((echo.want(), echo.pending()), (Want::Write, &b"lo"[..]));
/// echo.received_eof();                          // the peer has half-closed
/// echo.sent(2);
/// assert_eq!(echo.want(), Want::Close);
/// # Ok::<(), epollite::collections::BufferFull>(())
/// ```
#[derive(Debug)]
pub struct Echo {
    write_buffer: WriteBuffer,
    /// Bytes that wait outside, behind those of the write buffer.
    external_bytes: u32,
    state: State,
    shut: bool,
}

impl Default for Echo {
    fn default() -> Self {
        Self::new()
    }
}

impl Echo {
    /// Creates a machine in state `Open`. Cost: O(1), no allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            write_buffer: WriteBuffer::new(),
            external_bytes: 0,
            state: State::Open,
            shut: false,
        }
    }

    /// `bytes` were received, and the first `sent` of them have been sent back at once; the rest
    /// is buffered. Cost: O(rest); no allocation when nothing is left.
    ///
    /// # Errors
    /// [`BufferFull`]: more than `buffer_max_bytes` would be buffered. It cannot happen to a
    /// caller that reads only on [`Want::Read`], at most `buffer_max_bytes` at once.
    ///
    /// # Panics
    /// `sent` is more than was received.
    pub fn received(
        &mut self,
        bytes: &[u8],
        sent: usize,
        buffer_max_bytes: usize,
    ) -> Result<(), BufferFull> {
        assert!(
            !crate::assertions::ASSERTS || sent <= bytes.len(),
            "{sent} of {} bytes are sent",
            bytes.len()
        );
        let rest = bytes.get(sent..).unwrap_or_default();
        if self.state == State::Open {
            self.write_buffer.push(rest, buffer_max_bytes)?;
        }
        self.state = self.state.next(Input::Bytes);
        Ok(())
    }

    /// `count` bytes of the write buffer have been sent. Cost: O(1).
    ///
    /// # Panics
    /// `count` is more than is buffered.
    pub fn sent(&mut self, count: usize) {
        self.write_buffer.consume(count);
        self.check_flushed();
    }

    /// `count` bytes were received into a place outside, and wait there to be sent. Cost: O(1).
    ///
    /// # Panics
    /// The machine does not want to [read](Want::Read); or over 4 GiB wait.
    pub fn received_external(&mut self, count: usize) {
        assert!(
            !crate::assertions::ASSERTS || self.want() == Want::Read,
            "external bytes are received only when it wants to read"
        );
        let waiting = u32::try_from(count);
        assert!(!crate::assertions::ASSERTS || waiting.is_ok(), "a pipe holds up to 2 GiB");
        self.external_bytes = waiting.unwrap_or(u32::MAX);
        self.state = self.state.next(Input::Bytes);
    }

    /// `count` of the external bytes have been sent. Cost: O(1).
    ///
    /// # Panics
    /// `count` is more than wait, or the write buffer, whose bytes come first, is not empty.
    pub fn sent_external(&mut self, count: usize) {
        assert!(
            !crate::assertions::ASSERTS || self.write_buffer.is_empty(),
            "the write buffer is sent first"
        );
        self.consume_external(count);
        self.check_flushed();
    }

    /// The first of the external bytes have been read from outside into `bytes`, because they
    /// cannot be sent from there, and the first `sent` of these have been sent; the rest is
    /// buffered. Cost: O(rest).
    ///
    /// # Errors
    /// [`BufferFull`], as [`received`](Self::received).
    ///
    /// # Panics
    /// As [`sent_external`](Self::sent_external), and if `sent` is more than there are.
    pub fn copied_external(
        &mut self,
        bytes: &[u8],
        sent: usize,
        buffer_max_bytes: usize,
    ) -> Result<(), BufferFull> {
        assert!(
            !crate::assertions::ASSERTS || self.write_buffer.is_empty(),
            "the write buffer is sent first"
        );
        let rest = bytes.get(sent..).unwrap_or_default();
        self.write_buffer.push(rest, buffer_max_bytes)?;
        self.consume_external(bytes.len());
        self.check_flushed();
        Ok(())
    }

    fn consume_external(&mut self, count: usize) {
        let waiting = self.external_bytes();
        assert!(
            !crate::assertions::ASSERTS || count <= waiting,
            "{count} of {waiting} external bytes are consumed"
        );
        self.external_bytes = u32::try_from(waiting.saturating_sub(count)).unwrap_or(0);
    }

    /// The peer has shut its write side down. Cost: O(1).
    pub fn received_eof(&mut self) {
        self.state = self.state.next(Input::Eof);
        self.check_flushed();
    }

    /// This side closes: nothing more is echoed, the write buffer is flushed first. Cost: O(1).
    pub fn begin_close(&mut self) {
        self.state = self.state.next(Input::Close);
    }

    /// The write side has been shut down. Cost: O(1).
    pub fn write_shut_down(&mut self) {
        self.shut = true;
    }

    /// The deadline passed: discards the write buffer and closes. Cost: O(1).
    pub fn timed_out(&mut self) {
        self.abort(Input::TimedOut);
    }

    /// The connection was lost: discards the write buffer and closes. Cost: O(1).
    pub fn connection_lost(&mut self) {
        self.abort(Input::Reset);
    }

    /// What to do next. Cost: O(1).
    #[must_use]
    pub fn want(&self) -> Want {
        match (self.state, self.is_flushed()) {
            (State::Closed, _) => Want::Close,
            (_, false) => Want::Write,
            (State::Open, true) => Want::Read,
            (State::Closing, true) if !self.shut => Want::Shutdown,
            (State::Closing, true) => Want::Discard,
            // Not reached: `check_flushed` closes a draining machine with an empty buffer.
            (State::Draining, true) => Want::Close,
        }
    }

    /// Whether it is `Open` and its write buffer is empty: unless [external](Self::external_bytes)
    /// bytes wait, what it wants is to read. Cost: O(1).
    #[inline]
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Open) && self.write_buffer.is_empty()
    }

    /// The contents of the write buffer, in order. Cost: O(1).
    #[inline]
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.write_buffer.as_slice()
    }

    /// How many bytes were received that wait outside, behind [`pending`](Self::pending).
    /// Cost: O(1).
    #[inline]
    #[must_use]
    pub const fn external_bytes(&self) -> usize {
        self.external_bytes as usize
    }

    /// The memory of the write buffer.
    pub(crate) fn write_buffer_capacity(&self) -> usize {
        self.write_buffer.capacity()
    }

    /// The bytes of both together.
    #[inline]
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.write_buffer.len() + self.external_bytes()
    }

    /// The current state. Cost: O(1).
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether nothing waits to be sent.
    #[inline]
    pub(crate) const fn is_flushed(&self) -> bool {
        self.write_buffer.is_empty() && self.external_bytes == 0
    }

    fn check_flushed(&mut self) {
        if self.is_flushed() {
            self.state = self.state.next(Input::Flushed);
        }
    }

    fn abort(&mut self, input: Input) {
        self.write_buffer = WriteBuffer::new();
        self.external_bytes = 0;
        self.state = self.state.next(input);
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "Open",
            Self::Draining => "Draining",
            Self::Closing => "Closing",
            Self::Closed => "Closed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String};

    #[test]
    fn every_state_and_input_is_in_the_table() {
        use Input::{Bytes, Close, Eof, Flushed, Reset, TimedOut};
        let mut table =
            String::from("          Bytes    Flushed  Eof      Close    TimedOut Reset\n");
        for state in [State::Open, State::Draining, State::Closing, State::Closed] {
            table += &format!("{state:<9}");
            for input in [Bytes, Flushed, Eof, Close, TimedOut, Reset] {
                table += &format!(" {:<8}", format!("{}", state.next(input)));
            }
            table = format!("{}\n", table.trim_end());
        }
        let expected = "          Bytes    Flushed  Eof      Close    TimedOut Reset
Open      Open     Open     Draining Closing  Closed   Closed
Draining  Draining Closed   Draining Draining Closed   Closed
Closing   Closing  Closing  Draining Closing  Closed   Closed
Closed    Closed   Closed   Closed   Closed   Closed   Closed
";
        assert_eq!(table, expected);
    }

    #[test]
    fn begin_close_flushes_then_shuts_down_then_waits_for_eof() {
        let mut echo = Echo::new();
        echo.received(b"abc", 1, 8).unwrap();
        echo.begin_close();
        assert_eq!(echo.want(), Want::Write);
        echo.sent(2);
        assert_eq!(echo.want(), Want::Shutdown);
        echo.write_shut_down();
        assert_eq!(echo.want(), Want::Discard);
        echo.received(b"too late", 0, 8).unwrap();
        assert_eq!((echo.want(), echo.pending()), (Want::Discard, &b""[..]));
        echo.received_eof();
        assert_eq!(echo.want(), Want::Close);
    }

    #[test]
    fn connection_lost_frees_the_buffer() {
        let mut echo = Echo::new();
        echo.received(b"abc", 0, 8).unwrap();
        echo.connection_lost();
        assert_eq!((echo.want(), echo.pending()), (Want::Close, &b""[..]));
    }
}
