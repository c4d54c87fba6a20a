//! Signals, sets of them, and what a signalfd says.
//!
//! Knows the numbers of Linux' generic table; that they are libc's is asserted where libc is.

use core::ops::BitOr;

/// A signal by number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Signal(u8);

impl Signal {
    /// Hang-up of the terminal.
    pub const HUP: Self = Self(1);
    /// Ctrl-C.
    pub const INT: Self = Self(2);
    /// Ctrl-\.
    pub const QUIT: Self = Self(3);
    /// Free for the program's own use: the echo server prints statistics.
    pub const USR1: Self = Self(10);
    /// Free for the program's own use.
    pub const USR2: Self = Self(12);
    /// A write to a pipe that nobody reads. The standard library ignores it; a program without
    /// it blocks it, and gets `EPIPE`.
    pub const PIPE: Self = Self(13);
    /// A request to end.
    pub const TERM: Self = Self(15);
    /// A child has ended.
    pub const CHLD: Self = Self(17);
    /// A file would grow past `RLIMIT_FSIZE`. A program that ignores it gets `EFBIG`.
    pub const XFSZ: Self = Self(25);

    /// The signal that a record read from a signalfd names. Work: O(1).
    ///
    /// The record is [`SIGINFO_BYTES`] long and begins with the number; `None` when it is
    /// shorter or names no signal.
    ///
    /// Man page: signalfd(2)
    #[must_use]
    pub fn from_siginfo(record: &[u8]) -> Option<Self> {
        let number = u32::from_ne_bytes(*record.first_chunk()?);
        u8::try_from(number).ok().filter(|number| (1..=64).contains(number)).map(Self)
    }

    /// Its number. Work: O(1).
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// How long a record of a signalfd is.
pub const SIGINFO_BYTES: usize = 128;

/// A set of signals.
///
/// ```
/// # use epollite::{Signal, SignalSet};
/// let set = SignalSet::from(Signal::INT) | Signal::TERM.into();
/// assert!(set.contains(Signal::TERM) && !set.contains(Signal::HUP));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);

    /// Whether `signal` is in it. Work: O(1).
    #[must_use]
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 >> (signal.0 - 1) & 1 == 1
    }

    /// Bit `n - 1` stands for signal `n`, as in the kernel's own sigset_t. Work: O(1).
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl From<Signal> for SignalSet {
    fn from(signal: Signal) -> Self {
        Self(1 << (signal.0 - 1))
    }
}

impl BitOr for SignalSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
