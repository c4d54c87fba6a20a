//! Properties of `TimerHeap`, compared with a list that is sorted at every lookup.
//!
//! Plain functions over a plan, used by proptest (`tests/properties/main.rs`) and by the fuzzer;
//! they depend on neither. Each panics with the name of the violated invariant.

use epollite::Instant;
use epollite::collections::TimerHeap;

/// Sets, moves, cancels and expires as `plan` directs, one operation per three bytes, and checks
/// after each that the heap and the list agree.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn agrees_with_a_sorted_list(plan: &[u8]) {
    let mut timers = TimerHeap::new();
    let mut list: Vec<(Instant, u32)> = Vec::new();
    for step in plan.chunks_exact(3) {
        let (key, time) = (u32::from(step[1] % 32), instant(step[2]));
        match step[0] % 8 {
            0..=3 => {
                timers.set(key, time);
                list.retain(|(_, other)| *other != key);
                list.push((time, key));
            }
            4 | 5 => {
                let before = list.len();
                list.retain(|(_, other)| *other != key);
                let cancelled = timers.cancel(key);
                let there = list.len() < before;
                assert_eq!(cancelled, there, "invariant: cancel returns whether there was one");
            }
            _ => expire(&mut timers, &mut list, time),
        }
        agree(&timers, &mut list);
    }
    expire(&mut timers, &mut list, Instant::MAX);
    assert!(timers.is_empty(), "invariant: all deadlines expire at the maximum time");
}

/// Few instants, so that many are equal; and both ends of the range.
fn instant(byte: u8) -> Instant {
    match byte {
        u8::MAX => Instant::MAX,
        byte => Instant::from_nanos(u64::from(byte % 32)),
    }
}

/// Pops everything expired at `now`, in the order of the list.
fn expire(timers: &mut TimerHeap, list: &mut Vec<(Instant, u32)>, now: Instant) {
    list.sort_unstable();
    let due = list.partition_point(|(deadline, _)| *deadline <= now);
    for (_, key) in list.drain(..due) {
        assert_eq!(
            timers.pop_expired(now),
            Some(key),
            "invariant: the earliest is first, among equals the smaller key"
        );
    }
    assert_eq!(timers.pop_expired(now), None, "invariant: nothing expires before its time");
}

fn agree(timers: &TimerHeap, list: &mut [(Instant, u32)]) {
    list.sort_unstable();
    let earliest = list.first().map(|(deadline, _)| *deadline);
    assert_eq!(timers.next_deadline(), earliest, "invariant: next_deadline is the earliest");
    assert_eq!(timers.len(), list.len(), "invariant: one deadline per key");
    assert_eq!(timers.is_empty(), list.is_empty(), "invariant: is_empty is len == 0");
    for key in 0..40 {
        let wanted = list.iter().find(|(_, other)| *other == key);
        assert_eq!(
            timers.get(key),
            wanted.map(|(deadline, _)| *deadline),
            "invariant: every key has its deadline: {key}"
        );
    }
}
