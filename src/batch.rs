//! A batch of datagrams with their addresses: what recvmmsg(2) fills and sendmmsg(2) empties.
//!
//! Knows no kernel. It is allocated once and used for ever, in both directions: what arrived
//! can be sent back without moving a byte.

use alloc::vec;
use alloc::vec::Vec;

use crate::addr::{PacketInfo, SockAddr};

/// Datagrams a call, at most. Past this the cost of the call itself has long vanished beside
/// that of the datagrams, and what C wants of headers still fits the stack.
pub const DATAGRAMS_A_CALL_MAX: usize = 64;

/// Room for a fixed number of datagrams of bounded size.
///
/// Memory: `datagrams_max` times (`datagram_bytes_max` + 184) bytes, taken at once and never
/// again; the system backs only what has been touched.
///
/// ```
/// # use epollite::{Addr, Batch};
/// let mut batch = Batch::new(4, 512);
/// let to: Addr = "127.0.0.1:53".parse().unwrap();
/// assert!(batch.push(b"query", &to.encode()));
/// assert_eq!(batch.get(0).bytes, b"query");
/// batch.retain(|datagram| datagram.bytes != b"query");
/// assert!(batch.is_empty());
/// ```
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    datagram_bytes_max: usize,
    /// In the order of the batch; each knows its place in `bytes`. Only the first `len` count.
    headers: Vec<Header>,
    len: usize,
    has_packet_info: bool,
}

/// What stands beside the bytes of one datagram. A kernel fills it in.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Whom it came from, or goes to.
    pub addr: SockAddr,
    /// How many of its bytes are here.
    pub len_bytes: usize,
    /// Whether it was longer than there was room, and the rest is lost (`MSG_TRUNC`).
    pub truncated: bool,
    /// The address of ours that it came to, or leaves from.
    pub packet_info: Option<PacketInfo>,
    place: usize,
}

// The figure that the documentation of `Batch` gives.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Header>() == 184);

/// One datagram of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// What it says.
    pub bytes: &'a [u8],
    /// Whom it came from, or goes to.
    pub addr: &'a SockAddr,
    /// Whether the rest of it is lost.
    pub truncated: bool,
    /// The address of ours that it came to, or leaves from.
    pub packet_info: Option<PacketInfo>,
}

impl Batch {
    /// Room for `datagrams_max` datagrams of `datagram_bytes_max` bytes. Work: one zeroed
    /// allocation.
    ///
    /// # Panics
    /// So many bytes there are not.
    #[must_use]
    pub fn new(datagrams_max: usize, datagram_bytes_max: usize) -> Self {
        let header = |place| Header {
            addr: SockAddr::EMPTY,
            len_bytes: 0,
            truncated: false,
            packet_info: None,
            place,
        };
        let bytes = datagrams_max.checked_mul(datagram_bytes_max);
        let bytes = bytes.expect("a batch fits into memory");
        Self {
            bytes: vec![0; bytes],
            datagram_bytes_max,
            headers: (0..datagrams_max).map(header).collect(),
            len: 0,
            has_packet_info: false,
        }
    }

    /// Has what is received come with its [`PacketInfo`]; what is sent leaves with what it has, or
    /// without. The socket must have been told too ([`SocketOption::PacketInfoV4`] and `V6`). Work: O(1).
    ///
    /// [`SocketOption::PacketInfoV4`]: crate::SocketOption::PacketInfoV4
    #[must_use]
    pub const fn with_packet_info(mut self) -> Self {
        self.has_packet_info = true;
        self
    }

    /// Whether datagrams here have a [`PacketInfo`]. Work: O(1).
    #[must_use]
    pub const fn has_packet_info(&self) -> bool {
        self.has_packet_info
    }

    /// Makes answers of what was received: each leaves from the address that it came to, where
    /// that is possible ([`PacketInfo::reply`]). Work: O(n).
    pub fn set_reply_addresses(&mut self) {
        for header in &mut self.headers[..self.len] {
            header.packet_info = header.packet_info.and_then(PacketInfo::reply);
        }
    }

