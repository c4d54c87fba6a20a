//! Everything that one thread watches, in a list: signals, listeners, datagram sockets, clients.
//!
//! This is what `nonblocking`, `select` and `poll` have in common. It does not know how to
//! wait: the model goes through the list, finds out who is ready, and has those served.

use std::time::Duration;

use epollite::kernel::SIGINFO_BYTES;
use epollite::kernel::release;
use epollite::server::stream::Left;
use epollite::{Addr, Errno, Fd, Instant, Interest, Signal};

use super::guest::{Guest, Passed, Served};
use super::sockets;
use super::stage::{BUFFER_BYTES, Stage};
use crate::echo::failed;
use crate::failure::Failure;
use crate::listen::{Bound, SocketFiles};
use crate::meter::Meter;
use crate::report::Snapshot;
use crate::tell;

/// Clients let in, or datagrams answered, before the others have their turn.
const ROUNDS_MAX: u32 = 64;

/// Clients that are let in when the doors shut, and may have queued.
const QUEUED_MAX: u32 = 1 << 16;

/// Out of descriptors or memory, or ready and without anything: so long until a socket is asked
/// again.
const RETRY: Duration = Duration::from_millis(250);

/// What holds for all clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Clients at once; further ones wait in the listener's queue.
    pub(super) guests_max: u32,
    /// Descriptors from this number on cannot be waited for.
    pub(super) wall: Option<u32>,
    pub(super) idle: Option<Duration>,
    pub(super) drain: Duration,
}

enum Role {
    Signals,
    Door,
    Datagrams(Datagrams),
    Guest(Guest),
    /// It is to be closed, for the reason given.
    Over(Guest, Left),
    /// A listener that accepts no more.
    Dead(Errno),
}

/// A datagram socket.
#[derive(Default)]
struct Datagrams {
    /// How often it was ready and gave nothing.
    gone: sockets::Gone,
    /// Set while it is left alone: until when.
    rests: Option<Instant>,
}

struct Entry {
    fd: Fd,
    role: Role,
}

/// The list.
pub(super) struct Crowd<K: Meter> {
    pub(super) stage: Stage<K>,
    entries: Vec<Entry>,
    rules: Rules,
    buf: Vec<u8>,
    files: SocketFiles,
    /// The ports of our own datagram sockets.
    ports: Vec<u16>,
    /// How many clients there have ever been: the number of the next.
    guests: u64,
    gone: sockets::Gone,
    /// Set while no listener is asked; inside, until when at most.
    paused: Option<Option<Instant>>,
    told: Told,
    /// Set while leaving: when patience ends.
    leaving: Option<Instant>,
    /// What accept4(2) said when the last listener failed.
    failed: Option<Errno>,
    /// Whether the doors are shut.
    has_shut: bool,
}

/// When what comes in floods was last told.
#[derive(Default)]
struct Told {
    pause: Option<std::time::Instant>,
    wall: Option<std::time::Instant>,
}

impl<K: Meter> Crowd<K> {
    pub(super) fn new(stage: Stage<K>, signals: Fd, bounds: Vec<Bound>, rules: Rules) -> Self {
        let mut crowd = Self {
            stage,
            entries: vec![Entry { fd: signals, role: Role::Signals }],
            rules,
            buf: vec![0; BUFFER_BYTES],
            files: SocketFiles::default(),
            ports: Vec::new(),
            guests: 0,
            gone: sockets::Gone::default(),
            paused: None,
            told: Told::default(),
            leaving: None,
            failed: None,
            has_shut: false,
        };
        for bound in bounds {
            let is_datagram = bound.transport == "udp";
            if is_datagram {
                let name = crowd.stage.kernel.getsockname(&bound.fd);
                crowd.ports.extend(name.ok().and_then(|name| name.port()));
            }
            crowd.files.extend(bound.file);
            let role = if is_datagram { Role::Datagrams(Datagrams::default()) } else { Role::Door };
            crowd.entries.push(Entry { fd: bound.fd, role });
        }
        crowd
    }

    /// How many descriptors there are to watch.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The descriptor at `at`, and what it is waited on for.
    pub(super) fn watched(&self, at: usize) -> (&Fd, Interest) {
        let Entry { fd, role } = &self.entries[at];
        let interest = match role {
            Role::Datagrams(Datagrams { rests: Some(_), .. }) => Interest::NONE,
            Role::Signals | Role::Datagrams(_) => Interest::READABLE,
            Role::Door if self.paused.is_some() => Interest::NONE,
            Role::Door => Interest::READABLE,
            Role::Guest(guest) => guest.interest(),
            Role::Over(..) | Role::Dead(_) => Interest::NONE,
        };
        (fd, interest)
    }

