//! Messages of sendmsg(2) and recvmsg(2) as values: several buffers, and what comes beside the
//! bytes.
//!
//! Knows no call. How control messages are encoded is in `linux/vectored.rs`.

use core::fmt;
use core::time::Duration;

use super::{Credentials, Fd, MaybeBlockingFd};
use crate::errno::Errno;
use crate::net::{Addr, PacketInfo};

/// The most buffers of one call: their table is on the stack, 256 bytes.
pub const IOVECS_MAX: usize = 16;

/// The most descriptors of one message that is sent. Linux permits 253 (`SCM_MAX_FD`); the table is
/// on the stack.
pub const SENT_DESCRIPTORS_MAX: usize = 32;

/// The memory for control messages that are received.
pub(crate) const CONTROL_BYTES: usize = 256;

/// The most descriptors that are received with one message: as many as fit that memory after one
/// header, so that each that the kernel has installed is returned. The kernel closes any further
/// one and sets [`ReceivedMessage::is_control_truncated`].
pub const RECEIVED_DESCRIPTORS_MAX: usize = (CONTROL_BYTES - 12) / 4;

/// A message that is sent, with what is sent beside its bytes.
///
/// ```
/// use epollite::kernel::OutgoingMessage;
/// let message = OutgoingMessage { bufs: &[b"head", b"body"], ..OutgoingMessage::default() };
/// assert_eq!(message.len_bytes(), 8);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutgoingMessage<'a> {
    /// Its bytes, buffer by buffer; at most [`IOVECS_MAX`] buffers.
    pub bufs: &'a [&'a [u8]],
    /// Where to; `None` for a connected socket.
    pub to: Option<&'a Addr>,
    /// Descriptors that are passed over a Unix socket (`SCM_RIGHTS`): the receiver gets duplicates,
    /// and these stay open here. At most [`SENT_DESCRIPTORS_MAX`]. A stream must send at least one
    /// byte with them.
    pub descriptors: &'a [&'a Fd],
    /// The sender's identity (`SCM_CREDENTIALS`), as the kernel allows the process to state it.
    pub credentials: Option<Credentials>,
    /// The source address (`IP_PKTINFO`, `IPV6_PKTINFO`).
    pub packet_info: Option<PacketInfo>,
    /// UDP: sends it in segments of this length (`UDP_SEGMENT`); 0: in one piece.
    pub segment_bytes: u16,
}

impl OutgoingMessage<'_> {
    /// How many bytes it has. Cost: O(buffers).
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bufs.iter().map(|buf| buf.len()).sum()
    }

    /// Whether one of the tables has no room for it: the error of the call that is then not made.
    pub(crate) fn check(&self) -> Result<(), Errno> {
        if self.bufs.len() > IOVECS_MAX {
            return Err(Errno::EMSGSIZE);
        }
        if self.descriptors.len() > SENT_DESCRIPTORS_MAX { Err(Errno::EINVAL) } else { Ok(()) }
    }
}

/// Which message is received.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ReceiveMode {
    /// The next one, which is then gone.
    #[default]
    Consume,
    /// The next one, which stays (`MSG_PEEK`). Descriptors in it are duplicated each time.
    Peek,
    /// The next of the error queue (`MSG_ERRQUEUE`); there is one after
    /// [`SocketOption::ReceiveErrorsV4`](super::SocketOption::ReceiveErrorsV4) or
    /// [`ReceiveErrorsV6`](super::SocketOption::ReceiveErrorsV6).
    ErrorQueue,
}

