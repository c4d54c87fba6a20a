//! How tasks end: by themselves, cancelled, by a panic, with all others. The simulated kernel
//! panics when a descriptor is left open or closed twice.

use core::future::pending;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use epollite::Kernel;
use epollite::task::{Cancelled, JoinHandle};

use crate::world::{Diary, client, door, pair, settle, tasks};

/// Notes when it is dropped.
struct Falls(Diary, &'static str);

impl Drop for Falls {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

#[test]
fn cancelled_means_dropped_and_closed_at_once() {
    let (mut tasks, _sim) = tasks();
    let (handle, diary) = (tasks.handle(), Diary::default());
    let (mut near, mut far) = pair(&handle);
    let falls = Falls(diary.clone(), "fell");
    let task = handle.spawn(async move {
        let _falls = falls;
        far.recv(&mut [0; 9]).await
    });
    settle(&mut tasks);
    assert_eq!((handle.descriptors(), diary.read().len()), (2, 0));
    task.cancel();
    assert_eq!((handle.descriptors(), diary.read().len()), (1, 1));
    task.cancel();
    assert!(task.is_over());
    let heard = tasks.block_on(async { (task.await, near.recv(&mut [0; 9]).await) });
    assert_eq!(heard, Ok((Err(Cancelled), Ok(0))), "the peer hears an end");
    settle(&mut tasks);
    assert_eq!(handle.tasks(), 0, "its slot is free");
}

#[test]
fn a_task_cancelled_before_its_first_poll_never_begins() {
    let (mut tasks, _sim) = tasks();
    let (handle, diary) = (tasks.handle(), Diary::default());
    let noted = diary.clone();
    handle.spawn(async move { noted.note("began") }).cancel();
    settle(&mut tasks);
    assert_eq!((diary.read().len(), handle.tasks()), (0, 0));
}

#[test]
fn to_let_the_handle_fall_is_to_let_the_task_go_on() {
    let (mut tasks, _sim) = tasks();
    let (handle, diary) = (tasks.handle(), Diary::default());
    let (noted, yields) = (diary.clone(), handle.clone());
    drop(handle.spawn(async move {
        yields.yield_now().await;
        noted.note("went on");
    }));
    settle(&mut tasks);
    assert_eq!(diary.read(), ["went on"]);
}

#[test]
fn a_task_that_cancels_itself_ends_at_its_next_wait() {
    let (mut tasks, _sim) = tasks();
    let (handle, diary) = (tasks.handle(), Diary::default());
    let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let (mine, noted, falls) = (Rc::clone(&own), diary.clone(), Falls(diary.clone(), "fell"));
    *own.borrow_mut() = Some(handle.spawn(async move {
        let _falls = falls;
        mine.borrow().as_ref().unwrap().cancel();
        noted.note("still here");
        pending::<()>().await;
    }));
    settle(&mut tasks);
    assert_eq!(diary.read(), ["still here", "fell"]);
    assert_eq!(tasks.block_on(own.take().unwrap()), Ok(Err(Cancelled)));
    assert_eq!(handle.tasks(), 0);
}

#[test]
fn a_panic_is_the_callers_and_the_others_are_whole() {
    let (mut tasks, _sim) = tasks();
    let (handle, diary) = (tasks.handle(), Diary::default());
    let (near, far) = pair(&handle);
    let falls = Falls(diary.clone(), "fell");
    let broken = handle.spawn(async move {
        let (_falls, _far) = (falls, far);
        panic!("as planned");
    });
    let noted = diary.clone();
    let whole = handle.spawn(async move { noted.note("went on") });
    let told = catch_unwind(AssertUnwindSafe(|| tasks.turn(None))).expect_err("it panics");
    assert_eq!(told.downcast_ref(), Some(&"as planned"));
    assert_eq!((diary.read(), handle.descriptors()), (vec!["fell".to_owned()], 1));
    settle(&mut tasks);
    assert_eq!(diary.read(), ["went on"], "who was rung before the panic is polled after it");
    let outcomes = tasks.block_on(async { (broken.await, whole.await) });
    assert_eq!(outcomes, Ok((Err::<(), _>(Cancelled), Ok(()))));
    assert_eq!(handle.tasks(), 0);
    drop(near);
}

#[test]
fn with_the_tasks_everything_falls_and_nothing_begins() {
    let (mut tasks, mut sim) = tasks();
    let (handle, diary) = (tasks.handle(), Diary::default());
    let (mut listener, addr) = door(&handle, "127.0.0.1:0");
    let (spawns, falls) = (handle.clone(), Falls(diary.clone(), "the door fell"));
    drop(handle.spawn(async move {
        let _falls = falls;
        loop {
            let (mut client, _) = listener.accept().await.expect("it listens");
            drop(spawns.spawn(async move { client.recv(&mut [0; 9]).await }));
        }
    }));
    let clients = [(); 3].map(|()| client(&mut sim, &addr));
    settle(&mut tasks);
    assert_eq!((handle.tasks(), handle.descriptors()), (4, 4));
    let waiting = handle.spawn(pending::<()>());
    // It spawns when it falls.
    let (last, noted) = (handle.clone(), diary.clone());
    struct Spawns(Option<Box<dyn FnOnce()>>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            self.0.take().unwrap()();
        }
    }
    let spawns = Spawns(Some(Box::new(move || {
        let begun = last.spawn(async {});
        noted.note(format!("begun: {}", !begun.is_over()));
    })));
    drop(handle.spawn(async move {
        let _spawns = spawns;
        pending::<()>().await;
    }));
    drop(tasks);
    assert_eq!(diary.read(), ["the door fell", "begun: false"]);
    assert_eq!((handle.tasks(), handle.descriptors()), (0, 0));
    assert!(waiting.is_over() && handle.spawn(async {}).is_over());
    for client in clients {
        assert_eq!(sim.recv(&client, &mut [0; 9]), Ok(0), "each hears an end");
        sim.close(client).unwrap();
    }
}

#[test]
fn a_socket_may_outlive_its_tasks_and_can_be_taken_back() {
    let (tasks, sim) = tasks();
    let handle = tasks.handle();
    let (near, far) = pair(&handle);
    drop(tasks);
    let fd = near.into_fd();
    assert_eq!(handle.descriptors(), 1);
    handle.kernel(|kernel| kernel.close(fd)).unwrap();
    drop(handle);
    drop(sim);
    // The epoll is closed with the last socket, which is the world's last descriptor.
    drop(far);
}
