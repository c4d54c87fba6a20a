//! How tasks end: completion, cancellation, panic, dropping the executor. The simulated kernel
//! panics when a descriptor is left open or closed twice.

use core::future::pending;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use epollite::Kernel;
use epollite::executor::{JoinError, JoinHandle};

use crate::support::{EventLog, client, executor, listener, pair, settle};

/// Records its drop.
struct DropFlag(EventLog, &'static str);

impl Drop for DropFlag {
    fn drop(&mut self) {
        self.0.push(self.1);
    }
}

#[test]
fn a_cancelled_task_is_dropped_and_closed_immediately() {
    let (mut executor, _sim) = executor();
    let (handle, log) = (executor.handle(), EventLog::default());
    let (mut near, mut far) = pair(&handle);
    let drop_flag = DropFlag(log.clone(), "fell");
    let task = handle.spawn(async move {
        let _falls = drop_flag;
        far.recv(&mut [0; 9]).await
    });
    settle(&mut executor);
    assert_eq!((handle.fd_count(), log.read().len()), (2, 0));
    task.cancel();
    assert_eq!((handle.fd_count(), log.read().len()), (1, 1));
    task.cancel();
    assert!(task.is_finished());
    let received = executor.block_on(async { (task.await, near.recv(&mut [0; 9]).await) });
    assert_eq!(received, Ok((Err(JoinError), Ok(0))), "the peer receives EOF");
    settle(&mut executor);
    assert_eq!(handle.task_count(), 0, "its slot is free");
}

#[test]
fn a_task_cancelled_before_its_first_poll_never_begins() {
    let (mut executor, _sim) = executor();
    let (handle, log) = (executor.handle(), EventLog::default());
    let log_handle = log.clone();
    handle.spawn(async move { log_handle.push("began") }).cancel();
    settle(&mut executor);
    assert_eq!((log.read().len(), handle.task_count()), (0, 0));
}

#[test]
fn dropping_the_handle_detaches_the_task() {
    let (mut executor, _sim) = executor();
    let (handle, log) = (executor.handle(), EventLog::default());
    let (log_handle, yields) = (log.clone(), handle.clone());
    drop(handle.spawn(async move {
        yields.yield_now().await;
        log_handle.push("went on");
    }));
    settle(&mut executor);
    assert_eq!(log.read(), ["went on"]);
}

#[test]
fn a_task_that_cancels_itself_ends_at_its_next_wait() {
    let (mut executor, _sim) = executor();
    let (handle, log) = (executor.handle(), EventLog::default());
    let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let (mine, log_handle, drop_flag) =
        (Rc::clone(&own), log.clone(), DropFlag(log.clone(), "fell"));
    *own.borrow_mut() = Some(handle.spawn(async move {
        let _falls = drop_flag;
        mine.borrow().as_ref().unwrap().cancel();
        log_handle.push("still here");
        pending::<()>().await;
    }));
    settle(&mut executor);
    assert_eq!(log.read(), ["still here", "fell"]);
    assert_eq!(executor.block_on(own.take().unwrap()), Ok(Err(JoinError)));
    assert_eq!(handle.task_count(), 0);
}

#[test]
fn a_panic_propagates_and_leaves_other_tasks_intact() {
    let (mut executor, _sim) = executor();
    let (handle, log) = (executor.handle(), EventLog::default());
    let (near, far) = pair(&handle);
    let drop_flag = DropFlag(log.clone(), "fell");
    let broken = handle.spawn(async move {
        let (_falls, _far) = (drop_flag, far);
        panic!("as planned");
    });
    let log_handle = log.clone();
    let whole = handle.spawn(async move { log_handle.push("went on") });
    let reported =
        catch_unwind(AssertUnwindSafe(|| executor.run_once(None))).expect_err("it panics");
    assert_eq!(reported.downcast_ref(), Some(&"as planned"));
    assert_eq!((log.read(), handle.fd_count()), (vec!["fell".to_owned()], 1));
    settle(&mut executor);
    assert_eq!(log.read(), ["went on"], "a task woken before the panic is polled after it");
    let outcomes = executor.block_on(async { (broken.await, whole.await) });
    assert_eq!(outcomes, Ok((Err::<(), _>(JoinError), Ok(()))));
    assert_eq!(handle.task_count(), 0);
    drop(near);
}

#[test]
fn dropping_the_executor_drops_all_tasks_and_starts_none() {
    let (mut executor, mut sim) = executor();
    let (handle, log) = (executor.handle(), EventLog::default());
    let (mut listener, addr) = listener(&handle, "127.0.0.1:0");
    let (spawns, drop_flag) = (handle.clone(), DropFlag(log.clone(), "the listener was dropped"));
    drop(handle.spawn(async move {
        let _falls = drop_flag;
        loop {
            let (mut client, _) = listener.accept().await.expect("the listener is open");
            drop(spawns.spawn(async move { client.recv(&mut [0; 9]).await }));
        }
    }));
    let clients = [(); 3].map(|()| client(&mut sim, &addr));
    settle(&mut executor);
    assert_eq!((handle.task_count(), handle.fd_count()), (4, 4));
    let waiting = handle.spawn(pending::<()>());
    // It spawns when it is dropped.
    let (last, log_handle) = (handle.clone(), log.clone());
    struct SpawnsOnDrop(Option<Box<dyn FnOnce()>>);
    impl Drop for SpawnsOnDrop {
        fn drop(&mut self) {
            self.0.take().unwrap()();
        }
    }
    let spawns = SpawnsOnDrop(Some(Box::new(move || {
        let begun = last.spawn(async {});
        log_handle.push(format!("begun: {}", !begun.is_finished()));
    })));
    drop(handle.spawn(async move {
        let _spawns = spawns;
        pending::<()>().await;
    }));
    drop(executor);
    assert_eq!(log.read(), ["the listener was dropped", "begun: false"]);
    assert_eq!((handle.task_count(), handle.fd_count()), (0, 0));
    assert!(waiting.is_finished() && handle.spawn(async {}).is_finished());
    for client in clients {
        assert_eq!(sim.recv(&client, &mut [0; 9]), Ok(0), "each client receives EOF");
        sim.close(client).unwrap();
    }
}

#[test]
fn a_socket_may_outlive_its_tasks_and_be_returned() {
    let (executor, sim) = executor();
    let handle = executor.handle();
    let (near, far) = pair(&handle);
    drop(executor);
    let fd = near.into_fd();
    assert_eq!(handle.fd_count(), 1);
    handle.with_kernel(|kernel| kernel.close(fd)).unwrap();
    drop(handle);
    drop(sim);
    // The epoll is closed with the last socket, which is the simulation's last descriptor.
    drop(far);
}
