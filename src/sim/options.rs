//! Socket options: which socket knows which, what they are unless set, and what a set one says.
//!
//! Knows the values; what an option changes stands where it is asked for.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use super::config::Config;
use super::group::LOOPBACK;
use super::socket::{BYTES_CAME, Protocol, Socket};
use super::world::{FileId, Result, World};
use crate::addr::Family;
use crate::errno::Errno;
use crate::kernel::{OptionName, SocketOption};

#[derive(Clone)]
pub(super) struct Options {
    /// `SO_RCVBUF`, `SO_SNDBUF` and `SO_RCVLOWAT`, as they hold.
    pub(super) receive_bytes: usize,
    pub(super) send_bytes: usize,
    pub(super) low_bytes: usize,
    /// The others that were set.
    set: Vec<SocketOption>,
    /// The multicast groups that it has joined.
    pub(super) groups: Vec<IpAddr>,
}

/// What an option is unless it is set.
const DEFAULTS: [SocketOption; 20] = [
    SocketOption::ReuseAddr(false),
    SocketOption::ReusePort(false),
    SocketOption::Broadcast(false),
    SocketOption::NoDelay(false),
    SocketOption::QuickAck(true),
    SocketOption::KeepAlive(false),
    SocketOption::KeepIdleSeconds(7_200),
    SocketOption::KeepIntervalSeconds(75),
    SocketOption::KeepCount(9),
    SocketOption::LingerSeconds(None),
    SocketOption::NotSentLowBytes(0),
    SocketOption::UserTimeoutMillis(0),
    SocketOption::DeferAcceptSeconds(0),
    SocketOption::V6Only(false),
    SocketOption::GroupInterfaceV4(Ipv4Addr::UNSPECIFIED),
    SocketOption::PacketInfoV4(false),
    SocketOption::PacketInfoV6(false),
    SocketOption::OutOfBandInline(false),
    SocketOption::GroupAllV4(true),
    SocketOption::GroupAllV6(true),
];

/// The least that `SO_RCVBUF` and `SO_SNDBUF` come to.
///
/// Reference: include/net/sock.h: `SOCK_MIN_RCVBUF`, `SOCK_MIN_SNDBUF`
const RECEIVE_BYTES_MIN: u32 = 2_304;
const SEND_BYTES_MIN: u32 = 4_608;

impl Options {
    /// Reference: net/ipv6/af_inet6.c: `inet6_create`, which leaves IPv4's `IP_MULTICAST_ALL` off
    pub(super) fn new(family: Family, config: &Config) -> Self {
        let unlike_the_default = [
            (config.is_v6_only, SocketOption::V6Only(true)),
            (family == Family::Inet6, SocketOption::GroupAllV4(false)),
        ];
        let set =
            unlike_the_default.into_iter().filter_map(|(is_so, option)| is_so.then_some(option));
        Self {
            receive_bytes: config.receive_buffer_bytes,
            send_bytes: config.send_buffer_bytes,
            low_bytes: 1,
            set: set.collect(),
            groups: Vec::new(),
        }
    }

    /// What was set, or the default. Memberships and errors have none.
    pub(super) fn find(&self, name: OptionName) -> Option<SocketOption> {
        let mut known = self.set.iter().chain(&DEFAULTS);
        known.find(|option| option.name() == name).copied()
    }

    pub(super) fn has(&self, option: SocketOption) -> bool {
        self.find(option.name()) == Some(option)
    }
}

impl Socket {
    /// Whether this socket knows the option: those of TCP are TCP's, one is IPv6's, the rest
    /// is everybody's.
    fn knows(&self, name: OptionName) -> bool {
        match name {
            OptionName::NoDelay
            | OptionName::QuickAck
            | OptionName::KeepIdleSeconds
            | OptionName::KeepIntervalSeconds
            | OptionName::KeepCount
            | OptionName::NotSentLowBytes
            | OptionName::UserTimeoutMillis
            | OptionName::DeferAcceptSeconds => self.protocol() == Protocol::Tcp,
            OptionName::V6Only
            | OptionName::JoinV6
            | OptionName::PacketInfoV6
            | OptionName::GroupAllV6 => self.family == Family::Inet6,
            OptionName::JoinV4
            | OptionName::GroupInterfaceV4
            | OptionName::PacketInfoV4
            | OptionName::GroupAllV4 => !self.is_unix(),
            _ => true,
        }
    }
}

