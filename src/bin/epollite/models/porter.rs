//! How a thread that is blocked in a call hears that it is to end: its socket is shut.
//!
//! A call that waits inside the kernel looks at no flag. A signal would interrupt it, but one
//! that comes a moment *before* the call interrupts nothing, and is lost. A socket that is shut
//! stays shut: whoever waits on it returns, and whoever comes later does not wait. So the
//! signals are read by a thread of their own, the porter, who has a list of all open sockets.
//!
//! Where it breaks: a listener that is shut resets who stands in its queue. A signal sent to the
//! thread again and again, until it is heard, would spare them; it is how it was done before.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use epollite::kernel::SIGINFO_BYTES;
use epollite::{Fd, Interest, Kernel, Shut, Signal};

use super::ledger::Ledger;
use super::stage::Stage;
use super::sys::{self, PollFd};
use crate::echo::{failed, no_thread};
use crate::failure::Failure;
use crate::listen::SocketFiles;
use crate::meter::Meter;

/// What the porter and those who serve share.
pub(super) struct House {
    /// The listener, or a datagram socket.
    pub(super) door: Fd,
    pub(super) ledger: Ledger,
    state: Mutex<State>,
    /// Told whenever somebody leaves.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_leaving: bool,
    /// The sockets of those who are served, by number; none once it is being closed.
    guests: HashMap<u64, Option<Arc<Fd>>>,
    /// The number of the next guest.
    next: u64,
}

/// A guest's place on the list, until it falls; and its socket, until it is closed.
pub(super) struct Pass {
    house: Arc<House>,
    number: u64,
    socket: Option<Arc<Fd>>,
}

impl Pass {
    /// Takes the socket off the list, and so out of the porter's hands: from here on its number
    /// can be given to another.
    pub(super) fn release(&mut self) -> Option<Fd> {
        drop(self.socket.take());
        let socket = self.house.lock().guests.get_mut(&self.number).and_then(Option::take);
        socket.and_then(Arc::into_inner)
    }

    /// Whether the server is told to end.
    pub(super) fn is_leaving(&self) -> bool {
        self.house.is_leaving()
    }

    pub(super) fn socket(&self) -> Option<&Fd> {
        self.socket.as_deref()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.house.lock().guests.remove(&self.number);
        self.house.changed.notify_all();
    }
}

impl House {
    pub(super) fn new(door: Fd, ledger: Ledger) -> Arc<Self> {
        Arc::new(Self { door, ledger, state: Mutex::default(), changed: Condvar::new() })
    }

    /// Puts a client's socket on the list. Should we be leaving already, it is shut like the
    /// others.
    pub(super) fn enter<K: Kernel>(self: &Arc<Self>, kernel: &mut K, socket: Fd) -> Pass {
        let mut state = self.lock();
        if state.is_leaving {
            let _ = kernel.shutdown(&socket, Shut::Read);
        }
        let (number, socket) = (state.next, Arc::new(socket));
        state.next += 1;
        state.guests.insert(number, Some(Arc::clone(&socket)));
        Pass { house: Arc::clone(self), number, socket: Some(socket) }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.lock().is_leaving
    }

    /// How many guests there are.
    pub(super) fn guests(&self) -> usize {
        self.lock().guests.len()
    }

    /// Waits until fewer than `most` guests are here, or until we are leaving.
    pub(super) fn wait_for_room(&self, most: usize) {
        let state = self.lock();
        let is_full = |state: &mut State| !state.is_leaving && state.guests.len() >= most;
        drop(self.changed.wait_while(state, is_full));
    }

    /// Waits until every guest has left.
    pub(super) fn wait_for_the_last(&self) {
        let state = self.lock();
        drop(self.changed.wait_while(state, |state| !state.guests.is_empty()));
    }

    /// Shuts every guest's socket, in the direction given.
    fn shut_guests<K: Kernel>(&self, kernel: &mut K, how: Shut) {
        // The lock is held meanwhile: nobody closes a socket, and so no number changes hands.
        for socket in self.lock().guests.values().flatten() {
            // One that has ended by itself is none the worse.
            let _ = kernel.shutdown(socket, how);
        }
    }

    /// A thread that panicked while it held the lock left a list that is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the porter, who works until the process ends. From the first signal on nobody comes
/// in, guests are answered what has arrived, and when `drain` has passed they are cut off.
pub(super) fn start<K: Meter>(
    house: &Arc<House>,
    mut stage: Stage<K>,
    signals: Fd,
    files: SocketFiles,
    drain: Duration,
) -> Result<(), Failure> {
    sys::set_blocking(&mut stage.kernel, &signals).map_err(|errno| failed("ioctl", errno))?;
    let house = Arc::clone(house);
    let watch = move || Porter { house, stage, signals, files, drain }.watch();
    let started = std::thread::Builder::new().name("porter".into()).spawn(watch);
    started.map(drop).map_err(|error| no_thread(&error))
}

struct Porter<K: Meter> {
    house: Arc<House>,
    stage: Stage<K>,
    signals: Fd,
    files: SocketFiles,
    drain: Duration,
}

impl<K: Meter> Porter<K> {
    fn watch(mut self) {
        while self.next() == Some(Signal::USR1) {}
        self.files.remove();
        self.house.lock().is_leaving = true;
        self.house.changed.notify_all();
        // Whoever waits in accept(2) returns with an error, and in recv(2) with the end.
        let _ = self.stage.kernel.shutdown(&self.house.door, Shut::Read);
        self.house.shut_guests(&mut self.stage.kernel, Shut::Read);
        self.stage.settle();
        let mut deadline = Some(self.stage.kernel.now() + self.drain);
        loop {
            let kernel = &mut self.stage.kernel;
            let rest = deadline.map(|deadline| deadline - kernel.now());
            let mut list = [PollFd::new(&self.signals, Interest::READABLE)];
            if rest.is_some_and(|rest| rest.is_zero())
                || sys::poll(kernel, &mut list, rest) == Ok(0)
            {
                // Patience is over: whoever waits in send(2) returns too.
                self.house.shut_guests(kernel, Shut::Both);
                deadline = None;
                continue;
            }
            if let Some(signal) = self.next().filter(|&signal| signal != Signal::USR1) {
                // A second one: the user means it. The exit code is the shell's for it.
                std::process::exit(128 + i32::from(signal.number()));
            }
        }
    }

    /// Waits for a signal; to tell the statistics is done with it.
    fn next(&mut self) -> Option<Signal> {
        let mut record = [0; SIGINFO_BYTES];
        let read = self.stage.kernel.read(&self.signals, &mut record);
        self.stage.settle();
        let signal = Signal::from_siginfo(&record[..read.ok()?])?;
        if signal == Signal::USR1 {
            self.house.ledger.sum().tell(&self.stage.log);
        }
        Some(signal)
    }
}
