//! Connecting sockets to the server, and the resources for it: descriptors and source addresses. It
//! sends no messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use epollite::kernel::{SocketOption, SocketType};
use epollite::net::AddressFamily;
use epollite::{Addr, Errno, Fd, Kernel, Linux};
use nix::sys::socket::{setsockopt, sockopt};

use super::config::{Config, Target};
use super::error::{LoadError, Result, from_os, is_local};
use crate::server::{probe_echo, raise_file_limit};

/// Descriptors in addition to those of the connections: standard streams, epoll, timerfd, signalfd,
/// files.
const RESERVED_FDS: u64 = 32;

/// A pair of addresses and a server port allow some 28,000 connections. Above this number
/// connections use several source addresses, where there are several.
const ONE_SOURCE_CONNECTIONS_MAX: u32 = 20_000;

/// Loopback has 16 million addresses. TIME_WAIT lasts a minute: this many source addresses have
/// ports for 90,000 connections per second.
const SOURCES: u32 = 200;
const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// Time limit for the response to a probe datagram, where a name has several addresses.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Receive buffer of a UDP socket, to hold datagrams until they are read.
const RECEIVE_BUFFER_BYTES: u32 = 4 << 20;

/// Delay before retrying when a Unix listener's backlog is full, and the number of attempts.
const QUEUE_FULL_PAUSE: Duration = Duration::from_micros(200);
const QUEUE_FULL_MAX: u32 = 25_000;

/// Why a socket could not be connected.
enum Unconnected {
    /// Another source address cannot help.
    Failed(Box<LoadError>),
    /// The server or the network reported an error.
    Remote(Errno),
}

impl Unconnected {
    /// A call that the local machine failed.
    fn local(call: &'static str, errno: Errno) -> Self {
        Self::Failed(Box::new(LoadError::Call { call, errno }))
    }
}

/// Opens a load at the first address of the configuration where a server answers.
///
/// connect(2) of a datagram socket succeeds with or without a server: where there is a choice of
/// addresses, a probe datagram is sent to each. If no address answers, the error of the first one
/// (for UDP: its losses) is returned.
pub(super) fn open_any<T>(config: &Config, open: impl Fn(&Config) -> Result<T>) -> Result<T> {
    let mut first = None;
    let targets = [config.target].into_iter().chain(config.alternatives.iter().copied());
    for target in targets {
        if !config.alternatives.is_empty() && target.is_datagrams() && !answers_probe(target) {
            continue;
        }
        match open(&Config { target, ..config.clone() }) {
            Err(failure) if failure.is_no_server() => _ = first.get_or_insert(failure),
            result => return result,
        }
    }
    first.map_or_else(|| open(config), Err)
}

/// Whether a probe datagram is answered there.
fn answers_probe(target: Target) -> bool {
    let Ok(address) = SocketAddr::try_from(target.addr()) else { return false };
    probe_echo(address, PROBE_TIMEOUT).unwrap_or(false)
}

/// Raises `RLIMIT_NOFILE` so that this many connections can be open.
pub(super) fn raise_limit(connections: u32) -> Result<()> {
    let needed = u64::from(connections) + RESERVED_FDS;
    let limit = raise_file_limit(needed).map_err(from_os).map_err(LoadError::call("prlimit"))?;
    if limit < needed { Err(LoadError::Descriptors { needed, limit }) } else { Ok(()) }
}

/// Creates the `number`-th socket and starts connecting it.
pub(super) fn start_connect(config: &Config, number: u64) -> Result<Fd> {
    let target = config.target;
    let addr = target.addr();
    let absent = |errno| LoadError::ConnectFailed { target, errno };
    let family = addr.family().ok_or_else(|| absent(Errno::EDESTADDRREQ))?;
    let kind = if target.is_datagrams() { SocketType::Datagram } else { SocketType::Stream };
    let many = config.churn || config.connections > ONE_SOURCE_CONNECTIONS_MAX;
    // A source address may have no free port left where others have.
    let spread = (0..u64::from(SOURCES)).map_while(|more| source_addr(&addr, number + more));
    let any = if many && spread.clone().next().is_some() { None } else { Some(None) };
    for source in any.into_iter().chain(spread.map(Some)) {
        let fd =
            Linux.socket(family, kind).map_err(|errno| port_exhausted(errno, config, number))?;
        let result =
            set_options(&fd, config, source).and_then(|()| connect(&fd, target, source.is_some()));
        let Err(why) = result else { return Ok(fd) };
        // A close(2) error would concern file data; a socket has none.
        let _ = Linux.close(fd);
        match why {
            Unconnected::Failed(failure) => return Err(*failure),
            Unconnected::Remote(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE) => {}
            Unconnected::Remote(errno) => return Err(absent(errno)),
        }
    }
    if number == 0 && has_a_port(family, kind) {
        // Then no source address is available: IPv6 may be disabled.
        return Err(absent(Errno::EADDRNOTAVAIL));
    }
    Err(LoadError::Ports { sockets: u32::try_from(number).unwrap_or(u32::MAX) })
}

