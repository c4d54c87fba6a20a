//! The echo conversation as a state machine: bytes in, the same bytes out, and an end.
//!
//! Sans-I/O: it owns no descriptor, makes no call and has never heard of a kernel. It is told
//! what happened and says what it wants next.

use core::fmt;

use crate::owed::{Owed, TooMuch};

/// Where a conversation stands.
///
/// ```text
///            bytes, paid
///             ┌──────┐
///             │      ▼        stop (we want to leave)
///             │   ┌──────┐ ─────────────────────────▶ ┌─────────┐ ┐ bytes (discarded),
///             └── │ Open │                            │ Closing │ │ paid, stop
///                 └──────┘         the peer's end     └─────────┘ ◀
///       the peer's    │     ┌───────────────────────────┘     │
///       end           ▼     ▼                                 │
///                ┌──────────┐                                 │
///                │ Draining │  pays what is owed              │ no more patience,
///                └──────────┘                                 │ or a failure
///                     │ paid                                  │ (from anywhere)
///                     ▼                                       ▼
///                ┌──────────────────────────────────────────────┐
///                │ Over                                         │
///                └──────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Both directions live: what comes is sent back.
    Open,
    /// The peer has said its last byte: what is owed is paid, then it is over.
    Draining,
    /// We want to leave: what is owed is paid, our direction is shut, and what still comes is
    /// read and thrown away until the peer ends too. Closing at once, over unread input,
    /// would send a reset and destroy the echo in flight.
    Closing,
    /// Nothing more is wanted but to close.
    Over,
}

/// What can happen to a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Happening {
    /// Bytes arrived.
    Bytes,
    /// The last byte that was owed is paid.
    Paid,
    /// The peer has ended its direction.
    End,
    /// We want to leave.
    Stop,
    /// Patience is over.
    Expired,
    /// The connection is broken.
    Failed,
}

impl State {
    /// The whole machine: where `happening` leads from here. Work: O(1).
    #[must_use]
    pub const fn after(self, happening: Happening) -> Self {
        use Happening::{Bytes, End, Expired, Failed, Paid, Stop};
        match (self, happening) {
            (Self::Over, _) | (_, Expired | Failed) => Self::Over,
            (Self::Open, Bytes | Paid) => Self::Open,
            (Self::Open, Stop) | (Self::Closing, Bytes | Paid | Stop) => Self::Closing,
            (Self::Open | Self::Closing, End) | (Self::Draining, Bytes | End | Stop) => {
                Self::Draining
            }
            (Self::Draining, Paid) => Self::Over,
        }
    }
}

/// What a conversation wants done next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Want {
    /// Read, and tell [`Echo::received`] or [`Echo::ended`].
    Read,
    /// Send [`Echo::owed`], and tell [`Echo::paid`]. Until then nothing more is read: that is
    /// the backpressure.
    Write,
    /// Shut our direction, and tell [`Echo::shut`].
    Shutdown,
    /// Read and throw away, and tell [`Echo::ended`].
    Discard,
    /// Close.
    Close,
}

/// One echo conversation.
///
/// Law: what it sends is a prefix of what it received, and equal once the peer has ended and
/// everything owed is paid.
///
/// ```
/// # use epollite::echo::{Echo, Want};
/// let mut echo = Echo::new();
/// assert_eq!(echo.want(), Want::Read);
/// echo.received(b"hello", 3, 64)?;              // three bytes could be sent back at once
/// assert_eq!((echo.want(), echo.owed()), (Want::Write, &b"lo"[..]));
/// echo.ended();                                 // the peer has half-closed
/// echo.paid(2);
/// assert_eq!(echo.want(), Want::Close);
/// # Ok::<(), epollite::TooMuch>(())
/// ```
#[derive(Debug)]
pub struct Echo {
    owed: Owed,
    state: State,
    shut: bool,
}

impl Default for Echo {
    fn default() -> Self {
        Self::new()
    }
}

