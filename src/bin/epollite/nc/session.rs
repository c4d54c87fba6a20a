//! State of one nc run, used by both loops: the reactor, stdin with its line buffer, and stdout
//! with its write buffer.
//!
//! Every descriptor is registered one-shot and armed for exactly the current interest. An event
//! disarms it; the handler arms it again if there is still interest. So a hang-up, which cannot be
//! masked, is not reported while there is no interest in it.

use std::time::Duration;

use epollite::collections::{RecvBuffer, WriteBuffer};
use epollite::event::Ready;
use epollite::kernel::{Signal, close_quietly};
use epollite::reactor::RegisterErrorKind;
use epollite::{
    Addr, Errno, Event, Fd, Instant, Interest, Kernel, Reactor, Received, Token, Trigger,
};

use super::lines::LineBuffer;
use super::messages;
use super::stdio::{PIPE_BUF, Stdio, Stream};
use crate::args::{Mode, NcOptions};
use crate::exit::CliError;
use crate::output::log;
use crate::signals::read_signals;

/// Bytes read at once. Beyond this, a larger buffer has no measurable effect.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// The capacity of a pipe: more would only be copied and buffered.
const PIPE_CAPACITY: usize = 64 << 10;

/// The state of one registration.
#[derive(Debug)]
pub(super) struct FdEntry {
    role: Role,
    /// Set for a connection.
    pub(super) peer: Option<Box<Peer>>,
    /// The armed interest; `NONE` after an event.
    armed: Interest,
}

/// What a registered descriptor is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Connecting, or being probed by `-z`.
    Connecting,
    Input,
    Output,
    Listener,
    Signals,
    Peer,
    Datagrams,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addr: Addr,
    /// Its number in a chat.
    pub(super) number: u64,
    pub(super) output: WriteBuffer,
    /// Bytes not yet sent at the last idle timeout.
    pub(super) unsent_bytes: usize,
    /// Whether data may still be received.
    pub(super) can_read: bool,
    /// Whether data may still be sent.
    pub(super) can_write: bool,
    /// Whether to shut down the sending side once the write buffer is flushed.
    pub(super) shutdown_pending: bool,
    /// Whether the peer has sent FIN and the connection stays open while the input has data.
    pub(super) half_closed: bool,
    /// The incomplete line received so far, in a chat.
    pub(super) line: Vec<u8>,
}

impl FdEntry {
    pub(super) const fn new(role: Role, armed: Interest) -> Self {
        Self { role, peer: None, armed }
    }

    /// A connection, armed for nothing yet.
    pub(super) fn for_peer(peer: Peer) -> Self {
        Self { peer: Some(Box::new(peer)), ..Self::new(Role::Peer, Interest::NONE) }
    }

    /// The name in the log.
    fn name(&self) -> String {
        match self.role {
            Role::Connecting => "connecting".into(),
            Role::Input => "stdin".into(),
            Role::Output => "stdout".into(),
            Role::Listener => "listener".into(),
            Role::Signals => "signals".into(),
            Role::Peer => {
                let addr = self.peer.as_ref().map(|peer| messages::addr_text(&peer.addr));
                format!("peer {}", addr.unwrap_or_default())
            }
            Role::Datagrams => "datagrams".into(),
        }
    }
}

/// How one of the standard streams is held.
#[derive(Debug)]
enum StdStream {
    /// Registered with the reactor.
    Registered { token: Token, is_nonblocking: bool },
    /// Not registered: always ready, so it is never waited for.
    AlwaysReady(Fd),
    /// Closed, or not used.
    Closed,
}

pub(super) struct Session<'a, K: Kernel> {
    pub(super) reactor: Reactor<FdEntry, K>,
    pub(super) options: &'a NcOptions,
    /// The run ends once everything is written.
    pub(super) finished: bool,
    /// The signal that ended the run at once, read from a signalfd because a socket file had to be
    /// removed first.
    signalled: Option<Signal>,
    pub(super) lines: LineBuffer,
    /// When the next line may be sent (`-i`).
    pub(super) line_at: Option<Instant>,
    /// When the next chunk may be read from the network (`-i`).
    pub(super) receive_at: Option<Instant>,
    /// When to quit (`-q`).
    pub(super) quit_at: Option<Instant>,
    /// Number of reads from the network.
    recv_count: u64,
    /// The buffer of all reads.
    pub(super) buf: RecvBuffer,
    input: StdStream,
    output: StdStream,
    output_buffer: WriteBuffer,
    /// The number of bytes to read for one write to the output.
    pub(super) output_bytes: usize,
}

