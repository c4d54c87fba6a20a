//! The tables of sockets in `/proc/PID/net`, by inode.
//!
//! Knows their columns. A socket that is neither TCP, UDP nor Unix, or in another network
//! namespace than its process, is in none of them.
//!
//! Reference: proc_pid_net(5); net/ipv4/tcp_ipv4.c: `get_tcp4_sock`; net/unix/af_unix.c:
//! `unix_seq_show`

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::output::columns::one_line;

/// What a table says of one socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SocketInfo {
    /// Its protocol, addresses and state.
    pub(super) text: String,
    /// Of an established TCP connection: the bytes that are unsent or not acknowledged.
    pub(super) send_queue_bytes: Option<u64>,
}

/// The sockets of a network namespace.
#[derive(Debug, Default)]
pub(super) struct SocketTable(HashMap<u64, SocketInfo>);

impl SocketTable {
    /// Reads the tables of the process in `folder`. What cannot be read is empty: descriptions are
    /// shorter then.
    pub(super) fn read(folder: &str) -> Self {
        let mut table = Self::default();
        for protocol in ["tcp", "tcp6", "udp", "udp6"] {
            let text = fs::read(format!("{folder}/net/{protocol}")).unwrap_or_default();
            let name = protocol.trim_end_matches('6');
            let rows = String::from_utf8_lossy(&text);
            table.0.extend(rows.lines().filter_map(|row| parse_inet(name, row)));
        }
        // A path is bytes.
        let text = fs::read(format!("{folder}/net/unix")).unwrap_or_default();
        table.add_unix(&String::from_utf8_lossy(&text));
        table
    }

    /// Any process may give a Unix socket a name that has an end of line and, behind it, what looks
    /// like a row of another socket: no row replaces one that is there.
    fn add_unix(&mut self, rows: &str) {
        for (inode, info) in rows.lines().filter_map(parse_unix) {
            self.0.entry(inode).or_insert(info);
        }
    }

    pub(super) fn get(&self, inode: u64) -> Option<&SocketInfo> {
        self.0.get(&inode)
    }
}

/// States of `include/net/tcp_states.h` that are shown.
const TCP_STATES: [(&str, &str); 11] = [
    ("01", "established"),
    ("02", "syn-sent"),
    ("03", "syn-recv"),
    ("04", "fin-wait-1"),
    ("05", "fin-wait-2"),
    ("06", "time-wait"),
    ("07", "closed"),
    ("08", "close-wait"),
    ("09", "last-ack"),
    ("0A", "listening"),
    ("0B", "closing"),
];

/// A row of `tcp`, `tcp6`, `udp` or `udp6`; `None` for the heading.
fn parse_inet(protocol: &str, row: &str) -> Option<(u64, SocketInfo)> {
    let columns: Vec<&str> = row.split_ascii_whitespace().collect();
    let [_, local, remote, state, queues, _, _, _, _, inode, ..] = columns[..] else { return None };
    let (local, remote) = (parse_addr(local)?, parse_addr(remote)?);
    let (_, name) = TCP_STATES.iter().find(|(code, _)| *code == state)?;
    let text = match (protocol, *name) {
        (_, "listening") => format!("{protocol} {local} listening"),
        ("udp", _) if remote.port() == 0 => format!("udp {local}"),
        (_, "established") => format!("{protocol} {local} to {remote}"),
        (_, name) => format!("{protocol} {local} to {remote}, {name}"),
    };
    let unsent = u64::from_str_radix(queues.split_once(':')?.0, 16).ok()?;
    let is_established = protocol == "tcp" && *name == "established";
    Some((
        inode.parse().ok()?,
        SocketInfo { text, send_queue_bytes: is_established.then_some(unsent) },
    ))
}

