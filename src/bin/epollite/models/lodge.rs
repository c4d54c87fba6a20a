//! What all coroutines of the server have in common: figures, limits, and that we leave.
//!
//! Knows who is to be told, and nothing of what they do meanwhile.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant as Moment;

use epollite::kernel::SIGINFO_BYTES;
use epollite::server::datagram::{Served, Turned, refuses};
use epollite::server::stream::Left;
use epollite::task::{Handle, Side, Watched};
use epollite::{Errno, Instant, Message, Signal};

use super::crowd::Rules;
use super::stage::Stage;
use crate::listen::{SocketFile, SocketFiles};
use crate::log::Log;
use crate::meter::Meter;
use crate::report::Snapshot;
use crate::tell;

/// The porter's lodge.
pub(super) struct Lodge<K: Meter> {
    pub(super) handle: Handle<K>,
    pub(super) log: Log,
    pub(super) rules: Rules,
    stage: RefCell<Stage<K>>,
    files: RefCell<SocketFiles>,
    /// The ports of our own datagram sockets.
    ports: RefCell<Vec<u16>>,
    /// Who is to be rung when we leave: clients by their number.
    guests: RefCell<HashMap<u64, Waker>>,
    /// And listeners; those also when there is room again.
    doors: RefCell<Vec<Waker>>,
    /// How many clients there have ever been.
    born: Cell<u64>,
    /// Set while we leave: when patience ends.
    leaving: Cell<Option<Instant>>,
    /// What accept4(2) said when a listener failed.
    pub(super) failed: Cell<Option<Errno>>,
    pause_told: Cell<Option<Moment>>,
}

impl<K: Meter> Lodge<K> {
    pub(super) fn new(stage: Stage<K>, handle: Handle<K>, rules: Rules) -> Rc<Self> {
        Rc::new(Self {
            handle,
            log: stage.log,
            rules,
            stage: RefCell::new(stage),
            files: RefCell::default(),
            ports: RefCell::default(),
            guests: RefCell::default(),
            doors: RefCell::default(),
            born: Cell::new(0),
            leaving: Cell::new(None),
            failed: Cell::new(None),
            pause_told: Cell::new(None),
        })
    }

    pub(super) fn own_port(&self, port: Option<u16>) {
        self.ports.borrow_mut().extend(port);
    }

    pub(super) fn own_file(&self, file: Option<SocketFile>) {
        self.files.borrow_mut().extend(file);
    }

    /// The figures. Never held across an `.await`: others want them too.
    pub(super) fn stage(&self) -> RefMut<'_, Stage<K>> {
        self.stage.borrow_mut()
    }

    /// Shows the calls that were made.
    pub(super) fn look(&self) {
        self.handle.kernel(|kernel| self.stage().look_into(kernel));
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.look();
        let mut snapshot = self.stage().snapshot();
        snapshot.calls = self.handle.kernel(|kernel| kernel.counts());
        snapshot
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.get().is_some()
    }

    /// Until when those who are here may stay.
    pub(super) fn patience(&self) -> Option<Instant> {
        self.leaving.get()
    }

    pub(super) fn has_lost_patience(&self) -> bool {
        self.leaving.get().is_some_and(|deadline| deadline <= self.handle.now())
    }

    /// The client that calls this is rung when we leave.
    pub(super) async fn register(&self, number: u64) {
        poll_fn(|cx| {
            self.guests.borrow_mut().insert(number, cx.waker().clone());
            Poll::Ready(())
        })
        .await;
    }

    /// The listener that calls this is rung when we leave, and when there is room.
    pub(super) async fn register_door(&self) {
        poll_fn(|cx| {
            self.doors.borrow_mut().push(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
    }

    /// Counts a client in; returns its number.
    pub(super) fn enter(&self) -> u64 {
        let mut stage = self.stage();
        stage.open += 1;
        stage.stats.accepted += 1;
        self.born.set(self.born.get() + 1);
        self.born.get()
    }

    /// Counts a client out.
    pub(super) fn left(&self, number: u64, why: Left) {
        self.guests.borrow_mut().remove(&number);
        let mut stage = self.stage();
        let was_full = stage.open >= self.rules.guests_max;
        stage.open -= 1;
        stage.stats.closed += 1;
        stage.stats.timed_out += u64::from(why == Left::Idle);
        let is_reset = matches!(why, Left::Failed(Errno::ECONNRESET | Errno::EPIPE));
        stage.stats.reset += u64::from(is_reset);
        if was_full {
            self.doors.borrow().iter().for_each(Waker::wake_by_ref);
        }
    }

    /// Waits until one more client may come in, or we leave.
    pub(super) async fn room(&self) {
        let is_full = || self.stage().open >= self.rules.guests_max;
        if is_full() {
            self.tell_pause(None);
        }
        poll_fn(|_| if is_full() && !self.is_leaving() { Poll::Pending } else { Poll::Ready(()) })
            .await;
    }

    pub(super) fn tell_pause(&self, errno: Option<Errno>) {
        let mut stage = self.stage();
        stage.stats.pauses += 1;
        let mut told = self.pause_told.get();
        tell::paused(&self.log, &mut told, errno, stage.open);
        self.pause_told.set(told);
    }

    /// Counts what recvmsg(2) brought, and says how many bytes of it are to be sent back.
    pub(super) fn answers(&self, came: &Result<Message, Errno>, room: usize) -> Option<usize> {
        let mut stage = self.stage();
        let stats = &mut stage.datagrams;
        let Ok(Message { len_bytes, from, .. }) = came else {
            stats.errors += 1;
            return None;
        };
        let bytes = room.min(*len_bytes);
        stats.received += 1;
        stats.bytes_in += bytes as u64;
        let served = if *len_bytes > room {
            stats.truncated += 1;
            Served::Truncated
        } else if refuses(&self.ports.borrow(), from) {
            stats.refused += 1;
            Served::Refused
        } else {
            Served::Echoed
        };
        if self.log.is_verbose {
            tell::datagram(&self.log, &Turned { from: *from, bytes, served });
        }
        (served == Served::Echoed).then_some(bytes)
    }

    /// Counts what became of an answer.
    pub(super) fn answered(&self, sent: Result<usize, Errno>) {
        let stats = &mut self.stage().datagrams;
        match sent {
            Ok(bytes) => {
                stats.echoed += 1;
                stats.bytes_out += bytes as u64;
            }
            Err(_) => stats.dropped += 1,
        }
    }

    /// Nobody comes in any more, and everybody is told to come to an end.
    fn leave(&self) {
        self.files.borrow_mut().remove();
        self.leaving.set(Some(self.handle.now() + self.rules.drain));
        self.doors.borrow().iter().for_each(Waker::wake_by_ref);
        self.guests.borrow().values().for_each(Waker::wake_by_ref);
    }
}

/// Reads the signals, for ever.
pub(super) async fn hear<K: Meter>(lodge: Rc<Lodge<K>>, mut signals: Watched<K>) {
    loop {
        let mut record = [0; SIGINFO_BYTES];
        let read = signals.attempt(Side::Read, |kernel, fd| kernel.read(fd, &mut record)).await;
        let signal = read.ok().and_then(|count| Signal::from_siginfo(&record[..count]));
        match signal {
            None => {}
            Some(Signal::USR1) => lodge.snapshot().tell(&lodge.log),
            Some(signal) if lodge.is_leaving() => {
                // A second one: the user means it. The exit code is the shell's for it.
                lodge.files.borrow_mut().remove();
                std::process::exit(128 + i32::from(signal.number()))
            }
            Some(_) => lodge.leave(),
        }
    }
}
