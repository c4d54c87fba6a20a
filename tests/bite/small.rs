//! A small echo server on the reactor, in which one bug can be planted: each a thing that is
//! easily left out.
//!
//! Healthy, it keeps every law. It shows what a server has to think of, and in one place each.

use core::mem::take;
use core::time::Duration;

use epollite::kernel::{Limit, Resource};
use epollite::server::{Sharing, bind_stream};
use epollite::{Addr, Errno, Event, Fd, Interest, Kernel, Reactor, Ready, Received, Sent};
use epollite::{Shut, Sim, Token, Trigger};

use super::world::{Done, Serves};

/// What is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bug {
    /// Edge mode: one read an event, as if the kernel reminded.
    EdgeWithoutDrain,
    /// Edge mode: a short read is taken for an empty socket, but the peer's end is not watched.
    ShortReadWithoutRdhup,
    /// Level mode: room to write is watched when there is nothing to write.
    WritableKept,
    /// What the kernel did not take of an echo is forgotten.
    ShortSendForgotten,
    /// After the last owed byte was paid, reading is not watched again.
    InterestNotRestored,
    /// Edge mode: who stops at its budget does not ask to be served again.
    BudgetNotRequeued,
    /// While nothing is watched, nothing can have come: but a hang-up is reported unasked.
    HangUpIgnored,
    /// Out of descriptors, the listener is watched as before.
    ListenerNotPaused,
    /// A duplicate lives, and the registration is not deleted before the close.
    DeleteForgotten,
    /// The registration is deleted, and the descriptor stays open.
    CloseForgotten,
}

/// How the server serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) trigger: Trigger,
    pub(crate) buffer_bytes: usize,
    /// Bytes from one connection before the others have their turn.
    pub(crate) budget_bytes: usize,
    /// Whether who has used up its budget is not listened to for a while.
    pub(crate) holds: bool,
    /// Whether a duplicate of every connection is given away, to a child process say.
    pub(crate) lends: bool,
    pub(crate) descriptors_max: u64,
}

/// How long somebody is held.
const HOLD: Duration = Duration::from_secs(1);

enum Role {
    Door,
    Guest(Guest),
}

#[derive(Default)]
struct Guest {
    owed: Vec<u8>,
    has_ended: bool,
    is_held: bool,
}

pub(crate) struct Small {
    reactor: Reactor<Role, Sim>,
    bug: Option<Bug>,
    setup: Setup,
    /// The listener, while it is not asked.
    paused: Option<Token>,
    lent: Vec<Fd>,
    done: Done,
}