    /// Lets the datagram at `index` leave from whatever address the routing table prefers.
    /// Returns whether that changes anything. Work: O(1).
    ///
    /// # Panics
    /// There is none.
    pub fn forget_packet_info(&mut self, index: usize) -> bool {
        self.headers[..self.len][index].packet_info.take().is_some()
    }

    /// Forgets every datagram. Work: O(1).
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a datagram of our own. Returns whether there was room for it, whole.
    /// Work: one copy.
    pub fn push(&mut self, bytes: &[u8], to: &SockAddr) -> bool {
        if self.len == self.headers.len() || bytes.len() > self.datagram_bytes_max {
            return false;
        }
        let header = &mut self.headers[self.len];
        (header.addr, header.len_bytes, header.truncated) = (*to, bytes.len(), false);
        header.packet_info = None;
        let start = header.place * self.datagram_bytes_max;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += 1;
        true
    }

    /// Keeps those that `keep` says yes to, in their order. Work: O(n), no byte is moved.
    pub fn retain(&mut self, mut keep: impl FnMut(&Datagram<'_>) -> bool) {
        let mut kept = 0;
        for at in 0..self.len {
            if keep(&self.get(at)) {
                self.headers.swap(kept, at);
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// For kernels: forgets every datagram and lends all the room, place by place. Say
    /// [`filled`](Self::filled) afterwards. Work: O(n).
    pub fn room(&mut self) -> impl Iterator<Item = (&mut [u8], &mut Header)> {
        self.len = 0;
        for (place, header) in self.headers.iter_mut().enumerate() {
            header.place = place;
        }
        self.bytes.chunks_exact_mut(self.datagram_bytes_max.max(1)).zip(&mut self.headers)
    }

    /// For kernels: the first `count` places hold datagrams now. Returns what stands beside them,
    /// to be filled in if it has not been. Work: O(1).
    ///
    /// # Panics
    /// There are not so many places.
    pub fn filled(&mut self, count: usize) -> &mut [Header] {
        assert!(count <= self.headers.len(), "{count} datagrams in {} places", self.headers.len());
        self.len = count;
        &mut self.headers[..count]
    }

    /// The datagram at `index`. Work: O(1).
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn get(&self, index: usize) -> Datagram<'_> {
        let header = &self.headers[..self.len][index];
        let start = header.place * self.datagram_bytes_max;
        let len_bytes = header.len_bytes.min(self.datagram_bytes_max);
        Datagram {
            bytes: &self.bytes[start..start + len_bytes],
            addr: &header.addr,
            truncated: header.truncated,
            packet_info: header.packet_info,
        }
    }

    /// All datagrams, in order. Work: O(1) each.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        (0..self.len).map(|at| self.get(at))
    }

    /// How many datagrams are here. Work: O(1).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no datagram is here. Work: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many datagrams may be here at once. Work: O(1).
    #[must_use]
    pub const fn datagrams_max(&self) -> usize {
        self.headers.len()
    }

    /// How long a datagram may be. Work: O(1).
    #[must_use]
    pub const fn datagram_bytes_max(&self) -> usize {
        self.datagram_bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_retained_keeps_its_bytes_and_its_order() {
        let mut batch = Batch::new(5, 4);
        for text in ["a", "bb", "", "dddd", "e"] {
            assert!(batch.push(text.as_bytes(), &SockAddr::EMPTY));
        }
        assert!(!batch.push(b"f", &SockAddr::EMPTY), "there was no room");
        batch.retain(|datagram| datagram.bytes.len() != 2 && datagram.bytes != b"dddd");
        let left: Vec<&[u8]> = batch.iter().map(|datagram| datagram.bytes).collect();
        assert_eq!(left, [&b"a"[..], b"", b"e"]);
        // And the room is whole again for the next one.
        assert_eq!(batch.room().count(), 5);
        batch.filled(0);
        assert!(!batch.push(b"12345", &SockAddr::EMPTY), "too long is refused whole");
    }
}