impl World {
    /// Reference: net/core/sock.c: `sk_setsockopt`; man page: socket(7), tcp(7)
    pub(super) fn setsockopt(&mut self, file: FileId, option: SocketOption) -> Result<()> {
        let receive_max = self.config.receive_buffer_bytes_max;
        let send_max = self.config.send_buffer_bytes_max;
        let socket = self.socket(file);
        let (protocol, is_unix) = (socket.protocol(), socket.is_unix());
        if !socket.knows(option.name()) {
            // Unix sockets know one level only: net/unix/af_unix.c: `unix_setsockopt`.
            return Err(if is_unix { Errno::EOPNOTSUPP } else { Errno::ENOPROTOOPT });
        }
        let options = &mut socket.options;
        match option {
            SocketOption::JoinV4 { group, interface } => {
                return self.join_group(file, group.into(), interface.is_loopback());
            }
            SocketOption::JoinV6 { group, interface } => {
                return self.join_group(file, group.into(), interface == LOOPBACK);
            }
            // Reference: net/core/sock.c: `sk_setsockopt`, since Linux 6.13
            SocketOption::ReusePort(true) if is_unix => return Err(Errno::EOPNOTSUPP),
            SocketOption::Error(_) => return Err(Errno::ENOPROTOOPT),
            // Reference: net/ipv4/ip_sockglue.c: `do_ip_setsockopt`
            SocketOption::GroupInterfaceV4(_) if protocol == Protocol::Tcp => {
                return Err(Errno::EINVAL);
            }
            SocketOption::KeepIdleSeconds(0)
            | SocketOption::KeepIntervalSeconds(0)
            | SocketOption::KeepCount(0) => return Err(Errno::EINVAL),
            // The kernel doubles what is set, to have room for its own bookkeeping.
            SocketOption::ReceiveBufferBytes(bytes) => {
                let doubled = bytes.min(receive_max).saturating_mul(2);
                options.receive_bytes = doubled.max(RECEIVE_BYTES_MIN) as usize;
            }
            SocketOption::SendBufferBytes(bytes) => {
                let doubled = bytes.min(send_max).saturating_mul(2);
                options.send_bytes = doubled.max(SEND_BYTES_MIN) as usize;
            }
            // More than half a buffer might never come.
            // Reference: net/ipv4/tcp.c: `tcp_set_rcvlowat`
            SocketOption::ReceiveLowBytes(bytes) => {
                let most = (options.receive_bytes / 2).max(1);
                options.low_bytes = (bytes as usize).clamp(1, most);
                if protocol == Protocol::Tcp && (socket.is_worth_reading() || socket.tcp.ended) {
                    self.wake(file, BYTES_CAME);
                }
            }
            other => {
                options.set.retain(|known| known.name() != other.name());
                options.set.push(other);
            }
        }
        Ok(())
    }

    /// Reference: net/core/sock.c: `sk_getsockopt`; man page: socket(7), tcp(7)
    pub(super) fn getsockopt(&mut self, file: FileId, name: OptionName) -> Result<SocketOption> {
        let socket = self.socket(file);
        if !socket.knows(name) {
            return Err(match socket.family {
                Family::Inet6 => Errno::ENOPROTOOPT,
                // Reference: net/ipv4/ip_sockglue.c: `do_ip_getsockopt`
                Family::Inet | Family::Unix => Errno::EOPNOTSUPP,
            });
        }
        let options = &socket.options;
        let number = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Ok(match name {
            // One slot: whoever asks first takes it.
            OptionName::Error => SocketOption::Error(socket.error.take()),
            OptionName::ReceiveBufferBytes => {
                SocketOption::ReceiveBufferBytes(number(options.receive_bytes))
            }
            OptionName::SendBufferBytes => {
                SocketOption::SendBufferBytes(number(options.send_bytes))
            }
            OptionName::ReceiveLowBytes => SocketOption::ReceiveLowBytes(number(options.low_bytes)),
            _ => options.find(name).ok_or(Errno::ENOPROTOOPT)?,
        })
    }
}
