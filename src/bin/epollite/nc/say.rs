//! What nc says on stderr, in the shape of OpenBSD's, so that what reads those lines reads ours.

use epollite::{Addr, Errno, Kind};

use crate::args::{Nc, Place};
use crate::failure::Failure;
use crate::log;

/// A line under `-v`.
pub(super) fn remark(options: &Nc, line: &str) {
    if options.verbosity > 0 {
        log::err(&format!("{line}\n"));
    }
}

/// An errno as C's library words it, capitalised, and by its name.
pub(super) fn errno(errno: Errno) -> String {
    let meaning = errno.meaning();
    let mut letters = meaning.chars();
    let first = letters.next().unwrap_or('?').to_ascii_uppercase();
    match errno.name() {
        Some(name) => format!("{first}{} ({name})", letters.as_str()),
        None => errno.to_string(),
    }
}

/// A call of our own that should not have failed.
pub(super) fn broken(call: &str, why: Errno) -> Failure {
    Failure::new(Failure::RUN, format!("{call}: {}", errno(why)))
}

/// `127.0.0.1 80`, or the path.
pub(super) fn place(addr: &Addr) -> String {
    match (addr.ip(), addr.port()) {
        (Some(ip), Some(port)) => format!("{ip} {port}"),
        _ => addr.to_string().trim_start_matches("unix:").to_owned(),
    }
}

/// The host as it was given, with its address if that is something else.
fn host(name: &str, addr: &Addr) -> String {
    match addr.ip() {
        Some(ip) if ip.to_string() != name => format!("{name} ({ip})"),
        _ => name.to_owned(),
    }
}

pub(super) const fn protocol(options: &Nc) -> &'static str {
    match options.kind {
        Kind::Stream => "tcp",
        Kind::Datagram => "udp",
    }
}

/// A connection that came to be.
pub(super) fn succeeded(options: &Nc, name: &str, addr: &Addr) {
    if options.verbosity == 0 {
        return;
    }
    let line = match addr.port() {
        Some(port) => {
            let (host, protocol) = (host(name, addr), protocol(options));
            format!("Connection to {host} {port} port [{protocol}/*] succeeded!")
        }
        None => format!("Connection to {} succeeded!", place(addr)),
    };
    remark(options, &line);
}

/// An errno, and what can be done about it: for UDP this one has one cause mostly.
pub(super) fn why(options: &Nc, why: Errno) -> String {
    let is_udp = options.kind == Kind::Datagram && matches!(options.place, Place::Ports { .. });
    if why == Errno::EACCES && is_udp && !options.may_broadcast {
        format!("{}: to a broadcast address only with -b", errno(why))
    } else {
        errno(why)
    }
}

/// A connection that did not come to be.
pub(super) fn failed(options: &Nc, name: &str, addr: &Addr, why: &Errno) -> String {
    let reason = self::why(options, *why);
    match addr.port() {
        Some(port) => {
            let (host, protocol) = (host(name, addr), protocol(options));
            format!("connect to {host} port {port} ({protocol}) failed: {reason}")
        }
        None => format!("{}: {reason}", place(addr)),
    }
}
