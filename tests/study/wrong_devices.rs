//! Devices with a wrong rule: the experiments that are about the rule find it, on the real kernel.
//!
//! Wraps Linux' devices and changes what one of them does.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use epollite::kernel::{
    Access, BadAddress, Device, DeviceOption, Devices, EpollEvent, ExtendedError, IoctlRequest,
    MessageFlag, Signal, SocketType,
};
use epollite::sim::Version;
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
    CodeIsMissing,
    MarkIsNever,
    ParamsAreIgnored,
    FaultTakes,
    MaxeventsIsUnlimited,
    SignalIsFirst,
    RingStaysEmpty,
    MountIsLost,
    StructureIsShort,
}

struct Wrong {
    bug: Bug,
}

impl Devices for Wrong {
    fn create(&mut self, device: Device, of: Option<&Fd>) -> Result<Fd, Errno> {
        match (self.bug, device) {
            // Its writing end goes with the closed one.
            (Bug::FifoHasWriter, Device::Fifo) => {
                let (reader, writer) = Linux.pipe2()?;
                Linux.close(writer)?;
                Ok(reader)
            }
            _ => Linux.create(device, of),
        }
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

    fn open(&mut self, path: &str, access: Access) -> Result<Fd, Errno> {
        Linux.open(path, access)
    }

    fn inotify_add_watch(&mut self, inotify: &Fd, file: &Fd) -> Result<(), Errno> {
        match self.bug {
            Bug::WatchIsLost => Ok(()),
            _ => Linux.inotify_add_watch(inotify, file),
        }
    }

    fn ioctl(&mut self, fd: &Fd, request: IoctlRequest, value: u32) -> Result<u32, Errno> {
        match (self.bug, request) {
            (Bug::MarkIsNever, IoctlRequest::AtMark) => Ok(0),
            (Bug::ParamsAreIgnored, IoctlRequest::SetEpollParams) => Ok(0),
            _ => Linux.ioctl(fd, request, value),
        }
    }

    fn fcntl_setfl(&mut self, fd: &Fd, is_nonblocking: bool) -> Result<(), Errno> {
        Linux.fcntl_setfl(fd, is_nonblocking)
    }

    fn read_nowait(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        Linux.read_nowait(fd, buf)
    }

    fn sigaction_nothing(&mut self, signal: Signal) -> Result<(), Errno> {
        Linux.sigaction_nothing(signal)
    }

    fn epoll_wait_at(
        &mut self,
        epoll: &Fd,
        address: BadAddress,
        events_max: u32,
    ) -> Result<usize, Errno> {
        match self.bug {
            // An event that could not be copied is lost.
            Bug::FaultTakes => {
                let mut events = [EpollEvent::default()];
                match Linux.epoll_wait(epoll, &mut events, Some(0))? {
                    0 if address == BadAddress::Null => Ok(0),
                    _ => Err(Errno::EFAULT),
                }
            }
            Bug::MaxeventsIsUnlimited => Ok(0),
            _ => Linux.epoll_wait_at(epoll, address, events_max),
        }
    }

    fn epoll_pwait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: u32,
    ) -> Result<usize, Errno> {
        match self.bug {
            Bug::SignalIsFirst => Err(Errno::EINTR),
            _ => Linux.epoll_pwait(epoll, events, timeout_millis),
        }
    }

    fn io_uring_queue(&mut self, ring: &Fd) -> Result<(), Errno> {
        match self.bug {
            Bug::RingStaysEmpty => Ok(()),
            _ => Linux.io_uring_queue(ring),
        }
    }

    fn io_uring_enter(&mut self, ring: &Fd) -> Result<usize, Errno> {
        Linux.io_uring_enter(ring)
    }

    fn bpf_ring_output(&mut self, ring: &Fd) -> Result<(), Errno> {
        match self.bug {
            Bug::RingStaysEmpty => Ok(()),
            _ => Linux.bpf_ring_output(ring),
        }
    }

    fn bind_mount(&mut self, mounts: &Fd) -> Result<(), Errno> {
        match self.bug {
            Bug::MountIsLost => Ok(()),
            _ => Linux.bind_mount(mounts),
        }
    }

    fn fanotify_mark(&mut self, fanotify: &Fd, file: &Fd) -> Result<(), Errno> {
        match self.bug {
            Bug::WatchIsLost => Ok(()),
            _ => Linux.fanotify_mark(fanotify, file),
        }
    }

    fn option_len(&mut self, socket: &Fd, name: DeviceOption) -> Result<usize, Errno> {
        match self.bug {
            Bug::StructureIsShort => Ok(104),
            _ => Linux.option_len(socket, name),
        }
    }

    fn get_option(&mut self, socket: &Fd, name: DeviceOption) -> Result<i32, Errno> {
        Linux.get_option(socket, name)
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

    fn recv_errqueue(&mut self, socket: &Fd) -> Result<ExtendedError, Errno> {
        match self.bug {
            Bug::CodeIsMissing => {
                Linux.recv_errqueue(socket).map(|it| ExtendedError { code: 0, ..it })
            }
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

/// Its name exists for a moment.
#[test]
fn two_threads_may_create_a_fifo_at_once() {
    let _alone = alone();
    let start = Barrier::new(2);
    let create = || {
        start.wait();
        for _ in 0..500 {
            let fifo = Linux.create(Device::Fifo, None).expect("no other thread has the name");
            Linux.close(fifo).unwrap();
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(create);
        create();
        other.join().unwrap();
    });
}

/// What may be skipped.
const PRIVILEGED: [&str; 4] = ["io-uring", "bpf-ring", "mounts-file", "fanotify"];

/// Whether the bug is the rule of this kernel.
fn is_changed(name: &str) -> bool {
    let version = Machine::read().version;
    match name {
        "unix-urgent-behind" => version < Version::new(6, 10),
        "epoll-params" => version < Version::LINUX_6_9,
        _ => false,
    }
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
        ("zerocopy-copied", Bug::CodeIsMissing),
        ("unix-urgent-behind", Bug::MarkIsNever),
        ("epoll-params", Bug::ParamsAreIgnored),
        ("wait-bad-address", Bug::FaultTakes),
        ("wait-maxevents", Bug::MaxeventsIsUnlimited),
        ("pwait-mask", Bug::SignalIsFirst),
        ("io-uring", Bug::RingStaysEmpty),
        ("bpf-ring", Bug::RingStaysEmpty),
        ("mounts-file", Bug::MountIsLost),
        ("fanotify", Bug::WatchIsLost),
        ("tcp-info-grows", Bug::StructureIsShort),
        ("udp-recvmmsg-timeout", Bug::TimerIsNever),
    ] {
        let right = report(name, Bug::None);
        // Not every kernel permits, or has, what needs a privilege.
        if PRIVILEGED.contains(&name) && right.is_skipped() || is_changed(name) {
            continue;
        }
        assert!(right.agrees(), "{name}: the wrapper itself changes nothing: {right:?}");
        assert!(report(name, bug).differs(), "{name} does not notice that {bug:?}");
    }
}