/// `0100007F:1E61`: the address as 32-bit numbers in memory order, the port as a number.
fn parse_addr(text: &str) -> Option<SocketAddr> {
    let (addr, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = addr.get(8 * at..8 * at + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match addr.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The flag of a listening Unix socket, `__SO_ACCEPTCON`.
const LISTENS: u32 = 1 << 16;

/// A row of `unix`; `None` for the heading.
fn parse_unix(row: &str) -> Option<(u64, SocketInfo)> {
    let mut columns = row.split_ascii_whitespace();
    let flags = u32::from_str_radix(columns.nth(3)?, 16).ok()?;
    let kind = match columns.next()? {
        "0001" => "unix stream",
        "0002" => "unix datagram",
        "0005" => "unix seqpacket",
        _ => return None,
    };
    let state = columns.next()?;
    let inode = columns.next()?;
    // The path is the rest, spaces included.
    let path = row.split_once(&format!(" {inode} ")).map_or("", |(_, path)| path);
    let mut text = format!("{kind} {}", one_line(path)).trim_end().to_owned();
    if flags & LISTENS != 0 {
        text += " listening";
    } else if state == "03" {
        text += " connected";
    }
    Some((inode.parse().ok()?, SocketInfo { text, send_queue_bytes: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "   1: 0100007F:1E61 0200007F:C3A4 01 00000138:00000000 01:00000014 \
                       00000000     0        0 625224 1 00000000d78f7470 20 4 30 10 -1";

    #[test]
    fn rows_of_tcp_and_udp_are_parsed() {
        let (inode, info) = parse_inet("tcp", TCP).unwrap();
        assert_eq!((inode, info.send_queue_bytes), (625_224, Some(312)));
        assert_eq!(info.text, "tcp 127.0.0.1:7777 to 127.0.0.2:50084");
        let listener = TCP.replace(" 01 ", " 0A ");
        let (_, info) = parse_inet("tcp", &listener).unwrap();
        assert_eq!(
            (info.text.as_str(), info.send_queue_bytes),
            ("tcp 127.0.0.1:7777 listening", None)
        );
        let (_, info) = parse_inet("tcp", &TCP.replace(" 01 ", " 08 ")).unwrap();
        assert!(info.text.ends_with(", close-wait"), "{}", info.text);
        let udp = TCP.replace("0200007F:C3A4 01", "00000000:0000 07");
        assert_eq!(parse_inet("udp", &udp).unwrap().1.text, "udp 127.0.0.1:7777");
        let v6 = TCP.replace("0100007F", "00000000000000000000000001000000");
        let (_, info) = parse_inet("tcp", &v6).unwrap();
        assert_eq!(info.text, "tcp [::1]:7777 to 127.0.0.2:50084");
    }

    #[test]
    fn rows_of_unix_sockets_are_parsed() {
        let row = "0000000034: 00000002 00000000 00010000 0001 01 777 /tmp/a b.sock";
        let (inode, info) = parse_unix(row).unwrap();
        assert_eq!((inode, info.text.as_str()), (777, "unix stream /tmp/a b.sock listening"));
        let row = "0000000034: 00000003 00000000 00000000 0001 03  1603";
        assert_eq!(parse_unix(row).unwrap().1.text, "unix stream connected");
        let row = "0000000034: 00000003 00000000 00000000 0002 01 12 @abstract";
        assert_eq!(parse_unix(row).unwrap().1.text, "unix datagram @abstract");
    }

    #[test]
    fn a_name_that_looks_like_a_row_hides_no_connection() {
        let mut table = SocketTable::default();
        table.0.extend(parse_inet("tcp", TCP));
        let row = "0000000034: 00000002 00000000 00010000 0001 01";
        table.add_unix(&format!("{row} 777 @name\n{row} 625224 /forged"));
        assert_eq!(table.get(777).unwrap().text, "unix stream @name listening");
        assert_eq!(table.get(625_224).unwrap().send_queue_bytes, Some(312));
    }

    #[test]
    fn headings_and_other_texts_are_skipped() {
        let heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt \
                       uid  timeout inode";
        for text in [heading, "", "1: 2: 3:", "   1: 01:02 03:04 01 0:0 0:0 0 0 0 5"] {
            assert_eq!(parse_inet("tcp", text), None, "{text}");
        }
        for text in ["Num       RefCount Protocol Flags    Type St Inode Path", "", "a b c d e f g"]
        {
            assert_eq!(parse_unix(text), None, "{text}");
        }
    }
}
