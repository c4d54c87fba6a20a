//! What both loops work on: the reactor, the input with its lines, and the output with what it
//! is owed.
//!
//! Everything is registered one-shot and armed for exactly what is wanted now. An event disarms;
//! whoever has served it arms again if there is still something to be wanted. So nothing that has
//! hung up, and cannot be masked, is reported while nobody wants to hear it.

use std::time::Duration;

use epollite::kernel::release;
use epollite::reactor::Reason;
use epollite::{Event, Fd, Instant, Interest, Kernel, Owed, Reactor, Token, Trigger};

use super::End;
use super::lines::Lines;
use super::peer::Peer;
use super::say;
use super::stdio::{PIPE_BUF, Stdio, Stream};
use crate::args::Nc;
use crate::failure::Failure;
use crate::log;
use epollite::{Errno, Signal};

/// Bytes read at once. Past this, a larger buffer does not show any more.
const CHUNK_BYTES: usize = 256 << 10;

/// As much as a pipe holds: more would only be copied to wait.
const PIPE_BYTES: usize = 64 << 10;

/// One registration.
#[derive(Debug)]
pub(super) struct Entry {
    role: Role,
    /// Of a connection.
    pub(super) peer: Option<Box<Peer>>,
    /// What it is armed for; nothing once it has fired.
    armed: Interest,
}

/// Who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Connecting, or being looked at by `-z`.
    Dialling,
    Input,
    Output,
    Door,
    Signals,
    /// A connection.
    Peer,
    /// The socket of datagrams.
    Letters,
}

impl Entry {
    pub(super) const fn dialling() -> Self {
        Self { role: Role::Dialling, peer: None, armed: Interest::NONE }
    }
}

/// Where one of the standard streams is.
#[derive(Debug)]
enum Held {
    /// In the reactor.
    Waited { token: Token, is_nonblocking: bool },
    /// Here: always ready, and nothing to wait for.
    Always(Fd),
    /// Ended, or not wanted.
    Gone,
}

/// What reading the input brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    Bytes(usize),
    Nothing,
    End,
}

pub(super) struct Desk<'a, K: Kernel> {
    pub(super) reactor: Reactor<Entry, K>,
    pub(super) options: &'a Nc,
    pub(super) lines: Lines,
    /// The next line may go then (`-i`).
    pub(super) line_at: Option<Instant>,
    /// The next chunk may be read from the network then (`-i`).
    pub(super) receive_at: Option<Instant>,
    /// It is over then (`-q`).
    pub(super) quit_at: Option<Instant>,
    /// Reads from the network so far.
    received: u64,
    /// Everything that is read is read into this.
    pub(super) buf: Vec<u8>,
    input: Held,
    output: Held,
    owed: Owed,
    /// How many bytes the output takes at once.
    pub(super) output_bytes: usize,
}

impl<'a, K: Kernel> Desk<'a, K> {
    /// Takes the standard streams over. Nothing is read before somebody arms for it.
    pub(super) fn new(options: &'a Nc, kernel: K, stdio: Stdio) -> Result<Self, Failure> {
        let reactor = Reactor::on(kernel).map_err(|errno| say::broken("epoll_create1", errno))?;
        let mut desk = Self {
            reactor,
            options,
            lines: Lines::new(options.crlf, options.interval.is_some()),
            line_at: None,
            receive_at: None,
            quit_at: None,
            received: 0,
            buf: vec![0; CHUNK_BYTES],
            input: Held::Gone,
            output: Held::Gone,
            owed: Owed::new(),
            output_bytes: CHUNK_BYTES,
        };
        desk.input = desk.hold(stdio.input, Role::Input)?;
        desk.output = desk.hold(stdio.output, Role::Output)?;
        if let Held::Waited { .. } = desk.output {
            desk.output_bytes = PIPE_BYTES;
        }
        Ok(desk)
    }

    fn hold(&mut self, stream: Stream, role: Role) -> Result<Held, Failure> {
        let Stream { fd, is_nonblocking } = stream;
        let entry = Entry { role, peer: None, armed: Interest::NONE };
        // One-shot and for nothing: what has hung up already says so once, unasked.
        match self.reactor.register(fd, Interest::NONE, Trigger::OneShot, entry) {
            Ok(token) => Ok(Held::Waited { token, is_nonblocking }),
            Err(refused) if refused.reason == Reason::Kernel(Errno::EPERM) => {
                Ok(Held::Always(refused.fd))
            }
            Err(refused) => {
                release(self.reactor.kernel(), refused.fd);
                let line = format!("epoll_ctl: {}", refused.reason);
                Err(Failure::new(Failure::RUN, line))
            }
        }
    }

