//! Receive queues that keep message boundaries, and the memory that they are charged for.
//!
//! Knows Unix sockets and UDP. A datagram arrives whole or not at all, and what does not fit the
//! reader's buffer is lost.

use alloc::vec::Vec;
use core::mem;

use super::file::{FileId, Result, WAKE_READABLE, drain_into};
use super::net::Net;
use super::packet::Packet;
use super::socket::Protocol;
use crate::errno::Errno;
use crate::event::EPOLLOUT;
use crate::kernel::{ReceivedDatagram, SocketOption};

impl Net {
    /// Appends a packet to a receive queue. UDP drops what does not fit; Unix senders have checked
    /// before, and are charged.
    ///
    /// Reference: net/ipv4/udp.c: `__udp_enqueue_schedule_skb`,
    /// net/core/sock.c: `skb_set_owner_w`
    pub(super) fn enqueue_packet(&mut self, file: FileId, mut packet: Packet) {
        let socket = self.socket(file);
        if socket.protocol() == Protocol::Udp {
            let unread = socket.packets.iter().map(|packet| packet.truesize).sum::<usize>();
            if unread + packet.truesize > socket.options.receive_bytes {
                return;
            }
        } else {
            self.socket(packet.sender).wmem_alloc += packet.truesize;
            // They go with the first packet.
            if let Some(rights) = self.rights_to_send.take() {
                (packet.has_rights, packet.rights) = (true, rights);
            }
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
        socket.error.take().map_or(Ok(()), Err)?;
        let mut packet = socket.packets.pop_front().ok_or(Errno::EAGAIN)?;
        let len = packet.bytes.len();
        drain_into(&mut packet.bytes, buf);
        self.rights_received = mem::take(&mut packet.rights);
        self.wake_peer_waiters(file);
        self.uncharge(packet.sender, packet.truesize);
        let options = &self.socket(file).options;
        let is_joined = options.has(SocketOption::UdpGro(true));
        Ok(ReceivedDatagram {
            len_bytes: len,
            segment_bytes: if is_joined { packet.segment_bytes } else { 0 },
            from: packet.from,
            packet_info: packet.to.and_then(|to| options.packet_info(to)),
        })
    }

    /// Drops all unread packets; their senders have room again.
    pub(super) fn purge(&mut self, file: FileId) {
        for packet in mem::take(&mut self.socket(file).packets) {
            self.uncharge(packet.sender, packet.truesize);
        }
        self.wake_peer_waiters(file);
    }

    /// The queue is shorter, or removed: wakes the senders that wait for that.
    ///
    /// Reference: net/unix/af_unix.c: `unix_dgram_peer_wake_relay`
    fn wake_peer_waiters(&mut self, file: FileId) {
        let waiting = self.sockets().filter(|(_, other)| {
            let waits = other.peer_full_waiter;
            waits && other.peer == Some(file)
        });
        let waiting: Vec<FileId> = waiting.map(|(other, _)| other).collect();
        for other in waiting {
            self.socket(other).peer_full_waiter = false;
            self.wake(other, EPOLLOUT);
        }
    }
}
