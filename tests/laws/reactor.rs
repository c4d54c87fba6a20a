//! The laws of the reactor, against a naive one: eventfds that are written and read, deadlines
//! that pass, registrations that come and go; each round must bring exactly what is so.

use core::time::Duration;
use std::collections::BTreeSet;

use epollite::sim::Sim;
use epollite::{Event, Fd, Instant, Interest, Kernel, Reactor, Ready, Token, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

/// Registrations at once: under the events of one wait, so that a round is one wait.
const GUESTS_MAX: usize = 12;

/// What the naive reactor knows of one registration.
struct Guest {
    token: Token,
    trigger: Trigger,
    is_armed: bool,
    /// Written since it was last reported (edge).
    is_new: bool,
    count: u64,
    deadline: Option<Instant>,
    is_again: bool,
}

impl Guest {
    /// Whether the kernel reports it now.
    fn is_due(&self) -> bool {
        let is_edge = matches!(self.trigger, Trigger::Edge | Trigger::EdgeOneShot);
        self.is_armed && self.count > 0 && (self.is_new || !is_edge)
    }
}

/// Lives as `plan` says, two bytes a step.
///
/// # Panics
/// When a law is broken, with its name.
pub fn agrees_with_a_naive_one(plan: &[u8]) {
    let sim = Sim::default();
    let mut reactor = Reactor::on(sim.process()).expect("a fresh world has room");
    let (guests, gone, duplicates) = (Vec::new(), Vec::new(), Vec::new());
    let mut world = World { sim, guests, gone, duplicates, may_be_stale: false };
    for step in plan.chunks_exact(2) {
        let argument = usize::from(step[1]);
        match step[0] % 16 {
            0 | 1 => world.come(&mut reactor, TRIGGERS[argument % 4]),
            2 => world.go(&mut reactor, argument),
            3..=6 => world.write(&mut reactor, argument),
            7 | 8 => world.read(&mut reactor, argument),
            9 => world.rearm(&mut reactor, argument),
            10 => world.set_deadline(&mut reactor, argument),
            11 => world.again(&mut reactor, argument),
            12 if argument.is_multiple_of(2) => {
                world.close_with_a_duplicate(&mut reactor, argument)
            }
            12 => world.sim.advance(Duration::from_nanos(argument as u64)),
            _ => world.round(&mut reactor),
        }
    }
    world.round(&mut reactor);
    let is_right = world.may_be_stale || reactor.stale() == 0;
    assert!(is_right, "invariant: what is deregistered, and a closed level one, is not reported");
    for duplicate in world.duplicates {
        reactor.kernel().close(duplicate).expect("it is open");
    }
}

struct World {
    sim: Sim,
    guests: Vec<Guest>,
    gone: Vec<Token>,
    /// Duplicates of descriptors that were closed: what another thread's child holds.
    duplicates: Vec<Fd>,
    /// Whether one of them was not watched by level, so that it may be reported.
    may_be_stale: bool,
}

impl World {
    fn pick(&mut self, argument: usize) -> Option<&mut Guest> {
        let count = self.guests.len().max(1);
        self.guests.get_mut(argument % count)
    }

    fn come(&mut self, reactor: &mut Reactor<(), Sim>, trigger: Trigger) {
        if self.guests.len() == GUESTS_MAX {
            return;
        }
        let fd = reactor.kernel().eventfd(0).expect("room");
        let token = reactor.register_or_close(fd, Interest::READABLE, trigger, ()).expect("room");
        assert!(!self.gone.contains(&token), "law: a token is never given out twice");
        let deadline = None;
        let (is_armed, is_new, count, is_again) = (true, false, 0, false);
        self.guests.push(Guest { token, trigger, is_armed, is_new, count, deadline, is_again });
    }

    fn go(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        if self.guests.is_empty() {
            return;
        }
        let guest = self.guests.swap_remove(argument % self.guests.len());
        self.gone.push(guest.token);
        if argument.is_multiple_of(2) {
            assert!(reactor.close(guest.token).is_some());
        } else {
            let (fd, ()) = reactor.deregister(guest.token).expect("it lives");
            reactor.kernel().close(fd).expect("closing is taking");
        }
        assert!(reactor.source(guest.token).is_none(), "law: a stale token names nobody");
    }

    /// Closes one whose duplicate lives on, readable and written to again and again.
    fn close_with_a_duplicate(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        if self.guests.is_empty() {
            return;
        }
        let guest = self.guests.swap_remove(argument / 2 % self.guests.len());
        let source = reactor.source(guest.token).expect("it lives");
        let duplicate = source.io.kernel.dup(source.io.fd).expect("room");
        self.gone.push(guest.token);
        assert!(reactor.close(guest.token).is_some());
        self.duplicates.push(duplicate);
        self.may_be_stale |= guest.trigger != Trigger::Level;
        for duplicate in &self.duplicates {
            reactor.kernel().write(duplicate, &1u64.to_ne_bytes()).expect("far from the maximum");
        }
    }

    fn write(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        let Some(guest) = self.pick(argument) else { return };
        let source = reactor.source(guest.token).expect("it lives");
        source.io.kernel.write(source.io.fd, &1u64.to_ne_bytes()).expect("far from the maximum");
        guest.count += 1;
        guest.is_new = true;
    }

    fn read(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        let Some(guest) = self.pick(argument) else { return };
        let source = reactor.source(guest.token).expect("it lives");
        let read = source.io.kernel.read(source.io.fd, &mut [0; 8]);
        assert_eq!(read.is_ok(), guest.count > 0, "the model and the naive reactor have parted");
        guest.count = 0;
    }

    fn rearm(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        let Some(guest) = self.pick(argument) else { return };
        let mut source = reactor.source(guest.token).expect("it lives");
        source.io.rearm(Interest::READABLE, guest.trigger).expect("room");
        guest.is_armed = true;
        // Re-arming reports what is so already.
        guest.is_new = guest.count > 0;
    }

    fn set_deadline(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        let now = self.sim.now();
        let Some(guest) = self.pick(argument / 8) else { return };
        let mut source = reactor.source(guest.token).expect("it lives");
        if argument.is_multiple_of(8) {
            let had = source.io.cancel_deadline();
            assert_eq!(had, guest.deadline.take().is_some(), "law: a deadline is there or not");
        } else {
            let deadline = now + Duration::from_nanos(argument as u64);
            source.io.set_deadline(deadline);
            guest.deadline = Some(deadline);
        }
    }

    fn again(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        let Some(guest) = self.pick(argument) else { return };
        let mut source = reactor.source(guest.token).expect("it lives");
        source.io.again(Ready::READABLE);
        guest.is_again = true;
    }

    /// One wait and all that it brought, against what should have come.
    fn round(&mut self, reactor: &mut Reactor<(), Sim>) {
        let now = self.sim.now();
        let mut io = Vec::new();
        let mut timers = Vec::new();
        let mut event = reactor.next(Some(now)).expect("law: no errno ends the wait");
        while let Some(came) = event {
            match came {
                Event::Io { token, .. } => io.push(token),
                Event::Timer { token } => timers.push(token),
                Event::Woken => panic!("law: nobody is woken whom nobody wakes"),
            }
            event = reactor.pending();
        }
        let mut wanted: Vec<Token> = Vec::new();
        let mut wanted_timers = BTreeSet::new();
        for guest in &mut self.guests {
            let is_due = guest.is_due();
            if is_due {
                let is_oneshot = matches!(guest.trigger, Trigger::OneShot | Trigger::EdgeOneShot);
                guest.is_armed = !is_oneshot;
            }
            guest.is_new = false;
            // Once, even for two reasons.
            if core::mem::take(&mut guest.is_again) || is_due {
                wanted.push(guest.token);
            }
            if guest.deadline.is_some_and(|deadline| deadline <= now) {
                guest.deadline = None;
                wanted_timers.insert(guest.token);
            }
        }
        io.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(io, wanted, "law: a round brings what is so, each once");
        assert_eq!(timers.len(), wanted_timers.len(), "law: each deadline fires once");
        let timers: BTreeSet<Token> = timers.into_iter().collect();
        assert_eq!(timers, wanted_timers, "law: due deadlines fire, others do not");
    }
}
