//! Sizes and limits of a simulated kernel.
//!
//! Values only.

use super::entropy::{Entropy, Probabilities};
use super::version::Version;

/// A machine's support of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ipv6 {
    /// Sockets, and the address `::1`.
    Present,
    /// Sockets without any address (`net.ipv6.conf.all.disable_ipv6`): `::` can be bound, and
    /// nothing is reachable from there.
    Disabled,
    /// No sockets either: `EAFNOSUPPORT` (`ipv6.disable=1` at boot).
    Absent,
}

/// Configuration of a simulated kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SimConfig {
    /// The version of Linux whose rules apply, where they differ.
    pub version: Version,
    /// Receive buffer of a TCP socket (`SO_RCVBUF` of sockets that do not set it).
    pub receive_buffer_bytes: usize,
    /// Send buffer of a stream socket (`SO_SNDBUF` of sockets that do not set it).
    pub send_buffer_bytes: usize,
    /// The maximum of `SO_RCVBUF` and `SO_SNDBUF` (`net.core.rmem_max`, `net.core.wmem_max`),
    /// before the kernel doubles it. Before Linux 6.18 the default was 212,992.
    pub receive_buffer_bytes_max: u32,
    /// See `receive_buffer_bytes_max`.
    pub send_buffer_bytes_max: u32,
    /// The maximal backlog of listen(2) (`net.core.somaxconn`).
    pub backlog_max: u32,
    /// A process' descriptors (`RLIMIT_NOFILE`, soft and hard). At most 16,777,216.
    pub descriptors_max: u32,
    /// Open files in the whole kernel; one more is `ENFILE` (`fs.file-max`).
    pub files_max: usize,
    /// Receive buffer of a UDP socket; datagrams that do not fit are dropped.
    pub datagram_queue_bytes: usize,
    /// Datagrams that a Unix socket queues from senders it is not connected to
    /// (`net.unix.max_dgram_qlen`).
    pub datagrams_queued_max: usize,
    /// The machine's support of IPv6.
    pub ipv6: Ipv6,
    /// Whether IPv6 sockets are IPv6-only unless they set it otherwise (`net.ipv6.bindv6only`).
    pub is_v6_only: bool,
    /// Whether addresses can be bound that the machine does not have
    /// (`net.ipv4.ip_nonlocal_bind`).
    pub binds_nonlocal_v4: bool,
    /// The same for IPv6 (`net.ipv6.ip_nonlocal_bind`).
    pub binds_nonlocal_v6: bool,
    /// Whether epoll_pwait2(2) exists. Linux before 5.11 returns `ENOSYS`.
    pub has_pwait2: bool,
    /// The source of random decisions.
    pub entropy: Entropy,
    /// How likely each random behaviour is.
    pub probabilities: Probabilities,
}

impl Default for SimConfig {
    /// Linux' default sizes, the newest rules, and no random behaviour.
    fn default() -> Self {
        Self {
            version: Version::NEWEST,
            receive_buffer_bytes: 131_072,
            send_buffer_bytes: 212_992,
            receive_buffer_bytes_max: 4_194_304,
            send_buffer_bytes_max: 4_194_304,
            backlog_max: 4_096,
            descriptors_max: 1_024,
            files_max: 100_000,
            datagram_queue_bytes: 212_992,
            datagrams_queued_max: 10,
            ipv6: Ipv6::Present,
            is_v6_only: false,
            binds_nonlocal_v4: false,
            binds_nonlocal_v6: false,
            has_pwait2: true,
            entropy: Entropy::none(),
            probabilities: Probabilities::default(),
        }
    }
}
