//! Ways to run a stream server: rounds of whole echoes, polling, and without its listeners.

use core::time::Duration;

use epollite::instrument::{CallCounter, FaultInjector, FaultPlan};
use epollite::kernel::Syscall;
use epollite::reactor::Spin;
use epollite::server::stream::{Outcome, StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::Sim;
use epollite::{Errno, Instant, Kernel, Trigger};

use crate::api::{connect, tcp};
use crate::regressions::fault_script::FaultScript;

/// A round of whole echoes waits for the next without a look at the clock, unless there is a
/// deadline. The model panics in a wait that nothing ends.
#[test]
fn run_rounds_ends_a_pause_of_accepting() {
    let mut sim = Sim::default();
    let faults = FaultPlan::once(1, Errno::EMFILE).for_syscall(Syscall::Accept4);
    let kernel = FaultInjector::new(sim.new_process(), faults);
    let mut server = StreamServer::<_>::new(kernel, StreamConfig::default()).unwrap();
    let (listener, addr) = bind_stream(server.kernel(), &tcp(), PortSharing::Exclusive).unwrap();
    server.add_listener(listener).unwrap();
    let clients = [connect(&mut sim, &addr), connect(&mut sim, &addr)];
    sim.send(&clients[0], b"hello").unwrap();
    while server.stats().accepted < 2 {
        assert_eq!(server.run_rounds(), Ok(Outcome::Handled));
    }
    assert_eq!((server.stats().bytes_out, server.stats().accept_pauses), (5, 1));
    for client in clients {
        sim.close(client).unwrap();
    }
}

/// What another server goes on to listen for: those that are queued are served here.
#[test]
fn a_server_that_stops_listening_serves_on() {
    let mut sim = Sim::default();
    let mut server = StreamServer::<_>::new(sim.new_process(), StreamConfig::default()).unwrap();
    let (listener, addr) = bind_stream(server.kernel(), &tcp(), PortSharing::Exclusive).unwrap();
    server.add_listener(listener).unwrap();
    let queued = [connect(&mut sim, &addr), connect(&mut sim, &addr)];
    server.stop_listening();
    assert_eq!((server.listeners(), server.connections()), (0, 2));
    for client in queued {
        sim.send(&client, b"hello").unwrap();
        assert_eq!(server.run_once(Some(Instant::ZERO)), Ok(Outcome::Handled));
        assert_eq!(sim.recv(&client, &mut [0; 8]), Ok(5));
        sim.close(client).unwrap();
    }
    // The address is free.
    let (again, _) = bind_stream(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
    server.add_listener(again).unwrap();
}

#[test]
fn a_server_polls_before_it_waits_if_it_is_asked_to() {
    for (spin, is_polled) in [(Spin::Off, false), (Spin::For(Duration::from_micros(50)), true)] {
        let kernel = CallCounter::new(Sim::default());
        let mut server = StreamServer::<_>::new(kernel, StreamConfig::default()).unwrap();
        server.set_spin(spin);
        let deadline = server.kernel().now() + Duration::from_millis(5);
        assert_eq!(server.run_once(Some(deadline)), Ok(Outcome::TimedOut));
        assert_eq!(server.kernel().hook.calls(Syscall::EpollWait) > 1, is_polled, "{spin:?}");
    }
}

#[test]
fn run_rounds_returns_an_error_of_its_wait_at_once() {
    let faults = FaultPlan::persistent(0, Errno::EBADF).for_syscall(Syscall::EpollWait);
    let kernel = CallCounter::new(FaultInjector::new(Sim::default(), faults));
    let mut server = StreamServer::<_>::new(kernel, StreamConfig::default()).unwrap();
    assert_eq!(server.run_rounds(), Err(Errno::EBADF));
    assert!(server.kernel().hook.calls(Syscall::EpollWait) <= 2);
}

/// One-shot: each event ends with epoll_ctl(2). When that is interrupted once too often, the event
/// comes again; without memory the connection is closed, since no event of it would follow.
#[test]
fn a_connection_that_cannot_be_armed_is_served_again_or_closed() {
    for (errno, times, closed) in [(Errno::EINTR, 16, 0), (Errno::ENOMEM, 1, 1)] {
        let (mut sim, faults) = (Sim::default(), FaultScript::default());
        let config = StreamConfig { trigger: Trigger::OneShot, ..StreamConfig::default() };
        let mut server = StreamServer::<_>::new(faults.wrap(sim.new_process()), config).unwrap();
        let (listener, addr) =
            bind_stream(server.kernel(), &tcp(), PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        let client = connect(&mut sim, &addr);
        let mut run = || (0..4).for_each(|_| _ = server.run_once(Some(Instant::ZERO)).unwrap());
        run();
        sim.send(&client, b"hello").unwrap();
        faults.refuse(Syscall::EpollCtl, errno, times);
        run();
        assert!(faults.is_exhausted());
        assert_eq!(server.stats().closed, closed, "{errno}");
        sim.close(client).unwrap();
    }
}
