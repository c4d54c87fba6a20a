//! Datagrams: what UDP and Unix datagram sockets have in common.
//!
//! Knows names. A datagram arrives whole or not at all, and what does not fit the reader's
//! buffer is lost. Where the two differ stands in `udp.rs` and `unix_datagram.rs`.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::socket::{Common, destination, fits, source};
use super::stream::{BYTES_CAME, bit};
use super::unix::cost;
use super::world::{ANYTHING, FileId, Node, World};
use crate::addr::{Addr, Family};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP};
use crate::kernel::Shut;

pub(super) struct Datagram {
    pub(super) common: Common,
    pub(super) inbox: VecDeque<Letter>,
    pub(super) inbox_cost: usize,
    /// Unix only: whom it is connected to.
    pub(super) peer: Option<FileId>,
    /// Unix only: what our unread datagrams cost us.
    pub(super) unread_cost: usize,
    /// Unix only: our peer's queue was full, and we are to be told when it is not.
    pub(super) waits_for_peer: bool,
}

pub(super) struct Letter {
    bytes: Vec<u8>,
    from: Addr,
    pub(super) sender: FileId,
    pub(super) cost: usize,
}

impl Datagram {
    pub(super) fn new(family: Family) -> Self {
        Self {
            common: Common::new(family),
            inbox: VecDeque::new(),
            inbox_cost: 0,
            peer: None,
            unread_cost: 0,
            waits_for_peer: false,
        }
    }

    pub(super) fn is_unix(&self) -> bool {
        self.common.family == Family::Unix
    }
}

impl World {
    /// UDP has always room. A Unix socket has when few of its datagrams are unread and its
    /// peer's queue is not full.
    ///
    /// Reference: net/core/datagram.c: `datagram_poll`, net/unix/af_unix.c: `unix_dgram_poll`
    pub(super) fn poll_datagram(&mut self, file: FileId) -> u32 {
        let has_room = self.has_datagram_room(file);
        let datagram = self.datagram(file);
        let common = &datagram.common;
        bit(common.error.is_some(), EPOLLERR)
            | bit(common.read_shut, EPOLLIN | EPOLLRDHUP)
            | bit(common.read_shut && common.write_shut, EPOLLHUP)
            | bit(!datagram.inbox.is_empty(), EPOLLIN)
            | bit(has_room, EPOLLOUT)
    }

    /// Reads one datagram: how much of it there was, and who sent it.
    ///
    /// Reference: net/ipv4/udp.c: `udp_recvmsg`, net/unix/af_unix.c: `__unix_dgram_recvmsg`
    pub(super) fn recv_datagram(
        &mut self,
        file: FileId,
        buf: &mut [u8],
    ) -> Result<(usize, Addr), Errno> {
        let datagram = self.datagram(file);
        if let Some(errno) = datagram.common.error.take() {
            return Err(errno);
        }
        let letter = datagram.inbox.pop_front().ok_or(Errno::EAGAIN)?;
        datagram.inbox_cost -= letter.cost;
        let is_unix = datagram.is_unix();
        let len = letter.bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&letter.bytes[..len]);
        if is_unix {
            self.wake_waiting(file);
            self.refund_datagram(letter.sender, letter.cost);
        }
        Ok((letter.bytes.len(), letter.from))
    }

    /// Sends to `addr`, or to the default peer.
    pub(super) fn send_datagram(
        &mut self,
        file: FileId,
        buf: &[u8],
        addr: Option<&Addr>,
    ) -> Result<usize, Errno> {
        if self.datagram(file).is_unix() {
            self.send_unix_datagram(file, buf, addr)
        } else {
            self.send_udp(file, buf, addr)
        }
    }

    /// Puts a datagram into a queue. UDP drops what is too much; Unix has asked before.
    ///
    /// Reference: net/ipv4/udp.c: `__udp_enqueue_schedule_skb`
    pub(super) fn post(&mut self, sender: FileId, file: FileId, buf: &[u8], from: Addr) {
        let max = self.config.datagram_queue_bytes;
        let datagram = self.datagram(file);
        let max = datagram.common.options.receive_bytes(max);
        let cost = cost(buf.len());
        if !datagram.is_unix() && datagram.inbox_cost + cost > max {
            return;
        }
        datagram.inbox_cost += cost;
        datagram.inbox.push_back(Letter { bytes: buf.into(), from, sender, cost });
        self.wake(file, BYTES_CAME);
    }

    /// Gives a datagram socket a default peer, from whom alone it takes datagrams then.
    ///
    /// Reference: net/ipv4/datagram.c: `__ip4_datagram_connect`,
    /// net/unix/af_unix.c: `unix_dgram_connect`
    pub(super) fn connect_datagram(&mut self, file: FileId, addr: &Addr) -> Result<(), Errno> {
        let family = self.datagram(file).common.family;
        if *addr == Addr::Unspec {
            if family == Family::Unix {
                self.part(file, None);
            } else {
                self.datagram(file).common.part();
            }
            return Ok(());
        }
        fits(family, addr)?;
        if family == Family::Unix {
            return self.connect_unix_datagram(file, addr);
        }
        let to = destination(addr);
        let ip = to.ip().ok_or(Errno::EINVAL)?;
        if !self.reaches(file, &to) {
            return Err(Errno::ENETUNREACH);
        }
        self.bind_any(file, Some(source(ip)))?;
        self.datagram(file).common.remote = Some(to);
        Ok(())
    }

    /// UDP minds being unconnected, and shuts all the same.
    ///
    /// Reference: net/ipv4/af_inet.c: `inet_shutdown`
    pub(super) fn shutdown_datagram(&mut self, file: FileId, how: Shut) -> Result<(), Errno> {
        let common = &mut self.datagram(file).common;
        common.read_shut |= how != Shut::Write;
        common.write_shut |= how != Shut::Read;
        let is_fine = common.family == Family::Unix || common.remote.is_some();
        self.wake(file, ANYTHING);
        if is_fine { Ok(()) } else { Err(Errno::ENOTCONN) }
    }

    /// Reference: net/unix/af_unix.c: `unix_release_sock`
    pub(super) fn close_datagram(&mut self, file: FileId) {
        self.purge(file);
        self.files.remove(&file);
    }

    pub(super) fn datagram(&mut self, file: FileId) -> &mut Datagram {
        self.find_datagram(file).expect("whoever calls has seen that it is a datagram socket")
    }

    pub(super) fn find_datagram(&mut self, file: FileId) -> Option<&mut Datagram> {
        match &mut self.files.get_mut(&file)?.node {
            Node::Datagram(datagram) => Some(datagram),
            _ => None,
        }
    }
}
