//! A small echo server on the reactor into which one bug can be seeded, each an omission that is
//! easily made.
//!
//! Without a bug it satisfies every invariant. It shows what a server has to handle, each in one
//! place.

use core::mem::take;
use core::time::Duration;

use epollite::event::Ready;
use epollite::kernel::Shutdown;
use epollite::kernel::{Resource, Rlimit};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Event, Fd, Interest, Kernel, Reactor, Received, Sent};
use epollite::{Token, Trigger};

use super::workload::{ServerUnderTest, Totals};

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

/// The server's configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) trigger: Trigger,
    pub(crate) buffer_bytes: usize,
    /// Bytes read from one connection before the others are served.
    pub(crate) budget_bytes: usize,
    /// Whether a connection that has used up its budget is paused for a while.
    pub(crate) pauses: bool,
    /// Whether every connection is duplicated, as if passed to a child process.
    pub(crate) shares_duplicates: bool,
    pub(crate) descriptors_max: u64,
}

/// How long a connection is paused.
const HOLD: Duration = Duration::from_secs(1);

enum Role {
    Listener,
    Connection(Connection),
}

#[derive(Default)]
struct Connection {
    unsent: Vec<u8>,
    has_ended: bool,
    is_held: bool,
}

pub(crate) struct BuggyServer {
    reactor: Reactor<Role, Sim>,
    bug: Option<Bug>,
    setup: Setup,
    /// The listener, while it is paused.
    paused: Option<Token>,
    duplicates: Vec<Fd>,
    done: Totals,
}

