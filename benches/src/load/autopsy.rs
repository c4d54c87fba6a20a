//! Names what went wrong in a stream: from the first message that does not fit and the bytes that
//! came in its place. Pure: it knows no sockets and no time.

use super::mismatch::{Mismatch, Wrong};
use super::noise::{Name, Noise};
use super::sizes::Sizes;

/// How many messages before and after the one that was due are tried in its place. A server that
/// mixes up more than this is named by its first wrong byte.
const NEIGHBOURS_MAX: u64 = 1024;

/// How many bytes must fit until a piece is believed to be some message's: fewer could be chance.
const BELIEVED_BYTES_MIN: usize = 4;

/// How many bytes lost or added within a message are looked for.
const SHIFT_BYTES_MAX: usize = 256;

/// What is known of the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) noise: &'a Noise,
    pub(super) sizes: &'a Sizes,
    pub(super) seed: u64,
    /// The message that was due.
    pub(super) due: Name,
    /// The first message that was not sent whole, and so many bytes of it were.
    pub(super) sent: u64,
    pub(super) sent_of: usize,
    /// Where in the stream the message that was due begins.
    pub(super) offset: u64,
}

impl Case<'_> {
    /// Names the wrong. `came` begins where the message that was due should have begun.
    ///
    /// `None` when nothing is wrong with it, as far as it goes.
    pub(super) fn name(&self, came: &[u8]) -> Option<Mismatch> {
        let at = self.first_wrong(came)?;
        let offset = Some(self.offset + at as u64);
        let mismatch = |wrong| {
            let Name { connection, number } = self.due;
            Some(Mismatch { connection, offset, message: number, wrong })
        };
        if let Some(name) = self.noise.read_header(came)
            && name.connection != self.due.connection
        {
            let wrong = Wrong::Foreign(name.connection);
            return mismatch(wrong).map(|found| Mismatch { message: name.number, ..found });
        }
        if let Some(later) = self.later(came) {
            let after = came.get(self.size(later)..).unwrap_or_default();
            let came_after = !after.is_empty() && self.fits(self.due.number, after);
            return mismatch(if came_after {
                Wrong::Reordered(later)
            } else {
                Wrong::Lost(later - self.due.number)
            });
        }
        if let Some(earlier) = self.earlier(came) {
            return mismatch(Wrong::Duplicated).map(|found| Mismatch { message: earlier, ..found });
        }
        if self.due.number >= self.sent && at >= self.sent_of {
            return mismatch(Wrong::Surplus((came.len() - at) as u64));
        }
        let due = self.message(self.due.number);
        if let Some(wrong) = shifted(&due, came, at) {
            return mismatch(wrong);
        }
        mismatch(Wrong::Altered { expected: *due.get(at)?, got: *came.get(at)? })
    }

    fn first_wrong(&self, came: &[u8]) -> Option<usize> {
        let was_sent = self.due.number < self.sent;
        let size = if was_sent { self.size(self.due.number) } else { self.sent_of };
        let unasked = || (!was_sent && came.len() > size).then_some(size);
        self.noise.differs(self.due, 0, &came[..size.min(came.len())]).or_else(unasked)
    }

    /// The message after the one that was due that came in its place.
    fn later(&self, came: &[u8]) -> Option<u64> {
        let first = self.due.number + 1;
        let end = self.sent.min(first.saturating_add(NEIGHBOURS_MAX));
        (first..end).find(|&number| self.fits(number, came))
    }

    /// The one before it.
    fn earlier(&self, came: &[u8]) -> Option<u64> {
        let first = self.due.number.saturating_sub(NEIGHBOURS_MAX);
        (first..self.due.number).rev().find(|&number| self.fits(number, came))
    }

    fn fits(&self, number: u64, came: &[u8]) -> bool {
        let size = self.size(number).min(came.len());
        size >= BELIEVED_BYTES_MIN.min(self.size(number))
            && self.noise.differs(Name { number, ..self.due }, 0, &came[..size]).is_none()
    }

    fn size(&self, number: u64) -> usize {
        self.sizes.of(self.seed, Name { number, ..self.due }) as usize
    }

    fn message(&self, number: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.size(number)];
        self.noise.write(Name { number, ..self.due }, 0, &mut bytes);
        bytes
    }
}

