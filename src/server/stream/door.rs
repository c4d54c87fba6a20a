//! Letting connections in, and not letting them in when there is no room.
//!
//! The one rule: a listener that cannot be served is not asked again until there is hope, or
//! a level-triggered one would spin. Hope is a connection that ends, or some time gone by.
//!
//! A listener may be shared with other servers, each with an epoll of its own: [`Herd`].

use core::time::Duration;

use super::config::Note;
use super::guest::{Guest, Mode, Rounded, wrapped_millis};
use super::{Role, Server};
use crate::addr::{Addr, Family};
use crate::echo::Want;
use crate::errno::Errno;
use crate::event::{Exclusive, Interest, Ready, Trigger};
use crate::kernel::release;
use crate::kernel::{Fd, Kernel};
use crate::reactor::Reason;
use crate::token::Token;

/// When nothing of ours ends, somebody else's descriptor or memory may come free: so long
/// until we look. Long enough to cost nothing, short enough for the one who waits.
const RETRY: Duration = Duration::from_millis(250);

/// Connections that are let in when the doors shut, and may have queued. More than a listener's
/// queue holds on any system; the bound is for kernels that say "gone" for ever.
const QUEUED_MAX: u32 = 1 << 16;

/// Connections that were gone before they were accepted, and are passed over in one turn: each is
/// followed by another accept, whatever `accepts_max` is. So many and nobody else is no accident: a
/// sandbox that refuses accept4(2) says `EPERM`, as a firewall does of one connection.
const GONE_MAX: u32 = 64;

/// How those are woken who watch the same listener, each through an epoll of its own. Without
/// any of this all of them are, for each connection: one gets it, the others have run in vain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Herd {
    /// `EPOLLEXCLUSIVE`: the first in the kernel's list that waits, which is the one that began
    /// to watch last. Most connections go to that one.
    Exclusive,
    /// The same; and who has accepted goes to the other end of the list, by `EPOLL_CTL_DEL` and
    /// `EPOLL_CTL_ADD`. All get the same share, for two system calls a connection.
    Rotating,
}

/// A listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Door {
    /// Whether it is a Unix socket.
    pub(super) local: bool,
    /// Whether it is shared, and how.
    herd: Option<Herd>,
    /// What `open_shared` returned, once it has been registered anew.
    first: Option<Token>,
}

/// What trying to accept once came to.
enum Entry {
    Entered,
    Gone(Errno),
    Nobody,
    NoRoom(Option<Errno>),
    /// It accepts no more.
    Dead(Errno),
}

impl<K: Kernel, X> Server<K, X> {
    /// One-shot is for connections: a door is open or shut.
    const fn door_trigger(&self) -> Trigger {
        match self.config.trigger {
            Trigger::Level | Trigger::OneShot => Trigger::Level,
            Trigger::Edge | Trigger::EdgeOneShot => Trigger::Edge,
        }
    }

    /// Takes a listening socket over, and its connections from now on. It must be non-blocking,
    /// or the server waits in accept4(2) for ever. Work: two system calls.
    ///
    /// # Errors
    /// What getsockname(2) or epoll_ctl(2) said; [`Errno::ESHUTDOWN`] after
    /// [`stop`](Self::stop). The socket is closed then.
    pub fn open(&mut self, listener: Fd) -> Result<Token, Errno> {
        self.open_as(listener, None)
    }

