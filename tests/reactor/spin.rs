//! Polling before blocking: what it changes is how often the kernel is asked, never what is
//! reported.

use core::time::Duration;

use epollite::instrument::CallCounter;
use epollite::kernel::{Hooked, Syscall, SyscallHook};
use epollite::reactor::Spin;
use epollite::sim::Sim;
use epollite::{Errno, Event, Interest, Kernel, Linux, Reactor, Trigger};

use super::support::{refusing, watch};

const SPINS: [Spin; 3] = [Spin::Off, Spin::Auto, Spin::For(Duration::from_micros(200))];

#[test]
fn an_event_that_is_there_takes_one_call_with_any_spin() {
    for spin in SPINS {
        let mut reactor = Reactor::with_kernel(refusing(&[])).unwrap();
        reactor.set_spin(spin);
        let fd = Linux.eventfd(1).unwrap();
        let token = watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
        reactor.kernel().hook.calls.clear();
        for _ in 0..100 {
            let event = reactor.next(None).unwrap();
            assert!(matches!(event, Some(Event::Io { token: reported, .. }) if reported == token));
        }
        assert_eq!(reactor.kernel().hook.count(Syscall::EpollWait), 100, "{spin:?}");
    }
}

#[test]
fn without_events_it_polls_for_its_time_and_then_blocks() {
    let mut reactor = Reactor::<(), _>::with_kernel(refusing(&[])).unwrap();
    reactor.set_spin(Spin::For(Duration::from_micros(200)));
    let waker = reactor.waker().unwrap();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        waker.wake(&mut Linux)
    });
    assert_eq!(reactor.next(None), Ok(Some(Event::Woken)));
    thread.join().unwrap().unwrap();
    let waits = reactor.kernel().hook.count(Syscall::EpollWait);
    assert!(waits > 1, "it polls before it blocks, but there was one wait");
    let deadline = reactor.kernel().now() + Duration::from_millis(5);
    assert_eq!(reactor.next(Some(deadline)), Ok(None));
    assert!(reactor.kernel().now() >= deadline, "invariant: never too early");
}

#[test]
fn a_short_deadline_is_waited_for_without_polling() {
    let mut reactor = Reactor::<(), _>::with_kernel(refusing(&[])).unwrap();
    reactor.set_spin(Spin::For(Duration::from_millis(10)));
    let deadline = reactor.kernel().now() + Duration::from_micros(300);
    reactor.kernel().hook.calls.clear();
    assert_eq!(reactor.next(Some(deadline)), Ok(None));
    assert!(reactor.kernel().hook.calls.len() <= 1, "{:?}", reactor.kernel().hook.calls);
    // A wait of a millisecond is not short any more.
    for (nanos, is_polled) in [(999_999, false), (1_000_000, true)] {
        let mut reactor = Reactor::<(), _>::with_kernel(CallCounter::new(Sim::default())).unwrap();
        reactor.set_spin(Spin::For(Duration::from_millis(10)));
        let deadline = reactor.kernel().now() + Duration::from_nanos(nanos);
        assert_eq!(reactor.next(Some(deadline)), Ok(None));
        assert_eq!(reactor.kernel().hook.calls(Syscall::EpollWait) > 0, is_polled, "{nanos} ns");
    }
}

#[test]
fn an_interrupted_poll_is_repeated_and_an_error_is_returned() {
    let interrupted = (Syscall::EpollWait, Errno::EINTR, 3);
    let mut reactor = Reactor::with_kernel(refusing(&[interrupted])).unwrap();
    reactor.set_spin(Spin::For(Duration::from_micros(50)));
    let fd = Linux.eventfd(1).unwrap();
    watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
    assert!(reactor.next(None).unwrap().is_some(), "invariant: EINTR loses no event");
    let broken = (Syscall::EpollWait, Errno::EBADF, 1);
    let mut reactor = Reactor::<(), _>::with_kernel(refusing(&[broken])).unwrap();
    reactor.set_spin(Spin::For(Duration::from_micros(50)));
    assert_eq!(reactor.next(None), Err(Errno::EBADF));
}

/// A clock that stands still: the number of polls is bounded too.
#[test]
fn it_ends_although_no_time_passes() {
    let mut reactor = Reactor::<(), _>::with_kernel(CallCounter::new(Sim::default())).unwrap();
    reactor.set_spin(Spin::For(Duration::from_micros(50)));
    let deadline = reactor.kernel().now() + Duration::from_secs(1);
    assert_eq!(reactor.next(Some(deadline)), Ok(None));
    let polls = reactor.kernel().hook.calls(Syscall::EpollWait);
    assert!(polls * 170 > 10_000_000, "more than fit ten milliseconds, a poll takes 170 ns");
}

/// Lets time pass with every wait that returns at once.
struct PollsTakeTime(Sim);

impl SyscallHook for PollsTakeTime {
    fn on_enter(&mut self, call: Syscall) -> Result<(), Errno> {
        if call == Syscall::EpollWait {
            self.0.advance(Duration::from_micros(100));
        }
        Ok(())
    }

    fn on_exit(&mut self, _: Syscall, _: Option<Errno>) {}
}

/// Polling is a part of the wait, however long it is allowed to be.
#[test]
fn polling_delays_no_deadline() {
    for limit_micros in [50, 500, 1_900, 2_000, 10_000, 1_000_000] {
        let sim = Sim::default();
        let hook = PollsTakeTime(sim.new_process());
        let mut reactor =
            Reactor::<(), _>::with_kernel(Hooked { kernel: sim.new_process(), hook }).unwrap();
        reactor.set_spin(Spin::For(Duration::from_micros(limit_micros)));
        let deadline = reactor.kernel().now() + Duration::from_millis(2);
        assert_eq!(reactor.next(Some(deadline)), Ok(None));
        let late = reactor.kernel().now() - deadline;
        assert!(reactor.kernel().now() >= deadline, "invariant: never too early");
        assert!(late <= Duration::from_micros(200), "{limit_micros} us of polling: {late:?} late");
    }
}
