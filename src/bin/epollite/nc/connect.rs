//! How nc connects, within `-w`.
//!
//! Knows a reactor on which nothing else is registered yet except the standard streams.

use std::time::Duration;

use epollite::kernel::{SocketOption, SocketOptionName, close_quietly, is_connected_to_itself};
use epollite::net::AddressFamily;
use epollite::{Addr, Errno, Event, Fd, Instant, Interest, Kernel, Reactor, Trigger};

use super::session::{FdEntry, Role};
use super::{messages, resolve};
use crate::args::NcOptions;
use crate::exit::CliError;

/// A Unix listener with a full backlog does not report when it has room: the delay before the next
/// attempt.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// What `open` returns for the first address that it accepts.
pub(super) fn first_of_all<T>(
    options: &NcOptions,
    mut open: impl FnMut(&Addr) -> Result<T, Errno>,
) -> Result<T, CliError> {
    let mut failed = None;
    let (host, addrs) = resolve::resolve_targets(options)?;
    for addr in addrs {
        match open(&addr) {
            Ok(opened) => {
                messages::succeeded(options, &host, &addr);
                return Ok(opened);
            }
            Err(why) => {
                // With several addresses only the last failure ends the run.
                if let Some(line) = failed.replace(messages::failed(options, &host, &addr, &why)) {
                    messages::verbose(options, &line);
                }
            }
        }
    }
    Err(CliError::run(failed.unwrap_or_default()))
}

/// Connects to `addr`, from the address and port of `-s` and `-p`.
pub(super) fn connect<K: Kernel>(
    options: &NcOptions,
    reactor: &mut Reactor<FdEntry, K>,
    addr: &Addr,
) -> Result<Fd, Errno> {
    let kernel = reactor.kernel();
    let deadline = options.timeout.map(|timeout| kernel.now() + timeout);
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT)?;
    let socket = kernel.socket(family, options.kind())?;
    let mut result =
        set_options(options, kernel, &socket, addr).and_then(|()| kernel.connect(&socket, addr));
    while result == Err(Errno::EAGAIN) && family == AddressFamily::Unix {
        result = match wait_before_retry(reactor, deadline) {
            Ok(()) => reactor.kernel().connect(&socket, addr),
            Err(errno) => Err(errno),
        };
    }
    let socket = match result {
        Ok(()) => socket,
        Err(Errno::EINPROGRESS) => wait_connected(reactor, socket, deadline)?,
        Err(errno) => return or_close(reactor.kernel(), socket, Err(errno)),
    };
    // With `-p` the user has chosen that port.
    let is_chosen = options.source_port.is_some();
    if !is_chosen && is_connected_to_itself(reactor.kernel(), &socket, addr) {
        return or_close(reactor.kernel(), socket, Err(Errno::ECONNREFUSED));
    }
    Ok(socket)
}

/// `socket` if all went well with it; otherwise it is closed.
pub(super) fn or_close<E, K: Kernel>(
    kernel: &mut K,
    socket: Fd,
    result: Result<(), E>,
) -> Result<Fd, E> {
    match result {
        Ok(()) => Ok(socket),
        Err(error) => {
            close_quietly(kernel, socket);
            Err(error)
        }
    }
}

/// Waits for a short time.
///
/// # Errors
/// * [`Errno::ETIMEDOUT`]: the timeout of `-w` would pass.
fn wait_before_retry<K: Kernel>(
    reactor: &mut Reactor<FdEntry, K>,
    deadline: Option<Instant>,
) -> Result<(), Errno> {
    let until = reactor.kernel().now() + RETRY_INTERVAL;
    if deadline.is_some_and(|deadline| deadline <= until) {
        return Err(Errno::ETIMEDOUT);
    }
    // Standard streams that have hung up are reported here, unrequested, and only once.
    while reactor.next(Some(until))?.is_some() {}
    Ok(())
}

/// Sets the socket options needed before connect(2).
pub(super) fn set_options<K: Kernel>(
    options: &NcOptions,
    kernel: &mut K,
    socket: &Fd,
    addr: &Addr,
) -> Result<(), Errno> {
    if options.broadcast {
        kernel.setsockopt(socket, SocketOption::Broadcast(true))?;
    }
    if addr.ip().is_some() && !options.is_datagram {
        // Output is written in chunks already, and a typed line should not wait.
        kernel.setsockopt(socket, SocketOption::NoDelay(true))?;
    }
    match resolve::source_addr(options, addr)? {
        Some(source) => {
            kernel.setsockopt(socket, SocketOption::ReuseAddr(true))?;
            kernel.bind(socket, &source)
        }
        None => Ok(()),
    }
}

/// Waits until the connection is established or has failed.
fn wait_connected<K: Kernel>(
    reactor: &mut Reactor<FdEntry, K>,
    socket: Fd,
    deadline: Option<Instant>,
) -> Result<Fd, Errno> {
    let entry = FdEntry::new(Role::Connecting, Interest::WRITABLE);
    let token = reactor
        .register_or_close(socket, Interest::WRITABLE, Trigger::Level, entry)
        .map_err(Errno::from)?;
    // Standard streams that have hung up are reported here, unrequested.
    let event = loop {
        match reactor.next(deadline) {
            Ok(Some(Event::Io { token: other, .. })) if other != token => {}
            event => break event,
        }
    };
    let outcome = match (event, reactor.get_mut(token)) {
        (Ok(Some(_)), Some((_, mut io))) => {
            match io.syscall(|kernel, fd| kernel.getsockopt(fd, SocketOptionName::Error)) {
                Ok(SocketOption::Error(Some(errno))) | Err(errno) => Err(errno),
                Ok(_) => Ok(()),
            }
        }
        (Err(errno), _) => Err(errno),
        _ => Err(Errno::ETIMEDOUT),
    };
    let Some((socket, _)) = reactor.deregister(token) else { return Err(Errno::EBADF) };
    or_close(reactor.kernel(), socket, outcome)
}
