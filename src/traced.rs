//! A kernel that writes down every call it makes, as a value.
//!
//! Knows the waist only. What a student is shown comes from here, and so from the very calls
//! the program makes; unlike strace(1) it does not slow them down until they are others.

mod calls;
mod record;

pub use record::{Argument, Bytes, Message, Record, Returned};

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::addr::{Addr, Family, SockAddr};
use crate::batch::Batch;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{Call, Fd, Kernel, Kind, OptionName, SocketOption};
use Argument as A;

/// `kernel`, with every call written down until somebody takes the record.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use epollite::{Kernel, Linux, Traced};
/// let mut kernel = Traced::over(Linux);
/// let eventfd = kernel.eventfd(1).unwrap();
/// kernel.read(&eventfd, &mut [0; 8]).unwrap();
/// let number = eventfd.number();
/// kernel.close(eventfd).unwrap();
/// let lines: Vec<String> = kernel.take().map(|record| record.to_string()).collect();
/// assert_eq!(lines[1], format!(r#"read({number}, "\1\0\0\0\0\0\0\0", 8) = 8"#));
/// assert_eq!(lines[2], format!("close({number}) = 0"));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Traced<K> {
    /// Who makes the calls.
    pub kernel: K,
    records: VecDeque<Record>,
}

impl<K: Kernel> Traced<K> {
    /// `kernel`, traced from now on. Work: O(1).
    pub const fn over(kernel: K) -> Self {
        Self { kernel, records: VecDeque::new() }
    }

    /// Takes the records out, the oldest first. They are kept until then: take them now and
    /// again. Work: O(1) each.
    pub fn take(&mut self) -> impl Iterator<Item = Record> {
        self.records.drain(..)
    }

    /// Adds the record of a call that was made beside the kernel. Work: O(1).
    pub fn push(&mut self, record: Record) {
        self.records.push_back(record);
    }

    /// Makes a call and takes its time.
    fn timed<R>(&mut self, make: impl FnOnce(&mut K) -> R) -> (Span, R) {
        let start = self.kernel.now();
        let result = make(&mut self.kernel);
        (Span { start, duration: self.kernel.now() - start }, result)
    }

    /// Writes a call down.
    fn write_down(
        &mut self,
        call: Call,
        Span { start, duration }: Span,
        arguments: Vec<Argument>,
        result: Result<Returned, Errno>,
    ) {
        self.records.push_back(Record { call, arguments, result, start, duration });
    }
}

/// When a call was made, and how long it took.
struct Span {
    start: Instant,
    duration: Duration,
}

/// Nothing but success.
fn done<R>(result: &Result<R, Errno>) -> Result<Returned, Errno> {
    result.as_ref().map(|_| Returned::Number(0)).map_err(|errno| *errno)
}

/// A count.
fn count(result: Result<usize, Errno>) -> Result<Returned, Errno> {
    result.map(Returned::Number)
}

/// A descriptor.
fn made(result: &Result<Fd, Errno>) -> Result<Returned, Errno> {
    result.as_ref().map(|fd| Returned::Fd(fd.number())).map_err(|errno| *errno)
}

fn fd(fd: &Fd) -> Argument {
    A::Fd(fd.number())
}

/// Every number in a call is small; should one not be, the largest is shown.
fn number<N: TryInto<i64>>(number: N) -> Argument {
    A::Number(number.try_into().unwrap_or(i64::MAX))
}

/// An address that was given back, and its length, as pointers to both are printed.
fn name(addr: Result<Addr, Errno>) -> [Argument; 2] {
    let room = SockAddr::LEN_MAX;
    match addr {
        Ok(addr) => [A::Addr(addr), A::AddrLen(room, addr.encode().socklen())],
        Err(_) => [A::Name("..."), A::AddrLen(room, room)],
    }
}

/// Bytes that were read: what is there now, or where they would have gone.
fn read_bytes(buf: &[u8], count: Result<usize, Errno>) -> Argument {
    match count {
        Ok(count) => A::Bytes(Bytes::of(&buf[..count.min(buf.len())])),
        Err(_) => A::Address(buf.as_ptr().addr()),
    }
}

fn messages(batch: &Batch, first: usize, count: usize, is_sent: bool) -> Argument {
    let message = |datagram: crate::batch::Datagram<'_>| Message {
        addr: datagram.addr.decode().unwrap_or(Addr::Unspec),
        addr_room: (!is_sent).then_some(SockAddr::LEN_MAX),
        addr_len: datagram.addr.socklen(),
        bytes: Bytes::of(datagram.bytes),
        room: if is_sent { datagram.bytes.len() } else { batch.datagram_bytes_max() },
        truncated: datagram.truncated,
        packet_info: datagram.packet_info,
    };
    A::Messages(batch.iter().skip(first).take(count).map(message).collect())
}

