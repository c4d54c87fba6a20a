//! `PeerLimits`: which peers are served, and how much of a server the peers of one address may
//! have.
//!
//! Knows addresses and times, and no socket.

use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::admission::{Admission, AdmissionId, Refusal};
use super::peer_table::{PeerKey, PeerTable, Rate};
use crate::errno::Errno;
use crate::instant::Instant;
use crate::net::{Addr, Network};

/// Limits of peers by their addresses. Each is off by default.
///
/// Connections and rates are counted by address, whatever the port is. An IPv4-mapped address of
/// IPv6 is its IPv4 address; another address of IPv6 counts with all others of its /64, since a
/// host with one usually has all of them; that includes all link-local ones. Peers without an IP
/// address, those of Unix sockets, have no limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerLimitsConfig {
    /// The networks that are served, of connections and datagrams; none means all. Default: none.
    /// Cost: each connection and datagram is compared with one after the other.
    pub allowed: Vec<Network>,
    /// Connections that one address may have at a time; `None` for any number, the default.
    pub connections_max: Option<NonZeroU32>,
    /// How often one address may connect; `None` for as often as it likes, the default. A
    /// connection that is refused, for whatever reason, uses nothing up.
    pub accept_rate: Option<Rate>,
    /// How many datagrams of one address are answered; `None` for all, the default. Several that
    /// come as segments of one packet are answered if one may be, and all of them are charged, so
    /// that the next one waits for longer.
    pub datagram_rate: Option<Rate>,
    /// Addresses that are remembered without a connection, for `accept_rate` and for
    /// `datagram_rate` each. Default: 65,536. With one more, the one that was not seen for the
    /// longest time is forgotten, and has its whole rate again; with 0 a rate limits nothing but
    /// addresses with a connection. One with a connection is never forgotten. Addresses of
    /// datagrams can be forged, those of connections cannot: so one table does not fill the other.
    ///
    /// Cost: four bytes for each, rounded up to a power of two and 64 KiB at least, from the start;
    /// 40 to 60 more for each address that there is. Looking one up is O(1).
    pub addresses_max: u32,
    /// A number that peers cannot guess, or they could choose addresses that collide, which makes a
    /// look-up O(addresses). Default: 0, for tests. With `std`:
    /// `RandomState::new().hash_one(0)`.
    pub seed: u64,
}

impl Default for PeerLimitsConfig {
    fn default() -> Self {
        Self {
            allowed: Vec::new(),
            connections_max: None,
            accept_rate: None,
            datagram_rate: None,
            addresses_max: 1 << 16,
            seed: 0,
        }
    }
}

/// An [`Admission`] by the address of the peer.
///
/// The rules are asked in this order: the networks, the number of connections, the rate; the first
/// one that refuses is the [`Refusal`]. [`Refusal::NoMemory`] is an address for which the table
/// could not grow. A time that goes back gives nothing: what a rate has admitted stays counted
/// until its time has come again.
///
/// ```
/// use epollite::Instant;
/// use epollite::server::{Admission, PeerLimits, PeerLimitsConfig, Refusal};
///
/// let allowed = vec!["10.0.0.0/8".parse()?];
/// let connections_max = std::num::NonZeroU32::new(1);
/// let config = PeerLimitsConfig { allowed, connections_max, ..PeerLimitsConfig::default() };
/// let mut limits = PeerLimits::new(config)?;
/// let (inside, outside) = ("10.0.0.1:4000".parse()?, "11.0.0.1:4000".parse()?);
/// let id = limits.admit(&inside, Instant::ZERO).expect("the first one");
/// assert_eq!(limits.admit(&inside, Instant::ZERO), Err(Refusal::Connections));
/// assert_eq!(limits.admit(&outside, Instant::ZERO), Err(Refusal::NotAllowed));
/// limits.release(id);
/// assert!(limits.admit(&inside, Instant::ZERO).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PeerLimits {
    config: PeerLimitsConfig,
    connections: Option<PeerTable>,
    datagrams: Option<PeerTable>,
}

impl PeerLimits {
    /// Creates limits. Cost: at most two allocations: of four bytes for each of `addresses_max`,
    /// rounded up to a power of two and 64 KiB at least.
    ///
    /// # Errors
    /// * [`Errno::ENOMEM`]: there is no memory for them.
    pub fn new(config: PeerLimitsConfig) -> Result<Self, Errno> {
        let table = |idle_max| PeerTable::new(idle_max, config.seed).ok_or(Errno::ENOMEM).map(Some);
        // Without a rate there is nothing to be remembered about an address without connection.
        let connections = match (config.connections_max, config.accept_rate) {
            (None, None) => None,
            (Some(_), None) => table(0)?,
            (_, Some(_)) => table(config.addresses_max)?,
        };
        let datagrams = match config.datagram_rate {
            None => None,
            Some(_) => table(config.addresses_max)?,
        };
        Ok(Self { config, connections, datagrams })
    }

    /// How many addresses it knows, of connections and of datagrams: those with a connection, and
    /// at most `addresses_max` others of each. Cost: O(addresses).
    #[must_use]
    pub fn addresses(&self) -> (usize, usize) {
        let of = |table: &Option<PeerTable>| table.as_ref().map_or(0, PeerTable::len);
        (of(&self.connections), of(&self.datagrams))
    }

    fn check_allowed(&self, peer: &Addr) -> Result<(), Refusal> {
        let allowed = &self.config.allowed;
        match peer.ip() {
            Some(ip) if !allowed.is_empty() && !allowed.iter().any(|of| of.contains(ip)) => {
                Err(Refusal::NotAllowed)
            }
            _ => Ok(()),
        }
    }
}

impl Admission for PeerLimits {
    fn admit(&mut self, peer: &Addr, now: Instant) -> Result<AdmissionId, Refusal> {
        self.check_allowed(peer)?;
        let (Some(table), Some(key)) = (&mut self.connections, PeerKey::of(peer)) else {
            return Ok(AdmissionId::NONE);
        };
        let index = table.take(key, now).ok_or(Refusal::NoMemory)?;
        let max = self.config.connections_max.map_or(u32::MAX, NonZeroU32::get);
        let result = if table.connections(index) >= max {
            Err(Refusal::Connections)
        } else if self.config.accept_rate.is_some_and(|rate| !table.use_rate(index, rate, 1, now)) {
            Err(Refusal::Rate)
        } else {
            table.connect(index);
            Ok(AdmissionId(index))
        };
        table.put(index);
        result
    }

    fn release(&mut self, id: AdmissionId) {
        if id != AdmissionId::NONE
            && let Some(table) = &mut self.connections
        {
            table.disconnect(id.0);
        }
    }

    fn admit_datagrams(&mut self, peer: &Addr, count: u32, now: Instant) -> Result<(), Refusal> {
        self.check_allowed(peer)?;
        let (Some(table), Some(rate)) = (&mut self.datagrams, self.config.datagram_rate) else {
            return Ok(());
        };
        let Some(key) = PeerKey::of(peer) else { return Ok(()) };
        let index = table.take(key, now).ok_or(Refusal::NoMemory)?;
        let is_within = table.use_rate(index, rate, count, now);
        table.put(index);
        if is_within { Ok(()) } else { Err(Refusal::Rate) }
    }
}