/// Whether a socket can be bound to any port at all. connect(2) has the same error for a lack of
/// ports and a lack of addresses.
fn has_a_port(family: AddressFamily, kind: SocketType) -> bool {
    let any: IpAddr = match family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        AddressFamily::Unix => return false,
    };
    match kind {
        SocketType::Datagram => UdpSocket::bind((any, 0)).is_ok(),
        _ => TcpListener::bind((any, 0)).is_ok(),
    }
}

fn set_options(fd: &Fd, config: &Config, source: Option<Addr>) -> Result<(), Unconnected> {
    let refused = |errno| Unconnected::local("setsockopt", errno);
    match config.target {
        Target::Tcp(_) => {
            Linux.setsockopt(fd, SocketOption::NoDelay(true)).map_err(refused)?;
            // The port is chosen at connect(2), where only the whole pair must be unique.
            if source.is_some() {
                let set = setsockopt(fd, sockopt::IpBindAddressNoPort, &true);
                set.map_err(from_os).map_err(refused)?;
            }
        }
        Target::Udp(_) => {
            // As large as permitted: datagrams dropped here would be counted as lost by the server.
            let bytes = RECEIVE_BUFFER_BYTES as usize;
            if setsockopt(fd, sockopt::RcvBufForce, &bytes).is_err() {
                let _ =
                    Linux.setsockopt(fd, SocketOption::ReceiveBufferBytes(RECEIVE_BUFFER_BYTES));
            }
            if config.gso {
                let size = i32::try_from(config.sizes.max()).unwrap_or(i32::MAX);
                setsockopt(fd, sockopt::UdpGsoSegment, &size).map_err(from_os).map_err(refused)?;
                // Echoes that are sent so are received so: Linux 5.0. Without it each is read.
                let _ = Linux.setsockopt(fd, SocketOption::UdpGro(true));
            }
        }
        Target::Unix(_) => {}
    }
    source.map_or(Ok(()), |source| Linux.bind(fd, &source)).map_err(|errno| match errno {
        // Another source address may work.
        Errno::EADDRNOTAVAIL | Errno::EADDRINUSE => Unconnected::Remote(errno),
        errno => Unconnected::local("bind", errno),
    })
}

/// Reconnects a TCP socket whose connection is finished, by connecting it to `AF_UNSPEC` first. Its
/// options, its source address and its epoll registration are kept. Cost: three system calls, where
/// a new socket takes up to seven.
///
/// After EOF was read, the local FIN may still be unacknowledged if the peer closed first.
/// Disconnecting then would not retransmit that FIN, and later segments would be answered with a
/// reset. Only when both FINs are acknowledged does getpeername(2) report `ENOTCONN`.
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
    let has_source = source_addr(&target.addr(), 0).is_some();
    connect(fd, target, has_source).map_err(|why| match why {
        Unconnected::Remote(errno) => errno,
        Unconnected::Failed(_) => Errno::ECONNREFUSED,
    })
}

/// Connects; `has_source`: whether the socket is bound to one of the source addresses.
fn connect(fd: &Fd, target: Target, has_source: bool) -> Result<(), Unconnected> {
    let addr = target.addr();
    for _ in 0..QUEUE_FULL_MAX {
        match Linux.connect(fd, &addr) {
            Ok(()) | Err(Errno::EINPROGRESS) if is_itself(fd, &addr, has_source) => {
                return Err(Unconnected::Failed(Box::new(LoadError::Itself { target })));
            }
            Ok(()) | Err(Errno::EINPROGRESS) => return Ok(()),
            // Unix: the listener's backlog is full, and no event reports when it no longer is. TCP:
            // no free port.
            Err(Errno::EAGAIN) if addr.family() == Some(AddressFamily::Unix) => {
                std::thread::sleep(QUEUE_FULL_PAUSE);
            }
            Err(Errno::EAGAIN) => return Err(Unconnected::Remote(Errno::EADDRNOTAVAIL)),
            Err(Errno::EINTR) => {}
            Err(errno) if is_local(errno) => return Err(Unconnected::local("connect", errno)),
            Err(errno) => return Err(Unconnected::Remote(errno)),
        }
    }
    let seconds = (QUEUE_FULL_PAUSE * QUEUE_FULL_MAX).as_secs_f64();
    Err(Unconnected::Failed(Box::new(LoadError::Unanswered { target, seconds })))
}