    /// Registers a socket of ours, armed for `interest`.
    pub(super) fn watch(
        &mut self,
        fd: Fd,
        interest: Interest,
        role: Role,
    ) -> Result<Token, Failure> {
        let entry = Entry { role, peer: None, armed: interest };
        self.register(fd, interest, entry)
    }

    /// Registers a connection, armed for nothing yet.
    pub(super) fn welcome(&mut self, fd: Fd, peer: Peer) -> Result<Token, Failure> {
        let peer = Some(Box::new(peer));
        let entry = Entry { role: Role::Peer, peer, armed: Interest::NONE };
        self.register(fd, Interest::NONE, entry)
    }

    fn register(&mut self, fd: Fd, interest: Interest, entry: Entry) -> Result<Token, Failure> {
        let registered = self.reactor.register_or_close(fd, interest, Trigger::OneShot, entry);
        registered.map_err(|reason| Failure::new(Failure::RUN, format!("epoll_ctl: {reason}")))
    }

    pub(super) fn watch_signals(&mut self, signalfd: Fd) -> Result<(), Failure> {
        self.watch(signalfd, Interest::READABLE, Role::Signals).map(drop)
    }

    /// Arms a registration for what is wanted now. Nothing wanted needs no call: at most one
    /// event comes that nobody serves.
    pub(super) fn arm(&mut self, token: Token, wanted: Interest) -> Result<(), Failure> {
        let Some(mut source) = self.reactor.source(token) else { return Ok(()) };
        if wanted == Interest::NONE || source.state.armed == wanted {
            return Ok(());
        }
        let armed = source.io.rearm(wanted, Trigger::OneShot);
        source.state.armed = wanted;
        armed.map_err(|reason| Failure::new(Failure::RUN, format!("epoll_ctl: {reason}")))
    }

    /// The next event, told under `-vv` and disarmed.
    pub(super) fn next(&mut self, deadline: Option<Instant>) -> Result<Option<Event>, Failure> {
        let event = self.reactor.next(deadline);
        let event = event.map_err(|errno| say::broken("epoll_wait", errno))?;
        if let Some(Event::Io { token, ready }) = event
            && let Some(source) = self.reactor.source(token)
        {
            if self.options.verbosity > 1 {
                let (fd, who) = (source.io.fd, source.state.name());
                let bits = ready.bits();
                let line = format!("epoll: token {token}, fd {fd}, {who}: {ready} ({bits:#x})\n");
                log::err(&line);
            }
            source.state.armed = Interest::NONE;
        }
        Ok(event)
    }

    /// Who it is that an event came for.
    pub(super) fn role(&mut self, token: Token) -> Option<Role> {
        self.reactor.source(token).map(|source| source.state.role)
    }

    pub(super) fn now(&mut self) -> Instant {
        self.reactor.kernel().now()
    }

    pub(super) fn after(&mut self, span: Duration) -> Instant {
        self.now() + span
    }

    // The input.

    pub(super) const fn input_is_gone(&self) -> bool {
        matches!(self.input, Held::Gone)
    }

    /// Wants to hear of the input; true if it need not be waited for.
    pub(super) fn arm_input(&mut self) -> Result<bool, Failure> {
        match self.input {
            Held::Waited { token, .. } => self.arm(token, Interest::READABLE).map(|()| false),
            Held::Always(_) => Ok(true),
            Held::Gone => Ok(false),
        }
    }

    /// Whether a second read in a row would not wait.
    pub(super) const fn input_is_patient(&self) -> bool {
        matches!(self.input, Held::Waited { is_nonblocking: true, .. })
    }

    /// Reads the input into the buffer, at most `bytes_max`.
    pub(super) fn read_input(&mut self, bytes_max: usize) -> Read {
        let len = self.buf.len().min(bytes_max);
        let buf = &mut self.buf[..len];
        let result = match &self.input {
            Held::Waited { token, .. } => match self.reactor.source(*token) {
                Some(source) => source.io.kernel.read(source.io.fd, buf),
                None => Ok(0),
            },
            Held::Always(fd) => self.reactor.kernel().read(fd, buf),
            Held::Gone => Ok(0),
        };
        match result {
            Ok(0) => Read::End,
            Ok(count) => Read::Bytes(count),
            Err(errno) if errno.would_block() || errno.interrupted() => Read::Nothing,
            // A terminal that has gone (EIO), a folder (EISDIR): nothing comes any more.
            Err(_) => Read::End,
        }
    }

    /// Nothing more is read from the input.
    pub(super) fn close_input(&mut self) {
        let input = std::mem::replace(&mut self.input, Held::Gone);
        self.close(input);
    }

