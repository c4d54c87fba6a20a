//! Configuration of a load. It opens nothing.

use std::fmt;
use std::time::Duration;

use clap::Args;
use epollite::Addr;
use epollite::net::UnixAddr;
use serde::{Serialize, Serializer};

use super::pace::Pace;
use super::payload::HEADER_BYTES;
use super::sizes::Sizes;
use crate::units;

/// The longest payload of one UDP datagram over IPv4.
const DATAGRAM_BYTES_MAX: u32 = 65_507;

/// Upper bound on connections: more would exceed the descriptors a process can have.
const CONNECTIONS_MAX: u32 = 1_000_000;

/// Upper bound on the depth: a larger value is taken for a unit error.
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
    /// The server's address.
    pub(crate) fn addr(&self) -> Addr {
        match self {
            Self::Tcp(addr) | Self::Udp(addr) => *addr,
            Self::Unix(addr) => Addr::Unix(*addr),
        }
    }

    /// Whether messages keep their boundaries and may be lost.
    pub(crate) const fn is_datagrams(&self) -> bool {
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

fn as_text<T: fmt::Display, S: Serializer>(it: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(it)
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Messages are sent for this time; then all outstanding responses are waited for.
    For(Duration),
    /// This many messages are sent.
    Count(u64),
}

/// Configuration of a load, and the options of `epollite-bench load` that set it. [`Config::new`]
/// has the defaults; all fields may be changed.
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
#[derive(Debug, Clone, PartialEq, Serialize, Args)]
pub struct Config {
    /// The server.
    #[arg(skip = Target::Tcp(Addr::Unspecified))]
    #[serde(serialize_with = "as_text")]
    pub target: Target,
    /// Addresses tried, in this order, when no server answers at `target`: the other addresses of a
    /// host name.
    #[arg(skip)]
    #[serde(skip)]
    pub alternatives: Vec<Target>,
    /// Number of connections; for UDP, of sockets with a port each.
    #[arg(short, long, default_value_t = 1, env = "EPL_CONNECTIONS", value_name = "N")]
    pub connections: u32,
    /// Messages in flight per connection [default: 1; with --rate no limit].
    #[arg(short, long, env = "EPL_DEPTH", value_name = "D")]
    pub depth: Option<u32>,
    /// Message sizes: 64, 16k, uniform:64-4096, exp:1000, list:64,1500,9000.
    #[arg(
        short,
        long = "size",
        default_value = "64",
        env = "EPL_MESSAGE_SIZE",
        value_name = "BYTES|DIST"
    )]
    #[serde(serialize_with = "as_text")]
    pub sizes: Sizes,
    /// When messages are sent.
    #[arg(skip = Pace::ClosedLoop)]
    pub pace: Pace,
    /// One connection per message: connect, one message, half-close, wait for EOF.
    #[arg(long)]
    pub churn: bool,
    /// UDP: send the datagrams of a window in one call, segmented by the kernel.
    #[arg(long, requires = "udp")]
    pub gso: bool,
    /// Warm-up before the measurement.
    #[arg(long, default_value = "1s", env = "EPL_WARMUP", value_name = "TIME",
          value_parser = units::duration)]
    pub warmup: Duration,
    /// Length of the measurement.
    #[arg(skip = Length::Count(0))]
    pub length: Length,
    /// Fail when no response has arrived for this long.
    #[arg(long = "stall-timeout", default_value = "5s", value_name = "TIME",
          value_parser = units::nonzero_duration)]
    pub stall: Duration,
    /// UDP: count a datagram as lost after this long.
    #[arg(long = "loss-timeout", default_value = "1s", value_name = "TIME",
          value_parser = units::nonzero_duration)]
    pub loss_after: Duration,
    /// Seed of the random sizes and intervals.
    #[arg(long, default_value_t = 1, env = "EPL_SEED")]
    pub seed: u64,
    /// Pin the generator to this CPU.
    #[arg(long, env = "EPL_PIN", value_name = "CPU")]
    pub pin: Option<usize>,
    /// The server's process on this machine, to measure its CPU too.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<i32>,
}

impl Config {
    /// One connection with one message of 64 bytes in flight, for ten seconds after one second of
    /// warm-up.
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
            // Far above any delay of a shared machine: the longest legitimate wait is one lost SYN,
            // which is sent again after a second.
            stall: Duration::from_secs(5),
            loss_after: Duration::from_secs(1),
            seed: 1,
            pin: None,
            server_pid: None,
        }
    }

    /// Validates the configuration.
    ///
    /// # Errors
    /// What is invalid, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        let refuse = |why: &str| Err(why.to_owned());
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return Err(format!("the number of connections must be from 1 to {CONNECTIONS_MAX}"));
        }
        if !(1..=DEPTH_MAX).contains(&self.depth.unwrap_or(1)) {
            return Err(format!("the depth must be from 1 to {DEPTH_MAX}"));
        }
        if self.pace.rate().is_some_and(|rate| !(0.01..=1e8).contains(&rate)) {
            return refuse("the rate must be from 0.01 to 100 million messages per second");
        }
        if self.length == Length::Count(0) || self.length == Length::For(Duration::ZERO) {
            return refuse("the measurement must have a length greater than 0");
        }
        if self.target.is_datagrams() {
            // Without a complete header a datagram cannot be matched to its message.
            if self.sizes.min() < HEADER_BYTES {
                return Err(format!(
                    "a datagram needs at least {HEADER_BYTES} bytes for its header"
                ));
            }
            if self.sizes.max() > DATAGRAM_BYTES_MAX {
                return Err(format!("a datagram has at most {DATAGRAM_BYTES_MAX} bytes"));
            }
            if self.churn {
                return refuse("datagrams have no connections to open and close");
            }
        } else if self.gso {
            return refuse("--gso applies to datagrams only");
        }
        if self.churn && self.depth.unwrap_or(1) != 1 {
            return refuse("with churn a connection carries one message");
        }
        if let Some(pid) = self.server_pid.filter(|pid| *pid < 1) {
            return Err(format!("there is no process {pid}"));
        }
        if self.gso && !matches!(self.sizes, Sizes::Fixed(_)) {
            return refuse(
                "the kernel cuts into equal segments: all messages must have the same size",
            );
        }
        Ok(())
    }

    /// Maximum number of messages in flight per connection.
    pub(super) fn window(&self) -> usize {
        let default = if self.pace.rate().is_some() { DEPTH_MAX } else { 1 };
        self.depth.unwrap_or(default) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_configurations_are_rejected() {
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
