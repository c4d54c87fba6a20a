//! How nc comes by its socket: bound to listen, or connected, within `-w`.
//!
//! Knows a reactor on which nothing else is registered yet: while it dials, nothing else happens.

use std::net::IpAddr;

use epollite::kernel::OptionName;
use epollite::kernel::release;
use epollite::server::{Sharing, bind_stream};
use epollite::{Addr, Errno, Event, Fd, Interest, Kernel, Kind, Reactor, SocketOption, Trigger};

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
        say::remark(options, &format!("Listening on {}", bound.address));
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

/// A connection to `addr`, from where `-s` and `-p` say, or why not.
pub(super) fn dial<K: Kernel>(
    options: &Nc,
    reactor: &mut Reactor<Entry, K>,
    addr: &Addr,
) -> Result<Fd, Errno> {
    let kernel = reactor.kernel();
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT)?;
    let socket = kernel.socket(family, options.kind)?;
    let begun =
        prepare(options, kernel, &socket, addr).and_then(|()| kernel.connect(&socket, addr));
    match begun {
        Ok(()) => Ok(socket),
        Err(Errno::EINPROGRESS) => await_connection(options, reactor, socket),
        Err(errno) => {
            release(reactor.kernel(), socket);
            Err(errno)
        }
    }
}

/// What is to be set before connecting.
pub(super) fn prepare<K: Kernel>(
    options: &Nc,
    kernel: &mut K,
    socket: &Fd,
    addr: &Addr,
) -> Result<(), Errno> {
    if options.may_broadcast {
        kernel.setsockopt(socket, SocketOption::Broadcast(true))?;
    }
    if addr.ip().is_some() && options.kind == Kind::Stream {
        // What goes out comes in chunks already; a line that somebody typed should not wait.
        kernel.setsockopt(socket, SocketOption::NoDelay(true))?;
    }
    match source(options, addr)? {
        Some(source) => {
            kernel.setsockopt(socket, SocketOption::ReuseAddr(true))?;
            kernel.bind(socket, &source)
        }
        None => Ok(()),
    }
}

/// Where `-s` and `-p` say that it comes from, in the family of `addr`.
pub(super) fn source(options: &Nc, addr: &Addr) -> Result<Option<Addr>, Errno> {
    if options.source.is_none() && options.source_port.is_none() {
        return Ok(None);
    }
    let port = options.source_port.unwrap_or(0);
    let any: IpAddr = match addr {
        Addr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        Addr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        Addr::Unix(_) | Addr::Unspec => return Ok(None),
    };
    let Some(host) = &options.source else {
        return Ok(Some(std::net::SocketAddr::new(any, port).into()));
    };
    let found = name::lookup(options, &host.to_string_lossy(), port);
    let found = found.map_err(|_| Errno::EADDRNOTAVAIL)?;
    let fits = found.into_iter().find(|source| source.family() == addr.family());
    fits.map(Some).ok_or(Errno::EAFNOSUPPORT)
}

/// Waits until the connection is there, or will not be.
fn await_connection<K: Kernel>(
    options: &Nc,
    reactor: &mut Reactor<Entry, K>,
    socket: Fd,
) -> Result<Fd, Errno> {
    let entry = Entry::dialling();
    let token = reactor
        .register_or_close(socket, Interest::WRITABLE, Trigger::Level, entry)
        .map_err(|reason| match reason {
            epollite::reactor::Reason::Kernel(errno) => errno,
            _ => Errno::ENOSPC,
        })?;
    let deadline = options.patience.map(|patience| reactor.kernel().now() + patience);
    // Standard streams that have hung up say so meanwhile, unasked.
    let event = loop {
        match reactor.next(deadline) {
            Ok(Some(Event::Io { token: other, .. })) if other != token => {}
            event => break event,
        }
    };
    let answer = match (event, reactor.source(token)) {
        (Ok(Some(_)), Some(source)) => {
            match source.io.kernel.getsockopt(source.io.fd, OptionName::Error) {
                Ok(SocketOption::Error(Some(errno))) | Err(errno) => Err(errno),
                Ok(_) => Ok(()),
            }
        }
        (Err(errno), _) => Err(errno),
        _ => Err(Errno::ETIMEDOUT),
    };
    let Some((socket, _)) = reactor.deregister(token) else { return Err(Errno::EBADF) };
    match answer {
        Ok(()) => Ok(socket),
        Err(errno) => {
            release(reactor.kernel(), socket);
            Err(errno)
        }
    }
}
