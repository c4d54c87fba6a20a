//! Waiting where the newer system call is denied.

use core::time::Duration;

use epollite::kernel::Syscall;
use epollite::sim::Sim;
use epollite::{Errno, Kernel, Reactor};

use crate::regressions::fault_script::FaultScript;

#[test]
fn a_sandbox_that_forbids_epoll_pwait2_gets_the_older_call() {
    for errno in [Errno::EPERM, Errno::ENOSYS] {
        let (sim, faults) = (Sim::default(), FaultScript::default());
        let mut reactor = Reactor::<(), _>::with_kernel(faults.wrap(sim.new_process())).unwrap();
        faults.refuse(Syscall::EpollPwait2, errno, u64::MAX);
        for waits in 1..4 {
            let deadline = reactor.kernel().now() + Duration::from_micros(1_500);
            assert_eq!(
                reactor.next(Some(deadline)),
                Ok(None),
                "invariant: a deadline ends the wait"
            );
            assert!(reactor.kernel().now() >= deadline, "invariant: and not too early");
            assert_eq!(faults.count(Syscall::EpollWait), waits);
        }
        assert_eq!(
            faults.count(Syscall::EpollPwait2),
            1,
            "invariant: a denied system call is tried once"
        );
    }
}
