//! One call as a value, and its form in strace(1).
//!
//! Knows how arguments are printed; the arguments of each call are in `tracer/syscalls.rs`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use crate::errno::Errno;
use crate::event;
use crate::instant::Instant;
use crate::kernel::{EpollEvent, Rlimit, Signal, SignalSet, Syscall};
use crate::net::{Addr, PacketInfo, UnixAddr};

/// A call that was made: its name, its arguments in C's order, its result, and its time.
///
/// Its `Display` is one line of strace, with `{:#}` of `strace -T`:
/// `recvfrom(7, "hello", 65536, 0, NULL, NULL) = 5`.
#[derive(Clone, PartialEq, Debug)]
pub struct SyscallRecord {
    /// Its name, as strace(1) prints it.
    pub name: &'static str,
    /// The call of [`Kernel`](crate::Kernel); `None` for another that a program has made itself
    /// ([`Tracer::push`](crate::instrument::Tracer::push)).
    pub call: Option<Syscall>,
    /// Its arguments; results are in the place of the pointers to them.
    pub arguments: Vec<Argument>,
    /// What it returned.
    pub result: Result<ReturnValue, Errno>,
    /// When it was made.
    pub start: Instant,
    /// How long it took.
    pub duration: Duration,
}

/// What a call returned.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReturnValue {
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
    /// An IPv6 multicast group, and the interface's index.
    GroupV6(Ipv6Addr, u32),
    /// C constants: flags, levels, `NULL`.
    Name(&'static str),
    /// Bytes; of long ones only the first are kept.
    Bytes(Bytes),
    /// An address.
    Addr(Addr),
    /// The length of an address: of its buffer, and of what was written to it.
    AddrLen(u32, u32),
    /// The event argument of epoll_ctl.
    Event(EpollEvent),
    /// The events that epoll_wait returned.
    Events(Vec<EpollEvent>),
    /// Datagrams, each with its address, its buffer size or length, and its length.
    Messages(Vec<MsgHdr>),
    /// One datagram, of recvmsg or sendmsg.
    Message(MsgHdr),
    /// Buffers, each with its content and its size.
    Buffers(Vec<(Bytes, usize)>),
    /// One message with several buffers, and what is beside them.
    MessageParts(MessageParts),
    /// A set of signals.
    Signals(SignalSet),
    /// A duration as a timespec.
    Timespec(Duration),
    /// A limit.
    Limit(Rlimit),
    /// The address of memory that the call did not write.
    Address(usize),
    /// Arguments with a form of their own: the descriptors of a poll, a set of them.
    Text(String),
}

/// The first of some bytes, as many as strace prints, and how many there are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bytes {
    prefix: Vec<u8>,
    len: usize,
}

/// One datagram of a recvmmsg or sendmmsg.
#[derive(Clone, PartialEq, Debug)]
pub struct MsgHdr {
    /// The sender, or the destination.
    pub addr: Addr,
    /// The address length before the call, if the call changed it.
    pub addr_room: Option<u32>,
    /// The address length.
    pub addr_len: u32,
    /// Its content.
    pub bytes: Bytes,
    /// The size of its buffer.
    pub buf_len: usize,
    /// Whether it was longer than its buffer.
    pub truncated: bool,
    /// The length of its segments, or 0.
    pub segment_bytes: u16,
    /// Its local destination, or its source address.
    pub packet_info: Option<PacketInfo>,
}

/// One message with several buffers.
#[derive(Clone, PartialEq, Debug)]
pub struct MessageParts {
    /// The sender, or the destination, if there is one.
    pub addr: Option<Addr>,
    /// Its buffers, each with its content and its size.
    pub buffers: Vec<(Bytes, usize)>,
    /// The descriptors that are passed.
    pub descriptors: Vec<u32>,
    /// The other control messages, by their types.
    pub control: Vec<&'static str>,
    /// What was returned of it.
    pub flags: &'static str,
}

/// How many bytes of a string strace prints.
const STRING_LIMIT: usize = 32;

impl Bytes {
    /// Keeps the first of `bytes`. Cost: O(1), however many there are.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self { prefix: bytes[..bytes.len().min(STRING_LIMIT)].to_vec(), len: bytes.len() }
    }

    /// How many there are. Cost: O(1).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none. Cost: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Display for SyscallRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        join(f, &self.arguments, ", ", |f, argument| argument.fmt(f))?;
        match self.result {
            Ok(ReturnValue::Number(number)) => write!(f, ") = {number}")?,
            Ok(ReturnValue::Fd(fd)) => write!(f, ") = {fd}")?,
            Err(errno) => write!(f, ") = -1 {errno:?} ({})", errno_text(errno))?,
        }
        // With `{:#}`, the duration too.
        if f.alternate() {
            let (seconds, micros) = (self.duration.as_secs(), self.duration.subsec_micros());
            write!(f, " <{seconds}.{micros:06}>")?;
        }
        Ok(())
    }
}

