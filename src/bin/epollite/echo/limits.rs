//! From `--allow`, `--connections-per-address`, `--accept-rate` and `--udp-rate` to the limits of a
//! server, which all of its threads share.
//!
//! Knows options, and no server.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use epollite::server::{PeerLimits, PeerLimitsConfig, stream};

use crate::args::LimitOptions;
use crate::exit::{CliError, failed};

/// One table of addresses for all threads: a lock for each connection, or each datagram if these
/// are limited.
pub(crate) type SharedLimits = Arc<Mutex<PeerLimits>>;

/// The limits, if there are any.
pub(crate) fn shared_limits(options: &LimitOptions) -> Result<Option<SharedLimits>, CliError> {
    let config = PeerLimitsConfig {
        allowed: options.allowed.clone(),
        connections_max: options.connections_per_address,
        accept_rate: options.accept_rate,
        datagram_rate: options.udp_rate,
        seed: RandomState::new().hash_one(0),
        ..PeerLimitsConfig::default()
    };
    let is_off = config.allowed.is_empty()
        && config.connections_max.is_none()
        && config.accept_rate.is_none()
        && config.datagram_rate.is_none();
    if is_off {
        return Ok(None);
    }
    let limits = PeerLimits::new(config).map_err(failed("address table"))?;
    Ok(Some(Arc::new(Mutex::new(limits))))
}

impl LimitOptions {
    /// Whether connections are limited.
    pub(crate) fn limit_connections(&self) -> bool {
        !self.allowed.is_empty()
            || self.connections_per_address.is_some()
            || self.accept_rate.is_some()
    }

    /// Whether datagrams are limited.
    pub(crate) fn limit_datagrams(&self) -> bool {
        !self.allowed.is_empty() || self.udp_rate.is_some()
    }

    /// What each of so many servers may buffer.
    pub(crate) fn buffer_share_bytes(&self, servers: u32) -> usize {
        let default = stream::StreamConfig::default().buffer_total_bytes;
        let servers = usize::try_from(servers.max(1)).unwrap_or(usize::MAX);
        self.buffer_total_bytes.unwrap_or(default) / servers
    }
}
