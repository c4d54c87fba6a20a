//! `Streak`: whether a connection streams, learned from its events.
//!
//! Knows numbers of bytes only.

use super::config::{Bulk, StreamConfig};

/// Bytes of one event from which on it counts as one of a stream. At 16 KiB no gain by splice was
/// shown (docs/performance.md); the value lies between that and 1 MiB, where there is one.
const LARGE_BYTES: usize = 64 << 10;

/// How many bytes make an event large: [`LARGE_BYTES`] where streams are looked for, or what fills
/// the receive buffer.
pub(super) fn large_bytes(config: &StreamConfig) -> usize {
    let large = if config.bulk == Bulk::Copy { usize::MAX } else { LARGE_BYTES };
    large.min(config.buffer_bytes).min(config.budget_bytes)
}

/// Whether a connection streams, learned from what its events have brought.
///
/// While it does not stream: how many large events there have been, whatever came between. While it
/// streams: how many more small events in a row end that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streak(u8);

impl Streak {
    /// Large events after which a connection streams: enough that a single large message seldom
    /// does it.
    const BEGIN: u8 = 4;
    /// Small events in a row after which it does not: the end of a large message is one.
    const END: u8 = 3;

    pub(super) const fn new() -> Self {
        Self(0)
    }

    /// Counts an event that brought bytes; returns whether the connection streams from here on.
    pub(super) const fn record(&mut self, is_streaming: bool, is_large: bool) -> bool {
        self.0 = match (is_streaming, is_large) {
            (true, true) => Self::END,
            (true, false) => self.0.saturating_sub(1),
            (false, true) => self.0 + 1,
            (false, false) => self.0,
        };
        let streams = if is_streaming { self.0 > 0 } else { self.0 == Self::BEGIN };
        if streams != is_streaming {
            self.0 = if streams { Self::END } else { 0 };
        }
        streams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_large_events_begin_a_stream_and_three_small_ones_end_it() {
        let (mut streak, mut is_streaming) = (Streak::new(), false);
        // Events, large or small, and whether the connection streams after each.
        let events = "LLLL ssL sss L sss LLs Ls";
        let streams = "...! !!! !!. . ... ... !!";
        for (event, expected) in events.chars().zip(streams.chars()).filter(|pair| pair.0 != ' ') {
            is_streaming = streak.record(is_streaming, event == 'L');
            assert_eq!(is_streaming, expected == '!', "{events}");
        }
    }
}
