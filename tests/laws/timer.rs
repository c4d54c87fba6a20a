//! The laws of `Timers`, beside a list that is sorted whenever somebody looks.
//!
//! Plain functions over a plan, for proptest (`tests/laws.rs`) and the fuzzer alike: they know
//! neither. Each panics with the name of the law that was broken.

use epollite::{Instant, Timers};

/// Sets, moves, takes back and expires as `plan` says, one operation for every three bytes, and
/// asks after each whether the heap and the list agree.
///
/// # Panics
/// When a law is broken, with its name.
pub fn agrees_with_a_sorted_list(plan: &[u8]) {
    let mut timers = Timers::new();
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
                assert_eq!(cancelled, there, "law: cancel says whether there was one");
            }
            _ => expire(&mut timers, &mut list, time),
        }
        agree(&timers, &mut list);
    }
    expire(&mut timers, &mut list, Instant::NEVER);
    assert!(timers.is_empty(), "law: everything expires at the end of time");
}

/// Few instants, so that many are equal; and both ends of time.
fn instant(byte: u8) -> Instant {
    match byte {
        u8::MAX => Instant::NEVER,
        byte => Instant::from_nanos(u64::from(byte % 32)),
    }
}

/// Takes out all that has expired by `now`, in the order of the list.
fn expire(timers: &mut Timers, list: &mut Vec<(Instant, u32)>, now: Instant) {
    list.sort_unstable();
    let due = list.partition_point(|(deadline, _)| *deadline <= now);
    for (_, key) in list.drain(..due) {
        assert_eq!(
            timers.expire(now),
            Some(key),
            "law: the earliest goes first, of equals the smaller key"
        );
    }
    assert_eq!(timers.expire(now), None, "law: nothing expires before its time");
}

fn agree(timers: &Timers, list: &mut [(Instant, u32)]) {
    list.sort_unstable();
    let earliest = list.first().map(|(deadline, _)| *deadline);
    assert_eq!(timers.earliest(), earliest, "law: the earliest is seen at once");
    assert_eq!(timers.len(), list.len(), "law: one deadline a key");
    assert_eq!(timers.is_empty(), list.is_empty(), "law: empty is len 0");
    for key in 0..40 {
        let wanted = list.iter().find(|(_, other)| *other == key);
        assert_eq!(
            timers.get(key),
            wanted.map(|(deadline, _)| *deadline),
            "law: every key knows its deadline: {key}"
        );
    }
}
