//! A small echo server on the reactor into which one bug can be seeded, each an omission that is
//! easily made.
//!
//! Without a bug it satisfies every invariant. It shows what a server has to handle, each in one
//! place.

use core::time::Duration;

use epollite::event::Ready;
use epollite::kernel::Shutdown;
use epollite::server::stream::{Outcome, StreamStats};
use epollite::{Errno, Event, Fd, Instant, Interest, Kernel, Reactor, Received, Sent};
use epollite::{Token, Trigger};

use crate::scenario::config::ScenarioConfig;
use crate::scenario::server::{KernelUnderTest, ServerUnderTest};

/// The omission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bug {
    /// Edge mode: one read per event, as if the kernel reported the rest.
    EdgeWithoutDrain,
    /// Edge mode: a short read is taken for an empty socket, but RDHUP is not registered.
    ShortReadWithoutRdhup,
    /// Level mode: interest in writability while there is nothing to write.
    WritableKept,
    /// The unsent part of an echo after a short send is dropped.
    ShortSendForgotten,
    /// After the write buffer is flushed, read interest is not restored.
    InterestNotRestored,
    /// Edge mode: a source that stops at its budget is not requeued.
    BudgetNotRequeued,
    /// With empty interest a hang-up is ignored, although it is reported without interest.
    HangUpIgnored,
    /// Out of descriptors, the listener stays registered.
    ListenerNotPaused,
    /// A duplicate is open, and the registration is not deleted before the close.
    DeleteForgotten,
    /// The registration is deleted, and the descriptor stays open.
    CloseForgotten,
}

/// In level mode: how long a connection is paused that has used up its budget.
const PAUSE: Duration = Duration::from_millis(20);

enum Role {
    Listener,
    Connection(Connection),
}

#[derive(Default)]
struct Connection {
    unsent: Vec<u8>,
    got_eof: bool,
    is_paused: bool,
}

pub(crate) struct BuggyServer {
    reactor: Reactor<Role, KernelUnderTest>,
    bug: Option<Bug>,
    trigger: Trigger,
    buffer_bytes: usize,
    /// Bytes read from one connection before the others are served.
    budget_bytes: usize,
    /// The listener, while it is paused.
    paused: Option<Token>,
    /// A duplicate of the newest connection, as if it were passed to a child process.
    duplicate: Option<Fd>,
    is_draining: bool,
    stats: StreamStats,
}

