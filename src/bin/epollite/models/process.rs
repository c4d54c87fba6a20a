//! **process**: a process per client, forked from one that only accepts.
//!
//! What it teaches: fork(2), the oldest way to serve many, and what has to be put in order after
//! it. Both processes have both sockets: the parent closes the client's, or the connection would
//! stay open when the child has left; the child closes the listener, or the port would stay taken
//! when the parent has. A child that has ended stays in the table of processes as a zombie until
//! its parent asks how it went: here on SIGCHLD, as often as waitpid(2) has an answer, since
//! signals that wait are not counted. And the child runs the straight-line code of `blocking`.
//!
//! What it costs: some 350 µs of processor time to fork a child and bury it, ten times what epoll
//! takes for a connection; 135 KiB a client; and an echo is a switch between processes, twice
//! what epoll takes, with a call more: poll(2) for the client or the signal, then recv and send.
//!
//! What it gives: children share nothing. One that crashes, or is killed, harms nobody: its client
//! sees its connection end, the log says so, and the parent goes on. Kill the parent with SIGKILL,
//! and its children serve their clients to the end.
//!
//! Where it breaks: at the number of processes that the system allows (`ulimit -u`, `pids.max`).
//! Then fork says `EAGAIN`, and the client is turned away with an orderly end. At
//! `--max-connections` nobody is turned away: further clients wait in the queue. A client that
//! never reads keeps its child in send(2), where it hears nothing; when the parent's patience ends
//! (`--drain`) it is killed.

use std::time::Duration;

use epollite::kernel::SIGINFO_BYTES;
use epollite::kernel::release;
use epollite::{Addr, Errno, Fd, Instant, Interest, Shut, Signal};

use super::family::Family;
use super::stage::{BUFFER_BYTES, Stage};
use super::sys::{self, PollFd};
use super::{sockets, straight};
use crate::echo::failed;
use crate::failure::Failure;
use crate::meter::{Maker, Meter};
use crate::report::Snapshot;
use crate::tell;

/// Processes at once, when the user sets no limit.
pub(super) const GUESTS_MAX: u32 = 1024;

/// Out of descriptors, processes or memory: so long until we accept again.
const RETRY: Duration = Duration::from_millis(250);

/// The parent: it has the listeners, and nobody to talk to.
struct Parent<K: Meter> {
    stage: Stage<K>,
    family: Family,
    doors: Vec<Fd>,
    guests_max: usize,
    /// The number of the next client.
    next: u64,
    gone: sockets::Gone,
    /// Set while nobody is let in for want of something: until when.
    paused: Option<Instant>,
    pause_told: Option<std::time::Instant>,
    turned_told: Option<std::time::Instant>,
    /// What accept4(2) said of a listener that accepts no more, and which that is until it is closed.
    failed: Option<Errno>,
    dead: Option<usize>,
}

/// Serves until a signal has ended it, and the last child has left.
pub(super) fn run<K: Meter>(
    stage: Stage<K>,
    family: Family,
    doors: Vec<Fd>,
    guests_max: u32,
) -> Result<Snapshot, Failure> {
    let guests_max = guests_max as usize;
    let (paused, pause_told, turned_told) = (None, None, None);
    let (next, gone) = (1, sockets::Gone::default());
    let (failed, dead) = (None, None);
    Parent {
        stage,
        family,
        doors,
        guests_max,
        next,
        gone,
        paused,
        pause_told,
        turned_told,
        failed,
        dead,
    }
    .run()
}

impl<K: Meter> Parent<K> {
    fn run(mut self) -> Result<Snapshot, Failure> {
        while !self.family.is_leaving() || self.family.len() > 0 {
            if let Some(errno) = self.failed
                && self.doors.is_empty()
                && !self.family.is_leaving()
                && self.family.len() == 0
            {
                self.stage.settle();
                return Err(failed("accept4", errno));
            }
            self.stage.settle();
            self.turn()?;
            self.family.pass_time(&mut self.stage);
            if self.family.is_leaving() {
                self.shut_doors();
            }
        }
        self.stage.settle();
        let mut sum = self.family.ledger.sum();
        sum.stream.closed += self.family.lost;
        Ok(sum)
    }

