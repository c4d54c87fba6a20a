//! Unix datagrams' rules: nothing is ever lost, so who sends may find no room.
//!
//! Knows datagram sockets. Room has two ends: what the sender has unread everywhere, and how
//! much the receiver's queue holds of strangers.

use alloc::vec::Vec;

use super::datagram::Datagram;
use super::socket::nameless;
use super::unix::cost;
use super::world::{FileId, Node, World};
use crate::addr::{Addr, Family, UnixAddr};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLOUT};
use crate::kernel::Kind;

impl World {
    pub(super) fn has_datagram_room(&mut self, file: FileId) -> bool {
        let send_bytes = self.config.send_buffer_bytes;
        let datagram = self.datagram(file);
        if !datagram.is_unix() {
            return true;
        }
        let send_bytes = datagram.common.options.send_bytes(send_bytes);
        if (datagram.unread_cost + 1) * 4 > send_bytes {
            return false;
        }
        let is_full = datagram.peer.is_some_and(|peer| self.is_full_for(file, peer));
        self.datagram(file).waits_for_peer |= is_full;
        !is_full
    }

    /// Whether a Unix socket has as many datagrams unread as it takes of strangers: of those
    /// that it is not connected to itself.
    ///
    /// Reference: net/unix/af_unix.c: `unix_recvq_full`
    fn is_full_for(&mut self, sender: FileId, file: FileId) -> bool {
        let max = self.config.datagrams_queued_max;
        self.find_datagram(file).is_some_and(|datagram| {
            datagram.peer != Some(sender) && datagram.inbox.len() > max && file != sender
        })
    }

    /// The queue is shorter, or gone: who waits for that is told.
    ///
    /// Reference: net/unix/af_unix.c: `unix_dgram_peer_wake_relay`
    pub(super) fn wake_waiting(&mut self, file: FileId) {
        let waiting: Vec<FileId> = self.files.keys().copied().collect();
        for other in waiting {
            if let Some(datagram) = self.find_datagram(other)
                && datagram.waits_for_peer
                && datagram.peer == Some(file)
            {
                datagram.waits_for_peer = false;
                self.wake(other, EPOLLOUT);
            }
        }
    }

    pub(super) fn refund_datagram(&mut self, sender: FileId, cost: usize) {
        let send_bytes = self.config.send_buffer_bytes;
        if let Some(datagram) = self.find_datagram(sender) {
            datagram.unread_cost -= cost;
            if (datagram.unread_cost + 1) * 4 <= datagram.common.options.send_bytes(send_bytes) {
                self.wake(sender, EPOLLOUT);
            }
        }
    }

    /// Reference: net/unix/af_unix.c: `unix_dgram_sendmsg`
    pub(super) fn send_unix_datagram(
        &mut self,
        file: FileId,
        buf: &[u8],
        addr: Option<&Addr>,
    ) -> Result<usize, Errno> {
        let send_bytes = self.config.send_buffer_bytes;
        let datagram = self.datagram(file);
        let send_bytes = datagram.common.options.send_bytes(send_bytes);
        if let Some(addr) = addr {
            named(addr)?;
        }
        if buf.len() > send_bytes - 32 {
            return Err(Errno::EMSGSIZE);
        }
        if let Some(errno) = datagram.common.error.take() {
            return Err(errno);
        }
        if datagram.common.write_shut {
            return Err(Errno::EPIPE);
        }
        if datagram.unread_cost >= send_bytes {
            return Err(Errno::EAGAIN);
        }
        let mine = datagram.common.local;
        let to = match self.receiver(file, addr) {
            Ok(to) => to,
            Err(errno) => {
                // It was in our buffer for a moment: that there is room again is an edge.
                self.refund_datagram(file, 0);
                return Err(errno);
            }
        };
        self.datagram(file).unread_cost += cost(buf.len());
        // Who has no name tells none.
        self.post(file, to, buf, mine.unwrap_or(Addr::Unspec));
        Ok(buf.len())
    }

    /// Who takes a datagram now.
    fn receiver(&mut self, file: FileId, addr: Option<&Addr>) -> Result<FileId, Errno> {
        let peer = self.datagram(file).peer;
        let to = match addr {
            Some(addr) => self.find_unix(&named(addr)?, Kind::Datagram)?,
            None => peer.ok_or(Errno::ENOTCONN)?,
        };
        let Some(other) = self.find_datagram(to) else {
            // The peer is gone, and now we know it.
            self.part(file, None);
            return Err(Errno::ECONNREFUSED);
        };
        if other.peer.is_some_and(|his| his != file) {
            return Err(Errno::EPERM);
        }
        if other.common.read_shut {
            return Err(Errno::EPIPE);
        }
        if self.is_full_for(file, to) {
            self.datagram(file).waits_for_peer |= peer == Some(to);
            return Err(Errno::EAGAIN);
        }
        Ok(to)
    }

    /// Reference: net/unix/af_unix.c: `unix_dgram_connect`
    pub(super) fn connect_unix_datagram(&mut self, file: FileId, addr: &Addr) -> Result<(), Errno> {
        let peer = self.find_unix(&named(addr)?, Kind::Datagram)?;
        if self.datagram(peer).peer.is_some_and(|his| his != file) {
            return Err(Errno::EPERM);
        }
        self.part(file, Some(peer));
        self.datagram(file).common.remote = Some(*addr);
        Ok(())
    }

    /// A Unix socket gets another peer, or none. What the old one has sent is lost, and he
    /// is told so when he is connected to us still.
    ///
    /// Reference: net/unix/af_unix.c: `unix_dgram_disconnected`
    pub(super) fn part(&mut self, file: FileId, new: Option<FileId>) {
        let Some(old) = core::mem::replace(&mut self.datagram(file).peer, new) else {
            return;
        };
        self.datagram(file).common.remote = None;
        self.datagram(file).waits_for_peer = false;
        self.wake(file, EPOLLOUT);
        if new == Some(old) || self.datagram(file).inbox.is_empty() {
            return;
        }
        self.purge(file);
        if let Some(left) = self.find_datagram(old)
            && left.peer == Some(file)
        {
            left.common.error = Some(Errno::ECONNRESET);
            self.wake(old, EPOLLERR);
        }
    }

    /// What is unread is lost, and its senders have room again.
    pub(super) fn purge(&mut self, file: FileId) {
        let datagram = self.datagram(file);
        let inbox = core::mem::take(&mut datagram.inbox);
        datagram.inbox_cost = 0;
        let is_unix = datagram.is_unix();
        for letter in inbox.into_iter().filter(|_| is_unix) {
            self.refund_datagram(letter.sender, letter.cost);
        }
        self.wake_waiting(file);
    }

    pub(super) fn datagram_pair(&mut self) -> [FileId; 2] {
        let ends = [(), ()].map(|()| {
            let mut datagram = Datagram::new(Family::Unix);
            datagram.common.remote = Some(nameless(Family::Unix));
            self.add(Node::Datagram(datagram))
        });
        self.datagram(ends[0]).peer = Some(ends[1]);
        self.datagram(ends[1]).peer = Some(ends[0]);
        ends
    }
}

pub(super) fn named(addr: &Addr) -> Result<UnixAddr, Errno> {
    match addr {
        Addr::Unix(name) if !name.is_unnamed() => Ok(*name),
        _ => Err(Errno::EINVAL),
    }
}
