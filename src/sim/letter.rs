//! Letters: what lies in an inbox in the pieces it was sent in, and what a piece costs.
//!
//! Knows Unix sockets and UDP: a datagram is a letter, a Unix stream's bytes come in several.
//! A datagram arrives whole or not at all, and what does not fit the reader's buffer is lost.

use alloc::collections::VecDeque;
use core::mem;
use core::net::IpAddr;

use super::socket::{BYTES_CAME, Protocol};
use super::world::{FileId, Result, World, take};
use crate::addr::Addr;
use crate::errno::Errno;
use crate::kernel::Message;

/// The longest piece without pages of its own.
///
/// Reference: net/unix/af_unix.c: `unix_stream_sendmsg`, `SKB_MAX_HEAD`
pub(super) const LINEAR_BYTES_MAX: usize = 3_776;
const PAGE_BYTES: usize = 4_096;
/// What stands beside the bytes of every piece: behind them, and apart.
///
/// Reference: include/linux/skbuff.h: `SKB_TRUESIZE`
const TRAILER_BYTES: usize = 320;
const HEADER_BYTES: usize = 256;
const LINEAR_COST_MIN: usize = 512;

/// Reference: include/linux/skbuff.h: `sk_buff`
pub(super) struct Letter {
    /// What is left of it.
    pub(super) bytes: VecDeque<u8>,
    /// Who sent it; `Unspec` is somebody without a name.
    pub(super) from: Addr,
    /// UDP only: where it was sent to.
    pub(super) to: Option<IpAddr>,
    pub(super) sender: FileId,
    /// What it costs: a Unix socket's sender until its last byte is read, UDP's receiver.
    pub(super) cost: usize,
    /// A descriptor came with it (`SCM_RIGHTS`): a read goes no further.
    pub(super) has_rights: bool,
    /// One byte out of band (`MSG_OOB`), the last that was sent so: a read stops before it.
    pub(super) is_urgent: bool,
}

impl Letter {
    pub(super) fn new(sender: FileId, from: Addr, bytes: &[u8]) -> Self {
        let cost = cost(bytes.len());
        let bytes = bytes.iter().copied().collect();
        Self { bytes, from, to: None, sender, cost, has_rights: false, is_urgent: false }
    }
}

/// What a piece costs: memory comes in powers of two and in pages, so that a byte alone costs
/// 768, and a buffer of 208 KiB is full after 278 of them.
fn cost(bytes: usize) -> usize {
    let beyond = bytes.saturating_sub(LINEAR_BYTES_MAX);
    let paged = beyond.next_multiple_of(PAGE_BYTES).min(bytes);
    let linear = (bytes - paged + TRAILER_BYTES).next_power_of_two();
    linear.max(LINEAR_COST_MIN) + HEADER_BYTES + paged.next_multiple_of(PAGE_BYTES)
}

impl World {
    /// Puts a letter into an inbox. UDP drops what is too much; Unix has asked before, and
    /// charges the sender.
    ///
    /// Reference: net/ipv4/udp.c: `__udp_enqueue_schedule_skb`,
    /// net/core/sock.c: `skb_set_owner_w`
    pub(super) fn post(&mut self, file: FileId, letter: Letter) {
        let socket = self.socket(file);
        if socket.protocol() == Protocol::Udp {
            let unread = socket.letters.iter().map(|letter| letter.cost).sum::<usize>();
            if unread + letter.cost > socket.options.receive_bytes {
                return;
            }
        } else {
            self.socket(letter.sender).unread_cost += letter.cost;
        }
        self.socket(file).letters.push_back(letter);
        self.wake(file, BYTES_CAME);
    }

    /// A letter is gone: its sender has room again, when it was he who paid.
    ///
    /// Reference: net/core/sock.c: `sock_wfree`
    pub(super) fn refund(&mut self, sender: FileId, cost: usize) {
        if let Some(socket) = self.find_socket(sender)
            && socket.is_unix()
        {
            socket.unread_cost -= cost;
            self.room_came_free(sender);
        }
    }

    /// Reads one datagram: how much of it there was, who sent it, and where to.
    ///
    /// Reference: net/ipv4/udp.c: `udp_recvmsg`, net/unix/af_unix.c: `__unix_dgram_recvmsg`
    pub(super) fn recv_datagram(&mut self, file: FileId, buf: &mut [u8]) -> Result<Message> {
        let socket = self.socket(file);
        if let Some(errno) = socket.error.take() {
            return Err(errno);
        }
        let mut letter = socket.letters.pop_front().ok_or(Errno::EAGAIN)?;
        let len = letter.bytes.len();
        take(&mut letter.bytes, buf);
        self.wake_waiting(file);
        self.refund(letter.sender, letter.cost);
        let packet_info = letter.to.and_then(|to| self.packet_info(file, to));
        Ok(Message { len_bytes: len, from: letter.from, packet_info })
    }

    /// What is unread is lost, and its senders have room again.
    pub(super) fn purge(&mut self, file: FileId) {
        for letter in mem::take(&mut self.socket(file).letters) {
            self.refund(letter.sender, letter.cost);
        }
        self.wake_waiting(file);
    }
}
