//! The arguments of each call, in C's order. Results are in the place of the pointers to them.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use super::record::{Argument as A, Bytes, MessageParts, ReturnValue};
use super::recorder::{
    Recorder, family, fd, kind, messages, msghdr, number, option_value, read_bytes, ret_addr,
};
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{
    Decision, EpollEvent, EpollOp, Fd, IOVECS_MAX, Kernel, OutgoingMessage, ReceiveMode,
    ReceivedDatagram, ReceivedMessage, Resource, Rlimit, Shutdown, SignalSet, SocketOption,
    SocketOptionName, SocketType, Syscall, TcpInfo,
};
use crate::net::{Addr, AddressFamily, Datagram, DatagramBatch, PacketInfo};

const NULL: A = A::Name("NULL");

#[deny(clippy::missing_trait_methods)]
impl Kernel for Recorder<'_> {
    fn socket(&mut self, target: AddressFamily, socket_type: SocketType) -> Result<Fd, Errno> {
        let made = self.make(Syscall::Socket, |kernel| kernel.socket(target, socket_type));
        let protocol =
            if target == AddressFamily::Unix { A::Number(0) } else { A::Name("IPPROTO_IP") };
        self.record_fd(made, [family(target), kind(socket_type), protocol])
    }

    fn socketpair(&mut self, socket_type: SocketType) -> Result<(Fd, Fd), Errno> {
        let made = self.make(Syscall::Socketpair, |kernel| kernel.socketpair(socket_type));
        let (family, pair) = (family(AddressFamily::Unix), pair(&made.result));
        self.record(made, [family, kind(socket_type), A::Number(0), pair])
    }

    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        let made = self.make(Syscall::Bind, |kernel| kernel.bind(socket, addr));
        self.record(made, [fd(socket), A::Addr(*addr), number(addr.encode().socklen())])
    }

    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno> {
        let made = self.make(Syscall::Listen, |kernel| kernel.listen(socket, backlog));
        self.record(made, [fd(socket), number(backlog)])
    }

    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        let made = self.make(Syscall::Accept4, |kernel| kernel.accept4(listener));
        let [addr, len] = ret_addr(made.result.as_ref().ok().map(|(_, addr)| *addr));
        let flags = A::Name("SOCK_CLOEXEC|SOCK_NONBLOCK");
        self.record_as(made, [fd(listener), addr, len, flags], |(fd, _)| {
            ReturnValue::Fd(fd.number())
        })
    }

    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        let made = self.make(Syscall::Connect, |kernel| kernel.connect(socket, addr));
        self.record(made, [fd(socket), A::Addr(*addr), number(addr.encode().socklen())])
    }

    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        let made = self.make(Syscall::Getsockname, |kernel| kernel.getsockname(socket));
        let [addr, len] = ret_addr(made.result.ok());
        self.record(made, [fd(socket), addr, len])
    }

    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        let made = self.make(Syscall::Getpeername, |kernel| kernel.getpeername(socket));
        let [addr, len] = ret_addr(made.result.ok());
        self.record(made, [fd(socket), addr, len])
    }

    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno> {
        let made = self.make(Syscall::Setsockopt, |kernel| kernel.setsockopt(socket, option));
        let (level, name) = option.name().c_names();
        let (value, len) = option_value(option);
        self.record(made, [fd(socket), A::Name(level), A::Name(name), value, A::Number(len)])
    }

    fn getsockopt(&mut self, socket: &Fd, target: SocketOptionName) -> Result<SocketOption, Errno> {
        let made = self.make(Syscall::Getsockopt, |kernel| kernel.getsockopt(socket, target));
        let (level, name) = target.c_names();
        let (value, len) = made.result.map_or((A::Name("..."), 4), option_value);
        self.record(made, [fd(socket), A::Name(level), A::Name(name), value, A::Value(len)])
    }

    fn getsockopt_tcp_info(&mut self, socket: &Fd) -> Result<TcpInfo, Errno> {
        let made =
            self.make(Syscall::GetsockoptTcpInfo, |kernel| kernel.getsockopt_tcp_info(socket));
        let value = |info: &TcpInfo| A::Text(format!("{{tcpi_state={:?}, ...}}", info.state));
        let value = made.result.as_ref().map_or(A::Name("..."), value);
        self.record(made, [fd(socket), A::Name("SOL_TCP"), A::Name("TCP_INFO"), value])
    }

    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        let made = self.make(Syscall::Recv, |kernel| kernel.recv(socket, buf));
        let (bytes, capacity) = (read_bytes(buf, made.result), number(buf.len()));
        self.record_count(made, [fd(socket), bytes, capacity, A::Number(0), NULL, NULL])
    }

    fn recv_peek(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        let made = self.make(Syscall::RecvPeek, |kernel| kernel.recv_peek(socket, buf));
        let (bytes, capacity) = (read_bytes(buf, made.result), number(buf.len()));
        let arguments = [fd(socket), bytes, capacity, A::Name("MSG_PEEK"), NULL, NULL];
        self.record_count(made, arguments)
    }

    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        let made = self.make(Syscall::Send, |kernel| kernel.send(socket, buf));
        let (bytes, len) = (A::Bytes(Bytes::new(buf)), number(buf.len()));
        self.record_count(
            made,
            [fd(socket), bytes, len, A::Name("MSG_NOSIGNAL"), NULL, A::Number(0)],
        )
    }

    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
        let made = self.make(Syscall::Recvfrom, |kernel| kernel.recvfrom(socket, buf));
        let length = made.result.map(|(length, _)| length);
        let [addr, len] = ret_addr(made.result.ok().map(|(_, addr)| addr));
        let (bytes, capacity) = (read_bytes(buf, length), number(buf.len()));
        let arguments = [fd(socket), bytes, capacity, A::Name("MSG_TRUNC"), addr, len];
        self.record_as(made, arguments, |(len, _)| ReturnValue::Number(*len))
    }

    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
        let made = self.make(Syscall::Sendto, |kernel| kernel.sendto(socket, buf, addr));
        let (bytes, len) = (A::Bytes(Bytes::new(buf)), number(buf.len()));
        let (flags, addr_len) = (A::Name("MSG_NOSIGNAL"), number(addr.encode().socklen()));
        self.record_count(made, [fd(socket), bytes, len, flags, A::Addr(*addr), addr_len])
    }

    fn recvmmsg(&mut self, socket: &Fd, batch: &mut DatagramBatch) -> Result<usize, Errno> {
        let made = self.make(Syscall::Recvmmsg, |kernel| kernel.recvmmsg(socket, batch));
        let received = made.result.map_or(A::Name("..."), |count| messages(batch, 0, count, false));
        let capacity = number(batch.recv_max());
        self.record_count(made, [fd(socket), received, capacity, A::Number(0), NULL])
    }

    fn sendmmsg(
        &mut self,
        socket: &Fd,
        batch: &DatagramBatch,
        first: usize,
    ) -> Result<usize, Errno> {
        let made = self.make(Syscall::Sendmmsg, |kernel| kernel.sendmmsg(socket, batch, first));
        let sent = messages(batch, first, made.result.unwrap_or(batch.len()), true);
        let len = number(batch.len().saturating_sub(first));
        self.record_count(made, [fd(socket), sent, len, A::Name("MSG_NOSIGNAL")])
    }

    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<ReceivedDatagram, Errno> {
        let made = self.make(Syscall::Recvmsg, |kernel| kernel.recvmsg(socket, buf));
        let received =
            made.result.map_or(A::Name("..."), |message| received_message(buf, &message));
        let arguments = [fd(socket), received, A::Name("MSG_TRUNC")];
        self.record_as(made, arguments, |message| ReturnValue::Number(message.len_bytes))
    }

    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize, Errno> {
        let made =
            self.make(Syscall::Sendmsg, |kernel| kernel.sendmsg(socket, buf, addr, packet_info));
        let addr = &addr.encode();
        let datagram =
            Datagram { bytes: buf, addr, truncated: false, segment_bytes: 0, packet_info };
        let sent = A::Message(msghdr(&datagram, None));
        self.record_count(made, [fd(socket), sent, A::Name("MSG_NOSIGNAL")])
    }

    fn recv_message(
        &mut self,
        socket: &Fd,
        bufs: &mut [&mut [u8]],
        mode: ReceiveMode,
    ) -> Result<ReceivedMessage, Errno> {
        let made =
            self.make(Syscall::RecvMessage, |kernel| kernel.recv_message(socket, bufs, mode));
        let received = made.result.as_ref();
        let received = received.map_or(A::Name("..."), |message| received_parts(bufs, message));
        let flags = A::Name(match mode {
            ReceiveMode::Consume => "MSG_CMSG_CLOEXEC",
            ReceiveMode::Peek => "MSG_PEEK|MSG_CMSG_CLOEXEC",
            ReceiveMode::ErrorQueue => "MSG_ERRQUEUE|MSG_CMSG_CLOEXEC",
        });
        self.record_as(made, [fd(socket), received, flags], |message| {
            ReturnValue::Number(message.len_bytes)
        })
    }

    fn send_message(&mut self, socket: &Fd, message: &OutgoingMessage<'_>) -> Result<usize, Errno> {
        let made = self.make(Syscall::SendMessage, |kernel| kernel.send_message(socket, message));
        let control = [
            (message.packet_info.is_some(), "PKTINFO"),
            (message.segment_bytes > 0, "UDP_SEGMENT"),
            (message.credentials.is_some(), "SCM_CREDENTIALS"),
        ];
        let sent = A::MessageParts(MessageParts {
            addr: message.to.copied(),
            buffers: buffers(message.bufs, usize::MAX),
            descriptors: message.descriptors.iter().map(|fd| fd.number()).collect(),
            control: present(control),
            flags: "0",
        });
        self.record_count(made, [fd(socket), sent, A::Name("MSG_NOSIGNAL")])
    }

    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize, Errno> {
        let made = self.make(Syscall::Ioctl, |kernel| kernel.ioctl_outq(socket));
        let value = |bytes: usize| A::Value(bytes.try_into().unwrap_or(i64::MAX));
        let value = made.result.map_or(A::Name("..."), value);
        self.record(made, [fd(socket), A::Name("TIOCOUTQ"), value])
    }

    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<(), Errno> {
        let made = self.make(Syscall::Shutdown, |kernel| kernel.shutdown(socket, how));
        let how = match how {
            Shutdown::Read => "SHUT_RD",
            Shutdown::Write => "SHUT_WR",
            Shutdown::Both => "SHUT_RDWR",
        };
        self.record(made, [fd(socket), A::Name(how)])
    }

    fn read(&mut self, from: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        let made = self.make(Syscall::Read, |kernel| kernel.read(from, buf));
        let (bytes, capacity) = (read_bytes(buf, made.result), number(buf.len()));
        self.record_count(made, [fd(from), bytes, capacity])
    }

    fn write(&mut self, into: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        let made = self.make(Syscall::Write, |kernel| kernel.write(into, buf));
        self.record_count(made, [fd(into), A::Bytes(Bytes::new(buf)), number(buf.len())])
    }

    fn readv(&mut self, from: &Fd, bufs: &mut [&mut [u8]]) -> Result<usize, Errno> {
        let made = self.make(Syscall::Readv, |kernel| kernel.readv(from, bufs));
        let count = bufs.len().min(IOVECS_MAX);
        let bufs: Vec<&[u8]> = bufs[..count].iter().map(|buf| &**buf).collect();
        let read = made.result.map_or(A::Name("..."), |count| A::Buffers(buffers(&bufs, count)));
        self.record_count(made, [fd(from), read, number(count)])
    }

    fn writev(&mut self, into: &Fd, bufs: &[&[u8]]) -> Result<usize, Errno> {
        let made = self.make(Syscall::Writev, |kernel| kernel.writev(into, bufs));
        let bufs = &bufs[..bufs.len().min(IOVECS_MAX)];
        let written = A::Buffers(buffers(bufs, usize::MAX));
        self.record_count(made, [fd(into), written, number(bufs.len())])
    }

    fn ioctl_fionbio(&mut self, target: &Fd) -> Result<(), Errno> {
        let made = self.make(Syscall::IoctlFionbio, |kernel| kernel.ioctl_fionbio(target));
        self.record(made, [fd(target), A::Name("FIONBIO"), A::Value(1)])
    }

    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
        let made = self.make(Syscall::Splice, |kernel| kernel.splice(from, into, len_bytes));
        let flags = A::Name("SPLICE_F_NONBLOCK");
        self.record_count(made, [fd(from), NULL, fd(into), NULL, number(len_bytes), flags])
    }

    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno> {
        let made = self.make(Syscall::Pipe2, Kernel::pipe2);
        let pair = pair(&made.result);
        self.record(made, [pair, A::Name("O_NONBLOCK|O_CLOEXEC")])
    }

    fn fcntl_setpipe_sz(&mut self, pipe: &Fd, bytes: usize) -> Result<usize, Errno> {
        let made =
            self.make(Syscall::FcntlSetpipeSz, |kernel| kernel.fcntl_setpipe_sz(pipe, bytes));
        self.record_count(made, [fd(pipe), A::Name("F_SETPIPE_SZ"), number(bytes)])
    }

    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno> {
        let made = self.make(Syscall::Eventfd, |kernel| kernel.eventfd(initial));
        self.record_fd(made, [number(initial), A::Name("EFD_CLOEXEC|EFD_NONBLOCK")])
    }

    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno> {
        let made = self.make(Syscall::Signalfd, |kernel| kernel.signalfd(signals));
        let flags = A::Name("SFD_CLOEXEC|SFD_NONBLOCK");
        self.record_fd(made, [A::Number(-1), A::Signals(signals), A::Number(8), flags])
    }

    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno> {
        let made = self.make(Syscall::Sigprocmask, |kernel| kernel.sigprocmask(signals));
        let old = A::Signals(made.result.unwrap_or_default());
        self.record(made, [A::Name("SIG_BLOCK"), A::Signals(signals), old, A::Number(8)])
    }

    fn dup(&mut self, target: &Fd) -> Result<Fd, Errno> {
        let made = self.make(Syscall::Dup, |kernel| kernel.dup(target));
        self.record_fd(made, [fd(target), A::Name("F_DUPFD_CLOEXEC"), A::Number(0)])
    }

    fn close(&mut self, closed: Fd) -> Result<(), Errno> {
        let closed_fd = fd(&closed);
        let made = self.make(Syscall::Close, |kernel| kernel.close(closed));
        self.record(made, [closed_fd])
    }

    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        let made = self.make(Syscall::EpollCreate1, Kernel::epoll_create1);
        self.record_fd(made, [A::Name("EPOLL_CLOEXEC")])
    }

    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, target: &Fd) -> Result<(), Errno> {
        let made = self.make(Syscall::EpollCtl, |kernel| kernel.epoll_ctl(epoll, op, target));
        let (op, event) = match op {
            EpollOp::Add(event) => ("EPOLL_CTL_ADD", A::Event(event)),
            EpollOp::Modify(event) => ("EPOLL_CTL_MOD", A::Event(event)),
            EpollOp::Delete => ("EPOLL_CTL_DEL", NULL),
        };
        self.record(made, [fd(epoll), A::Name(op), fd(target), event])
    }

    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno> {
        let made = self
            .make(Syscall::EpollWait, |kernel| kernel.epoll_wait(epoll, events, timeout_millis));
        let timeout = timeout_millis.map_or(A::Number(-1), number);
        let (received, capacity) = (ret_events(events, made.result), number(events.len()));
        self.record_count(made, [fd(epoll), received, capacity, timeout])
    }

    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        let made =
            self.make(Syscall::EpollPwait2, |kernel| kernel.epoll_pwait2(epoll, events, timeout));
        let timeout = timeout.map_or(NULL, A::Timespec);
        let (received, capacity) = (ret_events(events, made.result), number(events.len()));
        self.record_count(made, [fd(epoll), received, capacity, timeout, NULL, A::Number(0)])
    }

    fn prlimit(&mut self, resource: Resource, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
        let made = self.make(Syscall::Prlimit, |kernel| kernel.prlimit(resource, new));
        let Resource::Nofile = resource;
        let old = made.result.map_or(A::Name("..."), A::Limit);
        let new = new.map_or(NULL, A::Limit);
        self.record(made, [A::Number(0), A::Name("RLIMIT_NOFILE"), new, old])
    }

    fn on_decision(&mut self, decision: Decision) {
        self.sink.decision(decision);
        self.kernel.on_decision(decision);
    }

    fn now(&mut self) -> Instant {
        self.kernel.now()
    }
}

