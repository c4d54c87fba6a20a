//! `epollite nc`: a socket on one side, stdin and stdout on the other, the reactor between.
//!
//! This file is the sequence of steps only; the loops are in `stream.rs` for streams and in
//! `datagram.rs` for datagrams, on the `Session` that both use.

mod connect;
mod datagram;
mod datagram_socket;
mod lines;
mod listen;
mod messages;
mod multicast;
mod peer;
mod resolve;
mod scan;
mod service;
mod session;
mod stdio;
mod stream;

use std::os::unix::ffi::OsStrExt;

use epollite::kernel::Signal;
use epollite::net::UnixAddr;
use epollite::{Fd, Kernel};

use crate::args::{Endpoint, NcOptions};
use crate::exit::CliError;
use crate::listen::SocketFiles;
use crate::signals;

use session::{Outcome, Session};
use stdio::Stdio;

/// Runs nc to its end. Open descriptors are closed by the exit of the process.
pub(crate) fn run(options: &NcOptions) -> Result<(), CliError> {
    let options = &service::resolve_services(options.clone())?;
    if options.port_scan {
        return scan::run(options);
    }
    resolve::check_source(options)?;
    let stdio = Stdio::from_process()
        .map_err(|error| CliError::run(format!("stdin or stdout cannot be duplicated: {error}")))?;
    let mut files = SocketFiles::default();
    let end = serve(options, stdio, &mut files)?;
    files.remove();
    if let Outcome::KilledBySignal(signal) = end {
        signals::exit_by(signal);
    }
    Ok(())
}

/// Everything but the scan.
fn serve(options: &NcOptions, stdio: Stdio, files: &mut SocketFiles) -> Result<Outcome, CliError> {
    let mut session = Session::new(options, stdio)?;
    let signals = if leaves_a_file(options) { signals::shutdown_signals() } else { Vec::new() };
    block(&mut session, &signals)?;
    let is_datagram = options.is_datagram;
    let socket = match (options.is_listening, is_datagram) {
        (true, _) => listen::bind_listener(options, &mut session.reactor, files)?,
        (false, true) => {
            let (socket, to) =
                datagram_socket::connect_datagram(options, &mut session.reactor, files)?;
            block_signals(&mut session, &signals)?;
            return datagram::run(session, socket, Some(to));
        }
        (false, false) => connect_first(options, &mut session)?,
    };
    block_signals(&mut session, &signals)?;
    if is_datagram { datagram::run(session, socket, None) } else { stream::run(session, socket) }
}

/// Connects to the first address that accepts.
fn connect_first(options: &NcOptions, session: &mut Session<'_>) -> Result<Fd, CliError> {
    let mut failed = None;
    let (names, addrs) = resolve::resolve_targets(options)?;
    for addr in addrs {
        match connect::connect(options, &mut session.reactor, &addr) {
            Ok(socket) => {
                messages::succeeded(options, &names, &addr);
                return Ok(socket);
            }
            Err(why) => {
                // With several addresses only the last failure ends the run.
                if let Some(line) = failed.replace(messages::failed(options, &names, &addr, &why)) {
                    messages::verbose(options, &line);
                }
            }
        }
    }
    Err(CliError::run(failed.unwrap_or_default()))
}

/// Whether a socket file has to be removed at the end.
fn leaves_a_file(options: &NcOptions) -> bool {
    let is_path = |name: &UnixAddr| name.as_path().is_some();
    let is_own = options.source.as_ref().is_some_and(|path| !path.as_bytes().starts_with(b"@"));
    match &options.endpoint {
        Endpoint::Unix(name) => options.is_listening && is_path(name) || is_own,
        Endpoint::Ports { .. } => false,
    }
}

/// Blocks the signals to be read. By default a signal kills the process, as it kills nc. Only when
/// a socket file must be removed first are signals read instead: they are blocked before the file
/// is created.
fn block(session: &mut Session<'_>, signals: &[Signal]) -> Result<(), CliError> {
    if signals.is_empty() {
        return Ok(());
    }
    session
        .reactor
        .kernel()
        .sigprocmask(signals::set(signals))
        .map(drop)
        .map_err(messages::failed_call("sigprocmask"))
}

/// Reads those signals from now on.
fn block_signals(session: &mut Session<'_>, signals: &[Signal]) -> Result<(), CliError> {
    if signals.is_empty() {
        return Ok(());
    }
    let signalfd = session.reactor.kernel().signalfd(signals::set(signals));
    session.watch_signals(signalfd.map_err(messages::failed_call("signalfd"))?)
}