const fn family(family: Family) -> Argument {
    A::Name(match family {
        Family::Inet => "AF_INET",
        Family::Inet6 => "AF_INET6",
        Family::Unix => "AF_UNIX",
    })
}

const fn kind(kind: Kind) -> Argument {
    A::Name(match kind {
        Kind::Stream => "SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK",
        Kind::Datagram => "SOCK_DGRAM|SOCK_CLOEXEC|SOCK_NONBLOCK",
    })
}

/// The level and the name of an option, as C has them.
const fn option_name(name: OptionName) -> (&'static str, &'static str) {
    match name {
        OptionName::ReuseAddr => ("SOL_SOCKET", "SO_REUSEADDR"),
        OptionName::ReusePort => ("SOL_SOCKET", "SO_REUSEPORT"),
        OptionName::Broadcast => ("SOL_SOCKET", "SO_BROADCAST"),
        OptionName::NoDelay => ("SOL_TCP", "TCP_NODELAY"),
        OptionName::QuickAck => ("SOL_TCP", "TCP_QUICKACK"),
        OptionName::KeepAlive => ("SOL_SOCKET", "SO_KEEPALIVE"),
        OptionName::KeepIdleSeconds => ("SOL_TCP", "TCP_KEEPIDLE"),
        OptionName::KeepIntervalSeconds => ("SOL_TCP", "TCP_KEEPINTVL"),
        OptionName::KeepCount => ("SOL_TCP", "TCP_KEEPCNT"),
        OptionName::LingerSeconds => ("SOL_SOCKET", "SO_LINGER"),
        OptionName::ReceiveBufferBytes => ("SOL_SOCKET", "SO_RCVBUF"),
        OptionName::SendBufferBytes => ("SOL_SOCKET", "SO_SNDBUF"),
        OptionName::ReceiveLowBytes => ("SOL_SOCKET", "SO_RCVLOWAT"),
        OptionName::NotSentLowBytes => ("SOL_TCP", "TCP_NOTSENT_LOWAT"),
        OptionName::UserTimeoutMillis => ("SOL_TCP", "TCP_USER_TIMEOUT"),
        OptionName::DeferAcceptSeconds => ("SOL_TCP", "TCP_DEFER_ACCEPT"),
        OptionName::V6Only => ("SOL_IPV6", "IPV6_V6ONLY"),
        OptionName::JoinV4 => ("SOL_IP", "IP_ADD_MEMBERSHIP"),
        OptionName::JoinV6 => ("SOL_IPV6", "IPV6_ADD_MEMBERSHIP"),
        OptionName::GroupInterfaceV4 => ("SOL_IP", "IP_MULTICAST_IF"),
        OptionName::PacketInfoV4 => ("SOL_IP", "IP_PKTINFO"),
        OptionName::PacketInfoV6 => ("SOL_IPV6", "IPV6_RECVPKTINFO"),
        OptionName::OutOfBandInline => ("SOL_SOCKET", "SO_OOBINLINE"),
        OptionName::GroupAllV4 => ("SOL_IP", "IP_MULTICAST_ALL"),
        OptionName::GroupAllV6 => ("SOL_IPV6", "IPV6_MULTICAST_ALL"),
        OptionName::Error => ("SOL_SOCKET", "SO_ERROR"),
    }
}

/// The value of an option, and how long it is in C.
fn option_value(option: SocketOption) -> (Argument, i64) {
    use SocketOption as O;
    let value = match option {
        O::ReuseAddr(on)
        | O::ReusePort(on)
        | O::Broadcast(on)
        | O::NoDelay(on)
        | O::QuickAck(on)
        | O::KeepAlive(on)
        | O::PacketInfoV4(on)
        | O::PacketInfoV6(on)
        | O::OutOfBandInline(on)
        | O::V6Only(on)
        | O::GroupAllV4(on)
        | O::GroupAllV6(on) => i64::from(on),
        O::KeepIdleSeconds(amount)
        | O::KeepIntervalSeconds(amount)
        | O::KeepCount(amount)
        | O::ReceiveBufferBytes(amount)
        | O::SendBufferBytes(amount)
        | O::ReceiveLowBytes(amount)
        | O::NotSentLowBytes(amount)
        | O::UserTimeoutMillis(amount)
        | O::DeferAcceptSeconds(amount) => i64::from(amount),
        O::LingerSeconds(seconds) => return (A::Linger(seconds), 8),
        O::JoinV4 { group, interface } => return (A::Group(group, interface), 8),
        O::JoinV6 { group, interface } => return (A::GroupV6(group, interface), 20),
        // strace shows the address as the number that it is in memory.
        O::GroupInterfaceV4(interface) => i64::from(i32::from_ne_bytes(interface.octets())),
        O::Error(errno) => errno.map_or(0, |errno| i64::from(errno.number())),
    };
    (A::Value(value), 4)
}
