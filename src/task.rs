//! Coroutines: straight-line code for each client, on one thread and on the reactor.
//!
//! Knows the reactor, and that some futures wait for it. It has never heard of a server; what
//! the futures say to each other is their own affair.
//!
//! # The idea, and what became of it
//!
//! A server for many clients needs to remember, for each, where the conversation stands. A
//! process or a thread keeps that on a stack, and the kernel switches between stacks. A reactor
//! keeps it in a state machine that is written by hand. A *coroutine* is the third way: the
//! client's code is written as if it were alone (receive, send, again), each client has a stack
//! of its own, light, and where the code would have to wait it hands the processor on by itself.
//! A scheduler in user space, a few lines around `epoll_wait`, goes on with whoever can.
//!
//! That is what is here, with one difference. Coroutines in C *have* a stack: `swapcontext` puts
//! one aside and takes up another, tens of kilobytes each, mostly empty, and too small on the
//! day that somebody calls deep. Rust's are *stackless*: the compiler turns `async` code into
//! the very state machine that we would have written, one enum, as large as the largest state,
//! and known when compiled.
//!
//! | | stackful, as in C | here |
//! |---|---|---|
//! | switches | by saving registers, anywhere, any depth | by returning from `poll`, at an `.await` only |
//! | who may wait | every function | `async` ones: one sees at each call whether it may wait |
//! | memory | a stack a client, guessed | what lives across an `.await`, exactly |
//! | overflow | of the small stack: memory is corrupted, or a guard page ends it | none of its own |
//! | is `unsafe` | context switches are | not a line of it |
//! | scheduling | cooperative | cooperative: who computes for a second makes all wait |
//!
//! Bytes for an echo client that is idle, all of ours together (the task, its future, its wake-up,
//! the registration of its socket): 335, and at most 512; `tests/allocation.rs` counts. A
//! buffer would be more than all that, so an idle client has none: [`Stream::bytes`] borrows one
//! when there is something to put in it.
//!
//! # How it goes
//!
//! ```text
//!  block_on, for ever:
//!    ask the kernel       epoll_wait; it waits only if nobody wants to go on
//!    note what it says    a socket has become readable: ring whoever waits for that
//!    let time pass        ring whoever has slept long enough
//!    poll who was rung    each once; who rings meanwhile is for the next round
//! ```
//!
//! A future first tries its system call and waits only when that says `EAGAIN`; or does not
//! even try, when the last read came back short and nothing was reported since. A socket is
//! registered once, edge-triggered. So an echo costs what it costs by hand: `epoll_wait`,
//! `recv`, `send`.
//!
//! A task may make [`Config::calls_max`] calls at a time, then the others have their turn,
//! whether it would have to wait or not.
//!
//! ```
//! # #[cfg(feature = "std")] fn main() -> Result<(), epollite::Errno> {
//! use epollite::task::Tasks;
//! use epollite::{Kernel, Kind};
//!
//! let mut tasks = Tasks::new()?;
//! let handle = tasks.handle();
//! let (near, far) = handle.kernel(|kernel| kernel.socketpair(Kind::Stream))?;
//! let (mut near, mut far) = (handle.stream(near)?, handle.stream(far)?);
//! let echo = handle.spawn(async move {
//!     while let Some(bytes) = far.bytes().await? {
//!         far.send_all(&bytes).await?;
//!     }
//!     Ok::<_, epollite::Errno>("they have left")
//! });
//! let heard = tasks.block_on(async {
//!     near.send_all(b"hello").await?;
//!     let mut buf = [0; 16];
//!     assert_eq!(near.recv(&mut buf).await?, 5);
//!     drop(near);                                      // which closes it
//!     echo.await.expect("nobody cancelled it")
//! })?;
//! assert_eq!(heard, Ok("they have left"));
//! # Ok(()) }
//! # #[cfg(not(feature = "std"))] fn main() {}
//! ```
//!
//! # What it promises
//!
//! * A dropped future waits no more, a dropped socket is closed, once. To cancel a task
//!   ([`JoinHandle::cancel`]) is to drop its future; to drop [`Tasks`] is to cancel them all.
//! * A task that panics is dropped like a cancelled one, and the panic goes on to whoever called
//!   [`block_on`](Tasks::block_on) or [`turn`](Tasks::turn); the others are whole, and the next
//!   turn goes on with them.
//! * Out of descriptors, a [`Listener`] waits until one comes free. It does not spin, and its
//!   `accept` does not fail for that.
//! * A [`Waker`] may be sent to another thread and rung there. If the loop
//!   is waiting it does not notice: ring first, then wake the reactor with [`Handle::waker`].

mod bells;
mod datagram;
mod job;
mod lent;
mod listener;
mod stream;
mod time;
mod turns;
mod watched;

pub use datagram::Datagram;
pub use job::{Cancelled, JoinHandle};
pub use lent::Lent;
pub use listener::Listener;
pub use stream::{Receiver, Sender, Stream};
pub use time::{Late, Sleep};
pub use turns::Tasks;
pub use watched::{Side, Watched};

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::num::{NonZeroU32, NonZeroUsize};
use core::task::{Context, Poll, Waker};

