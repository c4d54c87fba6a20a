//! Resolves the name of a service to its port, with `/etc/services`.
//!
//! Knows that file only. No resolver is used, so `-n` makes no difference, as in OpenBSD's nc.

use std::fs;

use crate::args::{Endpoint, NcOptions};
use crate::exit::CliError;

use super::messages;

/// Man page: services(5)
const SERVICES: &str = "/etc/services";

/// Replaces names of services in the options by port numbers.
///
/// # Errors
/// A name is not in the file, or there is no file.
pub(super) fn resolve_services(mut options: NcOptions) -> Result<NcOptions, CliError> {
    let protocol = messages::protocol(&options);
    let port_of = |name: &str| {
        // The file may contain any bytes; a name that is not valid UTF-8 is never looked up.
        let file = fs::read(SERVICES).unwrap_or_default();
        find_port(&String::from_utf8_lossy(&file), name, protocol)
            .ok_or_else(|| CliError::run(format!("port number invalid: {name}")))
    };
    if let Some(name) = options.service.take()
        && let Endpoint::Ports { first, last, .. } = &mut options.endpoint
    {
        *first = port_of(&name)?;
        *last = *first;
    }
    if let Some(name) = options.source_service.take() {
        options.source_port = Some(port_of(&name)?);
    }
    Ok(options)
}

/// The port of the first line that has the name, or the alias, for this protocol.
fn find_port(file: &str, name: &str, protocol: &str) -> Option<u16> {
    file.lines().find_map(|line| {
        let (line, _) = line.split_once('#').unwrap_or((line, ""));
        let mut words = line.split_ascii_whitespace();
        let (official, place) = (words.next()?, words.next()?);
        let (port, its_protocol) = place.split_once('/')?;
        let matches = official == name || words.any(|alias| alias == name);
        if matches && its_protocol == protocol { port.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::find_port;

    const FILE: &str = "# Network services\n\
        \n\
        tcpmux\t\t1/tcp\t\t\t# TCP port service multiplexer\n\
        domain\t\t53/tcp\n\
        domain\t\t53/udp\n\
        http\t\t80/tcp\t\twww\t# WorldWideWeb HTTP, www2\n\
        broken\n\
        odd\t\teighty/tcp\n\
        odd\t\t81/tcp\n\
        http-alt\t8080/tcp\twebcache www\n";

    #[test]
    fn a_service_is_found_by_its_name_and_by_its_aliases() {
        assert_eq!(find_port(FILE, "http", "tcp"), Some(80));
        assert_eq!(find_port(FILE, "www", "tcp"), Some(80), "the first matching line");
        assert_eq!(find_port(FILE, "webcache", "tcp"), Some(8_080));
        assert_eq!(find_port(FILE, "http-alt", "tcp"), Some(8_080));
        assert_eq!(find_port(FILE, "odd", "tcp"), Some(81), "an invalid line is skipped");
    }

    #[test]
    fn another_protocol_a_comment_and_a_partial_name_do_not_match() {
        assert_eq!(find_port(FILE, "http", "udp"), None);
        assert_eq!(find_port(FILE, "domain", "udp"), Some(53));
        for name in ["www2", "HTTP", "htt", "broken", "80/tcp", "#", ""] {
            assert_eq!(find_port(FILE, name, "tcp"), None, "{name:?}");
        }
        assert_eq!(find_port("", "http", "tcp"), None);
    }
}
