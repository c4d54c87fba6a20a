//! Data transfer of connections: receiving, sending, buffering and ending.
//!
//! ```text
//!            stdin at EOF, buffers flushed  FIN from the peer
//! client     sends no more (-N: FIN)        stops reading; closes when it sends no more either
//! listener   the same                       half-closed while stdin has data; then closes
//! --echo     (stdin is not read)            flushes its buffer, then closes
//! ```

use epollite::event::Ready;
use epollite::kernel::Shutdown;
use epollite::{Errno, Kernel, Received, Sent, Token};

use super::super::messages;
use super::StreamLoop;
use crate::args::Mode;
use crate::exit::CliError;

/// Reads from one connection, or from the input, before others are served.
const RECV_BATCH: u32 = 8;

/// Bytes read at once in a chat, where each line gets a name prefix.
const CHAT_BYTES: usize = 16 << 10;

/// The limit of a chat peer's write buffer. A peer that exceeds it does not read, and is
/// disconnected so that the others need not wait.
const CHAT_BUFFER_MAX: usize = 1 << 20;

/// The longest line of a chat. A longer one is split.
const CHAT_LINE_MAX: usize = 8 << 10;

impl<K: Kernel> StreamLoop<'_, K> {
    // Input to all connections.

    /// Whether input could be forwarded at once.
    pub(super) fn wants_input(&self) -> bool {
        let has_room = match self.session.options.mode {
            Mode::Interactive => self.peers_blocked == 0,
            Mode::Chat => true,
            Mode::Echo | Mode::Discard => false,
        };
        has_room && self.peers > 0 && self.session.may_read_input()
    }

    pub(super) fn read_input(&mut self) -> Result<(), CliError> {
        let rounds = if self.session.input_is_nonblocking() { RECV_BATCH } else { 1 };
        for _ in 0..rounds {
            if !self.wants_input() {
                break;
            }
            match self.session.read_input(usize::MAX) {
                Received::Bytes(count) if self.session.lines.is_passthrough() => {
                    let buf = std::mem::take(&mut self.session.buf);
                    let sent = self.broadcast(&buf[..count], None);
                    self.session.buf = buf;
                    sent?;
                }
                Received::Bytes(count) => {
                    let session = &mut self.session;
                    session.lines.push(&session.buf[..count]);
                    self.send_lines()?;
                }
                Received::WouldBlock => break,
                Received::Eof => {
                    self.session.close_input();
                    self.send_lines()?;
                }
            }
        }
        Ok(())
    }

    /// Sends the buffered input: all of it, or one line now and the next one later.
    pub(super) fn send_lines(&mut self) -> Result<(), CliError> {
        if let Some(line) = self.session.next_line() {
            self.broadcast(&line, None)?;
        }
        if self.session.input_is_sent() { self.on_input_eof() } else { Ok(()) }
    }

    /// The input has ended: ends sending on all connections (with FIN only under `-N`).
    fn on_input_eof(&mut self) -> Result<(), CliError> {
        self.for_each_registration(|this, token| {
            this.shutdown_write(token)?;
            this.update_interest(token)
        })?;
        self.maybe_start_quit_timer();
        Ok(())
    }

    /// Starts the timer of `-q` when everything has been sent.
    fn maybe_start_quit_timer(&mut self) {
        let all_sent = self.session.input_is_sent() && self.peers_blocked == 0;
        if let Some(quit_after) = self.session.options.quit_after
            && all_sent
            && self.session.quit_at.is_none()
        {
            self.session.quit_at = Some(self.session.deadline_after(quit_after));
        }
    }

    // Output to connections.

    /// Sends to all connections except one.
    fn broadcast(&mut self, bytes: &[u8], except: Option<Token>) -> Result<(), CliError> {
        self.for_each_registration(|this, token| {
            if Some(token) == except {
                return Ok(());
            }
            this.send(token, bytes)?;
            this.update_interest(token)
        })
    }

    /// Sends as much as possible, and buffers the rest.
    fn send(&mut self, token: Token, bytes: &[u8]) -> Result<(), CliError> {
        let Some((state, mut io)) = self.session.reactor.get_mut(token) else { return Ok(()) };
        let Some(peer) = &mut state.peer else { return Ok(()) };
        if !peer.can_write || peer.shutdown_pending {
            return Ok(());
        }
        let mut sent = 0;
        if peer.output.is_empty() {
            match io.send(bytes) {
                Ok(Sent::Bytes(count)) => sent = count,
                Ok(Sent::WouldBlock) => {}
                Err(errno) => return self.on_broken(token, errno),
            }
        }
        let was_blocked = !peer.output.is_empty();
        let bytes_max =
            if self.session.options.mode == Mode::Chat { CHAT_BUFFER_MAX } else { usize::MAX };
        let is_over_limit = peer.output.push(&bytes[sent..], bytes_max).is_err();
        self.peers_blocked += u32::from(!was_blocked && !peer.output.is_empty());
        if sent > 0 {
            self.reset_idle_timer(token);
        }
        if is_over_limit {
            self.disconnect(token, "write buffer full: disconnected")
        } else {
            Ok(())
        }
    }

    /// A connection is writable: flushes its write buffer.
    fn flush_peer(&mut self, token: Token) -> Result<(), CliError> {
        let Some((state, mut io)) = self.session.reactor.get_mut(token) else { return Ok(()) };
        let Some(peer) = &mut state.peer else { return Ok(()) };
        if peer.output.is_empty() {
            return Ok(());
        }
        match io.send(peer.output.as_slice()) {
            Ok(Sent::Bytes(count)) => peer.output.consume(count),
            Ok(Sent::WouldBlock) => return Ok(()),
            Err(errno) => return self.on_broken(token, errno),
        }
        let is_flushed = peer.output.is_empty();
        let should_shutdown = is_flushed && std::mem::take(&mut peer.shutdown_pending);
        self.peers_blocked -= u32::from(is_flushed);
        self.reset_idle_timer(token);
        if should_shutdown {
            self.shutdown_write(token)?;
        }
        if is_flushed {
            self.maybe_start_quit_timer();
        }
        Ok(())
    }

    /// Ends the sending side once the write buffer is flushed; with `-N` it sends FIN.
    pub(super) fn shutdown_write(&mut self, token: Token) -> Result<(), CliError> {
        let shutdown_on_eof = self.session.options.shutdown_on_eof;
        let Some((state, mut io)) = self.session.reactor.get_mut(token) else { return Ok(()) };
        let Some(peer) = &mut state.peer else { return Ok(()) };
        if !peer.output.is_empty() {
            peer.shutdown_pending = true;
            return Ok(());
        }
        if std::mem::take(&mut peer.can_write) && shutdown_on_eof {
            // ENOTCONN, the peer is gone: there is nothing to shut down.
            let _ = io.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// A connection has failed, in both directions. To nc that is an end, not an error.
    fn on_broken(&mut self, token: Token, errno: Errno) -> Result<(), CliError> {
        self.disconnect(token, &messages::errno_text(errno))
    }

    // Input from connections.

    /// Whether data of this connection could be forwarded at once.
    fn read_allowed(&mut self, token: Token) -> bool {
        let Some(peer) = self.peer(token) else { return false };
        let (can_read, is_flushed) = (peer.can_read, peer.output.is_empty());
        let has_room = match self.session.options.mode {
            Mode::Interactive | Mode::Chat => !self.session.output_pending(),
            Mode::Echo => is_flushed,
            Mode::Discard => true,
        };
        has_room && can_read && !self.session.finished && self.session.receive_at.is_none()
    }

    pub(super) fn on_peer_ready(&mut self, token: Token, ready: Ready) -> Result<(), CliError> {
        if ready.is_writable() || ready.is_hup() || ready.is_error() {
            self.flush_peer(token)?;
        }
        for _ in 0..RECV_BATCH {
            if !self.read_allowed(token) || !self.receive(token, ready)? {
                break;
            }
        }
        self.update_interest(token)
    }

    /// Reads once. False when there is no more data now.
    fn receive(&mut self, token: Token, ready: Ready) -> Result<bool, CliError> {
        let len_max = match self.session.options.mode {
            Mode::Interactive => self.session.output_bytes,
            Mode::Chat => CHAT_BYTES,
            Mode::Echo | Mode::Discard => self.session.buf.len(),
        };
        let Some((_, mut io)) = self.session.reactor.get_mut(token) else { return Ok(false) };
        let count = match io.recv(&mut self.session.buf[..len_max]) {
            Ok(Received::Bytes(count)) => count,
            Ok(Received::WouldBlock) => return Ok(false),
            Ok(Received::Eof) => {
                if let Some(peer) = self.peer(token) {
                    peer.can_read = false;
                    // Both directions are closed: data sent now would not be read.
                    peer.can_write &= !ready.is_hup();
                }
                self.broadcast_line(token)?;
                return Ok(false);
            }
            Err(errno) => {
                self.on_broken(token, errno)?;
                return Ok(false);
            }
        };
        self.reset_idle_timer(token);
        self.session.count_received();
        let buf = std::mem::take(&mut self.session.buf);
        let forwarded = self.forward(token, &buf[..count]);
        self.session.buf = buf;
        forwarded.map(|()| count == len_max)
    }

    fn forward(&mut self, token: Token, bytes: &[u8]) -> Result<(), CliError> {
        match self.session.options.mode {
            Mode::Interactive => self.session.write_output(bytes),
            Mode::Echo => self.send(token, bytes),
            Mode::Discard => Ok(()),
            Mode::Chat => {
                for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
                    let Some(peer) = self.peer(token) else { return Ok(()) };
                    peer.line.extend_from_slice(piece);
                    if piece.ends_with(b"\n") || peer.line.len() >= CHAT_LINE_MAX {
                        self.broadcast_line(token)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Forwards a peer's line to the others and to the output, with a name prefix.
    fn broadcast_line(&mut self, token: Token) -> Result<(), CliError> {
        let Some(peer) = self.peer(token) else { return Ok(()) };
        let line = std::mem::take(&mut peer.line);
        if line.is_empty() {
            return Ok(());
        }
        let mut text = format!("<{}> ", peer.number).into_bytes();
        text.extend_from_slice(&line);
        if !line.ends_with(b"\n") {
            text.push(b'\n');
        }
        self.broadcast(&text, Some(token))?;
        self.session.write_output(&text)
    }

    // Re-arming.

    /// Arms a connection for its current interest, or closes it if it is finished.
    pub(super) fn update_interest(&mut self, token: Token) -> Result<(), CliError> {
        let is_listening = self.session.options.is_listening;
        let input_may_come = !self.session.input_closed() || !self.session.lines.is_empty();
        let (mode, shutdown_on_eof) =
            (self.session.options.mode, self.session.options.shutdown_on_eof);
        let Some(peer) = self.peer(token) else { return Ok(()) };
        let is_flushed = peer.output.is_empty();
        let is_finished = match mode {
            _ if peer.can_read || !is_flushed => false,
            Mode::Echo | Mode::Discard | Mode::Chat => true,
            Mode::Interactive => !peer.can_write || (is_listening && !input_may_come),
        };
        if is_finished {
            return self.disconnect(token, "");
        }
        // With -N a listener sends its input to the end; without, only while input is pending.
        let is_half_closed =
            is_listening && mode == Mode::Interactive && !peer.can_read && !shutdown_on_eof;
        let becomes_half_closed =
            is_half_closed && !std::mem::replace(&mut peer.half_closed, is_half_closed);
        self.half_closed += u32::from(becomes_half_closed);
        self.arm_peer(token)
    }

    fn arm_peer(&mut self, token: Token) -> Result<(), CliError> {
        let Some(peer) = self.peer(token) else { return Ok(()) };
        let has_pending = !peer.output.is_empty();
        let may_read = self.read_allowed(token);
        self.session.arm_socket(token, may_read, has_pending)
    }

    /// Arms all connections, after the output was flushed or a delay has passed.
    pub(super) fn arm_all(&mut self) -> Result<(), CliError> {
        self.for_each_registration(Self::arm_peer)
    }
}