use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::Kernel;
use crate::linux::Linux;
use crate::reactor::{self, Limits, Reactor};
use crate::slab::Slab;

use bells::Bells;
use job::{Job, Run};
use lent::Pool;
use time::Sleepers;
use watched::Waits;

/// How much tasks may hold, and how much one may do at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// The reactor's limits: how many sockets, and how many events a turn.
    pub limits: Limits,
    /// System calls that one task may make before the others have their turn.
    pub calls_max: NonZeroU32,
    /// The size of the buffers that [`Stream::bytes`] lends.
    pub buffer_bytes: NonZeroUsize,
}

impl Default for Config {
    /// 32 calls: so many that polling does not show beside them, so few that a thousand
    /// clients who never pause are served within some tens of milliseconds. 64 KiB: what a
    /// socket has at once, mostly.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            calls_max: const { NonZeroU32::new(32).expect("32 is not zero") },
            buffer_bytes: const { NonZeroUsize::new(64 << 10).expect("64 KiB are not zero") },
        }
    }
}

/// What all handles share.
struct Shared<K: Kernel> {
    reactor: RefCell<Reactor<Waits, K>>,
    jobs: RefCell<Slab<Rc<dyn Run>>>,
    bells: RefCell<Bells>,
    sleepers: RefCell<Sleepers>,
    /// Who waits for a descriptor to come free.
    hopeful: RefCell<Vec<Waker>>,
    /// How many sockets were closed: who was hopeful sees that it has changed.
    closed: Cell<u64>,
    pool: Rc<Pool>,
    /// What is left to the task that is being polled.
    calls_left: Cell<u32>,
    calls_max: u32,
    /// Whether [`Tasks`] is gone: nothing is spawned any more.
    is_over: Cell<bool>,
}

/// What tasks do things with: spawn, open, sleep. A clone is one more name for the same.
///
/// One that outlives its [`Tasks`] spawns nothing any more, and nobody is there to wake who
/// waits.
pub struct Handle<K: Kernel = Linux>(Rc<Shared<K>>);

impl<K: Kernel> Handle<K> {
    /// Begins a task: it is polled from the next turn on. Work: O(1), three allocations.
    ///
    /// Drop what is returned, and the task goes on by itself.
    ///
    /// # Panics
    /// There are four thousand million tasks already.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        let job = Rc::new(Job::new(future));
        if self.0.is_over.get() {
            job.cancel();
            return JoinHandle::of(job);
        }
        let run = Rc::<Job<F>>::clone(&job);
        let inserted = self.0.jobs.borrow_mut().insert(run);
        let token = inserted.ok().expect("four thousand million tasks are too many");
        job.hang(self.0.bells.borrow_mut().bell(token.slot()));
        JoinHandle::of(job)
    }

    /// Lets the others have their turn, then goes on. Work: O(1).
    pub async fn yield_now(&self) {
        let mut has_yielded = false;
        core::future::poll_fn(|cx| {
            if core::mem::replace(&mut has_yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Makes system calls of the caller's own; none may wait. Work: the calls'.
    ///
    /// # Panics
    /// `calls` uses a socket or a handle of these tasks: the kernel is in use.
    pub fn kernel<R>(&self, calls: impl FnOnce(&mut K) -> R) -> R {
        calls(self.0.reactor.borrow_mut().kernel())
    }

    /// What time it is. Work: one look at the clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// Something another thread can end the waiting with, after it has rung a task's
    /// [`Waker`]. Work: two system calls the first time, none after.
    ///
    /// # Errors
    /// As [`Reactor::waker`](crate::Reactor::waker).
    pub fn waker(&self) -> Result<reactor::Waker, Errno> {
        self.0.reactor.borrow_mut().waker()
    }

    /// How many tasks there are. Work: O(1).
    #[must_use]
    pub fn tasks(&self) -> u32 {
        self.0.jobs.borrow().len()
    }

    /// How many sockets and other descriptors are open. Work: O(1).
    #[must_use]
    pub fn descriptors(&self) -> u32 {
        self.0.reactor.borrow().len()
    }
}

impl<K: Kernel> Shared<K> {
    fn now(&self) -> Instant {
        self.reactor.borrow_mut().kernel().now()
    }

    /// Ready while the task that is being polled may make another call. When it has had its
    /// turn it is rung, and stands behind the others.
    fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        match self.calls_left.get().checked_sub(1) {
            Some(left) => {
                self.calls_left.set(left);
                Poll::Ready(())
            }
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// A descriptor has come free: whoever had none may try again.
    fn give_hope(&self) {
        self.closed.set(self.closed.get().wrapping_add(1));
        if !self.hopeful.borrow().is_empty() {
            let hopeful = self.hopeful.take();
            hopeful.into_iter().for_each(Waker::wake);
        }
    }
}

impl<K: Kernel> Clone for Handle<K> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<K: Kernel> fmt::Debug for Handle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("tasks", &self.tasks())
            .field("descriptors", &self.descriptors())
            .finish_non_exhaustive()
    }
}
