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
mod resolve;
mod scan;
mod service;
mod session;
mod stdio;
mod stream;

use std::os::unix::ffi::OsStrExt;

use epollite::instrument::Tracer;
use epollite::kernel::Signal;
use epollite::net::UnixAddr;
use epollite::{Addr, Interest, Kernel, Linux};

use crate::args::{Endpoint, NcOptions};
use crate::exit::CliError;
use crate::instrument::trace::{Trace, TraceWriter};
use crate::listen::SocketFiles;
use crate::signals;

use session::{FdEntry, Role, Session};
use stdio::Stdio;

/// Runs nc to its end. Open descriptors are closed by the exit of the process.
pub(crate) fn run(options: &NcOptions) -> Result<(), CliError> {
    let trace = Trace::open("--trace", options.trace.as_ref())?;
    match trace {
        Trace::Off => run_on(&mut Linux, options, || {}),
        _ => {
            let mut kernel = Tracer::with_sink(Linux, TraceWriter(trace.clone()));
            run_on(&mut kernel, options, || trace.report_dropped())
        }
    }
}

/// The same on a kernel; `at_end` is called when the last call that is traced has been made. One
/// type for both kernels: nc waits for people and networks, and the program is smaller.
fn run_on(
    kernel: &mut dyn Kernel,
    options: &NcOptions,
    at_end: impl FnOnce(),
) -> Result<(), CliError> {
    let options = &service::resolve_services(options.clone())?;
    if options.port_scan {
        let result = scan::run(options, kernel);
        at_end();
        return result;
    }
    resolve::check_source(options)?;
    let stdio = Stdio::from_process()
        .map_err(|error| CliError::run(format!("stdin or stdout cannot be duplicated: {error}")))?;
    let mut files = SocketFiles::default();
    let result = serve(options, kernel, stdio, &mut files);
    at_end();
    let killed_by = result?;
    files.remove();
    if let Some(signal) = killed_by {
        signals::exit_by(signal);
    }
    Ok(())
}

/// Everything but the scan. Returns the signal that ended the run, if one did.
fn serve<K: Kernel>(
    options: &NcOptions,
    kernel: K,
    stdio: Stdio,
    files: &mut SocketFiles,
) -> Result<Option<Signal>, CliError> {
    let mut session = Session::new(options, stdio, kernel)?;
    let signals = if leaves_a_file(options) { signals::shutdown_signals() } else { Vec::new() };
    block(&mut session, &signals)?;
    let reactor = &mut session.reactor;
    let (socket, destination) = match (options.is_listening, options.is_datagram) {
        (true, _) => (listen::bind_listener(options, reactor, files)?, None),
        (false, true) => {
            let (socket, to) = datagram_socket::connect_datagram(options, reactor, files)?;
            (socket, Some(to))
        }
        (false, false) => {
            let connected = |addr: &Addr| connect::connect(options, reactor, addr);
            (connect::first_of_all(options, connected)?, None)
        }
    };
    watch_signals(&mut session, &signals)?;
    if options.is_datagram {
        datagram::run(session, socket, destination)
    } else {
        stream::run(session, socket)
    }
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
fn block<K: Kernel>(session: &mut Session<'_, K>, signals: &[Signal]) -> Result<(), CliError> {
    if signals.is_empty() {
        return Ok(());
    }
    let blocked = session.reactor.kernel().sigprocmask(signals::set(signals));
    blocked.map(drop).map_err(messages::failed_call("sigprocmask"))
}

/// Reads those signals from now on.
fn watch_signals<K: Kernel>(
    session: &mut Session<'_, K>,
    signals: &[Signal],
) -> Result<(), CliError> {
    if signals.is_empty() {
        return Ok(());
    }
    let signalfd = session.reactor.kernel().signalfd(signals::set(signals));
    let signalfd = signalfd.map_err(messages::failed_call("signalfd"))?;
    session.register(signalfd, FdEntry::new(Role::Signals, Interest::READABLE)).map(drop)
}
