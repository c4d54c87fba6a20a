//! Runs of consecutive messages of one size, written and compared as a whole. Where all messages
//! are short, their bodies are one contiguous range of the block, so a run is one copy with headers
//! written over it.

use super::payload::{MessageId, Payload};
use super::sizes::Sizes;

/// Longer messages are written and compared one by one: with so few headers, making a copy to
/// compare with costs more than it saves.
const SHORT_BYTES_MAX: u32 = 1024;

/// Stride between other messages of a connection in the block. With it, stale buffer contents from
/// one of the previous eighty messages are never the expected bytes shifted a little, which would
/// look like lost or added bytes.
const STRIDE_BYTES: usize = 40_493;

/// How much of a run is written and compared at once: it stays in the L1 cache.
const CHUNK_BYTES: usize = 2048;

/// Distance between consecutive messages in the block, for these sizes.
pub(super) fn stride(sizes: &Sizes) -> usize {
    match sizes {
        Sizes::Fixed(size @ ..=SHORT_BYTES_MAX) => *size as usize,
        _ => STRIDE_BYTES,
    }
}

/// An unbounded run of messages of one size.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessageRun {
    pub(super) first: MessageId,
    pub(super) size: usize,
}

impl MessageRun {
    /// The message containing this byte of the run, and the offset in it.
    #[inline]
    pub(super) fn at(self, offset: usize) -> (MessageId, usize) {
        // A queued batch has no size yet, and only offset 0 is requested.
        let (ahead, offset) = if offset == 0 || offset < self.size {
            (0, offset)
        } else {
            (offset / self.size, offset % self.size)
        };
        (MessageId { number: self.first.number + ahead as u64, ..self.first }, offset)
    }

    /// Splits `bytes` bytes from `offset` on at message boundaries.
    fn segments(
        self,
        offset: usize,
        bytes: usize,
    ) -> impl Iterator<Item = (MessageId, usize, usize)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let (id, from) = self.at(offset + done);
            let length = (self.size - from).min(bytes - done);
            done += length;
            (length > 0).then_some((id, from, length))
        })
    }
}

impl Payload {
    /// Whether a message of this size ends where the body of the next one begins.
    const fn is_contiguous(&self, size: usize) -> bool {
        size == self.stride
    }

    /// Fills `out` with the bytes of a run from `offset` on.
    #[inline]
    pub(super) fn write_run(&self, run: MessageRun, offset: usize, out: &mut [u8]) {
        if offset == 0 && out.len() <= run.size {
            return self.write(run.first, 0, out);
        }
        if self.is_contiguous(run.size) {
            return self.write_contiguous(run, offset, out);
        }
        let mut rest = out;
        for (id, from, length) in run.segments(offset, rest.len()) {
            let (piece, others) = rest.split_at_mut(length);
            self.write(id, from, piece);
            rest = others;
        }
    }

    fn write_contiguous(&self, run: MessageRun, offset: usize, out: &mut [u8]) {
        self.write_block(run.first, offset, out);
        let (mut id, from) = run.at(offset);
        let mut rest = out;
        if from > 0 {
            // The end of a message, and perhaps of its header.
            let (piece, others) = rest.split_at_mut(rest.len().min(run.size - from));
            self.write_header(id, from, piece);
            id.number += 1;
            rest = others;
        }
        for message in rest.chunks_mut(run.size) {
            self.write_header(id, 0, message);
            id.number += 1;
        }
    }

    #[inline]
    fn write_header(&self, id: MessageId, from: usize, piece: &mut [u8]) {
        let header = self.header(id);
        if from == 0
            && let Some(head) = piece.first_chunk_mut()
        {
            *head = header;
        } else if let Some(header) = header.get(from..) {
            let length = header.len().min(piece.len());
            piece[..length].copy_from_slice(&header[..length]);
        }
    }

