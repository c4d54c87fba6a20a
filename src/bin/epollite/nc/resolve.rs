//! Resolves a host and a port, as given, to addresses. The only user of the resolver.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use epollite::net::AddressFamily;
use epollite::{Addr, Errno};

use crate::args::{Endpoint, NcOptions};
use crate::exit::CliError;

/// The name for messages, and the addresses of the first port, best first; there is at least one.
pub(super) fn resolve_targets(options: &NcOptions) -> Result<(String, Vec<Addr>), CliError> {
    match &options.endpoint {
        Endpoint::Unix(name) => Ok((String::new(), vec![Addr::Unix(*name)])),
        Endpoint::Ports { host: Some(host), first, .. } => {
            let addrs = lookup(options, host, *first)?;
            with_source(options, addrs).map(|addrs| (host.clone(), addrs))
        }
        Endpoint::Ports { host: None, first, .. } => {
            let any = match options.family {
                Some(AddressFamily::Inet6) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            };
            Ok((any.to_string(), vec![SocketAddr::new(any, *first).into()]))
        }
    }
}

/// The addresses that have the same family as an address of `-s`.
fn with_source(options: &NcOptions, addrs: Vec<Addr>) -> Result<Vec<Addr>, CliError> {
    let Some(host) = &options.source else { return Ok(addrs) };
    let sources = lookup(options, &host.to_string_lossy(), 0)?;
    let has_source = |addr: &Addr| sources.iter().any(|source| source.family() == addr.family());
    let fit: Vec<Addr> = addrs.into_iter().filter(has_source).collect();
    if fit.is_empty() {
        let line = format!("-s {}: no address of the same family", host.display());
        return Err(CliError::run(line));
    }
    Ok(fit)
}

/// Checks that `-s` names an address, before anything is opened.
pub(super) fn check_source(options: &NcOptions) -> Result<(), CliError> {
    match (&options.source, &options.endpoint) {
        (Some(host), Endpoint::Ports { .. }) => {
            lookup(options, &host.to_string_lossy(), 0).map(drop)
        }
        _ => Ok(()),
    }
}

/// The addresses of `host`, of the requested family.
pub(super) fn lookup(options: &NcOptions, host: &str, port: u16) -> Result<Vec<Addr>, CliError> {
    let failed = |why: &str| {
        let line = format!("getaddrinfo for host \"{host}\" port {port}: {why}");
        CliError::run(line)
    };
    let unknown = || failed("Name or service not known");
    let number = host.parse().ok().or_else(|| numbers_and_dots(host).map(IpAddr::V4));
    let found: Vec<SocketAddr> = match number {
        Some(ip) => vec![SocketAddr::new(ip, port)],
        // A colon means an address with a scope (fe80::1%eth0), which needs no resolver.
        None if options.is_numeric && !host.contains(':') => return Err(unknown()),
        None => (host, port).to_socket_addrs().map_err(|_| unknown())?.collect(),
    };
    let mut addrs: Vec<Addr> = Vec::new();
    for addr in found.into_iter().map(Addr::from) {
        let is_wanted = options.family.is_none() || addr.family() == options.family;
        if is_wanted && !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    if addrs.is_empty() {
        return Err(failed("Address family for hostname not supported"));
    }
    Ok(addrs)
}

/// The source address of `-s` and `-p`, in the family of `addr`.
pub(super) fn source_addr(options: &NcOptions, addr: &Addr) -> Result<Option<Addr>, Errno> {
    if options.source.is_none() && options.source_port.is_none() {
        return Ok(None);
    }
    let port = options.source_port.unwrap_or(0);
    let any: IpAddr = match addr {
        Addr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        Addr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        Addr::Unix(_) | Addr::Unspecified => return Ok(None),
    };
    let Some(host) = &options.source else {
        return Ok(Some(SocketAddr::new(any, port).into()));
    };
    let found = lookup(options, &host.to_string_lossy(), port);
    let found = found.map_err(|_| Errno::EADDRNOTAVAIL)?;
    let fits = found.into_iter().find(|source| source.family() == addr.family());
    fits.map(Some).ok_or(Errno::EAFNOSUPPORT)
}

/// Parses an IPv4 address as inet_aton(3) does: one to four numbers, decimal, octal (`0`) or
/// hexadecimal (`0x`), the last of which fills the remaining bytes. `127.1` is `127.0.0.1`.
fn numbers_and_dots(text: &str) -> Option<Ipv4Addr> {
    let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
    let numbers = numbers.filter(|numbers| numbers.len() <= 4)?;
    let (last, first) = numbers.split_last()?;
    let mut ip: u32 = 0;
    for &byte in first {
        ip = ip << 8 | u32::from(u8::try_from(byte).ok()?);
    }
    let bits = 32 - 8 * u32::try_from(first.len()).ok()?;
    let is_small = bits == 32 || *last < 1 << bits;
    is_small.then(|| Ipv4Addr::from(ip.checked_shl(bits).unwrap_or(0) | last))
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // from_str_radix accepts a sign, which is not a digit.
    digits.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(())?;
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_dots_are_read_as_the_c_library_reads_them() {
        for (text, ip) in [
            ("127.1", [127, 0, 0, 1]),
            ("0x7f.1", [127, 0, 0, 1]),
            ("2130706433", [127, 0, 0, 1]),
            ("0", [0, 0, 0, 0]),
            ("127.0.258", [127, 0, 1, 2]),
            ("0177.0.0.1", [127, 0, 0, 1]),
            ("1.2.3.0xFF", [1, 2, 3, 255]),
            ("0xffffffff", [255, 255, 255, 255]),
        ] {
            assert_eq!(numbers_and_dots(text), Some(Ipv4Addr::from(ip)), "{text}");
        }
        for text in [
            "",
            ".",
            "127.",
            "256.1",
            "1.2.3.256",
            "1.2.3.4.5",
            "4294967296",
            "127.16777216",
            "0x",
            "08",
            "+1",
            "1.-2",
            "0x+1",
            "localhost",
            "1.2.3.4 ",
            "::1",
        ] {
            assert_eq!(numbers_and_dots(text), None, "{text:?}");
        }
    }
}
