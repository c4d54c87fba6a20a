//! Tells a service manager what the server does: the protocol of sd_notify(3), datagrams of lines
//! to the socket that `NOTIFY_SOCKET` names.
//!
//! One socket for the process. A child process has its copy, and sends nothing: the service manager
//! wants to hear of the process that it started.

use std::env;
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use epollite::{Kernel, Linux};

use crate::exit::CliError;
use crate::output::log::Log;

struct Notifier {
    /// For the first message, which waits. Two sockets, since a sandbox permits no change of one.
    first: UnixDatagram,
    /// For all others: a slow service manager must not keep clients waiting.
    socket: UnixDatagram,
    to: SocketAddr,
    /// The process that tells.
    process: u32,
    is_stopping: AtomicBool,
    /// Whether the service is another process's.
    is_handed_over: AtomicBool,
}

static NOTIFIER: OnceLock<Notifier> = OnceLock::new();

/// How long the first message waits for room: without it the service counts as failed.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens the socket, if a service manager wants to be told. One that cannot be used is logged: the
/// server serves all the same.
pub(crate) fn open(log: &Log) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    match notifier(&name) {
        Ok(notifier) => _ = NOTIFIER.set(notifier),
        Err(why) => {
            let name = name.as_bytes().escape_ascii();
            let text = format!("no notifications: NOTIFY_SOCKET={name}: {why}");
            log.event("notify_failed", &text, &why);
        }
    }
}

fn notifier(name: &OsStr) -> Result<Notifier, String> {
    let to = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => return Err("neither a path nor an abstract name".into()),
    };
    let to = to.map_err(|error| error.to_string())?;
    let first = UnixDatagram::unbound().map_err(|error| error.to_string())?;
    first.set_write_timeout(Some(READY_TIMEOUT)).map_err(|error| error.to_string())?;
    let socket = UnixDatagram::unbound().map_err(|error| error.to_string())?;
    socket.set_nonblocking(true).map_err(|error| error.to_string())?;
    let (process, is_stopping) = (std::process::id(), AtomicBool::new(false));
    let is_handed_over = AtomicBool::new(false);
    Ok(Notifier { first, socket, to, process, is_stopping, is_handed_over })
}

/// All listeners are open. With `is_successor` this process replaces the main process of the
/// service.
pub(crate) fn ready(log: &Log, is_successor: bool) {
    let Some(notifier) = NOTIFIER.get() else { return };
    let mut text = String::from("READY=1\n");
    if is_successor {
        text += &format!("MAINPID={}\n", notifier.process);
    }
    if let Err(error) = notifier.send_on(&notifier.first, &text) {
        let text = format!("not notified: READY=1: {error}");
        log.event("notify_failed", &text, &error.to_string());
    }
}

/// Whether a service manager is told anything.
pub(crate) fn is_on() -> bool {
    NOTIFIER.get().is_some()
}

/// A reload begins, at a time of the clock that the service manager asks it by.
pub(crate) fn reloading() {
    if let Some(notifier) = NOTIFIER.get() {
        let micros = Linux.now().as_nanos() / 1000;
        let _ = notifier.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }
}

/// The reload is over.
pub(crate) fn reloaded() {
    if let Some(notifier) = NOTIFIER.get() {
        let _ = notifier.send("READY=1\n");
    }
}

/// The shutdown begins. Only the first call sends.
pub(crate) fn stopping() {
    if let Some(notifier) = NOTIFIER.get()
        && !notifier.is_stopping.swap(true, Ordering::Relaxed)
    {
        let _ = notifier.send("STOPPING=1\n");
    }
}

/// Another process has taken the service over: what this one does from here on is not told. A sign
/// of life of this one would hide that the other one hangs.
pub(crate) fn hand_over() {
    if let Some(notifier) = NOTIFIER.get() {
        notifier.is_handed_over.store(true, Ordering::Relaxed);
    }
}

/// Every thread of the server has just served its events.
pub(crate) fn is_alive() {
    if let Some(notifier) = NOTIFIER.get() {
        let _ = notifier.send("WATCHDOG=1\n");
    }
}

impl Notifier {
    fn send(&self, text: &str) -> std::io::Result<()> {
        self.send_on(&self.socket, text)
    }

    fn send_on(&self, socket: &UnixDatagram, text: &str) -> std::io::Result<()> {
        if std::process::id() != self.process || self.is_handed_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        loop {
            match socket.send_to_addr(text.as_bytes(), &self.to) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                sent => return sent.map(drop),
            }
        }
    }
}

/// How often the service manager has to be told that the server is alive: in half of the time that
/// it waits. `None` if it does not wait, or not for this process. sd_watchdog_enabled(3)
///
/// # Errors
/// The time is not a number.
pub(crate) fn watchdog_interval() -> Result<Option<Duration>, CliError> {
    let Some(text) = env::var_os("WATCHDOG_USEC") else { return Ok(None) };
    let is_ours = env::var_os("WATCHDOG_PID")
        .is_none_or(|pid| pid.to_str().and_then(|pid| pid.parse().ok()) == Some(own_pid()));
    if NOTIFIER.get().is_none() || !is_ours {
        return Ok(None);
    }
    match text.to_str().and_then(|text| text.parse::<u64>().ok()).filter(|&micros| micros > 1) {
        Some(micros) => Ok(Some(Duration::from_micros(micros / 2))),
        None => {
            let text = text.as_bytes().escape_ascii();
            Err(CliError::run(format!("WATCHDOG_USEC={text} is not a number of microseconds")))
        }
    }
}

fn own_pid() -> u32 {
    std::process::id()
}
