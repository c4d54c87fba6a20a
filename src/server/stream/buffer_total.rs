//! `BufferTotal`: how much all connections of a server keep for peers that do not read.
//!
//! Knows numbers of bytes only. While there is no room for what one more read may bring, bytes are
//! left in the receive queues, and only as many are taken from there as could be sent:
//! `connection/peek.rs`. So nothing waits for another connection's memory, and there is no wake-up
//! that could be lost.

/// The sum, and its bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct BufferTotal {
    used_bytes: usize,
    max_bytes: usize,
    /// What one read may add.
    read_bytes: usize,
}

/// Memory for one event of a connection.
pub(super) struct Buffers<'a> {
    /// Where bytes are received.
    pub(super) recv: &'a mut [u8],
    /// How many bytes may be kept for this connection.
    pub(super) keep_bytes_max: usize,
}

impl Buffers<'_> {
    /// Whether a read may bring more than may be kept.
    #[inline]
    pub(super) const fn are_scarce(&self) -> bool {
        self.keep_bytes_max < self.recv.len()
    }
}

impl BufferTotal {
    /// Of a server whose reads bring at most `read_bytes`.
    pub(super) const fn new(max_bytes: usize, read_bytes: usize) -> Self {
        Self { used_bytes: 0, max_bytes, read_bytes }
    }

    /// Whether there is no room for what one more read may bring.
    #[inline]
    pub(super) const fn is_scarce(&self) -> bool {
        self.used_bytes.saturating_add(self.read_bytes) > self.max_bytes
    }

    /// How much may be kept for a connection that keeps `own_bytes` now, these included.
    #[inline]
    pub(super) const fn room_beside(&self, own_bytes: usize) -> usize {
        self.max_bytes.saturating_sub(self.used_bytes.saturating_sub(own_bytes))
    }

    /// A connection kept `before` bytes, and keeps `after` now.
    ///
    /// # Panics
    /// In debug builds, if the bound is exceeded.
    #[inline]
    pub(super) fn replace(&mut self, before: usize, after: usize) {
        self.used_bytes = self.used_bytes.saturating_sub(before).saturating_add(after);
        debug_assert!(
            after <= before || self.used_bytes <= self.max_bytes,
            "all buffers together hold {} bytes, and {} are the bound",
            self.used_bytes,
            self.max_bytes
        );
    }

    pub(super) const fn used_bytes(&self) -> usize {
        self.used_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_what_the_others_leave() {
        let mut total = BufferTotal::new(100, 40);
        assert!(!total.is_scarce());
        total.replace(0, 60);
        assert!(!total.is_scarce(), "one more read fits exactly");
        total.replace(60, 61);
        assert!(total.is_scarce());
        assert_eq!((total.room_beside(0), total.room_beside(61)), (39, 100));
        total.replace(61, 0);
        assert_eq!((total.used_bytes(), total.is_scarce()), (0, false));
        assert!(BufferTotal::new(39, 40).is_scarce(), "nothing is ever kept");
    }
}
