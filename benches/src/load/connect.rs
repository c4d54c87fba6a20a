//! Sockets on their way to the server, and the means for them: descriptors, source addresses. It
//! sends nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use epollite::kernel::{Resource, Rlimit};
use epollite::{Addr, AddressFamily, Errno, Fd, Kernel, Linux, SocketOption, SocketType};
use nix::sys::socket::{setsockopt, sockopt};

use super::config::{Config, Target};
use super::error::{LoadError, from_os, is_ours};

/// Descriptors beside those of the connections: standard streams, epoll, the alarm, signals, files.
const RESERVED_FDS: u64 = 32;

/// A pair of addresses and a port of the server allow some 28,000 connections; from this many on
/// they come from several addresses, where there are several.
const ONE_SOURCE_MAX: u32 = 20_000;

/// Loopback has 16 million addresses. A TIME_WAIT lasts a minute: so many addresses have ports for
/// those of 90,000 connections a second.
const SOURCES: u32 = 200;
const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// How long a datagram's answer is waited for, where a name has several addresses.
const ASK_MAX: Duration = Duration::from_secs(1);

/// What a UDP socket should hold for us while we are not looking.
const RECEIVE_BUFFER_BYTES: u32 = 4 << 20;

/// How long to wait when a Unix server's queue is full, and how often.
const QUEUE_FULL_PAUSE: Duration = Duration::from_micros(200);
const QUEUE_FULL_MAX: u32 = 25_000;

/// Why a socket is not connecting.
enum Unconnected {
    /// Its own address is the server's: see [`Failure::Itself`].
    Itself,
    /// A Unix server's queue is full, and stays so.
    QueueFull,
    /// Our side refuses: the call, and its error.
    Ours(&'static str, Errno),
    /// The other side does, or the way there.
    Theirs(Errno),
}

/// Opens a load at the first address of a configuration where somebody answers.
///
/// A datagram socket is connected whoever is there or not: where there is a choice, a datagram asks.
/// When no address answers it is the first one's failure, or its losses, that are told.
pub(super) fn anywhere<T>(
    config: &Config,
    open: impl Fn(&Config) -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    let mut first = None;
    let targets = [config.target].into_iter().chain(config.alternatives.iter().copied());
    for target in targets {
        if !config.alternatives.is_empty() && target.is_datagrams() && !answers(target) {
            continue;
        }
        match open(&Config { target, ..config.clone() }) {
            Err(failure) if failure.is_absence() => _ = first.get_or_insert(failure),
            result => return result,
        }
    }
    first.map_or_else(|| open(config), Err)
}

/// Whether a datagram is answered there.
fn answers(target: Target) -> bool {
    let Ok(address) = SocketAddr::try_from(target.addr()) else { return false };
    let ask = || -> std::io::Result<usize> {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(address)?;
        if socket.local_addr()? == address {
            return Ok(0);
        }
        socket.set_read_timeout(Some(ASK_MAX))?;
        socket.send(b"?")?;
        socket.recv(&mut [0; 8])
    };
    ask().is_ok_and(|count| count > 0)
}

/// Sees to it that so many connections may be open.
pub(super) fn raise_limit(connections: u32) -> Result<(), LoadError> {
    let needed = u64::from(connections) + RESERVED_FDS;
    let limit = Linux.prlimit(Resource::Nofile, None).map_err(LoadError::call("prlimit"))?;
    if limit.soft >= needed {
        return Ok(());
    }
    if limit.hard < needed {
        return Err(LoadError::Descriptors { needed, limit: limit.hard });
    }
    let raised = Rlimit { soft: needed, ..limit };
    Linux.prlimit(Resource::Nofile, Some(raised)).map_err(LoadError::call("prlimit")).map(drop)
}

/// The `number`-th socket, connecting or connected.
pub(super) fn start_connect(config: &Config, number: u64) -> Result<Fd, LoadError> {
    let target = config.target;
    let addr = target.addr();
    let absent = |errno| LoadError::ConnectFailed { target, errno };
    let (family, kind) = match target {
        Target::Unix(_) => (AddressFamily::Unix, SocketType::Stream),
        Target::Tcp(_) => {
            (addr.family().ok_or_else(|| absent(Errno::EDESTADDRREQ))?, SocketType::Stream)
        }
        Target::Udp(_) => {
            (addr.family().ok_or_else(|| absent(Errno::EDESTADDRREQ))?, SocketType::Datagram)
        }
    };
    let many = config.churn || config.connections > ONE_SOURCE_MAX;
    // One address may have no port left where others have.
    let spread = (0..u64::from(SOURCES)).map_while(|more| source_addr(&addr, number + more));
    let any = if many && spread.clone().next().is_some() { None } else { Some(None) };
    for source in any.into_iter().chain(spread.map(Some)) {
        let fd =
            Linux.socket(family, kind).map_err(|errno| port_exhausted(errno, config, number))?;
        let result =
            set_options(&fd, config, source).and_then(|()| connect(&fd, &addr, source.is_some()));
        let Err(why) = result else { return Ok(fd) };
        // Its error would be about a file's data, and there is none.
        let _ = Linux.close(fd);
        match why {
            Unconnected::Itself => return Err(LoadError::Itself { target }),
            Unconnected::QueueFull => {
                let seconds = (QUEUE_FULL_PAUSE * QUEUE_FULL_MAX).as_secs_f64();
                return Err(LoadError::Unanswered { target, seconds });
            }
            Unconnected::Theirs(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE) => {}
            Unconnected::Ours(call, errno) => return Err(LoadError::Call { call, errno }),
            Unconnected::Theirs(errno) => return Err(absent(errno)),
        }
    }
    if number == 0 && has_a_port(family, kind) {
        // Then it is an address to connect from that is missing: IPv6 may be off.
        return Err(absent(Errno::EADDRNOTAVAIL));
    }
    Err(LoadError::Ports { sockets: u32::try_from(number).unwrap_or(u32::MAX) })
}

/// Whether a socket can have any port at all. connect(2) has one error for a lack of ports and of
/// addresses.
fn has_a_port(family: AddressFamily, kind: SocketType) -> bool {
    let any: IpAddr = match family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        AddressFamily::Unix => return false,
    };
    let Ok(fd) = Linux.socket(family, kind) else { return false };
    let bound = Linux.bind(&fd, &Addr::from(SocketAddr::new(any, 0)));
    // Its error would be about a file's data, and there is none.
    let _ = Linux.close(fd);
    bound.is_ok()
}

