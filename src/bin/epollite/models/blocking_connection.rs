//! One client served by straight-line code on a blocking socket: read, write, repeat.
//!
//! The simplest server there is. Everything the other models add serves to avoid blocking here. It
//! knows one socket, and nothing of other clients.

use std::time::Duration;

use epollite::kernel::Shutdown;
use epollite::kernel::close_quietly;
use epollite::server::stream::{CloseReason, LINGER_TIMEOUT};
use epollite::{Addr, Errno, Fd};

use super::context::WorkerContext;
use super::signal_thread::Registration;
use super::sys;
use crate::client_log;
use crate::instrument::InstrumentedKernel;

/// The interval between two reads while draining.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Consecutive empty reads after which we assume that no data is in flight.
const QUIET_POLLS: u32 = 5;

/// Serves the client of `registration` until it closes, then closes its socket. Cost: two system
/// calls per echo; both may block: recv(2) until data arrives, send(2) until the peer reads.
pub(super) fn serve<K: InstrumentedKernel>(
    context: &mut WorkerContext<K>,
    mut registration: Registration,
    peer: &Addr,
    number: u64,
    buf: &mut [u8],
) {
    if let Some(socket) = registration.socket() {
        handle_client(context, socket, peer, number, buf, WorkerContext::flush_stats);
        if registration.is_shutting_down() {
            close_gracefully(context, socket, buf);
        }
    }
    // Deregistered before close: the signal thread shuts down every registered socket.
    if let Some(socket) = registration.release() {
        close_quietly(&mut context.kernel, socket);
    }
    context.flush_stats();
}

/// Serves the client behind `socket` until it closes. Calls `before` before each blocking recv(2).
pub(super) fn handle_client<K: InstrumentedKernel>(
    context: &mut WorkerContext<K>,
    socket: &Fd,
    peer: &Addr,
    number: u64,
    buf: &mut [u8],
    before: impl FnMut(&mut WorkerContext<K>),
) {
    context.open += 1;
    context.stats.accepted += 1;
    let mut name = String::new();
    if context.log.is_verbose {
        name = client_log::client_name(peer, number);
        client_log::connected(&context.log, &name);
    }
    let bytes_before = context.stats.bytes_in;
    let why = match echo_loop(context, socket, &name, buf, before) {
        Ok(()) => CloseReason::PeerClosed,
        Err(errno) => CloseReason::Error(errno),
    };
    context.open -= 1;
    context.stats.record_close(why);
    if context.log.is_verbose {
        client_log::closed(&context.log, &name, context.stats.bytes_in - bytes_before, why);
    }
}

/// Closes in order. Our socket was shut down for reading, which woke us; data from the peer still
/// arrives and is echoed until none arrives for a moment. Then we shut down our direction and wait
/// for the peer's FIN: closing with unread input would send a reset and destroy the echo in flight.
///
/// A socket that is shut down for reading is always readable, so it cannot be waited on. It is
/// read at intervals instead; getpeername(2) fails once the peer has closed.
pub(super) fn close_gracefully<K: InstrumentedKernel>(
    context: &mut WorkerContext<K>,
    socket: &Fd,
    buf: &mut [u8],
) {
    let (mut quiet, deadline) = (0, context.kernel.now() + LINGER_TIMEOUT);
    while quiet < QUIET_POLLS && context.kernel.now() < deadline {
        match context.kernel.recv(socket, buf) {
            Ok(0) => {
                quiet += 1;
                std::thread::sleep(POLL_INTERVAL);
            }
            Ok(count) => {
                quiet = 0;
                if echo_back(context, socket, &buf[..count]).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
    let _ = context.kernel.shutdown(socket, Shutdown::Write);
    let deadline = context.kernel.now() + LINGER_TIMEOUT;
    while context.kernel.now() < deadline && context.kernel.getpeername(socket).is_ok() {
        match context.kernel.recv(socket, buf) {
            Ok(0) => std::thread::sleep(POLL_INTERVAL),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn echo_loop<K: InstrumentedKernel>(
    context: &mut WorkerContext<K>,
    socket: &Fd,
    name: &str,
    buf: &mut [u8],
    mut before: impl FnMut(&mut WorkerContext<K>),
) -> Result<(), Errno> {
    // The library's kernels create every descriptor non-blocking.
    sys::set_blocking(&mut context.kernel, socket)?;
    loop {
        before(context);
        let count = match context.kernel.recv(socket, buf) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(errno) if errno.is_interrupted() => continue,
            Err(errno) => return Err(errno),
        };
        echo_back(context, socket, &buf[..count])?;
        if context.log.is_verbose {
            client_log::received(&context.log, name, count);
        }
    }
}

/// Sends the bytes read straight back. Usually one call: a blocking send(2) returns when the
/// kernel has taken everything. A signal may cut it short.
fn echo_back<K: InstrumentedKernel>(
    context: &mut WorkerContext<K>,
    socket: &Fd,
    bytes: &[u8],
) -> Result<(), Errno> {
    context.stats.bytes_in += bytes.len() as u64;
    context.stats.echoes += 1;
    let mut rest = bytes;
    while !rest.is_empty() {
        match context.kernel.send(socket, rest) {
            Ok(count) => {
                context.stats.bytes_out += count as u64;
                rest = &rest[count..];
            }
            Err(errno) if errno.is_interrupted() => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
