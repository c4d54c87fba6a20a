//! Names: bind(2), and who is found under which name.
//!
//! Knows addresses; what is done with who was found stands elsewhere.

use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::config::Ipv6;
use super::socket::{Protocol, Socket, State};
use super::world::{FileId, Result, World};
use crate::addr::{Addr, Family, UnixAddr};
use crate::errno::Errno;
use crate::kernel::{Kind, SocketOption};

/// The first port given to who does not ask for one, as on Linux.
const PORTS_FROM: u16 = 32_768;
/// And the last, which makes a count of 2^14 and keeps the arithmetic in 16 bits.
const PORTS: u16 = 16_384;

impl Socket {
    /// Gives back, with the peer, what bind(2) did not ask for.
    ///
    /// Reference: net/ipv4/udp.c: `__udp_disconnect`, net/ipv4/tcp.c: `tcp_disconnect`
    pub(super) fn part(&mut self) {
        self.remote = None;
        if !self.keeps_port {
            self.is_bound = false;
            let ip = self.local.filter(|_| self.keeps_ip);
            self.local = ip.map(|local| local.with_port(0));
        }
    }

    /// Whether it is bound to where `addr` leads, and hears those who come `from` there: a
    /// datagram socket that is connected hears its peer only.
    pub(super) fn is_addressed(&self, addr: &Addr, from: Option<Addr>) -> bool {
        let hears = |peer: Addr| is_from(&peer, from);
        self.is_bound
            && self.local.is_some_and(|local| covers(&local, addr))
            && (self.kind == Kind::Stream || self.remote.is_none_or(hears))
    }

    /// Whether another socket that asks for `addr` meets this one there. Streams that both say
    /// `SO_REUSEADDR` share a name unless one listens; datagram sockets share it in silence.
    ///
    /// Reference: net/ipv4/inet_connection_sock.c: `inet_bind_conflict`
    fn conflicts_with(&self, other: &Self, addr: &Addr) -> bool {
        let both_say = |option| self.options.has(option) && other.options.has(option);
        let shares_addr = self.state != State::Listening;
        self.kind == other.kind
            && self.is_bound
            && self.local.is_some_and(|local| covers(&local, addr) || covers(addr, &local))
            && !both_say(SocketOption::ReusePort(true))
            && !(shares_addr && both_say(SocketOption::ReuseAddr(true)))
    }
}

impl World {
    /// Reference: net/ipv4/af_inet.c: `__inet_bind`, net/unix/af_unix.c: `unix_bind`
    pub(super) fn bind(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        let socket = self.socket(file);
        fits(socket.family, addr)?;
        if addr.ip().is_some_and(|ip| !self.can_be_bound(ip)) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let socket = self.socket(file);
        // What was accepted has its address from the listener.
        let has_begun = socket.protocol() == Protocol::Tcp && socket.state != State::Closed;
        if socket.is_bound || has_begun {
            return Err(Errno::EINVAL);
        }
        let kind = socket.kind;
        let asked = (addr.ip().is_some_and(|ip| !ip.is_unspecified()), addr.port() != Some(0));
        let addr = match addr {
            Addr::Unix(name) if name.is_unnamed() => self.unused_name(),
            Addr::Unix(name) => self.take_name(file, kind, *name)?,
            _ if addr.port() == Some(0) => self.unused_port(file, addr)?,
            _ if self.is_taken(file, addr) => return Err(Errno::EADDRINUSE),
            _ => *addr,
        };
        let socket = self.socket(file);
        (socket.local, socket.is_bound) = (Some(addr), true);
        (socket.keeps_ip, socket.keeps_port) = asked;
        Ok(())
    }

    /// Reference: net/ipv4/af_inet.c: `inet_addr_valid_or_nonlocal`
    fn can_be_bound(&self, ip: IpAddr) -> bool {
        let config = &self.config;
        let is_any_allowed =
            if ip.is_ipv4() { config.binds_nonlocal_v4 } else { config.binds_nonlocal_v6 };
        is_any_allowed || ip.is_unspecified() || ip.is_multicast() || self.has_address(ip)
    }

    /// Whether a datagram may say that it comes from this address. Only IPv6 asks whether foreign
    /// ones may be bound.
    ///
    /// Reference: net/ipv6/datagram.c: `ip6_datagram_send_ctl`
    pub(super) fn may_leave_from(&self, ip: IpAddr) -> bool {
        self.has_address(ip) || ip.is_ipv6() && self.config.binds_nonlocal_v6
    }