fn set_options(fd: &Fd, config: &Config, source: Option<Addr>) -> Result<(), Unconnected> {
    let refused = |errno| Unconnected::Ours("setsockopt", errno);
    match config.target {
        Target::Tcp(_) => {
            Linux.setsockopt(fd, SocketOption::NoDelay(true)).map_err(refused)?;
            // The port is chosen at connect(2), where only the whole pair must be unique.
            if source.is_some() {
                setsockopt(fd, sockopt::IpBindAddressNoPort, &true)
                    .map_err(from_os)
                    .map_err(refused)?;
            }
        }
        Target::Udp(_) => {
            // As much as we may; what is dropped here would be our loss, not the server's.
            let bytes = RECEIVE_BUFFER_BYTES as usize;
            if setsockopt(fd, sockopt::RcvBufForce, &bytes).is_err() {
                let _ =
                    Linux.setsockopt(fd, SocketOption::ReceiveBufferBytes(RECEIVE_BUFFER_BYTES));
            }
            if config.gso {
                let size = i32::try_from(config.sizes.max()).unwrap_or(i32::MAX);
                setsockopt(fd, sockopt::UdpGsoSegment, &size).map_err(from_os).map_err(refused)?;
            }
        }
        Target::Unix(_) => {}
    }
    source.map_or(Ok(()), |source| Linux.bind(fd, &source)).map_err(|errno| match errno {
        // Another source may do.
        Errno::EADDRNOTAVAIL | Errno::EADDRINUSE => Unconnected::Theirs(errno),
        errno => Unconnected::Ours("bind", errno),
    })
}

/// Connects a socket of TCP anew if its connection is over: connecting it to nothing dissolves
/// what is left. Its options and its source address it keeps, and its place in an epoll. Work:
/// three system calls, where another socket takes up to seven.
///
/// Who has read the end may still have a FIN of its own under way, if the other side ended first.
/// Dissolved, it would not send that again, and would answer what comes with a reset. Only when
/// both are acknowledged the socket has no peer any more.
pub(super) fn reconnect(fd: &Fd, target: Target) -> Result<(), Errno> {
    if !matches!(target, Target::Tcp(_)) {
        return Err(Errno::EOPNOTSUPP);
    }
    match Linux.getpeername(fd) {
        Err(Errno::ENOTCONN) => {}
        Err(errno) => return Err(errno),
        Ok(_) => return Err(Errno::EALREADY),
    }
    Linux.connect(fd, &Addr::Unspecified)?;
    let addr = target.addr();
    connect(fd, &addr, source_addr(&addr, 0).is_some()).map_err(|why| match why {
        Unconnected::Theirs(errno) | Unconnected::Ours(_, errno) => errno,
        Unconnected::Itself | Unconnected::QueueFull => Errno::ECONNREFUSED,
    })
}

/// Connects; `has_source` says whether it is bound to one of our sources.
fn connect(fd: &Fd, addr: &Addr, has_source: bool) -> Result<(), Unconnected> {
    for _ in 0..QUEUE_FULL_MAX {
        match Linux.connect(fd, addr) {
            Ok(()) | Err(Errno::EINPROGRESS) if is_itself(fd, addr, has_source) => {
                return Err(Unconnected::Itself);
            }
            Ok(()) | Err(Errno::EINPROGRESS) => return Ok(()),
            // A Unix server's queue is full, and no event tells when it is not; a TCP socket finds
            // no port.
            Err(Errno::EAGAIN) if addr.family() == Some(AddressFamily::Unix) => {
                std::thread::sleep(QUEUE_FULL_PAUSE);
            }
            Err(Errno::EAGAIN) => return Err(Unconnected::Theirs(Errno::EADDRNOTAVAIL)),
            Err(Errno::EINTR) => {}
            Err(errno) if is_ours(errno) => return Err(Unconnected::Ours("connect", errno)),
            Err(errno) => return Err(Unconnected::Theirs(errno)),
        }
    }
    Err(Unconnected::QueueFull)
}

