//! Which task is polled, when, and how often.

use core::future::{pending, poll_fn};
use core::task::{Poll, Waker};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;

use epollite::executor::Executor;
use epollite::instrument::{FaultInjector, FaultPlan};
use epollite::kernel::Syscall;
use epollite::{Errno, Instant, Kernel, Linux};

use crate::support::{EventLog, executor, pair, settle};

#[test]
fn tasks_are_polled_in_the_order_of_their_arrival() {
    let (mut executor, _sim) = executor();
    let (handle, log) = (executor.handle(), EventLog::default());
    for name in ["a", "b", "c"] {
        let (handle, log) = (handle.clone(), log.clone());
        drop(handle.clone().spawn(async move {
            for round in 0..3 {
                log.push(format!("{name}{round}"));
                handle.yield_now().await;
            }
        }));
    }
    settle(&mut executor);
    assert_eq!(log.read(), ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]);
    assert_eq!(handle.task_count(), 0, "a finished task is removed");
}

#[test]
fn a_task_survives_repeated_eintr() {
    let faults = FaultPlan::persistent(0, Errno::EINTR).for_syscall(Syscall::EpollWait);
    let mut executor = Executor::with_kernel(FaultInjector::new(Linux, faults)).expect("room");
    let log = EventLog::default();
    let (handle, log_handle) = (executor.handle(), log.clone());
    drop(handle.spawn(async move { log_handle.push("ran".to_owned()) }));
    assert_eq!(
        executor.run_once(None),
        Ok(1),
        "invariant: EINTR is not an error, and delays no task"
    );
    assert_eq!(executor.run_once(None), Ok(0), "invariant: an iteration without events");
    assert_eq!(log.read(), ["ran"]);
}

#[test]
fn a_task_that_always_wakes_itself_starves_neither_tasks_nor_sockets() {
    let (mut executor, _sim) = executor();
    let handle = executor.handle();
    let (mut near, mut far) = pair(&handle);
    let spins = handle.clone();
    drop(handle.spawn(async move {
        loop {
            spins.yield_now().await;
        }
    }));
    drop(handle.spawn(async move {
        while let Some(bytes) = far.recv_pooled().await.expect("the connection is intact") {
            far.write_all(&bytes).await.expect("the connection is intact");
        }
    }));
    let received = executor.block_on(async {
        near.write_all(b"hello").await.expect("there is room");
        near.recv(&mut [0; 9]).await
    });
    assert_eq!(received, Ok(Ok(5)));
}

#[test]
fn a_heavy_client_is_preempted_for_other_clients() {
    let (mut executor, _sim) = executor();
    let handle = executor.handle();
    let (mut near, mut far) = pair(&handle);
    let rounds = Rc::new(Cell::new(0));
    // All data is received at once: after the first round neither ever waits.
    let counts = Rc::clone(&rounds);
    drop(handle.spawn(async move {
        while counts.get() < 1_000 {
            near.write_all(&[7; 1_000]).await.expect("there is room");
            far.recv(&mut [0; 1_000]).await.expect("there is something");
            counts.set(counts.get() + 1);
        }
    }));
    let mut before = 0;
    while rounds.get() < 1_000 {
        executor.run_once(Some(Instant::ZERO)).expect("the call succeeds");
        let gone = rounds.get() - before;
        assert!(gone <= 16, "invariant: 32 calls per iteration, but {gone} rounds passed");
        before = rounds.get();
    }
}

#[test]
fn many_wakes_are_one_poll() {
    let (mut executor, _sim) = executor();
    let polls = Rc::new(Cell::new(0));
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let (counts, keeps) = (Rc::clone(&polls), Rc::clone(&waker));
    drop(executor.handle().spawn(poll_fn(move |cx| {
        counts.set(counts.get() + 1);
        *keeps.borrow_mut() = Some(cx.waker().clone());
        Poll::<()>::Pending
    })));
    settle(&mut executor);
    assert_eq!(polls.get(), 1);
    for _ in 0..5 {
        waker.borrow().as_ref().unwrap().wake_by_ref();
    }
    assert_eq!(executor.run_once(Some(Instant::ZERO)), Ok(1));
    assert_eq!(executor.run_once(Some(Instant::ZERO)), Ok(0));
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_waker_outliving_its_task_is_harmless() {
    let (mut executor, _sim) = executor();
    let handle = executor.handle();
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let keeps = Rc::clone(&waker);
    drop(handle.spawn(poll_fn(move |cx| {
        *keeps.borrow_mut() = Some(cx.waker().clone());
        Poll::Ready(())
    })));
    settle(&mut executor);
    let old = waker.take().unwrap();
    old.wake_by_ref();
    assert_eq!(executor.run_once(Some(Instant::ZERO)), Ok(1), "the slot is polled, and empty");
    let next = handle.spawn(pending::<()>());
    settle(&mut executor);
    old.wake();
    settle(&mut executor);
    assert!(!next.is_finished());
}

#[test]
fn an_echo_costs_three_calls_and_no_epoll_ctl() {
    let (mut executor, mut sim) = executor();
    let handle = executor.handle();
    let (mut listener, addr) = crate::support::listener(&handle, "127.0.0.1:0");
    drop(handle.spawn(async move {
        let (mut client, _) = listener.accept().await.expect("the listener is open");
        while let Some(bytes) = client.recv_pooled().await.expect("the connection is intact") {
            client.write_all(&bytes).await.expect("the connection is intact");
        }
    }));
    let client = crate::support::client(&mut sim, &addr);
    settle(&mut executor);
    let calls = |call| handle.with_kernel(|kernel| kernel.hook.calls(call));
    let all =
        [Syscall::EpollWait, Syscall::Recv, Syscall::Send, Syscall::EpollCtl, Syscall::Accept4];
    let before = all.map(calls);
    for _ in 0..100 {
        assert_eq!(sim.send(&client, &[7; 64]), Ok(64));
        assert_eq!(executor.run_once(None), Ok(1));
        assert_eq!(sim.recv(&client, &mut [0; 100]), Ok(64));
    }
    let after = all.map(calls);
    let spent: Vec<_> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    assert_eq!(spent, [100, 100, 100, 0, 0]);
    sim.close(client).unwrap();
    settle(&mut executor);
    assert_eq!(handle.task_count(), 0);
}

#[test]
fn another_thread_wakes_a_task_and_ends_the_wait() {
    let mut executor = Executor::new().expect("a descriptor is available");
    let ends_the_wait = executor.handle().waker().expect("another descriptor is available");
    let mut thread = None;
    let reported = executor.block_on(poll_fn(|cx| {
        if thread.is_some() {
            return Poll::Ready("woken");
        }
        let (rings, ends_the_wait) = (cx.waker().clone(), ends_the_wait.clone());
        thread = Some(thread::spawn(move || {
            rings.wake();
            ends_the_wait.wake(&mut Linux)
        }));
        Poll::Pending
    }));
    assert_eq!(reported, Ok("woken"));
    assert_eq!(thread.unwrap().join().unwrap(), Ok(()));
}

#[test]
fn a_task_may_spawn_and_join_another() {
    let (mut executor, _sim) = executor();
    let handle = executor.handle();
    let sum = executor.block_on(async {
        let mut sum = 0;
        // More than a wake set has slots.
        let spawned: Vec<_> = (0..5_000).map(|n| handle.spawn(async move { n })).collect();
        for task in spawned {
            sum += task.await.expect("it is not cancelled");
        }
        sum
    });
    assert_eq!(sum, Ok(4_999 * 5_000 / 2));
    assert_eq!(handle.task_count(), 0);
}