    /// Index of the first of the `got` bytes that differs from the run from `offset` on.
    #[inline]
    pub(super) fn first_difference_in_run(
        &self,
        run: MessageRun,
        offset: usize,
        got: &[u8],
    ) -> Option<usize> {
        if offset == 0 && got.len() <= run.size {
            return self.first_difference(run.first, 0, got);
        }
        if self.is_contiguous(run.size) {
            return self.first_difference_contiguous(run, offset, got);
        }
        let mut done = 0;
        for (id, from, length) in run.segments(offset, got.len()) {
            if let Some(at) = self.first_difference(id, from, &got[done..done + length]) {
                return Some(done + at);
            }
            done += length;
        }
        None
    }

    fn first_difference_contiguous(
        &self,
        run: MessageRun,
        offset: usize,
        got: &[u8],
    ) -> Option<usize> {
        let mut expected = [0; CHUNK_BYTES];
        let mut done = 0;
        for chunk in got.chunks(CHUNK_BYTES) {
            let expected = &mut expected[..chunk.len()];
            self.write_contiguous(run, offset + done, expected);
            if expected != chunk {
                return expected.iter().zip(chunk).position(|(a, b)| a != b).map(|at| done + at);
            }
            done += chunk.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: MessageId = MessageId { connection: 3, number: 70_000 };

    /// Sizes around every bound, and how many messages of each are tested.
    const SIZES: [(usize, usize); 12] = [
        (1, 200),
        (7, 200),
        (15, 200),
        (16, 200),
        (17, 200),
        (64, 200),
        (1000, 40),
        (1024, 40),
        (1025, 20),
        (16_384, 5),
        (STRIDE_BYTES, 4),
        (65_521, 3),
    ];

    /// For each size and stride: the payload, the run, and its expected bytes.
    fn runs() -> impl Iterator<Item = (Payload, MessageRun, Vec<u8>)> {
        SIZES.into_iter().flat_map(|(size, count)| {
            let alike = Sizes::Fixed(u32::try_from(size).expect("it is short"));
            let strides = [stride(&alike), stride(&Sizes::Uniform(1, 100_000))];
            strides.map(|stride| {
                let payload = Payload::new(1, stride);
                let run = MessageRun { first: FIRST, size };
                let mut whole = vec![0; size * count];
                for (message, number) in whole.chunks_mut(size).zip(FIRST.number..) {
                    payload.write(MessageId { number, ..FIRST }, 0, message);
                }
                (payload, run, whole)
            })
        })
    }

    /// Offsets in a run near boundaries, and some others.
    fn offsets(run: MessageRun, end: usize) -> impl Iterator<Item = usize> {
        let near = |at: usize| [at.saturating_sub(1), at, at + 1];
        [0, 8, 15, run.size, 2 * run.size, CHUNK_BYTES, run.size + 15, end / 2, end - 1]
            .into_iter()
            .flat_map(near)
            .filter(move |&at| at < end)
    }

    #[test]
    fn a_run_is_the_concatenation_of_its_messages() {
        for (payload, run, whole) in runs() {
            for from in offsets(run, whole.len()) {
                for to in offsets(run, whole.len()).filter(|&to| to > from) {
                    let mut piece = vec![0; to - from];
                    payload.write_run(run, from, &mut piece);
                    assert!(piece == whole[from..to], "{run:?} from {from} to {to}");
                    let differs = payload.first_difference_in_run(run, from, &piece);
                    assert_eq!(differs, None, "{run:?} from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn the_first_wrong_byte_of_a_run_is_found() {
        for (payload, run, mut whole) in runs() {
            let end = whole.len();
            for from in offsets(run, end) {
                for at in offsets(run, end).filter(|&at| at >= from) {
                    whole[at] ^= 0x20;
                    whole[end - 1] ^= 0x40;
                    let differs = payload.first_difference_in_run(run, from, &whole[from..]);
                    assert_eq!(differs, Some(at - from), "{run:?} from {from}");
                    whole[end - 1] ^= 0x40;
                    whole[at] ^= 0x20;
                }
            }
        }
    }
}
