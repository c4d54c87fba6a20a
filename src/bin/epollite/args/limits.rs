//! Arguments of `epollite echo` that limit what peers may have. Knows the flags, and not what the
//! server does with them.

use std::num::NonZeroU32;
use std::time::Duration;

use epollite::net::{Network, NetworkError};
use epollite::server::Rate;
use epollite::server::datagram::RefusedPorts;

use super::super::exit::CliError;
use super::parser::ArgParser;
use super::units;

/// Limits of peers, each over all threads or workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitOptions {
    /// The networks that are served; none is all.
    pub(crate) allowed: Vec<Network>,
    pub(crate) connections_per_address: Option<NonZeroU32>,
    pub(crate) accept_rate: Option<Rate>,
    pub(crate) udp_rate: Option<Rate>,
    pub(crate) refused_ports: RefusedPorts,
    pub(crate) buffer_total_bytes: Option<usize>,
    /// What SO_RCVBUF and SO_SNDBUF of TCP connections are set to.
    pub(crate) socket_buffer_bytes: Option<u32>,
}

/// What each thread or worker needs to buffer one read: the receive buffer of a server. With less
/// it would never buffer anything.
const BUFFER_SHARE_MIN: usize = 64 << 10;

impl LimitOptions {
    /// Why so many servers cannot share the memory for buffers, if they cannot. `flag` is the one
    /// that sets their number.
    pub(super) fn buffer_total_error(&self, servers: u32, flag: &str) -> Option<String> {
        let total = self.buffer_total_bytes?;
        let servers_bytes = usize::try_from(servers).ok()?.checked_mul(BUFFER_SHARE_MIN)?;
        (total < servers_bytes).then(|| {
            format!(
                "--buffer-total {total} with {flag} {servers}: each needs {BUFFER_SHARE_MIN} bytes \
                 at least, for one read"
            )
        })
    }

    /// Takes the value of `flag`, if it is one of these. Returns whether it is.
    pub(super) fn parse(&mut self, flag: &str, args: &mut ArgParser) -> Result<bool, CliError> {
        match flag {
            "--allow" => self.allowed.push(args.parse_value(parse_network)?),
            "--connections-per-address" => {
                let max = args.parse_value(|text| units::number(text, 1, 1 << 30))?;
                self.connections_per_address = NonZeroU32::new(max);
            }
            "--accept-rate" => self.accept_rate = Some(args.parse_value(parse_rate)?),
            "--udp-rate" => self.udp_rate = Some(args.parse_value(parse_rate)?),
            "--udp-refuse" => self.refused_ports = args.parse_value(parse_ports)?,
            "--buffer-total" => self.buffer_total_bytes = Some(args.parse_value(units::bytes)?),
            "--socket-buffers" => {
                self.socket_buffer_bytes = Some(args.parse_value(parse_socket_buffers)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn parse_network(text: &str) -> Result<Network, String> {
    text.parse().map_err(|error| match error {
        NetworkError::HostBits => {
            let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
            format!("'{text}' has bits set after the prefix: {address} alone, or its /{prefix}?")
        }
        other => format!("'{text}' is not a network, such as 10.0.0.0/8 or ::1: {other}"),
    })
}

/// The most that SO_RCVBUF and SO_SNDBUF take: the kernel doubles it, in an `int`.
const SOCKET_BUFFER_MAX: u32 = i32::MAX as u32 / 2;

fn parse_socket_buffers(text: &str) -> Result<u32, String> {
    let bytes = units::bytes(text)?;
    let bytes = u32::try_from(bytes).ok().filter(|&bytes| bytes <= SOCKET_BUFFER_MAX);
    bytes
        .ok_or_else(|| format!("'{text}' is more than {SOCKET_BUFFER_MAX}, which the kernel takes"))
}

/// The highest rate: a million per period.
const RATE_MAX: u32 = 1_000_000;

/// `10/s`, `100/m`, `1000/h`; a bare number is per second.
fn parse_rate(text: &str) -> Result<Rate, String> {
    let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => 0,
    };
    let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.parse().ok().filter(|&count: &u32| count <= RATE_MAX && is_number);
    match count.and_then(NonZeroU32::new) {
        Some(count) if seconds > 0 => Ok(Rate { count, period: Duration::from_secs(seconds) }),
        _ => Err(format!("'{text}' is not a rate up to 1000000/s, such as 10/s, 100/m or 1000/h")),
    }
}

fn parse_ports(text: &str) -> Result<RefusedPorts, String> {
    let (reserved, reflectors) = (RefusedPorts::Reserved, RefusedPorts::Reflectors);
    units::one_of(text, &[("reserved", reserved), ("reflectors", reflectors)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_parsed() {
        let rate = |text| parse_rate(text).map(|rate| (rate.count.get(), rate.period.as_secs()));
        for (text, expected) in
            [("10", (10, 1)), ("10/s", (10, 1)), ("1/m", (1, 60)), ("1000000/h", (1_000_000, 3600))]
        {
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        for text in ["", "/s", "0", "0/s", "-1", "+1", "1.5/s", "10/", "10/d", "10/s/s", "1000001"]
        {
            let error = rate(text).expect_err(text);
            assert!(error.contains("is not a rate"), "{error}");
        }
    }

    #[test]
    fn a_share_of_the_buffers_is_one_read() {
        let default = epollite::server::stream::StreamConfig::default();
        assert_eq!(BUFFER_SHARE_MIN, default.buffer_bytes);
        let total = |bytes| LimitOptions { buffer_total_bytes: bytes, ..LimitOptions::default() };
        let threads_max = 1024;
        let of_default = total(Some(default.buffer_total_bytes));
        assert_eq!(of_default.buffer_total_error(threads_max, "--threads"), None);
        assert_eq!(total(None).buffer_total_error(u32::MAX, "--threads"), None);
        let error = total(Some(65_535)).buffer_total_error(1, "--threads").expect("too little");
        assert!(error.contains("each needs 65536 bytes at least"), "{error}");
    }

    #[test]
    fn a_network_with_host_bits_is_not_guessed_at() {
        assert_eq!(
            parse_network("10.0.0.1/8"),
            Err("'10.0.0.1/8' has bits set after the prefix: 10.0.0.1 alone, or its /8?".into())
        );
        let error = parse_network("10.0.0.0/33").expect_err("more than 32");
        assert!(error.contains("from 0 to 32"), "{error}");
    }
}
