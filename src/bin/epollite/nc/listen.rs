//! How nc opens a listening socket.
//!
//! Knows names and sockets; accepting is up to the loops.

use std::path::Path;

use epollite::kernel::SocketType;
use epollite::server::{PortSharing, bind_stream};
use epollite::{Addr, Fd, Kernel, Reactor};

use super::session::FdEntry;
use super::{datagram_socket, messages, resolve};
use crate::args::{Endpoint, NcOptions};
use crate::exit::CliError;
use crate::listen::{self, SocketFiles};

/// A listening stream socket, or a bound datagram socket. A Unix socket's file is added to `files`.
pub(super) fn bind_listener<K: Kernel>(
    options: &NcOptions,
    reactor: &mut Reactor<FdEntry, K>,
    files: &mut SocketFiles,
) -> Result<Fd, CliError> {
    let kernel = reactor.kernel();
    if let (Endpoint::Unix(name), SocketType::Stream) = (&options.endpoint, options.kind()) {
        let bound = listen::bind_unix(kernel, *name)
            .map_err(|failure| CliError { code: CliError::RUN, ..failure })?;
        messages::verbose(
            options,
            &format!("Listening on {}", listen::path_text(Path::new(&bound.address))),
        );
        files.extend(bound.file);
        return Ok(bound.fd);
    }
    let (_, addrs) = resolve::resolve_targets(options)?;
    // `localhost` more often means 127.0.0.1 than ::1, as it does for nc.
    let addr = *addrs.iter().find(|addr| matches!(addr, Addr::V4(_))).unwrap_or(&addrs[0]);
    let opened = match options.kind() {
        SocketType::Stream | SocketType::SeqPacket => {
            bind_stream(kernel, &addr, PortSharing::Exclusive)
        }
        SocketType::Datagram => datagram_socket::bind_datagram(options, kernel, &addr, files),
    };
    let (socket, actual) = opened.map_err(|error| {
        let (call, why) = (error.call.name(), messages::errno_text(error.errno));
        CliError::run(format!("{call} {}: {why}", messages::addr_text(&addr)))
    })?;
    let verb = if !options.is_datagram { "Listening on" } else { "Bound on" };
    messages::verbose(options, &format!("{verb} {}", messages::addr_text(&actual)));
    Ok(socket)
}
