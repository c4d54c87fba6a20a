//! The bytes that are sent, and the check of those that come back. It knows no sockets.
//!
//! A connection's stream repeats one block of noise for ever, begun at a place of its own.
//! The length of the block is a prime, so no buffer or message size divides it: a lost, doubled or
//! swapped buffer, or another connection's bytes, land on noise that does not fit.

use super::Failure;

/// The block's length. The largest prime below 64 KiB; small enough to stay in a cache.
const PERIOD_BYTES: usize = 65_521;

/// The longest piece given out or checked at once. The block is stored this much longer than its
/// period, so that a piece that wraps around is contiguous too.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// The endless block.
#[derive(Debug)]
pub(super) struct Pattern {
    bytes: Vec<u8>,
}

impl Pattern {
    pub(super) fn new() -> Self {
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
        let block: Vec<u8> = (0..PERIOD_BYTES)
            .map(|_| {
                // xorshift64: any noise without a short period will do.
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_le_bytes()[0]
            })
            .collect();
        let bytes = block.iter().copied().cycle().take(PERIOD_BYTES + PIECE_BYTES).collect();
        Self { bytes }
    }

    /// At most [`PIECE_BYTES`] of connection `index`'s stream, from `offset` on.
    pub(super) fn piece(&self, index: usize, offset: u64, length: u64) -> &[u8] {
        // 7919 is a prime too: a thousand connections begin at a thousand different places.
        let place = (index as u64 * 7919 + offset) % PERIOD_BYTES as u64;
        let start = usize::try_from(place).expect("less than the period");
        let length = usize::try_from(length).map_or(PIECE_BYTES, |length| length.min(PIECE_BYTES));
        &self.bytes[start..start + length]
    }

    /// Checks what came back at `offset` of connection `index`, of which `sent` bytes are out.
    pub(super) fn check(
        &self,
        index: usize,
        offset: u64,
        sent: u64,
        got: &[u8],
    ) -> Result<(), Failure> {
        let owed = self.piece(index, offset, sent - offset);
        if owed.get(..got.len()) == Some(got) {
            return Ok(());
        }
        let same = owed.iter().zip(got).take_while(|(a, b)| a == b).count();
        let offset = offset + same as u64;
        Err(Failure::Mismatch { offset, expected: owed.get(same).copied(), got: got[same] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_on_where_the_last_piece_ended() {
        let pattern = Pattern::new();
        let whole = pattern.piece(3, 0, PIECE_BYTES as u64);
        for cut in [1, 64, PERIOD_BYTES - 1, PERIOD_BYTES, PERIOD_BYTES + 1] {
            assert_eq!(pattern.piece(3, cut as u64, 1000), &whole[cut..cut + 1000]);
        }
    }

    #[test]
    fn a_shifted_or_foreign_stream_does_not_fit() {
        let pattern = Pattern::new();
        let mine = pattern.piece(0, 0, 64);
        for foreign in [pattern.piece(1, 0, 64), pattern.piece(0, 1, 64), pattern.piece(0, 64, 64)]
        {
            assert!(pattern.check(0, 0, 64, foreign).is_err());
        }
        assert!(pattern.check(0, 0, 64, mine).is_ok());
    }

    #[test]
    fn the_first_wrong_byte_is_named() {
        let pattern = Pattern::new();
        let mut bytes = pattern.piece(0, 100, 64).to_vec();
        bytes[7] ^= 0xff;
        let failure = pattern.check(0, 100, 164, &bytes).expect_err("a byte is wrong");
        assert!(matches!(failure, Failure::Mismatch { offset: 107, expected: Some(_), .. }));
    }

    #[test]
    fn a_byte_that_was_never_sent_is_named() {
        let pattern = Pattern::new();
        let bytes = pattern.piece(0, 0, 65).to_vec();
        let failure = pattern.check(0, 0, 64, &bytes).expect_err("a byte too many");
        assert!(matches!(failure, Failure::Mismatch { offset: 64, expected: None, .. }));
    }
}
