//! One client served by straight-line code on a blocking socket: read, write, repeat.
//!
//! The simplest server there is. Everything the other models add serves to avoid blocking here. It
//! knows one socket, and nothing of other clients.

use std::time::Duration;

use epollite::kernel::{Shutdown, close_quietly};
use epollite::server::stream::{CloseReason, LINGER_TIMEOUT};
use epollite::{Addr, Errno, Fd};

use super::context::WorkerContext;
use super::signal_thread::Registration;
use super::sys::ModelSyscalls as _;
use crate::echo::client_log;
use crate::instrument::InstrumentedKernel;

/// The interval between two reads while draining.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Consecutive empty reads after which we assume that no data is in flight.
const QUIET_POLLS: u32 = 5;

impl<K: InstrumentedKernel> WorkerContext<K> {
    /// Serves the client of `registration` until it closes, then closes its socket. Cost: two
    /// system calls per echo; both may block: recv(2) until data arrives, send(2) until the peer
    /// reads.
    pub(super) fn serve(
        &mut self,
        mut registration: Registration,
        peer: &Addr,
        number: u64,
        buf: &mut [u8],
    ) {
        if let Some(socket) = registration.socket() {
            self.handle_client(socket, peer, number, buf, Self::flush_stats);
            if registration.is_shutting_down() {
                self.close_gracefully(socket, buf);
            }
        }
        // Deregistered before close: the signal thread shuts down every registered socket.
        if let Some(socket) = registration.release() {
            close_quietly(&mut self.kernel, socket);
        }
        self.flush_stats();
    }

    /// Serves the client behind `socket` until it closes. Calls `before` before each blocking
    /// recv(2).
    pub(super) fn handle_client(
        &mut self,
        socket: &Fd,
        peer: &Addr,
        number: u64,
        buf: &mut [u8],
        before: impl FnMut(&mut Self),
    ) {
        let name = self.connection_opened(peer, number);
        let bytes_before = self.stats.bytes_in;
        let why = match self.echo_loop(socket, &name, buf, before) {
            Ok(()) => CloseReason::PeerClosed,
            Err(errno) => CloseReason::Error(errno),
        };
        self.connection_closed(&name, self.stats.bytes_in - bytes_before, why);
    }

    /// Closes in order. Our socket was shut down for reading, which woke us; data from the peer
    /// still arrives and is echoed until none arrives for a moment. Then we shut down our direction
    /// and wait for the peer's FIN: closing with unread input would send a reset and destroy the
    /// echo in flight.
    ///
    /// A socket that is shut down for reading is always readable, so it cannot be waited on. It is
    /// read at intervals instead; getpeername(2) fails once the peer has closed.
    pub(super) fn close_gracefully(&mut self, socket: &Fd, buf: &mut [u8]) {
        let (mut quiet, deadline) = (0, self.kernel.now() + LINGER_TIMEOUT);
        while quiet < QUIET_POLLS && self.kernel.now() < deadline {
            match self.kernel.recv(socket, buf) {
                Ok(0) => {
                    quiet += 1;
                    std::thread::sleep(POLL_INTERVAL);
                }
                Ok(count) => {
                    quiet = 0;
                    if self.echo_back(socket, &buf[..count]).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
        let _ = self.kernel.shutdown(socket, Shutdown::Write);
        let deadline = self.kernel.now() + LINGER_TIMEOUT;
        while self.kernel.now() < deadline && self.kernel.getpeername(socket).is_ok() {
            match self.kernel.recv(socket, buf) {
                Ok(0) => std::thread::sleep(POLL_INTERVAL),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    fn echo_loop(
        &mut self,
        socket: &Fd,
        name: &str,
        buf: &mut [u8],
        mut before: impl FnMut(&mut Self),
    ) -> Result<(), Errno> {
        // The library's kernels create every descriptor non-blocking.
        self.kernel.set_blocking(socket)?;
        loop {
            before(self);
            let count = match self.kernel.recv(socket, buf) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(errno) if errno.is_interrupted() => continue,
                Err(errno) => return Err(errno),
            };
            self.echo_back(socket, &buf[..count])?;
            if self.log.is_verbose {
                client_log::received(&self.log, name, count);
            }
        }
    }

    /// Sends the bytes read straight back. Usually one call: a blocking send(2) returns when the
    /// kernel has taken everything. A signal may cut it short.
    fn echo_back(&mut self, socket: &Fd, bytes: &[u8]) -> Result<(), Errno> {
        self.stats.bytes_in += bytes.len() as u64;
        self.stats.echoes += 1;
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.kernel.send(socket, rest) {
                Ok(count) => {
                    self.stats.bytes_out += count as u64;
                    rest = &rest[count..];
                }
                Err(errno) if errno.is_interrupted() => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}
