//! A simulated client of an echo server: it sends bytes that differ between clients and along one
//! stream, and checks what comes back.
//!
//! Knows no server.

use std::time::Duration;

use epollite::kernel::{Shutdown, SocketOption, SocketType};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Fd, Instant, Kernel};

/// One client, and its view of its connection.
pub(crate) struct Client {
    pub(crate) socket: Fd,
    /// Identifies the client within the scenario, and determines the bytes it sends.
    pub(crate) id: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Whether it has half-closed.
    pub(crate) sent_fin: bool,
    pub(crate) is_reading: bool,
    /// Whether it has received end of stream.
    pub(crate) got_eof: bool,
    /// The errno with which the connection failed, if it did.
    pub(crate) error: Option<Errno>,
    /// The total bytes sent after each send and its time; starts with the connect.
    sends: Vec<(u64, Instant)>,
    /// Since when unread bytes may be pending for it, and the longest such time.
    unread_since: Option<Instant>,
    longest_unread: Duration,
}

/// The byte that client `id` sends at `offset`.
#[expect(clippy::cast_possible_truncation, reason = "only the low byte is used")]
pub(crate) const fn byte(id: u64, offset: u64) -> u8 {
    (id.wrapping_mul(151) ^ offset.wrapping_mul(31) ^ (offset >> 8).wrapping_mul(7)) as u8
}

impl Client {
    /// Begins to connect; `None` when there is no listener, or when its backlog is full.
    pub(crate) fn connect(sim: &mut Sim, addr: &Addr, id: u64) -> Option<Self> {
        let family = addr.family().expect("the listener is bound to an IP or Unix address");
        let socket = sim.socket(family, SocketType::Stream).ok()?;
        if !matches!(sim.connect(&socket, addr), Ok(()) | Err(Errno::EINPROGRESS)) {
            let _ = sim.close(socket);
            return None;
        }
        Some(Self {
            socket,
            id,
            sent: 0,
            received: 0,
            sent_fin: false,
            is_reading: true,
            got_eof: false,
            error: None,
            sends: vec![(0, sim.now())],
            unread_since: None,
            longest_unread: Duration::ZERO,
        })
    }

    /// Sends as many of `bytes` as there is room for.
    pub(crate) fn send(&mut self, sim: &mut Sim, bytes: usize) {
        if self.sent_fin || self.error.is_some() {
            return;
        }
        let now = sim.now();
        let payload: Vec<u8> =
            (self.sent..).take(bytes).map(|offset| byte(self.id, offset)).collect();
        match sim.send(&self.socket, &payload) {
            Ok(count) => {
                self.sent += count as u64;
                self.sends.push((self.sent, now));
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOTCONN) => {}
            Err(errno) => self.error = Some(errno),
        }
    }

    /// Receives at most `bytes`. Returns whether anything was received, EOF and errors included.
    ///
    /// # Errors
    /// The invariant that is violated: output is a prefix of input.
    pub(crate) fn recv(&mut self, sim: &mut Sim, bytes: usize) -> Result<bool, String> {
        if !self.is_connected() {
            return Ok(false);
        }
        let mut buf = vec![0; bytes];
        let count = match sim.recv(&self.socket, &mut buf) {
            Ok(0) => {
                self.got_eof = true;
                return Ok(true);
            }
            Ok(count) => count,
            Err(Errno::EAGAIN) => {
                self.unread_since = None;
                return Ok(false);
            }
            Err(Errno::EINTR) => return Ok(false),
            // Not connected yet; a client that has half-closed was connected.
            Err(Errno::ENOTCONN) if !self.sent_fin => return Ok(false),
            Err(errno) => {
                self.error = Some(errno);
                return Ok(true);
            }
        };
        let (id, sent) = (self.id, self.sent);
        for (&got, offset) in buf[..count].iter().zip(self.received..) {
            if got != byte(id, offset) || offset >= sent {
                return Err(format!(
                    "output is a prefix of input, but client {id} sent {sent} bytes and received \
                     {got:#04x} at {offset}"
                ));
            }
        }
        self.received += count as u64;
        if let Some(since) = self.unread_since {
            let now = sim.now();
            self.longest_unread = self.longest_unread.max(now - since);
            self.unread_since = Some(now);
        }
        Ok(true)
    }

    /// Notes that the server has run: bytes may be pending from now on.
    pub(crate) fn expect_reply(&mut self, now: Instant) {
        if self.received < self.sent {
            self.unread_since.get_or_insert(now);
        }
    }

    /// Checks a connection that the server ended: unless the client was idle, everything it had
    /// sent was echoed. (Not covered: bytes sent after the server has begun to close, and bytes
    /// that the client leaves unread for as long as the server takes to detect a stuck send queue.)
    ///
    /// # Errors
    /// The invariant that is violated.
    pub(crate) fn check_silence(&self, idle: Duration, now: Instant) -> Result<(), String> {
        let lost = self.sends.iter().position(|&(sent, _)| sent > self.received);
        let Some(at) = lost.filter(|_| self.got_eof && self.error.is_none()) else {
            return Ok(());
        };
        let silence = self.sends[at].1 - self.sends[at - 1].1;
        let unread_for = self.unread_since.map_or(Duration::ZERO, |since| now - since);
        let is_reading = self.longest_unread.max(unread_for) < idle / 4;
        if is_reading && silence < idle {
            return Err(format!(
                "what arrives before a deadline is served before it, but client {} sent {} bytes \
                 after {silence:?} of silence, received {} of {} back and got EOF (idle timeout \
                 {idle:?})",
                self.id,
                self.sends[at].0 - self.sends[at - 1].0,
                self.received,
                self.sent
            ));
        }
        Ok(())
    }

    /// Half-closes after its last byte, once it is connected: before, a shutdown would abort the
    /// connection.
    pub(crate) fn half_close(&mut self, sim: &mut Sim) {
        let is_connected = sim.getpeername(&self.socket).is_ok();
        if is_connected && sim.shutdown(&self.socket, Shutdown::Write).is_ok() {
            self.sent_fin = true;
        }
    }

    pub(crate) fn close(self, sim: &mut Sim, with_reset: bool) {
        if with_reset {
            let _ = sim.setsockopt(&self.socket, SocketOption::LingerSeconds(Some(0)));
        }
        let _ = sim.close(self.socket);
    }

    /// Whether it has seen no end of its connection.
    pub(crate) const fn is_connected(&self) -> bool {
        !self.got_eof && self.error.is_none()
    }
}
