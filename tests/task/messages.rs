//! Tasks that tell each other something: notifications and channels, with the executor between
//! them. The order of senders is a property of its own (`tests/properties/channel.rs`).

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use epollite::executor::{Executor, Notify, SendError, TrySendError, channel};
use epollite::sim::Sim;

use crate::support::EventLog;

fn capacity(values: usize) -> NonZeroUsize {
    NonZeroUsize::new(values).expect("a channel holds at least one value")
}

fn executor() -> Executor<Sim> {
    Executor::with_kernel(Sim::default()).expect("a new simulation has free resources")
}

#[test]
fn a_slow_receiver_slows_its_sender() {
    let mut executor = executor();
    let handle = executor.handle();
    let (sender, mut receiver) = channel(capacity(2));
    let sent = Rc::new(Cell::new(0));
    let its_sent = Rc::clone(&sent);
    drop(handle.spawn(async move {
        for n in 1..=100 {
            sender.send(n).await.expect("the receiver is there");
            its_sent.set(n);
        }
    }));
    let received = executor.block_on(async {
        let mut received = Vec::new();
        while let Some(n) = receiver.recv().await {
            received.push(n);
            assert!(sent.get() <= n + 2, "invariant: at most the capacity ahead");
            handle.sleep(Duration::from_millis(1)).await;
        }
        received
    });
    assert_eq!(received, Ok((1..=100).collect::<Vec<_>>()));
}

#[test]
fn a_hundred_senders_are_received_in_turn() {
    let mut executor = executor();
    let handle = executor.handle();
    let (sender, mut receiver) = channel(capacity(1));
    for id in 0..100 {
        let sender = sender.clone();
        drop(handle.spawn(async move {
            for _ in 0..3 {
                sender.send(id).await.expect("the receiver is there");
            }
        }));
    }
    drop(sender);
    let received = executor.block_on(async {
        let mut received = Vec::new();
        while let Some(id) = receiver.recv().await {
            received.push(id);
        }
        received
    });
    let received = received.expect("the loop runs");
    assert_eq!(received.len(), 300);
    let mut counts = [0; 100];
    for id in received {
        counts[id] += 1;
        let (least, most) = (counts.iter().min(), counts.iter().max());
        // The first one polled sends twice before the others have begun.
        assert!(
            most <= least.map(|least| least + 2).as_ref(),
            "invariant: none overtakes: {counts:?}"
        );
    }
}

#[test]
fn a_sender_that_waits_is_told_that_the_receiver_has_gone() {
    let mut executor = executor();
    let handle = executor.handle();
    let (sender, receiver) = channel(capacity(1));
    sender.try_send("first").expect("there is room");
    assert_eq!(sender.try_send("second"), Err(TrySendError::Full("second")));
    let its_sender = sender.clone();
    let waits = handle.spawn(async move { its_sender.send("waiting").await });
    let outcome = executor.block_on(async {
        handle.yield_now().await;
        drop(receiver);
        waits.await
    });
    assert_eq!(outcome, Ok(Ok(Err(SendError("waiting")))));
    assert!(sender.is_closed());
    assert_eq!(sender.try_send("late"), Err(TrySendError::Closed("late")));
}

#[test]
fn values_that_are_not_received_are_dropped_with_the_receiver() {
    let value = Rc::new(());
    let (sender, receiver) = channel(capacity(4));
    for _ in 0..4 {
        sender.try_send(Rc::clone(&value)).expect("there is room");
    }
    drop(receiver);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_notification_is_kept_for_the_next_task_that_waits() {
    let mut executor = executor();
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_one();
    let handle = executor.handle();
    let second = executor.block_on(async {
        notify.notified().await;
        handle.timeout(Duration::from_secs(1), notify.notified()).await
    });
    assert!(second.expect("the loop runs").is_err(), "invariant: several notifications are one");
}

#[test]
fn the_task_that_has_waited_longest_is_notified_and_all_are_if_asked() {
    let mut executor = executor();
    let handle = executor.handle();
    let (notify, log) = (Rc::new(Notify::new()), EventLog::default());
    for name in ["a", "b", "c", "d"] {
        let (notify, log) = (Rc::clone(&notify), log.clone());
        drop(handle.spawn(async move {
            notify.notified().await;
            log.push(name);
        }));
    }
    let seen = executor.block_on(async {
        handle.yield_now().await;
        notify.notify_one();
        handle.yield_now().await;
        let first = log.read();
        notify.notify_all();
        handle.yield_now().await;
        let others = log.read();
        let kept = handle.timeout(Duration::from_secs(1), notify.notified()).await;
        (first, others, kept.is_ok())
    });
    let (first, others, is_kept) = seen.expect("the loop runs");
    assert_eq!(first, ["a"]);
    assert_eq!(others, ["b", "c", "d"]);
    assert!(!is_kept, "invariant: notify_all keeps nothing");
}

#[test]
fn a_notified_task_that_is_cancelled_passes_the_notification_on() {
    let mut executor = executor();
    let handle = executor.handle();
    let (notify, log) = (Rc::new(Notify::new()), EventLog::default());
    let mut tasks = ["a", "b"].map(|name| {
        let (notify, log) = (Rc::clone(&notify), log.clone());
        Some(handle.spawn(async move {
            notify.notified().await;
            log.push(name);
        }))
    });
    let seen = executor.block_on(async {
        handle.yield_now().await;
        notify.notify_one();
        tasks[0].take().expect("it was spawned").cancel();
        handle.yield_now().await;
        log.read()
    });
    assert_eq!(seen, Ok(vec!["b".to_owned()]));
}
