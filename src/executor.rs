//! Coroutines: sequential code for each client, on one thread, over the reactor.
//!
//! Knows the reactor, and that some futures wait for it. It knows no server and no protocol.
//!
//! # Background
//!
//! A server for many clients must store, for each client, how far its protocol has got. A process
//! or a thread keeps that on a stack, and the kernel switches between stacks. A reactor keeps it
//! in a hand-written state machine. *Coroutines* are a third way: the code for a client is written
//! as if it were the only one (receive, send, repeat), each client has its own lightweight
//! context, and where the code would block it yields. A scheduler in user space, a few lines
//! around `epoll_wait`, resumes coroutines that are ready.
//!
//! This module does that, with one difference. Coroutines in C *have* a stack: `swapcontext` saves
//! one and restores another, tens of kilobytes each, mostly empty, and too small for an
//! unexpectedly deep call. Rust's are *stackless*: the compiler turns `async` code into a state
//! machine, one enum, as large as its largest state, of a size known at compile time.
//!
//! | | stackful, as in C | here |
//! |---|---|---|
//! | switches | by saving registers, anywhere, any depth | from `poll`, at an `.await` only |
//! | what may wait | every function | `async` functions: each call shows whether it may wait |
//! | memory | a stack per client, of a guessed size | what lives across an `.await`, exactly |
//! | overflow | of the small stack: corrupts memory, or a guard page stops it | none of its own |
//! | `unsafe` | context switches | none |
//! | scheduling | cooperative | cooperative: a task that computes for a second delays all others |
//!
//! Memory of an idle echo client in bytes, all user-space parts together (the task, its future,
//! its waker, the registration of its socket): 335, and at most 512; `tests/allocation` counts.
//! A buffer would be larger than all that, so an idle client has none: [`Stream::recv_pooled`]
//! takes one from a pool when there is data to put in it.
//!
//! # How it works
//!
//! ```text
//!  block_on, in a loop:
//!    wait for events      epoll_wait; blocks only if no task is runnable
//!    dispatch them        a socket has become readable: wake the task that waits for it
//!    expire timers        wake tasks whose sleep has ended
//!    poll woken tasks     each once; tasks woken during this are polled in the next round
//! ```
//!
//! A future first tries its system call and waits only when that returns `EAGAIN`; it does not
//! even try when the last read was short and nothing has been reported since. A socket is
//! registered once, edge-triggered. So an echo costs the same calls as hand-written code:
//! `epoll_wait`, `recv`, `send`.
//!
//! A task may make [`ExecutorConfig::budget`] calls per poll, then other tasks are polled, whether
//! it would have to wait or not.
//!
//! ```
//! # #[cfg(feature = "std")] fn main() -> Result<(), epollite::Errno> {
//! use epollite::executor::Executor;
//! use epollite::Kernel;
//! use epollite::kernel::SocketType;
//!
//! let mut executor = Executor::new()?;
//! let handle = executor.handle();
//! let (near, far) = handle.with_kernel(|kernel| kernel.socketpair(SocketType::Stream))?;
//! let (mut near, mut far) = (handle.stream(near)?, handle.stream(far)?);
//! let echo = handle.spawn(async move {
//!     while let Some(bytes) = far.recv_pooled().await? {
//!         far.write_all(&bytes).await?;
//!     }
//!     Ok::<_, epollite::Errno>("closed")
//! });
//! let outcome = executor.block_on(async {
//!     near.write_all(b"hello").await?;
//!     let mut buf = [0; 16];
//!     assert_eq!(near.recv(&mut buf).await?, 5);
//!     drop(near);                                      // which closes it
//!     echo.await.expect("the task was not cancelled")
//! })?;
//! assert_eq!(outcome, Ok("closed"));
//! # Ok(()) }
//! # #[cfg(not(feature = "std"))] fn main() {}
//! ```
//!
//! # Guarantees
//!
//! * A dropped future no longer waits; a dropped socket is closed, once. Cancelling a task
//!   ([`JoinHandle::cancel`]) drops its future; dropping [`Executor`] cancels all tasks.
//! * A task that panics is dropped like a cancelled one, and the panic propagates to the caller of
//!   [`block_on`](Executor::block_on) or [`run_once`](Executor::run_once); other tasks are not
//!   affected, and the next call continues with them.
//! * Out of descriptors, a [`Listener`] waits until one is freed. It does not busy-poll, and its
//!   `accept` does not fail for that.
//! * A task's [`Waker`] may be used from another thread, and ends the wait of this one, with
//!   [`Executor::new`] or after [`accept_remote_wakes`](Executor::accept_remote_wakes).
//! * Everything else stays on its thread, and is neither `Send` nor `Sync`: the executor, its
//!   handles, sockets, sleeps, channels and join handles. A [`Notify`] may be moved, not shared. A
//!   thread that needs tasks has an executor of its own.

mod async_fd;
mod buffer_pool;
mod channel;
mod datagram;
#[expect(clippy::module_inception, reason = "a type is in the file of its name")]
mod executor;
mod io_state;
mod join;
mod lines;
mod listener;
mod loop_waker;
mod notify;
mod sleep_timers;
mod stream;
mod time;
mod wait_queue;
mod wake_set;

