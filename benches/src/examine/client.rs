//! A client of a stream: TCP or Unix. Every call has the deadline of its case, and every failure is
//! a sentence about the server.

use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use socket2::{Domain, SockAddr, Socket, Type};

use super::failure::{Checked, Local, Stop, wrong};
use super::payload::difference;
use super::wait;

/// How long a socket must not become writable until a late reader starts to read.
const STUCK: Duration = Duration::from_millis(300);

/// The reason begins like this when there is no server.
pub(crate) const CANNOT_CONNECT: &str = "cannot connect";

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) socket: Socket,
    deadline: Instant,
}

/// What one receive returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes(usize),
    WouldBlock,
    Eof,
    Reset,
}

/// How bytes are exchanged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    /// At most this many bytes in a send.
    pub(crate) write_bytes: usize,
    /// At most this many bytes in a receive.
    pub(crate) read_bytes: usize,
    /// Read only when everything is sent, or sending is stuck.
    pub(crate) is_late: bool,
    /// Half-close after the last byte, and expect the end of the stream after the echo.
    pub(crate) half_close: bool,
    /// Before each send.
    pub(crate) write_pause: Duration,
    /// Before each receive.
    pub(crate) read_pause: Duration,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            write_bytes: usize::MAX,
            read_bytes: 1 << 16,
            is_late: false,
            half_close: false,
            write_pause: Duration::ZERO,
            read_pause: Duration::ZERO,
        }
    }
}