impl BuggyServer {
    /// A server in a process of its own, and its address.
    pub(crate) fn new(mut process: Sim, setup: Setup, bug: Option<Bug>) -> (Self, Addr) {
        let most = Rlimit { soft: setup.descriptors_max, hard: setup.descriptors_max };
        process.prlimit(Resource::Nofile, Some(most)).unwrap();
        let mut reactor = Reactor::with_kernel(process).unwrap();
        let addr = "127.0.0.1:7777".parse().unwrap();
        let (listener, addr) =
            bind_stream(reactor.kernel(), &addr, PortSharing::Exclusive).unwrap();
        let listener =
            reactor.register(listener, Interest::READABLE, Trigger::Level, Role::Listener);
        assert!(listener.is_ok(), "the first registration has a free slot");
        let (paused, duplicates, done) = (None, Vec::new(), Totals::default());
        (Self { reactor, bug, setup, paused, duplicates, done }, addr)
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
        while let Some((_, mut io)) = self.reactor.get_mut(listener) {
            match io.accept() {
                Ok(Some((socket, _))) => self.add_connection(socket),
                Err(errno) if errno.is_resource_exhausted() => {
                    if self.bug != Some(Bug::ListenerNotPaused) {
                        io.modify(Interest::NONE, Trigger::Level).unwrap();
                        self.paused = Some(listener);
                    }
                    return;
                }
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn add_connection(&mut self, socket: Fd) {
        if self.setup.shares_duplicates {
            let dup = self.reactor.kernel().dup(&socket);
            self.duplicates.push(dup.expect("the limit allows for duplicates"));
        }
        let interest = self.interest(false);
        let role = Role::Connection(Connection::default());
        let token = self.reactor.register_or_close(socket, interest, self.setup.trigger, role);
        assert!(token.is_ok(), "there is room");
        self.done.accepted += 1;
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
            interest = interest | Interest::WRITABLE;
        }
        interest
    }

    /// Serves one connection, then registers what it needs next.
    fn on_ready(&mut self, token: Token, ready: Ready) -> Result<Next, Errno> {
        let Some((state, _)) = self.reactor.get_mut(token) else { return Ok(Next::KeepOpen) };
        let Role::Connection(connection) = state else { return Ok(Next::KeepOpen) };
        if self.bug == Some(Bug::HangUpIgnored) && connection.is_held {
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
        let Self { reactor, bug, setup, done, .. } = self;
        let (state, io) = reactor.get_mut(token).expect("the token is live");
        let (Role::Connection(connection), mut io) = (state, io) else {
            return Ok(Next::KeepOpen);
        };
        let is_edge = setup.trigger == Trigger::Edge;
        let mut budget_bytes = setup.budget_bytes;
        let mut is_enough = false;
        loop {
            if !connection.unsent.is_empty() {
                let Sent::Bytes(count) = io.send(&connection.unsent)? else {
                    return Ok(Next::KeepOpen);
                };
                done.bytes_out += count as u64;
                connection.unsent.drain(..count);
                if *bug == Some(Bug::ShortSendForgotten) {
                    connection.unsent.clear();
                }
                continue;
            }
            if connection.has_ended {
                return Ok(Next::Close);
            }
            if is_enough {
                return Ok(Next::KeepOpen);
            }
            if budget_bytes == 0 {
                if is_edge && *bug != Some(Bug::BudgetNotRequeued) {
                    io.requeue(ready);
                }
                return Ok(if setup.pauses { Next::Pause } else { Next::KeepOpen });
            }
            let mut buf = vec![0; setup.buffer_bytes.min(budget_bytes)];
            match io.recv(&mut buf)? {
                Received::WouldBlock => return Ok(Next::KeepOpen),
                Received::Eof => connection.has_ended = true,
                Received::Bytes(count) => {
                    done.bytes_in += count as u64;
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
        io.modify(Interest::NONE, self.setup.trigger).unwrap();
        let until = io.now() + HOLD;
        io.set_deadline(until);
        if let Role::Connection(connection) = state {
            connection.is_held = true;
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
        let trigger = self.setup.trigger;
        let (_, mut io) = self.reactor.get_mut(token).expect("the token is live");
        let is_disarmed = matches!(trigger, Trigger::OneShot | Trigger::EdgeOneShot);
        if is_disarmed || !io.is_registered_for(interest, trigger) {
            io.modify(interest, trigger).unwrap();
            self.done.changes += 1;
        }
    }

    fn close_connection(&mut self, token: Token) {
        let (_, mut io) = self.reactor.get_mut(token).expect("the token is live");
        // A duplicate would keep the connection open.
        let _ = io.shutdown(Shutdown::Both);
        if (self.setup.shares_duplicates && !self.has(Bug::DeleteForgotten))
            || self.has(Bug::CloseForgotten)
        {
            let (fd, _) = self.reactor.deregister(token).expect("the token is live");
            if !self.has(Bug::CloseForgotten) {
                self.reactor.kernel().close(fd).unwrap();
            }
        } else {
            self.reactor.close(token);
        }
        self.done.closed += 1;
        if let Some(listener) = take(&mut self.paused) {
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
    fn run_once(&mut self) -> u64 {
        let (now, stale) = (self.reactor.kernel().now(), self.reactor.stale_events());
        let mut handled = 0;
        let mut event = self.reactor.next(Some(now)).expect("the wait succeeds");
        while let Some(this) = event {
            match this {
                Event::Io { token, ready } => {
                    handled += 1;
                    self.serve(token, ready);
                }
                Event::Timer { token } => {
                    self.done.changes += 1;
                    if let Some((state, _)) = self.reactor.get_mut(token)
                        && let Role::Connection(connection) = state
                    {
                        connection.is_held = false;
                    }
                    self.update_interest(token);
                }
                Event::Woken => unreachable!("there is no waker"),
            }
            event = self.reactor.try_next();
        }
        handled + (self.reactor.stale_events() - stale)
    }

    fn done(&self) -> Totals {
        self.done
    }

    fn stale(&self) -> u64 {
        self.reactor.stale_events()
    }
}

impl Drop for BuggyServer {
    fn drop(&mut self) {
        for dup in take(&mut self.duplicates) {
            self.reactor.kernel().close(dup).unwrap();
        }
    }
}
