//! Addresses: bind(2), and the lookup of sockets by address.

use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::address::{
    accepts_from, family_matches, is_local, matches_bind, unspecified_addr, unspecified_ip,
};
use super::config::Ipv6;
use super::file::{FileId, Result, err_if};
use super::net::Net;
use super::socket::{Protocol, Socket, State};
use crate::errno::Errno;
use crate::kernel::{SocketOption, SocketType};
use crate::net::{Addr, UnixAddr};

/// The first ephemeral port, as on Linux.
const EPHEMERAL_FIRST: u16 = 32_768;
/// The number of ephemeral ports: 2^14 keeps the arithmetic in 16 bits.
const EPHEMERAL_COUNT: u16 = 16_384;

impl Socket {
    /// Removes the peer, and whatever part of the local address bind(2) did not request.
    ///
    /// Reference: net/ipv4/udp.c: `__udp_disconnect`, net/ipv4/tcp.c: `tcp_disconnect`
    pub(super) fn disconnect_datagram(&mut self) {
        self.remote = None;
        if !self.port_locked {
            self.is_bound = false;
            let ip = self.local.filter(|_| self.addr_locked);
            self.local = ip.map(|local| local.with_port(0));
        }
    }

    /// Whether it receives what is sent to `addr` by `from`: it is bound there, and a connected
    /// datagram socket receives from its peer only.
    pub(super) fn matches_dest(&self, addr: &Addr, from: Option<Addr>) -> bool {
        let accepts = |peer: Addr| accepts_from(&peer, from);
        self.is_bound
            && self.local.is_some_and(|local| matches_bind(&local, addr))
            && (self.kind == SocketType::Stream || self.remote.is_none_or(accepts))
    }

    /// Whether another socket that requests `addr` conflicts with this one. Streams that both set
    /// `SO_REUSEADDR` share an address unless one listens; datagram sockets share it silently.
    ///
    /// Reference: net/ipv4/inet_connection_sock.c: `inet_bind_conflict`
    fn conflicts_with(&self, other: &Self, addr: &Addr) -> bool {
        let both_set = |option| self.options.has(option) && other.options.has(option);
        let shares_addr = self.state != State::Listening;
        self.kind == other.kind
            && self.is_bound
            && self
                .local
                .is_some_and(|local| matches_bind(&local, addr) || matches_bind(addr, &local))
            && !both_set(SocketOption::ReusePort(true))
            && !(shares_addr && both_set(SocketOption::ReuseAddr(true)))
    }
}

impl Net {
    /// Reference: net/ipv4/af_inet.c: `__inet_bind`, net/unix/af_unix.c: `unix_bind`
    pub(super) fn bind(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        let socket = self.socket(file);
        family_matches(socket.family, addr)?;
        err_if(addr.ip().is_some_and(|ip| !self.is_bindable(ip)), Errno::EADDRNOTAVAIL)?;
        let socket = self.socket(file);
        // An accepted socket has its address from the listener.
        let has_begun = socket.protocol() == Protocol::Tcp && socket.state != State::Closed;
        err_if(socket.is_bound || has_begun, Errno::EINVAL)?;
        let kind = socket.kind;
        let locked = (addr.ip().is_some_and(|ip| !ip.is_unspecified()), addr.port() != Some(0));
        let addr = match addr {
            Addr::Unix(name) if name.is_unnamed() => self.autobind(),
            Addr::Unix(name) => self.bind_unix(file, kind, *name)?,
            _ if addr.port() == Some(0) => self.ephemeral_port(file, addr)?,
            _ if self.is_in_use(file, addr) => return Err(Errno::EADDRINUSE),
            _ => *addr,
        };
        self.set_bound(file, addr);
        let socket = self.socket(file);
        (socket.addr_locked, socket.port_locked) = locked;
        Ok(())
    }

    /// Reference: net/ipv4/af_inet.c: `inet_addr_valid_or_nonlocal`
    fn is_bindable(&self, ip: IpAddr) -> bool {
        let config = &self.config;
        let is_any_allowed =
            if ip.is_ipv4() { config.binds_nonlocal_v4 } else { config.binds_nonlocal_v6 };
        is_any_allowed || ip.is_unspecified() || ip.is_multicast() || self.has_address(ip)
    }

    /// Whether a datagram may use this source address. Only IPv6 considers whether non-local ones
    /// may be bound.
    ///
    /// Reference: net/ipv6/datagram.c: `ip6_datagram_send_ctl`
    pub(super) fn is_source_allowed(&self, ip: IpAddr) -> bool {
        self.has_address(ip) || ip.is_ipv6() && self.config.binds_nonlocal_v6
    }

    /// Whether the machine has this address, so that it is reachable.
    pub(super) fn has_address(&self, ip: IpAddr) -> bool {
        is_local(ip) && (ip.is_ipv4() || self.config.ipv6 == Ipv6::Present)
    }

    /// The error of a send or a connect to an unreachable address.
    ///
    /// Reference: net/ipv6/ip6_output.c: `ip6_dst_lookup_tail`
    pub(super) fn unreachable_errno(&self, ip: IpAddr) -> Errno {
        // There is a route, but no source address.
        let lacks_source = is_local(ip) && !self.has_address(ip);
        if lacks_source { Errno::EADDRNOTAVAIL } else { Errno::ENETUNREACH }
    }

