//! Devices with a wrong rule: the experiments that are about the rule find it, on the real kernel.
//!
//! Wraps Linux' devices and changes what one of them does.

use std::time::Duration;

use epollite::kernel::{Access, DeviceOption, Devices, MessageFlag, Signal, SocketType};
use epollite::study::{Environment, ExperimentReport, built_in, parse};
use epollite::{Errno, Fd, Kernel, Linux};

use crate::alone;
use crate::kernels::Machine;

/// The wrong rules.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Bug {
    None,
    TimerStays,
    TimerIsNever,
    SignalIsLost,
    PeekTakes,
    CorkIsIgnored,
    SeqpacketIsStream,
    FifoHasWriter,
    UrgentIsOrdinary,
    RightsAreLost,
    WatchIsLost,
    ErrorQueueIsEmpty,
}

struct Wrong {
    bug: Bug,
}

impl Devices for Wrong {
    fn timerfd_create(&mut self) -> Result<Fd, Errno> {
        Linux.timerfd_create()
    }

    fn timerfd_settime(
        &mut self,
        timer: &Fd,
        first: Duration,
        interval: Duration,
    ) -> Result<(), Errno> {
        match self.bug {
            Bug::TimerStays if first.is_zero() => Ok(()),
            Bug::TimerIsNever => Ok(()),
            _ => Linux.timerfd_settime(timer, first, interval),
        }
    }

    fn raise(&mut self, signal: Signal) -> Result<(), Errno> {
        match self.bug {
            Bug::SignalIsLost => Ok(()),
            _ => Linux.raise(signal),
        }
    }

    fn recv_flag(
        &mut self,
        socket: &Fd,
        buf: &mut [u8],
        flag: MessageFlag,
    ) -> Result<usize, Errno> {
        match (self.bug, flag) {
            (Bug::PeekTakes, MessageFlag::Peek) => Linux.recv(socket, buf),
            _ => Linux.recv_flag(socket, buf, flag),
        }
    }

    fn send_flag(&mut self, socket: &Fd, buf: &[u8], flag: MessageFlag) -> Result<usize, Errno> {
        match self.bug {
            Bug::UrgentIsOrdinary => Linux.send(socket, buf),
            _ => Linux.send_flag(socket, buf, flag),
        }
    }

    fn set_option(&mut self, socket: &Fd, name: DeviceOption, value: i32) -> Result<(), Errno> {
        match self.bug {
            Bug::CorkIsIgnored => Ok(()),
            _ => Linux.set_option(socket, name, value),
        }
    }

    fn socketpair_seqpacket(&mut self) -> Result<(Fd, Fd), Errno> {
        match self.bug {
            Bug::SeqpacketIsStream => Linux.socketpair(SocketType::Stream),
            _ => Linux.socketpair_seqpacket(),
        }
    }

    fn open_fifo(&mut self) -> Result<Fd, Errno> {
        match self.bug {
            // Its writing end goes with the closed one.
            Bug::FifoHasWriter => {
                let (reader, writer) = Linux.pipe2()?;
                Linux.close(writer)?;
                Ok(reader)
            }
            _ => Linux.open_fifo(),
        }
    }

    fn open(&mut self, path: &str, access: Access) -> Result<Fd, Errno> {
        Linux.open(path, access)
    }

    fn open_tmpfile(&mut self) -> Result<Fd, Errno> {
        Linux.open_tmpfile()
    }

    fn inotify_init1(&mut self) -> Result<Fd, Errno> {
        Linux.inotify_init1()
    }

    fn inotify_add_watch(&mut self, inotify: &Fd, file: &Fd) -> Result<(), Errno> {
        match self.bug {
            Bug::WatchIsLost => Ok(()),
            _ => Linux.inotify_add_watch(inotify, file),
        }
    }

    fn ioctl_inq(&mut self, fd: &Fd) -> Result<usize, Errno> {
        Linux.ioctl_inq(fd)
    }

    fn send_rights(&mut self, socket: &Fd, buf: &[u8], passed: &Fd) -> Result<usize, Errno> {
        match self.bug {
            Bug::RightsAreLost => Linux.send(socket, buf),
            _ => Linux.send_rights(socket, buf, passed),
        }
    }

    fn recv_rights(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Option<Fd>), Errno> {
        Linux.recv_rights(socket, buf)
    }

    fn recv_errqueue(&mut self, socket: &Fd) -> Result<Option<Errno>, Errno> {
        match self.bug {
            Bug::ErrorQueueIsEmpty => Err(Errno::EAGAIN),
            _ => Linux.recv_errqueue(socket),
        }
    }
}

/// Of an event that a wrong device does not cause: the wait is not the whole time.
const WRONG_MILLIS: u32 = 200;

fn report(name: &str, bug: Bug) -> ExperimentReport {
    let experiment = parse(built_in(name).unwrap()).unwrap();
    let millis = if bug == Bug::None { Environment::WAIT_MILLIS } else { WRONG_MILLIS };
    Machine::read().on_linux_with(&experiment, &mut Wrong { bug }, millis).unwrap()
}

#[test]
fn a_wrong_device_is_found_by_the_experiment_about_it() {
    let _alone = alone();
    for (name, bug) in [
        ("timerfd-once", Bug::TimerStays),
        ("signalfd", Bug::SignalIsLost),
        ("signalfd-thread", Bug::SignalIsLost),
        ("peek", Bug::PeekTakes),
        ("cork", Bug::CorkIsIgnored),
        ("nodelay-flushes", Bug::CorkIsIgnored),
        ("seqpacket", Bug::SeqpacketIsStream),
        ("seqpacket-edge", Bug::SeqpacketIsStream),
        ("fifo", Bug::FifoHasWriter),
        ("edge-urgent-mark", Bug::UrgentIsOrdinary),
        ("unix-urgent", Bug::UrgentIsOrdinary),
        ("edge-rights", Bug::RightsAreLost),
        ("rights-ghost", Bug::RightsAreLost),
        ("inotify-merged", Bug::WatchIsLost),
        ("udp-error-queue", Bug::ErrorQueueIsEmpty),
        ("timerfd-periodic", Bug::TimerIsNever),
    ] {
        let right = report(name, Bug::None);
        assert!(right.agrees(), "{name}: the wrapper itself changes nothing: {right:?}");
        assert!(report(name, bug).differs(), "{name} does not notice that {bug:?}");
    }
}
