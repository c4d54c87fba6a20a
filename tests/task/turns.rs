//! Who is polled, when, and how often.

use core::future::{pending, poll_fn};
use core::task::{Poll, Waker};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;

use epollite::task::Tasks;
use epollite::{Call, Errno, Faults, Faulty, Instant, Kernel, Linux};

use crate::world::{Diary, pair, settle, tasks};

#[test]
fn tasks_take_turns_in_the_order_of_their_coming() {
    let (mut tasks, _sim) = tasks();
    let (handle, diary) = (tasks.handle(), Diary::default());
    for name in ["a", "b", "c"] {
        let (handle, diary) = (handle.clone(), diary.clone());
        drop(handle.clone().spawn(async move {
            for round in 0..3 {
                diary.note(format!("{name}{round}"));
                handle.yield_now().await;
            }
        }));
    }
    settle(&mut tasks);
    assert_eq!(diary.read(), ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]);
    assert_eq!(handle.tasks(), 0, "who has ended is forgotten");
}

#[test]
fn who_is_interrupted_again_and_again_goes_on() {
    let faults = Faults::for_ever(0, Errno::EINTR).only(Call::EpollWait);
    let mut tasks = Tasks::on(Faulty::over(Linux, faults)).expect("room");
    let diary = Diary::default();
    let (handle, noted) = (tasks.handle(), diary.clone());
    drop(handle.spawn(async move { noted.note("ran".to_owned()) }));
    assert_eq!(tasks.turn(None), Ok(1), "law: an interruption is no error, and keeps nobody");
    assert_eq!(tasks.turn(None), Ok(0), "law: a turn without news");
    assert_eq!(diary.read(), ["ran"]);
}

#[test]
fn a_task_that_rings_itself_for_ever_starves_neither_tasks_nor_sockets() {
    let (mut tasks, _sim) = tasks();
    let handle = tasks.handle();
    let (mut near, mut far) = pair(&handle);
    let spins = handle.clone();
    drop(handle.spawn(async move {
        loop {
            spins.yield_now().await;
        }
    }));
    drop(handle.spawn(async move {
        while let Some(bytes) = far.bytes().await.expect("it is whole") {
            far.send_all(&bytes).await.expect("it is whole");
        }
    }));
    let heard = tasks.block_on(async {
        near.send_all(b"hello").await.expect("there is room");
        near.recv(&mut [0; 9]).await
    });
    assert_eq!(heard, Ok(Ok(5)));
}

#[test]
fn a_firehose_is_interrupted_for_the_others() {
    let (mut tasks, _sim) = tasks();
    let handle = tasks.handle();
    let (mut near, mut far) = pair(&handle);
    let rounds = Rc::new(Cell::new(0));
    // Whatever is sent is taken at once: after the first round neither ever waits.
    let counts = Rc::clone(&rounds);
    drop(handle.spawn(async move {
        while counts.get() < 1_000 {
            near.send_all(&[7; 1_000]).await.expect("there is room");
            far.recv(&mut [0; 1_000]).await.expect("there is something");
            counts.set(counts.get() + 1);
        }
    }));
    let mut before = 0;
    while rounds.get() < 1_000 {
        tasks.turn(Some(Instant::ZERO)).expect("nothing is wrong");
        let gone = rounds.get() - before;
        assert!(gone <= 16, "law: 32 calls a turn, but {gone} rounds went by");
        before = rounds.get();
    }
}

#[test]
fn who_is_rung_often_is_polled_once() {
    let (mut tasks, _sim) = tasks();
    let polls = Rc::new(Cell::new(0));
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let (counts, keeps) = (Rc::clone(&polls), Rc::clone(&waker));
    drop(tasks.handle().spawn(poll_fn(move |cx| {
        counts.set(counts.get() + 1);
        *keeps.borrow_mut() = Some(cx.waker().clone());
        Poll::<()>::Pending
    })));
    settle(&mut tasks);
    assert_eq!(polls.get(), 1);
    for _ in 0..5 {
        waker.borrow().as_ref().unwrap().wake_by_ref();
    }
    assert_eq!(tasks.turn(Some(Instant::ZERO)), Ok(1));
    assert_eq!(tasks.turn(Some(Instant::ZERO)), Ok(0));
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_bell_that_outlives_its_task_disturbs_nobody_but_for_a_look() {
    let (mut tasks, _sim) = tasks();
    let handle = tasks.handle();
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let keeps = Rc::clone(&waker);
    drop(handle.spawn(poll_fn(move |cx| {
        *keeps.borrow_mut() = Some(cx.waker().clone());
        Poll::Ready(())
    })));
    settle(&mut tasks);
    let old = waker.take().unwrap();
    old.wake_by_ref();
    assert_eq!(tasks.turn(Some(Instant::ZERO)), Ok(1), "the slot is looked at, and empty");
    let next = handle.spawn(pending::<()>());
    settle(&mut tasks);
    old.wake();
    settle(&mut tasks);
    assert!(!next.is_over());
}

#[test]
fn an_echo_costs_three_calls_and_no_epoll_ctl() {
    let (mut tasks, mut sim) = tasks();
    let handle = tasks.handle();
    let (mut door, addr) = crate::world::door(&handle, "127.0.0.1:0");
    drop(handle.spawn(async move {
        let (mut client, _) = door.accept().await.expect("it listens");
        while let Some(bytes) = client.bytes().await.expect("it is whole") {
            client.send_all(&bytes).await.expect("it is whole");
        }
    }));
    let client = crate::world::client(&mut sim, &addr);
    settle(&mut tasks);
    let calls = |call| handle.kernel(|kernel| kernel.tap.calls(call));
    let all = [Call::EpollWait, Call::Recv, Call::Send, Call::EpollCtl, Call::Accept4];
    let before = all.map(calls);
    for _ in 0..100 {
        assert_eq!(sim.send(&client, &[7; 64]), Ok(64));
        assert_eq!(tasks.turn(None), Ok(1));
        assert_eq!(sim.recv(&client, &mut [0; 100]), Ok(64));
    }
    let after = all.map(calls);
    let spent: Vec<_> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    assert_eq!(spent, [100, 100, 100, 0, 0]);
    sim.close(client).unwrap();
    settle(&mut tasks);
    assert_eq!(handle.tasks(), 0);
}

#[test]
fn another_thread_rings_a_task_and_ends_the_waiting() {
    let mut tasks = Tasks::new().expect("one descriptor is to be had");
    let ends_the_wait = tasks.handle().waker().expect("another one is");
    let mut thread = None;
    let told = tasks.block_on(poll_fn(|cx| {
        if thread.is_some() {
            return Poll::Ready("rung");
        }
        let (rings, ends_the_wait) = (cx.waker().clone(), ends_the_wait.clone());
        thread = Some(thread::spawn(move || {
            rings.wake();
            ends_the_wait.wake(&mut Linux)
        }));
        Poll::Pending
    }));
    assert_eq!(told, Ok("rung"));
    assert_eq!(thread.unwrap().join().unwrap(), Ok(()));
}

#[test]
fn a_task_may_spawn_and_join_what_it_has_spawned() {
    let (mut tasks, _sim) = tasks();
    let handle = tasks.handle();
    let sum = tasks.block_on(async {
        let mut sum = 0;
        // More than a board has slots.
        let tasks: Vec<_> = (0..5_000).map(|n| handle.spawn(async move { n })).collect();
        for task in tasks {
            sum += task.await.expect("nobody cancelled it");
        }
        sum
    });
    assert_eq!(sum, Ok(4_999 * 5_000 / 2));
    assert_eq!(handle.tasks(), 0);
}
