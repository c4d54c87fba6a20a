//! Where the server is, as it is said on the command line. It connects to nobody.

use std::net::ToSocketAddrs;

use epollite::Addr;

use crate::load::Target;

/// How the server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Tcp,
    Udp,
    Unix,
}

/// Reads `127.0.0.1:7777`, `[::1]:7777`, `localhost:7777`; and a path or `@name` of a Unix socket,
/// which `unix:` may stand before.
pub(super) fn parse(text: &str, way: Way) -> Result<Target, String> {
    if way == Way::Unix || text.starts_with("unix:") {
        if way == Way::Udp {
            return Err(format!("{text}: there is no UDP to a Unix socket"));
        }
        let name = text.strip_prefix("unix:").unwrap_or(text);
        return match format!("unix:{name}").parse() {
            Ok(Addr::Unix(addr)) if !name.is_empty() => Ok(Target::Unix(addr)),
            Ok(_) => Err("a Unix socket has a path, or a name that begins with @".into()),
            Err(error) => Err(format!("{text}: {error}")),
        };
    }
    let addr = match text.parse::<Addr>() {
        Ok(addr) => addr,
        Err(error) => text
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next())
            .map(Addr::from)
            .ok_or_else(|| format!("'{text}' is no ADDRESS:PORT: {error}"))?,
    };
    if addr.port().is_none_or(|port| port == 0) {
        return Err(format!("{text}: port 0 is nobody's"));
    }
    Ok(if way == Way::Udp { Target::Udp(addr) } else { Target::Tcp(addr) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_said() {
        for (text, way, said) in [
            ("127.0.0.1:7", Way::Tcp, "tcp 127.0.0.1:7"),
            ("[::1]:7", Way::Udp, "udp [::1]:7"),
            ("/tmp/echo", Way::Unix, "unix:/tmp/echo"),
            ("unix:@echo", Way::Tcp, "unix:@echo"),
        ] {
            assert_eq!(parse(text, way).map(|target| target.to_string()), Ok(said.to_owned()));
        }
        for (text, way) in
            [("", Way::Tcp), ("127.0.0.1", Way::Tcp), ("127.0.0.1:0", Way::Tcp), ("", Way::Unix)]
        {
            assert!(parse(text, way).is_err(), "{text}");
        }
        assert!(parse("unix:/tmp/echo", Way::Udp).is_err());
    }
}
