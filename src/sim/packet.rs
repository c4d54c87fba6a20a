//! Packets: bytes with their sender and the memory that they take.
//!
//! Knows sockets by id only. A datagram is one packet, a Unix stream's bytes are in several.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::file::FileId;
use crate::net::Addr;

/// The longest packet without separately allocated pages.
///
/// Reference: net/unix/af_unix.c: `unix_stream_sendmsg`, `SKB_MAX_HEAD`
pub(super) const LINEAR_BYTES_MAX: usize = 3_776;
const PAGE_BYTES: usize = 4_096;
/// The overhead of each packet: after its data, and in a separate allocation.
///
/// Reference: include/linux/skbuff.h: `SKB_TRUESIZE`
const SHINFO_BYTES: usize = 320;
const SKB_BYTES: usize = 256;
const LINEAR_COST_MIN: usize = 512;

/// Reference: include/linux/skbuff.h: `sk_buff`
pub(super) struct Packet {
    /// The unread part.
    pub(super) bytes: VecDeque<u8>,
    /// The sender's address; `Unspecified` for a sender without one.
    pub(super) from: Addr,
    /// UDP only: the destination address.
    pub(super) to: Option<IpAddr>,
    /// UDP only: the length of its segments, if it was sent in segments.
    pub(super) segment_bytes: u16,
    pub(super) sender: FileId,
    /// Its memory: charged to a Unix sender until the last byte is read, to UDP's receiver.
    pub(super) truesize: usize,
    /// A descriptor was sent with it (`SCM_RIGHTS`): a read stops after it.
    pub(super) has_rights: bool,
    /// The files of those descriptors.
    pub(super) rights: Vec<FileId>,
    /// One out-of-band byte (`MSG_OOB`), the last that was sent: a read stops before it.
    pub(super) is_urgent: bool,
}

impl Packet {
    pub(super) fn new(sender: FileId, from: Addr, bytes: &[u8]) -> Self {
        let truesize = truesize(bytes.len());
        let bytes = bytes.iter().copied().collect();
        Self {
            bytes,
            from,
            to: None,
            segment_bytes: 0,
            sender,
            truesize,
            has_rights: false,
            rights: Vec::new(),
            is_urgent: false,
        }
    }
}

/// The memory that a packet takes: allocations are powers of two and pages, so that a single byte
/// takes 768, and a buffer of 208 KiB is full after 278 of them.
fn truesize(bytes: usize) -> usize {
    let beyond = bytes.saturating_sub(LINEAR_BYTES_MAX);
    let paged = beyond.next_multiple_of(PAGE_BYTES).min(bytes);
    let linear = (bytes - paged + SHINFO_BYTES).next_power_of_two();
    linear.max(LINEAR_COST_MIN) + SKB_BYTES + paged.next_multiple_of(PAGE_BYTES)
}
