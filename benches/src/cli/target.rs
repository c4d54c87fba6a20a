//! Where the server is, as it is said on the command line: addresses, host names, interfaces by name,
//! paths of any bytes. It connects to nobody.

use std::ffi::OsStr;
use std::net::{Ipv6Addr, SocketAddrV6, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;

use epollite::{Addr, AddrError, UnixAddr};

use crate::load::Target;

/// How the server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
    Unix,
}

/// Before the name of a Unix socket, where it could be taken for something else.
const UNIX: &[u8] = b"unix:";

/// Reads `127.0.0.1:7777`, `[::1]:7777`, `[fe80::1%eth0]:7777`, `localhost:7777`; and a path or `@name`
/// of a Unix socket. Of a host name all addresses are returned, in the resolver's order; there is
/// always at least one.
///
/// A path is taken byte by byte. Behind `unix:`, and in `@name`, `\xNN` is a byte: so such names are
/// printed.
pub(super) fn parse(text: &OsStr, way: Transport) -> Result<Vec<Target>, String> {
    let bytes = text.as_bytes();
    if way == Transport::Unix || bytes.starts_with(UNIX) {
        if way == Transport::Udp {
            return Err(format!("{}: there is no UDP to a Unix socket", text.display()));
        }
        return unix(text).map(|addr| vec![Target::Unix(addr)]);
    }
    let shown = text.display();
    let text = text.to_str().ok_or_else(|| format!("'{shown}' is no ADDRESS:PORT: not UTF-8"))?;
    let found = match text.parse::<Addr>() {
        Ok(addr) => vec![addr],
        Err(AddrError::Scope) => vec![scoped(text)?],
        Err(error) => {
            let found = text.to_socket_addrs().map(|found| found.map(Addr::from).collect());
            let found: Vec<Addr> = found.unwrap_or_default();
            if found.is_empty() {
                return Err(format!("'{text}' is no ADDRESS:PORT: {error}"));
            }
            found
        }
    };
    if found.iter().any(|addr| addr.port().is_none_or(|port| port == 0)) {
        return Err(format!("{text}: port 0 is nobody's"));
    }
    let target = if way == Transport::Udp { Target::Udp } else { Target::Tcp };
    Ok(found.into_iter().map(target).collect())
}

fn unix(text: &OsStr) -> Result<UnixAddr, String> {
    let said = |error: AddrError| format!("{}: {error}", text.display());
    let bytes = text.as_bytes();
    let is_escaped = bytes.starts_with(UNIX) || bytes.starts_with(b"@");
    let name = bytes.strip_prefix(UNIX).unwrap_or(bytes);
    if name.is_empty() {
        return Err("a Unix socket has a path, or a name that begins with @".into());
    }
    if !is_escaped {
        return UnixAddr::path(name).map_err(said);
    }
    // What cannot be read as text is written as the escapes that are read here.
    let mut printed = String::from("unix:");
    for chunk in name.utf8_chunks() {
        printed += chunk.valid();
        printed.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    match printed.parse() {
        Ok(Addr::Unix(addr)) => Ok(addr),
        Ok(_) => Err(said(AddrError::Empty)),
        Err(error) => Err(said(error)),
    }
}

/// `[fe80::1%eth0]:7777`: the kernel knows interfaces by number, people by name.
fn scoped(text: &str) -> Result<Addr, String> {
    let parts = text.strip_prefix('[').and_then(|rest| {
        let (host, port) = rest.split_once("]:")?;
        let (ip, interface) = host.split_once('%')?;
        Some((ip.parse::<Ipv6Addr>().ok()?, interface, port.parse::<u16>().ok()?))
    });
    let (ip, interface, port) =
        parts.ok_or_else(|| format!("'{text}' is no [ADDRESS%INTERFACE]:PORT"))?;
    let scope = nix::net::if_::if_nametoindex(interface)
        .map_err(|_| format!("{text}: there is no interface '{interface}'"))?;
    Ok(Addr::V6(SocketAddrV6::new(ip, port, 0, scope)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse() {
        for (text, way, said) in [
            ("127.0.0.1:7", Transport::Tcp, "tcp 127.0.0.1:7"),
            ("[::1]:7", Transport::Udp, "udp [::1]:7"),
            ("[fe80::1%1]:7", Transport::Tcp, "tcp [fe80::1%1]:7"),
            ("[fe80::1%lo]:7", Transport::Udp, "udp [fe80::1%1]:7"),
            ("/tmp/echo", Transport::Unix, "unix:/tmp/echo"),
            ("unix:@echo", Transport::Tcp, "unix:@echo"),
        ] {
            assert_eq!(said_of(text.as_bytes(), way).as_deref(), Ok(said), "{text}");
        }
        for (text, way) in [
            ("", Transport::Tcp),
            ("127.0.0.1", Transport::Tcp),
            ("127.0.0.1:0", Transport::Tcp),
            ("[fe80::1%no-such-one]:7", Transport::Tcp),
            ("[fe80::1%lo]:x", Transport::Tcp),
            ("", Transport::Unix),
            ("unix:", Transport::Tcp),
        ] {
            assert!(said_of(text.as_bytes(), way).is_err(), "{text}");
        }
        assert!(said_of(b"unix:/tmp/echo", Transport::Udp).is_err());
    }

    #[test]
    fn the_name_of_a_unix_socket_is_bytes() {
        for (bytes, way, said) in [
            (&b"s\xff"[..], Transport::Unix, "unix:s\\xff"),
            (b"unix:s\xff", Transport::Tcp, "unix:s\\xff"),
            (b"unix:s\\xff", Transport::Tcp, "unix:s\\xff"),
            // A backslash of a path is one, unless it is written as it is printed.
            (b"a\\x41", Transport::Unix, "unix:a\\x5cx41"),
            (b"unix:a\\x41", Transport::Unix, "unix:aA"),
            (b"@a\\x00b", Transport::Unix, "unix:@a\\x00b"),
            (b"unix:\\x40a", Transport::Unix, "unix:\\x40a"),
        ] {
            assert_eq!(said_of(bytes, way).as_deref(), Ok(said), "{bytes:?}");
        }
        assert!(said_of(b"\xff:7", Transport::Tcp).is_err(), "a host name is text");
    }

    fn said_of(text: &[u8], way: Transport) -> Result<String, String> {
        let found = parse(OsStr::from_bytes(text), way)?;
        assert_eq!(found.len(), 1, "it has one address");
        Ok(found[0].to_string())
    }
}
