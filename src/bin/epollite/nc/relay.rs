//! The loop of streams: one connection or many, to stdout and from stdin, or to each other.
//!
//! Knows bytes and ends; how the socket came to be is not its affair. One reads only what the
//! other has room for: while the output owes, no connection is read, and while a connection is
//! owed, the input is not. So what is held is one chunk each way. Here connections come and go;
//! what they say and are told is in `relay/traffic.rs`.

mod traffic;

use std::time::Duration;

use epollite::{Addr, Event, Fd, Instant, Interest, Kernel, Owed, Ready, Signal, Token};

use super::desk::{Desk, Role};
use super::peer::Peer;
use super::{End, say};
use crate::args::Mode;
use crate::failure::Failure;

/// Connections accepted at once.
const ACCEPTS_MAX: u32 = 64;

/// Out of descriptors, nobody is let in for so long.
const DOOR_PAUSE: Duration = Duration::from_millis(250);

struct Relay<'a, K: Kernel> {
    desk: Desk<'a, K>,
    mode: Mode,
    door: Option<Token>,
    /// The door is asked again then.
    door_at: Option<Instant>,
    peers: u32,
    /// How many of them are owed something.
    owing: u32,
    /// How many have ended their side and stay until the input falls silent.
    lingering: u32,
    guests: u64,
    is_over: bool,
    signalled: Option<Signal>,
}

/// Serves `socket`, a listener or a connection, until it is over.
pub(super) fn run<K: Kernel>(mut desk: Desk<'_, K>, socket: Fd) -> Result<End, Failure> {
    let mode = desk.options.mode;
    if matches!(mode, Mode::Echo | Mode::Discard) {
        desk.close_input();
    }
    let mut relay = Relay {
        desk,
        mode,
        door: None,
        door_at: None,
        peers: 0,
        owing: 0,
        lingering: 0,
        guests: 0,
        is_over: false,
        signalled: None,
    };
    if relay.desk.options.is_listening {
        relay.door = Some(relay.desk.watch(socket, Interest::READABLE, Role::Door)?);
    } else {
        let addr = relay.desk.reactor.kernel().getpeername(&socket).unwrap_or(Addr::Unspec);
        relay.welcome(socket, addr)?;
    }
    while !relay.is_over || (relay.desk.owes_output() && relay.signalled.is_none()) {
        relay.turn()?;
    }
    match relay.signalled {
        Some(signal) => Ok(End::Signalled(signal)),
        None => relay.desk.leave(),
    }
}

