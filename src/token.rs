//! The identity of a registration: a slot and the generation of its value.
//!
//! Knows nothing of slabs or kernels; it is the 64 bits of `epoll_event.data`.

use core::fmt;

/// Identifies one registration, and is never reused after it has ended.
///
/// A slot is reused, its generation is not: a token whose registration has ended is stale, even
/// when the slot (and the descriptor's number) already belong to another registration. That makes
/// stale events harmless.
///
/// ```
/// # use epollite::Token;
/// let token = Token::new(7, 3);
/// assert_eq!(Token::from_bits(token.to_bits()), token);
/// assert_eq!(token.to_string(), "7#3");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    slot: u32,
    generation: u32,
}

impl Token {
    /// The token of generation `generation` of slot `slot`. Cost: O(1).
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// Decodes a token from the 64 bits of `epoll_event.data`. Cost: O(1).
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are cut out on purpose")]
    pub const fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }

    /// Encodes the token as the 64 bits of `epoll_event.data`. Cost: O(1).
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The slot. Cost: O(1).
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.slot
    }

    /// The generation of the slot. Cost: O(1).
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.slot, self.generation)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}
