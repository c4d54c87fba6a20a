//! A batch of datagrams with their addresses, for recvmmsg(2) and sendmmsg(2).
//!
//! Knows no kernel. It is allocated once and reused in both directions: received datagrams can be
//! sent back without copying.

#[cfg(feature = "alloc")]
use alloc::vec;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;

use crate::net::{PacketInfo, SockAddr};

/// The most datagrams per call. Beyond this the cost of the call itself is negligible compared
/// with that of the datagrams, and the headers that C needs still fit the stack.
pub const BATCH_MAX: usize = 64;

#[cfg(feature = "alloc")]
type Memory<T> = Vec<T>;
/// Without an allocator no batch can be created.
#[cfg(not(feature = "alloc"))]
type Memory<T> = &'static mut [T];

/// A buffer for a fixed number of datagrams of bounded size.
///
/// Memory: `datagrams_max` times (`datagram_bytes_max` + 184) bytes, allocated once; the system
/// backs only what has been touched.
///
/// ```
/// # use epollite::Addr;
/// # use epollite::net::DatagramBatch;
/// let mut batch = DatagramBatch::new(4, 512);
/// let to: Addr = "127.0.0.1:53".parse().unwrap();
/// assert!(batch.push(b"query", &to.encode()));
/// assert_eq!(batch.get(0).bytes, b"query");
/// batch.retain(|datagram| datagram.bytes != b"query");
/// assert!(batch.is_empty());
/// ```
#[derive(Debug)]
pub struct DatagramBatch {
    bytes: Memory<u8>,
    datagram_bytes_max: usize,
    /// In batch order; each has its slot in `bytes`. Only the first `len` are valid.
    headers: Memory<DatagramMeta>,
    len: usize,
    /// How many slots the next receive fills at most.
    recv_max: usize,
    /// Whether headers have slots other than those of their positions.
    is_reordered: bool,
    has_control_messages: bool,
}

/// The header of one datagram. A kernel fills it in.
#[derive(Clone, Copy, Debug)]
pub struct DatagramMeta {
    /// The sender, or the destination.
    pub addr: SockAddr,
    /// How many bytes of it are stored.
    pub len_bytes: usize,
    /// Whether it was longer than the slot, and the rest is lost (`MSG_TRUNC`).
    pub truncated: bool,
    /// As [`Datagram::segment_bytes`].
    pub segment_bytes: u16,
    /// Its local destination, or its source address.
    pub packet_info: Option<PacketInfo>,
    slot: usize,
}

// The size that the documentation of `DatagramBatch` states.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<DatagramMeta>() == 184);

/// One datagram of a batch; or several, its segments, which travel as one message.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Its content; with segments, their contents one after the other.
    pub bytes: &'a [u8],
    /// The sender, or the destination.
    pub addr: &'a SockAddr,
    /// Whether the rest of it is lost.
    pub truncated: bool,
    /// The length of each segment; the last may be shorter. 0: it is one datagram.
    ///
    /// Man page: udp(7), `UDP_SEGMENT` and `UDP_GRO`
    pub segment_bytes: u16,
    /// Its local destination, or its source address.
    pub packet_info: Option<PacketInfo>,
}

impl<'a> Datagram<'a> {
    /// How many datagrams it is, at least one. Cost: O(1).
    #[must_use]
    pub const fn segment_count(&self) -> usize {
        if self.segment_bytes == 0 || self.bytes.is_empty() {
            return 1;
        }
        self.bytes.len().div_ceil(self.segment_bytes as usize)
    }

    /// The contents of its datagrams, in order: those of one, if it is not segmented. Cost: O(1)
    /// each.
    pub fn segments(&self) -> impl Iterator<Item = &'a [u8]> {
        (0..self.segment_count()).map(|index| self.segment(index))
    }

    /// The content of the datagram at `index`, less than [`segment_count`](Self::segment_count);
    /// empty past the end. Cost: O(1).
    #[must_use]
    pub fn segment(&self, index: usize) -> &'a [u8] {
        let bytes = self.bytes;
        let step = if self.segment_bytes == 0 { bytes.len() } else { self.segment_bytes.into() };
        let (_, rest) = bytes.split_at(bytes.len().min(step.saturating_mul(index)));
        &rest[..rest.len().min(step)]
    }
}

impl DatagramBatch {
    #[cfg(feature = "alloc")]
    /// Creates a batch for `datagrams_max` datagrams of `datagram_bytes_max` bytes. Cost: one
    /// zeroed allocation.
    ///
    /// # Panics
    /// The size overflows.
    #[must_use]
    pub fn new(datagrams_max: usize, datagram_bytes_max: usize) -> Self {
        let header = |slot| DatagramMeta {
            addr: SockAddr::EMPTY,
            len_bytes: 0,
            truncated: false,
            segment_bytes: 0,
            packet_info: None,
            slot,
        };
        let bytes = datagrams_max.checked_mul(datagram_bytes_max);
        let bytes = bytes.expect("the batch size overflows usize");
        Self {
            bytes: vec![0; bytes],
            datagram_bytes_max,
            headers: (0..datagrams_max).map(header).collect(),
            len: 0,
            recv_max: datagrams_max,
            is_reordered: false,
            has_control_messages: false,
        }
    }

    /// Limits how many datagrams the next receives may bring, from one to
    /// [`datagrams_max`](Self::datagrams_max): a kernel has to prepare a header for each, also for
    /// those that are not there. Cost: O(1).
    pub fn set_recv_max(&mut self, datagrams: usize) {
        self.recv_max = datagrams.clamp(1, self.headers.len().max(1));
    }

