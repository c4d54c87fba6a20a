//! The lines nc prints on stderr, in OpenBSD's format, so that programs that parse those parse
//! ours.

use epollite::kernel::SocketType;
use epollite::{Addr, Errno};

use crate::args::{Endpoint, NcOptions};
use crate::exit::CliError;
use crate::output::log;

/// A line under `-v`.
pub(super) fn verbose(options: &NcOptions, line: &str) {
    if options.verbosity > 0 {
        log::err(&format!("{line}\n"));
    }
}

/// An errno with the C library's description, capitalised, and its name.
pub(super) fn errno_text(errno: Errno) -> String {
    let meaning = errno.description();
    let mut chars = meaning.chars();
    let first = chars.next().unwrap_or('?').to_ascii_uppercase();
    match errno.name() {
        Some(name) => format!("{first}{} ({name})", chars.as_str()),
        None => errno.to_string(),
    }
}

/// An internal call failed unexpectedly.
pub(super) fn failed_call(call: &str) -> impl FnOnce(Errno) -> CliError {
    move |errno| CliError::run(format!("{call}: {}", errno_text(errno)))
}

/// `127.0.0.1 80`, or the path.
pub(super) fn addr_text(addr: &Addr) -> String {
    match (addr.ip(), addr.port()) {
        (Some(ip), Some(port)) => format!("{ip} {port}"),
        _ => addr.to_string().trim_start_matches("unix:").to_owned(),
    }
}

/// The host as given, with its address if that differs.
fn host(name: &str, addr: &Addr) -> String {
    match addr.ip() {
        Some(ip) if ip.to_string() != name => format!("{name} ({ip})"),
        _ => name.to_owned(),
    }
}

pub(super) const fn protocol(options: &NcOptions) -> &'static str {
    match options.kind() {
        // It has no option for the third type.
        SocketType::Stream | SocketType::SeqPacket => "tcp",
        SocketType::Datagram => "udp",
    }
}

/// Reports an established connection.
pub(super) fn succeeded(options: &NcOptions, name: &str, addr: &Addr) {
    if options.verbosity == 0 {
        return;
    }
    let line = match addr.port() {
        Some(port) => {
            let (host, protocol) = (host(name, addr), protocol(options));
            format!("Connection to {host} {port} port [{protocol}/*] succeeded!")
        }
        None => format!("Connection to {} succeeded!", addr_text(addr)),
    };
    verbose(options, &line);
}

/// An errno and a hint: for UDP, EACCES usually has one cause.
pub(super) fn connect_error_hint(options: &NcOptions, why: Errno) -> String {
    let is_udp = options.is_datagram && matches!(options.endpoint, Endpoint::Ports { .. });
    if why == Errno::EACCES && is_udp && !options.broadcast {
        format!("{}: to a broadcast address only with -b", errno_text(why))
    } else {
        errno_text(why)
    }
}

/// The line that reports a failed connection.
pub(super) fn failed(options: &NcOptions, name: &str, addr: &Addr, why: &Errno) -> String {
    let reason = self::connect_error_hint(options, *why);
    match addr.port() {
        Some(port) => {
            let (host, protocol) = (host(name, addr), protocol(options));
            format!("connect to {host} port {port} ({protocol}) failed: {reason}")
        }
        None => format!("{}: {reason}", addr_text(addr)),
    }
}
