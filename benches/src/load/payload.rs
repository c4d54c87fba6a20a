//! The bytes of a message, and the check of received bytes. It knows no sockets.
//!
//! ```text
//!   0        8            12       16
//!   | number | connection | run id | body: pseudo-random bytes from a message-specific offset ...
//! ```
//!
//! The first bytes of a message are its header (a shorter message has a part of it). Every byte
//! after that is taken from one block of pseudo-random bytes, repeated cyclically. The length of
//! the block is a prime, which divides no usual buffer or message size: a server that loses or
//! duplicates a buffer shifts every byte after it. At the latest the next header does not match, or
//! the total length is wrong.
//!
//! Where messages are short and of equal size, the body of one continues where that of the previous
//! one ended: see `run_of_messages.rs`. No two of 65,521 consecutive messages of one connection
//! start at the same block offset; a piece from the middle of another connection's message would
//! match with a probability of one in 65,521.

/// Length of a message header; the body starts here.
pub(super) const HEADER_BYTES: u32 = 16;

/// The same as a `usize`.
const HEADER_LEN: usize = HEADER_BYTES as usize;

/// The block's length: the largest prime below 64 KiB.
const BLOCK_BYTES: usize = 65_521;

/// The longest piece lent or checked at once. The block is stored with this many bytes, and a
/// header, after its period, so that a piece that wraps around is contiguous too.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// Identifies a message: numbers count from 0 in each connection; with churn over all connections,
/// which then have one number each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageId {
    pub(super) connection: u32,
    pub(super) number: u64,
}

/// The block and the run id: a server may still hold datagrams of an earlier run.
#[derive(Debug)]
pub(super) struct Payload {
    bytes: Vec<u8>,
    run_id: u32,
    /// Distance in the block between the starts of consecutive messages of a connection.
    pub(super) stride: usize,
}

impl Payload {
    /// The payload of a run with this stride: see `run_of_messages.rs`.
    pub(super) fn new(run_id: u32, stride: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let block: Vec<u8> = (0..BLOCK_BYTES)
            .map(|_| {
                // xorshift64: any sequence without a short period is sufficient.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[0]
            })
            .collect();
        let stored = BLOCK_BYTES + HEADER_LEN + CHUNK_BYTES;
        let bytes = block.iter().copied().cycle().take(stored).collect();
        assert!(!stride.is_multiple_of(BLOCK_BYTES), "all messages would start at the same start");
        Self { bytes, run_id, stride }
    }

    /// The header of a message.
    pub(super) fn header(&self, id: MessageId) -> [u8; HEADER_LEN] {
        let MessageId { connection, number } = id;
        (u128::from(number) | u128::from(connection) << 64 | u128::from(self.run_id) << 96)
            .to_le_bytes()
    }

