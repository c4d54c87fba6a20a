//! Accepting connections, and pausing when there is no room for more.
//!
//! A listener that cannot be served is not polled until it may succeed, since a level-triggered
//! one would busy-poll. It may succeed when a connection closes, or after a delay.
//!
//! A listener may be shared with other servers, each with an epoll of its own: [`AcceptSharing`].

use alloc::boxed::Box;

use super::config::ServerEvent;
use super::connection::Connection;
use super::listener::{AcceptSharing, Listener};
use super::{Source, StreamServer};
use crate::collections::Array as _;
use crate::errno::Errno;
use crate::event::{ExclusiveTrigger, Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::close_quietly;
use crate::kernel::{CallError, Decision, Fd, Kernel, ListenerDecision, Syscall};
use crate::net::{Addr, AddressFamily};
use crate::reactor::{RETRY_DELAY, RegisterErrorKind};
use crate::server::HAS_OPTIONS;
use crate::server::admission::{Admission, AdmissionId, Refusal};
use crate::token::Token;

/// Connections accepted from one accept queue when the listeners close. More than any system's
/// queue holds; the bound is for kernels that return `ECONNABORTED` endlessly.
const DRAIN_ACCEPTS_MAX: u32 = 1 << 16;

/// Connections aborted before they were accepted that one turn skips: each is followed by another
/// accept, whatever `accepts_max` is. So many without any success is no coincidence: a sandbox that
/// denies accept4(2) returns `EPERM`, as a firewall does for one connection.
const CONSECUTIVE_ABORTS_MAX: u32 = 64;

/// Result of one attempt to accept.
enum AcceptOutcome {
    Accepted,
    Aborted(Errno),
    WouldBlock,
    /// It was accepted, and closed at once.
    Refused,
    /// What was missing has been freed.
    Retry,
    Exhausted(Option<Errno>),
    /// The listener accepts no more.
    Dead(Errno),
}

impl<K: Kernel, X> StreamServer<K, X> {
    /// Listeners are never registered one-shot.
    const fn listener_trigger(&self) -> Trigger {
        match self.config.trigger {
            Trigger::Level | Trigger::OneShot => Trigger::Level,
            Trigger::Edge | Trigger::EdgeOneShot => Trigger::Edge,
        }
    }

    /// Takes ownership of a listening socket and accepts its connections from now on. It must be
    /// non-blocking, or the server blocks in accept4(2). Cost: two system calls.
    ///
    /// # Errors
    /// [`CallError`]: what getsockname(2) or epoll_ctl(2) returned. An epoll_ctl(2) that was not
    /// made returns [`Errno::ESHUTDOWN`] after [`begin_shutdown`](Self::begin_shutdown), and
    /// [`Errno::ENOMEM`] without memory for the registration. The socket is closed in each case.
    pub fn add_listener(&mut self, socket: Fd) -> Result<Token, CallError> {
        self.add_listener_with(socket, None)
    }

    /// As [`add_listener`](Self::add_listener), for a listener that other servers wait for too:
    /// duplicates of it, in other threads or processes. With [`AcceptSharing::RoundRobin`] a server
    /// should accept one connection at a time (`StreamConfig::accepts_max`). Cost: two system
    /// calls.
    ///
    /// To change its interest a shared listener is removed and added again, because the kernel
    /// does not modify an `EPOLLEXCLUSIVE` registration; when the kernel has no memory to add it
    /// again, the listener is closed: the other servers keep theirs.
    ///
    /// # Errors
    /// As [`add_listener`](Self::add_listener).
    pub fn add_shared_listener(
        &mut self,
        socket: Fd,
        sharing: AcceptSharing,
    ) -> Result<Token, CallError> {
        self.add_listener_with(socket, Some(sharing))
    }

    fn add_listener_with(
        &mut self,
        socket: Fd,
        sharing: Option<AcceptSharing>,
    ) -> Result<Token, CallError> {
        let not_registered = |errno| CallError { call: Syscall::EpollCtl, errno };
        if self.drain_deadline.is_some() {
            close_quietly(self.reactor.kernel(), socket);
            return Err(not_registered(Errno::ESHUTDOWN));
        }
        let is_unix = match self.reactor.kernel().getsockname(&socket) {
            Ok(name) => name.family() == Some(AddressFamily::Unix),
            Err(errno) => {
                close_quietly(self.reactor.kernel(), socket);
                return Err(CallError { call: Syscall::Getsockname, errno });
            }
        };
        let listener = Listener { is_unix, sharing, original_token: None };
        let has_to_wait =
            self.accept_paused && (sharing.is_some() || self.listener_trigger() != Trigger::Edge);
        let result = if has_to_wait {
            let source = Source::Listener(listener);
            self.reactor.register_or_close(socket, Interest::NONE, Trigger::Edge, source)
        } else {
            self.register_listener(socket, listener)
        };
        let token = result.map_err(|kind| not_registered(kind.into()))?;
        if self.listeners.try_push(token).is_err() || self.reserve_deadlines().is_err() {
            self.listeners.retain(|listener| *listener != token);
            self.reactor.close(token);
            return Err(not_registered(Errno::ENOMEM));
        }
        if self.accept_paused {
            // Without another listener this one's timer has to end the pause.
            self.schedule_accept_retry();
        }
        Ok(token)
    }

    /// Makes room for a deadline of each listener: one that cannot be set would end a pause never.
    /// While there is no connection there is no other deadline, and when one closes, a pause ends.
    fn reserve_deadlines(&mut self) -> Result<(), Errno> {
        if self.accept_paused {
            return Ok(());
        }
        let mut result = Ok(());
        self.for_each_listener(|io| {
            result = result.and_then(|()| io.try_set_deadline(Instant::MAX));
        });
        self.for_each_listener(|io| _ = io.cancel_deadline());
        result
    }

    /// Registers a listener for connections; closes it when that fails.
    fn register_listener(
        &mut self,
        socket: Fd,
        listener: Listener,
    ) -> Result<Token, RegisterErrorKind> {
        let (trigger, source) = (self.listener_trigger(), Source::Listener(listener));
        if !HAS_OPTIONS || listener.sharing.is_none() {
            return self.reactor.register_or_close(socket, Interest::READABLE, trigger, source);
        }
        let trigger = match trigger {
            Trigger::Edge => ExclusiveTrigger::Edge,
            _ => ExclusiveTrigger::Level,
        };
        let result = self.reactor.register_exclusive(socket, Interest::READABLE, trigger, source);
        result.map_err(|error| {
            close_quietly(self.reactor.kernel(), error.fd);
            error.kind
        })
    }

    /// Removes and re-adds a shared listener, with interest in connections or in nothing, because
    /// the kernel does not modify an `EPOLLEXCLUSIVE` registration. Closes it if that fails.
    fn reregister_listener(&mut self, old: Token, interest: Interest) {
        let Some((socket, source)) = self.reactor.deregister(old) else { return };
        // It was a listener just now.
        let Source::Listener(listener) = source else { return };
        let listener =
            Listener { original_token: listener.original_token.or(Some(old)), ..listener };
        let result = if interest == Interest::NONE {
            self.reactor.register_or_close(
                socket,
                interest,
                Trigger::Edge,
                Source::Listener(listener),
            )
        } else {
            self.register_listener(socket, listener)
        };
        match result {
            Ok(new) => {
                self.listeners
                    .iter_mut()
                    .filter(|listener| **listener == old)
                    .for_each(|listener| *listener = new);
            }
            Err(reason) => {
                self.listeners.retain(|&listener| listener != old);
                let token = listener.original_token.unwrap_or(old);
                self.push_event(ServerEvent::ListenerFailed { token, errno: Errno::from(reason) });
            }
        }
    }

    #[inline]
    fn sharing_of(&mut self, listener: Token) -> Option<AcceptSharing> {
        if !HAS_OPTIONS {
            return None;
        }
        match self.reactor.get_mut(listener)?.0 {
            Source::Listener(listener) => listener.sharing,
            Source::Connection(_) | Source::User(_) => None,
        }
    }

    /// Accepts at most `accepts_max` connections, skipping at most `CONSECUTIVE_ABORTS_MAX` aborted
    /// ones. Returns whether anything was done.
    pub(super) fn on_listener_ready(&mut self, listener: Token, is_unix: bool) -> bool {
        let accepted = self.accept_batch(listener, is_unix);
        let sharing = self.sharing_of(listener);
        if accepted && sharing.is_some() && self.at_capacity() {
            // At once, not when the next connection arrives: that would wake this server and no
            // other, and this one could not accept it.
            self.pause_accept(None);
        }
        if accepted && !self.accept_paused && sharing == Some(AcceptSharing::RoundRobin) {
            self.reregister_listener(listener, Interest::READABLE);
        }
        accepted
    }

    const fn at_capacity(&self) -> bool {
        self.connections >= self.config.connections_max
    }

    fn accept_batch(&mut self, listener: Token, is_unix: bool) -> bool {
        if self.accept_paused {
            return self.mask_paused_listener(listener);
        }
        let accepts_max = self.config.accepts_max;
        let is_edge = self.listener_trigger() == Trigger::Edge;
        let limit = if is_edge { accepts_max } else { self.accept_limit.get() };
        let (mut accepted, mut aborted) = (0, 0);
        while accepted < limit {
            match self.accept_one(listener, is_unix) {
                AcceptOutcome::Accepted | AcceptOutcome::Refused => accepted += 1,
                AcceptOutcome::Aborted(errno) => {
                    self.explain_listener(listener, ListenerDecision::Aborted { errno });
                    self.stats.aborted += 1;
                    aborted += 1;
                    if aborted < CONSECUTIVE_ABORTS_MAX {
                        continue;
                    }
                    if accepted == 0 {
                        // Failures only: whatever the cause, retry later.
                        self.pause_accept(Some(errno));
                        return false;
                    }
                    break;
                }
                AcceptOutcome::WouldBlock => {
                    self.explain_listener(listener, ListenerDecision::QueueEmpty { accepted });
                    self.accept_limit.record_last(accepted);
                    return accepted > 0;
                }
                AcceptOutcome::Retry => {}
                AcceptOutcome::Exhausted(errno) => {
                    self.pause_accept(errno);
                    return accepted > 0;
                }
                AcceptOutcome::Dead(errno) => {
                    self.explain_listener(listener, ListenerDecision::Failed { errno });
                    self.close_failed_listener(listener, errno);
                    return true;
                }
            }
        }
        self.explain_listener(listener, ListenerDecision::BatchFull { accepted });
        if accepted == limit {
            self.accept_limit.record_full(accepts_max);
        }
        if is_edge
            && let Some((_, mut io)) = self.reactor.get_mut(listener)
            && let Err(errno) = io.try_requeue(Ready::READABLE)
        {
            self.pause_accept(Some(errno));
        }
        // The batch is full, or ends with an aborted one behind others.
        true
    }

    /// Tells the kernel of a decision about a listener.
    #[inline]
    fn explain_listener(&mut self, listener: Token, what: ListenerDecision) {
        if let Some((_, io)) = self.reactor.get_mut(listener) {
            let fd = io.fd().number();
            io.kernel.on_decision(Decision::Listener { fd, what });
        }
    }

    /// Removes the interest of a level-triggered listener that is reported in a pause: epoll_ctl
    /// had no memory for it when the pause began. Otherwise every wait would report it. Returns
    /// whether it succeeded.
    fn mask_paused_listener(&mut self, listener: Token) -> bool {
        let is_level = self.listener_trigger() == Trigger::Level;
        let Some((_, mut io)) = self.reactor.get_mut(listener) else { return false };
        // A masked one is reported for a hang-up, once.
        is_level
            && !io.is_registered_for(Interest::NONE, Trigger::Edge)
            && io.modify(Interest::NONE, Trigger::Edge).is_ok()
    }

    fn accept_one(&mut self, listener: Token, is_unix: bool) -> AcceptOutcome {
        if self.at_capacity() {
            return AcceptOutcome::Exhausted(None);
        }
        let Some((_, mut io)) = self.reactor.get_mut(listener) else {
            return AcceptOutcome::WouldBlock;
        };
        match io.accept() {
            Ok(Some((socket, peer))) => match self.admit(listener, &peer) {
                Ok(id) => self.add_connection(listener, socket, peer, is_unix, id),
                Err(_) => {
                    close_quietly(self.reactor.kernel(), socket);
                    AcceptOutcome::Refused
                }
            },
            Ok(None) => AcceptOutcome::WouldBlock,
            Err(errno) if errno.is_transient_accept_error() => AcceptOutcome::Aborted(errno),
            Err(errno) if errno.never_accepts() => AcceptOutcome::Dead(errno),
            // Out of descriptors or memory: retrying at once does not help, unless it is the pipes
            // that no connection uses that have them.
            Err(errno) if errno.is_resource_exhausted() && self.close_free_pipes() => {
                AcceptOutcome::Retry
            }
            Err(errno) => AcceptOutcome::Exhausted(Some(errno)),
        }
    }

    /// Whether a connection of `peer` is served.
    #[inline]
    fn admit(&mut self, listener: Token, peer: &Addr) -> Result<AdmissionId, Refusal> {
        if !HAS_OPTIONS || self.admission.is_none() {
            Ok(AdmissionId::NONE)
        } else {
            self.ask_admission(listener, peer)
        }
    }

    #[cold]
    fn ask_admission(&mut self, listener: Token, peer: &Addr) -> Result<AdmissionId, Refusal> {
        let now = self.reactor.kernel().now();
        let Some(admission) = &mut self.admission else { return Ok(AdmissionId::NONE) };
        let result = admission.admit(peer, now);
        if let Err(why) = result {
            self.stats.record_refusal(why);
            self.explain_listener(listener, ListenerDecision::Refused { why });
            let is_refusal = |event: &ServerEvent| matches!(event, ServerEvent::Refused { .. });
            if self.config.emit_events || !self.events.iter().any(is_refusal) {
                self.push_event(ServerEvent::Refused { peer: *peer, why });
            }
        }
        result
    }

    /// Keeps the name that the admission has for a connection. Returns whether there is memory.
    fn keep_admission_id(&mut self, token: Token, id: AdmissionId) -> bool {
        if !HAS_OPTIONS || id == AdmissionId::NONE {
            return true;
        }
        let slot = token.slot() as usize;
        while self.admission_ids.len() <= slot {
            if self.admission_ids.try_push(AdmissionId::NONE).is_err() {
                return false;
            }
        }
        self.admission_ids[slot] = id;
        true
    }

    /// Releases a connection that has closed.
    pub(super) fn release_admission(&mut self, token: Token) {
        if HAS_OPTIONS && let Some(id) = self.admission_ids.get_mut(token.slot() as usize) {
            let id = core::mem::replace(id, AdmissionId::NONE);
            self.release_id(id);
        }
    }

    fn release_id(&mut self, id: AdmissionId) {
        if HAS_OPTIONS
            && id != AdmissionId::NONE
            && let Some(admission) = &mut self.admission
        {
            admission.release(id);
        }
    }

    /// Sets which peers are served from here on: connections that are open stay open, and are not
    /// counted. Cost: O(connections).
    pub fn set_admission(&mut self, admission: Box<dyn Admission>) {
        self.release_admissions();
        self.admission = Some(admission);
    }

    /// Releases all connections.
    pub(super) fn release_admissions(&mut self) {
        if !HAS_OPTIONS {
            return;
        }
        for id in core::mem::take(&mut self.admission_ids) {
            self.release_id(id);
        }
    }

    /// Returns whether there were any.
    #[cold]
    fn close_free_pipes(&mut self) -> bool {
        HAS_OPTIONS && self.pipes.close_free(self.reactor.kernel())
    }

    /// Closes a listener that accepts no more: it would stay ready forever.
    fn close_failed_listener(&mut self, listener: Token, errno: Errno) {
        self.listeners.retain(|&other| other != listener);
        let Some(Source::Listener(Listener { original_token, .. })) = self.reactor.close(listener)
        else {
            return;
        };
        self.push_event(ServerEvent::ListenerFailed {
            token: original_token.unwrap_or(listener),
            errno,
        });
    }

    fn add_connection(
        &mut self,
        listener: Token,
        socket: Fd,
        peer: Addr,
        is_unix: bool,
        id: AdmissionId,
    ) -> AcceptOutcome {
        let now = self.config.idle_timeout.map(|idle| (self.reactor.kernel().now(), idle));
        let accepted_at = now.map_or(Instant::ZERO, |(now, _)| now);
        let connection = Connection::accepted(is_unix, accepted_at, &self.config);
        let trigger = self.config.trigger;
        let interest = connection.interest(trigger);
        let source = Source::Connection(connection);
        let token = match self.reactor.register_or_close(socket, interest, trigger, source) {
            Ok(token) => token,
            Err(reason) => {
                self.release_id(id);
                self.stats.aborted += 1;
                return AcceptOutcome::Exhausted(Some(reason.into()));
            }
        };
        if !self.keep_admission_id(token, id) {
            self.reactor.close(token);
            self.release_id(id);
            self.stats.aborted += 1;
            return AcceptOutcome::Exhausted(Some(Errno::ENOMEM));
        }
        if let Some((now, idle)) = now
            && let Some((_, mut io)) = self.reactor.get_mut(token)
            && let Err(errno) = io.try_set_deadline(now + idle)
        {
            self.reactor.close(token);
            self.release_admission(token);
            self.stats.aborted += 1;
            return AcceptOutcome::Exhausted(Some(errno));
        }
        self.connections += 1;
        self.stats.accepted += 1;
        self.explain_listener(listener, ListenerDecision::Accepted { token });
        if HAS_OPTIONS && self.config.emit_events {
            self.push_event(ServerEvent::Accepted { token, peer });
        }
        AcceptOutcome::Accepted
    }

    /// Stops accepting. In edge-triggered mode events are merely ignored, unless the listener is
    /// shared.
    fn pause_accept(&mut self, errno: Option<Errno>) {
        self.accept_paused = true;
        self.stats.accept_pauses += 1;
        let connections = self.connections;
        self.reactor.kernel().on_decision(Decision::AcceptPaused { errno, connections });
        // Without `emit_events` the queue may never be drained: one such event is enough.
        let is_paused = |event: &ServerEvent| matches!(event, ServerEvent::AcceptPaused { .. });
        if self.config.emit_events || !self.events.iter().any(is_paused) {
            self.push_event(ServerEvent::AcceptPaused { errno });
        }
        // If epoll_ctl fails for lack of memory, the interest stays as it was: the next event tries
        // again.
        self.set_listener_interest(Interest::NONE);
        if errno.is_some() {
            self.schedule_accept_retry();
        }
    }

    /// Accepts again. If epoll_ctl fails for lack of memory, schedules another retry; a listener
    /// that is never polled again would be lost.
    pub(super) fn resume_accept(&mut self) {
        if !core::mem::take(&mut self.accept_paused) {
            return;
        }
        if self.set_listener_interest(Interest::READABLE) {
            self.reactor.kernel().on_decision(Decision::AcceptResumed);
            self.for_each_listener(|io| _ = io.cancel_deadline());
        } else {
            self.accept_paused = true;
            self.schedule_accept_retry();
        }
    }

    fn schedule_accept_retry(&mut self) {
        let retry = self.reactor.kernel().now() + RETRY_DELAY;
        // There is room, or a connection, whose end is a retry too.
        self.for_each_listener(|io| _ = io.try_set_deadline(retry));
    }

    /// Returns whether all listeners now have this interest.
    fn set_listener_interest(&mut self, interest: Interest) -> bool {
        let (mut all_updated, mut index) = (true, 0);
        while let Some(&listener) = self.listeners.get(index) {
            let count = self.listeners.len();
            all_updated &= self.set_one_listener_interest(listener, interest);
            // One that could not be registered again is gone.
            index += usize::from(self.listeners.len() == count);
        }
        all_updated
    }

    fn set_one_listener_interest(&mut self, listener: Token, interest: Interest) -> bool {
        let (trigger, sharing) = (self.listener_trigger(), self.sharing_of(listener));
        let Some((_, mut io)) = self.reactor.get_mut(listener) else { return true };
        match trigger {
            // A registration that is ignored would be woken in place of another server's.
            // If that fails it is closed: nothing is left to be tried again.
            _ if sharing.is_some() => self.reregister_listener(listener, interest),
            // The kernel does not report what arrived during the pause: accept as if it had.
            Trigger::Edge if interest == Interest::READABLE => {
                return io.try_requeue(Ready::READABLE).is_ok();
            }
            Trigger::Edge => {}
            // A hang-up or an error cannot be masked: level-triggered it would repeat endlessly.
            _ if interest == Interest::NONE => {
                return io.modify(interest, Trigger::Edge).is_ok();
            }
            _ => return io.modify(interest, trigger).is_ok(),
        }
        true
    }

    fn for_each_listener(&mut self, mut act: impl FnMut(&mut crate::reactor::Io<'_, K>)) {
        for listener in &self.listeners {
            if let Some((_, mut io)) = self.reactor.get_mut(*listener) {
                act(&mut io);
            }
        }
    }

    /// Accepts the connections in the accept queues, as far as limits allow, then closes all
    /// listeners: closing one resets what is left in its queue, with all data received there.
    pub(super) fn close_listeners(&mut self) {
        for listener in core::mem::take(&mut self.listeners) {
            if let Some(&Source::Listener(Listener { is_unix, .. })) =
                self.reactor.get_mut(listener).map(|(state, _)| &*state)
            {
                // Every entry leaves the queue, an aborted one too; but an errno that concerns
                // no entry would be returned endlessly.
                let mut aborted = 0;
                for _ in 0..DRAIN_ACCEPTS_MAX {
                    match self.accept_one(listener, is_unix) {
                        AcceptOutcome::Accepted | AcceptOutcome::Refused => aborted = 0,
                        // Bounded: there are only so many pipes.
                        AcceptOutcome::Retry => {}
                        AcceptOutcome::Aborted(_) if aborted < CONSECUTIVE_ABORTS_MAX => {
                            aborted += 1
                        }
                        AcceptOutcome::Exhausted(errno) => {
                            let what = ListenerDecision::BacklogDropped { errno };
                            self.explain_listener(listener, what);
                            break;
                        }
                        _ => break,
                    }
                }
            }
            if let Some((socket, _)) = self.reactor.deregister(listener) {
                close_quietly(self.reactor.kernel(), socket);
            }
        }
    }
}