    /// Tries to serve the one at `at`. Who is let in joins the end of the list; who is over
    /// stays in it until the turn [ends](Self::goes_on), so that places keep their numbers.
    pub(super) fn serve(&mut self, at: usize) {
        let did = match self.entries[at].role {
            Role::Signals => self.hear(at),
            Role::Door => self.admit(at, ROUNDS_MAX) > 0,
            Role::Datagrams(_) => self.answer(at) > 0,
            Role::Guest(_) => self.attend(at),
            Role::Over(..) | Role::Dead(_) => false,
        };
        let stats = &mut self.stage.stats;
        *if did { &mut stats.useful } else { &mut stats.spurious } += 1;
    }

    /// Ends the turn: closes who is over, looks at the clock. Returns whether there is another.
    pub(super) fn goes_on(&mut self) -> bool {
        if self.leaving.is_some() && !self.has_shut {
            self.leave();
        }
        self.pass_time();
        self.sweep();
        self.stage.look();
        if self.failed.is_some() && self.stage.open == 0 && self.leaving.is_none() {
            self.leaving = Some(self.stage.kernel.now());
            self.leave();
        }
        self.leaving.is_none() || self.stage.open > 0
    }

    /// How long a wait may last: until the first deadline. Work: O(clients) when there are any.
    pub(super) fn timeout(&mut self) -> Option<Duration> {
        let entries = self.entries.iter().filter_map(|entry| match &entry.role {
            Role::Guest(guest) => guest.deadline,
            Role::Datagrams(datagrams) => datagrams.rests,
            _ => None,
        });
        let first = entries.chain(self.leaving).chain(self.paused.flatten()).min()?;
        Some(first - self.stage.kernel.now())
    }

    /// What was counted, at the end.
    pub(super) fn sum(mut self) -> Result<Snapshot, Failure> {
        match self.failed {
            Some(errno) => Err(failed("accept4", errno)),
            None => Ok(self.stage.snapshot()),
        }
    }

    /// A listener is gone. Was it the last, nobody is served any more when those who are here have
    /// left.
    fn last_failed(&mut self, errno: Errno) {
        let serves = |entry: &Entry| matches!(entry.role, Role::Door | Role::Datagrams(_));
        if self.leaving.is_none() && !self.entries.iter().any(serves) {
            self.failed = Some(errno);
        }
    }

    fn pass_time(&mut self) {
        let has_passed = |deadline: Option<Instant>, now| deadline.is_some_and(|at| at <= now);
        let now = self.stage.kernel.now();
        if has_passed(self.paused.flatten(), now) {
            self.paused = None;
        }
        for at in 0..self.entries.len() {
            if let Role::Datagrams(datagrams) = &mut self.entries[at].role {
                datagrams.rests = datagrams.rests.filter(|&until| until > now);
            }
            let Role::Guest(guest) = &self.entries[at].role else { continue };
            let is_leaving = has_passed(self.leaving, now);
            if !is_leaving && !has_passed(guest.deadline, now) {
                continue;
            }
            // We may look too late, and not have been told of everybody: what it has sent in time
            // is served first, and then it may have time again.
            self.attend(at);
            let Entry { fd, role: Role::Guest(guest) } = &mut self.entries[at] else { continue };
            if is_leaving {
                self.end(at, Left::Expired);
            } else if has_passed(guest.deadline, now) {
                match guest.time_passed(fd, &mut self.stage.kernel) {
                    Passed::Over(why) => self.end(at, why),
                    Passed::Reads => {}
                    Passed::Idle => {
                        self.stage.stats.timed_out += 1;
                        self.attend(at);
                    }
                }
            }
        }
    }

    /// Closes who is over: descriptors come free, and with them perhaps a door.
    fn sweep(&mut self) {
        let mut at = 0;
        while at < self.entries.len() {
            if !matches!(self.entries[at].role, Role::Over(..) | Role::Dead(_)) {
                at += 1;
                continue;
            }
            let Entry { fd, role } = self.entries.swap_remove(at);
            release(&mut self.stage.kernel, fd);
            if let Role::Dead(errno) = role {
                self.last_failed(errno);
            }
            if let Role::Over(guest, why) = role {
                self.stage.open -= 1;
                self.stage.stats.closed += 1;
                let is_reset = matches!(why, Left::Failed(Errno::ECONNRESET | Errno::EPIPE));
                self.stage.stats.reset += u64::from(is_reset);
                if self.stage.log.is_verbose {
                    tell::left(&self.stage.log, &guest.name, guest.bytes, why);
                }
                self.paused = None;
            }
        }
    }

    fn end(&mut self, at: usize, why: Left) {
        let role = &mut self.entries[at].role;
        *role = match std::mem::replace(role, Role::Signals) {
            Role::Guest(guest) => Role::Over(guest, why),
            other => other,
        };
    }

