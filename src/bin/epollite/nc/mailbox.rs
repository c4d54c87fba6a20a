//! How nc comes by a socket for datagrams: one to listen with, or a client's.
//!
//! Knows names and sockets; what is sent through them is `letters.rs`' affair.

use std::os::unix::ffi::OsStrExt;

use epollite::kernel::release;
use epollite::server::{BindError, Sharing, bind_datagram};
use epollite::{Addr, Errno, Family, Fd, Kernel, Reactor, UnixAddr};

use super::desk::Entry;
use super::{dial, group, name, say};
use crate::args::{self, Nc, Place};
use crate::failure::Failure;
use crate::listen::{self, SocketFiles};

/// Where a client's datagrams go.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    /// Where the socket is connected to: only from there they come back.
    Connected,
    /// Many may answer, from addresses of their own.
    Anyone(Addr),
}

/// A datagram socket to listen with.
pub(super) fn bound<K: Kernel>(
    options: &Nc,
    kernel: &mut K,
    addr: &Addr,
    files: &mut SocketFiles,
) -> Result<(Fd, Addr), BindError> {
    if group::is_group(addr) {
        return group::listen(options, kernel, addr);
    }
    let bound = bind_datagram(kernel, addr, Sharing::Alone)?;
    if let Addr::Unix(name) = addr {
        files.extend(listen::socket_file(name));
    }
    Ok(bound)
}

/// A client's socket. One that asks many (broadcast, multicast) is not connected, or it would
/// hear none of them.
pub(super) fn client<K: Kernel>(
    options: &Nc,
    reactor: &mut Reactor<Entry, K>,
    files: &mut SocketFiles,
) -> Result<(Fd, To), Failure> {
    if let Place::Unix(name) = &options.place {
        return unix_socket(options, reactor, name, files).map(|fd| (fd, To::Connected));
    }
    let (host, addrs) = name::targets(options)?;
    let mut failed = String::new();
    for addr in addrs {
        let opened = if options.may_broadcast || group::is_group(&addr) {
            unconnected(options, reactor.kernel(), &addr).map(|fd| (fd, To::Anyone(addr)))
        } else {
            dial::dial(options, reactor, &addr).map(|fd| (fd, To::Connected))
        };
        match opened {
            Ok(opened) => {
                say::succeeded(options, &host, &addr);
                return Ok(opened);
            }
            Err(why) => failed = say::failed(options, &host, &addr, &why),
        }
    }
    Err(Failure::new(Failure::RUN, failed))
}

/// A Unix client needs a name of its own to be answered at: that of `-s`, or an abstract one
/// that the kernel makes up, which leaves no file behind.
fn unix_socket<K: Kernel>(
    options: &Nc,
    reactor: &mut Reactor<Entry, K>,
    name: &UnixAddr,
    files: &mut SocketFiles,
) -> Result<Fd, Failure> {
    let kernel = reactor.kernel();
    let own = match &options.source {
        Some(path) => args::unix(path.as_bytes()).map_err(|why| Failure::new(Failure::RUN, why))?,
        None => UnixAddr::unnamed(),
    };
    let socket =
        kernel.socket(Family::Unix, options.kind).map_err(|errno| say::broken("socket", errno))?;
    let bound = kernel.bind(&socket, &Addr::Unix(own)).map_err(|errno| (own, errno));
    if bound.is_ok() {
        files.extend(listen::socket_file(&own));
    }
    let connected =
        bound.and_then(|()| kernel.connect(&socket, &Addr::Unix(*name)).map_err(|e| (*name, e)));
    match connected {
        Ok(()) => Ok(socket),
        Err((name, errno)) => {
            release(kernel, socket);
            let line = say::failed(options, "", &Addr::Unix(name), &errno);
            Err(Failure::new(Failure::RUN, line))
        }
    }
}

/// A socket that is connected to nobody, to send to `addr` and hear whoever answers.
fn unconnected<K: Kernel>(options: &Nc, kernel: &mut K, addr: &Addr) -> Result<Fd, Errno> {
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT)?;
    let socket = kernel.socket(family, options.kind)?;
    let prepared = dial::prepare(options, kernel, &socket, addr)
        .and_then(|()| group::speak(options, kernel, &socket, addr));
    match prepared {
        Ok(()) => Ok(socket),
        Err(errno) => {
            release(kernel, socket);
            Err(errno)
        }
    }
}
