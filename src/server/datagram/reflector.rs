//! Senders that a datagram echo does not reply to, to avoid a reply loop between two servers.
//!
//! A datagram's sender can be forged: one packet "from" another echo server's port would be
//! echoed between the two without end (CVE-2024-2169 names Echo, and some 300,000 hosts).

use crate::net::{Addr, SockAddr};

/// From which ports datagrams get no reply, besides the server's own and port 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RefusedPorts {
    /// Those below 1024, which services have and clients do not, and higher ones of services that
    /// reply to whatever they receive. The echo service of inetd also refused the ports below 1024
    /// (`dg_badinput`).
    #[default]
    Reserved,
    /// Those of services that are known to reply to whatever they receive.
    Reflectors,
}

/// The first port that is not reserved for services: `IPPORT_RESERVED`.
const RESERVED_END: u16 = 1024;

/// Whether the service of this port replies to whatever it receives, including an echo. Cost: a
/// comparison or two; the compiler makes a table of it.
const fn is_reflector_port(port: u16) -> bool {
    matches!(
        port,
        7 // echo
        | 11 // systat
        | 13 // daytime
        | 17 // quote of the day
        | 19 // chargen
        | 37 // time
        | 53 // DNS
        | 69 // TFTP
        | 111 // portmapper
        | 123 // NTP
        | 137 // NetBIOS
        | 161 // SNMP
        | 389 // CLDAP
        | 520 // RIP
        | 1900 // SSDP
        | 3702 // WS-Discovery
        | 5353 // mDNS
        | 11_211 // memcached
        | 27_960 // Quake III
    )
}

/// Whether a server on `own_ports` must not reply to a datagram from `sender`.
///
/// The server's own ports, of all its sockets, are refused on *any* address: on a local one the
/// sender is this server, on another it is most likely an echo server as well. Cost: O(ports).
#[must_use]
pub fn gets_no_reply(own_ports: &[u16], refused: RefusedPorts, sender: &Addr) -> bool {
    match sender.port() {
        Some(port) => must_not_reply_to(own_ports, refused, port),
        // A Unix datagram socket without a name cannot receive a reply.
        None => {
            matches!(sender, Addr::Unix(name) if name.is_unnamed()) || *sender == Addr::Unspecified
        }
    }
}

/// [`gets_no_reply`] for an encoded address.
#[inline]
pub(super) fn encoded_gets_no_reply(
    own_ports: &[u16],
    refused: RefusedPorts,
    sender: &SockAddr,
) -> bool {
    match sender.port() {
        Some(port) => must_not_reply_to(own_ports, refused, port),
        None => sender.decode().map_or(true, |sender| gets_no_reply(own_ports, refused, &sender)),
    }
}

#[inline]
fn must_not_reply_to(own_ports: &[u16], refused: RefusedPorts, port: u16) -> bool {
    let is_reserved = port < RESERVED_END && refused == RefusedPorts::Reserved;
    // Nothing can be sent to port 0.
    port == 0 || is_reserved || own_ports.contains(&port) || is_reflector_port(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflectors_own_ports_and_unnamed_senders_get_no_reply() {
        use RefusedPorts::{Reflectors, Reserved};

        let from = |text: &str| text.parse::<Addr>().unwrap();
        let is_refused = |own: &[u16], refused, text: &str| {
            let is_refused = gets_no_reply(own, refused, &from(text));
            assert_eq!(is_refused, encoded_gets_no_reply(own, refused, &from(text).encode()));
            is_refused
        };
        for refused in [Reserved, Reflectors] {
            for sender in ["10.0.0.1:7", "10.0.0.1:19", "[::1]:53", "127.0.0.1:7777", "10.0.0.1:0"]
            {
                assert!(is_refused(&[7777], refused, sender), "{sender} was answered");
            }
            for sender in ["10.0.0.1:40000", "[::1]:5000", "10.0.0.1:1024", "unix:/tmp/peer"] {
                assert!(!is_refused(&[7777], refused, sender), "{sender} was refused");
            }
            assert!(is_refused(&[], refused, "unix:"), "an unnamed sender cannot be answered");
            assert!(encoded_gets_no_reply(&[], refused, &SockAddr::EMPTY));
        }
        for sender in ["10.0.0.1:1", "10.0.0.1:80", "[::1]:1023"] {
            assert!(is_refused(&[], Reserved, sender), "{sender} is reserved");
            assert!(!is_refused(&[], Reflectors, sender), "{sender} is no known reflector");
        }
    }
}
