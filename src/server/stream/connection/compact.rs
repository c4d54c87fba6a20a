//! Values of a connection in few bits: a time, and the length of a queue.
//!
//! Pure arithmetic.

use crate::instant::Instant;

/// Hashes a byte count to 8 bits: 0 for 0, and two other counts differ 254 times in 255. Missing
/// a change now and then is harmless: a connection is closed after four equal checks in a row.
pub(super) const fn hash_unsent(bytes: usize) -> u8 {
    /// 2^64 divided by the golden ratio: spreads neighbours and multiples over the high bits.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    if bytes == 0 {
        return 0;
    }
    let high = (bytes as u64).wrapping_mul(SPREAD) >> 56;
    if high == 0 { 1 } else { high as u8 }
}

/// Milliseconds in 32 bits: they wrap after 49 days, and only differences are used.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
pub(super) const fn truncated_millis(now: Instant, rounded: Rounded) -> u32 {
    match rounded {
        Rounded::Down => now.as_millis() as u32,
        Rounded::Up => now.as_nanos().div_ceil(1_000_000) as u32,
    }
}

/// Activity is rounded up and checks are rounded down, so that no idle timeout ends too early.
#[derive(Clone, Copy)]
pub(super) enum Rounded {
    Down,
    Up,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_counts_rarely_have_the_same_hash() {
        assert_eq!(hash_unsent(0), 0);
        for step in [1, 1_448, 4_096, 65_536] {
            let hashes = (1..=10_000).map(|n| hash_unsent(n * step));
            assert!(hashes.clone().all(|hash| hash != 0), "0 is for 0");
            let equal = hashes.clone().zip(hashes.skip(1)).filter(|(one, next)| one == next);
            assert!(equal.count() < 100, "one in 255 is 39");
        }
    }
}