impl Client {
    /// Connects; `prepare` sets options before.
    pub(crate) fn connect(
        addr: &SockAddr,
        deadline: Instant,
        prepare: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> Checked<Self> {
        let mut client = Self::begin(addr, deadline, prepare)?;
        client.finish_connect()?;
        Ok(client)
    }

    /// Gives it another deadline: for connections that stay.
    pub(crate) fn extend(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Starts to connect, and does not wait for it.
    pub(crate) fn begin(
        addr: &SockAddr,
        deadline: Instant,
        prepare: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> Checked<Self> {
        let socket = Socket::new(Domain::from(i32::from(addr.family())), Type::STREAM, None);
        let socket = socket.local("socket")?;
        prepare(&socket).local("setsockopt or bind")?;
        socket.set_nonblocking(true).local("fcntl")?;
        let mut refusal = None;
        let began = wait::until(deadline, || match socket.connect(addr) {
            Ok(()) => true,
            Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => true,
            // A Unix listener with a full backlog: there is nothing to wait for (connect(2)).
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => {
                refusal = Some(error);
                true
            }
        })?;
        match refusal {
            Some(error) => wrong(format!("{CANNOT_CONNECT}: {error}")),
            None if !began => wrong("the backlog stays full: cannot connect in time"),
            None => Ok(Self { socket, deadline }),
        }
    }

    /// Waits until the connection is established.
    pub(crate) fn finish_connect(&mut self) -> Checked {
        if !wait::ready(&self.socket, PollFlags::POLLOUT, self.deadline)? {
            return wrong("cannot connect in time");
        }
        match self.socket.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => wrong(format!("{CANNOT_CONNECT}: {error}")),
        }
    }

    /// Sends what fits; 0 if nothing does.
    pub(crate) fn send_some(&self, bytes: &[u8]) -> Checked<usize> {
        match self.socket.send_with_flags(bytes, nix::libc::MSG_NOSIGNAL) {
            Ok(count) => Ok(count),
            Err(error) if is_retry(&error) => Ok(0),
            Err(error) => wrong(format!("the connection was lost while sending: {error}")),
        }
    }

    /// Sends everything, and reads nothing. The server must take it within the deadline.
    pub(crate) fn send(&self, mut bytes: &[u8]) -> Checked {
        while !bytes.is_empty() {
            let count = self.send_some(bytes)?;
            bytes = &bytes[count..];
            if count == 0 && !wait::ready(&self.socket, PollFlags::POLLOUT, self.deadline)? {
                return wrong(format!("{} bytes were not taken in time", bytes.len()));
            }
        }
        Ok(())
    }

    /// Sends all parts in one call, which must take them.
    pub(crate) fn send_vectored(&self, parts: &[&[u8]]) -> Checked {
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let all: usize = parts.iter().map(|part| part.len()).sum();
        let count = self.socket.send_vectored(&slices).local("writev")?;
        let rest: Vec<u8> = parts.concat();
        if count < all { self.send(&rest[count..]) } else { Ok(()) }
    }

    /// Sends until nothing more fits for a while, at most `limit` bytes; returns how many.
    pub(crate) fn fill(&self, bytes: &[u8], limit: usize) -> Checked<usize> {
        let mut sent = 0;
        while sent < limit {
            let from = sent % bytes.len();
            let part = &bytes[from..bytes.len().min(from + limit - sent)];
            let count = self.send_some(part)?;
            sent += count;
            let patience = self.deadline.min(Instant::now() + STUCK);
            if count == 0 && !wait::ready(&self.socket, PollFlags::POLLOUT, patience)? {
                break;
            }
        }
        Ok(sent)
    }

    /// One receive.
    pub(crate) fn receive_some(&self, buf: &mut [u8]) -> Checked<Received> {
        match (&self.socket).read(buf) {
            Ok(0) => Ok(Received::Eof),
            Ok(count) => Ok(Received::Bytes(count)),
            Err(error) if is_retry(&error) => Ok(Received::WouldBlock),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(Received::Reset),
            Err(error) => Err(error).local("recv"),
        }
    }

    /// Receives until `expected` has come back.
    pub(crate) fn receive(&self, expected: &[u8]) -> Checked {
        let how = Exchange::default();
        self.exchange_from(expected, expected.len(), how)
    }

    /// Sends `data`, and compares its echo.
    pub(crate) fn echo(&self, data: &[u8]) -> Checked {
        self.exchange(data, Exchange::default())
    }

    /// Sends, compares, half-closes and expects the end.
    pub(crate) fn echo_to_the_end(&self, data: &[u8]) -> Checked {
        self.exchange(data, Exchange { half_close: true, ..Exchange::default() })
    }

    /// Sends `data` and compares its echo, both at once.
    pub(crate) fn exchange(&self, data: &[u8], how: Exchange) -> Checked {
        self.exchange_from(data, 0, how)
    }

    /// The rest of a late exchange: `sent` bytes of `data` have been sent. Half-closes behind them.
    pub(crate) fn echo_from(&self, data: &[u8], sent: usize) -> Checked {
        self.exchange_from(data, sent, Exchange { half_close: true, ..Exchange::default() })
    }

    /// The same, and the connection stays open.
    pub(crate) fn echo_rest(&self, data: &[u8], sent: usize) -> Checked {
        self.exchange_from(data, sent, Exchange::default())
    }

    /// Of `data`, `sent` bytes have been sent before.
    fn exchange_from(&self, data: &[u8], mut sent: usize, how: Exchange) -> Checked {
        let mut echo = Echo { data, got: 0, is_ended: false, buf: vec![0; how.read_bytes] };
        let (mut half_closed, mut reading) = (false, !how.is_late);
        loop {
            let mut progress = false;
            if sent < data.len() {
                wait::pause(how.write_pause)?;
                let end = data.len().min(sent.saturating_add(how.write_bytes));
                let count = self.send_some(&data[sent..end]);
                // The reason why the server closed may still be readable.
                let count = count.map_err(|stop| echo.explained(stop, sent))?;
                (sent, progress) = (sent + count, count > 0);
            }
            if sent == data.len() && how.half_close && !half_closed {
                self.half_close()?;
                half_closed = true;
            }
            if !reading && sent == data.len() {
                wait::pause(STUCK)?;
                reading = true;
            }
            if reading {
                if !how.read_pause.is_zero() {
                    wait::pause(how.read_pause)?;
                }
                progress |= echo.advance(self, sent)?;
            }
            if sent == data.len() && echo.is_complete(how.half_close) {
                return Ok(());
            }
            if !progress {
                let out = if sent < data.len() { PollFlags::POLLOUT } else { PollFlags::empty() };
                let events = if reading { out | PollFlags::POLLIN } else { out };
                let deadline =
                    if reading { self.deadline } else { self.deadline.min(Instant::now() + STUCK) };
                let is_ready = wait::ready(&self.socket, events, deadline)?;
                if !is_ready && reading {
                    return echo.late(sent);
                }
                reading |= !is_ready;
            }
            if Instant::now() >= self.deadline {
                return echo.late(sent);
            }
        }
    }

    /// Receives `part`, which has been sent, and leaves what has been sent behind it unread.
    pub(crate) fn receive_part(&self, part: &[u8]) -> Checked {
        let mut got = 0;
        let mut buf = vec![0; 1 << 16];
        while got < part.len() {
            let room = buf.len().min(part.len() - got);
            match self.receive_some(&mut buf[..room])? {
                Received::Bytes(count) => {
                    if let Some(why) = difference(&part[got..got + count], &buf[..count]) {
                        return wrong(format!("after {got} right bytes, {why}"));
                    }
                    got += count;
                }
                Received::WouldBlock => {
                    if !wait::ready(&self.socket, PollFlags::POLLIN, self.deadline)? {
                        return wrong(format!("{got} of {} bytes came back in time", part.len()));
                    }
                }
                Received::Eof => {
                    return wrong(format!("the stream ended after {got} of {} bytes", part.len()));
                }
                Received::Reset => return wrong(format!("reset after {got} bytes")),
            }
        }
        Ok(())
    }

    /// Sends `data` in a circle and compares, until `done`; then the rest is read.
    pub(crate) fn exchange_while(&self, data: &[u8], done: &AtomicBool) -> Checked {
        let (mut sent, mut got) = (0, 0);
        let mut buf = vec![0; 1 << 16];
        while got < sent || !done.load(Ordering::Relaxed) {
            let is_sending = !done.load(Ordering::Relaxed);
            if is_sending {
                let from = sent % data.len();
                sent += self.send_some(&data[from..data.len().min(from + (1 << 16))])?;
            }
            let from = got % data.len();
            let room = buf.len().min(data.len() - from);
            match self.receive_some(&mut buf[..room])? {
                Received::Bytes(count) => {
                    if let Some(why) = difference(&data[from..from + count], &buf[..count]) {
                        return wrong(format!("after {got} right bytes, {why}"));
                    }
                    got += count;
                }
                Received::WouldBlock => {
                    let out = if is_sending { PollFlags::POLLOUT } else { PollFlags::empty() };
                    if !wait::ready(&self.socket, out | PollFlags::POLLIN, self.deadline)? {
                        return wrong(format!("{got} of {sent} bytes came back in time"));
                    }
                }
                Received::Eof | Received::Reset => {
                    return wrong(format!("the stream ended after {got} of {sent} bytes"));
                }
            }
        }
        Ok(())
    }

    /// Receives to the end of the stream.
    pub(crate) fn receive_to_the_end(&self) -> Checked<Vec<u8>> {
        let (mut got, mut buf) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            match self.receive_some(&mut buf)? {
                Received::Bytes(count) => got.extend_from_slice(&buf[..count]),
                Received::Eof => return Ok(got),
                Received::Reset => return wrong(format!("reset after {} bytes", got.len())),
                Received::WouldBlock => {
                    if !wait::ready(&self.socket, PollFlags::POLLIN, self.deadline)? {
                        return wrong(format!("no end after {} bytes in time", got.len()));
                    }
                }
            }
        }
    }

    /// Half-closes: FIN behind everything sent.
    pub(crate) fn half_close(&self) -> Checked {
        match self.socket.shutdown(Shutdown::Write) {
            Ok(()) => Ok(()),
            Err(error) => wrong(format!("the connection was lost before its end: {error}")),
        }
    }

    /// Expects the end of the stream, without a further byte.
    pub(crate) fn expect_end(&self) -> Checked {
        if !wait::ready(&self.socket, PollFlags::POLLIN, self.deadline)? {
            return wrong("the stream was not ended in time");
        }
        match self.receive_some(&mut [0; 64])? {
            Received::Eof => Ok(()),
            Received::Bytes(count) => wrong(format!("{count} bytes came that were never sent")),
            Received::Reset => wrong("the stream ended with a reset instead of a FIN"),
            Received::WouldBlock => wrong("the socket is readable, and nothing can be read"),
        }
    }

    /// Expects that nothing has come: no byte, no end.
    pub(crate) fn expect_silence(&self) -> Checked {
        match self.receive_some(&mut [0; 64])? {
            Received::WouldBlock => Ok(()),
            Received::Bytes(count) => wrong(format!("{count} bytes came that were never sent")),
            Received::Eof => wrong("the server ended a stream that its client had not ended"),
            Received::Reset => wrong("the server reset a connection that its client used properly"),
        }
    }

    /// Closes by a reset: the linger time is 0 (socket(7)). A Unix socket is just closed.
    pub(crate) fn reset(self) -> Checked {
        self.socket.set_linger(Some(Duration::ZERO)).local("setsockopt")
    }
}

/// Sends from all clients until nothing more fits for a while, at most `limit` bytes each; returns
/// how many each has sent.
pub(crate) fn fill_all(clients: &[Client], bytes: &[u8], limit: usize) -> Checked<Vec<usize>> {
    let mut sent = vec![0; clients.len()];
    let mut progress = Instant::now();
    while progress.elapsed() < STUCK {
        let mut is_stuck = true;
        for (client, sent) in clients.iter().zip(&mut sent).filter(|(_, sent)| **sent < limit) {
            let from = *sent % bytes.len();
            let count = client.send_some(&bytes[from..bytes.len().min(from + limit - *sent)])?;
            *sent += count;
            is_stuck &= count == 0;
        }
        if is_stuck {
            wait::pause(Duration::from_millis(10))?;
        } else {
            progress = Instant::now();
        }
        if sent.iter().all(|&sent| sent >= limit) {
            break;
        }
    }
    Ok(sent)
}

/// The echo as far as it has been received.
struct Echo<'a> {
    data: &'a [u8],
    got: usize,
    is_ended: bool,
    buf: Vec<u8>,
}

