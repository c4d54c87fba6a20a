//! Properties of `WriteBuffer`, compared with an unbounded queue.
//!
//! Plain functions over a plan, used by proptest (`tests/properties/main.rs`) and by the fuzzer;
//! they depend on neither. Each panics with the name of the violated invariant.

use epollite::collections::{BufferFull, WriteBuffer};

/// Pushes and consumes as `plan` directs, one operation per byte, and checks after each that both
/// queues agree. Its first byte is the limit.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn agrees_with_a_queue(plan: &[u8]) {
    let Some((bytes_max, plan)) = plan.split_first() else {
        return;
    };
    let bytes_max = usize::from(*bytes_max);
    let (mut buffer, mut queue) = (WriteBuffer::new(), Vec::new());
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
            let wanted = if fits { Ok(()) } else { Err(BufferFull) };
            assert_eq!(
                buffer.push(&bytes, bytes_max),
                wanted,
                "invariant: refused exactly when the limit would be exceeded"
            );
            if fits {
                queue.extend(bytes);
            }
        } else {
            let count = amount.min(queue.len());
            buffer.consume(count);
            queue.drain(..count);
        }
        agree(&buffer, &queue, bytes_max);
    }
}

fn agree(buffer: &WriteBuffer, queue: &[u8], bytes_max: usize) {
    assert_eq!(
        buffer.as_slice(),
        queue,
        "invariant: first in, first out, nothing lost, no refused bytes"
    );
    assert_eq!(buffer.len(), queue.len(), "invariant: len is the number of bytes");
    assert_eq!(buffer.is_empty(), queue.is_empty(), "invariant: is_empty is len == 0");
    assert!(
        buffer.len() <= buffer.capacity() && buffer.capacity() <= bytes_max,
        "invariant: the allocation respects the limit: {} of {bytes_max}",
        buffer.capacity()
    );
    assert!(
        !buffer.is_empty() || buffer.capacity() == 0,
        "invariant: consuming the last byte frees the allocation"
    );
}
