//! The set of woken tasks: one bit per task, which any thread may set.
//!
//! Knows slots and bits, and neither tasks nor the kernel.
//!
//! ```text
//!  Waker -> TaskWaker (slot 70) -> WakeBitmap: bit 6 of word 1, and bit 1 of the summary
//!  the executor: takes the summary, and only the words whose bits are set in it
//! ```

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::array;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::task::Waker;

use super::loop_waker::LoopWaker;

/// Bits of a word. A machine word and not 64 bits: every machine has atomics of its word size.
const WORD_BITS: usize = usize::BITS as usize;

/// Slots of one bitmap: as many words as a summary has bits. 4,096 with 64-bit words.
const BITMAP_SLOTS: usize = WORD_BITS * WORD_BITS;

/// The bits of many tasks.
///
/// A bitmap and not a list that wakers push to: a push needs a lock or `unsafe`, and the list
/// grows with the number of wakes. A bit is set once, whatever the number of wakes.
#[derive(Debug)]
struct WakeBitmap {
    loop_waker: Arc<LoopWaker>,
    /// Bit `n`: word `n` may have bits set.
    summary: AtomicUsize,
    words: [AtomicUsize; WORD_BITS],
}

/// What a [`Waker`] holds: the bit to set.
#[derive(Debug)]
struct TaskWaker {
    bitmap: Arc<WakeBitmap>,
    index: usize,
}

/// All bitmaps.
#[derive(Debug)]
pub(super) struct WakeSet {
    bitmaps: Vec<Arc<WakeBitmap>>,
    loop_waker: Arc<LoopWaker>,
}

/// The waker of `block_on`'s future, which has no slot: it lives on the caller's stack.
#[derive(Debug)]
pub(super) struct RootWaker {
    is_woken: AtomicBool,
    loop_waker: Arc<LoopWaker>,
}

impl WakeBitmap {
    fn set(&self, index: usize) {
        // The word first: a reader of the summary's bit must also see the word's.
        self.words[index / WORD_BITS].fetch_or(1 << (index % WORD_BITS), Ordering::Release);
        self.summary.fetch_or(1 << (index / WORD_BITS), Ordering::Release);
        self.loop_waker.notify();
    }
}

impl Wake for TaskWaker {
    #[inline]
    fn wake(self: Arc<Self>) {
        self.bitmap.set(self.index);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bitmap.set(self.index);
    }
}

impl WakeSet {
    /// Without tasks. Cost: O(1).
    pub(super) const fn new(loop_waker: Arc<LoopWaker>) -> Self {
        Self { bitmaps: Vec::new(), loop_waker }
    }

    /// A waker for the task in `slot`. Cost: O(1), one allocation; occasionally that of a bitmap.
    ///
    /// It belongs to the slot. A waker kept longer than its task wakes the task that is in the
    /// slot by then: a spurious wake-up, which every future must tolerate.
    pub(super) fn waker(&mut self, slot: u32) -> Waker {
        let (bitmap, index) = (slot as usize / BITMAP_SLOTS, slot as usize % BITMAP_SLOTS);
        while self.bitmaps.len() <= bitmap {
            let words = array::from_fn(|_| AtomicUsize::new(0));
            let (summary, loop_waker) = (AtomicUsize::new(0), Arc::clone(&self.loop_waker));
            self.bitmaps.push(Arc::new(WakeBitmap { loop_waker, summary, words }));
        }
        Waker::from(Arc::new(TaskWaker { bitmap: Arc::clone(&self.bitmaps[bitmap]), index }))
    }

    /// Whether any task was woken. Cost: O(slots / 4,096).
    pub(super) fn any_woken(&self) -> bool {
        self.bitmaps.iter().any(|bitmap| bitmap.summary.load(Ordering::Relaxed) != 0)
    }

    /// Appends the slots of woken tasks and clears their bits: a wake from here on counts for the
    /// next call. Cost: O(slots / 4,096), and O(1) for each woken task.
    #[expect(clippy::cast_possible_truncation, reason = "slots are 32 bits, and this is one")]
    pub(super) fn drain_into(&self, woken: &mut VecDeque<u32>) {
        for (bitmap_index, bitmap) in self.bitmaps.iter().enumerate() {
            // A load is cheaper than a swap, and most bitmaps are empty.
            if bitmap.summary.load(Ordering::Relaxed) == 0 {
                continue;
            }
            for word in bits(bitmap.summary.swap(0, Ordering::Acquire)) {
                for bit in bits(bitmap.words[word].swap(0, Ordering::Acquire)) {
                    woken.push_back((bitmap_index * BITMAP_SLOTS + word * WORD_BITS + bit) as u32);
                }
            }
        }
    }
}

/// The indices of the bits that are set, the lowest first.
fn bits(mut word: usize) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        // Clears the lowest set bit; ends when there is none.
        let rest = word & word.checked_sub(1)?;
        word = rest;
        Some(bit)
    })
}

impl RootWaker {
    /// Creates it woken, so that the future is polled the first time.
    pub(super) fn new_woken(loop_waker: Arc<LoopWaker>) -> Arc<Self> {
        Arc::new(Self { is_woken: AtomicBool::new(true), loop_waker })
    }

    pub(super) fn is_woken(&self) -> bool {
        self.is_woken.load(Ordering::Relaxed)
    }

    /// Whether it was woken; clears that.
    pub(super) fn take(&self) -> bool {
        self.is_woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.loop_waker.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woken(wake_set: &WakeSet) -> Vec<u32> {
        let mut woken = VecDeque::new();
        wake_set.drain_into(&mut woken);
        woken.into()
    }

    #[test]
    fn each_woken_slot_is_collected_once() {
        let mut wake_set = WakeSet::new(Arc::new(LoopWaker::local()));
        let slots = [0, 1, 63, 64, 4_095, 4_096, 9_999];
        let wakers = slots.map(|slot| wake_set.waker(slot));
        assert!(!wake_set.any_woken());
        for waker in &wakers {
            waker.wake_by_ref();
            waker.wake_by_ref();
        }
        assert!(wake_set.any_woken());
        assert_eq!(woken(&wake_set), slots);
        assert!(!wake_set.any_woken());
        assert_eq!(woken(&wake_set), []);
    }

    #[test]
    fn concurrent_wakes_are_not_lost() {
        let mut wake_set = WakeSet::new(Arc::new(LoopWaker::local()));
        let wakers: Vec<Waker> = (0..200).map(|slot| wake_set.waker(slot)).collect();
        let mut counts = [0; 200];
        std::thread::scope(|scope| {
            for half in wakers.chunks(100) {
                scope.spawn(move || half.iter().for_each(Waker::wake_by_ref));
            }
            // Wakes during collection: each is found now or later.
            while counts.iter().sum::<u32>() < 200 {
                woken(&wake_set).into_iter().for_each(|slot| counts[slot as usize] += 1);
                std::thread::yield_now();
            }
        });
        assert_eq!(counts, [1; 200]);
        assert_eq!(woken(&wake_set), []);
    }
}