/// A message that was received, beside its bytes.
#[derive(PartialEq, Eq, Debug)]
#[must_use = "it may own descriptors: take them or close them"]
pub struct ReceivedMessage {
    /// How many bytes are in the buffers.
    pub len_bytes: usize,
    /// The sender. In the error queue: where the datagram was sent to.
    pub from: Addr,
    /// The message was longer than the buffers, and its rest is lost (`MSG_TRUNC`).
    pub is_truncated: bool,
    /// Control messages did not fit, or a descriptor could not be installed (`MSG_CTRUNC`).
    pub is_control_truncated: bool,
    /// The end of a record (`MSG_EOR`): of a sequenced-packet socket whose sender has marked it.
    pub is_end_of_record: bool,
    /// Descriptors that were passed; they are open, and close-on-exec.
    pub descriptors: Descriptors,
    /// The sender's identity, with
    /// [`SocketOption::PassCredentials`](super::SocketOption::PassCredentials).
    pub credentials: Option<Credentials>,
    /// The local destination, with
    /// [`SocketOption::PacketInfoV4`](super::SocketOption::PacketInfoV4) or
    /// [`PacketInfoV6`](super::SocketOption::PacketInfoV6).
    pub packet_info: Option<PacketInfo>,
    /// As [`ReceivedDatagram::segment_bytes`](super::ReceivedDatagram::segment_bytes).
    pub segment_bytes: u16,
    /// When it arrived, after 1970, with
    /// [`SocketOption::Timestamp`](super::SocketOption::Timestamp).
    pub timestamp: Option<Duration>,
    /// What an entry of the error queue says.
    pub error: Option<SocketError>,
}

impl ReceivedMessage {
    /// Of so many bytes, without anything beside them. Cost: O(1).
    pub fn new(len_bytes: usize) -> Self {
        Self {
            len_bytes,
            from: Addr::Unspecified,
            is_truncated: false,
            is_control_truncated: false,
            is_end_of_record: false,
            descriptors: Descriptors::default(),
            credentials: None,
            packet_info: None,
            segment_bytes: 0,
            timestamp: None,
            error: None,
        }
    }
}

/// An entry of a socket's error queue: `struct sock_extended_err`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketError {
    /// The error; `None` for a notification that is no error (of a timestamp, of `MSG_ZEROCOPY`).
    pub errno: Option<Errno>,
    /// What has reported it.
    pub origin: ErrorOrigin,
    /// The type of the ICMP message.
    pub kind: u8,
    /// The code of the ICMP message.
    pub code: u8,
    /// More of it: with `EMSGSIZE` the MTU that was found.
    pub info: u32,
    /// The node that has sent the ICMP message.
    pub offender: Option<Addr>,
}

/// Where an entry of an error queue comes from.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorOrigin {
    /// This machine.
    Local,
    /// An ICMP message.
    Icmp,
    /// An ICMPv6 message.
    Icmp6,
    /// Another, by its number (`SO_EE_ORIGIN_...`).
    Other(u8),
}

/// Descriptors that came with a message: open, owned, to be taken one by one.
///
/// As [`Fd`] it has no `Drop`: what is not taken must be closed
/// ([`close_all`](Self::close_all)). A program that expects none should receive by a call without
/// control messages ([`Kernel::readv`](crate::Kernel::readv), for example), which never installs
/// one.
///
/// They share their open files with the sender, flags included: each is a [`MaybeBlockingFd`].
#[derive(PartialEq, Eq)]
#[must_use = "dropping a descriptor leaks it: take it or close it"]
pub struct Descriptors {
    /// Those from `first` on have not been taken.
    raw: [i32; RECEIVED_DESCRIPTORS_MAX],
    first: usize,
    len: usize,
}

impl Default for Descriptors {
    fn default() -> Self {
        Self { raw: [0; RECEIVED_DESCRIPTORS_MAX], first: 0, len: 0 }
    }
}

impl Descriptors {
    /// Takes the first that is left, in the order in which they were sent. Cost: O(1).
    pub fn take(&mut self) -> Option<MaybeBlockingFd> {
        let raw = *self.raw.get(self.first..self.len)?.first()?;
        self.first += 1;
        Some(Fd::from_raw(raw).into())
    }

    /// How many are left. Cost: O(1).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len - self.first
    }

    /// Whether none is left. Cost: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of those that are left.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.raw[self.first..self.len].iter().map(|&raw| Fd::from_raw(raw).number())
    }

    /// Adds one, which a kernel has installed. There is room for each that can be.
    pub(crate) fn push(&mut self, fd: Fd) {
        self.raw[self.len] = fd.raw();
        self.len += 1;
    }
}

impl fmt::Debug for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.numbers()).finish()
    }
}
