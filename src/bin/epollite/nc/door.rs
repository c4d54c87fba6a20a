//! How nc comes by a socket to listen with.
//!
//! Knows names and sockets; who comes in is somebody else's affair.

use std::path::Path;

use epollite::server::{Sharing, bind_stream};
use epollite::{Addr, Fd, Kernel, Kind, Reactor};

use super::desk::Entry;
use super::{mailbox, name, say};
use crate::args::{Nc, Place};
use crate::failure::Failure;
use crate::listen::{self, SocketFiles};

/// A socket that listens, or that datagrams come to. The file of a Unix one is put to `files`.
pub(super) fn bound<K: Kernel>(
    options: &Nc,
    reactor: &mut Reactor<Entry, K>,
    files: &mut SocketFiles,
) -> Result<Fd, Failure> {
    let kernel = reactor.kernel();
    if let (Place::Unix(name), Kind::Stream) = (&options.place, options.kind) {
        let bound = listen::bind_unix(kernel, *name)
            .map_err(|failure| Failure { code: Failure::RUN, ..failure })?;
        say::remark(
            options,
            &format!("Listening on {}", listen::path_text(Path::new(&bound.address))),
        );
        files.extend(bound.file);
        return Ok(bound.fd);
    }
    let (_, addrs) = name::targets(options)?;
    // Who asks for localhost means 127.0.0.1 more often than ::1, and so does nc.
    let addr = *addrs.iter().find(|addr| matches!(addr, Addr::V4(_))).unwrap_or(&addrs[0]);
    let opened = match options.kind {
        Kind::Stream => bind_stream(kernel, &addr, Sharing::Alone),
        Kind::Datagram => mailbox::bound(options, kernel, &addr, files),
    };
    let (socket, actual) = opened.map_err(|error| {
        let why = say::errno(error.errno);
        Failure::new(Failure::RUN, format!("cannot listen on {}: {why}", say::place(&addr)))
    })?;
    let verb = if options.kind == Kind::Stream { "Listening on" } else { "Bound on" };
    say::remark(options, &format!("{verb} {}", say::place(&actual)));
    Ok(socket)
}
