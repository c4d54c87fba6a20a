//! setsockopt(2) and getsockopt(2): which sockets support which options, and the limits of values.
//!
//! Knows joining groups; every other value is kept among the socket's options.

use super::file::{FileId, Result, WAKE_READABLE, err_if};
use super::net::Net;
use super::socket::{Protocol, Socket, State};
use super::socket_options::LOOPBACK_IFINDEX;
use super::version::Version;
use crate::errno::Errno;
use crate::kernel::{
    Credentials, MembershipV4, MembershipV6, ShortName, SocketOption, SocketOptionName,
};
use crate::net::AddressFamily;

/// The minimum of `SO_RCVBUF` and `SO_SNDBUF`.
///
/// Reference: include/net/sock.h: `SOCK_MIN_RCVBUF`, `SOCK_MIN_SNDBUF`
const RECEIVE_BYTES_MIN: u32 = 2_304;
const SEND_BYTES_MIN: u32 = 4_608;

impl Socket {
    /// Whether this socket supports the option: a level is that of a protocol, or of all sockets.
    fn supports(&self, name: SocketOptionName) -> bool {
        match name.c_names().0 {
            "SOL_TCP" => self.protocol() == Protocol::Tcp,
            "SOL_UDP" => self.protocol() == Protocol::Udp,
            "SOL_IPV6" => self.family == AddressFamily::Inet6,
            "SOL_IP" => !self.is_unix(),
            _ => true,
        }
    }
}

impl Net {
    /// Reference: net/core/sock.c: `sk_setsockopt`; man page: socket(7), tcp(7)
    pub(super) fn setsockopt(&mut self, file: FileId, option: SocketOption) -> Result<()> {
        let receive_max = self.config.receive_buffer_bytes_max;
        let send_max = self.config.send_buffer_bytes_max;
        let (backlog_max, version) = (self.config.backlog_max, self.config.version);
        let socket = self.socket(file);
        let (protocol, is_unix) = (socket.protocol(), socket.is_unix());
        if !socket.supports(option.name()) {
            // Unix sockets know one level only: net/unix/af_unix.c: `unix_setsockopt`.
            return Err(if is_unix { Errno::EOPNOTSUPP } else { Errno::ENOPROTOOPT });
        }
        let option = checked(option, protocol)?;
        let is_not_passed = !is_unix && version >= Version::LINUX_6_16;
        let options = &mut socket.options;
        match option {
            SocketOption::JoinMulticastV4(MembershipV4 { group, interface }) => {
                return self.join_group(file, group.into(), interface.is_loopback());
            }
            SocketOption::JoinMulticastV6(MembershipV6 { group, interface }) => {
                return self.join_group(file, group.into(), interface == LOOPBACK_IFINDEX);
            }
            SocketOption::LeaveMulticastV4(MembershipV4 { group, interface }) => {
                // Without an address, the interface is looked for by the routes: there is none.
                let missing = interface.is_unspecified().then_some(Errno::ENODEV);
                return self.leave_group(file, group.into(), interface.is_loopback(), missing);
            }
            SocketOption::LeaveMulticastV6(MembershipV6 { group, interface }) => {
                let not_a_group = (!group.is_multicast()).then_some(Errno::EINVAL);
                let is_here = matches!(interface, 0 | LOOPBACK_IFINDEX);
                return self.leave_group(file, group.into(), is_here, not_a_group);
            }
            // Reference: net/core/sock.c: `sk_setsockopt`, since Linux 6.13
            SocketOption::ReusePort(true) if is_unix => return Err(Errno::EOPNOTSUPP),
            // Reference: net/ipv4/tcp.c: `do_tcp_setsockopt`
            SocketOption::FastOpen(queued) => {
                let is_idle = matches!(socket.state, State::Closed | State::Listening);
                err_if(!is_idle, Errno::EINVAL)?;
                options.set(SocketOption::FastOpen(queued.min(backlog_max)));
            }
            SocketOption::PassCredentials(_) if is_not_passed => return Err(Errno::EOPNOTSUPP),
            // They would have an effect.
            SocketOption::FastOpenConnect(true)
            | SocketOption::PassCredentials(true)
            | SocketOption::Timestamp(true)
            | SocketOption::ReceiveErrorsV4(true)
            | SocketOption::ReceiveErrorsV6(true) => return Err(Errno::ENOSYS),
            // The kernel doubles the value, to have room for its own bookkeeping.
            SocketOption::ReceiveBufferBytes(bytes) => {
                let doubled = bytes.min(receive_max).saturating_mul(2);
                options.receive_bytes = doubled.max(RECEIVE_BYTES_MIN) as usize;
            }
            SocketOption::SendBufferBytes(bytes) => {
                let doubled = bytes.min(send_max).saturating_mul(2);
                options.send_bytes = doubled.max(SEND_BYTES_MIN) as usize;
            }
            // A low watermark above half the buffer might never be reached.
            // Reference: net/ipv4/tcp.c: `tcp_set_rcvlowat`
            SocketOption::RecvLowWatermark(bytes) => {
                let most = (options.receive_bytes / 2).max(1);
                options.recv_low_watermark = (bytes as usize).clamp(1, most);
                if protocol == Protocol::Tcp && (socket.is_readable() || socket.tcp.fin_received) {
                    self.wake(file, WAKE_READABLE);
                }
            }
            other => options.set(other),
        }
        Ok(())
    }