/// Whether the kernel chose the server's port as the local port: where no server listens on a port
/// of the local range, TCP then connects the socket to itself, and it echoes. UDP does the same.
/// Cost: one system call, or none where the source is another address.
///
/// Man page: tcp(7); simultaneous open: RFC 9293, 3.5.
fn is_itself(fd: &Fd, addr: &Addr, has_source: bool) -> bool {
    if addr.port().is_none() || has_source && !is_a_source(addr) {
        return false;
    }
    let Ok(own) = Linux.getsockname(fd) else { return false };
    // For the unspecified address the kernel connects to one of its interfaces.
    own.port() == addr.port() && Linux.getpeername(fd).map_or(own.ip() == addr.ip(), |it| it == own)
}

/// Whether it is one of the addresses that [`source_addr`] returns.
fn is_a_source(addr: &Addr) -> bool {
    let Addr::V4(addr) = addr else { return false };
    u32::from(*addr.ip()).checked_sub(u32::from(FIRST_SOURCE)).is_some_and(|it| it < SOURCES)
}

/// The loopback source address of the `number`-th socket, when one is not enough.
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
        // Other addresses of the name may be of a supported family.
        return LoadError::ConnectFailed { target: config.target, errno };
    }
    LoadError::Call { call: "socket", errno }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Read;

    use epollite::kernel::Shutdown;

    use super::*;

    #[test]
    fn addresses_are_tried_in_order_and_the_first_error_is_returned() {
        let [one, two, three] = [1, 2, 3]
            .map(|port| Target::Tcp(Addr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))));
        let config = Config { alternatives: vec![two, three], ..Config::new(one) };
        let tried = RefCell::new(Vec::new());
        let open = |result: &dyn Fn(Target) -> Result<Target, LoadError>| {
            let result = open_any(&config, |config| {
                tried.borrow_mut().push(config.target);
                result(config.target)
            });
            (result, tried.take())
        };
        let absent = |target| Err(LoadError::ConnectFailed { target, errno: Errno::ECONNREFUSED });

        let (result, tried) = open(&absent);
        assert!(
            matches!(result, Err(LoadError::ConnectFailed { target, .. }) if target == one),
            "{result:?}"
        );
        assert_eq!(tried, [one, two, three], "without a server all addresses are tried");

        let (result, tried) = open(&|target| if target == two { Ok(two) } else { absent(target) });
        assert!(matches!(result, Ok(target) if target == two), "{result:?}");
        assert_eq!(tried, [one, two], "later addresses are not tried");

        // A local limit does not depend on the address.
        let exhausted = || Err(LoadError::Descriptors { needed: 9, limit: 1 });
        let (result, tried) =
            open(&|target| if target == two { exhausted() } else { absent(target) });
        assert!(matches!(result, Err(LoadError::Descriptors { .. })), "{result:?}");
        assert_eq!(tried, [one, two], "the local error takes precedence over a missing server");
    }

    #[test]
    fn a_socket_is_reusable_only_when_both_fins_are_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let target = Target::Tcp(Addr::from(listener.local_addr().expect("it is bound")));
        let config = Config { churn: true, ..Config::new(target) };
        let fd = start_connect(&config, 0).expect("the listener is open");
        let (mut peer, _) = listener.accept().expect("it is connected");
        assert_eq!(reconnect(&fd, target), Err(Errno::EALREADY), "it is in use");
        Linux.shutdown(&fd, Shutdown::Write).expect("it is connected");
        assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
        assert_eq!(reconnect(&fd, target), Err(Errno::EALREADY), "the peer has not closed");
        drop(peer);
        assert_eq!(reconnect(&fd, target), Ok(()), "both sides have closed");
        let (peer, _) = listener.accept().expect("it is connected again");
        drop(peer);
        assert_eq!(reconnect(&fd, target), Err(Errno::EALREADY), "only the peer has closed");
        Linux.close(fd).expect("the socket is open");
    }
}