/// The C library's text of an errno, if there is a C library.
#[cfg(feature = "std")]
fn errno_text(errno: Errno) -> String {
    let text = alloc::string::ToString::to_string(&std::io::Error::from(errno));
    text.split(" (os error").next().unwrap_or(&text).into()
}

#[cfg(not(feature = "std"))]
fn errno_text(errno: Errno) -> &'static str {
    errno.description()
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
            // strace prints the interface's name; this prints its index.
            Self::GroupV6(group, interface) => write!(
                f,
                "{{inet_pton(AF_INET6, \"{group}\", &ipv6mr_multiaddr), ipv6mr_interface={interface}}}"
            ),
            Self::Name(name) => f.write_str(name),
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Addr(addr) => sockaddr(f, addr),
            Self::AddrLen(capacity, len) if capacity == len => write!(f, "[{len}]"),
            Self::AddrLen(capacity, len) => write!(f, "[{capacity} => {len}]"),
            Self::Event(event) => epoll_event(f, *event),
            Self::Events(events) => list(f, events, |f, event| epoll_event(f, *event)),
            Self::Messages(messages) => list(f, messages, |f, message| {
                f.write_str("{msg_hdr=")?;
                msghdr(f, message)?;
                write!(f, ", msg_len={}}}", message.bytes.len())
            }),
            Self::Message(message) => msghdr(f, message),
            Self::Buffers(buffers) => iovecs(f, buffers),
            Self::MessageParts(message) => message_parts(f, message),
            Self::Signals(signals) => signal_set(f, *signals),
            Self::Timespec(time) => {
                write!(f, "{{tv_sec={}, tv_nsec={}}}", time.as_secs(), time.subsec_nanos())
            }
            Self::Limit(Rlimit { soft, hard }) => {
                write!(f, "{{rlim_cur={}, rlim_max={}}}", limit(*soft), limit(*hard))
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
    join(f, items, ", ", print)?;
    f.write_char(']')
}

/// Prints items, and a text between them.
fn join<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    between: &str,
    print: impl Fn(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        print(f, item)?;
    }
    Ok(())
}

/// Escapes as strace does: C's letter escapes, octal otherwise, as short as the next character
/// allows.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for (index, &byte) in self.prefix.iter().enumerate() {
            // 8 and 9 are not octal digits, and end the number by themselves.
            let digit_follows = matches!(self.prefix.get(index + 1), Some(b'0'..=b'7'));
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
        if self.len > self.prefix.len() { f.write_str("...") } else { Ok(()) }
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
        Addr::Unspecified => f.write_str("{sa_family=AF_UNSPEC, sa_data=\"\"}"),
    }
}

fn unix(f: &mut fmt::Formatter<'_>, name: &UnixAddr) -> fmt::Result {
    match (name.as_path(), name.as_abstract()) {
        (Some(path), _) => {
            write!(f, "{{sa_family=AF_UNIX, sun_path={}}}", Bytes::unabbreviated(path))
        }
        (_, Some(name)) => {
            write!(f, "{{sa_family=AF_UNIX, sun_path=@{}}}", Bytes::unabbreviated(name))
        }
        _ => f.write_str("{sa_family=AF_UNIX}"),
    }
}

impl Bytes {
    /// Names are never truncated.
    fn unabbreviated(bytes: &[u8]) -> Self {
        Self { prefix: bytes.to_vec(), len: bytes.len() }
    }
}

fn epoll_event(f: &mut fmt::Formatter<'_>, event: EpollEvent) -> fmt::Result {
    let names = event::NAMES.iter().filter(|(bit, _)| event.events() & bit != 0);
    f.write_str("{events=")?;
    if names.clone().count() == 0 {
        write!(f, "{}", event.events())?;
    }
    join(f, names, "|", |f, (_, name)| f.write_str(name))?;
    let low = event.data() & u64::from(u32::MAX);
    write!(f, ", data={{u32={low}, u64={}}}}}", event.data())
}

/// A `struct msghdr`.
fn msghdr(f: &mut fmt::Formatter<'_>, message: &MsgHdr) -> fmt::Result {
    f.write_str("{msg_name=")?;
    sockaddr(f, &message.addr)?;
    f.write_str(", msg_namelen=")?;
    if let Some(capacity) = message.addr_room {
        write!(f, "{capacity} => ")?;
    }
    let (addr_len, bytes, capacity) = (message.addr_len, &message.bytes, message.buf_len);
    write!(f, "{addr_len}, msg_iov=[{{iov_base={bytes}, iov_len={capacity}}}], msg_iovlen=1, ")?;
    control_messages(f, message)?;
    write!(f, ", msg_flags={}}}", if message.truncated { "MSG_TRUNC" } else { "0" })
}