    /// Serves the client at `at`. Returns whether anything was done.
    fn attend(&mut self, at: usize) -> bool {
        let Entry { fd, role: Role::Guest(guest) } = &mut self.entries[at] else { return false };
        let before = guest.bytes;
        let served = guest.serve(fd, &mut self.stage, &mut self.buf);
        if self.stage.log.is_verbose && guest.bytes > before {
            let bytes = usize::try_from(guest.bytes - before).unwrap_or(usize::MAX);
            tell::said(&self.stage.log, &guest.name, bytes);
        }
        if let Served::Over(why) = served {
            self.end(at, why);
        }
        served != Served::Spurious
    }

    /// Lets in who waits at the door `at`. Returns how many came.
    fn admit(&mut self, at: usize, most: u32) -> u32 {
        let mut came = 0;
        while self.paused.is_none() && came < most {
            if self.stage.open >= self.rules.guests_max {
                self.pause(None);
                break;
            }
            match self.stage.kernel.accept4(&self.entries[at].fd) {
                Ok((fd, peer)) => {
                    self.gone.over();
                    self.welcome(fd, &peer);
                }
                Err(errno) if errno.would_block() || errno.interrupted() => break,
                // That one is gone: on with the next.
                Err(errno) if errno.transient_accept() && !self.gone.again() => {
                    self.stage.stats.aborted += 1;
                }
                Err(errno) if errno.never_accepts() => {
                    tell::listener_failed(&self.stage.log, errno);
                    self.entries[at].role = Role::Dead(errno);
                    break;
                }
                Err(errno) => self.pause(Some(errno)),
            }
            came += 1;
        }
        came
    }

    fn welcome(&mut self, fd: Fd, peer: &Addr) {
        self.guests += 1;
        let stage = &mut self.stage;
        if let Some(wall) = self.rules.wall.filter(|&wall| fd.number() >= wall) {
            let name = tell::name(peer, self.guests);
            let why = format!("its descriptor is {}, and the set ends at {wall}", fd.number());
            stage.stats.aborted += 1;
            tell::turned_away(&stage.log, &mut self.told.wall, &name, &why);
            sockets::turn_away(&mut stage.kernel, fd, &mut self.buf);
            return;
        }
        stage.open += 1;
        stage.stats.accepted += 1;
        let mut name = String::new();
        if stage.log.is_verbose {
            name = tell::name(peer, self.guests);
            tell::connected(&stage.log, &name);
        }
        let guest = Guest::new(name, self.rules.idle, stage.kernel.now());
        self.entries.push(Entry { fd, role: Role::Guest(guest) });
    }

    fn pause(&mut self, errno: Option<Errno>) {
        let stage = &mut self.stage;
        stage.stats.pauses += 1;
        let until = errno.map(|_| stage.kernel.now() + RETRY);
        self.paused = Some(until);
        tell::paused(&stage.log, &mut self.told.pause, errno, stage.open);
    }

    /// Answers the datagrams that are there. Returns how many there were. A socket that is ready
    /// again and again and has none (somebody shut it for reading) is left alone for a while.
    fn answer(&mut self, at: usize) -> u32 {
        let Entry { fd, role: Role::Datagrams(datagrams) } = &mut self.entries[at] else {
            return 0;
        };
        let mut came = 0;
        while came < ROUNDS_MAX && sockets::answer(&mut self.stage, fd, &self.ports, &mut self.buf)
        {
            came += 1;
        }
        if came > 0 {
            datagrams.gone.over();
        } else if datagrams.gone.again() {
            datagrams.rests = Some(self.stage.kernel.now() + RETRY);
        }
        came
    }

    fn hear(&mut self, at: usize) -> bool {
        let mut record = [0; SIGINFO_BYTES];
        let read = self.stage.kernel.read(&self.entries[at].fd, &mut record);
        let signal = read.ok().and_then(|count| Signal::from_siginfo(&record[..count]));
        match signal {
            None => return false,
            Some(Signal::USR1) => self.stage.snapshot().tell(&self.stage.log),
            Some(signal) if self.leaving.is_some() => {
                // A second one: the user means it. The exit code is the shell's for it.
                self.files.remove();
                std::process::exit(128 + i32::from(signal.number()))
            }
            Some(_) => self.leaving = Some(self.stage.kernel.now() + self.rules.drain),
        }
        true
    }

    /// Lets in who has queued, shuts the doors, and has everybody answered and shown out.
    fn leave(&mut self) {
        self.has_shut = true;
        self.files.remove();
        self.paused = None;
        let mut at = 0;
        while at < self.entries.len() {
            match self.entries[at].role {
                Role::Door => _ = self.admit(at, QUEUED_MAX),
                Role::Datagrams(_) => _ = self.answer(at),
                _ => {
                    at += 1;
                    continue;
                }
            }
            let Entry { fd, .. } = self.entries.swap_remove(at);
            release(&mut self.stage.kernel, fd);
        }
        for at in 0..self.entries.len() {
            if let Role::Guest(guest) = &mut self.entries[at].role {
                guest.leave();
                self.attend(at);
            }
        }
    }
}
