//! Signals, sets of them, and the records that a signalfd returns.
//!
//! Knows the numbers of Linux' generic table; `linux/layout.rs` asserts that they are libc's.

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
    /// A write to a pipe without a reader. The standard library ignores it; a program without
    /// that library blocks it, and gets `EPIPE`.
    pub const PIPE: Self = Self(13);
    /// A request to terminate.
    pub const TERM: Self = Self(15);
    /// A child has terminated.
    pub const CHLD: Self = Self(17);
    /// Continues a stopped process.
    pub const CONT: Self = Self(18);
    /// Stops a process; it can be neither handled nor blocked.
    pub const STOP: Self = Self(19);
    /// Ends a process; it can be neither handled nor blocked.
    pub const KILL: Self = Self(9);
    /// Urgent data on a socket; ignored unless it is handled.
    pub const URG: Self = Self(23);
    /// The terminal has another size; ignored unless it is handled.
    pub const WINCH: Self = Self(28);
    /// A file would exceed `RLIMIT_FSIZE`. A program that ignores the signal gets `EFBIG`.
    pub const XFSZ: Self = Self(25);

    /// The signal in a record read from a signalfd. Cost: O(1).
    ///
    /// The record is [`SIGINFO_BYTES`] long and begins with the number; `None` when it is
    /// shorter or contains no valid number.
    ///
    /// Man page: signalfd(2)
    #[must_use]
    pub fn from_siginfo(record: &[u8]) -> Option<Self> {
        let number = u32::from_ne_bytes(*record.first_chunk()?);
        u8::try_from(number).ok().filter(|number| (1..=64).contains(number)).map(Self)
    }

    /// Its number. Cost: O(1).
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its name without `SIG`, of those that have a constant here. Cost: O(1).
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(signal, _)| *signal == self).map(|(_, name)| *name)
    }

    /// The signal of this name, as [`name`](Self::name) returns it. Cost: O(1).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(signal, _)| *signal)
    }
}

const NAMES: [(Signal, &str); 14] = [
    (Signal::HUP, "HUP"),
    (Signal::INT, "INT"),
    (Signal::QUIT, "QUIT"),
    (Signal::KILL, "KILL"),
    (Signal::USR1, "USR1"),
    (Signal::USR2, "USR2"),
    (Signal::PIPE, "PIPE"),
    (Signal::TERM, "TERM"),
    (Signal::CHLD, "CHLD"),
    (Signal::CONT, "CONT"),
    (Signal::STOP, "STOP"),
    (Signal::URG, "URG"),
    (Signal::XFSZ, "XFSZ"),
    (Signal::WINCH, "WINCH"),
];

/// The length of a record of a signalfd.
pub const SIGINFO_BYTES: usize = 128;

/// A set of signals.
///
/// ```
/// # use epollite::kernel::{Signal, SignalSet};
/// let set = SignalSet::from(Signal::INT) | Signal::TERM.into();
/// assert!(set.contains(Signal::TERM) && !set.contains(Signal::HUP));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);

    /// Whether `signal` is in it. Cost: O(1).
    #[must_use]
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 >> (signal.0 - 1) & 1 == 1
    }

    /// Bit `n - 1` stands for signal `n`, as in the kernel's own sigset_t. Cost: O(1).
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
