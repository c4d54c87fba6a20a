//! Properties of the reactor, compared with a naive model: eventfds that are written and read,
//! deadlines that pass, registrations added and removed; each round must report exactly the current
//! state.

use core::time::Duration;
use std::collections::BTreeSet;

use epollite::event::Ready;
use epollite::sim::Sim;
use epollite::{Event, Fd, Instant, Interest, Kernel, Reactor, Token, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

/// Registrations at once: fewer than the events of one wait, so that a round is one wait.
const ENTRIES_MAX: usize = 12;

/// The naive model's view of one registration.
struct ModelEntry {
    token: Token,
    trigger: Trigger,
    is_armed: bool,
    /// Written since it was last reported (edge).
    is_new: bool,
    count: u64,
    deadline: Option<Instant>,
    is_requeued: bool,
}

impl ModelEntry {
    /// Whether the kernel reports it now.
    fn is_due(&self) -> bool {
        let is_edge = matches!(self.trigger, Trigger::Edge | Trigger::EdgeOneShot);
        self.is_armed && self.count > 0 && (self.is_new || !is_edge)
    }
}

/// Runs `plan`, two bytes per step.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn agrees_with_a_naive_model(plan: &[u8]) {
    let sim = Sim::default();
    let mut reactor =
        Reactor::with_kernel(sim.new_process()).expect("a new simulation has free resources");
    let (entries, removed, duplicates) = (Vec::new(), Vec::new(), Vec::new());
    let (timers, may_be_stale) = (Vec::new(), false);
    let mut harness = Harness { sim, entries, timers, removed, duplicates, may_be_stale };
    for step in plan.chunks_exact(2) {
        let argument = usize::from(step[1]);
        match step[0] % 16 {
            0 | 1 => harness.add(&mut reactor, TRIGGERS[argument % 4]),
            2 => harness.remove(&mut reactor, argument),
            3..=6 => harness.write(&mut reactor, argument),
            7 | 8 => harness.read(&mut reactor, argument),
            9 => harness.rearm(&mut reactor, argument),
            10 => harness.set_deadline(&mut reactor, argument),
            11 => harness.requeue(&mut reactor, argument),
            12 if argument.is_multiple_of(2) => {
                harness.close_with_a_duplicate(&mut reactor, argument)
            }
            13 if argument.is_multiple_of(2) => harness.timer(&mut reactor, argument / 2),
            12 => harness.sim.advance(Duration::from_nanos(argument as u64)),
            _ => harness.round(&mut reactor),
        }
    }
    harness.round(&mut reactor);
    let is_right = harness.may_be_stale || reactor.stale_events() == 0;
    assert!(
        is_right,
        "invariant: a deregistered token, or a closed level-triggered one, is not reported"
    );
    for duplicate in harness.duplicates {
        reactor.kernel().close(duplicate).expect("it is open");
    }
}

struct Harness {
    sim: Sim,
    entries: Vec<ModelEntry>,
    /// Timers without a descriptor, and when they are due.
    timers: Vec<(Token, Option<Instant>)>,
    removed: Vec<Token>,
    /// Duplicates of closed descriptors, as held by another thread's child process.
    duplicates: Vec<Fd>,
    /// Whether one of them was not level-triggered, so that it may be reported.
    may_be_stale: bool,
}

impl Harness {
    fn pick(&mut self, argument: usize) -> Option<&mut ModelEntry> {
        let count = self.entries.len().max(1);
        self.entries.get_mut(argument % count)
    }

    fn add(&mut self, reactor: &mut Reactor<(), Sim>, trigger: Trigger) {
        if self.entries.len() == ENTRIES_MAX {
            return;
        }
        let fd = reactor.kernel().eventfd(0).expect("room");
        let token = reactor.register_or_close(fd, Interest::READABLE, trigger, ()).expect("room");
        assert!(!self.removed.contains(&token), "invariant: a token is never reused");
        let deadline = None;
        let (is_armed, is_new, count, is_requeued) = (true, false, 0, false);
        self.entries.push(ModelEntry {
            token,
            trigger,
            is_armed,
            is_new,
            count,
            deadline,
            is_requeued,
        });
    }

    fn remove(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        if self.entries.is_empty() {
            return;
        }
        let entry = self.entries.swap_remove(argument % self.entries.len());
        self.removed.push(entry.token);
        if argument.is_multiple_of(2) {
            assert!(reactor.close(entry.token).is_some());
        } else {
            let (fd, ()) = reactor.deregister(entry.token).expect("the token is live");
            reactor.kernel().close(fd).expect("the descriptor is open");
        }
        assert!(
            reactor.get_mut(entry.token).is_none(),
            "invariant: a stale token resolves to none"
        );
    }

    /// Closes one whose duplicate stays open, readable and repeatedly written to.
    fn close_with_a_duplicate(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        if self.entries.is_empty() {
            return;
        }
        let entry = self.entries.swap_remove(argument / 2 % self.entries.len());
        let (_, mut io) = reactor.get_mut(entry.token).expect("the token is live");
        let duplicate = io.syscall(|kernel, fd| kernel.dup(fd)).expect("room");
        self.removed.push(entry.token);
        assert!(reactor.close(entry.token).is_some());
        self.duplicates.push(duplicate);
        self.may_be_stale |= entry.trigger != Trigger::Level;
        for duplicate in &self.duplicates {
            reactor
                .kernel()
                .write(duplicate, &1u64.to_ne_bytes())
                .expect("the counter is far from its maximum");
        }
    }

