//! Senders that a datagram echo does not reply to, to avoid a reply loop between two servers.
//!
//! A datagram's sender can be forged: one packet "from" another echo server's port would be
//! echoed between the two without end (CVE-2024-2169 names Echo, and some 300,000 hosts).

use crate::net::{Addr, SockAddr};

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
pub fn is_reflector(own_ports: &[u16], sender: &Addr) -> bool {
    match sender.port() {
        Some(port) => must_not_reply_to(own_ports, port),
        // A Unix datagram socket without a name cannot receive a reply.
        None => {
            matches!(sender, Addr::Unix(name) if name.is_unnamed()) || *sender == Addr::Unspecified
        }
    }
}

/// [`is_reflector`] for an encoded address.
#[inline]
pub(super) fn is_encoded_reflector(own_ports: &[u16], sender: &SockAddr) -> bool {
    match sender.port() {
        Some(port) => must_not_reply_to(own_ports, port),
        None => sender.decode().map_or(true, |sender| is_reflector(own_ports, &sender)),
    }
}

#[inline]
fn must_not_reply_to(own_ports: &[u16], port: u16) -> bool {
    // Nothing can be sent to port 0.
    port == 0 || own_ports.contains(&port) || is_reflector_port(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflectors_own_ports_and_unnamed_senders_get_no_reply() {
        let from = |text: &str| text.parse::<Addr>().unwrap();
        for sender in ["10.0.0.1:7", "10.0.0.1:19", "[::1]:53", "127.0.0.1:7777", "10.0.0.1:0"] {
            assert!(is_reflector(&[7777], &from(sender)), "{sender} was answered");
            assert!(is_encoded_reflector(&[7777], &from(sender).encode()), "{sender}");
        }
        for sender in ["10.0.0.1:40000", "[::1]:5000", "unix:/tmp/peer"] {
            assert!(!is_reflector(&[7777], &from(sender)), "{sender} was refused");
            assert!(!is_encoded_reflector(&[7777], &from(sender).encode()), "{sender}");
        }
        assert!(is_reflector(&[], &from("unix:")), "an unnamed sender cannot be answered");
        assert!(is_encoded_reflector(&[], &from("unix:").encode()));
        assert!(is_encoded_reflector(&[], &SockAddr::EMPTY));
    }
}
