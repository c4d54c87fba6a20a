//! An address to listen on or to check: an unresolved host and port, or a Unix socket.

use epollite::net::UnixAddr;

/// An unresolved host and port, or a Unix socket.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Tcp(String),
    Udp(String),
    Unix(UnixAddr),
}

/// `HOST:PORT`, checked only as far as to tell a syntax error from an unknown host.
pub(super) fn parse_host_port(text: &str) -> Result<String, String> {
    let bad = || format!("'{text}' is not an address, such as 127.0.0.1:7777, [::1]:7777 or :7777");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err(format!("'{text}': the port is not a number from 0 to 65535"));
    }
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let has_invalid = host.chars().any(|c| c.is_whitespace() || c.is_control());
    if (host.contains(':') && !is_bracketed) || has_invalid {
        return Err(bad());
    }
    Ok(text.to_owned())
}

/// A path is bytes, not text.
pub(super) fn parse_target(bytes: &[u8]) -> Result<Target, String> {
    if let Some(path) = bytes.strip_prefix(b"unix:") {
        return parse_unix(path).map(Target::Unix);
    }
    let text = &*String::from_utf8_lossy(bytes);
    match text.split_once(':') {
        Some(("udp", rest)) if rest.contains(':') => parse_host_port(rest).map(Target::Udp),
        Some(("tcp", rest)) if rest.contains(':') => parse_host_port(rest).map(Target::Tcp),
        _ => parse_host_port(text).map(Target::Tcp),
    }
}

/// A path, or an abstract name after an `@`. A path is used unchanged. An abstract name may contain
/// any byte, also NUL, which an argument cannot: there `\xNN` is a byte, as the name is printed.
pub(crate) fn parse_unix(path: &[u8]) -> Result<UnixAddr, String> {
    let name = match path {
        [b'@', name @ ..] => UnixAddr::abstract_name(&unescaped(name)),
        path => UnixAddr::path(path),
    };
    name.map_err(|error| format!("'{}': {error}", String::from_utf8_lossy(path)))
}

fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let [first, rest @ ..] = text {
        let (mut byte, mut after) = (*first, rest);
        if let [b'x', high, low, behind @ ..] = rest
            && byte == b'\\'
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            (byte, after) = (high << 4 | low, behind);
        }
        bytes.push(byte);
        text = after;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abstract_name_is_read_as_it_is_printed() {
        for name in [&b"a\0b"[..], b"\xff\\x41", b"", b"\\", b"plain"] {
            let name = UnixAddr::abstract_name(name).unwrap();
            let printed = name.to_string();
            assert_eq!(
                parse_unix(printed.trim_start_matches("unix:").as_bytes()),
                Ok(name),
                "{printed}"
            );
        }
        assert_eq!(parse_unix(b"@a\\b\\x4"), Ok(UnixAddr::abstract_name(b"a\\b\\x4").unwrap()));
    }

    #[test]
    fn a_path_is_used_unchanged() {
        for path in [&b"s\xff"[..], b"s\\x41", b"plain"] {
            assert_eq!(parse_unix(path), Ok(UnixAddr::path(path).unwrap()));
            let Ok(Target::Unix(name)) = parse_target(&[b"unix:", path].concat()) else {
                panic!("{path:?}")
            };
            assert_eq!(name.as_path(), Some(path));
        }
    }
}
