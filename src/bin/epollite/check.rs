//! `epollite echo --check`: a client that asks one question and exits with the answer.
//!
//! A health probe is run every few seconds by somebody else's program: it waits for nothing
//! long, says one line, and uses the standard library's blocking sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use epollite::{Addr, Errno, Family, Fd, Kernel, Kind, Linux, UnixAddr};

use crate::args::Target;
use crate::failure::Failure;
use crate::{listen, log};

/// How long each step may take, and listening to the answer in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is sent: long enough that nobody answers it by chance.
const QUESTION: &[u8] = b"epollite --check: are you there? 0123456789abcdef\n";

pub(crate) fn run(target: &Target) -> Result<(), Failure> {
    let (name, result) = match target {
        Target::Tcp(text) => (format!("tcp {text}"), first_that(text, check_tcp)?),
        Target::Udp(text) => (format!("udp {text}"), first_that(text, check_udp)?),
        Target::Unix(name) => (Addr::Unix(*name).to_string(), check_unix(name)),
    };
    match result {
        Ok(()) => log::deliver(&format!("{name} echoes\n")),
        Err(why) => Err(Failure::new(Failure::RUN, format!("{name} does not echo: {why}"))),
    }
}

/// Tries the addresses that a text names one after the other, until one of them does well. The
/// time there is for one is shared by all: one that swallows packets leaves some for the next.
fn first_that(
    text: &str,
    check: impl Fn(SocketAddr, Duration) -> Result<(), String>,
) -> Result<Result<(), String>, Failure> {
    let addrs =
        listen::resolve(text).map_err(|failure| Failure { code: Failure::RUN, ..failure })?;
    let start = Instant::now();
    let mut failed = Vec::new();
    for (at, addr) in addrs.iter().enumerate() {
        let left = u32::try_from(addrs.len() - at).unwrap_or(u32::MAX);
        let patience = PATIENCE.saturating_sub(start.elapsed()).max(PATIENCE / 10) / left;
        let addr = SocketAddr::try_from(*addr).map_err(|error| error.to_string());
        match addr.and_then(|addr| check(addr, patience)) {
            Ok(()) => return Ok(Ok(())),
            Err(why) => failed.push(why),
        }
    }
    failed.dedup();
    Ok(Err(failed.join("; ")))
}

/// A client on the same machine may be given the port that it asks for by chance, if nobody else
/// has it, and is then connected to itself: it was refused, whatever comes back.
fn is_somebody(own: SocketAddr, peer: SocketAddr) -> Result<(), String> {
    if own == peer { Err(Errno::ECONNREFUSED.to_string()) } else { Ok(()) }
}

fn check_tcp(addr: SocketAddr, patience: Duration) -> Result<(), String> {
    let stream = TcpStream::connect_timeout(&addr, patience).map_err(say)?;
    is_somebody(stream.local_addr().map_err(say)?, stream.peer_addr().map_err(say)?)?;
    stream.set_read_timeout(Some(patience)).map_err(say)?;
    stream.set_write_timeout(Some(patience)).map_err(say)?;
    let end = |stream: &mut TcpStream| stream.shutdown(Shutdown::Write);
    converse(stream, end)
}

fn check_unix(name: &UnixAddr) -> Result<(), String> {
    let socket = Linux.socket(Family::Unix, Kind::Stream).map_err(|errno| errno.to_string())?;
    let stream = UnixStream::from(OwnedFd::from(socket));
    stream.set_nonblocking(false).map_err(say)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(say)?;
    // It bounds connect(2) too, which waits as long as the queue is full.
    stream.set_write_timeout(Some(PATIENCE)).map_err(say)?;
    let socket = Fd::from(OwnedFd::from(stream));
    let connected = loop {
        match Linux.connect(&socket, &Addr::Unix(*name)) {
            // A stop interrupts a call that has a bound. Nothing has begun then.
            Err(errno) if errno.interrupted() => {}
            connected => break connected,
        }
    };
    let stream = UnixStream::from(OwnedFd::from(socket));
    connected.map_err(|errno| match errno {
        Errno::EAGAIN => "its queue is full".into(),
        errno => errno.to_string(),
    })?;
    let end = |stream: &mut UnixStream| stream.shutdown(Shutdown::Write);
    converse(stream, end)
}

/// Sends, half-closes, and wants the same back, and then the end.
fn converse<S: Read + Write>(
    mut stream: S,
    end: impl FnOnce(&mut S) -> std::io::Result<()>,
) -> Result<(), String> {
    stream.write_all(QUESTION).map_err(say)?;
    end(&mut stream).map_err(say)?;
    let mut answer = Vec::new();
    // One byte more than is wanted tells who says too much.
    let patience = Instant::now() + PATIENCE;
    let mut buf = [0; QUESTION.len() + 1];
    while answer.len() <= QUESTION.len() {
        match stream.read(&mut buf).map_err(say)? {
            0 => break,
            count => answer.extend_from_slice(&buf[..count]),
        }
        // Each read has a bound of its own; a trickle of bytes has this one.
        if Instant::now() > patience {
            return Err("no answer in time".into());
        }
    }
    compare(&answer)
}

fn check_udp(addr: SocketAddr, patience: Duration) -> Result<(), String> {
    let any = if addr.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).map_err(say)?;
    socket.connect(addr).map_err(say)?;
    is_somebody(socket.local_addr().map_err(say)?, socket.peer_addr().map_err(say)?)?;
    socket.set_read_timeout(Some(patience)).map_err(say)?;
    socket.send(QUESTION).map_err(say)?;
    let mut answer = [0; 1 << 16];
    let count = socket.recv(&mut answer).map_err(say)?;
    compare(&answer[..count])
}

fn compare(answer: &[u8]) -> Result<(), String> {
    if answer == QUESTION {
        return Ok(());
    }
    let same = answer.iter().zip(QUESTION).take_while(|(a, b)| a == b).count();
    Err(format!("sent {} bytes, got {} back, the first {same} alike", QUESTION.len(), answer.len()))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn say(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => "no answer in time".into(),
        _ => epollite::Errno::try_from(&error)
            .map_or_else(|_| error.to_string(), |errno| errno.to_string()),
    }
}
