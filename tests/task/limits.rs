//! Out of descriptors, out of watches: who waits for room, and who is told.

use core::time::Duration;

use epollite::sim::Config;
use epollite::task::Tasks;
use epollite::{Call, Counted, Errno, Faults, Faulty, Fd, Kernel, Sim};

use crate::world::{client, door, pair, settle, tasks_in};

const QUARTER: Duration = Duration::from_millis(250);

/// A server whose clients each stay until they leave; returns how it has counted pauses.
macro_rules! serve {
    ($tasks:expr, $listener:expr) => {{
        let handle = $tasks.handle();
        let mut listener = $listener;
        drop(handle.clone().spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                drop(handle.spawn(async move {
                    while let Ok(Some(bytes)) = client.bytes().await {
                        client.send_all(&bytes).await?;
                    }
                    Ok::<_, Errno>(())
                }));
            }
        }));
    }};
}

fn is_served<K: Kernel>(tasks: &mut Tasks<K>, sim: &mut Sim, client: &Fd) -> bool {
    assert_eq!(sim.send(client, b"?"), Ok(1));
    settle(tasks);
    sim.recv(client, &mut [0; 9]) == Ok(1)
}

#[test]
fn out_of_descriptors_a_listener_waits_for_one_to_come_free_and_does_not_spin() {
    // Three standard streams, the epoll, the door, and two clients.
    let (mut tasks, clients) = tasks_in(Config { descriptors_max: 7, ..Config::default() });
    // The clients' process has limits of its own, as many processes as clients.
    let mut sims = [clients.process(), clients.process(), clients.process()];
    let (listener, addr) = door(&tasks.handle(), "127.0.0.1:0");
    serve!(tasks, listener);
    let mut fds: Vec<Fd> = sims.iter_mut().map(|sim| client(sim, &addr)).collect();
    settle(&mut tasks);
    let served: Vec<bool> =
        sims.iter_mut().zip(&fds).map(|(sim, fd)| is_served(&mut tasks, sim, fd)).collect();
    assert_eq!(served, [true, true, false]);
    let handle = tasks.handle();
    let accepts = || handle.kernel(|kernel| kernel.tap.calls(Call::Accept4));
    let before = accepts();
    for _ in 0..100 {
        let soon = handle.now() + QUARTER / 100;
        tasks.turn(Some(soon)).unwrap();
    }
    assert!(accepts() - before <= 2, "law: nobody spins");
    sims[0].close(fds.remove(0)).unwrap();
    settle(&mut tasks);
    assert_eq!(sims[2].recv(&fds[1], &mut [0; 9]), Ok(1), "it was let in, and had asked before");
    sims[1].close(fds.remove(0)).unwrap();
    sims[2].close(fds.remove(0)).unwrap();
}

#[test]
fn a_listener_looks_again_after_a_while_though_nothing_of_ours_was_closed() {
    let mut clients = Sim::default();
    let faults = Faults::once(0, Errno::ENFILE).only(Call::Accept4);
    let mut tasks = Tasks::on(Faulty::over(clients.process(), faults)).unwrap();
    let (listener, addr) = door(&tasks.handle(), "127.0.0.1:0");
    serve!(tasks, listener);
    let fd = client(&mut clients, &addr);
    settle(&mut tasks);
    assert!(!is_served(&mut tasks, &mut clients, &fd));
    let before = tasks.handle().now();
    // Nothing but time can end this wait.
    tasks.turn(None).unwrap();
    assert_eq!(tasks.handle().now() - before, QUARTER);
    settle(&mut tasks);
    assert_eq!(clients.recv(&fd, &mut [0; 9]), Ok(1));
    clients.close(fd).unwrap();
}

#[test]
fn a_connection_that_is_gone_is_passed_over_and_one_that_never_comes_waited_for() {
    for (faults, pauses) in [
        (Faults::once(0, Errno::ECONNABORTED), 0),
        (Faults::for_ever(0, Errno::EPERM), 3),
        (Faults::for_ever(0, Errno::ENOMEM), 3),
    ] {
        let mut clients = Sim::default();
        let faulty = Faulty::over(clients.process(), faults.only(Call::Accept4));
        let mut tasks = Tasks::on(Counted::over(faulty)).unwrap();
        let handle = tasks.handle();
        let (mut listener, addr) = door(&handle, "127.0.0.1:0");
        let fd = client(&mut clients, &addr);
        let accepted = tasks.block_on(async {
            let accepted = handle.timeout(QUARTER * 5 / 2, listener.accept()).await;
            accepted.map(|accepted| accepted.is_ok())
        });
        assert_eq!(accepted.unwrap().is_ok(), pauses == 0, "{faults:?}");
        assert_eq!(listener.pauses(), pauses, "{faults:?}");
        let accepts = handle.kernel(|kernel| kernel.tap.calls(Call::Accept4));
        assert!(accepts <= 60, "law: nobody spins, but {accepts} calls were made: {faults:?}");
        clients.close(fd).unwrap();
    }
}

#[test]
fn a_listener_that_cannot_listen_says_so() {
    let mut sim = Sim::default();
    let mut tasks = Tasks::on(&mut sim).unwrap();
    let handle = tasks.handle();
    let (near, far) = pair(&handle);
    let mut listener = handle.listener(near.into_fd()).unwrap();
    drop(far);
    let accepted = tasks.block_on(listener.accept()).unwrap();
    assert_eq!(accepted.map(drop), Err(Errno::EINVAL));
}

#[test]
fn without_a_watch_a_descriptor_is_closed_and_its_taker_told() {
    let mut sim = Sim::default();
    let (near, far) = sim.socketpair(epollite::Kind::Stream).unwrap();
    let faults = Faults::once(0, Errno::ENOSPC).only(Call::EpollCtl);
    {
        let tasks = Tasks::on(Faulty::over(&mut sim, faults)).unwrap();
        assert_eq!(tasks.handle().stream(near).map(drop), Err(Errno::ENOSPC));
        assert_eq!(tasks.handle().descriptors(), 0);
    }
    sim.close(far).unwrap();
}
