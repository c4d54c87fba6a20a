//! Where to serve or to ask: a name and a port, not resolved yet, or a Unix socket.

use epollite::UnixAddr;

/// A name and a port, not resolved yet; or a Unix socket.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Tcp(String),
    Udp(String),
    Unix(UnixAddr),
}

/// `HOST:PORT`, looked at only so far that a typing error is told apart from an unknown host.
pub(super) fn host(text: &str) -> Result<String, String> {
    let bad = || format!("'{text}' is no address, such as 127.0.0.1:7777, [::1]:7777 or :7777");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err(format!("'{text}': the port is not a number from 0 to 65535"));
    }
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let has_odd = host.chars().any(|c| c.is_whitespace() || c.is_control());
    if (host.contains(':') && !is_bracketed) || has_odd {
        return Err(bad());
    }
    Ok(text.to_owned())
}

pub(super) fn target(text: &str) -> Result<Target, String> {
    match text.split_once(':') {
        Some(("unix", path)) => unix(path.as_bytes()).map(Target::Unix),
        Some(("udp", rest)) if rest.contains(':') => host(rest).map(Target::Udp),
        Some(("tcp", rest)) if rest.contains(':') => host(rest).map(Target::Tcp),
        _ => host(text).map(Target::Tcp),
    }
}

pub(super) fn unix(path: &[u8]) -> Result<UnixAddr, String> {
    let name = match path {
        [b'@', name @ ..] => UnixAddr::abstract_name(name),
        path => UnixAddr::path(path),
    };
    name.map_err(|error| format!("'{}': {error}", String::from_utf8_lossy(path)))
}
