//! What a kernel may do or leave, drawn from a plan.
//!
//! Knows numbers only. Everything drawn here is legal on Linux: a program that breaks under
//! it is broken.

use alloc::vec::Vec;

/// Where the dice fall: a plan of bytes, or a seed.
///
/// The same plan gives the same world. A zero byte is always "no", so that a plan shrinks
/// towards a calm world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chance(Source);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Source {
    Plan { bytes: Vec<u8>, at: usize },
    Seed(u64),
}

impl Default for Chance {
    /// Nothing happens that need not.
    fn default() -> Self {
        Self::none()
    }
}

impl Chance {
    /// Nothing happens that need not. Work: O(1).
    #[must_use]
    pub const fn none() -> Self {
        Self::from_bytes(Vec::new())
    }

    /// A fuzzer's plan: one byte a draw, and nothing happens any more when it is used up.
    /// Work: O(1).
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Source::Plan { bytes, at: 0 })
    }

    /// An endless plan made from a number. Work: O(1).
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    fn byte(&mut self) -> u8 {
        match &mut self.0 {
            Source::Plan { bytes, at } => {
                *at += 1;
                bytes.get(*at - 1).copied().unwrap_or(0)
            }
            Source::Seed(state) => {
                // A linear congruence; its upper bits are the good ones.
                *state =
                    state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                state.to_be_bytes()[0]
            }
        }
    }

    /// Whether it happens this time: `odds` in 256. Odds of 0 draw nothing.
    pub(super) fn happens(&mut self, odds: u8) -> bool {
        odds > 0 && self.byte() > u8::MAX - odds
    }

    /// A number under `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let drawn = usize::from(u16::from_be_bytes([self.byte(), self.byte()]));
        drawn % end
    }
}

/// How often in 256 times each thing happens that a kernel may do or leave.
///
/// All are 0 unless set; the draws come from [`Config::chance`](super::Config).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Odds {
    /// A stream gives fewer bytes than are there; the rest counts as arriving afterwards, and
    /// so is an edge.
    pub short_recv: u8,
    /// A stream takes fewer bytes than there is room for; the room counts as coming free
    /// afterwards, and so is an edge.
    pub short_send: u8,
    /// `EINTR`: from a wait that would have to wait, and before anything was done from the
    /// calls that move bytes and from accept4(2).
    pub interrupted: u8,
    /// An edge-triggered registration hears again of what it has heard already.
    pub repeated_edge: u8,
    /// The ready list is told from another place on. Nothing promises its order.
    pub shuffled: u8,
    /// accept4(2) finds that the connection has been aborted meanwhile.
    pub aborted: u8,
    /// A TCP connection is not there yet when connect(2) returns, but at the next wait.
    pub late_connect: u8,
}

impl Odds {
    /// Everything now and then: one time in eight.
    pub const SOME: Self = Self {
        short_recv: 32,
        short_send: 32,
        interrupted: 32,
        repeated_edge: 32,
        shuffled: 32,
        aborted: 32,
        late_connect: 32,
    };
}