impl<'a, K: Kernel> Session<'a, K> {
    /// Takes over the standard streams. Nothing is read until a loop arms the input.
    pub(super) fn new(options: &'a NcOptions, stdio: Stdio, kernel: K) -> Result<Self, CliError> {
        let reactor =
            Reactor::with_kernel(kernel).map_err(messages::failed_call("epoll_create1"))?;
        let mut session = Self {
            reactor,
            options,
            finished: false,
            signalled: None,
            lines: LineBuffer::new(options.crlf, options.interval.is_some()),
            line_at: None,
            receive_at: None,
            quit_at: None,
            recv_count: 0,
            buf: RecvBuffer::new(READ_BUFFER_BYTES),
            input: StdStream::Closed,
            output: StdStream::Closed,
            output_buffer: WriteBuffer::new(),
            output_bytes: READ_BUFFER_BYTES,
        };
        session.input = session.register_std_stream(stdio.input, Role::Input)?;
        session.output = session.register_std_stream(stdio.output, Role::Output)?;
        if let StdStream::Registered { .. } = session.output {
            session.output_bytes = PIPE_CAPACITY;
        }
        if matches!(options.mode, Mode::Echo | Mode::Discard) {
            session.close_input();
        }
        Ok(session)
    }

    fn register_std_stream(&mut self, stream: Stream, role: Role) -> Result<StdStream, CliError> {
        let Stream { fd, is_nonblocking } = stream;
        let entry = FdEntry::new(role, Interest::NONE);
        // One-shot without interest: a descriptor that has already hung up is reported once anyway.
        match self.reactor.register(fd, Interest::NONE, Trigger::OneShot, entry) {
            Ok(token) => Ok(StdStream::Registered { token, is_nonblocking }),
            Err(error) if error.kind == RegisterErrorKind::Os(Errno::EPERM) => {
                Ok(StdStream::AlwaysReady(error.fd))
            }
            Err(error) => {
                close_quietly(self.reactor.kernel(), error.fd);
                let line = format!("epoll_ctl: {}", error.kind);
                Err(CliError::run(line))
            }
        }
    }

    /// Registers a socket, armed as its entry says.
    pub(super) fn register(&mut self, fd: Fd, entry: FdEntry) -> Result<Token, CliError> {
        let registered = self.reactor.register_or_close(fd, entry.armed, Trigger::OneShot, entry);
        registered.map_err(|reason| CliError::run(format!("epoll_ctl: {reason}")))
    }

    /// Arms a registration for `interest`. `NONE` makes no call: at most one event arrives that is
    /// not handled.
    pub(super) fn arm(&mut self, token: Token, interest: Interest) -> Result<(), CliError> {
        let Some((state, mut io)) = self.reactor.get_mut(token) else { return Ok(()) };
        if interest == Interest::NONE || state.armed == interest {
            return Ok(());
        }
        let armed = io.modify(interest, Trigger::OneShot);
        state.armed = interest;
        armed.map_err(|reason| CliError::run(format!("epoll_ctl: {reason}")))
    }

    /// Arms a socket to be read, and to be written.
    pub(super) fn arm_socket(
        &mut self,
        token: Token,
        may_read: bool,
        has_pending: bool,
    ) -> Result<(), CliError> {
        let readable = if may_read { Interest::READABLE } else { Interest::NONE };
        let writable = if has_pending { Interest::WRITABLE } else { Interest::NONE };
        self.arm(token, readable | writable)
    }

    /// A line under `-v`.
    pub(super) fn verbose(&self, line: &str) {
        messages::verbose(self.options, line);
    }

