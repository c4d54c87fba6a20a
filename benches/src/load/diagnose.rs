//! Classifies a mismatch in a stream, from the first message that differs and the bytes received in
//! its place. Pure: it knows no sockets and no time.

use super::mismatch::{Mismatch, MismatchKind};
use super::payload::{MessageId, Payload};
use super::sizes::Sizes;

/// How many messages before and after the expected one are tried in its place. A larger
/// displacement is reported by its first wrong byte.
const SEARCH_WINDOW: u64 = 1024;

/// How many bytes must match for a piece to be attributed to a message: fewer could match by
/// chance.
const MATCH_BYTES_MIN: usize = 4;

/// Longest insertion or deletion searched for within a message.
const SHIFT_BYTES_MAX: usize = 256;

/// State of the stream at the mismatch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Diagnosis<'a> {
    pub(super) payload: &'a Payload,
    pub(super) sizes: &'a Sizes,
    pub(super) seed: u64,
    /// The expected message.
    pub(super) due: MessageId,
    /// The first message that was not sent completely, and how many bytes of it were sent.
    pub(super) sent: u64,
    pub(super) sent_of: usize,
    /// Stream offset at which the expected message begins.
    pub(super) offset: u64,
}

impl Diagnosis<'_> {
    /// Classifies the mismatch. `received` starts where the expected message should have started.
    ///
    /// Returns `None` if all received bytes match.
    pub(super) fn classify(&self, received: &[u8]) -> Option<Mismatch> {
        let at = self.first_mismatch(received)?;
        let offset = Some(self.offset + at as u64);
        let mismatch = |wrong| {
            let MessageId { connection, number } = self.due;
            Some(Mismatch { connection, offset, message: number, wrong })
        };
        if let Some(name) = self.payload.read_header(received)
            && name.connection != self.due.connection
        {
            let wrong = MismatchKind::WrongConnection(name.connection);
            return mismatch(wrong).map(|found| Mismatch { message: name.number, ..found });
        }
        if let Some(later) = self.find_later(received) {
            let after = received.get(self.size(later)..).unwrap_or_default();
            let continues = !after.is_empty() && self.matches(self.due.number, after);
            return mismatch(if continues {
                MismatchKind::Reordered(later)
            } else {
                MismatchKind::Lost(later - self.due.number)
            });
        }
        if let Some(earlier) = self.find_earlier(received) {
            return mismatch(MismatchKind::Duplicated)
                .map(|found| Mismatch { message: earlier, ..found });
        }
        if self.due.number >= self.sent && at >= self.sent_of {
            return mismatch(MismatchKind::Extra((received.len() - at) as u64));
        }
        let due = self.message(self.due.number);
        if let Some(wrong) = find_shift(&due, received, at) {
            return mismatch(wrong);
        }
        mismatch(MismatchKind::Altered { expected: *due.get(at)?, got: *received.get(at)? })
    }

    fn first_mismatch(&self, received: &[u8]) -> Option<usize> {
        let was_sent = self.due.number < self.sent;
        let size = if was_sent { self.size(self.due.number) } else { self.sent_of };
        let surplus = || (!was_sent && received.len() > size).then_some(size);
        self.payload
            .first_difference(self.due, 0, &received[..size.min(received.len())])
            .or_else(surplus)
    }

    /// Searches for a later message received in place of the expected one.
    fn find_later(&self, received: &[u8]) -> Option<u64> {
        let first = self.due.number + 1;
        let end = self.sent.min(first.saturating_add(SEARCH_WINDOW));
        (first..end).find(|&number| self.matches(number, received))
    }

    /// Searches for an earlier message received in its place.
    fn find_earlier(&self, received: &[u8]) -> Option<u64> {
        let first = self.due.number.saturating_sub(SEARCH_WINDOW);
        (first..self.due.number).rev().find(|&number| self.matches(number, received))
    }

    fn matches(&self, number: u64, received: &[u8]) -> bool {
        let size = self.size(number).min(received.len());
        size >= MATCH_BYTES_MIN.min(self.size(number))
            && self
                .payload
                .first_difference(MessageId { number, ..self.due }, 0, &received[..size])
                .is_none()
    }

    fn size(&self, number: u64) -> usize {
        self.sizes.size_of_message(self.seed, MessageId { number, ..self.due }) as usize
    }

    fn message(&self, number: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.size(number)];
        self.payload.write(MessageId { number, ..self.due }, 0, &mut bytes);
        bytes
    }
}

