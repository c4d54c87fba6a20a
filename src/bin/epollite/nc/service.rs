//! From the name of a service to its port, as `/etc/services` has it.
//!
//! Knows that file only. No resolver is asked, and so `-n` makes no difference, as for OpenBSD's nc.

use std::fs;

use crate::args::{Nc, Place};
use crate::failure::Failure;

use super::say;

/// Man page: services(5)
const SERVICES: &str = "/etc/services";

/// The options, with numbers where names of services stood.
///
/// # Errors
/// A name is not in the file, or there is no file.
pub(super) fn looked_up(mut options: Nc) -> Result<Nc, Failure> {
    let protocol = say::protocol(&options);
    let port_of = |name: &str| {
        // It may hold anything, and what is no text is no name that anybody asks for.
        let file = fs::read(SERVICES).unwrap_or_default();
        find(&String::from_utf8_lossy(&file), name, protocol)
            .ok_or_else(|| Failure::new(Failure::RUN, format!("port number invalid: {name}")))
    };
    if let Some(name) = options.service.take()
        && let Place::Ports { first, last, .. } = &mut options.place
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
fn find(file: &str, name: &str, protocol: &str) -> Option<u16> {
    file.lines().find_map(|line| {
        let (line, _) = line.split_once('#').unwrap_or((line, ""));
        let mut words = line.split_ascii_whitespace();
        let (official, place) = (words.next()?, words.next()?);
        let (port, its_protocol) = place.split_once('/')?;
        let is_it = official == name || words.any(|alias| alias == name);
        if is_it && its_protocol == protocol { port.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::find;

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
        assert_eq!(find(FILE, "http", "tcp"), Some(80));
        assert_eq!(find(FILE, "www", "tcp"), Some(80), "the first line that has it");
        assert_eq!(find(FILE, "webcache", "tcp"), Some(8_080));
        assert_eq!(find(FILE, "http-alt", "tcp"), Some(8_080));
        assert_eq!(find(FILE, "odd", "tcp"), Some(81), "a line that says nothing is passed over");
    }

    #[test]
    fn another_protocol_a_comment_and_half_a_name_are_not_it() {
        assert_eq!(find(FILE, "http", "udp"), None);
        assert_eq!(find(FILE, "domain", "udp"), Some(53));
        for name in ["www2", "HTTP", "htt", "broken", "80/tcp", "#", ""] {
            assert_eq!(find(FILE, name, "tcp"), None, "{name:?}");
        }
        assert_eq!(find("", "http", "tcp"), None);
    }
}
