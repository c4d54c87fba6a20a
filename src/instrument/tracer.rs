//! A kernel that records every call it makes, as a value.
//!
//! Knows the [`Kernel`] trait only. The traces in the documentation come from here, and so from
//! the calls that the program really makes; unlike strace(1) it does not slow the program down
//! until it makes other calls.

mod record;
mod sink;
mod syscalls;

pub use record::{Argument, Bytes, MessageParts, MsgHdr, ReturnValue, SyscallRecord};
pub use sink::RecordSink;

use alloc::collections::VecDeque;
use alloc::format;
use core::time::Duration;

use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{Credentials, Fd, Kernel, SocketOption, SocketType, Syscall};
use crate::net::{Addr, AddressFamily, Datagram, DatagramBatch, SockAddr};
use Argument as A;

/// `kernel`, with a record of every call: kept until it is taken, or passed on at once to another
/// sink.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use epollite::{Kernel, Linux};
/// use epollite::instrument::Tracer;
/// let mut kernel = Tracer::new(Linux);
/// let eventfd = kernel.eventfd(1).unwrap();
/// kernel.read(&eventfd, &mut [0; 8]).unwrap();
/// let number = eventfd.number();
/// kernel.close(eventfd).unwrap();
/// let lines: Vec<String> = kernel.drain().map(|record| record.to_string()).collect();
/// assert_eq!(lines[1], format!(r#"read({number}, "\1\0\0\0\0\0\0\0", 8) = 8"#));
/// assert_eq!(lines[2], format!("close({number}) = 0"));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tracer<K, S = VecDeque<SyscallRecord>> {
    /// The kernel that makes the calls.
    pub kernel: K,
    /// Where the records go.
    pub sink: S,
}

impl<K: Kernel> Tracer<K> {
    /// Wraps `kernel`, tracing from now on. Cost: O(1).
    pub const fn new(kernel: K) -> Self {
        Self { kernel, sink: VecDeque::new() }
    }

    /// Removes and returns the records, the oldest first. They accumulate until then: drain them
    /// regularly. Cost: O(1) each.
    pub fn drain(&mut self) -> impl Iterator<Item = SyscallRecord> {
        self.sink.drain(..)
    }

    /// Adds the record of a call that was not made by this kernel. Cost: O(1).
    pub fn push(&mut self, record: SyscallRecord) {
        self.sink.push_back(record);
    }
}

impl<K: Kernel, S: RecordSink> Tracer<K, S> {
    /// Wraps `kernel`, and passes each record to `sink` as soon as its call has returned.
    /// Cost: O(1).
    pub const fn with_sink(kernel: K, sink: S) -> Self {
        Self { kernel, sink }
    }

    /// Makes a call and measures its duration.
    fn make<R>(
        &mut self,
        call: Syscall,
        make: impl FnOnce(&mut K) -> Result<R, Errno>,
    ) -> MadeCall<R> {
        let start = self.kernel.now();
        let result = make(&mut self.kernel);
        MadeCall { call, start, duration: self.kernel.now() - start, result }
    }

    /// Records a call that returns 0, with its arguments; returns its result.
    fn record<R, const N: usize>(
        &mut self,
        made: MadeCall<R>,
        arguments: [Argument; N],
    ) -> Result<R, Errno> {
        self.record_as(made, arguments, |_| ReturnValue::Number(0))
    }

    /// The same for a call that returns a count.
    fn record_count<const N: usize>(
        &mut self,
        made: MadeCall<usize>,
        arguments: [Argument; N],
    ) -> Result<usize, Errno> {
        self.record_as(made, arguments, |count| ReturnValue::Number(*count))
    }

    /// The same for a call that returns a descriptor.
    fn record_fd<const N: usize>(
        &mut self,
        made: MadeCall<Fd>,
        arguments: [Argument; N],
    ) -> Result<Fd, Errno> {
        self.record_as(made, arguments, |fd| ReturnValue::Fd(fd.number()))
    }

