//! Socket options: which socket knows which, what they are unless set, and what a set one says.
//!
//! Knows the values; what an option changes stands where it is asked for.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use super::world::{FileId, Node, World};
use crate::addr::Family;
use crate::errno::Errno;
use crate::kernel::{OptionName, SocketOption};

/// The options that were set. What is not here has its default.
#[derive(Clone, Default)]
pub(super) struct Options(Vec<SocketOption>);

/// The least that `SO_RCVBUF` and `SO_SNDBUF` come to.
///
/// Reference: include/net/sock.h: `SOCK_MIN_RCVBUF`, `SOCK_MIN_SNDBUF`
const RECEIVE_BYTES_MIN: u32 = 2_304;
const SEND_BYTES_MIN: u32 = 4_608;

impl Options {
    fn find(&self, name: OptionName) -> Option<SocketOption> {
        self.0.iter().copied().find(|option| option.name() == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = SocketOption> {
        self.0.iter().copied()
    }

    /// Beside those of the same name, as memberships are.
    pub(super) fn add(&mut self, option: SocketOption) {
        self.0.push(option);
    }

    fn set(&mut self, option: SocketOption) {
        self.0.retain(|other| other.name() != option.name());
        self.0.push(option);
    }

    pub(super) fn receive_bytes(&self, default: usize) -> usize {
        match self.find(OptionName::ReceiveBufferBytes) {
            Some(SocketOption::ReceiveBufferBytes(bytes)) => bytes as usize,
            _ => default,
        }
    }

    pub(super) fn send_bytes(&self, default: usize) -> usize {
        match self.find(OptionName::SendBufferBytes) {
            Some(SocketOption::SendBufferBytes(bytes)) => bytes as usize,
            _ => default,
        }
    }

    /// `SO_RCVLOWAT`, at least 1.
    pub(super) fn low_bytes(&self) -> usize {
        match self.find(OptionName::ReceiveLowBytes) {
            Some(SocketOption::ReceiveLowBytes(bytes)) => bytes as usize,
            _ => 1,
        }
    }

    /// Whether close(2) is to break the connection.
    pub(super) fn lingers_zero(&self) -> bool {
        let linger = self.find(OptionName::LingerSeconds);
        linger == Some(SocketOption::LingerSeconds(Some(0)))
    }

    pub(super) fn reuse_addr(&self) -> bool {
        self.0.contains(&SocketOption::ReuseAddr(true))
    }

    pub(super) fn reuse_port(&self) -> bool {
        self.0.contains(&SocketOption::ReusePort(true))
    }

    pub(super) fn may_broadcast(&self) -> bool {
        self.0.contains(&SocketOption::Broadcast(true))
    }
}

impl World {
    /// Reference: net/core/sock.c: `sk_setsockopt`; man page: socket(7), tcp(7)
    pub(super) fn setsockopt(&mut self, file: FileId, option: SocketOption) -> Result<(), Errno> {
        if matches!(option.name(), OptionName::JoinV4 | OptionName::JoinV6) {
            return self.join_group(file, option);
        }
        if !self.knows(file, option.name())? {
            return Err(match self.socket(file)?.family {
                // Unix sockets know one level only: net/unix/af_unix.c: `unix_setsockopt`.
                Family::Unix => Errno::EOPNOTSUPP,
                Family::Inet | Family::Inet6 => Errno::ENOPROTOOPT,
            });
        }
        let family = self.socket(file)?.family;
        let stored = match option {
            // Reference: net/core/sock.c: `sk_setsockopt`, since Linux 6.13
            SocketOption::ReusePort(true) if family == Family::Unix => {
                return Err(Errno::EOPNOTSUPP);
            }
            SocketOption::Error(_) => return Err(Errno::ENOPROTOOPT),
            // Reference: net/ipv4/ip_sockglue.c: `do_ip_setsockopt`
            SocketOption::GroupInterfaceV4(_) if self.find_stream(file).is_some() => {
                return Err(Errno::EINVAL);
            }
            // The kernel doubles what is set, to have room for its own bookkeeping.
            SocketOption::ReceiveBufferBytes(bytes) => {
                SocketOption::ReceiveBufferBytes(bytes.saturating_mul(2).max(RECEIVE_BYTES_MIN))
            }
            SocketOption::SendBufferBytes(bytes) => {
                SocketOption::SendBufferBytes(bytes.saturating_mul(2).max(SEND_BYTES_MIN))
            }
            // More than half a buffer might never come. Reference: `tcp_set_rcvlowat`.
            SocketOption::ReceiveLowBytes(bytes) => {
                let receive_bytes = self.config.receive_buffer_bytes;
                let half = self.socket(file)?.options.receive_bytes(receive_bytes) / 2;
                let most = u32::try_from(half).unwrap_or(u32::MAX).max(1);
                SocketOption::ReceiveLowBytes(bytes.clamp(1, most))
            }
            SocketOption::KeepIdleSeconds(0)
            | SocketOption::KeepIntervalSeconds(0)
            | SocketOption::KeepCount(0) => return Err(Errno::EINVAL),
            other => other,
        };
        self.socket(file)?.options.set(stored);
        let is_low = matches!(stored, SocketOption::ReceiveLowBytes(_));
        if let Some(stream) = self.find_stream(file)
            && is_low
            && !stream.is_unix()
            && (stream.is_worth_reading() || stream.ended)
        {
            // Reference: net/ipv4/tcp.c: `tcp_set_rcvlowat`
            self.wake(file, super::stream::BYTES_CAME);
        }
        Ok(())
    }

    /// Reference: net/core/sock.c: `sk_getsockopt`; man page: socket(7), tcp(7)
    pub(super) fn getsockopt(
        &mut self,
        file: FileId,
        name: OptionName,
    ) -> Result<SocketOption, Errno> {
        if !self.knows(file, name)? {
            return Err(match self.socket(file)?.family {
                Family::Inet6 => Errno::ENOPROTOOPT,
                // Reference: net/ipv4/ip_sockglue.c: `do_ip_getsockopt`
                Family::Inet | Family::Unix => Errno::EOPNOTSUPP,
            });
        }
        if name == OptionName::Error {
            // One slot: whoever asks first takes it.
            return Ok(SocketOption::Error(self.socket(file)?.error.take()));
        }
        let (receive, send) = (self.config.receive_buffer_bytes, self.config.send_buffer_bytes);
        let number = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let known = self.socket(file)?.options.find(name);
        Ok(known.unwrap_or(match name {
            OptionName::ReuseAddr => SocketOption::ReuseAddr(false),
            OptionName::ReusePort => SocketOption::ReusePort(false),
            OptionName::Broadcast => SocketOption::Broadcast(false),
            OptionName::NoDelay => SocketOption::NoDelay(false),
            OptionName::QuickAck => SocketOption::QuickAck(true),
            OptionName::KeepAlive => SocketOption::KeepAlive(false),
            OptionName::KeepIdleSeconds => SocketOption::KeepIdleSeconds(7_200),
            OptionName::KeepIntervalSeconds => SocketOption::KeepIntervalSeconds(75),
            OptionName::KeepCount => SocketOption::KeepCount(9),
            OptionName::LingerSeconds => SocketOption::LingerSeconds(None),
            OptionName::ReceiveBufferBytes => SocketOption::ReceiveBufferBytes(number(receive)),
            OptionName::SendBufferBytes => SocketOption::SendBufferBytes(number(send)),
            OptionName::ReceiveLowBytes => SocketOption::ReceiveLowBytes(1),
            OptionName::NotSentLowBytes => SocketOption::NotSentLowBytes(0),
            OptionName::UserTimeoutMillis => SocketOption::UserTimeoutMillis(0),
            OptionName::DeferAcceptSeconds => SocketOption::DeferAcceptSeconds(0),
            OptionName::V6Only => SocketOption::V6Only(false),
            OptionName::GroupInterfaceV4 => SocketOption::GroupInterfaceV4(Ipv4Addr::UNSPECIFIED),
            // Memberships have no value.
            OptionName::JoinV4 | OptionName::JoinV6 => return Err(Errno::ENOPROTOOPT),
            OptionName::Error => SocketOption::Error(None),
        }))
    }

    /// Whether this socket knows the option: those of TCP are TCP's, one is IPv6's, the rest
    /// is everybody's.
    fn knows(&mut self, file: FileId, name: OptionName) -> Result<bool, Errno> {
        let family = self.socket(file)?.family;
        let is_stream = matches!(self.at(file).node, Node::Stream(_));
        Ok(match name {
            OptionName::NoDelay
            | OptionName::QuickAck
            | OptionName::KeepIdleSeconds
            | OptionName::KeepIntervalSeconds
            | OptionName::KeepCount
            | OptionName::NotSentLowBytes
            | OptionName::UserTimeoutMillis
            | OptionName::DeferAcceptSeconds => is_stream && family != Family::Unix,
            OptionName::V6Only | OptionName::JoinV6 => family == Family::Inet6,
            OptionName::JoinV4 | OptionName::GroupInterfaceV4 => family != Family::Unix,
            _ => true,
        })
    }
}