impl Echo<'_> {
    /// Receives once, and compares; whether something was received.
    fn advance(&mut self, client: &Client, sent: usize) -> Checked<bool> {
        if self.is_ended {
            return Ok(false);
        }
        match client.receive_some(&mut self.buf)? {
            Received::WouldBlock => Ok(false),
            Received::Eof if self.got < self.data.len() => wrong(format!(
                "the stream ended after {} of {} bytes: {} are lost",
                self.got,
                self.data.len(),
                sent - self.got
            )),
            Received::Eof => {
                self.is_ended = true;
                Ok(true)
            }
            Received::Reset => {
                wrong(format!("reset after {} of {} bytes", self.got, self.data.len()))
            }
            Received::Bytes(count) if self.got + count > sent => {
                let more = self.got + count - sent;
                wrong(format!("{more} bytes more came back than were sent"))
            }
            Received::Bytes(count) => {
                let sent = &self.data[self.got..self.got + count];
                if let Some(why) = difference(sent, &self.buf[..count]) {
                    return wrong(format!("after {} right bytes, {why}", self.got));
                }
                self.got += count;
                Ok(true)
            }
        }
    }

    fn is_complete(&self, with_end: bool) -> bool {
        self.got == self.data.len() && (self.is_ended || !with_end)
    }

    fn late(&self, sent: usize) -> Checked {
        let (got, all) = (self.got, self.data.len());
        if got == all {
            return wrong(format!(
                "all {all} bytes came back, and the stream was not ended in time"
            ));
        }
        wrong(format!("{got} of {all} bytes came back in time, {sent} were sent"))
    }

    fn explained(&self, stop: Stop, sent: usize) -> Stop {
        match stop {
            Stop::Wrong(why) => {
                Stop::Wrong(format!("{why}; {sent} bytes were sent, {} came back", self.got))
            }
            other => other,
        }
    }
}

fn is_retry(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
