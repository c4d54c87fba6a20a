//! Unix datagrams' rules: nothing is ever lost, so who sends may find no room.
//!
//! Knows letters. Room has two ends: what the sender has unread everywhere, and how much the
//! receiver's queue holds of strangers.

use alloc::vec::Vec;
use core::mem;

use super::letter::Letter;
use super::name::named;
use super::socket::Protocol;
use super::version::Version;
use super::world::{FileId, Result, World};
use crate::addr::Addr;
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLOUT};
use crate::kernel::Kind;

impl World {
    /// Whether the peer of a datagram socket has no room for it; then it waits to be told.
    pub(super) fn is_peer_full(&mut self, file: FileId) -> bool {
        let Some(peer) = self.socket(file).peer else { return false };
        let is_full = self.is_full_for(file, peer);
        self.socket(file).waits_for_peer |= is_full;
        is_full
    }

    /// Whether a datagram socket has as many letters unread as it takes of strangers: of those
    /// that it is not connected to itself.
    ///
    /// Reference: net/unix/af_unix.c: `unix_recvq_full`
    fn is_full_for(&mut self, sender: FileId, file: FileId) -> bool {
        let max = self.config.datagrams_queued_max;
        self.find_socket(file).is_some_and(|socket| {
            socket.protocol() == Protocol::UnixDatagram
                && socket.peer != Some(sender)
                && socket.letters.len() > max
                && file != sender
        })
    }

    /// The queue is shorter, or gone: who waits for that is told.
    ///
    /// Reference: net/unix/af_unix.c: `unix_dgram_peer_wake_relay`
    pub(super) fn wake_waiting(&mut self, file: FileId) {
        let waiting = self.sockets().filter(|(_, other)| {
            let waits = other.waits_for_peer;
            waits && other.peer == Some(file)
        });
        let waiting: Vec<FileId> = waiting.map(|(other, _)| other).collect();
        for other in waiting {
            self.socket(other).waits_for_peer = false;
            self.wake(other, EPOLLOUT);
        }
    }

    /// Sends to `addr`, or to the default peer. Before Linux 6.14 a missing default peer is told
    /// first; since then last, behind every error that the socket itself has, and as the message
    /// was in our buffer by then, with an edge for the room.
    ///
    /// Reference: net/unix/af_unix.c: `unix_dgram_sendmsg`; changed by "af_unix: Move !sunaddr
    /// case in unix_dgram_sendmsg()"
    pub(super) fn send_unix_datagram(
        &mut self,
        file: FileId,
        buf: &[u8],
        addr: Option<&Addr>,
    ) -> Result<usize> {
        let name = addr.map(named).transpose()?;
        let is_peer_first = self.config.version < Version::LINUX_6_14;
        let socket = self.socket(file);
        if is_peer_first && name.is_none() && socket.peer.is_none() {
            return Err(Errno::ENOTCONN);
        }
        let send_bytes = socket.options.send_bytes;
        if buf.len() > send_bytes - 32 {
            return Err(Errno::EMSGSIZE);
        }
        if let Some(errno) = socket.error.take() {
            return Err(errno);
        }
        if socket.write_shut {
            return Err(Errno::EPIPE);
        }
        if socket.unread_cost >= send_bytes {
            return Err(Errno::EAGAIN);
        }
        // Who has no name tells none.
        let from = socket.local.unwrap_or(Addr::Unspec);
        let to = match name {
            Some(name) => self.find_unix(&name, Kind::Datagram),
            None => self.socket(file).peer.ok_or(Errno::ENOTCONN),
        };
        match to.and_then(|to| self.may_send(file, to).map(|()| to)) {
            Ok(to) => self.post(to, Letter::new(file, from, buf)),
            Err(errno) => {
                // It was in our buffer for a moment: that there is room again is an edge.
                self.room_came_free(file);
                return Err(errno);
            }
        }
        Ok(buf.len())
    }

    /// Whether `to` takes a datagram now.
    fn may_send(&mut self, file: FileId, to: FileId) -> Result<()> {
        let Some(other) = self.find_socket(to) else {
            // The peer is gone, and now we know it.
            self.set_peer(file, None);
            return Err(Errno::ECONNREFUSED);
        };
        if other.peer.is_some_and(|his| his != file) {
            return Err(Errno::EPERM);
        }
        if other.read_shut {
            return Err(Errno::EPIPE);
        }
        if self.is_full_for(file, to) {
            let socket = self.socket(file);
            socket.waits_for_peer |= socket.peer == Some(to);
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }

    /// Gives it a default peer, from whom alone it takes datagrams then.
    ///
    /// Reference: net/unix/af_unix.c: `unix_dgram_connect`
    pub(super) fn connect_unix_datagram(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        if *addr == Addr::Unspec {
            self.set_peer(file, None);
            return Ok(());
        }
        let peer = self.find_unix(&named(addr)?, Kind::Datagram)?;
        if self.socket(peer).peer.is_some_and(|his| his != file) {
            return Err(Errno::EPERM);
        }
        self.set_peer(file, Some(peer));
        self.socket(file).remote = Some(*addr);
        Ok(())
    }

    /// Another peer, or none. What the old one has sent is lost, and he is told so when he is
    /// connected to us still.
    ///
    /// Reference: net/unix/af_unix.c: `unix_dgram_disconnected`
    fn set_peer(&mut self, file: FileId, new: Option<FileId>) {
        let socket = self.socket(file);
        let Some(old) = mem::replace(&mut socket.peer, new) else {
            return;
        };
        socket.remote = None;
        socket.waits_for_peer = false;
        let has_unread = !socket.letters.is_empty();
        self.wake(file, EPOLLOUT);
        if new == Some(old) || !has_unread {
            return;
        }
        self.purge(file);
        if let Some(left) = self.find_socket(old)
            && left.peer == Some(file)
        {
            left.error = Some(Errno::ECONNRESET);
            self.wake(old, EPOLLERR);
        }
    }
}