    /// The next event, logged under `-vv`; its registration is disarmed.
    pub(super) fn next_event(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Event>, CliError> {
        let event = self.reactor.next(deadline).map_err(messages::failed_call("epoll_wait"))?;
        if let Some(Event::Io { token, ready }) = event
            && let Some((state, io)) = self.reactor.get_mut(token)
        {
            if self.options.verbosity > 1 {
                let (fd, name) = (io.fd(), state.name());
                let bits = ready.bits();
                let line = format!("epoll: token {token}, fd {fd}, {name}: {ready} ({bits:#x})\n");
                log::err(&line);
            }
            state.armed = Interest::NONE;
        }
        Ok(event)
    }

    /// What the descriptor of `token` is used for.
    pub(super) fn role(&mut self, token: Token) -> Option<Role> {
        self.reactor.get_mut(token).map(|(state, _)| state.role)
    }

    pub(super) fn now(&mut self) -> Instant {
        self.reactor.kernel().now()
    }

    pub(super) fn deadline_after(&mut self, span: Duration) -> Instant {
        self.now() + span
    }

    // The input.

    pub(super) const fn input_closed(&self) -> bool {
        matches!(self.input, StdStream::Closed)
    }

    /// Whether input may be read: the run continues, and no line is waiting for its time (`-i`).
    pub(super) fn may_read_input(&self) -> bool {
        !self.finished && !self.input_closed() && self.line_at.is_none()
    }

    /// Arms the input for reading; true if it is always ready.
    pub(super) fn arm_input(&mut self) -> Result<bool, CliError> {
        match self.input {
            StdStream::Registered { token, .. } => {
                self.arm(token, Interest::READABLE).map(|()| false)
            }
            StdStream::AlwaysReady(_) => Ok(true),
            StdStream::Closed => Ok(false),
        }
    }

    /// Whether a second read in a row would not block.
    pub(super) const fn input_is_nonblocking(&self) -> bool {
        matches!(self.input, StdStream::Registered { is_nonblocking: true, .. })
    }

    /// Reads the input into the buffer, at most `bytes_max`.
    pub(super) fn read_input(&mut self, bytes_max: usize) -> Received {
        let len = self.buf.len().min(bytes_max);
        let buf = &mut self.buf[..len];
        let result = match &self.input {
            StdStream::Registered { token, .. } => match self.reactor.get_mut(*token) {
                Some((_, mut io)) => io.syscall(|kernel, fd| kernel.read(fd, buf)),
                None => Ok(0),
            },
            StdStream::AlwaysReady(fd) => self.reactor.kernel().read(fd, buf),
            StdStream::Closed => Ok(0),
        };
        match result {
            Ok(0) => Received::Eof,
            Ok(count) => Received::Bytes(count),
            Err(errno) if errno.is_would_block() || errno.is_interrupted() => Received::WouldBlock,
            // The terminal is gone (EIO), or it is a directory (EISDIR): no data will come.
            Err(_) => Received::Eof,
        }
    }

    pub(super) fn close_input(&mut self) {
        let input = std::mem::replace(&mut self.input, StdStream::Closed);
        self.close(input);
    }

    /// Closes a stream. Other processes may hold duplicates of it, so it is removed from epoll
    /// first.
    fn close(&mut self, stream: StdStream) {
        let fd = match stream {
            StdStream::Registered { token, .. } => self.reactor.deregister(token).map(|(fd, _)| fd),
            StdStream::AlwaysReady(fd) => Some(fd),
            StdStream::Closed => None,
        };
        if let Some(fd) = fd {
            // A file's last write may fail here; the output reports that when it is closed by name.
            close_quietly(self.reactor.kernel(), fd);
        }
    }

    // The output.

    pub(super) const fn output_pending(&self) -> bool {
        !self.output_buffer.is_empty()
    }

    /// Writes what the output accepts now, and puts the rest into the write buffer: bounded, since
    /// the caller reads nothing more until the buffer is empty. Without a reader the run ends.
    pub(super) fn write_output(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let may_block = matches!(self.output, StdStream::Registered { is_nonblocking: false, .. });
        // If a write may block, write only a little, when epoll reports room.
        let written = if self.output_pending() || may_block { Some(0) } else { self.write(bytes)? };
        let Some(written) = written else {
            self.finished = true;
            return Ok(());
        };
        let _ = self.output_buffer.push(&bytes[written..], usize::MAX);
        self.arm_output()
    }

    /// The output is writable: flushes the write buffer. Without a reader the run ends.
    pub(super) fn on_output_ready(&mut self, ready: Ready) -> Result<(), CliError> {
        if !self.output_pending() {
            // An unrequested event: there is no reader.
            self.finished |= ready.is_error() && self.options.mode == Mode::Interactive;
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.output_buffer);
        let may_block = matches!(self.output, StdStream::Registered { is_nonblocking: false, .. });
        let len = if may_block { buffer.len().min(PIPE_BUF) } else { buffer.len() };
        let Some(count) = self.write(&buffer.as_slice()[..len])? else {
            // The write buffer is dropped with the value taken here.
            self.finished = true;
            return Ok(());
        };
        self.output_buffer = buffer;
        self.output_buffer.consume(count);
        self.arm_output()
    }

    fn arm_output(&mut self) -> Result<(), CliError> {
        match self.output {
            StdStream::Registered { token, .. } if self.output_pending() => {
                self.arm(token, Interest::WRITABLE)
            }
            _ => Ok(()),
        }
    }

    /// Writes until the output is full, once if a write may block. `None`: there is no reader.
    fn write(&mut self, bytes: &[u8]) -> Result<Option<usize>, CliError> {
        let mut written = 0;
        while written < bytes.len() {
            let rest = &bytes[written..];
            let (result, is_last) = match &self.output {
                StdStream::Registered { token, is_nonblocking } => {
                    match self.reactor.get_mut(*token) {
                        Some((_, mut io)) => {
                            (io.syscall(|kernel, fd| kernel.write(fd, rest)), !is_nonblocking)
                        }
                        None => return Ok(None),
                    }
                }
                StdStream::AlwaysReady(fd) => (self.reactor.kernel().write(fd, rest), false),
                StdStream::Closed => return Ok(None),
            };
            match result {
                Ok(0) => {
                    // A repeated call would write nothing again.
                    return Err(CliError::run("write to stdout wrote 0 bytes"));
                }
                Ok(count) => written += count,
                Err(errno) if errno.is_interrupted() => {}
                Err(errno) if errno.is_would_block() => break,
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(None),
                Err(errno) => return Err(messages::failed_call("write to stdout")(errno)),
            }
            if is_last {
                break;
            }
        }
        Ok(Some(written))
    }

    // Shared by both loops.

    /// Counts one read from the network. The last one requested (`-W`) ends the run.
    pub(super) fn count_received(&mut self) {
        self.recv_count += 1;
        if let Some(interval) = self.options.interval {
            self.receive_at = Some(self.deadline_after(interval));
        }
        self.finished |= self.options.max_recvs.is_some_and(|max| self.recv_count >= max);
    }

    /// The next input to send. With `-i` it is one line, and the next one may be sent later.
    pub(super) fn next_line(&mut self) -> Option<Vec<u8>> {
        let line = self.lines.next_chunk(self.input_closed())?;
        self.line_at = self.options.interval.map(|interval| self.deadline_after(interval));
        Some(line)
    }

    /// Whether the input has ended and everything is sent, except write buffers.
    pub(super) fn input_is_sent(&self) -> bool {
        self.input_closed() && self.lines.is_empty() && self.line_at.is_none()
    }

    /// The earliest deadline of those kept here and `other`.
    pub(super) fn next_deadline(&self, other: Option<Instant>) -> Option<Instant> {
        [other, self.line_at, self.receive_at, self.quit_at].into_iter().flatten().min()
    }

    pub(super) fn is_done(&self) -> bool {
        self.finished && (self.signalled.is_some() || !self.output_pending())
    }

    /// Ends the run: returns the signal that killed it, or closes the standard streams.
    pub(super) fn finish(mut self) -> Option<Signal> {
        if self.signalled.is_none() {
            self.close_input();
            let output = std::mem::replace(&mut self.output, StdStream::Closed);
            self.close(output);
        }
        self.signalled
    }

    /// Reads a signal, if there is one, which ends the run.
    pub(super) fn on_signal(&mut self, token: Token) -> Result<(), CliError> {
        let Some((_, mut io)) = self.reactor.get_mut(token) else { return Ok(()) };
        let signals = read_signals(|records| io.syscall(|kernel, fd| kernel.read(fd, records)));
        self.signalled = signals.first().copied();
        self.finished |= self.signalled.is_some();
        self.arm(token, Interest::READABLE)
    }
}
