//! Out of descriptors or epoll watches: which tasks wait for a free one, and which get an error.

use core::time::Duration;

use epollite::executor::Executor;
use epollite::instrument::{CallCounter, FaultInjector, FaultPlan};
use epollite::kernel::Syscall;
use epollite::sim::Sim;
use epollite::sim::SimConfig;
use epollite::{Errno, Fd, Kernel};

use crate::support::{client, executor_in, listener, pair, settle};

const QUARTER: Duration = Duration::from_millis(250);

/// A server whose clients stay connected until they close; returns its count of pauses.
macro_rules! serve {
    ($executor:expr, $listener:expr) => {{
        let handle = $executor.handle();
        let mut listener = $listener;
        drop(handle.clone().spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                drop(handle.spawn(async move {
                    while let Ok(Some(bytes)) = client.recv_pooled().await {
                        client.write_all(&bytes).await?;
                    }
                    Ok::<_, Errno>(())
                }));
            }
        }));
    }};
}

fn is_served<K: Kernel>(executor: &mut Executor<K>, sim: &mut Sim, client: &Fd) -> bool {
    assert_eq!(sim.send(client, b"?"), Ok(1));
    settle(executor);
    sim.recv(client, &mut [0; 9]) == Ok(1)
}

#[test]
fn out_of_descriptors_a_listener_waits_for_a_free_one_without_busy_loop() {
    // Three standard streams, the epoll, the listener, and two clients.
    let (mut executor, clients) =
        executor_in(SimConfig { descriptors_max: 7, ..SimConfig::default() });
    // Each client is a process of its own, so that the limit does not apply to it.
    let mut sims = [clients.new_process(), clients.new_process(), clients.new_process()];
    let (listener, addr) = listener(&executor.handle(), "127.0.0.1:0");
    serve!(executor, listener);
    let mut fds: Vec<Fd> = sims.iter_mut().map(|sim| client(sim, &addr)).collect();
    settle(&mut executor);
    let served: Vec<bool> =
        sims.iter_mut().zip(&fds).map(|(sim, fd)| is_served(&mut executor, sim, fd)).collect();
    assert_eq!(served, [true, true, false]);
    let handle = executor.handle();
    let accepts = || handle.with_kernel(|kernel| kernel.hook.calls(Syscall::Accept4));
    let before = accepts();
    for _ in 0..100 {
        let soon = handle.now() + QUARTER / 100;
        executor.run_once(Some(soon)).unwrap();
    }
    assert!(accepts() - before <= 2, "invariant: no busy loop");
    sims[0].close(fds.remove(0)).unwrap();
    settle(&mut executor);
    assert_eq!(sims[2].recv(&fds[1], &mut [0; 9]), Ok(1), "it was accepted, and had sent before");
    sims[1].close(fds.remove(0)).unwrap();
    sims[2].close(fds.remove(0)).unwrap();
}

#[test]
fn a_listener_retries_after_the_delay() {
    let mut clients = Sim::default();
    let faults = FaultPlan::once(0, Errno::ENFILE).for_syscall(Syscall::Accept4);
    let mut executor =
        Executor::with_kernel(FaultInjector::new(clients.new_process(), faults)).unwrap();
    let (listener, addr) = listener(&executor.handle(), "127.0.0.1:0");
    serve!(executor, listener);
    let fd = client(&mut clients, &addr);
    settle(&mut executor);
    assert!(!is_served(&mut executor, &mut clients, &fd));
    let before = executor.handle().now();
    // Only a timeout can end this wait.
    executor.run_once(None).unwrap();
    assert_eq!(executor.handle().now() - before, QUARTER);
    settle(&mut executor);
    assert_eq!(clients.recv(&fd, &mut [0; 9]), Ok(1));
    clients.close(fd).unwrap();
}

#[test]
fn aborted_connections_are_skipped() {
    for (faults, pauses) in [
        (FaultPlan::once(0, Errno::ECONNABORTED), 0),
        (FaultPlan::persistent(0, Errno::EPERM), 3),
        (FaultPlan::persistent(0, Errno::ENOMEM), 3),
    ] {
        let mut clients = Sim::default();
        let faulty =
            FaultInjector::new(clients.new_process(), faults.for_syscall(Syscall::Accept4));
        let mut executor = Executor::with_kernel(CallCounter::new(faulty)).unwrap();
        let handle = executor.handle();
        let (mut listener, addr) = listener(&handle, "127.0.0.1:0");
        let fd = client(&mut clients, &addr);
        let accepted = executor.block_on(async {
            let accepted = handle.timeout(QUARTER * 5 / 2, listener.accept()).await;
            accepted.map(|accepted| accepted.is_ok())
        });
        assert_eq!(accepted.unwrap().is_ok(), pauses == 0, "{faults:?}");
        assert_eq!(listener.pauses(), pauses, "{faults:?}");
        let accepts = handle.with_kernel(|kernel| kernel.hook.calls(Syscall::Accept4));
        assert!(
            accepts <= 60,
            "invariant: no busy loop, but {accepts} calls were made: {faults:?}"
        );
        clients.close(fd).unwrap();
    }
}

#[test]
fn accept_on_a_non_listener_fails() {
    let mut sim = Sim::default();
    let mut executor = Executor::with_kernel(&mut sim).unwrap();
    let handle = executor.handle();
    let (near, far) = pair(&handle);
    let mut listener = handle.listener(near.into_fd()).unwrap();
    drop(far);
    let accepted = executor.block_on(listener.accept()).unwrap();
    assert_eq!(accepted.map(drop), Err(Errno::EINVAL));
}

#[test]
fn a_failed_registration_closes_the_fd_and_errors() {
    let mut sim = Sim::default();
    let (near, far) = sim.socketpair(epollite::kernel::SocketType::Stream).unwrap();
    let faults = FaultPlan::once(0, Errno::ENOSPC).for_syscall(Syscall::EpollCtl);
    {
        let executor = Executor::with_kernel(FaultInjector::new(&mut sim, faults)).unwrap();
        assert_eq!(executor.handle().stream(near).map(drop), Err(Errno::ENOSPC));
        assert_eq!(executor.handle().fd_count(), 0);
    }
    sim.close(far).unwrap();
}
