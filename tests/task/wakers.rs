//! Wakers of another kind: one that runs code of its own when it is cloned.
//!
//! A program may poll a future of this executor with any waker. Nothing may be borrowed then.

#![expect(unsafe_code, reason = "a waker with functions of its own is made of raw parts")]

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::ptr::null;
use std::rc::Rc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use epollite::Kernel;
use epollite::executor::{Notify, channel};

use crate::support::{executor, listener, pair, settle};

const SECOND: Duration = Duration::from_secs(1);

/// What a clone does.
type Act = Rc<dyn Fn()>;

thread_local! {
    /// What a clone does, and how often it was done.
    static ACT: RefCell<(Option<Act>, u32)> = const { RefCell::new((None, 0)) };
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, ignore, ignore, ignore);

fn clone(_: *const ()) -> RawWaker {
    let act = ACT.with_borrow_mut(|(act, clones)| {
        *clones += 1;
        act.clone()
    });
    act.iter().for_each(|act| act());
    RawWaker::new(null(), &TABLE)
}

fn ignore(_: *const ()) {}

/// A waker that wakes nothing, and does `act` each time it is cloned.
fn acting(act: impl Fn() + 'static) -> Waker {
    ACT.set((Some(Rc::new(act)), 0));
    // SAFETY: the functions of the table use no data, and may be called on any thread: what they do
    // is of the thread.
    unsafe { Waker::from_raw(RawWaker::new(null(), &TABLE)) }
}

/// Polls once with `waker`, which must be cloned.
fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    let before = ACT.with_borrow(|(_, clones)| *clones);
    let polled = future.poll(&mut Context::from_waker(waker));
    let clones = ACT.with_borrow(|(_, clones)| *clones) - before;
    assert!(clones > 0, "the waker is to be cloned");
    polled
}

#[test]
fn a_waker_may_use_the_executor_when_it_is_cloned() {
    let (mut executor, _sim) = executor();
    let handle = executor.handle();
    let (mut listener, _) = listener(&handle, "127.0.0.1:0");
    let (mut near, mut far) = pair(&handle);
    let own = handle.clone();
    let waker = acting(move || {
        // A timer, a descriptor registered and closed, a call, a task.
        let mut sleep = pin!(own.sleep(SECOND));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let eventfd = own.with_kernel(|kernel| kernel.eventfd(0)).unwrap();
        drop(own.async_fd(eventfd).unwrap());
        own.spawn(async {});
    });
    let polled = executor.block_on(async {
        {
            let mut buf = [0; 9];
            let mut received = pin!(near.recv(&mut buf));
            assert!(poll(received.as_mut(), &waker).is_pending(), "nothing was sent");
        }
        {
            let mut sleep = pin!(handle.sleep(SECOND));
            let mut noop = Context::from_waker(Waker::noop());
            assert!(sleep.as_mut().poll(&mut noop).is_pending());
            assert!(poll(sleep, &waker).is_pending(), "another waker, before the deadline");
            assert!(poll(pin!(handle.sleep(SECOND)), &waker).is_pending());
        }
        // A descriptor is closed while the waker is cloned: that is what it waits for. The future
        // finds out when it is polled next.
        let mut backoff = Box::pin(listener.backoff());
        assert!(poll(backoff.as_mut(), &waker).is_pending());
        assert!(backoff.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        drop(backoff);
        let mut task = handle.spawn(std::future::pending::<()>());
        assert!(poll(Pin::new(&mut task), &waker).is_pending());
        drop(task);
    });
    assert_eq!(polled, Ok(()));
    settle(&mut executor);
    // What was registered before works as it did.
    let echoed = executor.block_on(async {
        far.write_all(b"hello").await?;
        let mut buf = [0; 9];
        near.recv(&mut buf).await
    });
    assert_eq!(echoed, Ok(Ok(5)));
}

#[test]
fn a_permit_that_comes_while_a_waker_is_cloned_is_not_lost() {
    let notify = Rc::new(Notify::new());
    let own = Rc::clone(&notify);
    let waker = acting(move || own.notify_one());
    assert!(poll(pin!(notify.notified()), &waker).is_ready(), "it was notified");

    let (sender, mut receiver) = channel(NonZeroUsize::MIN);
    let waker = acting(move || _ = sender.try_send(7));
    let received = poll(pin!(receiver.recv()), &waker);
    assert_eq!(received, Poll::Ready(Some(7)), "a value was sent");
}
