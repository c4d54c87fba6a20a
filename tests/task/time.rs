//! Sleeping, and not waiting longer than that; in virtual time.

use core::future::pending;
use core::time::Duration;

use epollite::task::Late;

use crate::world::{Diary, pair, settle, tasks};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    let (mut tasks, _sim) = tasks();
    let (handle, diary) = (tasks.handle(), Diary::default());
    let began = handle.now();
    let sleepers: Vec<_> = [3, 1, 2, 0]
        .into_iter()
        .map(|seconds| {
            let (diary, sleep) = (diary.clone(), handle.sleep(SECOND * seconds));
            handle.spawn(async move {
                sleep.await;
                diary.note(seconds.to_string());
            })
        })
        .collect();
    let ended = tasks.block_on(async {
        for sleeper in sleepers {
            sleeper.await.expect("nobody cancelled it");
        }
        handle.now()
    });
    assert_eq!(diary.read(), ["0", "1", "2", "3"]);
    assert_eq!(ended.map(|ended| ended - began), Ok(SECOND * 3));
}

#[test]
fn who_is_in_time_is_not_late_and_who_is_late_is_dropped() {
    let (mut tasks, _sim) = tasks();
    let handle = tasks.handle();
    let began = handle.now();
    let outcome = tasks.block_on(async {
        let in_time = handle.timeout(SECOND * 2, handle.sleep(SECOND)).await;
        let late = handle.timeout(SECOND, handle.sleep(SECOND * 2)).await;
        let never = handle.timeout(SECOND, pending::<()>()).await;
        let at_once = handle.timeout(Duration::ZERO, async { "done" }).await;
        (in_time, late, never, at_once, handle.now())
    });
    let (in_time, late, never, at_once, now) = outcome.unwrap();
    assert_eq!((in_time, late, never, at_once), (Ok(()), Err(Late), Err(Late), Ok("done")));
    assert_eq!(now - began, SECOND * 3, "a late one's deadline is taken back");
}

#[test]
fn a_receive_that_was_given_up_has_received_nothing() {
    let (mut tasks, _sim) = tasks();
    let handle = tasks.handle();
    let (mut near, mut far) = pair(&handle);
    let heard = tasks.block_on(async {
        let mut buf = [0; 9];
        assert_eq!(handle.timeout(SECOND, far.recv(&mut buf)).await, Err(Late));
        near.send_all(b"late").await.expect("there is room");
        let count = far.recv(&mut buf).await.expect("it is whole");
        buf[..count].to_vec()
    });
    assert_eq!(heard, Ok(b"late".to_vec()));
}

#[test]
fn a_thousand_sleeps_that_take_no_time_leave_room_for_others() {
    let (mut tasks, _sim) = tasks();
    let (handle, diary) = (tasks.handle(), Diary::default());
    let (sleeps, noted) = (handle.clone(), diary.clone());
    drop(handle.spawn(async move {
        for _ in 0..1_000 {
            sleeps.sleep(Duration::ZERO).await;
        }
        noted.note("slept");
    }));
    let noted = diary.clone();
    drop(handle.spawn(async move { noted.note("worked") }));
    settle(&mut tasks);
    assert_eq!(diary.read(), ["worked", "slept"]);
}

#[test]
fn a_turn_ends_at_its_deadline_though_somebody_sleeps_longer() {
    let (mut tasks, _sim) = tasks();
    let handle = tasks.handle();
    let sleeper = handle.spawn(handle.sleep(SECOND * 10));
    settle(&mut tasks);
    let soon = handle.now() + SECOND;
    assert_eq!(tasks.turn(Some(soon)), Ok(0));
    assert_eq!(handle.now(), soon);
    assert_eq!(tasks.turn(None), Ok(1));
    assert!(sleeper.is_over());
}
