//! `epollite echo --check`: a client that sends a probe and exits with the result.
//!
//! A health probe is run every few seconds by a supervisor: it has short timeouts, prints one line,
//! and uses the standard library's blocking sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use epollite::kernel::SocketType;
use epollite::net::{AddressFamily, UnixAddr};
use epollite::{Addr, Errno, Kernel, Linux};

use crate::args::Target;
use crate::exit::CliError;
use crate::listen;
use crate::output::log;

/// The timeout of each step, and of receiving the whole reply.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The probe: long enough not to be echoed by chance.
const PROBE: &[u8] = b"epollite --check: are you there? 0123456789abcdef\n";

pub(crate) fn run(target: &Target) -> Result<(), CliError> {
    let (name, result) = match target {
        Target::Tcp(text) => (format!("tcp {text}"), check_each(text, check_tcp)?),
        Target::Udp(text) => (format!("udp {text}"), check_each(text, check_udp)?),
        Target::Unix(name) => (Addr::Unix(*name).to_string(), check_unix(name)),
    };
    match result {
        Ok(()) => log::write_result(&format!("{name} echoes\n")),
        Err(why) => Err(CliError::run(format!("{name} does not echo: {why}"))),
    }
}

/// Tries the addresses of a name one after the other, until one succeeds. They share one timeout:
/// an address that drops packets leaves time for the next.
fn check_each(
    text: &str,
    check: impl Fn(SocketAddr, Duration) -> Result<(), String>,
) -> Result<Result<(), String>, CliError> {
    let addrs =
        listen::resolve(text).map_err(|failure| CliError { code: CliError::RUN, ..failure })?;
    let start = Instant::now();
    let mut failed = Vec::new();
    for (at, addr) in addrs.iter().enumerate() {
        let remaining = u32::try_from(addrs.len() - at).unwrap_or(u32::MAX);
        let timeout = TIMEOUT.saturating_sub(start.elapsed()).max(TIMEOUT / 10) / remaining;
        let addr = SocketAddr::try_from(*addr).map_err(|error| error.to_string());
        match addr.and_then(|addr| check(addr, timeout)) {
            Ok(()) => return Ok(Ok(())),
            Err(why) => failed.push(why),
        }
    }
    failed.dedup();
    Ok(Err(failed.join("; ")))
}

/// A client on the same machine may by chance get the port that it connects to as its source port,
/// if no socket is bound to it, and is then connected to itself. That counts as refused.
fn reject_self_connection(
    own: io::Result<SocketAddr>,
    peer: io::Result<SocketAddr>,
) -> Result<(), String> {
    let is_itself = own.map_err(report)? == peer.map_err(report)?;
    if is_itself { Err(Errno::ECONNREFUSED.to_string()) } else { Ok(()) }
}

fn check_tcp(addr: SocketAddr, timeout: Duration) -> Result<(), String> {
    let stream = TcpStream::connect_timeout(&addr, timeout).map_err(report)?;
    reject_self_connection(stream.local_addr(), stream.peer_addr())?;
    stream.set_read_timeout(Some(timeout)).map_err(report)?;
    stream.set_write_timeout(Some(timeout)).map_err(report)?;
    exchange(stream, |stream| stream.shutdown(Shutdown::Write))
}

fn check_unix(name: &UnixAddr) -> Result<(), String> {
    let socket =
        Linux.socket(AddressFamily::Unix, SocketType::Stream).map_err(|errno| errno.to_string())?;
    let stream = UnixStream::from(OwnedFd::from(socket));
    stream.set_nonblocking(false).map_err(report)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(report)?;
    // It bounds connect(2) too, which blocks while the backlog is full.
    stream.set_write_timeout(Some(TIMEOUT)).map_err(report)?;
    let socket = Linux::from_owned_fd(OwnedFd::from(stream)).into_fd_as_is();
    let connected = loop {
        match Linux.connect(&socket, &Addr::Unix(*name)) {
            // SIGSTOP and SIGCONT interrupt a call with a timeout. Nothing has begun then.
            Err(errno) if errno.is_interrupted() => {}
            connected => break connected,
        }
    };
    let stream = UnixStream::from(OwnedFd::from(socket));
    connected.map_err(|errno| match errno {
        Errno::EAGAIN => "its queue is full".into(),
        errno => errno.to_string(),
    })?;
    exchange(stream, |stream| stream.shutdown(Shutdown::Write))
}

/// Sends the probe, half-closes, and expects the same bytes back, and then end of stream.
fn exchange<S: Read + Write>(
    mut stream: S,
    half_close: impl FnOnce(&mut S) -> io::Result<()>,
) -> Result<(), String> {
    stream.write_all(PROBE).map_err(report)?;
    half_close(&mut stream).map_err(report)?;
    let mut reply = Vec::new();
    // One byte more than expected detects a reply that is too long.
    let deadline = Instant::now() + TIMEOUT;
    let mut buf = [0; PROBE.len() + 1];
    while reply.len() <= PROBE.len() {
        match stream.read(&mut buf).map_err(report)? {
            0 => break,
            count => reply.extend_from_slice(&buf[..count]),
        }
        // Each read has its own timeout; this one bounds a slow trickle of bytes.
        if Instant::now() > deadline {
            return Err("no answer in time".into());
        }
    }
    compare(&reply)
}

fn check_udp(addr: SocketAddr, timeout: Duration) -> Result<(), String> {
    let any = if addr.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).map_err(report)?;
    socket.connect(addr).map_err(report)?;
    reject_self_connection(socket.local_addr(), socket.peer_addr())?;
    socket.set_read_timeout(Some(timeout)).map_err(report)?;
    socket.send(PROBE).map_err(report)?;
    let mut reply = [0; 1 << 16];
    let count = socket.recv(&mut reply).map_err(report)?;
    compare(&reply[..count])
}

fn compare(reply: &[u8]) -> Result<(), String> {
    if reply == PROBE {
        return Ok(());
    }
    let same = reply.iter().zip(PROBE).take_while(|(a, b)| a == b).count();
    Err(format!("sent {} bytes, got {} back, the first {same} alike", PROBE.len(), reply.len()))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn report(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".into(),
        _ => Errno::from_io_error(&error).map_or_else(|| error.to_string(), |it| it.to_string()),
    }
}
