//! Unix datagrams' rules: nothing is lost, so a sender may find no room.
//!
//! Knows packets. Two limits apply: the sender's unread bytes at all receivers, and the length of
//! the receiver's queue for senders it is not connected to.

use core::mem;

use super::address::unix_name;
use super::file::{FileId, Result, err_if};
use super::net::Net;
use super::packet::Packet;
use super::socket::Protocol;
use super::version::Version;
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLOUT};
use crate::kernel::SocketType;
use crate::net::Addr;

impl Net {
    /// Whether the peer's queue is full for this socket; if so, it waits to be woken.
    pub(super) fn is_peer_full(&mut self, file: FileId) -> bool {
        let Some(peer) = self.socket(file).peer else { return false };
        let is_full = self.is_full_for(file, peer);
        self.socket(file).peer_full_waiter |= is_full;
        is_full
    }

    /// Whether a datagram socket has its maximum of unread packets for senders that it is not
    /// connected to itself.
    ///
    /// Reference: net/unix/af_unix.c: `unix_recvq_full`
    fn is_full_for(&mut self, sender: FileId, file: FileId) -> bool {
        let max = self.config.datagrams_queued_max;
        self.find_socket(file).is_some_and(|socket| {
            socket.protocol() == Protocol::UnixDatagram
                && socket.peer != Some(sender)
                && socket.packets.len() > max
                && file != sender
        })
    }

    /// Sends to `addr`, or to the default peer. Before Linux 6.14 a missing default peer is checked
    /// first; since then last, after all errors of the socket itself, and as the message was in
    /// the send buffer by then, with an edge for the room.
    ///
    /// Reference: net/unix/af_unix.c: `unix_dgram_sendmsg`; changed by "af_unix: Move !sunaddr
    /// case in unix_dgram_sendmsg()"
    pub(super) fn send_unix_datagram(
        &mut self,
        file: FileId,
        buf: &[u8],
        addr: Option<&Addr>,
    ) -> Result<usize> {
        let name = addr.map(unix_name).transpose()?;
        let is_peer_first = self.config.version < Version::LINUX_6_14;
        let socket = self.socket(file);
        err_if(is_peer_first && name.is_none() && socket.peer.is_none(), Errno::ENOTCONN)?;
        let send_bytes = socket.options.send_bytes;
        err_if(buf.len() > send_bytes - 32, Errno::EMSGSIZE)?;
        socket.error.take().map_or(Ok(()), Err)?;
        err_if(socket.write_shut, Errno::EPIPE)?;
        err_if(socket.wmem_alloc >= send_bytes, Errno::EAGAIN)?;
        // A socket without a name sends none.
        let from = socket.local.unwrap_or(Addr::Unspecified);
        let to = match name {
            Some(name) => self.find_unix(&name, SocketType::Datagram),
            None => self.socket(file).peer.ok_or(Errno::ENOTCONN),
        };
        match to.and_then(|to| self.check_peer(file, to).map(|()| to)) {
            Ok(to) => self.enqueue_packet(to, Packet::new(file, from, buf)),
            Err(errno) => {
                // It was in the send buffer for a moment: the room is an edge.
                self.wake_writers(file);
                return Err(errno);
            }
        }
        Ok(buf.len())
    }

    /// Whether `to` accepts a datagram now.
    fn check_peer(&mut self, file: FileId, to: FileId) -> Result<()> {
        let Some(other) = self.find_socket(to) else {
            // The peer was closed: it is dropped as the default peer.
            self.set_peer(file, None);
            return Err(Errno::ECONNREFUSED);
        };
        err_if(other.peer.is_some_and(|other_peer| other_peer != file), Errno::EPERM)?;
        err_if(other.read_shut, Errno::EPIPE)?;
        if self.is_full_for(file, to) {
            let socket = self.socket(file);
            socket.peer_full_waiter |= socket.peer == Some(to);
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }

    /// Sets the default peer; from then on only its datagrams are received.
    ///
    /// Reference: net/unix/af_unix.c: `unix_dgram_connect`
    pub(super) fn connect_unix_datagram(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        if *addr == Addr::Unspecified {
            self.set_peer(file, None);
            return Ok(());
        }
        let peer = self.find_unix(&unix_name(addr)?, SocketType::Datagram)?;
        err_if(self.socket(peer).peer.is_some_and(|other_peer| other_peer != file), Errno::EPERM)?;
        self.set_peer(file, Some(peer));
        self.socket(file).remote = Some(*addr);
        Ok(())
    }

    /// Changes or removes the peer. What the old one has sent is dropped, and it gets an error if
    /// it is still connected to this socket.
    ///
    /// Reference: net/unix/af_unix.c: `unix_dgram_disconnected`
    fn set_peer(&mut self, file: FileId, new: Option<FileId>) {
        let socket = self.socket(file);
        let Some(old) = mem::replace(&mut socket.peer, new) else {
            return;
        };
        socket.remote = None;
        socket.peer_full_waiter = false;
        let has_unread = !socket.packets.is_empty();
        self.wake(file, EPOLLOUT);
        if new == Some(old) || !has_unread {
            return;
        }
        self.purge(file);
        if let Some(old_socket) = self.find_socket(old)
            && old_socket.peer == Some(file)
        {
            old_socket.error = Some(Errno::ECONNRESET);
            self.wake(old, EPOLLERR);
        }
    }
}