    /// Receives datagrams with their control messages: the [`PacketInfo`] and the length of
    /// segments, of which each needs a socket option too ([`SocketOption::PacketInfoV4`] and `V6`,
    /// [`SocketOption::UdpGro`]). Cost: O(1).
    ///
    /// Man page: cmsg(3)
    ///
    /// [`SocketOption::PacketInfoV4`]: crate::kernel::SocketOption::PacketInfoV4
    /// [`SocketOption::UdpGro`]: crate::kernel::SocketOption::UdpGro
    pub const fn enable_control_messages(&mut self) {
        self.has_control_messages = true;
    }

    /// Whether datagrams are received with their control messages. Cost: O(1).
    #[must_use]
    pub const fn has_control_messages(&self) -> bool {
        self.has_control_messages
    }

    /// Turns received datagrams into replies: the source of each is the address that it was sent
    /// to, where that is possible ([`PacketInfo::reply`]). Cost: O(n).
    pub fn set_reply_addresses(&mut self) {
        for header in &mut self.headers[..self.len] {
            header.packet_info = header.packet_info.and_then(PacketInfo::reply);
        }
    }

    /// Leaves the source address of the datagram at `index` to the routing table. Returns whether
    /// that changes anything. Cost: O(1).
    ///
    /// # Panics
    /// `index` is out of bounds.
    pub fn forget_packet_info(&mut self, index: usize) -> bool {
        self.headers[..self.len][index].packet_info.take().is_some()
    }

    /// Removes every datagram. Cost: O(1).
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends a datagram. Returns whether it fitted.
    /// Cost: one copy.
    pub fn push(&mut self, bytes: &[u8], to: &SockAddr) -> bool {
        if self.len == self.headers.len() || bytes.len() > self.datagram_bytes_max {
            return false;
        }
        let header = &mut self.headers[self.len];
        (header.addr, header.len_bytes, header.truncated) = (*to, bytes.len(), false);
        (header.segment_bytes, header.packet_info) = (0, None);
        let start = header.slot * self.datagram_bytes_max;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += 1;
        true
    }

    /// Keeps those for which `keep` returns true, in order. Cost: O(n), no byte is copied.
    pub fn retain(&mut self, mut keep: impl FnMut(&Datagram<'_>) -> bool) {
        let mut retained = 0;
        for index in 0..self.len {
            if keep(&self.get(index)) {
                if retained < index {
                    self.headers.swap(retained, index);
                    self.is_reordered = true;
                }
                retained += 1;
            }
        }
        self.len = retained;
    }

    /// How many datagrams the next receive may bring. Cost: O(1).
    #[must_use]
    pub const fn recv_max(&self) -> usize {
        self.recv_max
    }

    /// For kernels: removes every datagram and returns the slots to be filled, as many as
    /// [`set_recv_max`](Self::set_recv_max) allows. Call [`set_len`](Self::set_len) afterwards.
    /// Cost: O(n).
    pub fn recv_slots(&mut self) -> impl Iterator<Item = (&mut [u8], &mut DatagramMeta)> {
        self.len = 0;
        if core::mem::take(&mut self.is_reordered) {
            for (slot, header) in self.headers.iter_mut().enumerate() {
                header.slot = slot;
            }
        }
        let slots = self.bytes.chunks_exact_mut(self.datagram_bytes_max.max(1));
        slots.zip(self.headers.iter_mut()).take(self.recv_max)
    }

    /// For kernels: declares that the first `count` slots hold datagrams. Returns their headers,
    /// to be filled in if they have not been. Cost: O(1).
    ///
    /// # Panics
    /// There are fewer slots.
    pub fn set_len(&mut self, count: usize) -> &mut [DatagramMeta] {
        assert!(count <= self.headers.len(), "{count} datagrams in {} slots", self.headers.len());
        self.len = count;
        &mut self.headers[..count]
    }

    /// The datagram at `index`. Cost: O(1).
    ///
    /// # Panics
    /// `index` is out of bounds.
    #[must_use]
    pub fn get(&self, index: usize) -> Datagram<'_> {
        let header = &self.headers[..self.len][index];
        let start = header.slot * self.datagram_bytes_max;
        let len_bytes = header.len_bytes.min(self.datagram_bytes_max);
        Datagram {
            bytes: &self.bytes[start..start + len_bytes],
            addr: &header.addr,
            truncated: header.truncated,
            segment_bytes: header.segment_bytes,
            packet_info: header.packet_info,
        }
    }

    /// All datagrams, in order. Cost: O(1) each.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        (0..self.len).map(|index| self.get(index))
    }

    /// How many datagrams it holds. Cost: O(1).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty. Cost: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many datagrams fit. Cost: O(1).
    #[must_use]
    pub const fn datagrams_max(&self) -> usize {
        self.headers.len()
    }

    /// The maximal length of a datagram. Cost: O(1).
    #[must_use]
    pub const fn datagram_bytes_max(&self) -> usize {
        self.datagram_bytes_max
    }
}

#[cfg(feature = "alloc")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retained_datagrams_keep_their_bytes_and_order() {
        let mut batch = DatagramBatch::new(5, 4);
        for text in ["a", "bb", "", "dddd", "e"] {
            assert!(batch.push(text.as_bytes(), &SockAddr::EMPTY));
        }
        assert!(!batch.push(b"f", &SockAddr::EMPTY), "the batch is full");
        batch.retain(|datagram| datagram.bytes.len() != 2 && datagram.bytes != b"dddd");
        let retained: Vec<&[u8]> = batch.iter().map(|datagram| datagram.bytes).collect();
        assert_eq!(retained, [&b"a"[..], b"", b"e"]);
        // And all slots are available again.
        assert_eq!(batch.recv_slots().count(), 5);
        batch.set_len(0);
        assert!(!batch.push(b"12345", &SockAddr::EMPTY), "a datagram that is too long is rejected");
    }
}
