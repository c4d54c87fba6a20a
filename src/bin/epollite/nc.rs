//! `epollite nc`: a socket on one side, stdin and stdout on the other, the reactor between.
//!
//! Here is only what is done in which order; the loops are in `relay.rs` for streams and in
//! `letters.rs` for datagrams, on the desk that both share.

mod desk;
mod dial;
mod door;
mod group;
mod letters;
mod lines;
mod mailbox;
mod name;
mod peer;
mod relay;
mod say;
mod scan;
mod service;
mod stdio;

use std::os::unix::ffi::OsStrExt;

use epollite::{Fd, Kernel, Kind, Linux, Signal, UnixAddr};

use crate::args::{Nc, Place};
use crate::failure::Failure;
use crate::listen::SocketFiles;
use crate::signals;

use desk::Desk;
use stdio::Stdio;

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Done,
    /// By a signal that was read, since there was something to put away first.
    Signalled(Signal),
}

/// Runs it to its end. What the process has open ends with it.
pub(crate) fn run(options: &Nc) -> Result<(), Failure> {
    let options = &service::looked_up(options.clone())?;
    if options.scans {
        return scan::run(options, Linux);
    }
    name::know_source(options)?;
    let stdio = Stdio::of_the_process().map_err(|error| {
        Failure::new(Failure::RUN, format!("stdin or stdout cannot be duplicated: {error}"))
    })?;
    let mut files = SocketFiles::default();
    let end = serve(options, Linux, stdio, &mut files)?;
    files.remove();
    if let End::Signalled(signal) = end {
        std::process::exit(128 + i32::from(signal.number()));
    }
    Ok(())
}

/// Everything but the scan, on any kernel.
fn serve<K: Kernel>(
    options: &Nc,
    kernel: K,
    stdio: Stdio,
    files: &mut SocketFiles,
) -> Result<End, Failure> {
    let mut desk = Desk::new(options, kernel, stdio)?;
    let signals = if leaves_a_file(options) { signals::ending() } else { Vec::new() };
    block(&mut desk, &signals)?;
    let is_datagram = options.kind == Kind::Datagram;
    let socket = match (options.is_listening, is_datagram) {
        (true, _) => door::bound(options, &mut desk.reactor, files)?,
        (false, true) => {
            let (socket, to) = mailbox::client(options, &mut desk.reactor, files)?;
            hear_signals(&mut desk, &signals)?;
            return letters::run(desk, socket, Some(to));
        }
        (false, false) => connected(options, &mut desk)?,
    };
    hear_signals(&mut desk, &signals)?;
    if is_datagram { letters::run(desk, socket, None) } else { relay::run(desk, socket) }
}

/// A connection to the first address that takes one.
fn connected<K: Kernel>(options: &Nc, desk: &mut Desk<'_, K>) -> Result<Fd, Failure> {
    let mut failed = None;
    let (names, addrs) = name::targets(options)?;
    for addr in addrs {
        match dial::dial(options, &mut desk.reactor, &addr) {
            Ok(socket) => {
                say::succeeded(options, &names, &addr);
                return Ok(socket);
            }
            Err(why) => {
                // Of several only the last one's failure ends the run.
                if let Some(line) = failed.replace(say::failed(options, &names, &addr, &why)) {
                    say::remark(options, &line);
                }
            }
        }
    }
    Err(Failure::new(Failure::RUN, failed.unwrap_or_default()))
}

/// Whether there is a socket's file to be removed at the end.
fn leaves_a_file(options: &Nc) -> bool {
    let is_path = |name: &UnixAddr| name.as_path().is_some();
    let is_own = options.source.as_ref().is_some_and(|path| !path.as_bytes().starts_with(b"@"));
    matches!(&options.place, Place::Unix(name) if options.is_listening && is_path(name) || is_own)
}

/// By default a signal ends us, as it ends nc. Only when a socket's file must be removed first
/// are signals read instead: they wait from before there is such a file.
fn block<K: Kernel>(desk: &mut Desk<'_, K>, signals: &[Signal]) -> Result<(), Failure> {
    if signals.is_empty() {
        return Ok(());
    }
    let blocked = desk.reactor.kernel().sigprocmask(signals::set(signals));
    blocked.map(drop).map_err(|errno| say::broken("sigprocmask", errno))
}

/// Reads those signals from now on.
fn hear_signals<K: Kernel>(desk: &mut Desk<'_, K>, signals: &[Signal]) -> Result<(), Failure> {
    if signals.is_empty() {
        return Ok(());
    }
    let signalfd = desk.reactor.kernel().signalfd(signals::set(signals));
    desk.watch_signals(signalfd.map_err(|errno| say::broken("signalfd", errno))?)
}
