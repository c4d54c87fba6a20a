//! One client served by straight-line code on a blocking socket: read, write, again.
//!
//! The simplest server there is. All that the other models do, they do in order not to wait
//! here. It knows one socket, and nothing of who else is to be served meanwhile.

use std::time::Duration;

use epollite::kernel::release;
use epollite::server::stream::Left;
use epollite::{Addr, Errno, Fd, Shut};

use super::porter::Pass;
use super::stage::Stage;
use super::sys;
use crate::meter::Meter;
use crate::tell;

/// How long a client that *we* end has to end its side.
const LINGER: Duration = Duration::from_secs(1);

/// Between two looks at it.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks at which nothing came, after which we take it that nothing is on its way.
const QUIET_LOOKS: u32 = 5;

/// Serves the client of `pass` to its end, and closes its socket. Two system calls an echo, both
/// of which may wait: recv(2) for the client to speak, send(2) for it to listen.
pub(super) fn serve<K: Meter>(
    stage: &mut Stage<K>,
    mut pass: Pass,
    peer: &Addr,
    number: u64,
    buf: &mut [u8],
) {
    if let Some(socket) = pass.socket() {
        attend(stage, socket, peer, number, buf, Stage::settle);
        if pass.is_leaving() {
            wind_up(stage, socket, buf);
        }
    }
    // Off the list first, then closed: the porter shuts what is on the list.
    if let Some(socket) = pass.release() {
        release(&mut stage.kernel, socket);
    }
    stage.settle();
}

/// Serves the client behind `socket` to its end. `before` is called before each wait for the
/// client to speak.
pub(super) fn attend<K: Meter>(
    stage: &mut Stage<K>,
    socket: &Fd,
    peer: &Addr,
    number: u64,
    buf: &mut [u8],
    before: impl FnMut(&mut Stage<K>),
) {
    stage.open += 1;
    stage.stats.accepted += 1;
    let mut name = String::new();
    if stage.log.is_verbose {
        name = tell::name(peer, number);
        tell::connected(&stage.log, &name);
    }
    let bytes_before = stage.stats.bytes_in;
    let why = match converse(stage, socket, &name, buf, before) {
        Ok(()) => Left::Closed,
        Err(errno) => Left::Failed(errno),
    };
    stage.open -= 1;
    stage.stats.closed += 1;
    let is_reset = matches!(why, Left::Failed(Errno::ECONNRESET | Errno::EPIPE));
    stage.stats.reset += u64::from(is_reset);
    if stage.log.is_verbose {
        tell::left(&stage.log, &name, stage.stats.bytes_in - bytes_before, why);
    }
}

/// We end it. The socket was shut for reading, which woke us; what the client has sent still
/// comes, and is answered until nothing more does for a moment. Then our direction is shut, and
/// we stay until the client has ended too: to close over what it says would send a reset, and
/// destroy the echo that is on its way.
///
/// A socket that is shut for reading cannot be waited on, since it is always ready; so we look
/// now and again, and that the client has gone is told by its name.
pub(super) fn wind_up<K: Meter>(stage: &mut Stage<K>, socket: &Fd, buf: &mut [u8]) {
    let (mut quiet, deadline) = (0, stage.kernel.now() + LINGER);
    while quiet < QUIET_LOOKS && stage.kernel.now() < deadline {
        match stage.kernel.recv(socket, buf) {
            Ok(0) => {
                quiet += 1;
                std::thread::sleep(BETWEEN_LOOKS);
            }
            Ok(count) => {
                quiet = 0;
                if answer(stage, socket, &buf[..count]).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
    let _ = stage.kernel.shutdown(socket, Shut::Write);
    let deadline = stage.kernel.now() + LINGER;
    while stage.kernel.now() < deadline && stage.kernel.getpeername(socket).is_ok() {
        match stage.kernel.recv(socket, buf) {
            Ok(0) => std::thread::sleep(BETWEEN_LOOKS),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn converse<K: Meter>(
    stage: &mut Stage<K>,
    socket: &Fd,
    name: &str,
    buf: &mut [u8],
    mut before: impl FnMut(&mut Stage<K>),
) -> Result<(), Errno> {
    // Every descriptor of our kernels is born non-blocking.
    sys::set_blocking(&mut stage.kernel, socket)?;
    loop {
        before(stage);
        let count = match stage.kernel.recv(socket, buf) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(errno) if errno.interrupted() => continue,
            Err(errno) => return Err(errno),
        };
        answer(stage, socket, &buf[..count])?;
        if stage.log.is_verbose {
            tell::said(&stage.log, name, count);
        }
    }
}

/// Sends what has been read straight back. One call, as a rule: a blocking send(2) returns when
/// the kernel has taken everything. A signal may cut it short.
fn answer<K: Meter>(stage: &mut Stage<K>, socket: &Fd, bytes: &[u8]) -> Result<(), Errno> {
    stage.stats.bytes_in += bytes.len() as u64;
    stage.stats.echoes += 1;
    let mut rest = bytes;
    while !rest.is_empty() {
        match stage.kernel.send(socket, rest) {
            Ok(count) => {
                stage.stats.bytes_out += count as u64;
                rest = &rest[count..];
            }
            Err(errno) if errno.interrupted() => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
