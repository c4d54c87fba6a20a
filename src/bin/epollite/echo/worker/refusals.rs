//! What a worker logs about peers that it does not serve: one line in a period, with the count.
//!
//! Knows counters and texts, and no socket.

use std::time::Instant;

use epollite::Addr;
use epollite::server::Refusal;
use epollite::server::datagram::DatagramStats;
use epollite::server::stream::StreamStats;

use crate::echo::client_log;
use crate::output::log::Log;

/// When each kind was last logged, and how many there were.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    last_connection: Option<Instant>,
    connections: u64,
    /// The last peer that is not logged, and why it was refused.
    unlogged: Option<(Addr, Refusal)>,
    last_datagram: Option<Instant>,
    datagrams: DatagramStats,
}

impl RefusalLog {
    /// A connection of `peer` was refused.
    pub(super) fn connection(&mut self, log: &Log, peer: &Addr, why: Refusal, stats: &StreamStats) {
        self.unlogged = Some((*peer, why));
        if client_log::rate_limit(&mut self.last_connection) {
            self.log_connections(log, stats);
        }
    }

    /// Logs those that are not logged yet.
    fn log_connections(&mut self, log: &Log, stats: &StreamStats) {
        let sum = stats.refused_not_allowed + stats.refused_connections + stats.refused_rate;
        let count = sum - self.connections;
        if let Some((peer, why)) = self.unlogged.take()
            && count > 0
        {
            let name = client_log::client_name(&peer, "");
            client_log::refused(log, &name, refusal(why), count);
            self.connections = sum;
        }
    }

    /// Logs what the period has held back: no later refusal would bring it.
    pub(super) fn finish(&mut self, log: &Log, streams: &StreamStats, datagrams: &DatagramStats) {
        self.log_connections(log, streams);
        self.log_datagrams(log, datagrams);
    }

    /// Whether some of `refused` datagrams are not logged yet.
    #[inline]
    pub(super) fn has_new_datagrams(&self, refused: u64) -> bool {
        refused > datagrams_refused(&self.datagrams)
    }

    /// Datagrams were refused.
    pub(super) fn datagrams(&mut self, log: &Log, stats: &DatagramStats) {
        if client_log::rate_limit(&mut self.last_datagram) {
            self.log_datagrams(log, stats);
        }
    }

    fn log_datagrams(&mut self, log: &Log, stats: &DatagramStats) {
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
        client_log::refused(log, "udp", &parts.join(", "), count);
        self.datagrams = *stats;
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
