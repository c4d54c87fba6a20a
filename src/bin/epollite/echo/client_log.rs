//! Log lines about clients: those of `--verbose`, and that accepting is paused.
//!
//! Knows the texts, and not the server model: all models log the same lines.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use epollite::server::Refusal;
use epollite::server::datagram::{DatagramEvent, Disposition};
use epollite::server::stream::CloseReason;
use epollite::{Addr, Errno};

use crate::output::json::json_string;
use crate::output::log::Log;

/// The shortest interval between equal messages: at a limit they come by the thousand.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The name of a stream client; one of a Unix socket has only a number.
pub(crate) fn client_name(peer: &Addr, number: impl Display) -> String {
    match peer {
        Addr::Unix(_) => format!("unix client {number}"),
        peer => format!("tcp {}", unmap_ipv4(peer)),
    }
}

/// Converts an IPv4-mapped IPv6 address, as a dual-stack socket reports it, to IPv4.
fn unmap_ipv4(addr: &Addr) -> Addr {
    let mapped = match addr {
        Addr::V6(v6) => v6.ip().to_ipv4_mapped().map(|ip| SocketAddr::from((ip, v6.port()))),
        _ => None,
    };
    mapped.map_or(*addr, Addr::from)
}

pub(crate) fn connected(log: &Log, name: &str) {
    log_event(log, name, "connected", None, "connected");
}

pub(crate) fn received(log: &Log, name: &str, bytes: usize) {
    log_event(log, name, "received", Some(bytes as u64), &format!("received {bytes} bytes"));
}

pub(crate) fn closed(log: &Log, name: &str, bytes: u64, why: CloseReason) {
    let why = match why {
        CloseReason::PeerClosed => "peer closed".into(),
        CloseReason::Error(Errno::ECONNRESET | Errno::EPIPE) => "reset".into(),
        CloseReason::Error(errno) => errno.to_string(),
        CloseReason::IdleTimeout => "idle timeout".into(),
        CloseReason::DrainTimeout => "drain timeout".into(),
        other => format!("{other:?}"),
    };
    log_event(log, name, "closed", Some(bytes), &format!("closed after {bytes} bytes: {why}"));
}

pub(crate) fn datagram(log: &Log, event: &DatagramEvent) {
    let suffix = match event.disposition {
        Disposition::Echoed => "",
        Disposition::Truncated => ", truncated: not echoed",
        Disposition::Reflected => ", not echoed: its port would answer the echo",
        Disposition::Refused(Refusal::NotAllowed) => ", not echoed: not in an allowed network",
        Disposition::Refused(Refusal::Rate) => ", not echoed: too often from this address",
        _ => ", not echoed",
    };
    let text = format!("received {} bytes{suffix}", event.bytes);
    let name = format!("udp {}", unmap_ipv4(&event.from));
    log_event(log, &name, "received", Some(event.bytes as u64), &text);
}

/// Accepting is paused, for `errno` or at the connection limit. `last` is when that was last
/// logged.
pub(crate) fn accept_paused(
    log: &Log,
    last: &mut Option<Instant>,
    errno: Option<Errno>,
    open: u32,
) {
    if !rate_limit(last) {
        return;
    }
    let (text, why) = match errno {
        Some(errno) => {
            let text = format!("accept paused: {errno}; retrying when a descriptor is freed");
            (text, errno.to_string())
        }
        None => {
            let text = format!("connection limit {open} reached; accept paused");
            (text, format!("connection limit {open}"))
        }
    };
    log.event("accept_paused", &text, &why);
}

/// A listener has failed permanently, and was closed.
pub(crate) fn listener_failed(log: &Log, errno: Errno) {
    let text = format!("listener closed: accept4: {errno}");
    log.event("listener_failed", &text, &errno.to_string());
}

/// A client was accepted and closed at once, because it can never be served. `last` is when that
/// was last logged.
pub(crate) fn rejected(log: &Log, last: &mut Option<Instant>, name: &str, why: &str) {
    if !rate_limit(last) {
        return;
    }
    log.message(
        || format!("epollite: {name} rejected: {why}"),
        || {
            let (name, why) = (json_string(name), json_string(why));
            format!("{{\"event\":\"rejected\",\"peer\":{name},\"why\":{why}}}")
        },
    );
}

/// Peers were refused: `count` of them since that was last logged, the last one of `name`.
pub(crate) fn refused(log: &Log, name: &str, why: &str, count: u64) {
    let since = if count > 1 { format!(" ({count} refused)") } else { String::new() };
    log.message(
        || format!("epollite: {name} refused: {why}{since}"),
        || {
            let (name, why) = (json_string(name), json_string(why));
            format!("{{\"event\":\"refused\",\"peer\":{name},\"why\":{why},\"count\":{count}}}")
        },
    );
}

/// Whether a rate-limited message may be logged now.
pub(crate) fn rate_limit(last: &mut Option<Instant>) -> bool {
    let is_due = last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}

fn log_event(log: &Log, name: &str, event: &str, bytes: Option<u64>, text: &str) {
    let json = || {
        let bytes = bytes.map_or_else(String::new, |bytes| format!(",\"bytes\":{bytes}"));
        let (name, text) = (json_string(name), json_string(text));
        format!("{{\"event\":\"{event}\",\"peer\":{name}{bytes},\"text\":{text}}}")
    };
    log.message(|| format!("{name} {text}"), json);
}
