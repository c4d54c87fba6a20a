//! The calls of an experiment that only [`Devices`] has. Those of other threads and processes are
//! in `actor_calls.rs`.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::experiment::{Action, DeviceAction, Name};
use super::run_state::{EVENTS_MAX, RunState, Stop, fd};
use super::value::Value;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::instrument::{Argument, Bytes, ReturnValue, SyscallRecord};
use crate::kernel::{
    Access, BadAddress, DeviceOption, Devices, EpollEvent, Fd, IoctlRequest, Kernel, MessageFlag,
    Signal,
};

/// The largest read.
const READ_BYTES_MAX: usize = 1 << 20;

/// An argument with a form of its own.
pub(super) fn text(text: &str) -> Argument {
    Argument::Text(text.into())
}

fn signal_name(signal: Signal) -> Argument {
    text(&format!("SIG{}", signal.name().unwrap_or("?")))
}

fn number(fd: &Fd) -> Argument {
    Argument::Fd(fd.number())
}

impl RunState<'_, '_> {
    pub(super) fn device(&mut self, action: &DeviceAction) -> Result<Value, Stop> {
        match *action {
            DeviceAction::Create { fd: new, device, of } => {
                let (call, arguments) = device.c_call();
                let mut arguments = vec![text(arguments)];
                if let Some(of) = of {
                    arguments.insert(0, number(fd(&self.open, of)?));
                }
                self.open(new, call, arguments, |devices, open| {
                    devices.create(device, of.map(|of| at(open, of)).transpose()?)
                })?;
            }
            DeviceAction::Open { fd: new, ref path } => {
                let arguments = format!("\"{path}\", O_RDONLY|O_NONBLOCK|O_CLOEXEC");
                self.open(new, "open", vec![Argument::Text(arguments)], |devices, _| {
                    devices.open(path, Access::Read)
                })?;
            }
            DeviceAction::Reopen { from, fd: new, access } => {
                let path = format!("/proc/self/fd/{}", fd(&self.open, from)?);
                let flags = if access == Access::Read { "O_RDONLY" } else { "O_WRONLY" };
                let arguments = format!("\"{path}\", {flags}|O_NONBLOCK|O_CLOEXEC");
                self.open(new, "open", vec![Argument::Text(arguments)], |devices, _| {
                    devices.open(&path, access)
                })?;
            }
            DeviceAction::Raise { signal } => {
                self.call("raise", vec![signal_name(signal)], |it, _| it.raise(signal))?;
            }
            DeviceAction::Handle { signal } => {
                let arguments = vec![signal_name(signal), text("{SA_RESTART}"), text("NULL")];
                self.call("rt_sigaction", arguments, |it, _| it.sigaction_nothing(signal))?;
            }
            DeviceAction::Settime { fd: timer, first, interval } => {
                let timer_number = number(fd(&self.open, timer)?);
                let times = [first, interval].map(|time| format!("{}ms", time.as_millis()));
                let times = format!("{{it_value={}, it_interval={}}}", times[0], times[1]);
                let arguments = vec![timer_number, text("0"), Argument::Text(times), text("NULL")];
                self.call("timerfd_settime", arguments, |devices, open| {
                    devices.timerfd_settime(at(open, timer)?, first, interval)
                })?;
            }
            DeviceAction::Seqpacket { near, far } => {
                let kind = text("SOCK_SEQPACKET|SOCK_CLOEXEC|SOCK_NONBLOCK");
                let arguments = vec![text("AF_UNIX"), kind, text("0")];
                let make = |devices: &mut dyn Devices, _: &_| devices.socketpair_seqpacket();
                let (one, other) = self.call_for("socketpair", arguments, make, |_| zero())?;
                (self.open[near], self.open[far]) = (Some(one), Some(other));
            }
            DeviceAction::SetOption { socket, name, value } => {
                let (level, option) = name.c_names();
                let socket_number = number(fd(&self.open, socket)?);
                let value_argument = Argument::Value(value.into());
                let arguments = vec![socket_number, text(level), text(option), value_argument];
                self.call("setsockopt", arguments, |devices, open| {
                    devices.set_option(at(open, socket)?, name, value)
                })?;
            }
            ref action => return self.change_device(action),
        }
        Ok(Value::Done)
    }

