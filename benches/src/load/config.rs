//! What a load is asked to be. It opens nothing.

use std::fmt;
use std::time::Duration;

use epollite::{Addr, UnixAddr};
use serde::{Serialize, Serializer};

use super::pace::Pace;
use super::payload::HEADER_BYTES;
use super::sizes::Sizes;

/// The longest payload of one UDP datagram over IPv4.
const DATAGRAM_BYTES_MAX: u32 = 65_507;

/// Fewer is no load; more than this is more descriptors than a process can have.
const CONNECTIONS_MAX: u32 = 1_000_000;

/// More messages under way than this in each connection is a mistake in the unit.
const DEPTH_MAX: u32 = 65_536;

/// The echo server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// TCP.
    Tcp(Addr),
    /// UDP.
    Udp(Addr),
    /// A Unix stream.
    Unix(UnixAddr),
}

impl Target {
    /// Where it is.
    #[must_use]
    pub fn addr(&self) -> Addr {
        match self {
            Self::Tcp(addr) | Self::Udp(addr) => *addr,
            Self::Unix(addr) => Addr::Unix(*addr),
        }
    }

    /// Whether what is sent keeps its boundaries and may be lost.
    #[must_use]
    pub const fn is_datagrams(&self) -> bool {
        matches!(self, Self::Udp(_))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => write!(f, "tcp {addr}"),
            Self::Udp(addr) => write!(f, "udp {addr}"),
            Self::Unix(addr) => write!(f, "{addr}"),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Sizes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Messages leave for so long; all answers they are owed are waited for.
    For(Duration),
    /// So many messages.
    Count(u64),
}

/// A load. [`Config::new`] has the defaults; all fields are free to change.
///
/// ```
/// use epollite_bench::load::{Config, Pace, Target};
/// let config = Config {
///     connections: 64,
///     pace: Pace::Poisson(20_000.0),
///     ..Config::new(Target::Tcp("127.0.0.1:7777".parse().unwrap()))
/// };
/// assert_eq!(config.check(), Ok(()));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    /// The server.
    pub target: Target,
    /// Where it is looked for when nobody answers at `target`, in this order: the other addresses of a
    /// name.
    #[serde(skip)]
    pub alternatives: Vec<Target>,
    /// How many connections (UDP: sockets, each with a port of its own).
    pub connections: u32,
    /// How many messages of one connection may be under way at once. In a closed loop so many
    /// are; with a rate it bounds them, `None` being as many as it takes.
    pub depth: Option<u32>,
    /// How long messages are.
    pub sizes: Sizes,
    /// When they leave.
    pub pace: Pace,
    /// A connection for each message: connect, one message, half-close, wait for the end.
    pub churn: bool,
    /// UDP: messages that leave together leave in one call, cut by the kernel (`UDP_SEGMENT`).
    pub gso: bool,
    /// What is not measured yet.
    pub warmup: Duration,
    /// What is.
    pub length: Length,
    /// How long no answer at all may come before the server counts as gone.
    pub stall: Duration,
    /// UDP: how long a datagram is waited for before it counts as lost.
    pub loss_after: Duration,
    /// The seed of all chance: sizes, distances of a Poisson pace.
    pub seed: u64,
    /// The CPU to stay on.
    pub pin: Option<usize>,
    /// The process of the server, when it is on this machine and its CPU is to be billed too.
    pub server_pid: Option<i32>,
}

impl Config {
    /// One connection, one message of 64 bytes under way, ten seconds after a second that does
    /// not count.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self {
            target,
            alternatives: Vec::new(),
            connections: 1,
            depth: None,
            sizes: Sizes::Fixed(64),
            pace: Pace::ClosedLoop,
            churn: false,
            gso: false,
            warmup: Duration::from_secs(1),
            length: Length::For(Duration::from_secs(10)),
            // Far above any hiccup of a shared machine: the longest lawful wait is one lost SYN,
            // sent again after a second.
            stall: Duration::from_secs(5),
            loss_after: Duration::from_secs(1),
            seed: 1,
            pin: None,
            server_pid: None,
        }
    }

    /// Whether this can be meant.
    ///
    /// # Errors
    /// What cannot, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        let refuse = |why: &str| Err(why.to_owned());
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return Err(format!("connections go from 1 to {CONNECTIONS_MAX}"));
        }
        if !(1..=DEPTH_MAX).contains(&self.depth.unwrap_or(1)) {
            return Err(format!("a depth goes from 1 to {DEPTH_MAX}"));
        }
        if self.pace.rate().is_some_and(|rate| !(0.01..=1e8).contains(&rate)) {
            return refuse("a rate goes from 0.01 to 100 million messages a second");
        }
        if self.length == Length::Count(0) || self.length == Length::For(Duration::ZERO) {
            return refuse("nothing is measured in no time");
        }
        if self.target.is_datagrams() {
            // Without its whole header nobody could tell which message a datagram is.
            if self.sizes.min() < HEADER_BYTES {
                return Err(format!("a datagram needs {HEADER_BYTES} bytes, to say which it is"));
            }
            if self.sizes.max() > DATAGRAM_BYTES_MAX {
                return Err(format!("a datagram has at most {DATAGRAM_BYTES_MAX} bytes"));
            }
            if self.churn {
                return refuse("datagrams have no connections to open and close");
            }
        } else if self.gso {
            return refuse("only datagrams are cut by the kernel");
        }
        if self.churn && self.depth.unwrap_or(1) != 1 {
            return refuse("with churn a connection has one message");
        }
        if let Some(pid) = self.server_pid.filter(|pid| *pid < 1) {
            return Err(format!("there is no process {pid}"));
        }
        if self.gso && !matches!(self.sizes, Sizes::Fixed(_)) {
            return refuse("the kernel cuts into equal pieces: all messages must have one size");
        }
        Ok(())
    }

    /// How many messages of one connection may be under way.
    pub(super) fn window(&self) -> usize {
        let whole = if self.pace.rate().is_some() { DEPTH_MAX } else { 1 };
        self.depth.unwrap_or(whole) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let addr: Addr = "127.0.0.1:7".parse().expect("an address");
        let (tcp, udp) = (Config::new(Target::Tcp(addr)), Config::new(Target::Udp(addr)));
        assert_eq!((tcp.check(), udp.check()), (Ok(()), Ok(())));
        let bad = [
            Config { connections: 0, ..tcp.clone() },
            Config { depth: Some(0), ..tcp.clone() },
            Config { pace: Pace::Uniform(0.0), ..tcp.clone() },
            Config { pace: Pace::Uniform(f64::NAN), ..tcp.clone() },
            Config { length: Length::Count(0), ..tcp.clone() },
            Config { gso: true, ..tcp.clone() },
            Config { server_pid: Some(0), ..tcp.clone() },
            Config { server_pid: Some(-1), ..udp.clone() },
            Config { churn: true, depth: Some(2), ..tcp },
            Config { churn: true, ..udp.clone() },
            Config { sizes: Sizes::Fixed(15), ..udp.clone() },
            Config { sizes: Sizes::Fixed(65_508), ..udp.clone() },
            Config { gso: true, sizes: Sizes::Uniform(64, 65), ..udp },
        ];
        for config in bad {
            assert!(config.check().is_err(), "{config:?}");
        }
    }
}
