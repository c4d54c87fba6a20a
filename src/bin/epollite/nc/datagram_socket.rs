//! How nc opens a datagram socket: bound for a listener, or connected for a client.
//!
//! Knows names and sockets; what is sent through them is up to `datagram.rs`.

use std::os::unix::ffi::OsStrExt;

use epollite::kernel::close_quietly;
use epollite::net::{AddressFamily, UnixAddr};
use epollite::server::{BindError, PortSharing};
use epollite::{Addr, Errno, Fd, Kernel, Reactor};

use super::session::FdEntry;
use super::{connect, messages, multicast, resolve};
use crate::args::{self, Endpoint, NcOptions};
use crate::exit::CliError;
use crate::listen::{self, SocketFiles};

/// Where a client's datagrams go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Destination {
    /// To the address the socket is connected to: only replies from there are received.
    Connected,
    /// To several receivers, which reply from their own addresses.
    Unconnected(Addr),
}

/// A bound datagram socket for a listener.
pub(super) fn bind_datagram<K: Kernel>(
    options: &NcOptions,
    kernel: &mut K,
    addr: &Addr,
    files: &mut SocketFiles,
) -> Result<(Fd, Addr), BindError> {
    if multicast::is_group(addr) {
        return multicast::bind_group(options, kernel, addr);
    }
    let bound = epollite::server::bind_datagram(kernel, addr, PortSharing::Exclusive)?;
    if let Addr::Unix(name) = addr {
        files.extend(listen::socket_file(name));
    }
    Ok(bound)
}

/// A client's socket. For broadcast and multicast it is not connected, or it would receive no
/// replies.
pub(super) fn connect_datagram<K: Kernel>(
    options: &NcOptions,
    reactor: &mut Reactor<FdEntry, K>,
    files: &mut SocketFiles,
) -> Result<(Fd, Destination), CliError> {
    if let Endpoint::Unix(name) = &options.endpoint {
        return unix_socket(options, reactor, name, files).map(|fd| (fd, Destination::Connected));
    }
    let (host, addrs) = resolve::resolve_targets(options)?;
    let mut failed = String::new();
    for addr in addrs {
        let opened = if options.broadcast || multicast::is_group(&addr) {
            unconnected(options, reactor.kernel(), &addr)
                .map(|fd| (fd, Destination::Unconnected(addr)))
        } else {
            connect::connect(options, reactor, &addr).map(|fd| (fd, Destination::Connected))
        };
        match opened {
            Ok(opened) => {
                messages::succeeded(options, &host, &addr);
                return Ok(opened);
            }
            Err(why) => failed = messages::failed(options, &host, &addr, &why),
        }
    }
    Err(CliError::new(CliError::RUN, failed))
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
        Some(path) => {
            args::parse_unix(path.as_bytes()).map_err(|why| CliError::new(CliError::RUN, why))?
        }
        None => UnixAddr::unnamed(),
    };
    let socket = kernel
        .socket(AddressFamily::Unix, options.kind)
        .map_err(|errno| messages::syscall_failure("socket", errno))?;
    let bound = kernel.bind(&socket, &Addr::Unix(own)).map_err(|errno| (own, errno));
    if bound.is_ok() {
        files.extend(listen::socket_file(&own));
    }
    let connected =
        bound.and_then(|()| kernel.connect(&socket, &Addr::Unix(*name)).map_err(|e| (*name, e)));
    match connected {
        Ok(()) => Ok(socket),
        Err((name, errno)) => {
            close_quietly(kernel, socket);
            let line = messages::failed(options, "", &Addr::Unix(name), &errno);
            Err(CliError::new(CliError::RUN, line))
        }
    }
}

/// An unconnected socket, to send to `addr` and receive replies from any address.
fn unconnected<K: Kernel>(options: &NcOptions, kernel: &mut K, addr: &Addr) -> Result<Fd, Errno> {
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT)?;
    let socket = kernel.socket(family, options.kind)?;
    let prepared = connect::set_options(options, kernel, &socket, addr)
        .and_then(|()| multicast::set_send_interface(options, kernel, &socket, addr));
    match prepared {
        Ok(()) => Ok(socket),
        Err(errno) => {
            close_quietly(kernel, socket);
            Err(errno)
        }
    }
}
