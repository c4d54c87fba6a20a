//! The laws of `Owed`, beside a queue without a bound.
//!
//! Plain functions over a plan, for proptest (`tests/laws.rs`) and the fuzzer alike: they know
//! neither. Each panics with the name of the law that was broken.

use epollite::{Owed, TooMuch};

/// Owes and pays as `plan` says, one operation a byte, and asks after each whether both queues
/// agree. Its first byte is the bound.
///
/// # Panics
/// When a law is broken, with its name.
pub fn agrees_with_a_queue(plan: &[u8]) {
    let Some((bytes_max, plan)) = plan.split_first() else {
        return;
    };
    let bytes_max = usize::from(*bytes_max);
    let (mut owed, mut queue) = (Owed::new(), Vec::new());
    let mut next = 0_u8;
    for step in plan {
        let amount = usize::from(step >> 1);
        if step % 2 == 0 {
            let bytes: Vec<u8> = (0..amount)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            let fits = queue.len() + amount <= bytes_max || amount == 0;
            let wanted = if fits { Ok(()) } else { Err(TooMuch) };
            assert_eq!(
                owed.owe(&bytes, bytes_max),
                wanted,
                "law: refused exactly when the bound would break"
            );
            if fits {
                queue.extend(bytes);
            }
        } else {
            let count = amount.min(queue.len());
            owed.paid(count);
            queue.drain(..count);
        }
        agree(&owed, &queue, bytes_max);
    }
}

fn agree(owed: &Owed, queue: &[u8], bytes_max: usize) {
    assert_eq!(
        owed.bytes(),
        queue,
        "law: first in, first out, nothing lost, nothing of what was refused"
    );
    assert_eq!(owed.len(), queue.len(), "law: len counts the bytes");
    assert_eq!(owed.is_empty(), queue.is_empty(), "law: empty is len 0");
    assert!(
        owed.len() <= owed.capacity() && owed.capacity() <= bytes_max,
        "law: the memory behind it keeps to the bound: {} of {bytes_max}",
        owed.capacity()
    );
    assert!(
        !owed.is_empty() || owed.capacity() == 0,
        "law: with the last byte paid the memory is given back"
    );
}
