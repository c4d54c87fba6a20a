//! Waiting where the newer call is forbidden.

use core::time::Duration;

use epollite::{Call, Errno, Kernel, Reactor, Sim};

use crate::refusing::Orders;

#[test]
fn a_sandbox_that_forbids_epoll_pwait2_gets_the_older_call() {
    for errno in [Errno::EPERM, Errno::ENOSYS] {
        let (sim, orders) = (Sim::default(), Orders::default());
        let mut reactor = Reactor::<(), _>::on(orders.over(sim.process())).unwrap();
        orders.refuse(Call::EpollPwait2, errno, u64::MAX);
        for waits in 1..4 {
            let deadline = reactor.kernel().now() + Duration::from_micros(1_500);
            assert_eq!(reactor.next(Some(deadline)), Ok(None), "law: a deadline ends the wait");
            assert!(reactor.kernel().now() >= deadline, "law: and not too early");
            assert_eq!(orders.count(Call::EpollWait), waits);
        }
        assert_eq!(orders.count(Call::EpollPwait2), 1, "law: what is forbidden is asked for once");
    }
}