/// Whether the rest matches when some bytes are skipped on one side or the other.
fn find_shift(due: &[u8], received: &[u8], at: usize) -> Option<MismatchKind> {
    let fits = |due: &[u8], received: &[u8]| {
        let both = due.len().min(received.len());
        both >= MATCH_BYTES_MIN && due[..both] == received[..both]
    };
    let kinds: [fn(u64) -> MismatchKind; 2] = [MismatchKind::BytesLost, MismatchKind::BytesAdded];
    kinds.into_iter().zip([(1, 0), (0, 1)]).find_map(|(kind, (lost, added))| {
        (1..=SHIFT_BYTES_MAX).find_map(|shift| {
            let (due, received) =
                (due.get(at + lost * shift..)?, received.get(at + added * shift..)?);
            fits(due, received).then(|| kind(shift as u64))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::run_of_messages::stride;
    use super::*;

    const DUE: MessageId = MessageId { connection: 2, number: 10 };

    fn payload_of(size: u32) -> Payload {
        Payload::new(9, stride(&Sizes::Fixed(size)))
    }

    /// Message 10 is expected, of 14 that were sent.
    fn case<'a>(payload: &'a Payload, sizes: &'a Sizes) -> Diagnosis<'a> {
        Diagnosis { payload, sizes, seed: 1, due: DUE, sent: 14, sent_of: 0, offset: 640 }
    }

    /// The classification when these messages are received, of 14 that were sent.
    fn found(size: u32, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Option<MismatchKind> {
        let (payload, sizes) = (payload_of(size), Sizes::Fixed(size));
        let message = |number| {
            let mut bytes = vec![0; size as usize];
            payload.write(MessageId { number, ..DUE }, 0, &mut bytes);
            bytes
        };
        let mut messages: Vec<Vec<u8>> = (10..14).map(message).collect();
        change(&mut messages);
        let case = case(&payload, &sizes);
        case.classify(&messages.concat()).map(|mismatch| mismatch.wrong)
    }

    #[test]
    fn each_kind_of_mismatch_is_classified() {
        for size in [8, 64, 5000] {
            assert_eq!(found(size, |_| ()), None);
            assert_eq!(
                found(size, |messages| messages.swap(0, 1)),
                Some(MismatchKind::Reordered(11))
            );
            assert_eq!(
                found(size, |messages| drop(messages.remove(0))),
                Some(MismatchKind::Lost(1))
            );
            assert_eq!(
                found(size, |messages| drop(messages.drain(..2))),
                Some(MismatchKind::Lost(2))
            );
            let altered = found(size, |messages| messages[0][7] ^= 0x10);
            assert!(matches!(altered, Some(MismatchKind::Altered { .. })), "{altered:?}");
        }
        assert_eq!(found(64, |all| drop(all[0].drain(20..23))), Some(MismatchKind::BytesLost(3)));
        assert_eq!(
            found(64, |all| drop(all[0].splice(20..20, [1, 2]))),
            Some(MismatchKind::BytesAdded(2))
        );
    }

    #[test]
    fn stale_buffer_contents_are_altered_not_shifted() {
        for size in [64, 1024, 1025, 16_384, 65_521, 65_536, 131_042, 131_072, 1 << 20] {
            let (payload, tail) = (payload_of(size), size as usize / 2);
            for other in (1..DUE.number).chain(11..14) {
                let mut stale = vec![0; size as usize];
                payload.write(MessageId { number: other, ..DUE }, 0, &mut stale);
                let found = found(size, |all| all[0][tail..].copy_from_slice(&stale[tail..]));
                assert!(matches!(found, Some(MismatchKind::Altered { .. })), "{size}: {found:?}");
            }
        }
    }

    #[test]
    fn a_message_received_before_is_a_duplicate() {
        let (payload, sizes) = (payload_of(64), Sizes::Fixed(64));
        let mut bytes = vec![0; 64];
        payload.write(MessageId { number: 9, ..DUE }, 0, &mut bytes);
        let case = case(&payload, &sizes);
        let found = case.classify(&bytes).expect("it does not match");
        assert_eq!((found.wrong, found.message), (MismatchKind::Duplicated, 9));
        // Also when nothing is outstanding.
        let found =
            Diagnosis { sent: 10, ..case }.classify(&bytes).expect("nothing is outstanding");
        assert_eq!((found.wrong, found.message), (MismatchKind::Duplicated, 9));
        payload.write(MessageId { connection: 1, number: 9 }, 0, &mut bytes);
        let found = case.classify(&bytes).expect("it is of another connection");
        assert_eq!((found.wrong, found.message), (MismatchKind::WrongConnection(1), 9));
        let found =
            Diagnosis { sent: 10, ..case }.classify(b"hello").expect("nothing is outstanding");
        assert_eq!((found.wrong, found.offset), (MismatchKind::Extra(5), Some(640)));
        // Correct, but before it was sent: all of it, or the end of a half-sent message.
        payload.write(DUE, 0, &mut bytes);
        for (sent_of, surplus) in [(0, 64), (16, 48), (63, 1)] {
            let found = Diagnosis { sent: 10, sent_of, ..case }
                .classify(&bytes)
                .expect("it arrived too early");
            let place = Some(640 + sent_of as u64);
            assert_eq!((found.wrong, found.offset), (MismatchKind::Extra(surplus), place));
        }
        assert_eq!(Diagnosis { sent: 10, sent_of: 16, ..case }.classify(&bytes[..16]), None);
    }

    #[test]
    fn the_offset_is_that_of_the_first_wrong_byte() {
        let (payload, sizes) = (payload_of(64), Sizes::Fixed(64));
        let mut bytes = vec![0; 64];
        payload.write(DUE, 0, &mut bytes);
        bytes[40] ^= 1;
        let case = case(&payload, &sizes);
        let found = case.classify(&bytes).expect("it does not match");
        assert_eq!((found.offset, found.message), (Some(680), 10));
    }
}