/// An array of `struct iovec`.
fn iovecs(f: &mut fmt::Formatter<'_>, buffers: &[(Bytes, usize)]) -> fmt::Result {
    list(f, buffers, |f, (bytes, size)| write!(f, "{{iov_base={bytes}, iov_len={size}}}"))
}

/// A `struct msghdr` with several buffers. Of control messages that are no descriptors only the
/// type is printed.
fn message_parts(f: &mut fmt::Formatter<'_>, message: &MessageParts) -> fmt::Result {
    f.write_str("{msg_name=")?;
    match &message.addr {
        Some(addr) => sockaddr(f, addr)?,
        None => f.write_str("NULL")?,
    }
    f.write_str(", msg_iov=")?;
    iovecs(f, &message.buffers)?;
    write!(f, ", msg_iovlen={}", message.buffers.len())?;
    if !message.descriptors.is_empty() || !message.control.is_empty() {
        f.write_str(", msg_control=[")?;
        join(f, &message.control, ", ", |f, kind| write!(f, "{{cmsg_type={kind}}}"))?;
        if !message.descriptors.is_empty() {
            let between = if message.control.is_empty() { "" } else { ", " };
            write!(f, "{between}{{cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=")?;
            list(f, &message.descriptors, |f, fd| write!(f, "{fd}"))?;
            f.write_char('}')?;
        }
        f.write_char(']')?;
    }
    write!(f, ", msg_flags={}}}", message.flags)
}

/// The control messages, and how long they are, each a multiple of 8 bytes.
fn control_messages(f: &mut fmt::Formatter<'_>, message: &MsgHdr) -> fmt::Result {
    let is_received = message.addr_room.is_some();
    let info = message.packet_info;
    let info_bytes = info.map_or(0, |info| if info.addr.is_ipv4() { 32 } else { 40 });
    let segment_bytes = message.segment_bytes;
    let len = info_bytes + if segment_bytes > 0 { 24 } else { 0 };
    if len > 0 {
        f.write_str("msg_control=[")?;
    }
    if let Some(info) = info {
        packet_info(f, info, is_received)?;
    }
    if segment_bytes > 0 {
        let between = if info.is_some() { ", " } else { "" };
        let (len, name) = if is_received { (20, "UDP_GRO") } else { (18, "UDP_SEGMENT") };
        write!(
            f,
            "{between}{{cmsg_len={len}, cmsg_level=SOL_UDP, cmsg_type={name}, \
             cmsg_data={segment_bytes}}}"
        )?;
    }
    let end = if len > 0 { "], " } else { "" };
    write!(f, "{end}msg_controllen={len}")
}

/// The control message that carries a [`PacketInfo`]. The interface is printed as its index, where
/// strace prints its name. For a received IPv4 datagram the second address is not known here.
fn packet_info(f: &mut fmt::Formatter<'_>, info: PacketInfo, is_received: bool) -> fmt::Result {
    let PacketInfo { addr, interface } = info;
    match addr {
        IpAddr::V4(ip) => {
            let to = if is_received { "..." } else { "inet_addr(\"0.0.0.0\")" };
            write!(
                f,
                "{{cmsg_len=28, cmsg_level=SOL_IP, cmsg_type=IP_PKTINFO, \
                 cmsg_data={{ipi_ifindex={interface}, ipi_spec_dst=inet_addr(\"{ip}\"), \
                 ipi_addr={to}}}}}"
            )
        }
        IpAddr::V6(ip) => write!(
            f,
            "{{cmsg_len=36, cmsg_level=SOL_IPV6, cmsg_type=IPV6_PKTINFO, \
             cmsg_data={{inet_pton(AF_INET6, \"{ip}\"), ipi6_ifindex={interface}}}}}"
        ),
    }
}

fn signal_set(f: &mut fmt::Formatter<'_>, signals: SignalSet) -> fmt::Result {
    let all = (1..=u64::BITS).filter_map(|number| Signal::from_siginfo(&number.to_ne_bytes()));
    let names = all.filter(|signal| signals.contains(*signal)).filter_map(Signal::name);
    f.write_char('[')?;
    join(f, names, " ", |f, name| f.write_str(name))?;
    f.write_char(']')
}

/// A limit, by name if there is none.
fn limit(number: u64) -> String {
    match number {
        u64::MAX => "RLIM64_INFINITY".into(),
        _ if number > 1024 && number.is_multiple_of(1024) => format!("{}*1024", number / 1024),
        _ => format!("{number}"),
    }
}
