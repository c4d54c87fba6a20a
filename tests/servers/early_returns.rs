//! Waits that return what Linux does not: nothing, and too early, which is repeated a thousand
//! times; or more than there is room for.

use epollite::kernel::{EpollEvent, EpollOp, Shutdown};
use epollite::server::datagram::{DatagramConfig, DatagramServer};
use epollite::server::stream::{Outcome, StreamConfig, StreamServer};
use epollite::{Addr, Errno, Fd, Instant, Kernel, Linux};

/// Linux with such waits, and without sockets.
#[derive(Default)]
struct EarlyReturns {
    waits: u32,
    /// What each wait returns.
    events: usize,
}

#[test]
fn a_server_returns_after_a_thousand_waits_that_returned_early() {
    type Run = fn(&mut StreamServer<EarlyReturns>) -> Result<Outcome, Errno>;
    let ways: [Run; 2] = [|server| server.run_once(None), StreamServer::run_rounds];
    for run in ways {
        let kernel = EarlyReturns::default();
        let mut server = StreamServer::<_>::new(kernel, StreamConfig::default()).unwrap();
        assert_eq!(run(&mut server), Ok(Outcome::TimedOut));
        let waits = server.kernel().waits;
        assert!((1_000..=1_001).contains(&waits), "invariant: a thousand, not {waits}");
    }
}

/// Without a deadline none has passed: the caller is not told that one has.
#[test]
fn a_datagram_server_does_not_mistake_them_for_a_deadline() {
    let kernel = EarlyReturns::default();
    let mut server = DatagramServer::new(kernel, DatagramConfig::default()).unwrap();
    assert_eq!(server.run_once(None), Ok(true));
    assert_eq!(server.run_once(Some(Instant::ZERO)), Ok(false));
}

#[test]
#[should_panic(expected = "more events than fit the buffer")]
fn more_events_than_fit_are_a_fault_of_the_kernel() {
    let kernel = EarlyReturns { events: 1 << 20, ..EarlyReturns::default() };
    let mut server = StreamServer::<_>::new(kernel, StreamConfig::default()).unwrap();
    let _ = server.run_once(None);
}

impl Kernel for EarlyReturns {
    fn accept4(&mut self, _: &Fd) -> Result<(Fd, Addr), Errno> {
        Err(Errno::ENOSYS)
    }

    fn recv(&mut self, _: &Fd, _: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    fn send(&mut self, _: &Fd, _: &[u8]) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    fn shutdown(&mut self, _: &Fd, _: Shutdown) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        Linux.close(fd)
    }

    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        Linux.epoll_create1()
    }

    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, fd: &Fd) -> Result<(), Errno> {
        Linux.epoll_ctl(epoll, op, fd)
    }

    fn epoll_wait(&mut self, _: &Fd, _: &mut [EpollEvent], _: Option<u32>) -> Result<usize, Errno> {
        self.waits += 1;
        assert!(self.waits < 10_000, "invariant: no unbounded loop");
        Ok(self.events)
    }

    fn now(&mut self) -> Instant {
        Linux.now()
    }
}
