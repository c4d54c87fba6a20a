//! The bytes of a message, and the check of those that come back. It knows no sockets.
//!
//! ```text
//!   0        8            12       16
//!   | number | connection |  run   | noise, begun at a place of this message's own ...
//! ```
//!
//! A message says who it is in its first bytes (a shorter one as far as it goes), and every byte
//! after that is noise: one block, repeated for ever. Its length is a prime, which divides no
//! usual size of buffers or messages: who loses or doubles one of those shifts every byte after
//! it. At the latest the next header does not fit, or there is too little or too much at the end.
//!
//! Where messages are short and all equally long, the noise of one goes on where that of the one
//! before it ended: see `run_of_messages.rs`. No two of 65,521 messages in a row of one connection begin at the same
//! place; of pieces from the midst of another connection's messages one in as many would fit.

/// Where the noise of a message begins.
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
    run: u32,
    /// How far behind one message of a connection the next one begins.
    pub(super) stride: usize,
}

impl Payload {
    /// The noise of a run in which a message begins so far behind the one before it: see `run_of_messages.rs`.
    pub(super) fn new(run: u32, stride: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let block: Vec<u8> = (0..BLOCK_BYTES)
            .map(|_| {
                // xorshift64: any noise without a short period will do.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[0]
            })
            .collect();
        let stored = BLOCK_BYTES + HEADER_LEN + CHUNK_BYTES;
        let bytes = block.iter().copied().cycle().take(stored).collect();
        assert!(!stride.is_multiple_of(BLOCK_BYTES), "all would begin at the same place");
        Self { bytes, run, stride }
    }

    /// What the first bytes of a message say.
    pub(super) fn header(&self, name: MessageId) -> [u8; HEADER_LEN] {
        let MessageId { connection, number } = name;
        (u128::from(number) | u128::from(connection) << 64 | u128::from(self.run) << 96)
            .to_le_bytes()
    }