pub use async_fd::AsyncFd;
pub use buffer_pool::PooledBuf;
pub use channel::{Receiver, SendError, Sender, TrySendError, channel};
pub use datagram::{DatagramRecvHalf, DatagramSendHalf, DatagramSocket};
pub use executor::Executor;
pub use io_state::Direction;
pub use join::{JoinError, JoinHandle};
pub use lines::{LineError, Lines};
pub use listener::Listener;
pub use notify::Notify;
pub use stream::{ReadHalf, Stream, WriteHalf};
pub use time::{Elapsed, Sleep};

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::num::{NonZeroU32, NonZeroUsize};
use core::task::{Context, Poll, Waker};

use crate::collections::Slab;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::Kernel;
use crate::linux::Linux;
use crate::reactor::{self, Limits, Reactor};

use buffer_pool::BufferPool;
use io_state::IoState;
use join::{Runnable, Task};
use sleep_timers::SleepTimers;
use wake_set::WakeSet;

/// Limits of an executor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExecutorConfig {
    /// The reactor's limits: how many descriptors, and how many events per wait.
    pub limits: Limits,
    /// System calls that one task may make before other tasks are polled.
    pub budget: NonZeroU32,
    /// The size of the buffers that [`Stream::recv_pooled`] returns.
    pub buffer_bytes: NonZeroUsize,
}

impl Default for ExecutorConfig {
    /// 32 calls: enough that the cost of polling is negligible, few enough that a thousand
    /// clients that never pause are each served within some tens of milliseconds. 64 KiB: what a
    /// socket usually has at once.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            budget: const { NonZeroU32::new(32).expect("32 is not zero") },
            buffer_bytes: const { NonZeroUsize::new(64 << 10).expect("64 KiB are not zero") },
        }
    }
}

/// State shared by all handles.
struct Shared<K: Kernel> {
    reactor: RefCell<Reactor<IoState, K>>,
    tasks: RefCell<Slab<Rc<dyn Runnable>>>,
    wake_set: RefCell<WakeSet>,
    sleep_timers: RefCell<SleepTimers>,
    /// Tasks that wait for a descriptor to be freed.
    fd_waiters: RefCell<Vec<Waker>>,
    /// How many descriptors were closed: tasks in `fd_waiters` compare it.
    close_count: Cell<u64>,
    pool: Rc<BufferPool>,
    /// The remaining budget of the task that is being polled.
    budget_left: Cell<u32>,
    budget: u32,
    /// Whether [`Executor`] has been dropped: nothing is spawned any more.
    is_shut_down: Cell<bool>,
}

/// The interface of tasks to the executor: spawn, open, sleep. Clones share the executor.
///
/// A handle that outlives its [`Executor`] spawns nothing any more, and tasks waiting through it
/// are never woken.
pub struct Handle<K: Kernel = Linux>(Rc<Shared<K>>);

impl<K: Kernel> Handle<K> {
    /// Spawns a task: it is polled from the next round on. Cost: O(1), three allocations.
    ///
    /// Dropping the returned handle detaches the task.
    ///
    /// # Panics
    /// There are 2³² tasks already.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        let task = Rc::new(Task::new(future));
        if self.0.is_shut_down.get() {
            task.cancel();
            return JoinHandle::new(task);
        }
        let runnable = Rc::<Task<F>>::clone(&task);
        let inserted = self.0.tasks.borrow_mut().insert(runnable);
        let token = inserted.ok().expect("fewer than 2^32 tasks");
        task.set_waker(self.0.wake_set.borrow_mut().waker(token.slot()));
        JoinHandle::new(task)
    }

    /// Lets other tasks run, then continues. Cost: O(1).
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

    /// Makes system calls of the caller's own; they must not block. Cost: the calls'.
    ///
    /// # Panics
    /// `calls` uses a socket or a handle of this executor: the kernel is borrowed.
    pub fn with_kernel<R>(&self, calls: impl FnOnce(&mut K) -> R) -> R {
        calls(self.0.reactor.borrow_mut().kernel())
    }

    /// The current time. Cost: one read of the clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// A waker with which another thread interrupts the wait, after it has called a task's
    /// [`Waker`]. Cost: two system calls the first time, none after that.
    ///
    /// # Errors
    /// As [`Reactor::waker`](crate::Reactor::waker).
    pub fn waker(&self) -> Result<reactor::Waker, Errno> {
        Ok(self.0.reactor.borrow_mut().waker()?)
    }

    /// How many tasks there are. Cost: O(1).
    #[must_use]
    pub fn task_count(&self) -> u32 {
        self.0.tasks.borrow().len()
    }

    /// How many sockets and other descriptors are open. Cost: O(1).
    #[must_use]
    pub fn fd_count(&self) -> u32 {
        self.0.reactor.borrow().len()
    }
}

impl<K: Kernel> Shared<K> {
    fn now(&self) -> Instant {
        self.reactor.borrow_mut().kernel().now()
    }

    /// Ready while the task being polled has budget left. Otherwise the task is woken again, and
    /// is polled after the others.
    fn poll_proceed(&self, cx: &Context<'_>) -> Poll<()> {
        match self.budget_left.get().checked_sub(1) {
            Some(left) => {
                self.budget_left.set(left);
                Poll::Ready(())
            }
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// A descriptor has been freed: tasks that wait for one may try again.
    fn wake_fd_waiters(&self) {
        self.close_count.set(self.close_count.get().wrapping_add(1));
        if !self.fd_waiters.borrow().is_empty() {
            let waiters = self.fd_waiters.take();
            waiters.into_iter().for_each(Waker::wake);
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
            .field("tasks", &self.task_count())
            .field("descriptors", &self.fd_count())
            .finish_non_exhaustive()
    }
}