    /// Whether the machine has this address, so that something can be sent there.
    pub(super) fn has_address(&self, ip: IpAddr) -> bool {
        is_ours(ip) && (ip.is_ipv4() || self.config.ipv6 == Ipv6::Present)
    }

    /// What a send or a connect to an address is told to which there is no way.
    ///
    /// Reference: net/ipv6/ip6_output.c: `ip6_dst_lookup_tail`
    pub(super) fn no_way_to(&self, ip: IpAddr) -> Errno {
        // There is a route; what is missing is an address to come from.
        let lacks_source = is_ours(ip) && !self.has_address(ip);
        if lacks_source { Errno::EADDRNOTAVAIL } else { Errno::ENETUNREACH }
    }

    /// A Unix path is a file on the disk, which stays there until it is unlinked.
    fn take_name(&mut self, file: FileId, kind: Kind, name: UnixAddr) -> Result<Addr> {
        let is_taken = match name.as_path() {
            Some(path) => self.paths.contains_key(path),
            None => self.find_unix(&name, kind).is_ok(),
        };
        if is_taken {
            return Err(Errno::EADDRINUSE);
        }
        if let Some(path) = name.as_path() {
            self.paths.insert(path.into(), file);
        }
        Ok(Addr::Unix(name))
    }

    /// Five hexadecimal digits, abstract.
    ///
    /// Man page: unix(7), "Autobind feature"
    fn unused_name(&mut self) -> Addr {
        self.names_given += 1;
        let name = format!("{:05x}", self.names_given);
        let name = UnixAddr::abstract_name(name.as_bytes()).expect("five bytes fit");
        Addr::Unix(name)
    }

