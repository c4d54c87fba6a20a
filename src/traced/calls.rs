//! Which arguments each call has, in C's order. What a call gives back stands where its
//! pointer would.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::record::Bytes;
use super::{
    Argument as A, Returned, Traced, count, done, family, fd, kind, made, messages, name, number,
    option_name, option_value, read_bytes,
};
use crate::addr::{Addr, Family, PacketInfo, SockAddr};
use crate::batch::Batch;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{
    Call, Control, EpollEvent, Fd, Kernel, Kind, Limit, Message, OptionName, Resource, Shut,
    SignalSet, SocketOption,
};

const NULL: A = A::Name("NULL");

impl<K: Kernel> Kernel for Traced<K> {
    fn socket(&mut self, of: Family, sort: Kind) -> Result<Fd, Errno> {
        let (span, result) = self.timed(|kernel| kernel.socket(of, sort));
        let protocol = if of == Family::Unix { A::Number(0) } else { A::Name("IPPROTO_IP") };
        self.write_down(Call::Socket, span, vec![family(of), kind(sort), protocol], made(&result));
        result
    }

    fn socketpair(&mut self, sort: Kind) -> Result<(Fd, Fd), Errno> {
        let (span, result) = self.timed(|kernel| kernel.socketpair(sort));
        let mut arguments = vec![family(Family::Unix), kind(sort), A::Number(0)];
        arguments.push(pair(&result));
        self.write_down(Call::Socketpair, span, arguments, done(&result));
        result
    }

    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        let (span, result) = self.timed(|kernel| kernel.bind(socket, addr));
        let arguments = vec![fd(socket), A::Addr(*addr), number(addr.encode().socklen())];
        self.write_down(Call::Bind, span, arguments, done(&result));
        result
    }

    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno> {
        let (span, result) = self.timed(|kernel| kernel.listen(socket, backlog));
        self.write_down(Call::Listen, span, vec![fd(socket), number(backlog)], done(&result));
        result
    }

    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        let (span, result) = self.timed(|kernel| kernel.accept4(listener));
        let [addr, len] = name(result.as_ref().map(|(_, addr)| *addr).map_err(|errno| *errno));
        let flags = A::Name("SOCK_CLOEXEC|SOCK_NONBLOCK");
        let returned = result.as_ref().map(|(socket, _)| Returned::Fd(socket.number()));
        let returned = returned.map_err(|errno| *errno);
        self.write_down(Call::Accept4, span, vec![fd(listener), addr, len, flags], returned);
        result
    }

    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        let (span, result) = self.timed(|kernel| kernel.connect(socket, addr));
        let arguments = vec![fd(socket), A::Addr(*addr), number(addr.encode().socklen())];
        self.write_down(Call::Connect, span, arguments, done(&result));
        result
    }

    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        let (span, result) = self.timed(|kernel| kernel.getsockname(socket));
        let [addr, len] = name(result);
        self.write_down(Call::Getsockname, span, vec![fd(socket), addr, len], done(&result));
        result
    }

    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        let (span, result) = self.timed(|kernel| kernel.getpeername(socket));
        let [addr, len] = name(result);
        self.write_down(Call::Getpeername, span, vec![fd(socket), addr, len], done(&result));
        result
    }

    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno> {
        let (span, result) = self.timed(|kernel| kernel.setsockopt(socket, option));
        let (level, name) = option_name(option.name());
        let (value, len) = option_value(option);
        let arguments = vec![fd(socket), A::Name(level), A::Name(name), value, A::Number(len)];
        self.write_down(Call::Setsockopt, span, arguments, done(&result));
        result
    }

    fn getsockopt(&mut self, socket: &Fd, of: OptionName) -> Result<SocketOption, Errno> {
        let (span, result) = self.timed(|kernel| kernel.getsockopt(socket, of));
        let (level, name) = option_name(of);
        let (value, len) = result.map_or((A::Name("..."), 4), option_value);
        let arguments = vec![fd(socket), A::Name(level), A::Name(name), value, A::Value(len)];
        self.write_down(Call::Getsockopt, span, arguments, done(&result));
        result
    }

    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.recv(socket, buf));
        let (bytes, room) = (read_bytes(buf, result), number(buf.len()));
        let arguments = vec![fd(socket), bytes, room, A::Number(0), NULL, NULL];
        self.write_down(Call::Recv, span, arguments, count(result));
        result
    }

    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.send(socket, buf));
        let (bytes, len) = (A::Bytes(Bytes::of(buf)), number(buf.len()));
        let arguments = vec![fd(socket), bytes, len, A::Name("MSG_NOSIGNAL"), NULL, A::Number(0)];
        self.write_down(Call::Send, span, arguments, count(result));
        result
    }

    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
        let (span, result) = self.timed(|kernel| kernel.recvfrom(socket, buf));
        let length = result.map(|(length, _)| length);
        let [addr, len] = name(result.map(|(_, addr)| addr));
        let (bytes, room) = (read_bytes(buf, length), number(buf.len()));
        let arguments = vec![fd(socket), bytes, room, A::Name("MSG_TRUNC"), addr, len];
        self.write_down(Call::Recvfrom, span, arguments, count(length));
        result
    }

    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.sendto(socket, buf, addr));
        let (bytes, len) = (A::Bytes(Bytes::of(buf)), number(buf.len()));
        let to = [A::Addr(*addr), number(addr.encode().socklen())];
        let mut arguments = vec![fd(socket), bytes, len, A::Name("MSG_NOSIGNAL")];
        arguments.extend(to);
        self.write_down(Call::Sendto, span, arguments, count(result));
        result
    }

    fn recvmmsg(&mut self, socket: &Fd, batch: &mut Batch) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.recvmmsg(socket, batch));
        let came = result.map_or(A::Name("..."), |count| messages(batch, 0, count, false));
        let room = number(batch.datagrams_max());
        let arguments = vec![fd(socket), came, room, A::Number(0), NULL];
        self.write_down(Call::Recvmmsg, span, arguments, count(result));
        result
    }

    fn sendmmsg(&mut self, socket: &Fd, batch: &Batch, first: usize) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.sendmmsg(socket, batch, first));
        let went = messages(batch, first, result.unwrap_or(batch.len()), true);
        let len = number(batch.len().saturating_sub(first));
        let arguments = vec![fd(socket), went, len, A::Name("MSG_NOSIGNAL")];
        self.write_down(Call::Sendmmsg, span, arguments, count(result));
        result
    }

    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<Message, Errno> {
        let (span, result) = self.timed(|kernel| kernel.recvmsg(socket, buf));
        let came = result.map_or(A::Name("..."), |message| came(buf, &message));
        let length = result.map(|message| message.len_bytes);
        let arguments = vec![fd(socket), came, A::Name("MSG_TRUNC")];
        self.write_down(Call::Recvmsg, span, arguments, count(length));
        result
    }

    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.sendmsg(socket, buf, addr, packet_info));
        let went = A::Message(super::Message {
            addr: *addr,
            addr_room: None,
            addr_len: addr.encode().socklen(),
            bytes: Bytes::of(buf),
            room: buf.len(),
            truncated: false,
            packet_info,
        });
        let arguments = vec![fd(socket), went, A::Name("MSG_NOSIGNAL")];
        self.write_down(Call::Sendmsg, span, arguments, count(result));
        result
    }

    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.ioctl_outq(socket));
        let value = |bytes: usize| A::Value(bytes.try_into().unwrap_or(i64::MAX));
        let arguments = vec![fd(socket), A::Name("TIOCOUTQ"), result.map_or(A::Name("..."), value)];
        self.write_down(Call::Ioctl, span, arguments, done(&result));
        result
    }

    fn shutdown(&mut self, socket: &Fd, how: Shut) -> Result<(), Errno> {
        let (span, result) = self.timed(|kernel| kernel.shutdown(socket, how));
        let how = match how {
            Shut::Read => "SHUT_RD",
            Shut::Write => "SHUT_WR",
            Shut::Both => "SHUT_RDWR",
        };
        self.write_down(Call::Shutdown, span, vec![fd(socket), A::Name(how)], done(&result));
        result
    }

    fn read(&mut self, from: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.read(from, buf));
        let arguments = vec![fd(from), read_bytes(buf, result), number(buf.len())];
        self.write_down(Call::Read, span, arguments, count(result));
        result
    }

    fn write(&mut self, into: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.write(into, buf));
        let arguments = vec![fd(into), A::Bytes(Bytes::of(buf)), number(buf.len())];
        self.write_down(Call::Write, span, arguments, count(result));
        result
    }

    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.splice(from, into, len_bytes));
        let flags = A::Name("SPLICE_F_NONBLOCK");
        let arguments = vec![fd(from), NULL, fd(into), NULL, number(len_bytes), flags];
        self.write_down(Call::Splice, span, arguments, count(result));
        result
    }

    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno> {
        let (span, result) = self.timed(Kernel::pipe2);
        let arguments = vec![pair(&result), A::Name("O_NONBLOCK|O_CLOEXEC")];
        self.write_down(Call::Pipe2, span, arguments, done(&result));
        result
    }

    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno> {
        let (span, result) = self.timed(|kernel| kernel.eventfd(initial));
        let arguments = vec![number(initial), A::Name("EFD_CLOEXEC|EFD_NONBLOCK")];
        self.write_down(Call::Eventfd, span, arguments, made(&result));
        result
    }

    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno> {
        let (span, result) = self.timed(|kernel| kernel.signalfd(signals));
        let flags = A::Name("SFD_CLOEXEC|SFD_NONBLOCK");
        let arguments = vec![A::Number(-1), A::Signals(signals), A::Number(8), flags];
        self.write_down(Call::Signalfd, span, arguments, made(&result));
        result
    }

    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno> {
        let (span, result) = self.timed(|kernel| kernel.sigprocmask(signals));
        let old = A::Signals(result.unwrap_or_default());
        let arguments = vec![A::Name("SIG_BLOCK"), A::Signals(signals), old, A::Number(8)];
        self.write_down(Call::Sigprocmask, span, arguments, done(&result));
        result
    }

    fn dup(&mut self, of: &Fd) -> Result<Fd, Errno> {
        let (span, result) = self.timed(|kernel| kernel.dup(of));
        let arguments = vec![fd(of), A::Name("F_DUPFD_CLOEXEC"), A::Number(0)];
        self.write_down(Call::Dup, span, arguments, made(&result));
        result
    }

    fn close(&mut self, gone: Fd) -> Result<(), Errno> {
        let arguments = vec![fd(&gone)];
        let (span, result) = self.timed(|kernel| kernel.close(gone));
        self.write_down(Call::Close, span, arguments, done(&result));
        result
    }

    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        let (span, result) = self.timed(Kernel::epoll_create1);
        self.write_down(Call::EpollCreate1, span, vec![A::Name("EPOLL_CLOEXEC")], made(&result));
        result
    }

    fn epoll_ctl(&mut self, epoll: &Fd, control: Control, of: &Fd) -> Result<(), Errno> {
        let (span, result) = self.timed(|kernel| kernel.epoll_ctl(epoll, control, of));
        let (op, event) = match control {
            Control::Add(event) => ("EPOLL_CTL_ADD", A::Event(event)),
            Control::Modify(event) => ("EPOLL_CTL_MOD", A::Event(event)),
            Control::Delete => ("EPOLL_CTL_DEL", NULL),
        };
        let arguments = vec![fd(epoll), A::Name(op), fd(of), event];
        self.write_down(Call::EpollCtl, span, arguments, done(&result));
        result
    }

    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.epoll_wait(epoll, events, timeout_millis));
        let timeout = timeout_millis.map_or(A::Number(-1), number);
        let arguments = vec![fd(epoll), brought(events, result), number(events.len()), timeout];
        self.write_down(Call::EpollWait, span, arguments, count(result));
        result
    }

    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        let (span, result) = self.timed(|kernel| kernel.epoll_pwait2(epoll, events, timeout));
        let timeout = timeout.map_or(NULL, A::Timespec);
        let (came, room) = (brought(events, result), number(events.len()));
        let arguments = vec![fd(epoll), came, room, timeout, NULL, A::Number(0)];
        self.write_down(Call::EpollPwait2, span, arguments, count(result));
        result
    }

    fn prlimit(&mut self, resource: Resource, new: Option<Limit>) -> Result<Limit, Errno> {
        let (span, result) = self.timed(|kernel| kernel.prlimit(resource, new));
        let Resource::OpenFiles = resource;
        let old = result.map_or(A::Name("..."), A::Limit);
        let new = new.map_or(NULL, A::Limit);
        let arguments = vec![A::Number(0), A::Name("RLIMIT_NOFILE"), new, old];
        self.write_down(Call::Prlimit, span, arguments, done(&result));
        result
    }

    fn now(&mut self) -> Instant {
        self.kernel.now()
    }
}

/// A datagram that was received into `buf`.
fn came(buf: &[u8], message: &Message) -> A {
    A::Message(super::Message {
        addr: message.from,
        addr_room: Some(SockAddr::LEN_MAX),
        addr_len: message.from.encode().socklen(),
        bytes: Bytes::of(&buf[..message.len_bytes.min(buf.len())]),
        room: buf.len(),
        truncated: message.len_bytes > buf.len(),
        packet_info: message.packet_info,
    })
}

/// Two descriptors that were made.
fn pair(result: &Result<(Fd, Fd), Errno>) -> A {
    result.as_ref().map_or(A::Name("..."), |(a, b)| A::Pair([a.number(), b.number()]))
}

/// What a wait brought, or where it would have gone.
fn brought(events: &[EpollEvent], result: Result<usize, Errno>) -> A {
    match result {
        Ok(count) => A::Events(Vec::from(&events[..count.min(events.len())])),
        Err(_) => A::Address(events.as_ptr().addr()),
    }
}
