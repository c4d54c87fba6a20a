//! UDP's rules: nobody waits for room, and what finds none is lost.
//!
//! Knows datagram sockets and names.

use core::net::{IpAddr, SocketAddr};

use super::group::LOOPBACK;
use super::letter::Letter;
use super::name::{destination, fits, source};
use super::world::{FileId, Result, World};
use crate::addr::{Addr, Family, PacketInfo};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLOUT};
use crate::kernel::{Kind, SocketOption};

/// The longest datagrams: 65,535 less the headers of UDP and, over IPv4, of IP.
///
/// Man page: udp(7)
const V4_BYTES_MAX: usize = 65_507;
const V6_BYTES_MAX: usize = 65_527;

impl World {
    /// Gives it a default peer, from whom alone it takes datagrams then.
    ///
    /// Reference: net/ipv4/datagram.c: `__ip4_datagram_connect`
    pub(super) fn connect_udp(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        let socket = self.socket(file);
        if *addr == Addr::Unspec {
            socket.part();
            return Ok(());
        }
        fits(socket.family, addr)?;
        let to = destination(addr);
        let ip = to.ip().ok_or(Errno::EINVAL)?;
        if !self.reaches(file, &to) {
            // It was given a port before the way was looked for.
            self.bind_any(file, None)?;
            return Err(self.no_way_to(ip));
        }
        self.bind_any(file, Some(source(ip)))?;
        self.socket(file).remote = Some(to);
        Ok(())
    }

    /// Reference: net/ipv4/udp.c: `udp_sendmsg`
    pub(super) fn send_udp(
        &mut self,
        file: FileId,
        buf: &[u8],
        addr: Option<&Addr>,
        info: Option<PacketInfo>,
    ) -> Result<usize> {
        // Whatever comes of it, who sends has a port from here on.
        // Reference: net/ipv4/af_inet.c: `inet_send_prepare`
        self.bind_any(file, None)?;
        let socket = self.socket(file);
        let is_v4 = socket.family == Family::Inet;
        if buf.len() > if is_v4 { V4_BYTES_MAX } else { V6_BYTES_MAX } {
            return Err(Errno::EMSGSIZE);
        }
        let to = match (addr, socket.remote) {
            (Some(addr), _) => {
                fits(socket.family, addr)?;
                destination(addr)
            }
            (None, Some(remote)) => remote,
            (None, None) => return Err(Errno::EDESTADDRREQ),
        };
        let ip = to.ip().ok_or(Errno::EINVAL)?;
        if addr.is_some() && to.port() == Some(0) {
            return Err(Errno::EINVAL);
        }
        // Reference: net/ipv4/route.c: `ip_route_output_key_hash`,
        // net/ipv6/datagram.c: `ip6_datagram_send_ctl`
        if info.is_some_and(|info| !self.may_leave_from(info.addr.to_canonical())) {
            return Err(if is_v4 { Errno::ENETUNREACH } else { Errno::EINVAL });
        }
        let socket = self.socket(file);
        let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        if is_broadcast && !socket.options.has(SocketOption::Broadcast(true)) {
            return Err(Errno::EACCES);
        }
        if !self.reaches(file, &to) {
            return Err(self.no_way_to(ip));
        }
        let socket = self.socket(file);
        if let Some(errno) = socket.error.take() {
            return Err(errno);
        }
        if socket.write_shut {
            return Err(Errno::EPIPE);
        }
        self.transmit(file, buf, &to, ip, info.map(|info| info.addr));
        Ok(buf.len())
    }

    /// What the socket was told to say of a datagram that was sent to `to`: the address that an
    /// answer leaves from.
    ///
    /// Reference: net/ipv4/ip_sockglue.c: `ipv4_pktinfo_prepare`,
    /// net/ipv6/datagram.c: `ip6_datagram_recv_common_ctl`
    pub(super) fn packet_info(&mut self, file: FileId, to: IpAddr) -> Option<PacketInfo> {
        let options = &self.socket(file).options;
        let interface = LOOPBACK;
        match to {
            IpAddr::V4(ip) if options.has(SocketOption::PacketInfoV4(true)) => {
                let is_many = ip.is_multicast() || ip.is_broadcast();
                let addr = if is_many { source(to) } else { to };
                Some(PacketInfo { addr, interface })
            }
            IpAddr::V4(ip) if options.has(SocketOption::PacketInfoV6(true)) => {
                Some(PacketInfo { addr: ip.to_ipv6_mapped().into(), interface })
            }
            IpAddr::V6(_) if options.has(SocketOption::PacketInfoV6(true)) => {
                Some(PacketInfo { addr: to, interface })
            }
            _ => None,
        }
    }

    fn transmit(&mut self, file: FileId, buf: &[u8], to: &Addr, ip: IpAddr, mine: Option<IpAddr>) {
        let local = self.socket(file).local;
        let from = local.map(|local| match mine.or(local.ip()) {
            Some(chosen) if mine.is_some() => {
                SocketAddr::new(chosen.to_canonical(), local.port().unwrap_or(0)).into()
            }
            Some(mine) if mine.is_unspecified() => {
                SocketAddr::new(source(ip), local.port().unwrap_or(0)).into()
            }
            _ => local,
        });
        // It leaves our buffer before it arrives: there is room again, and that is an edge each time.
        // Reference: net/core/sock.c: `sock_def_write_space_wfree`
        self.wake(file, EPOLLOUT);
        let letter =
            || Letter { to: Some(ip), ..Letter::new(file, from.unwrap_or(Addr::Unspec), buf) };
        if ip.is_multicast() {
            for found in self.who_hears(to, from) {
                self.post(found, letter());
            }
        } else if let Some(found) = self.find_inet(to, Kind::Datagram, from) {
            self.post(found, letter());
        } else if self.socket(file).remote == Some(*to) {
            // The answer says that the port is closed. Only a connected socket hears of it.
            // Reference: net/ipv4/udp.c: `__udp4_lib_err`
            self.socket(file).error = Some(Errno::ECONNREFUSED);
            self.wake(file, EPOLLERR);
        }
    }
}
