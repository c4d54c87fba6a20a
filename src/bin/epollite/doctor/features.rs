//! The features: for each a probe, and what epollite does without it.
//!
//! A probe makes the call in question on descriptors of its own, and closes them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use epollite::event::{EPOLLEXCLUSIVE, EPOLLIN};
use epollite::kernel::{
    EpollEvent, EpollOp, Signal, SignalSet, SocketOption, SocketType, close_quietly,
};
use epollite::net::{AddressFamily, DatagramBatch};
use epollite::{Addr, Errno, Fd, Kernel, Linux};

use crate::echo::model::Steer;
use crate::instrument::CountingKernel;
use crate::models::{
    ModelSyscalls as _, is_file_watched, set_busy_poll_params, set_udp_segment_bytes,
};

/// A feature, as it was found.
#[derive(Debug)]
pub(super) struct Feature {
    pub(super) name: &'static str,
    /// The first version of Linux that has it; empty if every supported one has.
    pub(super) since: &'static str,
    /// Whether the echo server does not start without it.
    pub(super) is_needed: bool,
    /// What epollite does without it.
    pub(super) without: &'static str,
    pub(super) state: Result<(), Errno>,
}

type Probe = fn() -> Result<(), Errno>;

/// Name, since, needed, without, probe.
const FEATURES: [(&str, &str, bool, &str, Probe); 21] = [
    ("epoll", "", true, "nothing works", epoll),
    ("epoll_pwait2", "5.11", false, "timeouts are rounded up to milliseconds", epoll_pwait2),
    (
        "EPOLLEXCLUSIVE",
        "4.5",
        false,
        "prefork needs --accept all; --threads with --max-connections fails",
        exclusive,
    ),
    (
        "EPIOCSPARAMS",
        "6.9",
        false,
        "nothing changes: epollite does not use it, --spin polls in user space",
        busy_poll,
    ),
    ("eventfd", "", true, "threads could not wake each other: echo does not start", eventfd),
    ("signalfd", "", true, "signals could not be read: echo does not start", signalfd),
    ("accept4", "", true, "no connection is accepted", accept4),
    ("IPv6", "", false, ":PORT listens on IPv4 only", ipv6),
    ("SO_REUSEPORT", "", false, "--threads over 1 and --model reuseport fail", reuseport),
    (
        "SO_ATTACH_REUSEPORT_CBPF",
        "4.5",
        false,
        "--reuseport-select cpu and random fail; hash works",
        reuseport_cbpf,
    ),
    ("recvmmsg", "", false, "one call to receive each datagram", recvmmsg),
    ("sendmmsg", "", false, "one call to send each datagram", sendmmsg),
    ("UDP_GRO", "5.0", false, "segments of one packet are received one by one", udp_gro),
    ("UDP_SEGMENT", "4.18", false, "each datagram is sent by itself", udp_segment),
    ("IP_PKTINFO", "", false, "--udp on all addresses fails", packet_info),
    ("splice to a socket", "", false, "--bulk copies through user space", splice),
    ("F_SETPIPE_SZ", "", false, "--bulk copies through user space", pipe_size),
    ("SIOCOUTQ", "", false, "--idle-timeout closes clients that only read", outq),
    (
        "TCP_DEFER_ACCEPT",
        "",
        false,
        "nothing changes: the echo server does not set it",
        defer_accept,
    ),
    ("prlimit", "", false, "the descriptor limit is not raised", prlimit),
    ("kcmp", "4.13", false, "audit compares inodes: eventfds look alike", kcmp),
];

/// Probes every feature.
pub(super) fn probe() -> Vec<Feature> {
    let features = FEATURES.into_iter().map(|(name, since, is_needed, without, probe)| Feature {
        name,
        since,
        is_needed,
        without,
        state: probe(),
    });
    features.collect()
}

/// Makes calls on a new descriptor, and closes it.
fn with(
    fd: Result<Fd, Errno>,
    act: impl FnOnce(&mut Linux, &Fd) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let fd = fd?;
    let result = act(&mut Linux, &fd);
    close_quietly(&mut Linux, fd);
    result
}

fn tcp() -> Result<Fd, Errno> {
    Linux.socket(AddressFamily::Inet, SocketType::Stream)
}

fn udp() -> Result<Fd, Errno> {
    Linux.socket(AddressFamily::Inet, SocketType::Datagram)
}

fn loopback() -> Addr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()
}

/// An epoll that watches an eventfd, which is at `initial`.
fn with_epoll(
    initial: u32,
    events: u32,
    act: impl FnOnce(&mut Linux, &Fd, &Fd) -> Result<(), Errno>,
) -> Result<(), Errno> {
    with(Linux.epoll_create1(), |kernel, epoll| {
        with(kernel.eventfd(initial), |kernel, eventfd| {
            kernel.epoll_ctl(epoll, EpollOp::Add(EpollEvent::new(events, 1)), eventfd)?;
            act(kernel, epoll, eventfd)
        })
    })
}

/// Something else than what was to be returned: as if the call had failed.
fn expect(is_right: bool) -> Result<(), Errno> {
    if is_right { Ok(()) } else { Err(Errno::EIO) }
}

/// `EAGAIN` from a call that had nothing to do shows that it exists.
fn would_block<T>(result: Result<T, Errno>) -> Result<(), Errno> {
    match result {
        Err(errno) if errno.is_would_block() => Ok(()),
        result => result.map(drop),
    }
}

