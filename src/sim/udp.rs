//! UDP's rules: a sender never waits for room, and what does not fit is dropped.
//!
//! Knows datagram sockets and addresses.

use core::net::{IpAddr, SocketAddr};

use super::address::{dest_addr, family_matches, is_broadcast, source_addr};
use super::file::{FileId, Result, err_if};
use super::net::Net;
use super::packet::Packet;
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLOUT};
use crate::kernel::{SocketOption, SocketType};
use crate::net::{Addr, AddressFamily, PacketInfo};

/// The longest datagrams: 65,535 less the headers of UDP and, over IPv4, of IP.
///
/// Man page: udp(7)
const V4_BYTES_MAX: usize = 65_507;
const V6_BYTES_MAX: usize = 65_527;

/// The most segments of one message. In mainline since 6.9, before that 64; backported to the
/// stable series.
///
/// Reference: include/linux/udp.h: `UDP_MAX_SEGMENTS`
const SEGMENTS_MAX: usize = 128;

impl Net {
    /// Sets the default peer; from then on only its datagrams are received.
    ///
    /// Reference: net/ipv4/datagram.c: `__ip4_datagram_connect`
    pub(super) fn connect_udp(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        let socket = self.socket(file);
        if *addr == Addr::Unspecified {
            socket.disconnect_datagram();
            return Ok(());
        }
        family_matches(socket.family, addr)?;
        let to = dest_addr(addr);
        let ip = to.ip().ok_or(Errno::EINVAL)?;
        if !self.is_routable(file, &to) {
            // The port is assigned before the route lookup.
            self.autobind_inet(file, None)?;
            return Err(self.unreachable_errno(ip));
        }
        self.autobind_inet(file, Some(source_addr(ip)))?;
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
        segment_bytes: u16,
    ) -> Result<usize> {
        // A send assigns a port even if it fails.
        // Reference: net/ipv4/af_inet.c: `inet_send_prepare`
        self.autobind_inet(file, None)?;
        let socket = self.socket(file);
        let is_v4 = socket.family == AddressFamily::Inet;
        if buf.len() > if is_v4 { V4_BYTES_MAX } else { V6_BYTES_MAX } {
            return Err(Errno::EMSGSIZE);
        }
        let to = match (addr, socket.remote) {
            (Some(addr), _) => {
                family_matches(socket.family, addr)?;
                dest_addr(addr)
            }
            (None, Some(remote)) => remote,
            (None, None) => return Err(Errno::EDESTADDRREQ),
        };
        let ip = to.ip().ok_or(Errno::EINVAL)?;
        err_if(addr.is_some() && to.port() == Some(0), Errno::EINVAL)?;
        // Reference: net/ipv4/route.c: `ip_route_output_key_hash`,
        // net/ipv6/datagram.c: `ip6_datagram_send_ctl`
        if info.is_some_and(|info| !self.is_source_allowed(info.addr.to_canonical())) {
            return Err(if is_v4 { Errno::ENETUNREACH } else { Errno::EINVAL });
        }
        let socket = self.socket(file);
        let is_broadcast = matches!(ip, IpAddr::V4(ip) if is_broadcast(ip));
        err_if(is_broadcast && !socket.options.has(SocketOption::Broadcast(true)), Errno::EACCES)?;
        if !self.is_routable(file, &to) {
            return Err(self.unreachable_errno(ip));
        }
        let socket = self.socket(file);
        socket.error.take().map_or(Ok(()), Err)?;
        err_if(socket.write_shut, Errno::EPIPE)?;
        // A message no longer than a segment is an ordinary one.
        let segment_bytes = if buf.len() > segment_bytes.into() { segment_bytes } else { 0 };
        let bytes_max = SEGMENTS_MAX * usize::from(segment_bytes);
        err_if(segment_bytes > 0 && buf.len() > bytes_max, Errno::EINVAL)?;
        self.deliver_datagram(file, buf, &to, info.map(|info| info.addr), segment_bytes);
        Ok(buf.len())
    }

    fn deliver_datagram(
        &mut self,
        file: FileId,
        buf: &[u8],
        to: &Addr,
        own: Option<IpAddr>,
        segment_bytes: u16,
    ) {
        let Some(ip) = to.ip() else { return };
        let local = self.socket(file).local;
        let from = local.map(|local| match own.or(local.ip()) {
            Some(chosen) if own.is_some() => {
                SocketAddr::new(chosen.to_canonical(), local.port().unwrap_or(0)).into()
            }
            Some(own) if own.is_unspecified() => {
                SocketAddr::new(source_addr(ip), local.port().unwrap_or(0)).into()
            }
            _ => local,
        });
        // It leaves the send buffer before it arrives: the room is an edge each time.
        // Reference: net/core/sock.c: `sock_def_write_space_wfree`
        self.wake(file, EPOLLOUT);
        let packet = |bytes: &[u8], segment_bytes| Packet {
            to: Some(ip),
            segment_bytes,
            ..Packet::new(file, from.unwrap_or(Addr::Unspecified), bytes)
        };
        let receivers = if ip.is_multicast() {
            self.multicast_receivers(to, from)
        } else {
            self.find_inet(to, SocketType::Datagram, from).into_iter().collect()
        };
        for &found in &receivers {
            // Reference: net/ipv4/udp.c: `udp_queue_rcv_skb`
            let is_joined = self.socket(found).options.has(SocketOption::UdpGro(true));
            if segment_bytes == 0 || is_joined {
                self.enqueue_packet(found, packet(buf, segment_bytes));
            } else {
                for segment in buf.chunks(segment_bytes.into()) {
                    self.enqueue_packet(found, packet(segment, 0));
                }
            }
        }
        if receivers.is_empty() && !ip.is_multicast() && self.socket(file).remote == Some(*to) {
            // An ICMP error reports the closed port. Only a connected socket receives it.
            // Reference: net/ipv4/udp.c: `__udp4_lib_err`
            self.socket(file).error = Some(Errno::ECONNREFUSED);
            self.wake(file, EPOLLERR);
        }
    }
}