    fn unused_port(&mut self, file: FileId, addr: &Addr) -> Result<Addr> {
        for _ in 0..PORTS {
            self.names_given = self.names_given.wrapping_add(1);
            let named = addr.with_port(PORTS_FROM + self.names_given % PORTS);
            if !self.is_taken(file, &named) {
                return Ok(named);
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// Gives a name to an IP socket that sends or listens before it was bound.
    pub(super) fn bind_any(&mut self, file: FileId, ip: Option<IpAddr>) -> Result<()> {
        let socket = self.socket(file);
        if socket.is_bound {
            return Ok(());
        }
        let mine = socket.local.and_then(|local| local.ip());
        let ip = mine.or(ip).unwrap_or(any_ip(socket.family));
        let named = self.unused_port(file, &SocketAddr::new(ip, 0).into())?;
        let socket = self.socket(file);
        (socket.local, socket.is_bound) = (Some(named), true);
        Ok(())
    }

    /// Whether another socket has the name and does not share it.
    pub(super) fn is_taken(&mut self, file: FileId, addr: &Addr) -> bool {
        let mut others = self.sockets().filter(|(id, _)| *id != file).map(|(_, other)| other);
        let (_, mine) = self.sockets().find(|(id, _)| *id == file).expect("only sockets are bound");
        others.any(|other| other.conflicts_with(mine, addr))
    }

    /// Who is bound to a Unix name. A path without a file is ENOENT, one without a socket is
    /// ECONNREFUSED, one with a socket of the wrong kind is EPROTOTYPE; abstract names are
    /// kept apart by kind.
    ///
    /// Reference: net/unix/af_unix.c: `unix_find_other`
    pub(super) fn find_unix(&mut self, name: &UnixAddr, kind: Kind) -> Result<FileId> {
        if let Some(path) = name.as_path() {
            let found = *self.paths.get(path).ok_or(Errno::ENOENT)?;
            let socket = self.find_socket(found).ok_or(Errno::ECONNREFUSED)?;
            return if socket.kind == kind { Ok(found) } else { Err(Errno::EPROTOTYPE) };
        }
        let name = Some(Addr::Unix(*name));
        let mut named = self.sockets().filter(|(_, socket)| socket.local == name);
        let found = named.find(|(_, socket)| socket.is_bound && socket.kind == kind);
        found.map(|(id, _)| id).ok_or(Errno::ECONNREFUSED)
    }

    /// Who takes what is sent to an IP address: a listener, or a datagram socket (one that is
    /// connected takes only what its peer sends, and goes before the others). When several
    /// share the port it is spread among them.
    ///
    /// Reference: net/ipv4/inet_hashtables.c: `__inet_lookup_listener`,
    /// net/ipv4/udp.c: `udp4_lib_lookup2`
    pub(super) fn find_inet(
        &mut self,
        addr: &Addr,
        kind: Kind,
        from: Option<Addr>,
    ) -> Option<FileId> {
        let takes = if kind == Kind::Stream { State::Listening } else { State::Open };
        let candidates = self.sockets().filter(|(_, socket)| {
            socket.kind == kind && socket.state == takes && socket.is_addressed(addr, from)
        });
        let exact = |socket: &Socket| {
            let is_exact = socket.local.is_some_and(|local| local.ip() == addr.ip());
            (socket.remote.is_some(), is_exact)
        };
        let mut sharing: Vec<_> = candidates.map(|(id, socket)| (exact(socket), id)).collect();
        let best = sharing.iter().map(|(exact, _)| *exact).max()?;
        sharing.retain(|(exact, _)| *exact == best);
        let drawn = self.chance.below(sharing.len());
        Some(sharing[drawn].1)
    }

    pub(super) fn getsockname(&mut self, file: FileId) -> Result<Addr> {
        let socket = self.socket(file);
        Ok(socket.local.unwrap_or_else(|| nameless(socket.family)))
    }

    /// Reference: net/ipv4/af_inet.c: `inet_getname`: of a closed TCP connection nobody
    /// remembers the peer.
    pub(super) fn getpeername(&mut self, file: FileId) -> Result<Addr> {
        let socket = self.socket(file);
        let is_over = socket.protocol() == Protocol::Tcp && socket.state != State::Open;
        // A UDP socket may be connected to port 0, which counts as nobody.
        let peer = socket.remote.filter(|peer| !is_over && peer.port() != Some(0));
        peer.ok_or(Errno::ENOTCONN)
    }
}

/// Bytes of a `sockaddr_in`.
const V4_LEN: u32 = 16;

/// Whether an address is of the family that a socket wants.
///
/// Reference: net/ipv4/udp.c: `udp_sendmsg`
pub(super) fn fits(family: Family, addr: &Addr) -> Result<()> {
    match (family, addr.family()) {
        (_, Some(given)) if given == family => Ok(()),
        // Only one that is long enough is looked at, and then the family is wrong.
        (Family::Inet, Some(_)) if addr.encode().socklen() >= V4_LEN => Err(Errno::EAFNOSUPPORT),
        _ => Err(Errno::EINVAL),
    }
}

/// This machine has the loopback addresses and no others.
fn is_ours(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

/// The address of a socket that has none.
pub(super) fn nameless(family: Family) -> Addr {
    match family {
        Family::Unix => Addr::Unix(UnixAddr::unnamed()),
        Family::Inet | Family::Inet6 => SocketAddr::new(any_ip(family), 0).into(),
    }
}

fn any_ip(family: Family) -> IpAddr {
    match family {
        Family::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        Family::Inet | Family::Unix => Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// Where to look for the peer: "any address" means this machine.
pub(super) fn destination(addr: &Addr) -> Addr {
    match (addr, addr.ip()) {
        (Addr::V4(v4), Some(ip)) if ip.is_unspecified() => {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), v4.port()).into()
        }
        (Addr::V6(v6), Some(ip)) if ip.is_unspecified() => {
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), v6.port()).into()
        }
        _ => *addr,
    }
}

/// The address that a connection to `ip` comes from.
pub(super) fn source(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

fn is_any(addr: &Addr) -> bool {
    addr.ip().is_some_and(|ip| ip.is_unspecified())
}

/// Whether who is connected to `peer` takes what comes from there.
fn is_from(peer: &Addr, from: Option<Addr>) -> bool {
    let any_port = peer.port().filter(|port| *port == 0);
    from.map(|from| any_port.map_or(from, |port| from.with_port(port))) == Some(*peer)
}

/// Whether what is sent to `addr` is for who is bound to `local`.
fn covers(local: &Addr, addr: &Addr) -> bool {
    local.family() == addr.family()
        && local.port() == addr.port()
        && (is_any(local) || local.ip() == addr.ip())
}

/// The Unix name that a call asks for, which must be one.
pub(super) fn named(addr: &Addr) -> Result<UnixAddr> {
    match addr {
        Addr::Unix(name) if !name.is_unnamed() => Ok(*name),
        _ => Err(Errno::EINVAL),
    }
}
