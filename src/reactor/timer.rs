//! Timers without a descriptor: a registration that has a state and a deadline, and nothing else.
//!
//! Knows the slab and the deadlines; no system call.

use super::reactor::Reactor;
use super::register_error::RegisterErrorKind;
use super::registration::{Registration, Watched};
use super::storage::StorageOf;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::Kernel;
use crate::token::Token;

impl<T, K: Kernel, S: StorageOf<T>> Reactor<T, K, S> {
    /// Adds a timer: one [`Event::Timer`](crate::Event::Timer) when `deadline` has passed, with the
    /// token that is returned. Cost: O(log deadlines), no system call.
    ///
    /// A registration has one deadline; a timer is for everything else: several deadlines of one
    /// connection (put its token into `state`), or one that belongs to no descriptor. After its
    /// event it stays, to be [set again](crate::Io::set_deadline), until
    /// [`close`](Self::close) removes it, and it counts in [`len`](Self::len). It has no
    /// descriptor: calls on it through [`Io`](crate::Io) fail with `EBADF` (the simulated kernel
    /// panics, as at every use of a descriptor that is not open), and
    /// [`deregister`](Self::deregister) returns `None`.
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use core::time::Duration;
    /// use epollite::{Event, Kernel, Reactor};
    /// let mut reactor = Reactor::new()?;
    /// let now = reactor.kernel().now();
    /// let late = reactor.add_timer(now + Duration::from_millis(2), "late")?;
    /// let soon = reactor.add_timer(now + Duration::from_millis(1), "soon")?;
    /// assert_eq!(reactor.close(late), Some("late"));
    /// assert_eq!(reactor.next(None)?, Some(Event::Timer { token: soon }));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    ///
    /// Two timers of one connection, each cancelled by its token:
    ///
    /// ```
    /// use core::time::Duration;
    /// use epollite::{Event, Interest, Kernel, Reactor, Token, Trigger};
    /// use epollite::kernel::SocketType;
    /// use epollite::sim::Sim;
    ///
    /// enum State {
    ///     Connection { idle: Token, lifetime: Token },
    ///     Timer { of: Token, name: &'static str },
    ///     Starting,
    /// }
    /// let mut reactor = Reactor::with_kernel(Sim::default())?;
    /// let (near, far) = reactor.kernel().socketpair(SocketType::Stream)?;
    /// let of =
    ///     reactor.register_or_close(near, Interest::READABLE, Trigger::Level, State::Starting)?;
    /// let now = reactor.kernel().now();
    /// let idle = reactor
    ///     .add_timer(now + Duration::from_secs(5), State::Timer { of, name: "idle" })?;
    /// let lifetime = reactor
    ///     .add_timer(now + Duration::from_secs(60), State::Timer { of, name: "lifetime" })?;
    /// *reactor.get_mut(of).unwrap().0 = State::Connection { idle, lifetime };
    ///
    /// // It was active: the timer is set again.
    /// reactor.get_mut(idle).unwrap().1.set_deadline(now + Duration::from_secs(10));
    /// assert_eq!(reactor.next(None)?, Some(Event::Timer { token: idle }));
    /// let Some((&mut State::Timer { of, name: "idle" }, _)) = reactor.get_mut(idle) else {
    ///     panic!()
    /// };
    /// // The connection ends, and both timers with it.
    /// if let Some(State::Connection { idle, lifetime }) = reactor.close(of) {
    ///     reactor.close(idle);
    ///     reactor.close(lifetime);
    /// }
    /// assert!(reactor.is_empty());
    /// # reactor.kernel().close(far)?;
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// * [`RegisterErrorKind::Full`]: there are `registrations_max` registrations.
    /// * [`Errno::ENOMEM`]: no memory.
    ///
    /// The state is dropped.
    pub fn add_timer(&mut self, deadline: Instant, state: T) -> Result<Token, RegisterErrorKind> {
        self.try_add_timer(deadline, state).map_err(|(kind, _)| kind)
    }

    /// As [`add_timer`](Self::add_timer), and returns the state when it fails.
    pub(super) fn try_add_timer(
        &mut self,
        deadline: Instant,
        state: T,
    ) -> Result<Token, (RegisterErrorKind, T)> {
        let Some(vacancy) = self.registrations.vacancy() else {
            return Err((self.why_full(), state));
        };
        let deadline = deadline.max(self.shared.reported_until);
        if self.shared.timers.try_set(vacancy.token().slot(), deadline).is_err() {
            return Err((Errno::ENOMEM.into(), state));
        }
        Ok(vacancy.fill(Registration { watched: Watched::timer(), state }))
    }
}