/// Whether the kernel chose the server's port for our own end of the connection: where nobody
/// listens at a port of the local range, TCP then connects the socket with itself, and it echoes.
/// UDP does the same. Work: a system call, or none where the source is another address.
///
/// Man page: tcp(7), of simultaneous open: RFC 9293, 3.5.
fn is_itself(fd: &Fd, addr: &Addr, has_source: bool) -> bool {
    if addr.port().is_none() || has_source && !is_a_source(addr) {
        return false;
    }
    let Ok(own) = Linux.getsockname(fd) else { return false };
    // Asked for the address of all interfaces, the kernel connects to one of them.
    own.port() == addr.port() && Linux.getpeername(fd).map_or(own.ip() == addr.ip(), |it| it == own)
}

/// Whether it is one of the addresses that [`source`] gives.
fn is_a_source(addr: &Addr) -> bool {
    let Addr::V4(addr) = addr else { return false };
    u32::from(*addr.ip()).checked_sub(u32::from(FIRST_SOURCE)).is_some_and(|it| it < SOURCES)
}

/// Which of loopback's addresses the `number`-th socket comes from, when one is not enough.
fn source_addr(addr: &Addr, number: u64) -> Option<Addr> {
    let is_loopback = matches!(addr, Addr::V4(addr) if addr.ip().is_loopback());
    let number = u32::try_from(number % u64::from(SOURCES)).unwrap_or(0);
    let source = Ipv4Addr::from(u32::from(FIRST_SOURCE) + number);
    is_loopback.then_some(Addr::V4(std::net::SocketAddrV4::new(source, 0)))
}

fn port_exhausted(errno: Errno, config: &Config, number: u64) -> LoadError {
    if errno == Errno::EMFILE {
        return LoadError::Descriptors {
            needed: u64::from(config.connections) + RESERVED_FDS,
            limit: number,
        };
    }
    if errno == Errno::EAFNOSUPPORT {
        // Of a name the other addresses may be of a family that there is.
        return LoadError::ConnectFailed { target: config.target, errno };
    }
    LoadError::Call { call: "socket", errno }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Read;
    use std::net::TcpListener;

    use epollite::Shutdown;

    use super::*;

    #[test]
    fn the_addresses_of_a_name_are_tried_in_turn_and_the_first_absence_is_told() {
        let [one, two, three] = [1, 2, 3]
            .map(|port| Target::Tcp(Addr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))));
        let config = Config { alternatives: vec![two, three], ..Config::new(one) };
        let tried = RefCell::new(Vec::new());
        let open = |result: &dyn Fn(Target) -> Result<Target, LoadError>| {
            let told = anywhere(&config, |config| {
                tried.borrow_mut().push(config.target);
                result(config.target)
            });
            (told, tried.take())
        };
        let absent = |target| Err(LoadError::ConnectFailed { target, errno: Errno::ECONNREFUSED });

        let (told, tried) = open(&absent);
        assert!(
            matches!(told, Err(LoadError::ConnectFailed { target, .. }) if target == one),
            "{told:?}"
        );
        assert_eq!(tried, [one, two, three], "where nobody answers all are tried");

        let (told, tried) = open(&|target| if target == two { Ok(two) } else { absent(target) });
        assert!(matches!(told, Ok(target) if target == two), "{told:?}");
        assert_eq!(tried, [one, two], "who answers is asked alone");

        // That this side cannot open anything is no matter of the address.
        let exhausted = || Err(LoadError::Descriptors { needed: 9, limit: 1 });
        let (told, tried) =
            open(&|target| if target == two { exhausted() } else { absent(target) });
        assert!(matches!(told, Err(LoadError::Descriptors { .. })), "{told:?}");
        assert_eq!(tried, [one, two], "and it is told, before the absence of another");
    }

    #[test]
    fn a_socket_serves_again_only_when_both_ends_are_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let target = Target::Tcp(Addr::from(listener.local_addr().expect("it is bound")));
        let config = Config { churn: true, ..Config::new(target) };
        let fd = start_connect(&config, 0).expect("somebody listens");
        let (mut peer, _) = listener.accept().expect("it is connected");
        assert_eq!(reconnect(&fd, target), Err(Errno::EALREADY), "it is in use");
        Linux.shutdown(&fd, Shutdown::Write).expect("it is connected");
        assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
        assert_eq!(reconnect(&fd, target), Err(Errno::EALREADY), "the other side has not ended");
        drop(peer);
        assert_eq!(reconnect(&fd, target), Ok(()), "it is over");
        let (peer, _) = listener.accept().expect("it is connected again");
        drop(peer);
        assert_eq!(reconnect(&fd, target), Err(Errno::EALREADY), "only the other side has ended");
        Linux.close(fd).expect("it is ours");
    }
}