    /// A call on descriptors that exist, which returns nothing.
    fn change_device(&mut self, action: &DeviceAction) -> Result<Value, Stop> {
        match *action {
            DeviceAction::Watch { into, file, is_fanotify } => {
                let (into_fd, of) = (fd(&self.open, into)?, fd(&self.open, file)?);
                let path = text(&format!("\"/proc/self/fd/{of}\""));
                let (call, event) = match is_fanotify {
                    true => ("fanotify_mark", "FAN_MODIFY"),
                    false => ("inotify_add_watch", "IN_MODIFY"),
                };
                let arguments = vec![number(into_fd), path, text(event)];
                self.call(call, arguments, |devices, open| {
                    let (into, file) = (at(open, into)?, at(open, file)?);
                    match is_fanotify {
                        true => devices.fanotify_mark(into, file),
                        false => devices.inotify_add_watch(into, file),
                    }
                })?;
            }
            DeviceAction::SetFlags { fd: of, is_nonblocking } => {
                let flags = if is_nonblocking { "O_NONBLOCK" } else { "0" };
                let arguments = vec![number(fd(&self.open, of)?), text("F_SETFL"), text(flags)];
                self.call("fcntl", arguments, |devices, open| {
                    devices.fcntl_setfl(at(open, of)?, is_nonblocking)
                })?;
            }
            DeviceAction::RingQueue { ring } => {
                // No call: a number in shared memory.
                let made = at(&self.open, ring);
                let queued = made.and_then(|ring| self.environment.devices.io_uring_queue(ring));
                queued.map_err(Stop::DeviceFailed)?;
            }
            DeviceAction::BpfOutput { ring } => {
                let _ = fd(&self.open, ring)?;
                let arguments = vec![text("BPF_PROG_TEST_RUN"), text("{bpf_ringbuf_output}")];
                self.call("bpf", arguments, |it, open| it.bpf_ring_output(at(open, ring)?))?;
            }
            DeviceAction::BindMount { mounts } => {
                let _ = fd(&self.open, mounts)?;
                let (path, none) = (text("\"/dev/null\""), text("NULL"));
                let arguments = vec![path.clone(), path, none.clone(), text("MS_BIND"), none];
                self.call("mount", arguments, |it, open| it.bind_mount(at(open, mounts)?))?;
            }
            ref action => return self.query_device(action),
        }
        Ok(Value::Done)
    }

    /// A call that returns something else.
    fn query_device(&mut self, action: &DeviceAction) -> Result<Value, Stop> {
        match *action {
            DeviceAction::SendRights { socket, passed, ref bytes } => {
                let (into, fd) = (fd(&self.open, socket)?, fd(&self.open, passed)?);
                let what = text(&format!("SCM_RIGHTS [{fd}]"));
                let arguments = vec![number(into), Argument::Bytes(Bytes::new(bytes)), what];
                self.call_count("sendmsg", arguments, |devices, open| {
                    devices.send_rights(at(open, socket)?, bytes, at(open, passed)?)
                })
            }
            DeviceAction::RecvRights { socket, len_max, fd: new } => {
                let arguments = vec![number(fd(&self.open, socket)?), text("MSG_CMSG_CLOEXEC")];
                let mut buf = vec![0; len_max.min(READ_BYTES_MAX)];
                let make = |devices: &mut dyn Devices, open: &[Option<Fd>]| {
                    devices.recv_rights(at(open, socket)?, &mut buf)
                };
                let returned = |(count, _): &(usize, _)| ReturnValue::Number(*count);
                let (count, received) = self.call_for("recvmsg", arguments, make, returned)?;
                self.open[new] = received;
                buf.truncate(count);
                Ok(Value::Bytes(buf))
            }
            DeviceAction::ErrorQueue { socket, is_code } => {
                let arguments = vec![number(fd(&self.open, socket)?), text("MSG_ERRQUEUE")];
                let make = |devices: &mut dyn Devices, open: &[Option<Fd>]| {
                    devices.recv_errqueue(at(open, socket)?)
                };
                let error = self.call_for("recvmsg", arguments, make, |_| zero())?;
                let code = Value::Number(error.code.into());
                Ok(if is_code { code } else { Value::SocketError(error.errno) })
            }
            DeviceAction::GetOption { socket, name } => self.get_device_option(socket, name),
            DeviceAction::OptionLen { socket, name } => {
                let (level, option) = name.c_names();
                let arguments = vec![number(fd(&self.open, socket)?), text(level), text(option)];
                let make = |devices: &mut dyn Devices, open: &[Option<Fd>]| {
                    devices.option_len(at(open, socket)?, name)
                };
                let len = self.call_for("getsockopt", arguments, make, |_| zero())?;
                Ok(Value::Number(u64::try_from(len).unwrap_or(u64::MAX)))
            }
            DeviceAction::Ioctl { fd: of, request, value } => {
                let mut arguments = vec![number(fd(&self.open, of)?), text(request.c_name())];
                if request == IoctlRequest::SetEpollParams {
                    arguments.push(text(&format!("{{busy_poll_budget={value}}}")));
                }
                self.call_count("ioctl", arguments, |devices, open| {
                    let got = devices.ioctl(at(open, of)?, request, value)?;
                    Ok(usize::try_from(got).unwrap_or(usize::MAX))
                })
            }
            ref action => self.read_device(action),
        }
    }