    /// As [`open`](Self::open), for a listener that others watch too: duplicates of it, in
    /// other threads or processes, with servers of their own. Who is to be woken in turn should
    /// accept one connection at a time (`Config::accepts_max`). Work: two system calls.
    ///
    /// When an exclusive door has to be watched anew, it is taken out and put in again, since the
    /// kernel changes none; should it then find no memory to put it in, the door is closed: the
    /// others have theirs.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_shared(&mut self, listener: Fd, herd: Herd) -> Result<Token, Errno> {
        self.open_as(listener, Some(herd))
    }

    fn open_as(&mut self, listener: Fd, herd: Option<Herd>) -> Result<Token, Errno> {
        if self.leaving.is_some() {
            release(self.reactor.kernel(), listener);
            return Err(Errno::ESHUTDOWN);
        }
        let local = match self.reactor.kernel().getsockname(&listener) {
            Ok(name) => name.family() == Some(Family::Unix),
            Err(errno) => {
                release(self.reactor.kernel(), listener);
                return Err(errno);
            }
        };
        let door = Door { local, herd, first: None };
        let has_to_wait =
            self.is_paused && (herd.is_some() || self.door_trigger() != Trigger::Edge);
        let hung = if has_to_wait {
            let role = Role::Door(door);
            self.reactor.register_or_close(listener, Interest::NONE, Trigger::Edge, role)
        } else {
            self.hang(listener, door)
        };
        let token = hung.map_err(Errno::from)?;
        self.doors.push(token);
        if self.is_paused {
            // Should there be no other, somebody has to end the pause.
            self.retry_later();
        }
        Ok(token)
    }

    /// Has a listener watched for connections; closes it when that is refused.
    fn hang(&mut self, listener: Fd, door: Door) -> Result<Token, Reason> {
        let (trigger, role) = (self.door_trigger(), Role::Door(door));
        if door.herd.is_none() {
            return self.reactor.register_or_close(listener, Interest::READABLE, trigger, role);
        }
        let trigger = match trigger {
            Trigger::Edge => Exclusive::Edge,
            _ => Exclusive::Level,
        };
        let hung = self.reactor.register_exclusive(listener, Interest::READABLE, trigger, role);
        hung.map_err(|refused| {
            release(self.reactor.kernel(), refused.fd);
            refused.reason
        })
    }

    /// Takes a shared door out and puts it in again: watched for connections, or for nothing.
    /// Returns whether it is.
    fn rehang(&mut self, old: Token, interest: Interest) -> bool {
        let Some((listener, role)) = self.reactor.deregister(old) else { return true };
        let Role::Door(door) = role else { unreachable!("it was a door just now") };
        let door = Door { first: door.first.or(Some(old)), ..door };
        let hung = if interest == Interest::NONE {
            self.reactor.register_or_close(listener, interest, Trigger::Edge, Role::Door(door))
        } else {
            self.hang(listener, door)
        };
        match hung {
            Ok(new) => {
                self.doors.iter_mut().filter(|door| **door == old).for_each(|door| *door = new);
                true
            }
            Err(reason) => {
                self.doors.retain(|&door| door != old);
                let token = door.first.unwrap_or(old);
                self.tell(Note::ListenerFailed { token, errno: Errno::from(reason) });
                false
            }
        }
    }

    fn herd(&mut self, door: Token) -> Option<Herd> {
        match self.reactor.source(door)?.state {
            Role::Door(door) => door.herd,
            Role::Guest(_) | Role::Foreign(_) => None,
        }
    }

    /// Lets in who waits at `door`, at most `accepts_max`, past at most `GONE_MAX` that are gone.
    /// Returns whether anybody came.
    pub(super) fn accept(&mut self, door: Token, local: bool) -> bool {
        let came = self.accept_some(door, local);
        let herd = self.herd(door);
        if came && herd.is_some() && self.is_full() {
            // Before the next one comes, not after: a wake-up that we get the others do not.
            self.pause(None);
        }
        if came && !self.is_paused && herd == Some(Herd::Rotating) {
            self.rehang(door, Interest::READABLE);
        }
        came
    }

    const fn is_full(&self) -> bool {
        self.guests >= self.config.connections_max
    }

    fn accept_some(&mut self, door: Token, local: bool) -> bool {
        if self.is_paused {
            return false;
        }
        let (mut entered, mut gone) = (0, 0);
        while entered < self.config.accepts_max {
            match self.accept_one(door, local) {
                Entry::Entered => entered += 1,
                Entry::Gone(errno) => {
                    self.stats.aborted += 1;
                    gone += 1;
                    if gone < GONE_MAX {
                        continue;
                    }
                    if entered == 0 {
                        // Failures only, one after the other: whatever it is, it can wait.
                        self.pause(Some(errno));
                        return false;
                    }
                    break;
                }
                Entry::Nobody => return entered > 0,
                Entry::NoRoom(errno) => {
                    self.pause(errno);
                    return entered > 0;
                }
                Entry::Dead(errno) => {
                    self.close_failed_listener(door, errno);
                    return true;
                }
            }
        }
        if self.door_trigger() == Trigger::Edge
            && let Some(mut source) = self.reactor.source(door)
        {
            source.io.again(Ready::READABLE);
        }
        entered > 0
    }

    fn accept_one(&mut self, door: Token, local: bool) -> Entry {
        if self.is_full() {
            return Entry::NoRoom(None);
        }
        let Some(mut source) = self.reactor.source(door) else { return Entry::Nobody };
        match source.io.accept() {
            Ok(Some((socket, peer))) => self.welcome(socket, peer, local),
            Ok(None) => Entry::Nobody,
            Err(errno) if errno.transient_accept() => Entry::Gone(errno),
            Err(errno) if errno.never_accepts() => Entry::Dead(errno),
            // Out of something: that gets no better by asking.
            Err(errno) => Entry::NoRoom(Some(errno)),
        }
    }

    /// Closes a listener that accepts no more: it would be ready for ever.
    fn close_failed_listener(&mut self, door: Token, errno: Errno) {
        self.doors.retain(|&other| other != door);
        let Some(Role::Door(Door { first, .. })) = self.reactor.close(door) else { return };
        self.tell(Note::ListenerFailed { token: first.unwrap_or(door), errno });
    }

    fn welcome(&mut self, socket: Fd, peer: Addr, local: bool) -> Entry {
        let now = self.config.idle.map(|idle| (self.reactor.kernel().now(), idle));
        let guest = Guest::new(local, now.map_or(0, |(now, _)| wrapped_millis(now, Rounded::Up)));
        let trigger = self.config.trigger;
        let interest = Mode { trigger, local }.interest(Want::Read);
        let role = Role::Guest(guest);
        let token = match self.reactor.register_or_close(socket, interest, trigger, role) {
            Ok(token) => token,
            Err(reason) => {
                self.stats.aborted += 1;
                return Entry::NoRoom(Some(reason.into()));
            }
        };
        self.guests += 1;
        self.stats.accepted += 1;
        if self.config.tell {
            self.tell(Note::Connected { token, peer });
        }
        if let Some((now, idle)) = now
            && let Some(mut source) = self.reactor.source(token)
        {
            source.io.set_deadline(now + idle);
        }
        Entry::Entered
    }

    /// Stops asking the doors. In edge mode they are merely not listened to, unless others watch
    /// them too.
    fn pause(&mut self, errno: Option<Errno>) {
        self.is_paused = true;
        self.stats.pauses += 1;
        // One that has not been taken says the same.
        if self.config.tell || self.notes.is_empty() {
            self.tell(Note::Paused { errno });
        }
        // If the kernel has no memory even for that, the doors stay as they were: at worst we
        // are asked again and look away, until a connection ends.
        self.watch_doors(Interest::NONE);
        if errno.is_some() {
            self.retry_later();
        }
    }

    /// There is hope: asks the doors again. Should the kernel have no memory for that, hope
    /// comes back later; a door that nobody asks any more would be shut for ever.
    pub(super) fn resume(&mut self) {
        if !core::mem::take(&mut self.is_paused) {
            return;
        }
        if self.watch_doors(Interest::READABLE) {
            self.each_door(|io| _ = io.cancel_deadline());
        } else {
            self.is_paused = true;
            self.retry_later();
        }
    }

    fn retry_later(&mut self) {
        let retry = self.reactor.kernel().now() + RETRY;
        self.each_door(|io| io.set_deadline(retry));
    }

    /// Returns whether every door is watched so now.
    fn watch_doors(&mut self, interest: Interest) -> bool {
        let mut are_watched = true;
        for door in self.doors.clone() {
            are_watched &= self.watch_door(door, interest);
        }
        are_watched
    }

    fn watch_door(&mut self, door: Token, interest: Interest) -> bool {
        let (trigger, herd) = (self.door_trigger(), self.herd(door));
        let Some(mut source) = self.reactor.source(door) else { return true };
        match trigger {
            // A watch that we ignore would still be woken in the place of another.
            _ if herd.is_some() => return self.rehang(door, interest),
            // Nobody reminds us of who came meanwhile: look, as if somebody had.
            Trigger::Edge if interest == Interest::READABLE => source.io.again(Ready::READABLE),
            Trigger::Edge => {}
            // A hang-up or an error cannot be masked: by level it would be told for ever.
            _ if interest == Interest::NONE => {
                return source.io.rearm(interest, Trigger::Edge).is_ok();
            }
            _ => return source.io.rearm(interest, trigger).is_ok(),
        }
        true
    }

    fn each_door(&mut self, mut act: impl FnMut(&mut crate::reactor::Io<'_, K>)) {
        for at in 0..self.doors.len() {
            if let Some(mut source) = self.reactor.source(self.doors[at]) {
                act(&mut source.io);
            }
        }
    }

    /// Lets in whoever has queued already, then shuts all doors: a queue that is closed is
    /// reset, with all that was sent into it.
    pub(super) fn shut_doors(&mut self) {
        for door in core::mem::take(&mut self.doors) {
            if let Some(&Role::Door(Door { local, .. })) =
                self.reactor.source(door).map(|s| &*s.state)
            {
                // Every entry leaves the queue, whoever is gone already too; but an errno that is
                // about no entry would be told for ever.
                let mut gone = 0;
                for _ in 0..QUEUED_MAX {
                    match self.accept_one(door, local) {
                        Entry::Entered => gone = 0,
                        Entry::Gone(_) if gone < GONE_MAX => gone += 1,
                        _ => break,
                    }
                }
            }
            if let Some((listener, _)) = self.reactor.deregister(door) {
                release(self.reactor.kernel(), listener);
            }
        }
    }
}
