//! Rows: messages of one size, one behind another, written and compared as one. Where all are
//! short, their noise is one stretch of the block, and that is a copy with headers laid over it.

use super::payload::{MessageId, Payload};
use super::sizes::Sizes;

/// Longer messages are written and compared one by one: with so few headers among the bytes, a
/// copy to compare with costs more than it saves.
const SHORT_BYTES_MAX: u32 = 1024;

/// So far apart other messages of a connection begin in the block: what a buffer still held of one
/// of the eighty before is never the right one shifted a little, which would look like bytes lost
/// or added.
const STRIDE_BYTES: usize = 40_493;

/// So much of a row is laid out and compared at once: it stays in the first cache.
const CHUNK_BYTES: usize = 2048;

/// How far behind one message the next one begins in the block, when they are of these sizes.
pub(super) fn stride(sizes: &Sizes) -> usize {
    match sizes {
        Sizes::Fixed(size @ ..=SHORT_BYTES_MAX) => *size as usize,
        _ => STRIDE_BYTES,
    }
}

/// A row without an end.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessageRun {
    pub(super) first: MessageId,
    pub(super) size: usize,
}

impl MessageRun {
    /// Which message this byte of the row belongs to, and where in it.
    #[inline]
    pub(super) fn at(self, offset: usize) -> (MessageId, usize) {
        // A batch that waits has no size yet, and is only asked for its beginning.
        let (ahead, offset) = if offset == 0 || offset < self.size {
            (0, offset)
        } else {
            (offset / self.size, offset % self.size)
        };
        (MessageId { number: self.first.number + ahead as u64, ..self.first }, offset)
    }

    /// The parts of `bytes`, which begin at `offset`, that belong to one message each.
    fn segments(
        self,
        offset: usize,
        bytes: usize,
    ) -> impl Iterator<Item = (MessageId, usize, usize)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let (name, from) = self.at(offset + done);
            let length = (self.size - from).min(bytes - done);
            done += length;
            (length > 0).then_some((name, from, length))
        })
    }
}

impl Payload {
    /// Whether a message of this size ends where the noise of the next one begins.
    const fn is_contiguous(&self, size: usize) -> bool {
        size == self.stride
    }

    /// Writes what a row has from `offset` on over all of `out`.
    #[inline]
    pub(super) fn write_row(&self, row: MessageRun, offset: usize, out: &mut [u8]) {
        if offset == 0 && out.len() <= row.size {
            return self.write(row.first, 0, out);
        }
        if self.is_contiguous(row.size) {
            return self.write_contiguous(row, offset, out);
        }
        let mut rest = out;
        for (name, from, length) in row.segments(offset, rest.len()) {
            let (piece, others) = rest.split_at_mut(length);
            self.write(name, from, piece);
            rest = others;
        }
    }

    fn write_contiguous(&self, row: MessageRun, offset: usize, out: &mut [u8]) {
        let mut at = 0;
        while at < out.len() {
            let piece = self.chunk(row.first, offset + at, out.len() - at);
            out[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        let (mut name, from) = row.at(offset);
        let mut rest = out;
        if from > 0 {
            // The end of a message, and perhaps of its header.
            let (piece, others) = rest.split_at_mut(rest.len().min(row.size - from));
            self.write_header(name, from, piece);
            name.number += 1;
            rest = others;
        }
        for message in rest.chunks_mut(row.size) {
            self.write_header(name, 0, message);
            name.number += 1;
        }
    }

    #[inline]
    fn write_header(&self, name: MessageId, from: usize, piece: &mut [u8]) {
        let header = self.header(name);
        if from == 0
            && let Some(head) = piece.first_chunk_mut()
        {
            *head = header;
        } else if let Some(header) = header.get(from..) {
            let length = header.len().min(piece.len());
            piece[..length].copy_from_slice(&header[..length]);
        }
    }

    /// The first of the `got` bytes that is not what the row has there, from `offset` on.
    #[inline]
    pub(super) fn first_difference_in_run(
        &self,
        row: MessageRun,
        offset: usize,
        got: &[u8],
    ) -> Option<usize> {
        if offset == 0 && got.len() <= row.size {
            return self.first_difference(row.first, 0, got);
        }
        if self.is_contiguous(row.size) {
            return self.first_difference_contiguous(row, offset, got);
        }
        let mut done = 0;
        for (name, from, length) in row.segments(offset, got.len()) {
            if let Some(at) = self.first_difference(name, from, &got[done..done + length]) {
                return Some(done + at);
            }
            done += length;
        }
        None
    }

    fn first_difference_contiguous(
        &self,
        row: MessageRun,
        offset: usize,
        got: &[u8],
    ) -> Option<usize> {
        let mut owed = [0; CHUNK_BYTES];
        let mut done = 0;
        for chunk in got.chunks(CHUNK_BYTES) {
            let owed = &mut owed[..chunk.len()];
            self.write_contiguous(row, offset + done, owed);
            if owed != chunk {
                return owed.iter().zip(chunk).position(|(a, b)| a != b).map(|at| done + at);
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

    /// Sizes around every bound, and how many messages of each are looked at.
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

    /// A noise for messages of this size and one for others, and what a row of them is.
    fn rows() -> impl Iterator<Item = (Payload, MessageRun, Vec<u8>)> {
        SIZES.into_iter().flat_map(|(size, count)| {
            let alike = Sizes::Fixed(u32::try_from(size).expect("it is short"));
            let strides = [stride(&alike), stride(&Sizes::Uniform(1, 100_000))];
            strides.map(|stride| {
                let noise = Payload::new(1, stride);
                let row = MessageRun { first: FIRST, size };
                let mut whole = vec![0; size * count];
                for (message, number) in whole.chunks_mut(size).zip(FIRST.number..) {
                    noise.write(MessageId { number, ..FIRST }, 0, message);
                }
                (noise, row, whole)
            })
        })
    }

    /// Places in a row where something may go wrong, and some more.
    fn offsets(row: MessageRun, end: usize) -> impl Iterator<Item = usize> {
        let near = |at: usize| [at.saturating_sub(1), at, at + 1];
        [0, 8, 15, row.size, 2 * row.size, CHUNK_BYTES, row.size + 15, end / 2, end - 1]
            .into_iter()
            .flat_map(near)
            .filter(move |&at| at < end)
    }

    #[test]
    fn a_row_is_its_messages_one_behind_another() {
        for (noise, row, whole) in rows() {
            for from in offsets(row, whole.len()) {
                for to in offsets(row, whole.len()).filter(|&to| to > from) {
                    let mut piece = vec![0; to - from];
                    noise.write_row(row, from, &mut piece);
                    assert!(piece == whole[from..to], "{row:?} from {from} to {to}");
                    let differs = noise.first_difference_in_run(row, from, &piece);
                    assert_eq!(differs, None, "{row:?} from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn the_first_wrong_byte_of_a_row_is_found() {
        for (noise, row, mut whole) in rows() {
            let end = whole.len();
            for from in offsets(row, end) {
                for at in offsets(row, end).filter(|&at| at >= from) {
                    whole[at] ^= 0x20;
                    whole[end - 1] ^= 0x40;
                    let differs = noise.first_difference_in_run(row, from, &whole[from..]);
                    assert_eq!(differs, Some(at - from), "{row:?} from {from}");
                    whole[end - 1] ^= 0x40;
                    whole[at] ^= 0x20;
                }
            }
        }
    }
}
