//! Makes each call of a tracer, and records it.
//!
//! Knows how long a call took and what it returned; the arguments of each call are in
//! `tracer/syscalls.rs`.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use super::record::{Argument as A, Argument, Bytes, MsgHdr, ReturnValue, SyscallRecord};
use super::sink::RecordSink;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{Credentials, Fd, Kernel, SocketOption, SocketType, Syscall};
use crate::net::{Addr, AddressFamily, Datagram, DatagramBatch, SockAddr};

/// A tracer without its types.
pub(super) struct Recorder<'t> {
    pub(super) kernel: &'t mut dyn Kernel,
    pub(super) sink: &'t mut dyn RecordSink,
}

impl<'t> Recorder<'t> {
    /// Makes a call and measures its duration.
    pub(super) fn make<R>(
        &mut self,
        call: Syscall,
        make: impl FnOnce(&mut (dyn Kernel + 't)) -> Result<R, Errno>,
    ) -> MadeCall<R> {
        let start = self.kernel.now();
        let result = make(self.kernel);
        MadeCall { call, start, duration: self.kernel.now() - start, result }
    }

    /// Records a call that returns 0, with its arguments; returns its result.
    pub(super) fn record<R>(
        &mut self,
        made: MadeCall<R>,
        arguments: impl Into<Vec<Argument>>,
    ) -> Result<R, Errno> {
        self.record_as(made, arguments, |_| ReturnValue::Number(0))
    }

    /// The same for a call that returns a count.
    pub(super) fn record_count(
        &mut self,
        made: MadeCall<usize>,
        arguments: impl Into<Vec<Argument>>,
    ) -> Result<usize, Errno> {
        self.record_as(made, arguments, |count| ReturnValue::Number(*count))
    }

    /// The same for a call that returns a descriptor.
    pub(super) fn record_fd(
        &mut self,
        made: MadeCall<Fd>,
        arguments: impl Into<Vec<Argument>>,
    ) -> Result<Fd, Errno> {
        self.record_as(made, arguments, |fd| ReturnValue::Fd(fd.number()))
    }

    pub(super) fn record_as<R>(
        &mut self,
        MadeCall { call, start, duration, result }: MadeCall<R>,
        arguments: impl Into<Vec<Argument>>,
        returned: impl FnOnce(&R) -> ReturnValue,
    ) -> Result<R, Errno> {
        let number = result.as_ref().map(returned).map_err(|errno| *errno);
        self.push(call, start, duration, arguments.into(), number);
        result
    }

    fn push(
        &mut self,
        call: Syscall,
        start: Instant,
        duration: Duration,
        arguments: Vec<Argument>,
        result: Result<ReturnValue, Errno>,
    ) {
        let name = call.syscall_name();
        let call = Some(call);
        self.sink.record(SyscallRecord { name, call, arguments, result, start, duration });
    }
}

/// A call that was made: when, how long it took, and its result.
pub(super) struct MadeCall<R> {
    call: Syscall,
    start: Instant,
    duration: Duration,
    pub(super) result: Result<R, Errno>,
}

pub(super) fn fd(fd: &Fd) -> Argument {
    A::Fd(fd.number())
}

/// Numbers in calls are small; one that does not fit is shown as the largest.
pub(super) fn number<N: TryInto<i64>>(number: N) -> Argument {
    A::Number(number.try_into().unwrap_or(i64::MAX))
}

/// An address that was returned, and its length, in the place of the pointers to both.
pub(super) fn ret_addr(addr: Option<Addr>) -> [Argument; 2] {
    let capacity = SockAddr::LEN_MAX;
    match addr {
        Some(addr) => [A::Addr(addr), A::AddrLen(capacity, addr.encode().socklen())],
        None => [A::Name("..."), A::AddrLen(capacity, capacity)],
    }
}

/// Bytes that were read; after an error, the address of the buffer.
pub(super) fn read_bytes(buf: &[u8], count: Result<usize, Errno>) -> Argument {
    match count {
        Ok(count) => A::Bytes(Bytes::new(&buf[..count.min(buf.len())])),
        Err(_) => A::Address(buf.as_ptr().addr()),
    }
}

/// A datagram in its header: one that was sent, or one received into a buffer of this length.
pub(super) fn msghdr(datagram: &Datagram<'_>, received_into: Option<usize>) -> MsgHdr {
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

pub(super) fn messages(
    batch: &DatagramBatch,
    first: usize,
    count: usize,
    is_sent: bool,
) -> Argument {
    let received_into = (!is_sent).then(|| batch.datagram_bytes_max());
    let datagrams = batch.iter().skip(first).take(count);
    A::Messages(datagrams.map(|datagram| msghdr(&datagram, received_into)).collect())
}

pub(super) const fn family(family: AddressFamily) -> Argument {
    A::Name(match family {
        AddressFamily::Inet => "AF_INET",
        AddressFamily::Inet6 => "AF_INET6",
        AddressFamily::Unix => "AF_UNIX",
    })
}

pub(super) const fn kind(kind: SocketType) -> Argument {
    A::Name(match kind {
        SocketType::Stream => "SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK",
        SocketType::Datagram => "SOCK_DGRAM|SOCK_CLOEXEC|SOCK_NONBLOCK",
        SocketType::SeqPacket => "SOCK_SEQPACKET|SOCK_CLOEXEC|SOCK_NONBLOCK",
    })
}

/// The value of an option, and its length in C.
pub(super) fn option_value(option: SocketOption) -> (Argument, i64) {
    let [a, b, c, d, ..] = option.encode();
    let value = match option {
        SocketOption::LingerSeconds(seconds) => A::Linger(seconds),
        SocketOption::JoinMulticastV4(of) | SocketOption::LeaveMulticastV4(of) => {
            A::Group(of.group, of.interface)
        }
        SocketOption::JoinMulticastV6(of) | SocketOption::LeaveMulticastV6(of) => {
            A::GroupV6(of.group, of.interface)
        }
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