    fn write(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        let Some(entry) = self.pick(argument) else { return };
        let (_, mut io) = reactor.get_mut(entry.token).expect("the token is live");
        io.syscall(|kernel, fd| kernel.write(fd, &1u64.to_ne_bytes()))
            .expect("the counter is far from its maximum");
        entry.count += 1;
        entry.is_new = true;
    }

    fn read(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        let Some(entry) = self.pick(argument) else { return };
        let (_, mut io) = reactor.get_mut(entry.token).expect("the token is live");
        let read = io.syscall(|kernel, fd| kernel.read(fd, &mut [0; 8]));
        assert_eq!(read.is_ok(), entry.count > 0, "the model differs from the kernel");
        entry.count = 0;
    }

    fn rearm(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        let Some(entry) = self.pick(argument) else { return };
        let (_, mut io) = reactor.get_mut(entry.token).expect("the token is live");
        io.modify(Interest::READABLE, entry.trigger).expect("room");
        entry.is_armed = true;
        // Re-arming reports conditions that already hold.
        entry.is_new = entry.count > 0;
    }

    fn set_deadline(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        let now = self.sim.now();
        let Some(entry) = self.pick(argument / 8) else { return };
        let (_, mut io) = reactor.get_mut(entry.token).expect("the token is live");
        if argument.is_multiple_of(8) {
            let had = io.cancel_deadline();
            assert_eq!(had, entry.deadline.take().is_some(), "invariant: a deadline is set or not");
        } else {
            let deadline = now + Duration::from_nanos(argument as u64);
            io.set_deadline(deadline);
            entry.deadline = Some(deadline);
        }
    }

    /// Adds a timer, sets one again, cancels one or ends one.
    fn timer(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        // Not now: everything that was ready at this time has been reported, and a deadline that
        // has passed then needs no further wait.
        let deadline = self.sim.now() + Duration::from_nanos(1 + argument as u64 / 4);
        let at = argument / 4 % self.timers.len().max(1);
        if argument.is_multiple_of(4) || self.timers.is_empty() {
            if self.timers.len() < ENTRIES_MAX {
                let token = reactor.add_timer(deadline, ()).expect("room");
                assert!(!self.removed.contains(&token), "invariant: a token is never reused");
                self.timers.push((token, Some(deadline)));
            }
            return;
        }
        let (token, due) = &mut self.timers[at];
        let (_, mut io) = reactor.get_mut(*token).expect("the token is live");
        match argument % 4 {
            1 => {
                io.set_deadline(deadline);
                *due = Some(deadline);
            }
            2 => {
                let had = io.cancel_deadline();
                assert_eq!(had, due.take().is_some(), "invariant: a deadline is set or not");
            }
            _ => {
                let (token, _) = self.timers.swap_remove(at);
                assert!(reactor.deregister(token).is_none(), "invariant: it has no descriptor");
                assert!(reactor.close(token).is_some() && reactor.close(token).is_none());
                self.removed.push(token);
            }
        }
    }

    fn requeue(&mut self, reactor: &mut Reactor<(), Sim>, argument: usize) {
        let Some(entry) = self.pick(argument) else { return };
        let (_, mut io) = reactor.get_mut(entry.token).expect("the token is live");
        io.requeue(Ready::READABLE);
        entry.is_requeued = true;
        assert_eq!(
            reactor.next_deadline(),
            Some(Instant::ZERO),
            "invariant: what is requeued can be reported now"
        );
    }

    /// One wait and all events it returned, compared with the expected ones.
    fn round(&mut self, reactor: &mut Reactor<(), Sim>) {
        let now = self.sim.now();
        let mut io = Vec::new();
        let mut timers = Vec::new();
        let mut event = reactor.next(Some(now)).expect("invariant: no errno stops the wait");
        while let Some(got) = event {
            match got {
                Event::Io { token, .. } => io.push(token),
                Event::Timer { token } => timers.push(token),
                Event::Woken => panic!("invariant: no spurious wake"),
            }
            event = reactor.try_next();
        }
        let mut wanted: Vec<Token> = Vec::new();
        let mut wanted_timers = BTreeSet::new();
        for entry in &mut self.entries {
            let is_due = entry.is_due();
            if is_due {
                let is_oneshot = matches!(entry.trigger, Trigger::OneShot | Trigger::EdgeOneShot);
                entry.is_armed = !is_oneshot;
            }
            entry.is_new = false;
            // Once, even for two reasons.
            if core::mem::take(&mut entry.is_requeued) || is_due {
                wanted.push(entry.token);
            }
            if entry.deadline.is_some_and(|deadline| deadline <= now) {
                entry.deadline = None;
                wanted_timers.insert(entry.token);
            }
        }
        for (token, due) in &mut self.timers {
            if due.is_some_and(|deadline| deadline <= now) {
                *due = None;
                wanted_timers.insert(*token);
            }
        }
        let dues = self.timers.iter().filter_map(|(_, due)| *due);
        let deadlines = self.entries.iter().filter_map(|entry| entry.deadline);
        assert_eq!(
            reactor.next_deadline(),
            dues.chain(deadlines).min(),
            "invariant: after a round the reactor has something to report at its first deadline"
        );
        io.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(io, wanted, "invariant: a round reports the current state, each token once");
        assert_eq!(timers.len(), wanted_timers.len(), "invariant: each deadline fires once");
        let timers: BTreeSet<Token> = timers.into_iter().collect();
        assert_eq!(timers, wanted_timers, "invariant: due deadlines fire, others do not");
    }
}