impl Small {
    /// A server in a process of its own, and where it listens.
    pub(crate) fn new(mut process: Sim, setup: Setup, bug: Option<Bug>) -> (Self, Addr) {
        let most = Limit { soft: setup.descriptors_max, hard: setup.descriptors_max };
        process.prlimit(Resource::OpenFiles, Some(most)).unwrap();
        let mut reactor = Reactor::on(process).unwrap();
        let addr = "127.0.0.1:7777".parse().unwrap();
        let (door, addr) = bind_stream(reactor.kernel(), &addr, Sharing::Alone).unwrap();
        let door = reactor.register(door, Interest::READABLE, Trigger::Level, Role::Door);
        assert!(door.is_ok(), "the first registration has room");
        let (paused, lent, done) = (None, Vec::new(), Done::default());
        (Self { reactor, bug, setup, paused, lent, done }, addr)
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn serve(&mut self, token: Token, ready: Ready) {
        let Some(source) = self.reactor.source(token) else { return };
        if matches!(source.state, Role::Door) {
            self.accept(token);
        } else if self.attend(token, ready) != Ok(Next::Stays) {
            self.farewell(token);
        }
    }

    fn accept(&mut self, door: Token) {
        while let Some(mut source) = self.reactor.source(door) {
            match source.io.accept() {
                Ok(Some((socket, _))) => self.welcome(socket),
                Err(errno) if errno.exhausted() => {
                    if self.bug != Some(Bug::ListenerNotPaused) {
                        source.io.rearm(Interest::NONE, Trigger::Level).unwrap();
                        self.paused = Some(door);
                    }
                    return;
                }
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn welcome(&mut self, socket: Fd) {
        if self.setup.lends {
            let dup = self.reactor.kernel().dup(&socket);
            self.lent.push(dup.expect("who lends has descriptors to spare"));
        }
        let interest = self.interest(false);
        let role = Role::Guest(Guest::default());
        let token = self.reactor.register_or_close(socket, interest, self.setup.trigger, role);
        assert!(token.is_ok(), "there is room");
        self.done.accepted += 1;
    }

    /// What to wait for.
    fn interest(&self, owes: bool) -> Interest {
        let mut interest = Interest::READABLE | Interest::PRIORITY | Interest::READ_CLOSED;
        if owes {
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

    /// Serves one connection, then waits for what it needs next.
    fn attend(&mut self, token: Token, ready: Ready) -> Result<Next, Errno> {
        let Some(source) = self.reactor.source(token) else { return Ok(Next::Stays) };
        let Role::Guest(guest) = source.state else { return Ok(Next::Stays) };
        if self.bug == Some(Bug::HangUpIgnored) && guest.is_held {
            return Ok(Next::Stays);
        }
        if ready.is_hup() || ready.is_error() {
            return Ok(Next::Goes);
        }
        let next = self.converse(token, ready)?;
        match next {
            Next::Goes => return Ok(Next::Goes),
            Next::Held => self.hold(token),
            Next::Stays => self.settle(token),
        }
        Ok(Next::Stays)
    }

    fn converse(&mut self, token: Token, ready: Ready) -> Result<Next, Errno> {
        let Self { reactor, bug, setup, done, .. } = self;
        let source = reactor.source(token).expect("it lives");
        let (Role::Guest(guest), mut io) = (source.state, source.io) else {
            return Ok(Next::Stays);
        };
        let is_edge = setup.trigger == Trigger::Edge;
        let mut budget_bytes = setup.budget_bytes;
        let mut is_enough = false;
        loop {
            if !guest.owed.is_empty() {
                let Sent::Bytes(count) = io.send(&guest.owed)? else { return Ok(Next::Stays) };
                done.bytes_out += count as u64;
                guest.owed.drain(..count);
                if *bug == Some(Bug::ShortSendForgotten) {
                    guest.owed.clear();
                }
                continue;
            }
            if guest.has_ended {
                return Ok(Next::Goes);
            }
            if is_enough {
                return Ok(Next::Stays);
            }
            if budget_bytes == 0 {
                if is_edge && *bug != Some(Bug::BudgetNotRequeued) {
                    io.again(ready);
                }
                return Ok(if setup.holds { Next::Held } else { Next::Stays });
            }
            let mut buf = vec![0; setup.buffer_bytes.min(budget_bytes)];
            match io.recv(&mut buf)? {
                Received::Nothing => return Ok(Next::Stays),
                Received::End => guest.has_ended = true,
                Received::Bytes(count) => {
                    done.bytes_in += count as u64;
                    guest.owed.extend_from_slice(&buf[..count]);
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

    /// Not listened to until a deadline; what comes unasked comes all the same.
    fn hold(&mut self, token: Token) {
        let mut source = self.reactor.source(token).expect("it lives");
        source.io.rearm(Interest::NONE, self.setup.trigger).unwrap();
        let until = source.io.kernel.now() + HOLD;
        source.io.set_deadline(until);
        if let Role::Guest(guest) = source.state {
            guest.is_held = true;
        }
    }

    fn settle(&mut self, token: Token) {
        let source = self.reactor.source(token).expect("it lives");
        let Role::Guest(guest) = source.state else { return };
        let owes = !guest.owed.is_empty();
        let interest = self.interest(owes);
        if self.has(Bug::InterestNotRestored) && !owes {
            return;
        }
        let trigger = self.setup.trigger;
        let mut source = self.reactor.source(token).expect("it lives");
        let is_disarmed = matches!(trigger, Trigger::OneShot | Trigger::EdgeOneShot);
        if is_disarmed || !source.io.watches(interest, trigger) {
            source.io.rearm(interest, trigger).unwrap();
            self.done.changes += 1;
        }
    }

    fn farewell(&mut self, token: Token) {
        let mut source = self.reactor.source(token).expect("it lives");
        // A duplicate would keep the connection open.
        let _ = source.io.shutdown(Shut::Both);
        if (self.setup.lends && !self.has(Bug::DeleteForgotten)) || self.has(Bug::CloseForgotten) {
            let (fd, _) = self.reactor.deregister(token).expect("it lives");
            if !self.has(Bug::CloseForgotten) {
                self.reactor.kernel().close(fd).unwrap();
            }
        } else {
            self.reactor.close(token);
        }
        self.done.closed += 1;
        if let Some(door) = take(&mut self.paused) {
            let mut door = self.reactor.source(door).expect("the door stays");
            door.io.rearm(Interest::READABLE, Trigger::Level).unwrap();
        }
    }
}

/// What is to become of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Stays,
    Held,
    Goes,
}

impl Serves for Small {
    fn turn(&mut self) -> u64 {
        let (now, stale) = (self.reactor.kernel().now(), self.reactor.stale());
        let mut came = 0;
        let mut event = self.reactor.next(Some(now)).expect("asking does not fail");
        while let Some(this) = event {
            match this {
                Event::Io { token, ready } => {
                    came += 1;
                    self.serve(token, ready);
                }
                Event::Timer { token } => {
                    self.done.changes += 1;
                    if let Some(source) = self.reactor.source(token)
                        && let Role::Guest(guest) = source.state
                    {
                        guest.is_held = false;
                    }
                    self.settle(token);
                }
                Event::Woken => unreachable!("nobody has a waker"),
            }
            event = self.reactor.pending();
        }
        came + (self.reactor.stale() - stale)
    }

    fn done(&self) -> Done {
        self.done
    }

    fn stale(&self) -> u64 {
        self.reactor.stale()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        for dup in take(&mut self.lent) {
            self.reactor.kernel().close(dup).unwrap();
        }
    }
}
