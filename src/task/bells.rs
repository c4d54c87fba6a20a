//! Who is to be polled: one bit a task, which any thread may set.
//!
//! Knows slots and bits. It has never heard of a task, nor of a kernel.
//!
//! ```text
//!  Waker -> Bell (slot 70) -> Board: bit 6 of word 1 ... and bit 1 of the summary
//!  the loop: takes the summary, and only the words that it names
//! ```

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::array;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::task::Waker;

/// Bits of a word. A machine word and not 64 bits: every machine has atomics of its own size.
const WORD: usize = usize::BITS as usize;

/// Slots that one board has: as many words as a summary has bits. 4,096 where words have 64.
const BOARD: usize = WORD * WORD;

/// The bits of many tasks.
///
/// One board and not a list that wakers push to: to push, a list wants a lock or `unsafe`, and
/// it grows with wakes. A bit is one whatever the number of wakes.
#[derive(Debug)]
struct Board {
    /// Bit `n`: look at word `n`.
    summary: AtomicUsize,
    words: [AtomicUsize; WORD],
}

/// What a [`Waker`] holds: whose bit is to be set.
#[derive(Debug)]
struct Bell {
    board: Arc<Board>,
    at: usize,
}

/// All boards: what the loop looks at.
#[derive(Debug, Default)]
pub(super) struct Bells {
    boards: Vec<Arc<Board>>,
}

/// The bell of a future that has no slot, since it stands on its caller's stack.
#[derive(Debug)]
pub(super) struct MainBell(AtomicBool);

impl Board {
    fn ring(&self, at: usize) {
        // The word first: who finds the summary's bit must find the word's too.
        self.words[at / WORD].fetch_or(1 << (at % WORD), Ordering::Release);
        self.summary.fetch_or(1 << (at / WORD), Ordering::Release);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.board.ring(self.at);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.board.ring(self.at);
    }
}

impl Bells {
    /// A waker for who is in `slot`. Work: O(1), one allocation; and a board's, now and then.
    ///
    /// It stays with the slot. Who keeps one longer than its task lives wakes whoever is in the
    /// slot then, who looks, finds nothing, and waits on: a future must bear that anyway.
    pub(super) fn bell(&mut self, slot: u32) -> Waker {
        let (board, at) = (slot as usize / BOARD, slot as usize % BOARD);
        while self.boards.len() <= board {
            let words = array::from_fn(|_| AtomicUsize::new(0));
            self.boards.push(Arc::new(Board { summary: AtomicUsize::new(0), words }));
        }
        Waker::from(Arc::new(Bell { board: Arc::clone(&self.boards[board]), at }))
    }

    /// Whether anybody has rung. Work: O(slots / 4,096).
    pub(super) fn are_rung(&self) -> bool {
        self.boards.iter().any(|board| board.summary.load(Ordering::Relaxed) != 0)
    }

    /// Appends the slots of those who have rung, and silences them: from here on a ring counts
    /// for the next time. Work: O(slots / 4,096), and O(1) for each that has rung.
    #[expect(clippy::cast_possible_truncation, reason = "slots are 32 bits, and this is one")]
    pub(super) fn collect(&self, due: &mut VecDeque<u32>) {
        for (number, board) in self.boards.iter().enumerate() {
            // To look costs less than to take, and most boards are silent.
            if board.summary.load(Ordering::Relaxed) == 0 {
                continue;
            }
            for word in bits(board.summary.swap(0, Ordering::Acquire)) {
                for bit in bits(board.words[word].swap(0, Ordering::Acquire)) {
                    due.push_back((number * BOARD + word * WORD + bit) as u32);
                }
            }
        }
    }
}

/// The numbers of the bits that are set, the lowest first.
fn bits(mut word: usize) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        // Clears the lowest one; of no bits there is none.
        let rest = word & word.checked_sub(1)?;
        word = rest;
        Some(bit)
    })
}

impl MainBell {
    /// One that has rung already: who has never been polled is to be.
    pub(super) fn rung() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    pub(super) fn is_rung(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether it has rung, and silences it.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Acquire)
    }
}

impl Wake for MainBell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(bells: &Bells) -> Vec<u32> {
        let mut due = VecDeque::new();
        bells.collect(&mut due);
        due.into()
    }

    #[test]
    fn whoever_rings_is_due_once_and_nobody_else_is() {
        let mut bells = Bells::default();
        let slots = [0, 1, 63, 64, 4_095, 4_096, 9_999];
        let wakers = slots.map(|slot| bells.bell(slot));
        assert!(!bells.are_rung());
        for waker in &wakers {
            waker.wake_by_ref();
            waker.wake_by_ref();
        }
        assert!(bells.are_rung());
        assert_eq!(due(&bells), slots);
        assert!(!bells.are_rung());
        assert_eq!(due(&bells), []);
    }

    #[test]
    fn many_threads_ring_and_no_ring_is_lost() {
        let mut bells = Bells::default();
        let wakers: Vec<Waker> = (0..200).map(|slot| bells.bell(slot)).collect();
        let mut heard = [0; 200];
        std::thread::scope(|scope| {
            for half in wakers.chunks(100) {
                scope.spawn(move || half.iter().for_each(Waker::wake_by_ref));
            }
            // Rings while they are collected: each is found now or later.
            while heard.iter().sum::<u32>() < 200 {
                due(&bells).into_iter().for_each(|slot| heard[slot as usize] += 1);
                std::thread::yield_now();
            }
        });
        assert_eq!(heard, [1; 200]);
        assert_eq!(due(&bells), []);
    }
}
