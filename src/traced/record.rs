//! One call as a value, and how strace(1) would print it.
//!
//! Knows what arguments look like; which call has which is in `traced/calls.rs`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use crate::addr::{Addr, PacketInfo, UnixAddr};
use crate::errno::Errno;
use crate::event;
use crate::instant::Instant;
use crate::kernel::{Call, EpollEvent, Limit, Signal, SignalSet};

/// A call that was made: its name, its arguments in C's order, how it went, and when.
///
/// Its `Display` is one line of strace, with `{:#}` of `strace -T`: `recvfrom(7, "hello", 65536, 0, NULL, NULL) = 5`.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// Which call.
    pub call: Call,
    /// With what; what the call gave back stands where C puts it.
    pub arguments: Vec<Argument>,
    /// What it returned.
    pub result: Result<Returned, Errno>,
    /// When it was made.
    pub start: Instant,
    /// How long it took.
    pub duration: Duration,
}

/// What a call returned.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returned {
    /// A number: of bytes, of events, or the zero of success.
    Number(usize),
    /// A new descriptor.
    Fd(u32),
}

/// One argument of a call.
#[non_exhaustive]
#[derive(Clone, PartialEq, Debug)]
pub enum Argument {
    /// A descriptor.
    Fd(u32),
    /// Two new descriptors.
    Pair([u32; 2]),
    /// A number.
    Number(i64),
    /// A number behind a pointer: an option's value.
    Value(i64),
    /// `SO_LINGER`'s value.
    Linger(Option<u16>),
    /// A multicast group, and an address of the interface.
    Group(Ipv4Addr, Ipv4Addr),
    /// A multicast group of version six, and the number of the interface.
    GroupV6(Ipv6Addr, u32),
    /// Names of C: flags, levels, `NULL`.
    Name(&'static str),
    /// Bytes; of many only the first are kept.
    Bytes(Bytes),
    /// An address.
    Addr(Addr),
    /// The length of an address: of the room for it, and of what was put there.
    AddrLen(u32, u32),
    /// What epoll_ctl was told.
    Event(EpollEvent),
    /// What epoll_wait brought.
    Events(Vec<EpollEvent>),
    /// Datagrams, each with its address, the room it had or its length, and its length.
    Messages(Vec<Message>),
    /// One datagram, of recvmsg or sendmsg.
    Message(Message),
    /// A set of signals.
    Signals(SignalSet),
    /// A duration as a timespec.
    Timespec(Duration),
    /// A limit.
    Limit(Limit),
    /// Where memory that the call did not touch lies.
    Address(usize),
    /// What has a form of its own: the descriptors of a poll, a set of them.
    Text(String),
}

/// The first of some bytes, as many as strace prints, and how many there were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bytes {
    shown: Vec<u8>,
    len: usize,
}

/// One datagram of a recvmmsg or sendmmsg.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Whom it came from, or goes to.
    pub addr: Addr,
    /// The address' length before the call, when the call changed it.
    pub addr_room: Option<u32>,
    /// The address' length.
    pub addr_len: u32,
    /// What it says.
    pub bytes: Bytes,
    /// The room for it.
    pub room: usize,
    /// Whether it was longer than its room.
    pub truncated: bool,
    /// The address of ours that it came to, or leaves from.
    pub packet_info: Option<PacketInfo>,
}

/// Bytes that strace prints of a string.
const SHOWN_MAX: usize = 32;

impl Bytes {
    /// Of `bytes`. Work: O(1), they may be many.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { shown: bytes[..bytes.len().min(SHOWN_MAX)].to_vec(), len: bytes.len() }
    }

    /// How many there were. Work: O(1).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there were none. Work: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.call.syscall_name())?;
        for (at, argument) in self.arguments.iter().enumerate() {
            let between = if at == 0 { "" } else { ", " };
            write!(f, "{between}{argument}")?;
        }
        match self.result {
            Ok(Returned::Number(number)) => write!(f, ") = {number}")?,
            Ok(Returned::Fd(fd)) => write!(f, ") = {fd}")?,
            Err(errno) => write!(f, ") = -1 {errno:?} ({})", Phrase(errno))?,
        }
        // With `{:#}`, the time it took too.
        if f.alternate() {
            let (seconds, micros) = (self.duration.as_secs(), self.duration.subsec_micros());
            write!(f, " <{seconds}.{micros:06}>")?;
        }
        Ok(())
    }
}