fn epoll() -> Result<(), Errno> {
    with_epoll(1, EPOLLIN, |kernel, epoll, _| {
        let mut events = [EpollEvent::default(); 2];
        expect(kernel.epoll_wait(epoll, &mut events, Some(0))? == 1 && events[0].data() == 1)
    })
}

fn epoll_pwait2() -> Result<(), Errno> {
    with_epoll(1, EPOLLIN, |kernel, epoll, _| {
        let mut events = [EpollEvent::default(); 2];
        expect(kernel.epoll_pwait2(epoll, &mut events, Some(Duration::ZERO))? == 1)
    })
}

fn exclusive() -> Result<(), Errno> {
    with_epoll(0, EPOLLIN | EPOLLEXCLUSIVE, |_, _, _| Ok(()))
}

fn busy_poll() -> Result<(), Errno> {
    with(Linux.epoll_create1(), |_, epoll| set_busy_poll_params(epoll))
}

fn eventfd() -> Result<(), Errno> {
    with(Linux.eventfd(1), |kernel, fd| expect(kernel.read(fd, &mut [0; 8])? == 8))
}

fn signalfd() -> Result<(), Errno> {
    with(Linux.signalfd(SignalSet::EMPTY | Signal::USR2.into()), |kernel, fd| {
        would_block(kernel.read(fd, &mut [0; epollite::kernel::SIGINFO_BYTES]))
    })
}

fn accept4() -> Result<(), Errno> {
    with(tcp(), |kernel, socket| {
        kernel.bind(socket, &loopback())?;
        kernel.listen(socket, 1)?;
        match kernel.accept4(socket) {
            Ok((connection, _)) => kernel.close(connection),
            Err(errno) => would_block::<()>(Err(errno)),
        }
    })
}

fn ipv6() -> Result<(), Errno> {
    with(Linux.socket(AddressFamily::Inet6, SocketType::Stream), |kernel, socket| {
        kernel.bind(socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())
    })
}

fn reuseport() -> Result<(), Errno> {
    with(tcp(), |kernel, socket| kernel.setsockopt(socket, SocketOption::ReusePort(true)))
}

fn reuseport_cbpf() -> Result<(), Errno> {
    with(tcp(), |kernel, socket| {
        kernel.setsockopt(socket, SocketOption::ReusePort(true))?;
        kernel.bind(socket, &loopback())?;
        CountingKernel::default().attach_reuseport_cbpf(socket, Steer::Cpu, 1)
    })
}

fn recvmmsg() -> Result<(), Errno> {
    with(udp(), |kernel, socket| {
        would_block(kernel.recvmmsg(socket, &mut DatagramBatch::new(1, 8)))
    })
}

fn sendmmsg() -> Result<(), Errno> {
    with(udp(), |kernel, socket| {
        kernel.bind(socket, &loopback())?;
        let to = kernel.getsockname(socket)?;
        let mut batch = DatagramBatch::new(1, 8);
        expect(batch.push(b"probe", &to.encode()))?;
        expect(kernel.sendmmsg(socket, &batch, 0)? == 1)
    })
}

fn udp_gro() -> Result<(), Errno> {
    with(udp(), |kernel, socket| kernel.setsockopt(socket, SocketOption::UdpGro(true)))
}

fn udp_segment() -> Result<(), Errno> {
    with(udp(), |_, socket| set_udp_segment_bytes(socket, 512))
}

fn packet_info() -> Result<(), Errno> {
    with(udp(), |kernel, socket| kernel.setsockopt(socket, SocketOption::PacketInfoV4(true)))
}

/// A byte from a socket into a pipe, and from there into the socket.
fn splice() -> Result<(), Errno> {
    with_pair(|kernel, near, far| {
        kernel.send(far, b"x")?;
        with_pipe(|kernel, reader, writer| {
            expect(kernel.splice(near, writer, 1)? == 1)?;
            expect(kernel.splice(reader, near, 1)? == 1)
        })
    })
}

fn pipe_size() -> Result<(), Errno> {
    with_pipe(|kernel, _, writer| kernel.fcntl_setpipe_sz(writer, 1 << 18).map(drop))
}

fn with_pair(act: impl FnOnce(&mut Linux, &Fd, &Fd) -> Result<(), Errno>) -> Result<(), Errno> {
    let (near, far) = Linux.socketpair(SocketType::Stream)?;
    with(Ok(near), |_, near| with(Ok(far), |kernel, far| act(kernel, near, far)))
}

fn with_pipe(act: impl FnOnce(&mut Linux, &Fd, &Fd) -> Result<(), Errno>) -> Result<(), Errno> {
    let (reader, writer) = Linux.pipe2()?;
    with(Ok(reader), |_, reader| with(Ok(writer), |kernel, writer| act(kernel, reader, writer)))
}

fn outq() -> Result<(), Errno> {
    with_pair(|kernel, near, _| expect(kernel.ioctl_outq(near)? == 0))
}

fn defer_accept() -> Result<(), Errno> {
    with(tcp(), |kernel, socket| kernel.setsockopt(socket, SocketOption::DeferAcceptSeconds(1)))
}

fn prlimit() -> Result<(), Errno> {
    let limit = Linux.prlimit(epollite::kernel::Resource::Nofile, None)?;
    // To what it is already.
    Linux.prlimit(epollite::kernel::Resource::Nofile, Some(limit)).map(drop)
}

fn kcmp() -> Result<(), Errno> {
    let pid = std::process::id().cast_signed();
    with_epoll(0, EPOLLIN, |_, epoll, eventfd| {
        let (epoll, eventfd) = (epoll.number(), eventfd.number());
        expect(is_file_watched(pid, eventfd, epoll, eventfd, 0)?)
    })
}
