//! What a worker logs about peers that it does not serve: one line in a period, with the count.
//!
//! Knows counters and texts, and no socket.

use std::time::Instant;

use epollite::Addr;
use epollite::server::Refusal;
use epollite::server::datagram::DatagramStats;
use epollite::server::stream::StreamStats;

use crate::client_log;
use crate::log::Log;

/// When each kind was last logged, and how many there were.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    last_connection: Option<Instant>,
    connections: u64,
    last_datagram: Option<Instant>,
    datagrams: DatagramStats,
}

impl RefusalLog {
    /// A connection of `peer` was refused.
    pub(super) fn connection(&mut self, log: &Log, peer: &Addr, why: Refusal, stats: &StreamStats) {
        let sum = stats.refused_not_allowed + stats.refused_connections + stats.refused_rate;
        let name = client_log::client_name(peer, "");
        let count = sum - self.connections;
        if client_log::refused(log, &mut self.last_connection, &name, refusal(why), count) {
            self.connections = sum;
        }
    }

    /// Whether some of `refused` datagrams are not logged yet.
    #[inline]
    pub(super) fn has_new_datagrams(&self, refused: u64) -> bool {
        refused > datagrams_refused(&self.datagrams)
    }

    /// Datagrams were refused.
    pub(super) fn datagrams(&mut self, log: &Log, stats: &DatagramStats) {
        let last = self.datagrams;
        let counts = [
            (stats.refused - last.refused, "from a port whose service would answer"),
            (stats.not_allowed - last.not_allowed, refusal(Refusal::NotAllowed)),
            (stats.over_rate - last.over_rate, refusal(Refusal::Rate)),
        ];
        let count = counts.iter().map(|(count, _)| count).sum();
        if count == 0 {
            return;
        }
        let parts = counts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, why)| format!("{count} {why}")).collect();
        let why = parts.join(", ");
        if client_log::refused(log, &mut self.last_datagram, "udp", &why, count) {
            self.datagrams = *stats;
        }
    }
}

/// How many were refused, for any reason.
#[inline]
pub(super) const fn datagrams_refused(stats: &DatagramStats) -> u64 {
    stats.refused + stats.not_allowed + stats.over_rate
}

const fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::NotAllowed => "not in an allowed network",
        Refusal::Connections => "too many connections of this address",
        Refusal::Rate => "too often from this address",
        _ => "no memory to count this address",
    }
}
