//! The textual form of an address: one grammar for parsing and printing.
//!
//! ```text
//! 127.0.0.1:80    [::1]:80    [fe80::1%2]:80    :80                  the last is 0.0.0.0:80
//! unix:/run/echo.sock         unix:@abstract    unix:                the last is unnamed
//! unspec
//! ```
//!
//! Printed addresses are printable ASCII and parse back to the same value, except that flowinfo is
//! not printed and parses back as 0. Bytes of a Unix name that are not printable, and the
//! backslash, are `\xNN`; so is an `@` at the start of a path. It resolves neither hosts nor
//! interfaces.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use core::str::FromStr;

use super::addr::Addr;
use super::addr_error::AddrError;
use super::unix::{SUN_PATH_BYTES, UnixAddr};

const UNSPEC: &str = "unspec";
const UNIX_PREFIX: &str = "unix:";

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(v4) => v4.fmt(f),
            Self::V6(v6) => v6.fmt(f),
            Self::Unix(unix) => unix.fmt(f),
            Self::Unspecified => f.pad(UNSPEC),
        }
    }
}

impl fmt::Display for UnixAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(UNIX_PREFIX)?;
        if let Some(name) = self.as_abstract() {
            f.write_str("@")?;
            return escape(name, f);
        }
        match self.as_path() {
            Some([b'@', rest @ ..]) => {
                f.write_str("\\x40")?;
                escape(rest, f)
            }
            Some(path) => escape(path, f),
            None => Ok(()),
        }
    }
}

impl FromStr for Addr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        if text.is_empty() {
            return Err(AddrError::Empty);
        }
        if text == UNSPEC {
            return Ok(Self::Unspecified);
        }
        if let Some(name) = text.strip_prefix(UNIX_PREFIX) {
            return parse_unix(name.as_bytes()).map(Self::Unix);
        }
        if let Some(bracketed) = text.strip_prefix('[') {
            return parse_v6(bracketed).map(Self::V6);
        }
        parse_v4(text).map(Self::V4)
    }
}

/// What follows `unix:`.
pub(crate) fn parse_unix(text: &[u8]) -> Result<UnixAddr, AddrError> {
    let mut buf = [0; SUN_PATH_BYTES];
    match text {
        [] => Ok(UnixAddr::unnamed()),
        [b'@', name @ ..] => UnixAddr::abstract_name(unescape(name, &mut buf)?),
        path => UnixAddr::path(unescape(path, &mut buf)?),
    }
}

fn parse_v6(bracketed: &str) -> Result<SocketAddrV6, AddrError> {
    let (host, after) = bracketed.split_once(']').ok_or(AddrError::Host)?;
    let port = after.strip_prefix(':').ok_or(AddrError::Port)?;
    let (ip, scope) = match host.split_once('%') {
        Some((ip, scope)) => (ip, number(scope).ok_or(AddrError::Scope)?),
        None => (host, 0),
    };
    let ip: Ipv6Addr = ip.parse().map_err(|_| AddrError::Host)?;
    Ok(SocketAddrV6::new(ip, number(port).ok_or(AddrError::Port)?, 0, scope))
}

fn parse_v4(text: &str) -> Result<SocketAddrV4, AddrError> {
    let (host, port) = text.rsplit_once(':').ok_or(AddrError::Port)?;
    let ip = match host {
        "" => Ipv4Addr::UNSPECIFIED,
        _ => host.parse().map_err(|_| AddrError::Host)?,
    };
    Ok(SocketAddrV4::new(ip, number(port).ok_or(AddrError::Port)?))
}

/// Parses digits only; `str::parse` alone would accept a plus sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn escape(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write;

    for byte in bytes {
        match byte {
            b'\\' => f.write_str("\\x5c")?,
            b' '..=b'~' => f.write_char(char::from(*byte))?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    Ok(())
}

fn unescape<'a>(text: &[u8], buf: &'a mut [u8; SUN_PATH_BYTES]) -> Result<&'a [u8], AddrError> {
    let mut len = 0;
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let pair = hex(*high).zip(hex(*low)).ok_or(AddrError::Escape)?;
                (pair.0 << 4 | pair.1, after)
            }
            (b'\\', _) => return Err(AddrError::Escape),
            _ => (*first, after),
        };
        *buf.get_mut(len).ok_or(AddrError::TooLong)? = byte;
        len += 1;
        rest = after;
    }
    Ok(buf.get(..len).unwrap_or_default())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn parse(text: &str) -> Result<Addr, AddrError> {
        text.parse()
    }

    #[test]
    fn printed_addresses_parse_back() {
        for text in [
            "127.0.0.1:80",
            "[::1]:80",
            "[fe80::1%2]:80",
            "unix:/run/echo.sock",
            "unix:relative path",
            "unix:\\x40not abstract",
            "unix:a@b",
            "unix:@name",
            "unix:@@name",
            "unix:@",
            "unix:",
            "unix:caf\\xc3\\xa9\\x5c",
            "unspec",
        ] {
            assert_eq!(parse(text).map(|addr| addr.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn short_forms_are_parsed() {
        assert_eq!(parse(":80"), parse("0.0.0.0:80"));
        assert_eq!(parse("[::1%0]:80"), parse("[::1]:80"));
        assert_eq!(parse("unix:/tmp/caf\u{e9}"), parse("unix:/tmp/caf\\xC3\\xA9"));
    }

    #[test]
    fn flowinfo_is_not_printed() {
        let addr = Addr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 7, 0));
        assert_eq!(addr.to_string(), "[::1]:80");
    }

    #[test]
    fn errors_name_the_wrong_part() {
        let long = "unix:".to_string() + &"p".repeat(109);
        for (text, error) in [
            ("", AddrError::Empty),
            ("localhost:80", AddrError::Host),
            ("::1:80", AddrError::Host),
            ("[::1", AddrError::Host),
            ("[127.0.0.1]:80", AddrError::Host),
            (" 127.0.0.1:80", AddrError::Host),
            ("*:80", AddrError::Host),
            ("127.0.0.1", AddrError::Port),
            ("127.0.0.1:", AddrError::Port),
            ("127.0.0.1:+80", AddrError::Port),
            ("127.0.0.1:65536", AddrError::Port),
            ("[::1]", AddrError::Port),
            ("[::1]80", AddrError::Port),
            ("[fe80::1%eth0]:80", AddrError::Scope),
            ("[fe80::1%4294967296]:80", AddrError::Scope),
            ("unix:a\\", AddrError::Escape),
            ("unix:a\\x4", AddrError::Escape),
            ("unix:a\\xg0", AddrError::Escape),
            ("unix:a\\x00b", AddrError::NulInPath),
            (long.as_str(), AddrError::TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
    }
}