    /// Whose header this is; `None` when it is cut short or not one of this run.
    pub(super) fn read_header(&self, bytes: &[u8]) -> Option<MessageId> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        let number = u64::from_le_bytes(*header.first_chunk()?);
        let connection = u32::from_le_bytes(*header[8..].first_chunk()?);
        let name = MessageId { connection, number };
        (self.header(name) == *header).then_some(name)
    }

    /// Lends what a message has from `offset` on, at most [`PIECE_BYTES`] of it, without a copy:
    /// the header is laid over the block for so long.
    pub(super) fn with_chunk<R>(
        &mut self,
        name: MessageId,
        offset: usize,
        length: usize,
        send: impl FnOnce(&[u8]) -> R,
    ) -> R {
        if offset >= HEADER_LEN {
            return send(self.chunk(name, offset, length));
        }
        let (header, place) = (self.header(name), self.block_offset(name));
        let message = &mut self.bytes[place..][..HEADER_LEN + CHUNK_BYTES];
        let (head, _) = message.split_first_chunk_mut().expect("it is longer than a header");
        let block = std::mem::replace(head, header);
        let result = send(&message[offset..][..length.min(CHUNK_BYTES)]);
        message[..HEADER_LEN].copy_from_slice(&block);
        result
    }

    /// Where in the block a message begins.
    #[inline]
    fn block_offset(&self, name: MessageId) -> usize {
        let track = mix64(u64::from(name.connection)) >> 48;
        let ahead = name.number.wrapping_mul(self.stride as u64).wrapping_add(track);
        #[expect(clippy::cast_possible_truncation, reason = "it is below PERIOD_BYTES")]
        let place = (ahead % BLOCK_BYTES as u64) as usize;
        place
    }

    /// What follows the header, in a message that is short enough for one piece.
    fn body(&self, name: MessageId, length: usize) -> &[u8] {
        &self.bytes[self.block_offset(name) + HEADER_LEN..][..length]
    }

    /// At most [`PIECE_BYTES`] of a message's noise from `offset` on: what it has there, if that is
    /// past its header.
    pub(super) fn chunk(&self, name: MessageId, offset: usize, length: usize) -> &[u8] {
        let start = (self.block_offset(name) + offset) % BLOCK_BYTES;
        &self.bytes[start..start + length.min(CHUNK_BYTES)]
    }

    /// Writes what a message has from `offset` on over all of `out`.
    #[inline]
    pub(super) fn write(&self, name: MessageId, offset: usize, out: &mut [u8]) {
        // Nearly always a whole message.
        if offset == 0
            && let Some((head, body)) = out.split_first_chunk_mut()
            && body.len() <= CHUNK_BYTES
        {
            *head = self.header(name);
            body.copy_from_slice(self.body(name, body.len()));
            return;
        }
        self.write_part(name, offset, out);
    }

    fn write_part(&self, name: MessageId, offset: usize, out: &mut [u8]) {
        let mut at = 0;
        if offset < HEADER_LEN {
            at = out.len().min(HEADER_LEN - offset);
            out[..at].copy_from_slice(&self.header(name)[offset..offset + at]);
        }
        while at < out.len() {
            let piece = self.chunk(name, offset + at, out.len() - at);
            out[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
    }

    /// The first of the `got` bytes that is not what the message has there, from `offset` on.
    #[inline]
    pub(super) fn first_difference(
        &self,
        name: MessageId,
        offset: usize,
        got: &[u8],
    ) -> Option<usize> {
        // Nearly always a whole message, and right.
        if offset == 0
            && let Some((head, body)) = got.split_first_chunk()
            && body.len() <= CHUNK_BYTES
            && *head == self.header(name)
            && body == self.body(name, body.len())
        {
            return None;
        }
        self.first_difference_in(name, offset, got)
    }

    fn first_difference_in(&self, name: MessageId, offset: usize, got: &[u8]) -> Option<usize> {
        let mut at = 0;
        if offset < HEADER_LEN {
            at = got.len().min(HEADER_LEN - offset);
            let owed = &self.header(name)[offset..offset + at];
            if owed != &got[..at] {
                return owed.iter().zip(got).position(|(a, b)| a != b);
            }
        }
        while at < got.len() {
            let owed = self.chunk(name, offset + at, got.len() - at);
            let part = &got[at..at + owed.len()];
            if owed != part {
                return owed.iter().zip(part).position(|(a, b)| a != b).map(|more| at + more);
            }
            at += owed.len();
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

    const NAME: MessageId = MessageId { connection: 3, number: 7 };

    #[test]
    fn a_message_in_pieces_is_the_message() {
        let noise = Payload::new(1, 100);
        let mut whole = vec![0; 300_000];
        noise.write(NAME, 0, &mut whole);
        for cut in [1, 8, 15, 16, 17, 64, BLOCK_BYTES, CHUNK_BYTES + 20] {
            let mut piece = vec![0; 1000];
            noise.write(NAME, cut, &mut piece);
            assert_eq!(piece, whole[cut..cut + 1000], "from {cut}");
            assert_eq!(noise.first_difference(NAME, cut, &whole[cut..]), None, "from {cut}");
        }
        assert_eq!(noise.read_header(&whole), Some(NAME));
        assert_eq!(Payload::new(2, 100).read_header(&whole), None, "another run's message");
    }

    #[test]
    fn what_is_lent_is_the_message_and_comes_back_unharmed() {
        let mut noise = Payload::new(1, 100);
        let before = noise.bytes.clone();
        let mut whole = vec![0; CHUNK_BYTES];
        for number in 0..1000 {
            let name = MessageId { number, ..NAME };
            noise.write(name, 0, &mut whole);
            for from in [0, 1, 15, 16, 17, BLOCK_BYTES - 1] {
                let length = if number < 10 { CHUNK_BYTES - from } else { 100 };
                let is_it = |lent: &[u8]| lent == &whole[from..][..length];
                assert!(noise.with_chunk(name, from, length, is_it), "{name:?} from {from}");
            }
        }
        assert_eq!(noise.bytes, before);
    }

    #[test]
    fn every_wrong_byte_is_found_where_it_is() {
        let noise = Payload::new(1, 100);
        let mut whole = vec![0; 100];
        noise.write(NAME, 0, &mut whole);
        for at in 0..100 {
            whole[at] ^= 1;
            assert_eq!(noise.first_difference(NAME, 0, &whole), Some(at));
            whole[at] ^= 1;
        }
    }

    #[test]
    fn no_other_message_fits() {
        let noise = Payload::new(1, 100);
        let mut other = [0; 100];
        for name in [MessageId { number: 8, ..NAME }, MessageId { connection: 4, ..NAME }] {
            noise.write(name, 0, &mut other);
            assert!(noise.first_difference(NAME, 0, &other).is_some());
            assert!(
                noise.first_difference(NAME, 16, &other[16..]).is_some(),
                "nor its noise alone"
            );
        }
    }

    #[test]
    fn no_two_messages_begin_at_the_same_place() {
        for stride in [1, 64, 1024, 40_493, 65_520, 65_522] {
            let noise = Payload::new(1, stride);
            let mut is_taken = vec![false; BLOCK_BYTES];
            for number in 1 << 40..(1 << 40) + BLOCK_BYTES as u64 {
                let place = noise.block_offset(MessageId { number, ..NAME });
                assert!(!std::mem::replace(&mut is_taken[place], true), "{stride}: {number}");
            }
        }
    }
}