impl Echo {
    /// A fresh conversation. Work: O(1), no allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self { owed: Owed::new(), state: State::Open, shut: false }
    }

    /// `bytes` arrived, and the first `sent` of them have gone straight back; the rest is
    /// owed. Work: O(rest); no allocation when nothing is left.
    ///
    /// # Errors
    /// [`TooMuch`]: more than `owed_max_bytes` would be owed. It cannot happen to a caller
    /// who reads only when the machine wants to read, at most `owed_max_bytes` at once.
    ///
    /// # Panics
    /// `sent` is more than arrived.
    pub fn received(
        &mut self,
        bytes: &[u8],
        sent: usize,
        owed_max_bytes: usize,
    ) -> Result<(), TooMuch> {
        let rest = &bytes[sent..];
        if self.state == State::Open {
            self.owed.owe(rest, owed_max_bytes)?;
        }
        self.state = self.state.after(Happening::Bytes);
        Ok(())
    }

    /// `count` bytes of what is owed have been sent. Work: O(1).
    ///
    /// # Panics
    /// More was paid than was owed.
    pub fn paid(&mut self, count: usize) {
        self.owed.paid(count);
        self.settle();
    }

    /// The peer has ended its direction. Work: O(1).
    pub fn ended(&mut self) {
        self.state = self.state.after(Happening::End);
        self.settle();
    }

    /// We want to leave: nothing more is echoed, what is owed is paid first. Work: O(1).
    pub fn stop(&mut self) {
        self.state = self.state.after(Happening::Stop);
    }

    /// Our direction is shut. Work: O(1).
    pub fn shut(&mut self) {
        self.shut = true;
    }

    /// Patience is over: whatever is owed is given up. Work: O(1).
    pub fn expired(&mut self) {
        self.give_up(Happening::Expired);
    }

    /// The connection is broken: whatever is owed is given up. Work: O(1).
    pub fn failed(&mut self) {
        self.give_up(Happening::Failed);
    }

    /// What to do next. Work: O(1).
    #[must_use]
    pub fn want(&self) -> Want {
        match (self.state, self.owed.is_empty()) {
            (State::Over, _) => Want::Close,
            (_, false) => Want::Write,
            (State::Open, true) => Want::Read,
            (State::Closing, true) if !self.shut => Want::Shutdown,
            (State::Closing, true) => Want::Discard,
            // Draining with nothing owed is over by `settle`.
            (State::Draining, true) => Want::Close,
        }
    }

    /// What is owed, in order. Work: O(1).
    #[must_use]
    pub fn owed(&self) -> &[u8] {
        self.owed.bytes()
    }

    /// Where it stands. Work: O(1).
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    fn settle(&mut self) {
        if self.owed.is_empty() {
            self.state = self.state.after(Happening::Paid);
        }
    }

    fn give_up(&mut self, why: Happening) {
        self.owed = Owed::new();
        self.state = self.state.after(why);
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "Open",
            Self::Draining => "Draining",
            Self::Closing => "Closing",
            Self::Over => "Over",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String};

    #[test]
    fn every_state_and_happening_is_in_the_table() {
        use Happening::{Bytes, End, Expired, Failed, Paid, Stop};
        let mut table =
            String::from("          Bytes    Paid     End      Stop     Expired  Failed\n");
        for state in [State::Open, State::Draining, State::Closing, State::Over] {
            table += &format!("{state:<9}");
            for happening in [Bytes, Paid, End, Stop, Expired, Failed] {
                table += &format!(" {:<8}", format!("{}", state.after(happening)));
            }
            table = format!("{}\n", table.trim_end());
        }
        let wanted = "          Bytes    Paid     End      Stop     Expired  Failed
Open      Open     Open     Draining Closing  Over     Over
Draining  Draining Over     Draining Draining Over     Over
Closing   Closing  Closing  Draining Closing  Over     Over
Over      Over     Over     Over     Over     Over     Over
";
        assert_eq!(table, wanted);
    }

    #[test]
    fn leaving_pays_first_then_shuts_then_waits_for_the_peer() {
        let mut echo = Echo::new();
        echo.received(b"abc", 1, 8).unwrap();
        echo.stop();
        assert_eq!(echo.want(), Want::Write);
        echo.paid(2);
        assert_eq!(echo.want(), Want::Shutdown);
        echo.shut();
        assert_eq!(echo.want(), Want::Discard);
        echo.received(b"too late", 0, 8).unwrap();
        assert_eq!((echo.want(), echo.owed()), (Want::Discard, &b""[..]));
        echo.ended();
        assert_eq!(echo.want(), Want::Close);
    }

    #[test]
    fn a_failure_gives_the_memory_back() {
        let mut echo = Echo::new();
        echo.received(b"abc", 0, 8).unwrap();
        echo.failed();
        assert_eq!((echo.want(), echo.owed()), (Want::Close, &b""[..]));
    }
}
