//! A kernel with a wrong rule: the experiments that are about the rule find it.
//!
//! Wraps the model and changes what epoll_ctl or epoll_wait do, as a wrong model would.

use epollite::event::{EPOLLET, EPOLLHUP, EPOLLONESHOT, EPOLLRDHUP};
use epollite::kernel::{EpollEvent, EpollOp, Shutdown, SocketType};
use epollite::sim::{Sim, Version};
use epollite::study::{built_in, parse};
use epollite::{Addr, Errno, Fd, Instant, Kernel};

use crate::runner::run_on;

/// The wrong rules.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Bug {
    None,
    EdgeIsLevel,
    OneshotStaysArmed,
    HupIsMasked,
    RdhupIsLost,
    ModDoesNotReport,
}

struct Wrong {
    sim: Sim,
    bug: Bug,
}

impl Kernel for Wrong {
    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, fd: &Fd) -> Result<(), Errno> {
        let change = |event: EpollEvent| {
            let dropped = match self.bug {
                Bug::EdgeIsLevel => EPOLLET,
                Bug::OneshotStaysArmed => EPOLLONESHOT,
                _ => 0,
            };
            EpollEvent::new(event.events() & !dropped, event.data())
        };
        match op {
            EpollOp::Add(event) => self.sim.epoll_ctl(epoll, EpollOp::Add(change(event)), fd),
            EpollOp::Modify(_) if self.bug == Bug::ModDoesNotReport => Ok(()),
            EpollOp::Modify(event) => self.sim.epoll_ctl(epoll, EpollOp::Modify(change(event)), fd),
            EpollOp::Delete => self.sim.epoll_ctl(epoll, op, fd),
        }
    }

    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno> {
        let count = self.sim.epoll_wait(epoll, events, timeout_millis)?;
        let lost = match self.bug {
            Bug::HupIsMasked => EPOLLHUP,
            Bug::RdhupIsLost => EPOLLRDHUP,
            _ => 0,
        };
        let mut kept = 0;
        for at in 0..count {
            let event = events[at];
            if event.events() & !lost != 0 {
                events[kept] = EpollEvent::new(event.events() & !lost, event.data());
                kept += 1;
            }
        }
        Ok(kept)
    }

    fn socketpair(&mut self, kind: SocketType) -> Result<(Fd, Fd), Errno> {
        self.sim.socketpair(kind)
    }

    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        self.sim.accept4(listener)
    }

    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.sim.recv(socket, buf)
    }

    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.sim.send(socket, buf)
    }

    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<(), Errno> {
        self.sim.shutdown(socket, how)
    }

    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        self.sim.close(fd)
    }

    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        self.sim.epoll_create1()
    }

    fn now(&mut self) -> Instant {
        self.sim.now()
    }
}

fn agrees(name: &str, bug: Bug) -> bool {
    let experiment = parse(built_in(name).unwrap()).unwrap();
    let kernel = Wrong { sim: Sim::default(), bug };
    run_on(&experiment, kernel, Version::NEWEST).agrees()
}

#[test]
fn a_wrong_rule_is_found_by_the_experiment_about_it() {
    for (name, bug) in [
        ("edge-merged", Bug::EdgeIsLevel),
        ("edge-late", Bug::EdgeIsLevel),
        ("nested-edge", Bug::EdgeIsLevel),
        ("oneshot-disarmed", Bug::OneshotStaysArmed),
        ("oneshot-disarmed", Bug::ModDoesNotReport),
        ("interest-none-unix", Bug::HupIsMasked),
        ("unix-peer-close", Bug::HupIsMasked),
        ("unix-half-close", Bug::RdhupIsLost),
        ("level-out", Bug::ModDoesNotReport),
    ] {
        assert!(agrees(name, Bug::None), "{name}: the wrapper itself changes nothing");
        assert!(!agrees(name, bug), "{name} does not notice that {bug:?}");
    }
}

#[test]
fn an_experiment_about_another_rule_does_not_notice() {
    assert!(agrees("level-until-read", Bug::OneshotStaysArmed));
}