/// Whether the rest fits when some bytes are left out, on one side or the other.
fn shifted(due: &[u8], came: &[u8], at: usize) -> Option<Wrong> {
    let fits = |due: &[u8], came: &[u8]| {
        let both = due.len().min(came.len());
        both >= BELIEVED_BYTES_MIN && due[..both] == came[..both]
    };
    (1..=SHIFT_BYTES_MAX)
        .find_map(|shift| {
            let (due_on, came_on) = (due.get(at + shift..)?, came.get(at..)?);
            fits(due_on, came_on).then_some(Wrong::BytesLost(shift as u64))
        })
        .or_else(|| {
            (1..=SHIFT_BYTES_MAX).find_map(|shift| {
                let (due_on, came_on) = (due.get(at..)?, came.get(at + shift..)?);
                fits(due_on, came_on).then_some(Wrong::BytesAdded(shift as u64))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::super::row::stride;
    use super::*;

    const DUE: Name = Name { connection: 2, number: 10 };

    fn noise_of(size: u32) -> Noise {
        Noise::new(9, stride(&Sizes::Fixed(size)))
    }

    /// Message 10 is due, of 14 that were sent.
    fn case<'a>(noise: &'a Noise, sizes: &'a Sizes) -> Case<'a> {
        Case { noise, sizes, seed: 1, due: DUE, sent: 14, sent_of: 0, offset: 640 }
    }

    /// What is found when these messages come, of 14 that were sent.
    fn found(size: u32, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Option<Wrong> {
        let (noise, sizes) = (noise_of(size), Sizes::Fixed(size));
        let message = |number| {
            let mut bytes = vec![0; size as usize];
            noise.write(Name { number, ..DUE }, 0, &mut bytes);
            bytes
        };
        let mut messages: Vec<Vec<u8>> = (10..14).map(message).collect();
        change(&mut messages);
        let case = case(&noise, &sizes);
        case.name(&messages.concat()).map(|mismatch| mismatch.wrong)
    }

    #[test]
    fn each_kind_of_wrong_has_its_name() {
        for size in [8, 64, 5000] {
            assert_eq!(found(size, |_| ()), None);
            assert_eq!(found(size, |messages| messages.swap(0, 1)), Some(Wrong::Reordered(11)));
            assert_eq!(found(size, |messages| drop(messages.remove(0))), Some(Wrong::Lost(1)));
            assert_eq!(found(size, |messages| drop(messages.drain(..2))), Some(Wrong::Lost(2)));
            let altered = found(size, |messages| messages[0][7] ^= 0x10);
            assert!(matches!(altered, Some(Wrong::Altered { .. })), "{altered:?}");
        }
        assert_eq!(found(64, |all| drop(all[0].drain(20..23))), Some(Wrong::BytesLost(3)));
        assert_eq!(
            found(64, |all| drop(all[0].splice(20..20, [1, 2]))),
            Some(Wrong::BytesAdded(2))
        );
    }

    #[test]
    fn what_a_buffer_still_held_of_another_is_altered_not_shifted() {
        for size in [64, 1024, 1025, 16_384, 65_521, 65_536, 131_042, 131_072, 1 << 20] {
            let (noise, tail) = (noise_of(size), size as usize / 2);
            for other in (1..DUE.number).chain(11..14) {
                let mut stale = vec![0; size as usize];
                noise.write(Name { number: other, ..DUE }, 0, &mut stale);
                let found = found(size, |all| all[0][tail..].copy_from_slice(&stale[tail..]));
                assert!(matches!(found, Some(Wrong::Altered { .. })), "{size}: {found:?}");
            }
        }
    }

    #[test]
    fn a_message_that_had_come_before_is_a_duplicate() {
        let (noise, sizes) = (noise_of(64), Sizes::Fixed(64));
        let mut bytes = vec![0; 64];
        noise.write(Name { number: 9, ..DUE }, 0, &mut bytes);
        let case = case(&noise, &sizes);
        let found = case.name(&bytes).expect("it does not fit");
        assert_eq!((found.wrong, found.message), (Wrong::Duplicated, 9));
        // Also when nothing more is owed.
        let found = Case { sent: 10, ..case }.name(&bytes).expect("nothing is owed");
        assert_eq!((found.wrong, found.message), (Wrong::Duplicated, 9));
        noise.write(Name { connection: 1, number: 9 }, 0, &mut bytes);
        let found = case.name(&bytes).expect("it is another's");
        assert_eq!((found.wrong, found.message), (Wrong::Foreign(1), 9));
        let found = Case { sent: 10, ..case }.name(b"hello").expect("nothing is owed");
        assert_eq!((found.wrong, found.offset), (Wrong::Surplus(5), Some(640)));
        // Right, and before it was asked for: all of it, or the end of what is half sent.
        noise.write(DUE, 0, &mut bytes);
        for (sent_of, surplus) in [(0, 64), (16, 48), (63, 1)] {
            let found = Case { sent: 10, sent_of, ..case }.name(&bytes).expect("it came too soon");
            let place = Some(640 + sent_of as u64);
            assert_eq!((found.wrong, found.offset), (Wrong::Surplus(surplus), place));
        }
        assert_eq!(Case { sent: 10, sent_of: 16, ..case }.name(&bytes[..16]), None);
    }

    #[test]
    fn the_place_is_that_of_the_first_wrong_byte() {
        let (noise, sizes) = (noise_of(64), Sizes::Fixed(64));
        let mut bytes = vec![0; 64];
        noise.write(DUE, 0, &mut bytes);
        bytes[40] ^= 1;
        let case = case(&noise, &sizes);
        let found = case.name(&bytes).expect("it does not fit");
        assert_eq!((found.offset, found.message), (Some(680), 10));
    }
}
