//! Arguments and results of the calls of [`Devices`](super::Devices).

use crate::errno::Errno;

/// The direction in which a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// `O_RDONLY`.
    Read,
    /// `O_WRONLY`.
    Write,
}

/// A flag of send(2) or recv(2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MessageFlag {
    /// `MSG_OOB`: the last byte is urgent; the urgent byte.
    OutOfBand,
    /// `MSG_PEEK`: the bytes stay.
    Peek,
    /// `MSG_ZEROCOPY`: the bytes are sent from where they are.
    ZeroCopy,
}

/// A socket option with a number that is not among those of
/// [`SocketOption`](crate::kernel::SocketOption).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DeviceOption {
    /// `TCP_CORK`: segments that are not full are held back, for 200 ms.
    Cork,
    /// `IP_RECVERR`: errors are queued, with the datagrams that caused them.
    ReceiveErrors,
    /// `SO_PEEK_OFF`: where the next `MSG_PEEK` begins, which moves it on.
    PeekOffset,
    /// `SO_PASSCRED`: the sender's process comes with each message.
    PassCredentials,
    /// `SO_PASSRIGHTS`: descriptors may be received.
    PassRights,
    /// `SO_ZEROCOPY`: `MSG_ZEROCOPY` is allowed.
    ZeroCopy,
    /// `TCP_RTO_MAX_MS`: the longest time between two retransmissions.
    RetransmissionMax,
    /// `TCP_INFO`: what the kernel knows about a connection, a structure that grows.
    TcpInfo,
}

impl DeviceOption {
    /// All, to iterate over.
    pub const ALL: [Self; 8] = [
        Self::Cork,
        Self::ReceiveErrors,
        Self::PeekOffset,
        Self::PassCredentials,
        Self::PassRights,
        Self::ZeroCopy,
        Self::RetransmissionMax,
        Self::TcpInfo,
    ];

    /// The level and the name in C. Cost: O(1).
    #[must_use]
    pub const fn c_names(self) -> (&'static str, &'static str) {
        match self {
            Self::Cork => ("SOL_TCP", "TCP_CORK"),
            Self::ReceiveErrors => ("SOL_IP", "IP_RECVERR"),
            Self::PeekOffset => ("SOL_SOCKET", "SO_PEEK_OFF"),
            Self::PassCredentials => ("SOL_SOCKET", "SO_PASSCRED"),
            Self::PassRights => ("SOL_SOCKET", "SO_PASSRIGHTS"),
            Self::ZeroCopy => ("SOL_SOCKET", "SO_ZEROCOPY"),
            Self::RetransmissionMax => ("SOL_TCP", "TCP_RTO_MAX_MS"),
            Self::TcpInfo => ("SOL_TCP", "TCP_INFO"),
        }
    }
}

/// A request of ioctl(2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IoctlRequest {
    /// `FIONREAD`: how many bytes can be read.
    InQueue,
    /// `SIOCATMARK`: whether the next byte is the urgent one.
    AtMark,
    /// `EPIOCGPARAMS`: an epoll's budget of busy polling.
    EpollParams,
    /// `EPIOCSPARAMS`: sets it.
    SetEpollParams,
    /// `SECCOMP_IOCTL_NOTIF_RECV`: takes a notification.
    TakeNotification,
}

impl IoctlRequest {
    /// Those that a file names, to iterate over; the others have words of their own.
    pub const NAMED: [Self; 3] = [Self::EpollParams, Self::SetEpollParams, Self::TakeNotification];

    /// The name in C. Cost: O(1).
    #[must_use]
    pub const fn c_name(self) -> &'static str {
        match self {
            Self::InQueue => "FIONREAD",
            Self::AtMark => "SIOCATMARK",
            Self::EpollParams => "EPIOCGPARAMS",
            Self::SetEpollParams => "EPIOCSPARAMS",
            Self::TakeNotification => "SECCOMP_IOCTL_NOTIF_RECV",
        }
    }
}

/// An address that a call cannot write to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BadAddress {
    /// `NULL`.
    Null,
    /// One of the kernel.
    Kernel,
}

/// A message of an error queue: `struct sock_extended_err`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtendedError {
    /// `ee_errno`; `None` if it is 0.
    pub errno: Option<Errno>,
    /// `ee_code`: what it means depends on where the error is from.
    pub code: u8,
}

/// What a child process does besides waiting, and which descriptor it makes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChildRole {
    /// Its getppid(2) waits for an answer; the descriptor is where that is reported.
    /// Man page: seccomp_unotify(2)
    Notifying,
    /// It has one end of a pair of Unix sockets, which was created by it; the descriptor is the
    /// other. Man page: socketpair(2)
    Peer,
}
