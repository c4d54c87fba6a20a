//! How nc comes by a connection, within `-w`.
//!
//! Knows a reactor on which nothing else is registered yet: while it dials, nothing else happens.

use epollite::kernel::OptionName;
use epollite::kernel::release;
use epollite::{Addr, Errno, Event, Fd, Interest, Kernel, Kind, Reactor, SocketOption, Trigger};

use super::desk::Entry;
use super::name;
use crate::args::Nc;

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
    match name::source(options, addr)? {
        Some(source) => {
            kernel.setsockopt(socket, SocketOption::ReuseAddr(true))?;
            kernel.bind(socket, &source)
        }
        None => Ok(()),
    }
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
