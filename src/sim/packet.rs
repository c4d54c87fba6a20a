//! Packets: receive queues that keep message boundaries, and the memory charged for them.
//!
//! Knows Unix sockets and UDP: a datagram is one packet, a Unix stream's bytes are in several.
//! A datagram arrives whole or not at all, and what does not fit the reader's buffer is lost.

use alloc::collections::VecDeque;
use core::mem;
use core::net::IpAddr;

use super::socket::{Protocol, WAKE_READABLE};
use super::state::{FileId, KernelState, Result, drain_into};
use crate::errno::Errno;
use crate::kernel::ReceivedDatagram;
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
    pub(super) sender: FileId,
    /// Its memory: charged to a Unix sender until the last byte is read, to UDP's receiver.
    pub(super) truesize: usize,
    /// A descriptor was sent with it (`SCM_RIGHTS`): a read stops after it.
    pub(super) has_rights: bool,
    /// One out-of-band byte (`MSG_OOB`), the last that was sent: a read stops before it.
    pub(super) is_urgent: bool,
}

impl Packet {
    pub(super) fn new(sender: FileId, from: Addr, bytes: &[u8]) -> Self {
        let truesize = truesize(bytes.len());
        let bytes = bytes.iter().copied().collect();
        Self { bytes, from, to: None, sender, truesize, has_rights: false, is_urgent: false }
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

impl KernelState {
    /// Appends a packet to a receive queue. UDP drops what does not fit; Unix senders have checked
    /// before, and are charged.
    ///
    /// Reference: net/ipv4/udp.c: `__udp_enqueue_schedule_skb`,
    /// net/core/sock.c: `skb_set_owner_w`
    pub(super) fn enqueue_packet(&mut self, file: FileId, packet: Packet) {
        let socket = self.socket(file);
        if socket.protocol() == Protocol::Udp {
            let unread = socket.packets.iter().map(|packet| packet.truesize).sum::<usize>();
            if unread + packet.truesize > socket.options.receive_bytes {
                return;
            }
        } else {
            self.socket(packet.sender).wmem_alloc += packet.truesize;
        }
        self.socket(file).packets.push_back(packet);
        self.wake(file, WAKE_READABLE);
    }

    /// A packet is freed: its sender has room again, if it was charged.
    ///
    /// Reference: net/core/sock.c: `sock_wfree`
    pub(super) fn uncharge(&mut self, sender: FileId, truesize: usize) {
        if let Some(socket) = self.find_socket(sender)
            && socket.is_unix()
        {
            socket.wmem_alloc -= truesize;
            self.wake_writers(sender);
        }
    }

    /// Receives one datagram: its length, its sender and its destination.
    ///
    /// Reference: net/ipv4/udp.c: `udp_recvmsg`, net/unix/af_unix.c: `__unix_dgram_recvmsg`
    pub(super) fn recv_datagram(
        &mut self,
        file: FileId,
        buf: &mut [u8],
    ) -> Result<ReceivedDatagram> {
        let socket = self.socket(file);
        if let Some(errno) = socket.error.take() {
            return Err(errno);
        }
        let mut packet = socket.packets.pop_front().ok_or(Errno::EAGAIN)?;
        let len = packet.bytes.len();
        drain_into(&mut packet.bytes, buf);
        self.wake_peer_waiters(file);
        self.uncharge(packet.sender, packet.truesize);
        let packet_info = packet.to.and_then(|to| self.packet_info(file, to));
        Ok(ReceivedDatagram { len_bytes: len, from: packet.from, packet_info })
    }

    /// Drops all unread packets; their senders have room again.
    pub(super) fn purge(&mut self, file: FileId) {
        for packet in mem::take(&mut self.socket(file).packets) {
            self.uncharge(packet.sender, packet.truesize);
        }
        self.wake_peer_waiters(file);
    }
}