/// What the C library says of an errno, where there is one to ask.
struct Phrase(Errno);

impl fmt::Display for Phrase {
    #[cfg(feature = "std")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = alloc::string::ToString::to_string(&std::io::Error::from(self.0));
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }

    #[cfg(not(feature = "std"))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.meaning())
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fd(number) => number.fmt(f),
            Self::Pair([first, second]) => write!(f, "[{first}, {second}]"),
            Self::Number(number) => number.fmt(f),
            Self::Value(number) => write!(f, "[{number}]"),
            Self::Linger(seconds) => {
                let (on, seconds) = (u8::from(seconds.is_some()), seconds.unwrap_or(0));
                write!(f, "{{l_onoff={on}, l_linger={seconds}}}")
            }
            Self::Group(group, interface) => write!(
                f,
                "{{imr_multiaddr=inet_addr(\"{group}\"), imr_interface=inet_addr(\"{interface}\")}}"
            ),
            // strace looks the interface's name up; here is its number.
            Self::GroupV6(group, interface) => write!(
                f,
                "{{inet_pton(AF_INET6, \"{group}\", &ipv6mr_multiaddr), ipv6mr_interface={interface}}}"
            ),
            Self::Name(name) => f.write_str(name),
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Addr(addr) => sockaddr(f, addr),
            Self::AddrLen(room, len) if room == len => write!(f, "[{len}]"),
            Self::AddrLen(room, len) => write!(f, "[{room} => {len}]"),
            Self::Event(event) => epoll_event(f, *event),
            Self::Events(events) => list(f, events, |f, event| epoll_event(f, *event)),
            Self::Messages(messages) => list(f, messages, |f, message| {
                f.write_str("{msg_hdr=")?;
                header(f, message)?;
                write!(f, ", msg_len={}}}", message.bytes.len())
            }),
            Self::Message(message) => header(f, message),
            Self::Signals(signals) => signal_set(f, *signals),
            Self::Timespec(time) => {
                write!(f, "{{tv_sec={}, tv_nsec={}}}", time.as_secs(), time.subsec_nanos())
            }
            Self::Limit(limit) => {
                write!(f, "{{rlim_cur={}, rlim_max={}}}", Rlim(limit.soft), Rlim(limit.hard))
            }
            Self::Address(address) => write!(f, "{address:#x}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    print: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_char('[')?;
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        print(f, item)?;
    }
    f.write_char(']')
}

/// As strace escapes: C's letters where there is one, octal otherwise, as short as the next
/// character allows.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for (at, &byte) in self.shown.iter().enumerate() {
            // 8 and 9 are no octal digits, and end the number by themselves.
            let digit_follows = matches!(self.shown.get(at + 1), Some(b'0'..=b'7'));
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                0x0b => f.write_str("\\v")?,
                0x0c => f.write_str("\\f")?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ if digit_follows => write!(f, "\\{byte:03o}")?,
                _ => write!(f, "\\{byte:o}")?,
            }
        }
        f.write_char('"')?;
        if self.len > self.shown.len() { f.write_str("...") } else { Ok(()) }
    }
}

fn sockaddr(f: &mut fmt::Formatter<'_>, addr: &Addr) -> fmt::Result {
    match addr {
        Addr::V4(v4) => write!(
            f,
            "{{sa_family=AF_INET, sin_port=htons({}), sin_addr=inet_addr(\"{}\")}}",
            v4.port(),
            v4.ip()
        ),
        Addr::V6(v6) => write!(
            f,
            "{{sa_family=AF_INET6, sin6_port=htons({}), sin6_flowinfo=htonl({}), \
             inet_pton(AF_INET6, \"{}\", &sin6_addr), sin6_scope_id={}}}",
            v6.port(),
            v6.flowinfo(),
            v6.ip(),
            v6.scope_id()
        ),
        Addr::Unix(name) => unix(f, name),
        Addr::Unspec => f.write_str("{sa_family=AF_UNSPEC, sa_data=\"\"}"),
    }
}

fn unix(f: &mut fmt::Formatter<'_>, name: &UnixAddr) -> fmt::Result {
    match (name.as_path(), name.as_abstract()) {
        (Some(path), _) => write!(f, "{{sa_family=AF_UNIX, sun_path={}}}", Bytes::whole(path)),
        (_, Some(name)) => write!(f, "{{sa_family=AF_UNIX, sun_path=@{}}}", Bytes::whole(name)),
        _ => f.write_str("{sa_family=AF_UNIX}"),
    }
}

