//! Whom a datagram echo does not answer, lest two servers answer each other for ever.
//!
//! A datagram's sender can be forged: one packet "from" another echo server's port would go
//! to and fro until something breaks (CVE-2024-2169 names Echo, and some 300,000 hosts).

use crate::addr::Addr;

/// Whether the service of this port answers whatever it gets, and so an echo too. Work: a
/// comparison or two; the compiler makes a table of it.
const fn is_reflector(port: u16) -> bool {
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

/// Whether a datagram from `sender` is not to be answered by a server on `own_port`.
///
/// The server's own ports, of all its sockets, are refused on *any* address: on one of ours it
/// is ourselves, on another's it is most likely an echo server like us. Work: O(ports).
#[must_use]
pub fn refuses(own_ports: &[u16], sender: &Addr) -> bool {
    match sender.port() {
        // Nobody can be answered at port 0.
        Some(0) => true,
        Some(port) => own_ports.contains(&port) || is_reflector(port),
        // A Unix datagram socket without a name has nowhere to be answered.
        None => matches!(sender, Addr::Unix(name) if name.is_unnamed()) || *sender == Addr::Unspec,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflectors_ourselves_and_nobody_are_not_answered() {
        let from = |text: &str| text.parse::<Addr>().unwrap();
        for sender in ["10.0.0.1:7", "10.0.0.1:19", "[::1]:53", "127.0.0.1:7777", "10.0.0.1:0"] {
            assert!(refuses(&[7777], &from(sender)), "{sender} was answered");
        }
        for sender in ["10.0.0.1:40000", "[::1]:5000", "unix:/tmp/peer"] {
            assert!(!refuses(&[7777], &from(sender)), "{sender} was refused");
        }
        assert!(refuses(&[], &from("unix:")), "an unnamed sender cannot be answered");
    }
}
