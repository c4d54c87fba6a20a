//! Parses the server's address: IP addresses, host names, interface names, and paths of any bytes.
//! It opens no connection.

use std::ffi::OsStr;
use std::net::{Ipv6Addr, SocketAddrV6, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;

use epollite::Addr;
use epollite::net::{AddrError, UnixAddr};

use crate::case::Transport;
use crate::load::Target;

/// Prefix of a Unix socket address.
const UNIX: &[u8] = b"unix:";

/// Reads `127.0.0.1:7777`, `[::1]:7777`, `[fe80::1%eth0]:7777`, `localhost:7777`; and a path or
/// `@name` of a Unix socket. Of a host name all addresses are returned, in the resolver's order;
/// there is always at least one.
///
/// A path is used byte by byte. After `unix:`, and in `@name`, `\xNN` is a byte, which is how such
/// names are printed.
pub(super) fn parse(text: &OsStr, transport: Transport) -> Result<Vec<Target>, String> {
    let bytes = text.as_bytes();
    if transport == Transport::Unix || bytes.starts_with(UNIX) {
        if transport == Transport::Udp {
            return Err(format!("{}: UDP to a Unix socket is not supported", text.display()));
        }
        return unix(text).map(|addr| vec![Target::Unix(addr)]);
    }
    let shown = text.display();
    let text = text.to_str().ok_or_else(|| format!("'{shown}' is not ADDRESS:PORT: not UTF-8"))?;
    let found = match text.parse::<Addr>() {
        Ok(addr) => vec![addr],
        Err(AddrError::Scope) => vec![scoped(text)?],
        Err(error) => {
            let found = text.to_socket_addrs().map(|found| found.map(Addr::from).collect());
            let found: Vec<Addr> = found.unwrap_or_default();
            if found.is_empty() {
                return Err(format!("'{text}' is not ADDRESS:PORT: {error}"));
            }
            found
        }
    };
    if found.iter().any(|addr| addr.port().is_none_or(|port| port == 0)) {
        return Err(format!("{text}: port 0 is not allowed"));
    }
    let target = if transport == Transport::Udp { Target::Udp } else { Target::Tcp };
    Ok(found.into_iter().map(target).collect())
}

fn unix(text: &OsStr) -> Result<UnixAddr, String> {
    let with_address = |error: AddrError| format!("{}: {error}", text.display());
    let bytes = text.as_bytes();
    let is_escaped = bytes.starts_with(UNIX) || bytes.starts_with(b"@");
    let name = bytes.strip_prefix(UNIX).unwrap_or(bytes);
    if name.is_empty() {
        return Err("a Unix socket has a path, or a name that begins with @".into());
    }
    if !is_escaped {
        return UnixAddr::path(name).map_err(with_address);
    }
    // Invalid UTF-8 is converted to the escapes that the parser accepts.
    let mut printed = String::from("unix:");
    for chunk in name.utf8_chunks() {
        printed += chunk.valid();
        printed.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    match printed.parse() {
        Ok(Addr::Unix(addr)) => Ok(addr),
        Ok(_) => Err(with_address(AddrError::Empty)),
        Err(error) => Err(with_address(error)),
    }
}

/// `[fe80::1%eth0]:7777`: resolves the interface name to its index.
fn scoped(text: &str) -> Result<Addr, String> {
    let parts = text.strip_prefix('[').and_then(|rest| {
        let (host, port) = rest.split_once("]:")?;
        let (ip, interface) = host.split_once('%')?;
        Some((ip.parse::<Ipv6Addr>().ok()?, interface, port.parse::<u16>().ok()?))
    });
    let (ip, interface, port) =
        parts.ok_or_else(|| format!("'{text}' is not [ADDRESS%INTERFACE]:PORT"))?;
    let scope = nix::net::if_::if_nametoindex(interface)
        .map_err(|_| format!("{text}: there is no interface '{interface}'"))?;
    Ok(Addr::V6(SocketAddrV6::new(ip, port, 0, scope)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse() {
        for (text, transport, expected) in [
            ("127.0.0.1:7", Transport::Tcp, "tcp 127.0.0.1:7"),
            ("[::1]:7", Transport::Udp, "udp [::1]:7"),
            ("[fe80::1%1]:7", Transport::Tcp, "tcp [fe80::1%1]:7"),
            ("[fe80::1%lo]:7", Transport::Udp, "udp [fe80::1%1]:7"),
            ("/tmp/echo", Transport::Unix, "unix:/tmp/echo"),
            ("unix:@echo", Transport::Tcp, "unix:@echo"),
        ] {
            assert_eq!(parse_one(text.as_bytes(), transport).as_deref(), Ok(expected), "{text}");
        }
        for (text, transport) in [
            ("", Transport::Tcp),
            ("127.0.0.1", Transport::Tcp),
            ("127.0.0.1:0", Transport::Tcp),
            ("[fe80::1%no-such-one]:7", Transport::Tcp),
            ("[fe80::1%lo]:x", Transport::Tcp),
            ("", Transport::Unix),
            ("unix:", Transport::Tcp),
        ] {
            assert!(parse_one(text.as_bytes(), transport).is_err(), "{text}");
        }
        assert!(parse_one(b"unix:/tmp/echo", Transport::Udp).is_err());
    }

    #[test]
    fn the_name_of_a_unix_socket_is_bytes() {
        for (bytes, transport, expected) in [
            (&b"s\xff"[..], Transport::Unix, "unix:s\\xff"),
            (b"unix:s\xff", Transport::Tcp, "unix:s\\xff"),
            (b"unix:s\\xff", Transport::Tcp, "unix:s\\xff"),
            // In a plain path a backslash is literal.
            (b"a\\x41", Transport::Unix, "unix:a\\x5cx41"),
            (b"unix:a\\x41", Transport::Unix, "unix:aA"),
            (b"@a\\x00b", Transport::Unix, "unix:@a\\x00b"),
            (b"unix:\\x40a", Transport::Unix, "unix:\\x40a"),
        ] {
            assert_eq!(parse_one(bytes, transport).as_deref(), Ok(expected), "{bytes:?}");
        }
        assert!(parse_one(b"\xff:7", Transport::Tcp).is_err(), "a host name is text");
    }

    fn parse_one(text: &[u8], transport: Transport) -> Result<String, String> {
        let found = parse(OsStr::from_bytes(text), transport)?;
        assert_eq!(found.len(), 1, "it has one address");
        Ok(found[0].to_string())
    }
}