impl<K: Kernel> Relay<'_, K> {
    fn turn(&mut self) -> Result<(), Failure> {
        let is_ready = self.wants_input() && self.desk.arm_input()?;
        let looks = is_ready || (self.lingering > 0 && self.owing == 0);
        let deadline = if looks { Some(Instant::ZERO) } else { self.earliest() };
        match self.desk.next(deadline)? {
            Some(Event::Io { token, ready }) => self.serve(token, ready)?,
            Some(Event::Timer { token }) => self.was_silent(token)?,
            Some(Event::Woken) => {}
            None if !is_ready && self.lingering > 0 => self.let_go()?,
            None => {}
        }
        if is_ready && self.wants_input() {
            self.read_input()?;
        }
        self.look_at_the_clock()
    }

    /// When something is due that no descriptor tells of.
    fn earliest(&self) -> Option<Instant> {
        let desk = &self.desk;
        [self.door_at, desk.line_at, desk.receive_at, desk.quit_at].into_iter().flatten().min()
    }

    fn look_at_the_clock(&mut self) -> Result<(), Failure> {
        if self.earliest().is_none() {
            return Ok(());
        }
        let now = self.desk.now();
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.desk.quit_at) {
            self.is_over = true;
        }
        if due(&mut self.door_at)
            && let Some(door) = self.door
        {
            self.desk.arm(door, Interest::READABLE)?;
        }
        if due(&mut self.desk.receive_at) {
            self.arm_all()?;
        }
        if due(&mut self.desk.line_at) {
            self.send_lines()?;
        }
        Ok(())
    }

    fn serve(&mut self, token: Token, ready: Ready) -> Result<(), Failure> {
        let Some(role) = self.desk.role(token) else { return Ok(()) };
        match role {
            Role::Input if self.wants_input() => self.read_input(),
            Role::Input | Role::Dialling | Role::Letters => Ok(()),
            Role::Door => self.accept(token),
            Role::Signals => {
                self.signalled = self.desk.signal(token)?;
                self.is_over |= self.signalled.is_some();
                Ok(())
            }
            Role::Output if !self.desk.owes_output() => {
                // Unasked: nobody reads it any more.
                self.is_over |= ready.is_error() && self.mode == Mode::Talk;
                Ok(())
            }
            Role::Output => {
                self.is_over |= !self.desk.pay_output()?;
                if self.is_over || self.desk.owes_output() { Ok(()) } else { self.arm_all() }
            }
            Role::Peer => self.serve_peer(token, ready),
        }
    }

    // Connections come and go.

    fn accept(&mut self, door: Token) -> Result<(), Failure> {
        for came in 1..=ACCEPTS_MAX {
            let is_last = came == ACCEPTS_MAX;
            let Some(mut source) = self.desk.reactor.source(door) else { return Ok(()) };
            match source.io.accept() {
                Ok(Some((socket, addr))) => {
                    let place = say::place(&addr);
                    say::remark(self.desk.options, &format!("Connection received on {place}"));
                    if !self.desk.options.keeps {
                        // Nobody else is served: whoever tries is to hear of it.
                        self.desk.reactor.close(door);
                        self.door = None;
                    }
                    self.welcome(socket, addr)?;
                }
                Ok(None) => break,
                // A firewall that refuses them all says so for ever.
                Err(errno) if errno.transient_accept() && !is_last => {}
                Err(errno) if errno.exhausted() || errno.transient_accept() => {
                    let line = format!("nobody is let in for a while: {}", say::errno(errno));
                    say::remark(self.desk.options, &line);
                    self.door_at = Some(self.desk.after(DOOR_PAUSE));
                    return Ok(());
                }
                Err(errno) => return Err(say::broken("accept", errno)),
            }
        }
        self.desk.arm(door, Interest::READABLE)
    }

    fn welcome(&mut self, socket: Fd, addr: Addr) -> Result<(), Failure> {
        self.guests += 1;
        let peer = Peer {
            addr,
            number: self.guests,
            owed: Owed::new(),
            unsent_bytes: 0,
            reads: true,
            writes: true,
            ends: false,
            lingers: false,
            line: Vec::new(),
        };
        // Armed when it is settled.
        let token = self.desk.welcome(socket, peer)?;
        self.peers += 1;
        self.is_alive(token);
        let has_ended = self.desk.input_is_gone() && self.desk.lines.is_empty();
        if has_ended && matches!(self.mode, Mode::Talk | Mode::Chat) {
            self.end_sending(token)?;
        }
        self.settle(token)
    }

    /// Moves the deadline of one that is not idle (`-w`).
    fn is_alive(&mut self, token: Token) {
        if let Some(patience) = self.desk.options.patience {
            let deadline = self.desk.after(patience);
            if let Some(mut source) = self.desk.reactor.source(token) {
                source.io.set_deadline(deadline);
            }
        }
    }

    /// It has said nothing for as long as it may. When it still takes what was sent to it, it has as
    /// long again: its send queue is all that tells.
    fn was_silent(&mut self, token: Token) -> Result<(), Failure> {
        let Some(source) = self.desk.reactor.source(token) else { return Ok(()) };
        let Some(peer) = source.state.peer.as_deref_mut() else { return Ok(()) };
        let in_queue = source.io.kernel.ioctl_outq(source.io.fd).unwrap_or(0);
        let unsent_bytes = in_queue + peer.owed.len();
        if unsent_bytes == 0 || unsent_bytes == peer.unsent_bytes {
            return self.part(token, "idle for too long");
        }
        peer.unsent_bytes = unsent_bytes;
        self.is_alive(token);
        Ok(())
    }

    /// Ends a connection whatever it is owed.
    fn part(&mut self, token: Token, why: &str) -> Result<(), Failure> {
        let Some(peer) = self.peer(token) else { return Ok(()) };
        let (is_owed, lingers) = (!peer.owed.is_empty(), peer.lingers);
        let place = say::place(&peer.addr);
        if !why.is_empty() {
            say::remark(self.desk.options, &format!("{place}: {why}"));
        }
        self.owing -= u32::from(is_owed);
        self.lingering -= u32::from(lingers);
        // It was accepted or made here, and never passed on.
        self.desk.reactor.close(token);
        self.peers -= 1;
        self.is_over |= !self.desk.options.keeps;
        if self.door_at.take().is_some()
            && let Some(door) = self.door
        {
            self.desk.arm(door, Interest::READABLE)?;
        }
        Ok(())
    }

    /// Those who have ended and whom nobody has anything more to say to.
    fn let_go(&mut self) -> Result<(), Failure> {
        for slot in 0..self.desk.reactor.slots() {
            if let Some(token) = self.desk.reactor.token_at(slot)
                && self.peer(token).is_some_and(|peer| peer.lingers && peer.owed.is_empty())
            {
                self.part(token, "")?;
            }
        }
        Ok(())
    }

    fn peer(&mut self, token: Token) -> Option<&mut Peer> {
        self.desk.reactor.source(token)?.state.peer.as_deref_mut()
    }
}
