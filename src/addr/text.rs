//! How people write an address, and how it is printed: one grammar for both.
//!
//! ```text
//! 127.0.0.1:80    [::1]:80    [fe80::1%2]:80    :80                  that is 0.0.0.0:80
//! unix:/run/echo.sock         unix:@abstract    unix:                 that has no name
//! unspec
//! ```
//!
//! What is printed is printable ASCII and reads back as the same value, except that flowinfo is
//! not printed and reads back as 0. Bytes of a Unix name that are not printable, and the backslash,
//! are `\xNN`; so is an `@` that begins a path. It resolves neither hosts nor interfaces.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use core::str::FromStr;

use super::unix::SUN_PATH_BYTES;
use super::{Addr, AddrError, UnixAddr};

const UNSPEC: &str = "unspec";
const UNIX_PREFIX: &str = "unix:";

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(v4) => v4.fmt(f),
            Self::V6(v6) => v6.fmt(f),
            Self::Unix(unix) => unix.fmt(f),
            Self::Unspec => f.pad(UNSPEC),
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
            return Ok(Self::Unspec);
        }
        if let Some(name) = text.strip_prefix(UNIX_PREFIX) {
            return parse_unix(name).map(Self::Unix);
        }
        if let Some(bracketed) = text.strip_prefix('[') {
            return parse_v6(bracketed).map(Self::V6);
        }
        parse_v4(text).map(Self::V4)
    }
}

fn parse_unix(text: &str) -> Result<UnixAddr, AddrError> {
    let mut room = [0; SUN_PATH_BYTES];
    match text.as_bytes() {
        [] => Ok(UnixAddr::unnamed()),
        [b'@', name @ ..] => UnixAddr::abstract_name(unescape(name, &mut room)?),
        path => UnixAddr::path(unescape(path, &mut room)?),
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

/// Reads digits and nothing else; `str::parse` alone would take a plus sign.
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

fn unescape<'a>(text: &[u8], room: &'a mut [u8; SUN_PATH_BYTES]) -> Result<&'a [u8], AddrError> {
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
        *room.get_mut(len).ok_or(AddrError::TooLong)? = byte;
        len += 1;
        rest = after;
    }
    Ok(&room[..len])
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn read(text: &str) -> Result<Addr, AddrError> {
        text.parse()
    }

    #[test]
    fn what_is_printed_reads_back_and_prints_the_same() {
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
            assert_eq!(read(text).map(|addr| addr.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn shorter_ways_to_write_are_read_too() {
        assert_eq!(read(":80"), read("0.0.0.0:80"));
        assert_eq!(read("[::1%0]:80"), read("[::1]:80"));
        assert_eq!(read("unix:/tmp/caf\u{e9}"), read("unix:/tmp/caf\\xC3\\xA9"));
    }

    #[test]
    fn flowinfo_is_not_printed() {
        let addr = Addr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 7, 0));
        assert_eq!(addr.to_string(), "[::1]:80");
    }

    #[test]
    fn a_refusal_names_the_part_that_is_wrong() {
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
            assert_eq!(read(text), Err(error), "{text:?}");
        }
    }
}
