//! The loop of streams: one connection or many, to stdout and from stdin, or to each other.
//!
//! Knows bytes and end of stream; how the socket was created, it does not know. A side is read only
//! when the other side can take the data: while the write buffer of the output is not empty, no
//! connection is read, and while that of a connection is not empty, the input is not read. So at
//! most one chunk is buffered each way. This file opens and closes connections; data transfer is in
//! `stream/transfer.rs`.

mod transfer;

use epollite::collections::WriteBuffer;
use epollite::event::Ready;
use epollite::kernel::Signal;
use epollite::reactor::RETRY_DELAY;
use epollite::{Addr, Event, Fd, Instant, Interest, Kernel, Token};

use super::messages;
use super::session::{FdEntry, Peer, Role, Session};
use crate::args::Mode;
use crate::exit::CliError;

/// Connections accepted per event.
const ACCEPTS_MAX: u32 = 64;

struct StreamLoop<'a, K: Kernel> {
    session: Session<'a, K>,
    listener: Option<Token>,
    /// When the listener is armed again.
    accept_retry_at: Option<Instant>,
    peers: u32,
    /// Number of connections with a non-empty write buffer.
    peers_blocked: u32,
    /// Number of connections that have sent FIN and stay open while the input has data.
    half_closed: u32,
    next_id: u64,
}

/// Serves `socket`, a listener or a connection, until the end of the run.
pub(super) fn run<K: Kernel>(
    session: Session<'_, K>,
    socket: Fd,
) -> Result<Option<Signal>, CliError> {
    let mut stream_loop = StreamLoop {
        session,
        listener: None,
        accept_retry_at: None,
        peers: 0,
        peers_blocked: 0,
        half_closed: 0,
        next_id: 0,
    };
    if stream_loop.session.options.is_listening {
        let entry = FdEntry::new(Role::Listener, Interest::READABLE);
        stream_loop.listener = Some(stream_loop.session.register(socket, entry)?);
    } else {
        let addr =
            stream_loop.session.reactor.kernel().getpeername(&socket).unwrap_or(Addr::Unspecified);
        stream_loop.add_peer(socket, addr)?;
    }
    while !stream_loop.session.is_done() {
        stream_loop.run_once()?;
    }
    Ok(stream_loop.session.finish())
}

