//! The calls of an experiment that only [`Devices`] has. Those of other threads and processes are
//! in `actor_calls.rs`.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::experiment::{Action, DeviceAction, Name};
use super::run_state::{RunState, Stop, fd};
use super::value::Value;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::instrument::{Argument, Bytes, ReturnValue, SyscallRecord};
use crate::kernel::{Access, DeviceOption, Devices, Fd, Kernel, MessageFlag};

/// The largest read.
const READ_BYTES_MAX: usize = 1 << 20;

/// An argument with a form of its own.
pub(super) fn text(text: &str) -> Argument {
    Argument::Text(text.into())
}

fn number(fd: &Fd) -> Argument {
    Argument::Fd(fd.number())
}

impl<K: Kernel> RunState<'_, '_, K> {
    pub(super) fn device(&mut self, action: &DeviceAction) -> Result<Value, Stop> {
        if let Some((name, fd)) = self.create_device(action)? {
            self.open[name] = Some(fd);
            return Ok(Value::Done);
        }
        match *action {
            DeviceAction::Raise { signal } => {
                let name = text(&format!("SIG{}", signal.name().unwrap_or("?")));
                self.call("raise", vec![name], |devices, _| devices.raise(signal))?;
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
            DeviceAction::Watch { inotify, file } => {
                let (into, of) = (fd(&self.open, inotify)?, fd(&self.open, file)?);
                let path = text(&format!("\"/proc/self/fd/{of}\""));
                let arguments = vec![number(into), path, text("IN_MODIFY")];
                self.call("inotify_add_watch", arguments, |devices, open| {
                    devices.inotify_add_watch(at(open, inotify)?, at(open, file)?)
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
            ref action => return self.query_device(action),
        }
        Ok(Value::Done)
    }

    /// A call that creates a descriptor; `None` if it is another.
    fn create_device(&mut self, action: &DeviceAction) -> Result<Option<(Name, Fd)>, Stop> {
        let (name, call, arguments) = match action {
            DeviceAction::Timerfd { fd } => {
                (*fd, "timerfd_create", "CLOCK_MONOTONIC, TFD_CLOEXEC|TFD_NONBLOCK".to_string())
            }
            DeviceAction::Tmpfile { fd } => (*fd, "open", "\"/tmp\", O_RDWR|O_TMPFILE".into()),
            DeviceAction::Open { fd, path } => {
                (*fd, "open", format!("\"{path}\", O_RDONLY|O_NONBLOCK|O_CLOEXEC"))
            }
            DeviceAction::Fifo { fd } => (*fd, "open", "FIFO, O_RDONLY|O_NONBLOCK".into()),
            DeviceAction::Reopen { from, fd: new, access } => {
                let from = fd(&self.open, *from)?;
                let flags = if *access == Access::Read { "O_RDONLY" } else { "O_WRONLY" };
                (*new, "open", format!("\"/proc/self/fd/{from}\", {flags}|O_NONBLOCK|O_CLOEXEC"))
            }
            DeviceAction::Pty { fd } => (*fd, "open", "\"/dev/ptmx\", O_RDWR|O_NOCTTY".into()),
            DeviceAction::PtyPeer { master, fd: new } => {
                (*new, "ioctl", format!("{}, TIOCGPTPEER, O_RDWR", fd(&self.open, *master)?))
            }
            DeviceAction::Inotify { fd } => (*fd, "inotify_init1", "IN_CLOEXEC|IN_NONBLOCK".into()),
            _ => return Ok(None),
        };
        let make = |devices: &mut dyn Devices, open: &[Option<Fd>]| match action {
            DeviceAction::Timerfd { .. } => devices.timerfd_create(),
            DeviceAction::Tmpfile { .. } => devices.open_tmpfile(),
            DeviceAction::Open { path, .. } => devices.open(path, Access::Read),
            DeviceAction::Fifo { .. } => devices.open_fifo(),
            DeviceAction::Reopen { from, access, .. } => {
                devices.open(&format!("/proc/self/fd/{}", at(open, *from)?), *access)
            }
            DeviceAction::Pty { .. } => devices.open_pty(),
            DeviceAction::PtyPeer { master, .. } => devices.open_pty_peer(at(open, *master)?),
            _ => devices.inotify_init1(),
        };
        let arguments = vec![Argument::Text(arguments)];
        let fd = self.call_for(call, arguments, make, |fd| ReturnValue::Fd(fd.number()))?;
        Ok(Some((name, fd)))
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
            DeviceAction::ErrorQueue { socket } => {
                let arguments = vec![number(fd(&self.open, socket)?), text("MSG_ERRQUEUE")];
                let make = |devices: &mut dyn Devices, open: &[Option<Fd>]| {
                    devices.recv_errqueue(at(open, socket)?)
                };
                Ok(Value::SocketError(self.call_for("recvmsg", arguments, make, |_| zero())?))
            }
            DeviceAction::GetOption { socket, name } => self.get_device_option(socket, name),
            DeviceAction::InQueue { fd: of } => {
                let arguments = vec![number(fd(&self.open, of)?), text("FIONREAD")];
                self.call_count("ioctl", arguments, |devices, open| {
                    devices.ioctl_inq(at(open, of)?)
                })
            }
            DeviceAction::AtMark { socket } => {
                let arguments = vec![number(fd(&self.open, socket)?), text("SIOCATMARK")];
                self.call_count("ioctl", arguments, |devices, open| {
                    devices.ioctl_atmark(at(open, socket)?).map(usize::from)
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