    /// A call that reads or waits.
    fn read_device(&mut self, action: &DeviceAction) -> Result<Value, Stop> {
        match *action {
            DeviceAction::ReadNowait { fd: from, len_max } => {
                let arguments = vec![number(fd(&self.open, from)?), text("RWF_NOWAIT")];
                let mut buf = vec![0; len_max.min(READ_BYTES_MAX)];
                let make = |devices: &mut dyn Devices, open: &[Option<Fd>]| {
                    devices.read_nowait(at(open, from)?, &mut buf)
                };
                let returned = |count: &usize| ReturnValue::Number(*count);
                let count = self.call_for("preadv2", arguments, make, returned)?;
                buf.truncate(count);
                Ok(Value::Bytes(buf))
            }
            DeviceAction::WaitAt { epoll, address, events_max } => {
                let shown = text(if address == BadAddress::Null { "NULL" } else { "KERNEL" });
                let (max, none) = (Argument::Number(events_max.into()), Argument::Number(0));
                let arguments = vec![number(fd(&self.open, epoll)?), shown, max, none];
                // What it returns without an error is that nothing was ready.
                self.call_count("epoll_wait", arguments, |devices, open| {
                    devices.epoll_wait_at(at(open, epoll)?, address, events_max)
                })?;
                Ok(Value::Events(Vec::new()))
            }
            DeviceAction::Pwait { epoll, millis } => {
                let (max, timeout) = (EVENTS_MAX, Argument::Number(millis.into()));
                let mut events = vec![EpollEvent::default(); max];
                let epoll_number = number(fd(&self.open, epoll)?);
                let arguments = vec![epoll_number, timeout, text("[]")];
                let make = |devices: &mut dyn Devices, open: &[Option<Fd>]| {
                    devices.epoll_pwait(at(open, epoll)?, &mut events, millis)
                };
                let returned = |count: &usize| ReturnValue::Number(*count);
                let count = self.call_for("epoll_pwait", arguments, make, returned)?;
                Ok(Value::Events(self.reported(events.into_iter().take(count))))
            }
            DeviceAction::RingEnter { ring } => {
                let arguments = vec![number(fd(&self.open, ring)?), text("1, 0, 0, NULL")];
                self.call_count("io_uring_enter", arguments, |devices, open| {
                    devices.io_uring_enter(at(open, ring)?)
                })
            }
            _ => self.call_count("ptrace", vec![text("PTRACE_SYSCALL")], |devices, _| {
                devices.ptrace_factor().map(|factor| usize::try_from(factor).unwrap_or(0))
            }),
        }
    }

    fn get_device_option(&mut self, socket: Name, name: DeviceOption) -> Result<Value, Stop> {
        let (level, option) = name.c_names();
        let arguments = vec![number(fd(&self.open, socket)?), text(level), text(option)];
        let make = |devices: &mut dyn Devices, open: &[Option<Fd>]| {
            devices.get_option(at(open, socket)?, name)
        };
        let value = self.call_for("getsockopt", arguments, make, |_| zero())?;
        Ok(Value::Number(u64::try_from(value).unwrap_or(u64::MAX)))
    }