    /// A Unix path is a file, which stays until it is unlinked.
    fn bind_unix(&mut self, file: FileId, kind: SocketType, name: UnixAddr) -> Result<Addr> {
        let is_taken = match name.as_path() {
            Some(path) => self.paths.contains_key(path),
            None => self.find_unix(&name, kind).is_ok(),
        };
        err_if(is_taken, Errno::EADDRINUSE)?;
        if let Some(path) = name.as_path() {
            self.paths.insert(path.into(), file);
        }
        Ok(Addr::Unix(name))
    }

    /// An abstract name of five hexadecimal digits.
    ///
    /// Man page: unix(7), "Autobind feature"
    fn autobind(&mut self) -> Addr {
        self.autobind_next += 1;
        let name = format!("{:05x}", self.autobind_next);
        let name = UnixAddr::abstract_name(name.as_bytes()).expect("five bytes fit");
        Addr::Unix(name)
    }

    fn ephemeral_port(&mut self, file: FileId, addr: &Addr) -> Result<Addr> {
        for _ in 0..EPHEMERAL_COUNT {
            self.autobind_next = self.autobind_next.wrapping_add(1);
            let named = addr.with_port(EPHEMERAL_FIRST + self.autobind_next % EPHEMERAL_COUNT);
            if !self.is_in_use(file, &named) {
                return Ok(named);
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// Binds an IP socket that sends or listens before it was bound.
    pub(super) fn autobind_inet(&mut self, file: FileId, ip: Option<IpAddr>) -> Result<()> {
        let socket = self.socket(file);
        if socket.is_bound {
            return Ok(());
        }
        let own = socket.local.and_then(|local| local.ip());
        let ip = own.or(ip).unwrap_or(unspecified_ip(socket.family));
        let named = self.ephemeral_port(file, &SocketAddr::new(ip, 0).into())?;
        self.set_bound(file, named);
        Ok(())
    }

    fn set_bound(&mut self, file: FileId, addr: Addr) {
        self.binds += 1;
        let bound_at = self.binds;
        let socket = self.socket(file);
        (socket.local, socket.is_bound, socket.bound_at) = (Some(addr), true, bound_at);
    }

    /// Whether another socket is bound to the address and does not share it.
    pub(super) fn is_in_use(&self, file: FileId, addr: &Addr) -> bool {
        let own = self.sockets.get(file).expect("the caller has checked that it is a socket");
        let mut others = self.sockets().filter(|(id, _)| *id != file);
        others.any(|(_, other)| other.conflicts_with(own, addr))
    }

    /// Finds the socket bound to a Unix address. A path without a file is ENOENT, one without a
    /// socket is ECONNREFUSED, one with a socket of the wrong type is EPROTOTYPE; abstract names
    /// are separate per type.
    ///
    /// Reference: net/unix/af_unix.c: `unix_find_other`
    pub(super) fn find_unix(&mut self, name: &UnixAddr, kind: SocketType) -> Result<FileId> {
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

    /// Finds the receiver of an IP address: a listener, or a datagram socket (a connected one
    /// receives from its peer only, and takes precedence). When several share the port by
    /// `SO_REUSEPORT` one is drawn; by `SO_REUSEADDR` the last that was bound takes all.
    ///
    /// Reference: net/ipv4/inet_hashtables.c: `__inet_lookup_listener`,
    /// net/ipv4/udp.c: `udp4_lib_lookup2`
    pub(super) fn find_inet(
        &mut self,
        addr: &Addr,
        kind: SocketType,
        from: Option<Addr>,
    ) -> Option<FileId> {
        let wanted_state = if kind == SocketType::Stream { State::Listening } else { State::Open };
        let candidates = self.sockets().filter(|(_, socket)| {
            socket.kind == kind && socket.state == wanted_state && socket.matches_dest(addr, from)
        });
        let exact = |socket: &Socket| {
            let is_exact = socket.local.is_some_and(|local| local.ip() == addr.ip());
            (socket.remote.is_some(), is_exact)
        };
        let is_group = |socket: &Socket| socket.options.has(SocketOption::ReusePort(true));
        let mut sharing: Vec<_> = candidates
            .map(|(id, socket)| (exact(socket), socket.bound_at, is_group(socket), id))
            .collect();
        let best = sharing.iter().map(|(exact, ..)| *exact).max()?;
        sharing.retain(|(exact, ..)| *exact == best);
        if sharing.iter().any(|(.., is_group, _)| !is_group) {
            return sharing.iter().max_by_key(|(_, bound_at, ..)| *bound_at).map(|it| it.3);
        }
        let drawn = self.entropy.gen_below(sharing.len());
        Some(sharing[drawn].3)
    }

    pub(super) fn getsockname(&mut self, file: FileId) -> Result<Addr> {
        let socket = self.socket(file);
        Ok(socket.local.unwrap_or_else(|| unspecified_addr(socket.family)))
    }

    /// Reference: net/ipv4/af_inet.c: `inet_getname`: a closed TCP connection has no peer.
    pub(super) fn getpeername(&mut self, file: FileId) -> Result<Addr> {
        let socket = self.socket(file);
        let is_over = socket.protocol() == Protocol::Tcp && socket.state != State::Open;
        // A UDP socket may be connected to port 0, which counts as not connected.
        let peer = socket.remote.filter(|peer| !is_over && peer.port() != Some(0));
        peer.ok_or(Errno::ENOTCONN)
    }
}
