//! The arguments of each call, in C's order. Results are in the place of the pointers to them.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::record::Bytes;
use super::{
    Argument as A, ReturnValue, Tracer, family, fd, kind, messages, number, option_value,
    read_bytes, ret_addr, ret_count, ret_fd, ret_success,
};
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{
    EpollEvent, EpollOp, Fd, Kernel, ReceivedDatagram, Resource, Rlimit, Shutdown, SignalSet,
    SocketOption, SocketOptionName, SocketType, Syscall,
};
use crate::net::DatagramBatch;
use crate::net::{Addr, AddressFamily, PacketInfo, SockAddr};

const NULL: A = A::Name("NULL");

#[deny(clippy::missing_trait_methods)]
impl<K: Kernel> Kernel for Tracer<K> {
    fn socket(&mut self, target: AddressFamily, socket_type: SocketType) -> Result<Fd, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.socket(target, socket_type));
        let protocol =
            if target == AddressFamily::Unix { A::Number(0) } else { A::Name("IPPROTO_IP") };
        self.record(
            Syscall::Socket,
            timing,
            vec![family(target), kind(socket_type), protocol],
            ret_fd(&result),
        );
        result
    }

    fn socketpair(&mut self, socket_type: SocketType) -> Result<(Fd, Fd), Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.socketpair(socket_type));
        let mut arguments = vec![family(AddressFamily::Unix), kind(socket_type), A::Number(0)];
        arguments.push(pair(&result));
        self.record(Syscall::Socketpair, timing, arguments, ret_success(&result));
        result
    }

    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.bind(socket, addr));
        let arguments = vec![fd(socket), A::Addr(*addr), number(addr.encode().socklen())];
        self.record(Syscall::Bind, timing, arguments, ret_success(&result));
        result
    }

    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.listen(socket, backlog));
        self.record(
            Syscall::Listen,
            timing,
            vec![fd(socket), number(backlog)],
            ret_success(&result),
        );
        result
    }

    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.accept4(listener));
        let [addr, len] = ret_addr(result.as_ref().map(|(_, addr)| *addr).map_err(|errno| *errno));
        let flags = A::Name("SOCK_CLOEXEC|SOCK_NONBLOCK");
        let returned = result.as_ref().map(|(socket, _)| ReturnValue::Fd(socket.number()));
        let returned = returned.map_err(|errno| *errno);
        self.record(Syscall::Accept4, timing, vec![fd(listener), addr, len, flags], returned);
        result
    }

    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.connect(socket, addr));
        let arguments = vec![fd(socket), A::Addr(*addr), number(addr.encode().socklen())];
        self.record(Syscall::Connect, timing, arguments, ret_success(&result));
        result
    }

    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.getsockname(socket));
        let [addr, len] = ret_addr(result);
        self.record(
            Syscall::Getsockname,
            timing,
            vec![fd(socket), addr, len],
            ret_success(&result),
        );
        result
    }

    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.getpeername(socket));
        let [addr, len] = ret_addr(result);
        self.record(
            Syscall::Getpeername,
            timing,
            vec![fd(socket), addr, len],
            ret_success(&result),
        );
        result
    }

    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.setsockopt(socket, option));
        let (level, name) = option.name().c_names();
        let (value, len) = option_value(option);
        let arguments = vec![fd(socket), A::Name(level), A::Name(name), value, A::Number(len)];
        self.record(Syscall::Setsockopt, timing, arguments, ret_success(&result));
        result
    }

    fn getsockopt(&mut self, socket: &Fd, target: SocketOptionName) -> Result<SocketOption, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.getsockopt(socket, target));
        let (level, name) = target.c_names();
        let (value, len) = result.map_or((A::Name("..."), 4), option_value);
        let arguments = vec![fd(socket), A::Name(level), A::Name(name), value, A::Value(len)];
        self.record(Syscall::Getsockopt, timing, arguments, ret_success(&result));
        result
    }

    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.recv(socket, buf));
        let (bytes, capacity) = (read_bytes(buf, result), number(buf.len()));
        let arguments = vec![fd(socket), bytes, capacity, A::Number(0), NULL, NULL];
        self.record(Syscall::Recv, timing, arguments, ret_count(result));
        result
    }

    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.send(socket, buf));
        let (bytes, len) = (A::Bytes(Bytes::new(buf)), number(buf.len()));
        let arguments = vec![fd(socket), bytes, len, A::Name("MSG_NOSIGNAL"), NULL, A::Number(0)];
        self.record(Syscall::Send, timing, arguments, ret_count(result));
        result
    }

    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.recvfrom(socket, buf));
        let length = result.map(|(length, _)| length);
        let [addr, len] = ret_addr(result.map(|(_, addr)| addr));
        let (bytes, capacity) = (read_bytes(buf, length), number(buf.len()));
        let arguments = vec![fd(socket), bytes, capacity, A::Name("MSG_TRUNC"), addr, len];
        self.record(Syscall::Recvfrom, timing, arguments, ret_count(length));
        result
    }

    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.sendto(socket, buf, addr));
        let (bytes, len) = (A::Bytes(Bytes::new(buf)), number(buf.len()));
        let to = [A::Addr(*addr), number(addr.encode().socklen())];
        let mut arguments = vec![fd(socket), bytes, len, A::Name("MSG_NOSIGNAL")];
        arguments.extend(to);
        self.record(Syscall::Sendto, timing, arguments, ret_count(result));
        result
    }

    fn recvmmsg(&mut self, socket: &Fd, batch: &mut DatagramBatch) -> Result<usize, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.recvmmsg(socket, batch));
        let received = result.map_or(A::Name("..."), |count| messages(batch, 0, count, false));
        let capacity = number(batch.datagrams_max());
        let arguments = vec![fd(socket), received, capacity, A::Number(0), NULL];
        self.record(Syscall::Recvmmsg, timing, arguments, ret_count(result));
        result
    }

    fn sendmmsg(
        &mut self,
        socket: &Fd,
        batch: &DatagramBatch,
        first: usize,
    ) -> Result<usize, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.sendmmsg(socket, batch, first));
        let sent = messages(batch, first, result.unwrap_or(batch.len()), true);
        let len = number(batch.len().saturating_sub(first));
        let arguments = vec![fd(socket), sent, len, A::Name("MSG_NOSIGNAL")];
        self.record(Syscall::Sendmmsg, timing, arguments, ret_count(result));
        result
    }

    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<ReceivedDatagram, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.recvmsg(socket, buf));
        let received = result.map_or(A::Name("..."), |message| received_message(buf, &message));
        let length = result.map(|message| message.len_bytes);
        let arguments = vec![fd(socket), received, A::Name("MSG_TRUNC")];
        self.record(Syscall::Recvmsg, timing, arguments, ret_count(length));
        result
    }

    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize, Errno> {
        let (timing, result) =
            self.time_call(|kernel| kernel.sendmsg(socket, buf, addr, packet_info));
        let sent = A::Message(super::MsgHdr {
            addr: *addr,
            addr_room: None,
            addr_len: addr.encode().socklen(),
            bytes: Bytes::new(buf),
            buf_len: buf.len(),
            truncated: false,
            packet_info,
        });
        let arguments = vec![fd(socket), sent, A::Name("MSG_NOSIGNAL")];
        self.record(Syscall::Sendmsg, timing, arguments, ret_count(result));
        result
    }

    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.ioctl_outq(socket));
        let value = |bytes: usize| A::Value(bytes.try_into().unwrap_or(i64::MAX));
        let arguments = vec![fd(socket), A::Name("TIOCOUTQ"), result.map_or(A::Name("..."), value)];
        self.record(Syscall::Ioctl, timing, arguments, ret_success(&result));
        result
    }

    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<(), Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.shutdown(socket, how));
        let how = match how {
            Shutdown::Read => "SHUT_RD",
            Shutdown::Write => "SHUT_WR",
            Shutdown::Both => "SHUT_RDWR",
        };
        self.record(
            Syscall::Shutdown,
            timing,
            vec![fd(socket), A::Name(how)],
            ret_success(&result),
        );
        result
    }

    fn read(&mut self, from: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.read(from, buf));
        let arguments = vec![fd(from), read_bytes(buf, result), number(buf.len())];
        self.record(Syscall::Read, timing, arguments, ret_count(result));
        result
    }

    fn write(&mut self, into: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.write(into, buf));
        let arguments = vec![fd(into), A::Bytes(Bytes::new(buf)), number(buf.len())];
        self.record(Syscall::Write, timing, arguments, ret_count(result));
        result
    }

    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.splice(from, into, len_bytes));
        let flags = A::Name("SPLICE_F_NONBLOCK");
        let arguments = vec![fd(from), NULL, fd(into), NULL, number(len_bytes), flags];
        self.record(Syscall::Splice, timing, arguments, ret_count(result));
        result
    }

    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno> {
        let (timing, result) = self.time_call(Kernel::pipe2);
        let arguments = vec![pair(&result), A::Name("O_NONBLOCK|O_CLOEXEC")];
        self.record(Syscall::Pipe2, timing, arguments, ret_success(&result));
        result
    }

    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.eventfd(initial));
        let arguments = vec![number(initial), A::Name("EFD_CLOEXEC|EFD_NONBLOCK")];
        self.record(Syscall::Eventfd, timing, arguments, ret_fd(&result));
        result
    }

    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.signalfd(signals));
        let flags = A::Name("SFD_CLOEXEC|SFD_NONBLOCK");
        let arguments = vec![A::Number(-1), A::Signals(signals), A::Number(8), flags];
        self.record(Syscall::Signalfd, timing, arguments, ret_fd(&result));
        result
    }

    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.sigprocmask(signals));
        let old = A::Signals(result.unwrap_or_default());
        let arguments = vec![A::Name("SIG_BLOCK"), A::Signals(signals), old, A::Number(8)];
        self.record(Syscall::Sigprocmask, timing, arguments, ret_success(&result));
        result
    }

    fn dup(&mut self, target: &Fd) -> Result<Fd, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.dup(target));
        let arguments = vec![fd(target), A::Name("F_DUPFD_CLOEXEC"), A::Number(0)];
        self.record(Syscall::Dup, timing, arguments, ret_fd(&result));
        result
    }

    fn close(&mut self, closed: Fd) -> Result<(), Errno> {
        let arguments = vec![fd(&closed)];
        let (timing, result) = self.time_call(|kernel| kernel.close(closed));
        self.record(Syscall::Close, timing, arguments, ret_success(&result));
        result
    }

    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        let (timing, result) = self.time_call(Kernel::epoll_create1);
        self.record(Syscall::EpollCreate1, timing, vec![A::Name("EPOLL_CLOEXEC")], ret_fd(&result));
        result
    }

    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, target: &Fd) -> Result<(), Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.epoll_ctl(epoll, op, target));
        let (op, event) = match op {
            EpollOp::Add(event) => ("EPOLL_CTL_ADD", A::Event(event)),
            EpollOp::Modify(event) => ("EPOLL_CTL_MOD", A::Event(event)),
            EpollOp::Delete => ("EPOLL_CTL_DEL", NULL),
        };
        let arguments = vec![fd(epoll), A::Name(op), fd(target), event];
        self.record(Syscall::EpollCtl, timing, arguments, ret_success(&result));
        result
    }

    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno> {
        let (timing, result) =
            self.time_call(|kernel| kernel.epoll_wait(epoll, events, timeout_millis));
        let timeout = timeout_millis.map_or(A::Number(-1), number);
        let arguments = vec![fd(epoll), ret_events(events, result), number(events.len()), timeout];
        self.record(Syscall::EpollWait, timing, arguments, ret_count(result));
        result
    }

    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.epoll_pwait2(epoll, events, timeout));
        let timeout = timeout.map_or(NULL, A::Timespec);
        let (received, capacity) = (ret_events(events, result), number(events.len()));
        let arguments = vec![fd(epoll), received, capacity, timeout, NULL, A::Number(0)];
        self.record(Syscall::EpollPwait2, timing, arguments, ret_count(result));
        result
    }

    fn prlimit(&mut self, resource: Resource, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
        let (timing, result) = self.time_call(|kernel| kernel.prlimit(resource, new));
        let Resource::Nofile = resource;
        let old = result.map_or(A::Name("..."), A::Limit);
        let new = new.map_or(NULL, A::Limit);
        let arguments = vec![A::Number(0), A::Name("RLIMIT_NOFILE"), new, old];
        self.record(Syscall::Prlimit, timing, arguments, ret_success(&result));
        result
    }

    fn now(&mut self) -> Instant {
        self.kernel.now()
    }
}

/// A datagram that was received into `buf`.
fn received_message(buf: &[u8], message: &ReceivedDatagram) -> A {
    A::Message(super::MsgHdr {
        addr: message.from,
        addr_room: Some(SockAddr::LEN_MAX),
        addr_len: message.from.encode().socklen(),
        bytes: Bytes::new(&buf[..message.len_bytes.min(buf.len())]),
        buf_len: buf.len(),
        truncated: message.len_bytes > buf.len(),
        packet_info: message.packet_info,
    })
}

/// Two new descriptors.
fn pair(result: &Result<(Fd, Fd), Errno>) -> A {
    result.as_ref().map_or(A::Name("..."), |(a, b)| A::Pair([a.number(), b.number()]))
}

/// The events of a wait; after an error, the address of the buffer.
fn ret_events(events: &[EpollEvent], result: Result<usize, Errno>) -> A {
    match result {
        Ok(count) => A::Events(Vec::from(&events[..count.min(events.len())])),
        Err(_) => A::Address(events.as_ptr().addr()),
    }
}