impl BuggyServer {
    pub(crate) fn new(
        kernel: KernelUnderTest,
        config: &ScenarioConfig,
        bug: Option<Bug>,
    ) -> Result<Self, Errno> {
        let &ScenarioConfig { trigger, buffer_bytes, budget_bytes, .. } = config;
        Ok(Self {
            reactor: Reactor::with_kernel(kernel)?,
            bug,
            trigger,
            buffer_bytes,
            budget_bytes,
            paused: None,
            duplicate: None,
            is_draining: false,
            stats: StreamStats::default(),
        })
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn serve(&mut self, token: Token, ready: Ready) {
        let Some((state, _)) = self.reactor.get_mut(token) else { return };
        if matches!(state, Role::Listener) {
            self.accept(token);
        } else if self.on_ready(token, ready) != Ok(Next::KeepOpen) {
            self.close_connection(token);
        }
    }

    fn accept(&mut self, listener: Token) {
        self.close_duplicate();
        while let Some((_, mut io)) = self.reactor.get_mut(listener) {
            match io.accept() {
                Ok(Some((socket, _))) => self.add_connection(socket),
                Ok(None) => return,
                Err(errno) if errno.is_resource_exhausted() => {
                    if self.bug != Some(Bug::ListenerNotPaused) {
                        io.modify(Interest::NONE, Trigger::Level).unwrap();
                        self.paused = Some(listener);
                    }
                    return;
                }
                Err(_) => self.stats.aborted += 1,
            }
        }
    }

    fn add_connection(&mut self, socket: Fd) {
        self.close_duplicate();
        self.duplicate = self.reactor.kernel().dup(&socket).ok();
        let interest = self.interest(false);
        let role = Role::Connection(Connection::default());
        let token = self.reactor.register_or_close(socket, interest, self.trigger, role);
        assert!(token.is_ok(), "there is room");
        self.stats.accepted += 1;
    }

    fn close_duplicate(&mut self) {
        if let Some(duplicate) = self.duplicate.take() {
            self.reactor.kernel().close(duplicate).unwrap();
        }
    }

    /// The interest to register.
    fn interest(&self, has_unsent: bool) -> Interest {
        let mut interest = Interest::READABLE | Interest::PRIORITY | Interest::READ_CLOSED;
        if has_unsent {
            return Interest::WRITABLE;
        }
        if self.has(Bug::ShortReadWithoutRdhup) {
            interest = Interest::READABLE | Interest::PRIORITY;
        }
        if self.has(Bug::WritableKept) {
            interest |= Interest::WRITABLE;
        }
        interest
    }

    /// Serves one connection, then registers what it needs next.
    fn on_ready(&mut self, token: Token, ready: Ready) -> Result<Next, Errno> {
        let Some((state, _)) = self.reactor.get_mut(token) else { return Ok(Next::KeepOpen) };
        let Role::Connection(connection) = state else { return Ok(Next::KeepOpen) };
        if self.bug == Some(Bug::HangUpIgnored) && connection.is_paused {
            return Ok(Next::KeepOpen);
        }
        if ready.is_hup() || ready.is_error() {
            return Ok(Next::Close);
        }
        let next = self.pump(token, ready)?;
        match next {
            Next::Close => return Ok(Next::Close),
            Next::Pause => self.pause(token),
            Next::KeepOpen => self.update_interest(token),
        }
        Ok(Next::KeepOpen)
    }

    fn pump(&mut self, token: Token, ready: Ready) -> Result<Next, Errno> {
        let Self { reactor, bug, trigger, buffer_bytes, stats, .. } = self;
        let (state, io) = reactor.get_mut(token).expect("the token is live");
        let (Role::Connection(connection), mut io) = (state, io) else {
            return Ok(Next::KeepOpen);
        };
        let is_edge = *trigger == Trigger::Edge;
        let mut budget_bytes = self.budget_bytes;
        let mut is_enough = false;
        loop {
            if !connection.unsent.is_empty() {
                let Sent::Bytes(count) = io.send(&connection.unsent)? else {
                    return Ok(Next::KeepOpen);
                };
                stats.bytes_out += count as u64;
                connection.unsent.drain(..count);
                if *bug == Some(Bug::ShortSendForgotten) {
                    connection.unsent.clear();
                }
                continue;
            }
            if connection.got_eof {
                return Ok(Next::Close);
            }
            if is_enough {
                return Ok(Next::KeepOpen);
            }
            if budget_bytes == 0 {
                if !is_edge {
                    return Ok(Next::Pause);
                }
                if *bug != Some(Bug::BudgetNotRequeued) {
                    io.requeue(ready);
                }
                return Ok(Next::KeepOpen);
            }
            let mut buf = vec![0; budget_bytes.min(*buffer_bytes)];
            match io.recv(&mut buf)? {
                Received::WouldBlock => return Ok(Next::KeepOpen),
                Received::Eof => connection.got_eof = true,
                Received::Bytes(count) => {
                    stats.bytes_in += count as u64;
                    connection.unsent.extend_from_slice(&buf[..count]);
                    budget_bytes -= count;
                    is_enough = if is_edge {
                        let is_short = count < buf.len() && ready.short_read_means_empty();
                        is_short || *bug == Some(Bug::EdgeWithoutDrain)
                    } else {
                        budget_bytes > 0
                    };
                }
            }
        }
    }

    /// Paused until a deadline; events without interest are still reported.
    fn pause(&mut self, token: Token) {
        let (state, mut io) = self.reactor.get_mut(token).expect("the token is live");
        io.modify(Interest::NONE, self.trigger).unwrap();
        let until = io.now() + PAUSE;
        io.set_deadline(until);
        if let Role::Connection(connection) = state {
            connection.is_paused = true;
        }
    }

    fn update_interest(&mut self, token: Token) {
        let (state, _) = self.reactor.get_mut(token).expect("the token is live");
        let Role::Connection(connection) = state else { return };
        let has_unsent = !connection.unsent.is_empty();
        let interest = self.interest(has_unsent);
        if self.has(Bug::InterestNotRestored) && !has_unsent {
            return;
        }
        let trigger = self.trigger;
        let (_, mut io) = self.reactor.get_mut(token).expect("the token is live");
        let is_disarmed = matches!(trigger, Trigger::OneShot | Trigger::EdgeOneShot);
        if is_disarmed || !io.is_registered_for(interest, trigger) {
            io.modify(interest, trigger).unwrap();
        }
    }

    fn close_connection(&mut self, token: Token) {
        let (_, mut io) = self.reactor.get_mut(token).expect("the token is live");
        // The duplicate would keep the connection open.
        let _ = io.shutdown(Shutdown::Both);
        if self.has(Bug::DeleteForgotten) {
            self.reactor.close(token);
        } else {
            let (fd, _) = self.reactor.deregister(token).expect("the token is live");
            if !self.has(Bug::CloseForgotten) {
                self.reactor.kernel().close(fd).unwrap();
            }
        }
        self.stats.closed += 1;
        if let Some(listener) = self.paused.take() {
            let (_, mut io) = self.reactor.get_mut(listener).expect("the listener stays");
            io.modify(Interest::READABLE, Trigger::Level).unwrap();
        }
    }
}

/// What to do with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    KeepOpen,
    Pause,
    Close,
}