    /// A standard stream has duplicates, ours and others': the epoll is told first.
    fn close(&mut self, held: Held) {
        let fd = match held {
            Held::Waited { token, .. } => self.reactor.deregister(token).map(|(fd, _)| fd),
            Held::Always(fd) => Some(fd),
            Held::Gone => None,
        };
        if let Some(fd) = fd {
            // A file's last write may fail here; the output says so when it is closed by name.
            release(self.reactor.kernel(), fd);
        }
    }

    // The output.

    pub(super) const fn owes_output(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Writes to the output what it takes now, and owes it the rest: bounded, since who calls
    /// reads nothing more before it is paid. False when nobody reads it any more.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let is_waited = matches!(self.output, Held::Waited { is_nonblocking: false, .. });
        // What may wait takes a little, when epoll says so.
        let gone = if self.owes_output() || is_waited { Some(0) } else { self.write(bytes)? };
        let Some(gone) = gone else { return Ok(false) };
        let _ = self.owed.owe(&bytes[gone..], usize::MAX);
        self.arm_output()?;
        Ok(true)
    }

    /// The output has room. False when nobody reads it any more.
    pub(super) fn pay_output(&mut self) -> Result<bool, Failure> {
        let owed = std::mem::take(&mut self.owed);
        let is_waited = matches!(self.output, Held::Waited { is_nonblocking: false, .. });
        let len = if is_waited { owed.len().min(PIPE_BUF) } else { owed.len() };
        // Who does not read any more is owed nothing any more: the debt goes with what was taken.
        let Some(paid) = self.write(&owed.bytes()[..len])? else { return Ok(false) };
        self.owed = owed;
        self.owed.paid(paid);
        self.arm_output()?;
        Ok(true)
    }

    fn arm_output(&mut self) -> Result<(), Failure> {
        match self.output {
            Held::Waited { token, .. } if self.owes_output() => self.arm(token, Interest::WRITABLE),
            _ => Ok(()),
        }
    }

    /// Writes until there is no more room, once if a write may wait. `None`: nobody reads.
    fn write(&mut self, bytes: &[u8]) -> Result<Option<usize>, Failure> {
        let mut gone = 0;
        while gone < bytes.len() {
            let rest = &bytes[gone..];
            let (result, is_last) = match &self.output {
                Held::Waited { token, is_nonblocking } => match self.reactor.source(*token) {
                    Some(source) => (source.io.kernel.write(source.io.fd, rest), !is_nonblocking),
                    None => return Ok(None),
                },
                Held::Always(fd) => (self.reactor.kernel().write(fd, rest), false),
                Held::Gone => return Ok(None),
            };
            match result {
                Ok(0) => {
                    // Asked again it would take nothing again.
                    return Err(Failure::new(Failure::RUN, "write to stdout took nothing"));
                }
                Ok(count) => gone += count,
                Err(errno) if errno.interrupted() => {}
                Err(errno) if errno.would_block() => break,
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(None),
                Err(errno) => return Err(say::broken("write to stdout", errno)),
            }
            if is_last {
                break;
            }
        }
        Ok(Some(gone))
    }

    // What both loops decide alike.

    /// One more read from the network. True when it was the last that is wanted (`-W`).
    pub(super) fn count_received(&mut self) -> bool {
        self.received += 1;
        if let Some(interval) = self.options.interval {
            self.receive_at = Some(self.after(interval));
        }
        self.options.received_max.is_some_and(|max| self.received >= max)
    }

    /// Everything is put away: the end.
    pub(super) fn leave(mut self) -> Result<End, Failure> {
        self.close_input();
        let output = std::mem::replace(&mut self.output, Held::Gone);
        self.close(output);
        Ok(End::Done)
    }

    /// A signal has come, if it is one.
    pub(super) fn signal(&mut self, token: Token) -> Result<Option<Signal>, Failure> {
        let mut record = [0; epollite::kernel::SIGINFO_BYTES];
        let Some(source) = self.reactor.source(token) else { return Ok(None) };
        let read = source.io.kernel.read(source.io.fd, &mut record);
        let signal = read.ok().and_then(|len| Signal::from_siginfo(&record[..len]));
        self.arm(token, Interest::READABLE)?;
        Ok(signal)
    }
}

impl Entry {
    /// For people.
    fn name(&self) -> String {
        match self.role {
            Role::Dialling => "connecting".into(),
            Role::Input => "stdin".into(),
            Role::Output => "stdout".into(),
            Role::Door => "listener".into(),
            Role::Signals => "signals".into(),
            Role::Peer => {
                let addr = self.peer.as_ref().map(|peer| say::place(&peer.addr));
                format!("peer {}", addr.unwrap_or_default())
            }
            Role::Letters => "datagrams".into(),
        }
    }
}
