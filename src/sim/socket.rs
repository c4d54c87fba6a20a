//! One socket: the state common to all protocols.
//!
//! Knows four protocols by name; their rules are in `tcp.rs`, `udp.rs`, `unix_stream.rs` and
//! `unix_datagram.rs`.
//!
//! ```text
//!   Closed ── listen ──> Listening
//!     │ ^
//!     │ └─ refused ─┐
//!     └─ connect ─> Connecting ─> Open ── both FINs (TCP), or reset ──> Closed
//! ```

use alloc::collections::VecDeque;

use super::config::SimConfig;
use super::file::FileId;
use super::packet::Packet;
use super::socket_options::SocketOptions;
use super::tcb::Tcb;
use crate::errno::Errno;
use crate::kernel::{SocketOption, SocketType};
use crate::net::{Addr, AddressFamily};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    UnixStream,
    UnixDatagram,
    UnixSeqPacket,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// New, or closed.
    Closed,
    Listening,
    /// `SYN_SENT`.
    Connecting,
    /// Always, for datagram sockets.
    Open,
}

pub(super) struct Socket {
    pub(super) family: AddressFamily,
    pub(super) kind: SocketType,
    pub(super) state: State,
    pub(super) local: Option<Addr>,
    pub(super) remote: Option<Addr>,
    /// Whether it is found under its local address. An accepted socket has the address of its
    /// listener, and is not found under it.
    pub(super) is_bound: bool,
    /// Sockets are bound in this order.
    pub(super) bound_at: u64,
    /// Whether bind(2) requested this specific address, and this specific port.
    ///
    /// Reference: include/net/sock.h: `SOCK_BINDADDR_LOCK`, `SOCK_BINDPORT_LOCK`
    pub(super) addr_locked: bool,
    pub(super) port_locked: bool,
    /// The pending error, returned by the next call: one slot.
    pub(super) error: Option<Errno>,
    /// `RCV_SHUTDOWN`: the peer has half-closed, or this side was shut down for reading.
    pub(super) read_shut: bool,
    /// `SEND_SHUTDOWN`.
    pub(super) write_shut: bool,
    /// A writer found the buffer full, and is to be woken (`SOCK_NOSPACE`).
    pub(super) nospace: bool,
    pub(super) options: SocketOptions,
    /// The connected peer. UDP has an address only; with a dropped link there is no peer.
    pub(super) peer: Option<FileId>,
    /// Received and unread; TCP uses `tcp.recv_queue`.
    pub(super) packets: VecDeque<Packet>,
    /// Unix only: the memory charged to this sender for packets unread by receivers.
    pub(super) wmem_alloc: usize,
    /// Unix datagrams only: the peer's queue was full, and this socket waits for room in it.
    pub(super) peer_full_waiter: bool,
    pub(super) tcp: Tcb,
    /// Of a listener: connections to be accepted, and how many may wait besides the first.
    pub(super) accept_queue: VecDeque<FileId>,
    pub(super) backlog: usize,
}

impl Socket {
    pub(super) fn new(family: AddressFamily, kind: SocketType, config: &SimConfig) -> Self {
        Self {
            family,
            kind,
            state: if kind == SocketType::Datagram { State::Open } else { State::Closed },
            local: None,
            remote: None,
            is_bound: false,
            bound_at: 0,
            addr_locked: false,
            port_locked: false,
            error: None,
            read_shut: false,
            write_shut: false,
            nospace: false,
            options: SocketOptions::new(family, config),
            peer: None,
            packets: VecDeque::new(),
            wmem_alloc: 0,
            peer_full_waiter: false,
            tcp: Tcb::default(),
            accept_queue: VecDeque::new(),
            backlog: 0,
        }
    }

    pub(super) fn mark_shutdown(&mut self, read: bool, write: bool) {
        self.read_shut |= read;
        self.write_shut |= write;
    }

    pub(super) fn is_unix(&self) -> bool {
        self.family == AddressFamily::Unix
    }

    pub(super) fn protocol(&self) -> Protocol {
        match (self.kind, self.is_unix()) {
            (SocketType::Stream, false) => Protocol::Tcp,
            (SocketType::Stream, true) => Protocol::UnixStream,
            (SocketType::Datagram, false) => Protocol::Udp,
            (SocketType::Datagram, true) => Protocol::UnixDatagram,
            // Only Unix has it.
            (SocketType::SeqPacket, _) => Protocol::UnixSeqPacket,
        }
    }

    pub(super) fn unread_bytes(&self) -> usize {
        let packets = self.packets.iter().map(|packet| packet.bytes.len()).sum::<usize>();
        self.tcp.recv_queue.len() + packets
    }

    /// Whether there is enough data to wake a reader. Only TCP observes `SO_RCVLOWAT`.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_data_ready`
    pub(super) fn is_readable(&self) -> bool {
        if self.protocol() != Protocol::Tcp {
            return !self.packets.is_empty();
        }
        // An urgent byte at the front is not readable as normal data.
        let is_inline = self.options.has(SocketOption::OutOfBandInline(true));
        let urgent = usize::from(self.tcp.urgent_at == Some(0) && !is_inline);
        self.tcp.recv_queue.len() >= self.options.recv_low_watermark + urgent
    }

    /// Whether there is enough room to wake a writer: a third of TCP's buffer, three quarters of
    /// a Unix socket's. UDP always has room.
    ///
    /// Reference: include/net/sock.h: `sk_stream_is_writeable`,
    /// net/unix/af_unix.c: `unix_writable`
    pub(super) fn is_writable(&self) -> bool {
        match self.protocol() {
            Protocol::Tcp => self.tcp.send_queue.len() * 3 <= self.options.send_bytes * 2,
            Protocol::Udp => true,
            Protocol::UnixStream | Protocol::UnixDatagram | Protocol::UnixSeqPacket => {
                let is_listener = self.state == State::Listening;
                !is_listener && (self.wmem_alloc + 1) * 4 <= self.options.send_bytes
            }
        }
    }
}