    fn record_as<R, const N: usize>(
        &mut self,
        MadeCall { call, start, duration, result }: MadeCall<R>,
        arguments: [Argument; N],
        returned: impl FnOnce(&R) -> ReturnValue,
    ) -> Result<R, Errno> {
        self.sink.record(SyscallRecord {
            name: call.syscall_name(),
            call: Some(call),
            arguments: arguments.into(),
            result: result.as_ref().map(returned).map_err(|errno| *errno),
            start,
            duration,
        });
        result
    }
}

/// A call that was made: when, how long it took, and its result.
struct MadeCall<R> {
    call: Syscall,
    start: Instant,
    duration: Duration,
    result: Result<R, Errno>,
}

fn fd(fd: &Fd) -> Argument {
    A::Fd(fd.number())
}

/// Numbers in calls are small; one that does not fit is shown as the largest.
fn number<N: TryInto<i64>>(number: N) -> Argument {
    A::Number(number.try_into().unwrap_or(i64::MAX))
}

/// An address that was returned, and its length, in the place of the pointers to both.
fn ret_addr(addr: Option<Addr>) -> [Argument; 2] {
    let capacity = SockAddr::LEN_MAX;
    match addr {
        Some(addr) => [A::Addr(addr), A::AddrLen(capacity, addr.encode().socklen())],
        None => [A::Name("..."), A::AddrLen(capacity, capacity)],
    }
}

/// Bytes that were read; after an error, the address of the buffer.
fn read_bytes(buf: &[u8], count: Result<usize, Errno>) -> Argument {
    match count {
        Ok(count) => A::Bytes(Bytes::new(&buf[..count.min(buf.len())])),
        Err(_) => A::Address(buf.as_ptr().addr()),
    }
}

/// A datagram in its header: one that was sent, or one received into a buffer of this length.
fn msghdr(datagram: &Datagram<'_>, received_into: Option<usize>) -> MsgHdr {
    MsgHdr {
        addr: datagram.addr.decode().unwrap_or(Addr::Unspecified),
        addr_room: received_into.map(|_| SockAddr::LEN_MAX),
        addr_len: datagram.addr.socklen(),
        bytes: Bytes::new(datagram.bytes),
        buf_len: received_into.unwrap_or(datagram.bytes.len()),
        truncated: datagram.truncated,
        segment_bytes: datagram.segment_bytes,
        packet_info: datagram.packet_info,
    }
}

fn messages(batch: &DatagramBatch, first: usize, count: usize, is_sent: bool) -> Argument {
    let received_into = (!is_sent).then(|| batch.datagram_bytes_max());
    let datagrams = batch.iter().skip(first).take(count);
    A::Messages(datagrams.map(|datagram| msghdr(&datagram, received_into)).collect())
}

const fn family(family: AddressFamily) -> Argument {
    A::Name(match family {
        AddressFamily::Inet => "AF_INET",
        AddressFamily::Inet6 => "AF_INET6",
        AddressFamily::Unix => "AF_UNIX",
    })
}

const fn kind(kind: SocketType) -> Argument {
    A::Name(match kind {
        SocketType::Stream => "SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK",
        SocketType::Datagram => "SOCK_DGRAM|SOCK_CLOEXEC|SOCK_NONBLOCK",
        SocketType::SeqPacket => "SOCK_SEQPACKET|SOCK_CLOEXEC|SOCK_NONBLOCK",
    })
}

/// The value of an option, and its length in C.
fn option_value(option: SocketOption) -> (Argument, i64) {
    let [a, b, c, d, ..] = option.encode();
    let value = match option {
        SocketOption::LingerSeconds(seconds) => A::Linger(seconds),
        SocketOption::JoinMulticastV4(joined) => A::Group(joined.group, joined.interface),
        SocketOption::JoinMulticastV6(joined) => A::GroupV6(joined.group, joined.interface),
        SocketOption::CongestionControl(name) | SocketOption::BindToDevice(name) => {
            A::Bytes(Bytes::new(name.as_str().as_bytes()))
        }
        SocketOption::PeerCredentials(Credentials { pid, uid, gid }) => {
            A::Text(format!("{{pid={pid}, uid={uid}, gid={gid}}}"))
        }
        // All others are numbers; strace shows an address as the number in memory.
        _ => A::Value(i32::from_ne_bytes([a, b, c, d]).into()),
    };
    (value, option.name().value_bytes().into())
}