    /// Reference: net/core/sock.c: `sk_getsockopt`; man page: socket(7), tcp(7)
    pub(super) fn getsockopt(
        &mut self,
        file: FileId,
        name: SocketOptionName,
    ) -> Result<SocketOption> {
        let version = self.config.version;
        let socket = self.socket(file);
        if !socket.supports(name) {
            return Err(match socket.family {
                AddressFamily::Inet6 => Errno::ENOPROTOOPT,
                // Reference: net/ipv4/ip_sockglue.c: `do_ip_getsockopt`
                AddressFamily::Inet | AddressFamily::Unix => Errno::EOPNOTSUPP,
            });
        }
        let is_not_passed = !socket.is_unix() && version >= Version::LINUX_6_16;
        let options = &socket.options;
        let number = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Ok(match name {
            // One slot: reading it clears it.
            SocketOptionName::Error => SocketOption::Error(socket.error.take()),
            SocketOptionName::ReceiveBufferBytes => {
                SocketOption::ReceiveBufferBytes(number(options.receive_bytes))
            }
            SocketOptionName::SendBufferBytes => {
                SocketOption::SendBufferBytes(number(options.send_bytes))
            }
            SocketOptionName::RecvLowWatermark => {
                SocketOption::RecvLowWatermark(number(options.recv_low_watermark))
            }
            SocketOptionName::BindToDevice | SocketOptionName::CongestionControl => {
                options.get(name).unwrap_or(default_name(name))
            }
            SocketOptionName::PassCredentials if is_not_passed => return Err(Errno::EOPNOTSUPP),
            SocketOptionName::PeerCredentials => {
                err_if(socket.is_unix() && socket.peer.is_some(), Errno::ENOSYS)?;
                let unknown = u32::MAX;
                SocketOption::PeerCredentials(Credentials { pid: 0, uid: unknown, gid: unknown })
            }
            _ => options.get(name).ok_or(Errno::ENOPROTOOPT)?,
        })
    }
}

/// No interface; and the congestion control of most machines.
fn default_name(name: SocketOptionName) -> SocketOption {
    match name {
        SocketOptionName::CongestionControl => {
            SocketOption::CongestionControl(ShortName::new("cubic").unwrap_or_default())
        }
        _ => SocketOption::BindToDevice(ShortName::default()),
    }
}

/// The value that the kernel makes of the one that is set, if that is in range.
fn checked(option: SocketOption, protocol: Protocol) -> Result<SocketOption> {
    let ecn_mask = if protocol == Protocol::Tcp { 3 } else { 0 };
    match option {
        SocketOption::Error(_) | SocketOption::PeerCredentials(_) => Err(Errno::ENOPROTOOPT),
        // Reference: net/ipv6/ipv6_sockglue.c: `do_ipv6_setsockopt`
        SocketOption::MulticastHops(_) | SocketOption::MulticastInterfaceV6(_)
            if protocol == Protocol::Tcp =>
        {
            Err(Errno::ENOPROTOOPT)
        }
        // Reference: net/ipv4/ip_sockglue.c: `do_ip_setsockopt`
        SocketOption::MulticastInterfaceV4(_) if protocol == Protocol::Tcp => Err(Errno::EINVAL),
        SocketOption::MulticastTtl(_) if protocol == Protocol::Tcp => Err(Errno::EINVAL),
        SocketOption::MulticastTtl(256..) | SocketOption::MulticastHops(256..) => {
            Err(Errno::EINVAL)
        }
        SocketOption::Ttl(hops) if !(1..=255).contains(&hops) => Err(Errno::EINVAL),
        // Reference: net/ipv6/ipv6_sockglue.c: `do_ipv6_setsockopt`
        SocketOption::UnicastHops(256..) | SocketOption::TrafficClass(256..) => Err(Errno::EINVAL),
        SocketOption::MulticastInterfaceV6(index) if index > LOOPBACK_IFINDEX => Err(Errno::ENODEV),
        // The bits of ECN are TCP's own.
        // Reference: net/ipv4/ip_sockglue.c: `__ip_sock_set_tos`
        SocketOption::Tos(bits) => Ok(SocketOption::Tos(bits & 0xff & !ecn_mask)),
        SocketOption::TrafficClass(bits) => Ok(SocketOption::TrafficClass(bits & !ecn_mask)),
        // Every kernel has these; others are modules.
        SocketOption::CongestionControl(name) if !["reno", "cubic"].contains(&name.as_str()) => {
            Err(Errno::ENOENT)
        }
        SocketOption::BindToDevice(name) if !["", "lo"].contains(&name.as_str()) => {
            Err(Errno::ENODEV)
        }
        SocketOption::KeepIdleSeconds(0)
        | SocketOption::KeepIntervalSeconds(0)
        | SocketOption::KeepCount(0) => Err(Errno::EINVAL),
        _ => Ok(option),
    }
}