    /// Parses a header; `None` if it is truncated or not of this run.
    pub(super) fn read_header(&self, bytes: &[u8]) -> Option<MessageId> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        let number = u64::from_le_bytes(*header.first_chunk()?);
        let connection = u32::from_le_bytes(*header[8..].first_chunk()?);
        let id = MessageId { connection, number };
        (self.header(id) == *header).then_some(id)
    }

    /// Passes at most [`CHUNK_BYTES`] of a message from `offset` on to `send` without a copy: the
    /// header temporarily overwrites the block.
    pub(super) fn with_chunk<R>(
        &mut self,
        id: MessageId,
        offset: usize,
        length: usize,
        send: impl FnOnce(&[u8]) -> R,
    ) -> R {
        if offset >= HEADER_LEN {
            return send(self.chunk(id, offset, length));
        }
        let (header, start) = (self.header(id), self.block_offset(id));
        let message = &mut self.bytes[start..][..HEADER_LEN + CHUNK_BYTES];
        let (head, _) = message.split_first_chunk_mut().expect("it is longer than a header");
        let block = std::mem::replace(head, header);
        let result = send(&message[offset..][..length.min(CHUNK_BYTES)]);
        message[..HEADER_LEN].copy_from_slice(&block);
        result
    }

    /// Offset in the block at which a message starts.
    #[inline]
    fn block_offset(&self, id: MessageId) -> usize {
        let track = mix64(u64::from(id.connection)) >> 48;
        let ahead = id.number.wrapping_mul(self.stride as u64).wrapping_add(track);
        #[expect(clippy::cast_possible_truncation, reason = "it is below BLOCK_BYTES")]
        let start = (ahead % BLOCK_BYTES as u64) as usize;
        start
    }

    /// The body of a message that fits into one chunk.
    fn body(&self, id: MessageId, length: usize) -> &[u8] {
        &self.bytes[self.block_offset(id) + HEADER_LEN..][..length]
    }

    /// At most [`CHUNK_BYTES`] of a message from `offset` on; valid past its header.
    pub(super) fn chunk(&self, id: MessageId, offset: usize, length: usize) -> &[u8] {
        let start = (self.block_offset(id) + offset) % BLOCK_BYTES;
        &self.bytes[start..start + length.min(CHUNK_BYTES)]
    }

    /// Fills `out` with the bytes of a message from `offset` on.
    #[inline]
    pub(super) fn write(&self, id: MessageId, offset: usize, out: &mut [u8]) {
        // Common case: a whole message.
        if offset == 0
            && let Some((head, body)) = out.split_first_chunk_mut()
            && body.len() <= CHUNK_BYTES
        {
            *head = self.header(id);
            body.copy_from_slice(self.body(id, body.len()));
            return;
        }
        self.write_part(id, offset, out);
    }

    fn write_part(&self, id: MessageId, offset: usize, out: &mut [u8]) {
        let mut at = 0;
        if offset < HEADER_LEN {
            at = out.len().min(HEADER_LEN - offset);
            out[..at].copy_from_slice(&self.header(id)[offset..offset + at]);
        }
        self.write_block(id, offset + at, &mut out[at..]);
    }

    /// Fills `out` with the bytes of the block behind those of a message up to `offset`.
    pub(super) fn write_block(&self, id: MessageId, offset: usize, out: &mut [u8]) {
        let mut at = 0;
        while at < out.len() {
            let piece = self.chunk(id, offset + at, out.len() - at);
            out[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
    }

    /// One byte of a message.
    pub(super) fn byte(&self, id: MessageId, offset: usize) -> u8 {
        let mut byte = [0];
        self.write(id, offset, &mut byte);
        byte[0]
    }

    /// Index of the first of the `got` bytes that differs from the message from `offset` on.
    #[inline]
    pub(super) fn first_difference(
        &self,
        id: MessageId,
        offset: usize,
        got: &[u8],
    ) -> Option<usize> {
        // Common case: a whole, correct message.
        if offset == 0
            && let Some((head, body)) = got.split_first_chunk()
            && body.len() <= CHUNK_BYTES
            && *head == self.header(id)
            && body == self.body(id, body.len())
        {
            return None;
        }
        self.first_difference_in(id, offset, got)
    }

    fn first_difference_in(&self, id: MessageId, offset: usize, got: &[u8]) -> Option<usize> {
        let mut at = 0;
        if offset < HEADER_LEN {
            at = got.len().min(HEADER_LEN - offset);
            let expected = &self.header(id)[offset..offset + at];
            if expected != &got[..at] {
                return expected.iter().zip(got).position(|(a, b)| a != b);
            }
        }
        while at < got.len() {
            let expected = self.chunk(id, offset + at, got.len() - at);
            let part = &got[at..at + expected.len()];
            if expected != part {
                return expected.iter().zip(part).position(|(a, b)| a != b).map(|more| at + more);
            }
            at += expected.len();
        }
        None
    }
}

/// The finaliser of splitmix64: similar inputs give unrelated outputs.
pub(super) const fn mix64(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: MessageId = MessageId { connection: 3, number: 7 };

    #[test]
    fn a_message_in_pieces_is_the_message() {
        let payload = Payload::new(1, 100);
        let mut whole = vec![0; 300_000];
        payload.write(ID, 0, &mut whole);
        for cut in [1, 8, 15, 16, 17, 64, BLOCK_BYTES, CHUNK_BYTES + 20] {
            let mut piece = vec![0; 1000];
            payload.write(ID, cut, &mut piece);
            assert_eq!(piece, whole[cut..cut + 1000], "from {cut}");
            assert_eq!(payload.first_difference(ID, cut, &whole[cut..]), None, "from {cut}");
        }
        assert_eq!(payload.read_header(&whole), Some(ID));
        assert_eq!(Payload::new(2, 100).read_header(&whole), None, "another run's message");
    }

    #[test]
    fn a_lent_chunk_is_the_message_and_the_block_is_restored() {
        let mut payload = Payload::new(1, 100);
        let before = payload.bytes.clone();
        let mut whole = vec![0; CHUNK_BYTES];
        for number in 0..1000 {
            let id = MessageId { number, ..ID };
            payload.write(id, 0, &mut whole);
            for from in [0, 1, 15, 16, 17, BLOCK_BYTES - 1] {
                let length = if number < 10 { CHUNK_BYTES - from } else { 100 };
                let is_it = |lent: &[u8]| lent == &whole[from..][..length];
                assert!(payload.with_chunk(id, from, length, is_it), "{id:?} from {from}");
            }
        }
        assert_eq!(payload.bytes, before);
    }

    #[test]
    fn every_wrong_byte_is_found_at_its_offset() {
        let payload = Payload::new(1, 100);
        let mut whole = vec![0; 100];
        payload.write(ID, 0, &mut whole);
        for at in 0..100 {
            whole[at] ^= 1;
            assert_eq!(payload.first_difference(ID, 0, &whole), Some(at));
            whole[at] ^= 1;
        }
    }

    #[test]
    fn no_other_message_matches() {
        let payload = Payload::new(1, 100);
        let mut other = [0; 100];
        for id in [MessageId { number: 8, ..ID }, MessageId { connection: 4, ..ID }] {
            payload.write(id, 0, &mut other);
            assert!(payload.first_difference(ID, 0, &other).is_some());
            assert!(
                payload.first_difference(ID, 16, &other[16..]).is_some(),
                "the body alone does not match either"
            );
        }
    }

    #[test]
    fn no_two_messages_start_at_the_same_offset() {
        for stride in [1, 64, 1024, 40_493, 65_520, 65_522] {
            let payload = Payload::new(1, stride);
            let mut is_used = vec![false; BLOCK_BYTES];
            for number in 1 << 40..(1 << 40) + BLOCK_BYTES as u64 {
                let start = payload.block_offset(MessageId { number, ..ID });
                assert!(!std::mem::replace(&mut is_used[start], true), "{stride}: {number}");
            }
        }
    }
}