impl<K: Kernel> StreamLoop<'_, K> {
    fn run_once(&mut self) -> Result<(), CliError> {
        let is_ready = self.wants_input() && self.session.arm_input()?;
        let should_poll = is_ready || (self.half_closed > 0 && self.peers_blocked == 0);
        let deadline = if should_poll { Some(Instant::ZERO) } else { self.next_deadline() };
        match self.session.next_event(deadline)? {
            Some(Event::Io { token, ready }) => self.dispatch(token, ready)?,
            Some(Event::Timer { token }) => self.on_idle_timeout(token)?,
            Some(Event::Woken) => {}
            None if !is_ready && self.half_closed > 0 => self.close_half_closed()?,
            None => {}
        }
        if is_ready && self.wants_input() {
            self.read_input()?;
        }
        self.check_deadlines()
    }

    /// The next deadline that is kept here and not in the reactor.
    fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline(self.accept_retry_at)
    }

    fn check_deadlines(&mut self) -> Result<(), CliError> {
        if self.next_deadline().is_none() {
            return Ok(());
        }
        let now = self.session.now();
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        self.session.finished |= due(&mut self.session.quit_at);
        if due(&mut self.accept_retry_at)
            && let Some(listener) = self.listener
        {
            self.session.arm(listener, Interest::READABLE)?;
        }
        if due(&mut self.session.receive_at) {
            self.arm_all()?;
        }
        if due(&mut self.session.line_at) {
            self.send_lines()?;
        }
        Ok(())
    }

    fn dispatch(&mut self, token: Token, ready: Ready) -> Result<(), CliError> {
        let Some(role) = self.session.role(token) else { return Ok(()) };
        match role {
            Role::Input if self.wants_input() => self.read_input(),
            Role::Input | Role::Connecting | Role::Datagrams => Ok(()),
            Role::Listener => self.accept(token),
            Role::Signals => self.session.on_signal(token),
            Role::Output => {
                let was_pending = self.session.output_pending();
                self.session.on_output_ready(ready)?;
                let is_flushed = was_pending && !self.session.output_pending();
                if is_flushed && !self.session.finished { self.arm_all() } else { Ok(()) }
            }
            Role::Peer => self.on_peer_ready(token, ready),
        }
    }

    // Opening and closing connections.

    fn accept(&mut self, listener: Token) -> Result<(), CliError> {
        for attempt in 1..=ACCEPTS_MAX {
            let is_last = attempt == ACCEPTS_MAX;
            let Some((_, mut io)) = self.session.reactor.get_mut(listener) else {
                return Ok(());
            };
            match io.accept() {
                Ok(Some((socket, addr))) => {
                    let place = messages::addr_text(&addr);
                    self.session.verbose(&format!("Connection received on {place}"));
                    if !self.session.options.keep_listening {
                        // No further client is served: refuse them, instead of leaving them queued.
                        self.session.reactor.close(listener);
                        self.listener = None;
                    }
                    self.add_peer(socket, addr)?;
                }
                Ok(None) => break,
                // A firewall that rejects every client makes accept fail endlessly.
                Err(errno) if errno.is_transient_accept_error() && !is_last => {}
                Err(errno)
                    if errno.is_resource_exhausted() || errno.is_transient_accept_error() =>
                {
                    let line = format!("accept paused: {}", messages::errno_text(errno));
                    self.session.verbose(&line);
                    self.accept_retry_at = Some(self.session.deadline_after(RETRY_DELAY));
                    return Ok(());
                }
                Err(errno) => return Err(messages::failed_call("accept")(errno)),
            }
        }
        self.session.arm(listener, Interest::READABLE)
    }

    fn add_peer(&mut self, socket: Fd, addr: Addr) -> Result<(), CliError> {
        self.next_id += 1;
        let peer = Peer {
            addr,
            number: self.next_id,
            output: WriteBuffer::new(),
            unsent_bytes: 0,
            can_read: true,
            can_write: true,
            shutdown_pending: false,
            half_closed: false,
            line: Vec::new(),
        };
        // Armed below, once its state is known.
        let token = self.session.register(socket, FdEntry::for_peer(peer))?;
        self.peers += 1;
        self.reset_idle_timer(token);
        let has_ended = self.session.input_closed() && self.session.lines.is_empty();
        if has_ended && matches!(self.session.options.mode, Mode::Interactive | Mode::Chat) {
            self.shutdown_write(token)?;
        }
        self.update_interest(token)
    }

    /// Moves the idle deadline of a connection (`-w`).
    fn reset_idle_timer(&mut self, token: Token) {
        if let Some(timeout) = self.session.options.timeout {
            let deadline = self.session.deadline_after(timeout);
            if let Some((_, mut io)) = self.session.reactor.get_mut(token) {
                io.set_deadline(deadline);
            }
        }
    }

    /// The idle timeout has passed. If the peer has taken data from the send queue since the last
    /// check, it gets another period: only the send queue shows that.
    fn on_idle_timeout(&mut self, token: Token) -> Result<(), CliError> {
        let Some((state, mut io)) = self.session.reactor.get_mut(token) else { return Ok(()) };
        let Some(peer) = state.peer.as_deref_mut() else { return Ok(()) };
        let in_queue = io.syscall(|kernel, fd| kernel.ioctl_outq(fd)).unwrap_or(0);
        let unsent_bytes = in_queue + peer.output.len();
        if unsent_bytes == 0 || unsent_bytes == peer.unsent_bytes {
            return self.disconnect(token, "idle for too long");
        }
        peer.unsent_bytes = unsent_bytes;
        self.reset_idle_timer(token);
        Ok(())
    }

    /// Closes a connection and discards its write buffer.
    fn disconnect(&mut self, token: Token, why: &str) -> Result<(), CliError> {
        let Some(peer) = self.peer(token) else { return Ok(()) };
        let (was_blocked, is_half_closed) = (!peer.output.is_empty(), peer.half_closed);
        let place = messages::addr_text(&peer.addr);
        if !why.is_empty() {
            self.session.verbose(&format!("{place}: {why}"));
        }
        self.peers_blocked -= u32::from(was_blocked);
        self.half_closed -= u32::from(is_half_closed);
        // Accepted or connected here, and never duplicated.
        self.session.reactor.close(token);
        self.peers -= 1;
        self.session.finished |= !self.session.options.keep_listening;
        if self.accept_retry_at.take().is_some()
            && let Some(listener) = self.listener
        {
            self.session.arm(listener, Interest::READABLE)?;
        }
        Ok(())
    }

    /// Closes half-closed connections that have nothing left to send.
    fn close_half_closed(&mut self) -> Result<(), CliError> {
        self.for_each_registration(|this, token| {
            let is_flushed = |peer: &mut Peer| peer.half_closed && peer.output.is_empty();
            if this.peer(token).is_some_and(is_flushed) {
                this.disconnect(token, "")
            } else {
                Ok(())
            }
        })
    }

    fn for_each_registration(
        &mut self,
        mut visit: impl FnMut(&mut Self, Token) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        for slot in 0..self.session.reactor.slot_count() {
            if let Some(token) = self.session.reactor.token_at(slot) {
                visit(self, token)?;
            }
        }
        Ok(())
    }

    fn peer(&mut self, token: Token) -> Option<&mut Peer> {
        self.session.reactor.get_mut(token)?.0.peer.as_deref_mut()
    }
}
