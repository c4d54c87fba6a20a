//! setsockopt(2) and getsockopt(2): which sockets support which options, and the limits of values.
//!
//! Knows joining groups; every other value is kept among the socket's options.

use super::file::{FileId, Result, WAKE_READABLE};
use super::net::Net;
use super::socket::{Protocol, Socket};
use super::socket_options::LOOPBACK_IFINDEX;
use crate::errno::Errno;
use crate::kernel::{MembershipV4, MembershipV6, SocketOption, SocketOptionName};
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
        let socket = self.socket(file);
        let (protocol, is_unix) = (socket.protocol(), socket.is_unix());
        if !socket.supports(option.name()) {
            // Unix sockets know one level only: net/unix/af_unix.c: `unix_setsockopt`.
            return Err(if is_unix { Errno::EOPNOTSUPP } else { Errno::ENOPROTOOPT });
        }
        let options = &mut socket.options;
        match option {
            SocketOption::JoinMulticastV4(MembershipV4 { group, interface }) => {
                return self.join_group(file, group.into(), interface.is_loopback());
            }
            SocketOption::JoinMulticastV6(MembershipV6 { group, interface }) => {
                return self.join_group(file, group.into(), interface == LOOPBACK_IFINDEX);
            }
            // Reference: net/core/sock.c: `sk_setsockopt`, since Linux 6.13
            SocketOption::ReusePort(true) if is_unix => return Err(Errno::EOPNOTSUPP),
            SocketOption::Error(_) => return Err(Errno::ENOPROTOOPT),
            // Reference: net/ipv4/ip_sockglue.c: `do_ip_setsockopt`
            SocketOption::MulticastInterfaceV4(_) if protocol == Protocol::Tcp => {
                return Err(Errno::EINVAL);
            }
            SocketOption::KeepIdleSeconds(0)
            | SocketOption::KeepIntervalSeconds(0)
            | SocketOption::KeepCount(0) => return Err(Errno::EINVAL),
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
        let socket = self.socket(file);
        if !socket.supports(name) {
            return Err(match socket.family {
                AddressFamily::Inet6 => Errno::ENOPROTOOPT,
                // Reference: net/ipv4/ip_sockglue.c: `do_ip_getsockopt`
                AddressFamily::Inet | AddressFamily::Unix => Errno::EOPNOTSUPP,
            });
        }
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
            _ => options.get(name).ok_or(Errno::ENOPROTOOPT)?,
        })
    }
}