    /// send(2) or recv(2) with a flag.
    pub(super) fn message(&mut self, action: &Action) -> Result<Value, Stop> {
        let flag_name = |flag| match flag {
            MessageFlag::OutOfBand => text("MSG_OOB"),
            MessageFlag::Peek => text("MSG_PEEK"),
            MessageFlag::ZeroCopy => text("MSG_ZEROCOPY"),
        };
        match *action {
            Action::SendFlag { socket, ref bytes, flag } => {
                let socket_number = number(fd(&self.open, socket)?);
                let bytes_argument = Argument::Bytes(Bytes::new(bytes));
                let arguments = vec![socket_number, bytes_argument, flag_name(flag)];
                self.call_count("send", arguments, |devices, open| {
                    devices.send_flag(at(open, socket)?, bytes, flag)
                })
            }
            Action::RecvFlag { socket, len_max, flag } => {
                let arguments = vec![number(fd(&self.open, socket)?), flag_name(flag)];
                let mut buf = vec![0; len_max.min(READ_BYTES_MAX)];
                let make = |devices: &mut dyn Devices, open: &[Option<Fd>]| {
                    devices.recv_flag(at(open, socket)?, &mut buf, flag)
                };
                let returned = |count: &usize| ReturnValue::Number(*count);
                let count = self.call_for("recv", arguments, make, returned)?;
                buf.truncate(count);
                Ok(Value::Bytes(buf))
            }
            _ => unreachable!("all other actions are performed before"),
        }
    }

    /// Makes a call that returns a new descriptor.
    fn open(
        &mut self,
        new: Name,
        name: &'static str,
        arguments: Vec<Argument>,
        make: impl FnOnce(&mut dyn Devices, &[Option<Fd>]) -> Result<Fd, Errno>,
    ) -> Result<(), Stop> {
        let fd = self.call_for(name, arguments, make, |fd| ReturnValue::Fd(fd.number()))?;
        self.open[new] = Some(fd);
        Ok(())
    }

    /// Makes a call of a device that returns nothing.
    fn call(
        &mut self,
        name: &'static str,
        arguments: Vec<Argument>,
        make: impl FnOnce(&mut dyn Devices, &[Option<Fd>]) -> Result<(), Errno>,
    ) -> Result<(), Stop> {
        self.call_for(name, arguments, make, |()| zero())
    }

    /// The same of one that returns a count.
    fn call_count(
        &mut self,
        name: &'static str,
        arguments: Vec<Argument>,
        make: impl FnOnce(&mut dyn Devices, &[Option<Fd>]) -> Result<usize, Errno>,
    ) -> Result<Value, Stop> {
        let count = self.call_for(name, arguments, make, |count| ReturnValue::Number(*count))?;
        Ok(Value::Number(u64::try_from(count).unwrap_or(u64::MAX)))
    }

    /// The same of any, with the value that strace would print.
    fn call_for<R>(
        &mut self,
        name: &'static str,
        arguments: Vec<Argument>,
        make: impl FnOnce(&mut dyn Devices, &[Option<Fd>]) -> Result<R, Errno>,
        returned: impl FnOnce(&R) -> ReturnValue,
    ) -> Result<R, Stop> {
        let start = self.tracer.now();
        let result = make(self.environment.devices, &self.open);
        self.record(name, arguments, result.as_ref().map(returned), start);
        result.map_err(Stop::DeviceFailed)
    }

    /// Records a call that is not the kernel's.
    pub(super) fn record(
        &mut self,
        name: &'static str,
        arguments: Vec<Argument>,
        result: Result<ReturnValue, &Errno>,
        start: Instant,
    ) {
        let (duration, result) = (self.tracer.now() - start, result.map_err(|errno| *errno));
        self.tracer.push(SyscallRecord { name, call: None, arguments, result, start, duration });
    }
}

/// What a call returns that returns nothing.
pub(super) const fn zero() -> ReturnValue {
    ReturnValue::Number(0)
}

fn at(open: &[Option<Fd>], name: Name) -> Result<&Fd, Errno> {
    open.get(name).and_then(Option::as_ref).ok_or(Errno::EBADF)
}