/// A datagram that was received into `buf`.
fn received_message(buf: &[u8], message: &ReceivedDatagram) -> A {
    let datagram = Datagram {
        bytes: &buf[..message.len_bytes.min(buf.len())],
        addr: &message.from.encode(),
        truncated: message.len_bytes > buf.len(),
        segment_bytes: message.segment_bytes,
        packet_info: message.packet_info,
    };
    A::Message(msghdr(&datagram, Some(buf.len())))
}

/// A message that was received into `bufs`.
fn received_parts(bufs: &[&mut [u8]], message: &ReceivedMessage) -> A {
    let bufs: Vec<&[u8]> = bufs.iter().map(|buf| &**buf).collect();
    let control = [
        (message.packet_info.is_some(), "PKTINFO"),
        (message.segment_bytes > 0, "UDP_GRO"),
        (message.credentials.is_some(), "SCM_CREDENTIALS"),
        (message.timestamp.is_some(), "SO_TIMESTAMPNS"),
        (message.error.is_some(), "RECVERR"),
    ];
    let flags = match (message.is_truncated, message.is_control_truncated) {
        (false, false) => "0",
        (true, false) => "MSG_TRUNC",
        (false, true) => "MSG_CTRUNC",
        (true, true) => "MSG_TRUNC|MSG_CTRUNC",
    };
    A::MessageParts(MessageParts {
        addr: Some(message.from).filter(|from| *from != Addr::Unspecified),
        buffers: buffers(&bufs, message.len_bytes),
        descriptors: message.descriptors.numbers().collect(),
        control: present(control),
        flags,
    })
}

/// Buffers that hold `count` bytes together, with their sizes.
fn buffers(bufs: &[&[u8]], mut count: usize) -> Vec<(Bytes, usize)> {
    let mut part = |buf: &&[u8]| {
        let len = buf.len().min(count);
        count -= len;
        (Bytes::new(&buf[..len]), buf.len())
    };
    bufs.iter().map(&mut part).collect()
}

fn present<const N: usize>(names: [(bool, &'static str); N]) -> Vec<&'static str> {
    names.into_iter().filter(|(is_present, _)| *is_present).map(|(_, name)| name).collect()
}

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
