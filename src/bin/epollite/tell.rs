//! What the program tells of its clients: the lines of `--verbose`, and that accepting pauses.
//!
//! Knows the words, and nothing of who serves: every model says the same of the same.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use epollite::server::datagram::{Served, Turned};
use epollite::server::stream::Left;
use epollite::{Addr, Errno};

use crate::log::{Log, quoted};

/// How often the same trouble is told at most: at a limit, it comes by the thousand.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What a client of a stream is called; those of a Unix socket have a number of ours only.
pub(crate) fn name(peer: &Addr, number: impl Display) -> String {
    match peer {
        Addr::Unix(_) => format!("unix client {number}"),
        peer => format!("tcp {}", plain(peer)),
    }
}

/// An address of IPv4 that came in through a socket of both families, as what it is.
fn plain(addr: &Addr) -> Addr {
    let mapped = match addr {
        Addr::V6(v6) => v6.ip().to_ipv4_mapped().map(|ip| SocketAddr::from((ip, v6.port()))),
        _ => None,
    };
    mapped.map_or(*addr, Addr::from)
}

pub(crate) fn connected(log: &Log, name: &str) {
    say(log, name, "connected", None, "connected");
}

pub(crate) fn said(log: &Log, name: &str, bytes: usize) {
    say(log, name, "sent", Some(bytes as u64), &format!("sent {bytes} bytes"));
}

pub(crate) fn left(log: &Log, name: &str, bytes: u64, why: Left) {
    let why = match why {
        Left::Closed => "closed".into(),
        Left::Failed(Errno::ECONNRESET | Errno::EPIPE) => "reset".into(),
        Left::Failed(errno) => errno.to_string(),
        Left::Idle => "idle".into(),
        Left::Expired => "did not leave in time".into(),
        other => format!("{other:?}"),
    };
    say(log, name, "left", Some(bytes), &format!("left after {bytes} bytes: {why}"));
}

pub(crate) fn datagram(log: &Log, turned: &Turned) {
    let fate = match turned.served {
        Served::Echoed => "",
        Served::Truncated => ", truncated: not echoed",
        Served::Refused => ", not echoed: its port would answer the echo",
        _ => ", not echoed",
    };
    let text = format!("sent {} bytes{fate}", turned.bytes);
    say(log, &format!("udp {}", plain(&turned.from)), "sent", Some(turned.bytes as u64), &text);
}

/// Accepting pauses, for `errno` or at the limit of connections. `told` is when that was last
/// told.
pub(crate) fn paused(log: &Log, told: &mut Option<Instant>, errno: Option<Errno>, open: u32) {
    if !is_due(told) {
        return;
    }
    let why = match errno {
        Some(errno) => format!("{errno}; it goes on when something comes free"),
        None => {
            format!("{open} connections are the limit here; it goes on when one leaves")
        }
    };
    log.remark(
        || format!("epollite: accepting pauses: {why}"),
        || format!("{{\"event\":\"paused\",\"why\":{}}}", quoted(&why)),
    );
}

/// A listener accepts no more, and has been closed.
pub(crate) fn listener_failed(log: &Log, errno: Errno) {
    log.remark(
        || format!("epollite: listener closed: accept4: {errno}"),
        || format!("{{\"event\":\"listener_failed\",\"why\":{}}}", quoted(&errno.to_string())),
    );
}

/// A client was let in and is turned away at once, since not even waiting would help it. `told`
/// is when that was last told.
pub(crate) fn turned_away(log: &Log, told: &mut Option<Instant>, name: &str, why: &str) {
    if !is_due(told) {
        return;
    }
    log.remark(
        || format!("epollite: {name} is turned away: {why}"),
        || {
            let (name, why) = (quoted(name), quoted(why));
            format!("{{\"event\":\"turned away\",\"peer\":{name},\"why\":{why}}}")
        },
    );
}

/// Whether what comes by the thousand may be told again.
fn is_due(told: &mut Option<Instant>) -> bool {
    let is_due = told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
    if is_due {
        *told = Some(Instant::now());
    }
    is_due
}

fn say(log: &Log, who: &str, event: &str, bytes: Option<u64>, text: &str) {
    let json = || {
        let bytes = bytes.map_or_else(String::new, |bytes| format!(",\"bytes\":{bytes}"));
        let (who, text) = (quoted(who), quoted(text));
        format!("{{\"event\":\"{event}\",\"peer\":{who}{bytes},\"text\":{text}}}")
    };
    log.remark(|| format!("{who} {text}"), json);
}