    /// Waits once, for a signal or for somebody at a door.
    fn turn(&mut self) -> Result<(), Failure> {
        let now = self.stage.kernel.now();
        self.paused = self.paused.filter(|&until| until > now);
        let is_full = self.family.len() >= self.guests_max;
        if is_full {
            let most = u32::try_from(self.guests_max).unwrap_or(u32::MAX);
            tell::paused(&self.stage.log, &mut self.pause_told, None, most);
        }
        let is_open = !is_full && self.paused.is_none();
        let interest = if is_open { Interest::READABLE } else { Interest::NONE };
        let mut list = vec![PollFd::new(&self.family.signals, Interest::READABLE)];
        list.extend(self.doors.iter().map(|door| PollFd::new(door, interest)));
        let retry = self.paused.map(|until| until - now);
        let timeout = self.family.timeout(&mut self.stage).into_iter().chain(retry).min();
        match sys::poll(&mut self.stage.kernel, &mut list, timeout) {
            Err(errno) if errno.interrupted() => return Ok(()),
            Err(errno) => return Err(failed("poll", errno)),
            Ok(_) => {}
        }
        if list[0].is_ready() {
            self.family.hear(&mut self.stage);
        }
        for at in 0..self.doors.len() {
            if list[at + 1].is_ready() && self.dead.is_none() {
                self.admit(at);
            }
        }
        if let Some(at) = self.dead.take() {
            let door = self.doors.swap_remove(at);
            release(&mut self.stage.kernel, door);
        }
        Ok(())
    }

    /// Lets one client in. Returns whether there may be another.
    fn admit(&mut self, at: usize) -> bool {
        let stage = &mut self.stage;
        match stage.kernel.accept4(&self.doors[at]) {
            Ok((socket, peer)) => {
                self.gone.over();
                self.begin(socket, peer);
            }
            Err(errno) if errno.would_block() || errno.interrupted() => return false,
            Err(errno) if errno.transient_accept() && !self.gone.again() => {
                stage.stats.aborted += 1;
            }
            Err(errno) if errno.never_accepts() => {
                tell::listener_failed(&stage.log, errno);
                (self.failed, self.dead) = (Some(errno), Some(at));
                return false;
            }
            Err(errno) => {
                stage.stats.pauses += 1;
                self.paused = Some(stage.kernel.now() + RETRY);
                tell::paused(&stage.log, &mut self.pause_told, Some(errno), 0);
                return false;
            }
        }
        true
    }

    /// Forks a child for the client.
    fn begin(&mut self, socket: Fd, peer: Addr) {
        let number = self.next;
        self.next += 1;
        match self.family.fork(&mut self.stage, 0) {
            Ok(true) => self.be_child(socket, peer, number),
            Ok(false) => {
                release(&mut self.stage.kernel, socket);
            }
            Err(errno) => {
                let (name, why) =
                    (tell::name(&peer, number), format!("no process for it: {errno}"));
                tell::turned_away(&self.stage.log, &mut self.turned_told, &name, &why);
                self.stage.stats.aborted += 1;
                sockets::turn_away(&mut self.stage.kernel, socket, &mut [0; 4096]);
            }
        }
    }

    /// The child, from its first moment to its last.
    fn be_child(&mut self, socket: Fd, peer: Addr, number: u64) -> ! {
        let maker = Maker::Process(std::process::id());
        let mut own = self.stage.another(maker, &self.family.ledger);
        for door in self.doors.drain(..) {
            release(&mut own.kernel, door);
        }
        let (mut is_leaving, mut buf) = (false, vec![0; BUFFER_BYTES]);
        straight::attend(&mut own, &socket, &peer, number, &mut buf, |own| {
            own.settle();
            is_leaving = is_leaving || !wait(own, &socket, &self.family.signals);
        });
        if is_leaving {
            straight::wind_up(&mut own, &socket, &mut buf);
        }
        release(&mut own.kernel, socket);
        own.settle();
        std::process::exit(0)
    }

    /// Lets in who has queued, then closes the listeners.
    fn shut_doors(&mut self) {
        for at in 0..self.doors.len() {
            while self.family.len() < self.guests_max && self.admit(at) {}
        }
        for door in self.doors.drain(..) {
            release(&mut self.stage.kernel, door);
        }
    }
}

/// Waits for the client to speak, or for the parent to say that it is over: then the socket is
/// shut for reading, which gives what has arrived and after it the end. Returns whether it was
/// the client.
///
/// A signalfd that was inherited gives the signals of whoever reads it.
fn wait<K: Meter>(own: &mut Stage<K>, socket: &Fd, signals: &Fd) -> bool {
    loop {
        let mut list = [socket, signals].map(|fd| PollFd::new(fd, Interest::READABLE));
        match sys::poll(&mut own.kernel, &mut list, None) {
            Err(errno) if errno != Errno::EINTR => return true,
            _ => {}
        }
        if list[1].is_ready() {
            let mut record = [0; SIGINFO_BYTES];
            let read = own.kernel.read(signals, &mut record);
            let signal = read.ok().and_then(|count| Signal::from_siginfo(&record[..count]));
            // From a terminal SIGINT comes to all of us; the parent says SIGTERM.
            if signal == Some(Signal::TERM) {
                let _ = own.kernel.shutdown(socket, Shut::Read);
                return false;
            }
        } else if list[0].is_ready() {
            return true;
        }
    }
}