impl ServerUnderTest for BuggyServer {
    fn add_listener(&mut self, listener: Fd) -> Result<(), Errno> {
        let (interest, trigger) = (Interest::READABLE, Trigger::Level);
        self.reactor.register_or_close(listener, interest, trigger, Role::Listener)?;
        Ok(())
    }

    fn run_once(&mut self, deadline: Instant) -> Result<Outcome, Errno> {
        if self.is_draining && self.connections() == 0 {
            return Ok(Outcome::Drained);
        }
        let mut event = self.reactor.next(Some(deadline))?;
        let outcome = if event.is_none() { Outcome::TimedOut } else { Outcome::Handled };
        while let Some(this) = event {
            match this {
                Event::Io { token, ready } => self.serve(token, ready),
                Event::Timer { token } => {
                    if let Some((Role::Connection(connection), _)) = self.reactor.get_mut(token) {
                        connection.is_paused = false;
                    }
                    self.update_interest(token);
                }
                Event::Woken => unreachable!("there is no waker"),
            }
            event = self.reactor.try_next();
        }
        Ok(outcome)
    }

    fn begin_shutdown(&mut self) {
        self.is_draining = true;
    }

    fn kernel(&mut self) -> &mut KernelUnderTest {
        self.reactor.kernel()
    }

    fn stats(&self) -> StreamStats {
        StreamStats { events_stale: self.reactor.stale_events(), ..self.stats }
    }

    fn buffered_bytes(&mut self) -> u64 {
        let tokens: Vec<_> =
            (0..self.reactor.slot_count()).filter_map(|slot| self.reactor.token_at(slot)).collect();
        let buffered = tokens.into_iter().map(|token| match self.reactor.get_mut(token) {
            Some((Role::Connection(connection), _)) => connection.unsent.len() as u64,
            _ => 0,
        });
        buffered.sum()
    }
}

impl Drop for BuggyServer {
    fn drop(&mut self) {
        self.close_duplicate();
    }
}
