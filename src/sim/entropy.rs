//! Behaviour that Linux leaves open, drawn from a plan.
//!
//! Knows numbers only. Everything drawn here is legal on Linux: a program that fails under it has
//! a bug.

use alloc::vec::Vec;

/// The source of random decisions: a plan of bytes, or a seed.
///
/// The same plan gives the same run. A zero byte always means "no", so that a plan shrinks
/// towards a run without random behaviour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entropy(Kind);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Plan { bytes: Vec<u8>, at: usize },
    Seed(u64),
}

impl Default for Entropy {
    /// No random behaviour.
    fn default() -> Self {
        Self::none()
    }
}

impl Entropy {
    /// No random behaviour. Cost: O(1).
    #[must_use]
    pub const fn none() -> Self {
        Self::from_bytes(Vec::new())
    }

    /// A fuzzer's plan: one byte per draw; after its end every draw is "no".
    /// Cost: O(1).
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Kind::Plan { bytes, at: 0 })
    }

    /// An endless plan generated from a seed. Cost: O(1).
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self(Kind::Seed(seed))
    }

    fn byte(&mut self) -> u8 {
        match &mut self.0 {
            Kind::Plan { bytes, at } => {
                *at += 1;
                bytes.get(*at - 1).copied().unwrap_or(0)
            }
            Kind::Seed(state) => {
                // A linear congruential generator; its upper bits are the good ones.
                *state =
                    state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                state.to_be_bytes()[0]
            }
        }
    }

    /// Whether it happens this time: `probability` in 256. A probability of 0 draws nothing.
    pub(super) fn chance(&mut self, probability: u8) -> bool {
        probability > 0 && self.byte() > u8::MAX - probability
    }

    /// A number below `end`, which must not be 0.
    pub(super) fn gen_below(&mut self, end: usize) -> usize {
        let drawn = usize::from(u16::from_be_bytes([self.byte(), self.byte()]));
        drawn % end
    }
}

/// How often in 256 draws each behaviour occurs that Linux leaves open.
///
/// All are 0 unless set; the draws come from [`SimConfig::entropy`](super::SimConfig).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Probabilities {
    /// A stream returns fewer bytes than are available; the rest counts as arriving afterwards,
    /// and is an edge.
    pub short_recv: u8,
    /// A stream accepts fewer bytes than fit; the room counts as becoming free afterwards, and is
    /// an edge.
    pub short_send: u8,
    /// `EINTR`: from a wait that would block, and before anything was done from the calls that
    /// transfer bytes and from accept4(2).
    pub interrupted: u8,
    /// An edge-triggered registration is reported again for the same edge.
    pub repeated_edge: u8,
    /// The ready list is reported from another position. Its order is not guaranteed.
    pub shuffled: u8,
    /// accept4(2) finds that the connection has been aborted.
    pub aborted: u8,
    /// A TCP connection is not complete when connect(2) returns, but at the next wait.
    pub late_connect: u8,
}

impl Probabilities {
    /// Everything with a probability of one in eight.
    pub const MODERATE: Self = Self {
        short_recv: 32,
        short_send: 32,
        interrupted: 32,
        repeated_edge: 32,
        shuffled: 32,
        aborted: 32,
        late_connect: 32,
    };
}
