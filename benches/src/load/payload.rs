//! The bytes of a message, and the check of those that come back. It knows no sockets.
//!
//! ```text
//!   0        8            12       16
//!   | number | connection |  run   | payload, begun at a start of this message's own ...
//! ```
//!
//! A message says who it is in its first bytes (a shorter one as far as it goes), and every byte
//! after that is payload: one block, repeated for ever. Its length is a prime, which divides no
//! usual size of buffers or messages: who loses or doubles one of those shifts every byte after
//! it. At the latest the next header does not fit, or there is too little or too much at the end.
//!
//! Where messages are short and all equally long, the payload of one goes on where that of the one
//! before it ended: see `run_of_messages.rs`. No two of 65,521 messages in a row of one connection begin at the same
//! start; of pieces from the midst of another connection's messages one in as many would fit.

/// Where the payload of a message begins.
pub const HEADER_BYTES: u32 = 16;

/// The same, for slices.
const HEADER_LEN: usize = HEADER_BYTES as usize;

/// The block's length: the largest prime below 64 KiB.
const BLOCK_BYTES: usize = 65_521;

/// The longest piece lent or checked at once. The block is stored this much longer than its
/// period, and a header, so that a piece that wraps around is contiguous too.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// Which message: the number counts up in each connection, from 0; with churn over all
/// connections, so that each has one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageId {
    pub(super) connection: u32,
    pub(super) number: u64,
}

/// The block, and which run this is: a server may still hold datagrams of the run before.
#[derive(Debug)]
pub(super) struct Payload {
    bytes: Vec<u8>,
    run_id: u32,
    /// How far behind one message of a connection the next one begins.
    pub(super) stride: usize,
}

impl Payload {
    /// The payload of a run in which a message begins so far behind the one before it: see `run_of_messages.rs`.
    pub(super) fn new(run_id: u32, stride: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let block: Vec<u8> = (0..BLOCK_BYTES)
            .map(|_| {
                // xorshift64: any payload without a short period will do.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[0]
            })
            .collect();
        let stored = BLOCK_BYTES + HEADER_LEN + CHUNK_BYTES;
        let bytes = block.iter().copied().cycle().take(stored).collect();
        assert!(!stride.is_multiple_of(BLOCK_BYTES), "all would begin at the same start");
        Self { bytes, run_id, stride }
    }

    /// What the first bytes of a message say.
    pub(super) fn header(&self, id: MessageId) -> [u8; HEADER_LEN] {
        let MessageId { connection, number } = id;
        (u128::from(number) | u128::from(connection) << 64 | u128::from(self.run_id) << 96)
            .to_le_bytes()
    }

    /// Whose header this is; `None` when it is cut short or not one of this run.
    pub(super) fn read_header(&self, bytes: &[u8]) -> Option<MessageId> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        let number = u64::from_le_bytes(*header.first_chunk()?);
        let connection = u32::from_le_bytes(*header[8..].first_chunk()?);
        let id = MessageId { connection, number };
        (self.header(id) == *header).then_some(id)
    }

    /// Lends what a message has from `offset` on, at most [`PIECE_BYTES`] of it, without a copy:
    /// the header is laid over the block for so long.
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

    /// Where in the block a message begins.
    #[inline]
    fn block_offset(&self, id: MessageId) -> usize {
        let track = mix64(u64::from(id.connection)) >> 48;
        let ahead = id.number.wrapping_mul(self.stride as u64).wrapping_add(track);
        #[expect(clippy::cast_possible_truncation, reason = "it is below PERIOD_BYTES")]
        let start = (ahead % BLOCK_BYTES as u64) as usize;
        start
    }

    /// What follows the header, in a message that is short enough for one piece.
    fn body(&self, id: MessageId, length: usize) -> &[u8] {
        &self.bytes[self.block_offset(id) + HEADER_LEN..][..length]
    }

    /// At most [`PIECE_BYTES`] of a message's payload from `offset` on: what it has there, if that is
    /// past its header.
    pub(super) fn chunk(&self, id: MessageId, offset: usize, length: usize) -> &[u8] {
        let start = (self.block_offset(id) + offset) % BLOCK_BYTES;
        &self.bytes[start..start + length.min(CHUNK_BYTES)]
    }

    /// Writes what a message has from `offset` on over all of `out`.
    #[inline]
    pub(super) fn write(&self, id: MessageId, offset: usize, out: &mut [u8]) {
        // Nearly always a whole message.
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
        while at < out.len() {
            let piece = self.chunk(id, offset + at, out.len() - at);
            out[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
    }

    /// The first of the `got` bytes that is not what the message has there, from `offset` on.
    #[inline]
    pub(super) fn first_difference(
        &self,
        id: MessageId,
        offset: usize,
        got: &[u8],
    ) -> Option<usize> {
        // Nearly always a whole message, and right.
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

/// The finaliser of splitmix64: neighbours end far from each other.
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
    fn what_is_lent_is_the_message_and_comes_back_unharmed() {
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
    fn every_wrong_byte_is_found_where_it_is() {
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
    fn no_other_message_fits() {
        let payload = Payload::new(1, 100);
        let mut other = [0; 100];
        for id in [MessageId { number: 8, ..ID }, MessageId { connection: 4, ..ID }] {
            payload.write(id, 0, &mut other);
            assert!(payload.first_difference(ID, 0, &other).is_some());
            assert!(
                payload.first_difference(ID, 16, &other[16..]).is_some(),
                "nor its payload alone"
            );
        }
    }

    #[test]
    fn no_two_messages_begin_at_the_same_place() {
        for stride in [1, 64, 1024, 40_493, 65_520, 65_522] {
            let payload = Payload::new(1, stride);
            let mut is_taken = vec![false; BLOCK_BYTES];
            for number in 1 << 40..(1 << 40) + BLOCK_BYTES as u64 {
                let start = payload.block_offset(MessageId { number, ..ID });
                assert!(!std::mem::replace(&mut is_taken[start], true), "{stride}: {number}");
            }
        }
    }
}