impl Bytes {
    /// Names are never cut short.
    fn whole(bytes: &[u8]) -> Self {
        Self { shown: bytes.to_vec(), len: bytes.len() }
    }
}

fn epoll_event(f: &mut fmt::Formatter<'_>, event: EpollEvent) -> fmt::Result {
    const NAMES: [(u32, &str); 9] = [
        (event::EPOLLIN, "EPOLLIN"),
        (event::EPOLLPRI, "EPOLLPRI"),
        (event::EPOLLOUT, "EPOLLOUT"),
        (event::EPOLLERR, "EPOLLERR"),
        (event::EPOLLHUP, "EPOLLHUP"),
        (event::EPOLLRDHUP, "EPOLLRDHUP"),
        (event::EPOLLEXCLUSIVE, "EPOLLEXCLUSIVE"),
        (event::EPOLLONESHOT, "EPOLLONESHOT"),
        (event::EPOLLET, "EPOLLET"),
    ];
    f.write_str("{events=")?;
    let mut between = "";
    for (bit, name) in NAMES {
        if event.events() & bit != 0 {
            write!(f, "{between}{name}")?;
            between = "|";
        }
    }
    if between.is_empty() {
        write!(f, "{}", event.events())?;
    }
    let low = event.data() & u64::from(u32::MAX);
    write!(f, ", data={{u32={low}, u64={}}}}}", event.data())
}

/// A `struct msghdr`.
fn header(f: &mut fmt::Formatter<'_>, message: &Message) -> fmt::Result {
    f.write_str("{msg_name=")?;
    sockaddr(f, &message.addr)?;
    f.write_str(", msg_namelen=")?;
    if let Some(room) = message.addr_room {
        write!(f, "{room} => ")?;
    }
    let (addr_len, bytes, room) = (message.addr_len, &message.bytes, message.room);
    write!(f, "{addr_len}, msg_iov=[{{iov_base={bytes}, iov_len={room}}}], msg_iovlen=1, ")?;
    match message.packet_info {
        None => f.write_str("msg_controllen=0")?,
        Some(info) => control(f, info, message.addr_room.is_some())?,
    }
    write!(f, ", msg_flags={}}}", if message.truncated { "MSG_TRUNC" } else { "0" })
}

/// The control message that carries a [`PacketInfo`]. The interface is its number, where strace
/// looks its name up. Of an IPv4 datagram that came, the second address is not known here.
fn control(f: &mut fmt::Formatter<'_>, info: PacketInfo, is_received: bool) -> fmt::Result {
    let PacketInfo { addr, interface } = info;
    match addr {
        IpAddr::V4(ip) => {
            let to = if is_received { "..." } else { "inet_addr(\"0.0.0.0\")" };
            write!(
                f,
                "msg_control=[{{cmsg_len=28, cmsg_level=SOL_IP, cmsg_type=IP_PKTINFO, \
                 cmsg_data={{ipi_ifindex={interface}, ipi_spec_dst=inet_addr(\"{ip}\"), \
                 ipi_addr={to}}}}}], msg_controllen=32"
            )
        }
        IpAddr::V6(ip) => write!(
            f,
            "msg_control=[{{cmsg_len=36, cmsg_level=SOL_IPV6, cmsg_type=IPV6_PKTINFO, \
             cmsg_data={{inet_pton(AF_INET6, \"{ip}\"), ipi6_ifindex={interface}}}}}], \
             msg_controllen=40"
        ),
    }
}

fn signal_set(f: &mut fmt::Formatter<'_>, signals: SignalSet) -> fmt::Result {
    const NAMES: [(Signal, &str); 9] = [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::PIPE, "PIPE"),
        (Signal::TERM, "TERM"),
        (Signal::CHLD, "CHLD"),
        (Signal::XFSZ, "XFSZ"),
    ];
    f.write_char('[')?;
    let mut between = "";
    for (signal, name) in NAMES {
        if signals.contains(signal) {
            write!(f, "{between}{name}")?;
            between = " ";
        }
    }
    f.write_char(']')
}

/// A limit's number, by name where there is none.
struct Rlim(u64);

impl fmt::Display for Rlim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => f.write_str("RLIM64_INFINITY"),
            number if number > 1024 && number.is_multiple_of(1024) => {
                write!(f, "{}*1024", number / 1024)
            }
            number => number.fmt(f),
        }
    }
}
