//! How nc opens a datagram socket: bound for a listener, or connected for a client.
//!
//! Knows names and sockets; what is sent through them is up to `datagram.rs`.

use std::os::unix::ffi::OsStrExt;

use epollite::kernel::CallError;
use epollite::net::{AddressFamily, UnixAddr};
use epollite::server::PortSharing;
use epollite::{Addr, Errno, Fd, Kernel, Reactor};

use super::session::FdEntry;
use super::{connect, messages, multicast};
use crate::args::{self, Endpoint, NcOptions};
use crate::exit::CliError;
use crate::listen::{self, SocketFiles};

/// A bound datagram socket for a listener.
pub(super) fn bind_datagram<K: Kernel>(
    options: &NcOptions,
    kernel: &mut K,
    addr: &Addr,
    files: &mut SocketFiles,
) -> Result<(Fd, Addr), CallError> {
    if multicast::is_group(addr) {
        return multicast::bind_group(options, kernel, addr);
    }
    let bound = epollite::server::bind_datagram(kernel, addr, PortSharing::Exclusive)?;
    if let Addr::Unix(name) = addr {
        files.extend(listen::socket_file(name));
    }
    Ok(bound)
}

/// A client's socket, and where its datagrams go; `Unspecified` is the address it is connected to:
/// only replies from there are received. For broadcast and multicast it is not connected, or it
/// would receive no replies.
pub(super) fn connect_datagram<K: Kernel>(
    options: &NcOptions,
    reactor: &mut Reactor<FdEntry, K>,
    files: &mut SocketFiles,
) -> Result<(Fd, Addr), CliError> {
    if let Endpoint::Unix(name) = &options.endpoint {
        return unix_socket(options, reactor, name, files).map(|fd| (fd, Addr::Unspecified));
    }
    connect::first_of_all(options, |addr| {
        if options.broadcast || multicast::is_group(addr) {
            unconnected(options, reactor.kernel(), addr).map(|fd| (fd, *addr))
        } else {
            connect::connect(options, reactor, addr).map(|fd| (fd, Addr::Unspecified))
        }
    })
}

/// A Unix client needs a name of its own to receive replies: that of `-s`, or an abstract one
/// chosen by the kernel, which leaves no file behind.
fn unix_socket<K: Kernel>(
    options: &NcOptions,
    reactor: &mut Reactor<FdEntry, K>,
    name: &UnixAddr,
    files: &mut SocketFiles,
) -> Result<Fd, CliError> {
    let kernel = reactor.kernel();
    let own = match &options.source {
        Some(path) => args::parse_unix(path.as_bytes()).map_err(CliError::run)?,
        None => UnixAddr::unnamed(),
    };
    let socket = kernel
        .socket(AddressFamily::Unix, options.kind())
        .map_err(messages::failed_call("socket"))?;
    let bound = kernel.bind(&socket, &Addr::Unix(own)).map_err(|errno| (own, errno));
    if bound.is_ok() {
        files.extend(listen::socket_file(&own));
    }
    let connected =
        bound.and_then(|()| kernel.connect(&socket, &Addr::Unix(*name)).map_err(|e| (*name, e)));
    let connected = connected.map_err(|(name, errno)| {
        let line = messages::failed(options, "", &Addr::Unix(name), &errno);
        CliError::run(line)
    });
    connect::or_close(kernel, socket, connected)
}

/// An unconnected socket, to send to `addr` and receive replies from any address.
fn unconnected<K: Kernel>(options: &NcOptions, kernel: &mut K, addr: &Addr) -> Result<Fd, Errno> {
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT)?;
    let socket = kernel.socket(family, options.kind())?;
    let prepared = connect::set_options(options, kernel, &socket, addr)
        .and_then(|()| multicast::set_send_interface(options, kernel, &socket, addr));
    connect::or_close(kernel, socket, prepared)
}
