//! Sleeping and timeouts, in virtual time.

use core::future::pending;
use core::time::Duration;

use epollite::executor::Elapsed;

use crate::support::{EventLog, executor, pair, settle};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    let (mut executor, _sim) = executor();
    let (handle, log) = (executor.handle(), EventLog::default());
    let began = handle.now();
    let sleepers: Vec<_> = [3, 1, 2, 0]
        .into_iter()
        .map(|seconds| {
            let (log, sleep) = (log.clone(), handle.sleep(SECOND * seconds));
            handle.spawn(async move {
                sleep.await;
                log.push(seconds.to_string());
            })
        })
        .collect();
    let ended = executor.block_on(async {
        for sleeper in sleepers {
            sleeper.await.expect("it is not cancelled");
        }
        handle.now()
    });
    assert_eq!(log.read(), ["0", "1", "2", "3"]);
    assert_eq!(ended.map(|ended| ended - began), Ok(SECOND * 3));
}

#[test]
fn no_sleep_is_early() {
    let (mut executor, _sim) = executor();
    let handle = executor.handle();
    // Some end soon after others: those are not woken together.
    let nanos = [0, 1, 2, 1_000_000, 1_000_001, 1_999_999];
    let sleepers = nanos.map(|nanos| {
        let deadline = handle.now() + SECOND + Duration::from_nanos(nanos);
        let (now, sleep) = (handle.clone(), handle.sleep_until(deadline));
        handle.spawn(async move {
            sleep.await;
            assert!(now.now() >= deadline, "invariant: a sleep is never early");
        })
    });
    let ended = executor.block_on(async {
        for sleeper in sleepers {
            sleeper.await.expect("it is not cancelled");
        }
    });
    assert_eq!(ended, Ok(()));
}

#[test]
fn timeout_returns_output_or_elapsed() {
    let (mut executor, _sim) = executor();
    let handle = executor.handle();
    let began = handle.now();
    let outcome = executor.block_on(async {
        let in_time = handle.timeout(SECOND * 2, handle.sleep(SECOND)).await;
        let late = handle.timeout(SECOND, handle.sleep(SECOND * 2)).await;
        let never = handle.timeout(SECOND, pending::<()>()).await;
        let at_once = handle.timeout(Duration::ZERO, async { "done" }).await;
        (in_time, late, never, at_once, handle.now())
    });
    let (in_time, late, never, at_once, now) = outcome.unwrap();
    assert_eq!((in_time, late, never, at_once), (Ok(()), Err(Elapsed), Err(Elapsed), Ok("done")));
    assert_eq!(now - began, SECOND * 3, "a cancelled timeout removes its deadline");
}

#[test]
fn a_cancelled_receive_has_received_nothing() {
    let (mut executor, _sim) = executor();
    let handle = executor.handle();
    let (mut near, mut far) = pair(&handle);
    let received = executor.block_on(async {
        let mut buf = [0; 9];
        assert_eq!(handle.timeout(SECOND, far.recv(&mut buf)).await, Err(Elapsed));
        near.write_all(b"late").await.expect("there is room");
        let count = far.recv(&mut buf).await.expect("the connection is intact");
        buf[..count].to_vec()
    });
    assert_eq!(received, Ok(b"late".to_vec()));
}

#[test]
fn zero_length_sleeps_do_not_starve_tasks() {
    let (mut executor, _sim) = executor();
    let (handle, log) = (executor.handle(), EventLog::default());
    let (sleeps, log_handle) = (handle.clone(), log.clone());
    drop(handle.spawn(async move {
        for _ in 0..1_000 {
            sleeps.sleep(Duration::ZERO).await;
        }
        log_handle.push("slept");
    }));
    let log_handle = log.clone();
    drop(handle.spawn(async move { log_handle.push("worked") }));
    settle(&mut executor);
    assert_eq!(log.read(), ["worked", "slept"]);
}

#[test]
fn run_once_returns_at_its_deadline() {
    let (mut executor, _sim) = executor();
    let handle = executor.handle();
    let sleeper = handle.spawn(handle.sleep(SECOND * 10));
    settle(&mut executor);
    let soon = handle.now() + SECOND;
    assert_eq!(executor.run_once(Some(soon)), Ok(0));
    assert_eq!(handle.now(), soon);
    assert_eq!(executor.run_once(None), Ok(1));
    assert!(sleeper.is_finished());
}
