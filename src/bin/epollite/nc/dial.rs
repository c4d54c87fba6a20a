//! How nc comes by a connection, within `-w`.
//!
//! Knows a reactor on which nothing else is registered yet: while it dials, nothing else happens.

use std::time::Duration;

use epollite::kernel::{OptionName, is_connected_to_itself, release};
use epollite::{
    Addr, Errno, Event, Family, Fd, Instant, Interest, Kernel, Kind, Reactor, SocketOption, Trigger,
};

use super::desk::Entry;
use super::name;
use crate::args::Nc;

/// A Unix listener whose queue is full does not say when it has room: so long until it is asked
/// again.
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// A connection to `addr`, from where `-s` and `-p` say, or why not.
pub(super) fn dial<K: Kernel>(
    options: &Nc,
    reactor: &mut Reactor<Entry, K>,
    addr: &Addr,
) -> Result<Fd, Errno> {
    let kernel = reactor.kernel();
    let deadline = options.patience.map(|patience| kernel.now() + patience);
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT)?;
    let socket = kernel.socket(family, options.kind)?;
    let mut begun =
        prepare(options, kernel, &socket, addr).and_then(|()| kernel.connect(&socket, addr));
    while begun == Err(Errno::EAGAIN) && family == Family::Unix {
        begun = match pause(reactor, deadline) {
            Ok(()) => reactor.kernel().connect(&socket, addr),
            Err(errno) => Err(errno),
        };
    }
    let socket = match begun {
        Ok(()) => socket,
        Err(Errno::EINPROGRESS) => await_connection(reactor, socket, deadline)?,
        Err(errno) => {
            release(reactor.kernel(), socket);
            return Err(errno);
        }
    };
    // Who says `-p` has chosen that port.
    let is_chosen = options.source_port.is_some();
    if !is_chosen && is_connected_to_itself(reactor.kernel(), &socket, addr) {
        release(reactor.kernel(), socket);
        return Err(Errno::ECONNREFUSED);
    }
    Ok(socket)
}

/// Lets a moment pass.
///
/// # Errors
/// * [`Errno::ETIMEDOUT`]: the time of `-w` is over.
fn pause<K: Kernel>(
    reactor: &mut Reactor<Entry, K>,
    deadline: Option<Instant>,
) -> Result<(), Errno> {
    let until = reactor.kernel().now() + BETWEEN_TRIES;
    if deadline.is_some_and(|deadline| deadline <= until) {
        return Err(Errno::ETIMEDOUT);
    }
    // Standard streams that have hung up say so meanwhile, unasked, and only once.
    while reactor.next(Some(until))?.is_some() {}
    Ok(())
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
    reactor: &mut Reactor<Entry, K>,
    socket: Fd,
    deadline: Option<Instant>,
) -> Result<Fd, Errno> {
    let entry = Entry::dialling();
    let token = reactor
        .register_or_close(socket, Interest::WRITABLE, Trigger::Level, entry)
        .map_err(Errno::from)?;
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
