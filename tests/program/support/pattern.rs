//! An endless byte pattern without repeats at short distances, generated once and compared as it
//! comes back: a lost, doubled or swapped byte is reported with its offset.

use core::cmp::min;
use std::sync::OnceLock;

/// A prime, so that no buffer size is a multiple of the period.
const BLOCK_BYTES: usize = 1_048_573;

static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();

/// A position in the pattern: one to send from, one to compare with.
pub(crate) struct Pattern {
    passed: usize,
}

impl Pattern {
    pub(crate) const fn new() -> Self {
        Self { passed: 0 }
    }

    /// The next bytes, at least one and at most `most`.
    pub(crate) fn next(&mut self, most: usize) -> &'static [u8] {
        let bytes = self.peek(most);
        self.passed += bytes.len();
        bytes
    }

    /// The same without advancing.
    pub(crate) fn peek(&self, most: usize) -> &'static [u8] {
        let block = BLOCK.get_or_init(block);
        let at = self.passed % BLOCK_BYTES;
        &block[at..min(at + most, BLOCK_BYTES)]
    }

    /// Advances by `count` bytes.
    pub(crate) fn skip(&mut self, count: usize) {
        self.passed += count;
    }

    /// Fails unless `bytes` are the next bytes of the pattern.
    #[track_caller]
    pub(crate) fn verify(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let place = self.passed;
            let expected = self.next(bytes.len());
            let (now, later) = bytes.split_at(expected.len());
            assert!(
                now == expected,
                "invariant: output is a prefix of input; wrong in the {} after byte {place}",
                now.len()
            );
            bytes = later;
        }
    }

    /// How many bytes have been consumed.
    pub(crate) const fn offset(&self) -> usize {
        self.passed
    }
}

/// The first `count` bytes of the pattern.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    let mut pattern = Pattern::new();
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        bytes.extend_from_slice(pattern.next(count - bytes.len()));
    }
    bytes
}

/// Marsaglia's xorshift, 64 bits wide.
fn block() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut block = Vec::with_capacity(BLOCK_BYTES + 8);
    while block.len() < BLOCK_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block.truncate(BLOCK_BYTES);
    block
}
