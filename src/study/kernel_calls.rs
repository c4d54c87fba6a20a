//! The calls of an experiment that a [`Kernel`] has.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{SocketAddr, SocketAddrV4};
use core::time::Duration;

use super::experiment::{Action, Name, Place, Target, Timeout};
use super::run_state::{RunState, Stop, fd};
use super::value::Value;
use crate::errno::Errno;
use crate::kernel::{
    EpollEvent, Kernel, Resource, Rlimit, SIGINFO_BYTES, Signal, SocketOption, close_quietly,
};
use crate::net::{Addr, BATCH_MAX, DatagramBatch, UnixAddr};

/// The largest read: what a file requests more is cut to it.
const READ_BYTES_MAX: usize = 1 << 20;
/// The longest datagram.
const DATAGRAM_BYTES_MAX: usize = 1 << 16;
/// At most as many datagrams are sent to fill a queue.
const FILL_DATAGRAMS_MAX: u64 = 10_000;
/// Waits of which the fastest counts.
const FASTEST_ROUNDS: usize = 50;
/// The most descriptors that a limit leaves.
const SPARE_MAX: u64 = 100;

impl RunState<'_, '_> {
    /// A call that creates or names descriptors; `None` if it is another.
    pub(super) fn create(&mut self, action: &Action) -> Result<Option<Value>, Stop> {
        match *action {
            Action::Socketpair { near, far, kind } => {
                let (one, other) = self.tracer.socketpair(kind)?;
                (self.open[near], self.open[far]) = (Some(one), Some(other));
            }
            Action::Pipe { reader, writer } => {
                let (one, other) = self.tracer.pipe2()?;
                (self.open[reader], self.open[writer]) = (Some(one), Some(other));
            }
            Action::Tcp { server, client } => {
                let (one, other) = self.tcp()?;
                (self.open[server], self.open[client]) = (Some(one), Some(other));
            }
            Action::Socket { socket, family, kind } => {
                self.open[socket] = Some(self.tracer.socket(family, kind)?);
            }
            Action::Accept { listener, accepted } => {
                let (fd, _) = self.tracer.accept4(fd(&self.open, listener)?)?;
                self.open[accepted] = Some(fd);
            }
            Action::Epoll { epoll } => self.open[epoll] = Some(self.tracer.epoll_create1()?),
            Action::Eventfd { fd, initial } => {
                self.open[fd] = Some(self.tracer.eventfd(initial)?);
            }
            Action::Dup { fd: from, copy } => {
                self.open[copy] = Some(self.tracer.dup(fd(&self.open, from)?)?);
            }
            Action::Bind { socket, place } => {
                let addr = match place {
                    Place::Unix => Addr::Unix(UnixAddr::unnamed()),
                    Place::Ip(ip) => SocketAddr::new(ip, 0).into(),
                    Place::Same(name) => self.address(name)?,
                    Place::Beside(name, ip) => {
                        let port = self.address(name)?.port().unwrap_or(0);
                        SocketAddr::new(ip, port).into()
                    }
                };
                self.tracer.bind(fd(&self.open, socket)?, &addr)?;
            }
            Action::Listen { socket, backlog } => {
                self.tracer.listen(fd(&self.open, socket)?, backlog)?;
            }
            Action::Connect { socket, to } => {
                let addr = self.target(to)?;
                self.tracer.connect(fd(&self.open, socket)?, &addr)?;
            }
            Action::Clients { listener, count } => self.connect_clients(listener, count)?,
            Action::Signalfd { fd, signals } => {
                self.open[fd] = Some(self.tracer.signalfd(signals)?);
            }
            Action::Block { signals } => {
                self.tracer.sigprocmask(signals)?;
            }
            Action::Nofile { spare } => self.limit_descriptors(spare)?,
            _ => return Ok(None),
        }
        Ok(Some(Value::Done))
    }

    /// An address, as it is written: `s0`, `s0 at 127.0.0.2`.
    fn target(&mut self, target: Target) -> Result<Addr, Stop> {
        let addr = self.address(target.name)?;
        Ok(match (target.ip, addr.port()) {
            (Some(ip), Some(port)) => Addr::V4(SocketAddrV4::new(ip, port)),
            _ => addr,
        })
    }

    /// A call on a descriptor that exists.
    pub(super) fn transfer(&mut self, action: &Action) -> Result<Value, Stop> {
        let open = &self.open;
        Ok(match action {
            Action::Send { socket, bytes } => count(self.tracer.send(fd(open, *socket)?, bytes)?),
            Action::SendTo { socket, to, bytes } => {
                let addr = self.target(*to)?;
                count(self.tracer.sendto(fd(&self.open, *socket)?, bytes, &addr)?)
            }
            Action::SendMany { socket, to, count, bytes, segment_bytes } => {
                self.send_many(*socket, *to, *count, bytes, *segment_bytes)?
            }
            Action::FillTo { socket, to } => self.fill_to(*socket, *to)?,
            Action::Write { fd: into, bytes } => count(self.tracer.write(fd(open, *into)?, bytes)?),
            Action::Recv { socket, len_max } => {
                let mut buf = buffer(*len_max);
                let len = self.tracer.recv(fd(open, *socket)?, &mut buf)?;
                buf.truncate(len);
                Value::Bytes(buf)
            }
            Action::RecvFrom { socket, len_max } => {
                let mut bytes = buffer(*len_max);
                let (len, from) = self.tracer.recvfrom(fd(open, *socket)?, &mut bytes)?;
                bytes.truncate(len);
                Value::From { bytes, name: self.name_of(&from) }
            }
            Action::RecvMany { socket, count_max } => {
                let mut batch = DatagramBatch::new((*count_max).min(BATCH_MAX), DATAGRAM_BYTES_MAX);
                count(self.tracer.recvmmsg(fd(open, *socket)?, &mut batch)?)
            }
            Action::Splice { from, into, len_max } => {
                count(self.tracer.splice(fd(open, *from)?, fd(open, *into)?, *len_max)?)
            }
            Action::Read { fd: from, len_max } => {
                let mut buf = buffer(*len_max);
                let len = self.tracer.read(fd(open, *from)?, &mut buf)?;
                buf.truncate(len);
                Value::Bytes(buf)
            }
            Action::ReadSignal { fd: from } => {
                let mut record = [0; SIGINFO_BYTES];
                let len = self.tracer.read(fd(open, *from)?, &mut record)?;
                Value::Signal(Signal::from_siginfo(&record[..len]).ok_or(Errno::EIO)?)
            }
            Action::Shutdown { socket, how } => {
                self.tracer.shutdown(fd(open, *socket)?, *how)?;
                Value::Done
            }
            action => self.query(action)?,
        })
    }

    /// A call that asks for something, or sets it.
    fn query(&mut self, action: &Action) -> Result<Value, Stop> {
        let open = &self.open;
        Ok(match action {
            Action::AcceptAll { listener } => Value::Number(self.accept_all(*listener)?),
            Action::GetPeer { socket } => {
                let addr = self.tracer.getpeername(fd(open, *socket)?)?;
                Value::Peer(self.name_of(&addr))
            }
            Action::OutQueue { socket } => count(self.tracer.ioctl_outq(fd(open, *socket)?)?),
            Action::SetPipeSize { pipe, bytes } => {
                count(self.tracer.fcntl_setpipe_sz(fd(open, *pipe)?, *bytes)?)
            }
            Action::Fastest { epoll, timeout } => self.fastest(*epoll, *timeout)?,
            Action::SetOption { socket, option } => {
                self.tracer.setsockopt(fd(open, *socket)?, *option)?;
                Value::Done
            }
            Action::GetOption { socket, name } => {
                match self.tracer.getsockopt(fd(open, *socket)?, *name)? {
                    SocketOption::Error(errno) => Value::SocketError(errno),
                    option => {
                        let [a, b, c, d, ..] = option.encode();
                        Value::Number(u32::from_ne_bytes([a, b, c, d]).into())
                    }
                }
            }
            _ => unreachable!("all other actions are performed before"),
        })
    }

    fn send_many(
        &mut self,
        socket: Name,
        to: Target,
        datagrams: usize,
        bytes: &[u8],
        segment_bytes: u16,
    ) -> Result<Value, Stop> {
        let to = self.target(to)?.encode();
        let datagrams = datagrams.min(BATCH_MAX);
        let mut batch = DatagramBatch::new(datagrams, bytes.len());
        for _ in 0..datagrams {
            batch.push(bytes, &to);
        }
        batch.set_len(datagrams).iter_mut().for_each(|meta| meta.segment_bytes = segment_bytes);
        Ok(count(self.tracer.sendmmsg(fd(&self.open, socket)?, &batch, 0)?))
    }

    /// Sends datagrams of one byte until there is no room; returns how many.
    fn fill_to(&mut self, socket: Name, to: Target) -> Result<Value, Stop> {
        let addr = self.target(to)?;
        for sent in 0..FILL_DATAGRAMS_MAX {
            let put = self.tracer.sendto(fd(&self.open, socket)?, b"f", &addr);
            self.keep_last_record();
            match put {
                Ok(_) => {}
                Err(errno) if errno.is_would_block() => return Ok(Value::Number(sent)),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Value::Number(FILL_DATAGRAMS_MAX))
    }

    /// Waits several times, and takes the shortest: the machine may be busy.
    fn fastest(&mut self, epoll: Name, timeout: Timeout) -> Result<Value, Stop> {
        let mut fastest = Duration::MAX;
        for _ in 0..FASTEST_ROUNDS {
            let mut events = [EpollEvent::default()];
            let epoll = fd(&self.open, epoll)?;
            let start = self.tracer.now();
            let count = match timeout {
                Timeout::Millis(millis) => {
                    self.tracer.epoll_wait(epoll, &mut events, Some(millis))?
                }
                Timeout::Micros(micros) => {
                    let timeout = Duration::from_micros(micros.into());
                    self.tracer.epoll_pwait2(epoll, &mut events, Some(timeout))?
                }
            };
            if count > 0 {
                return Ok(Value::Events(self.reported(events)));
            }
            fastest = fastest.min(self.tracer.now() - start);
            self.keep_last_record();
        }
        Ok(Value::Number(u64::try_from(fastest.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Sets the limit of descriptors so that `spare` more can be opened; or as it was.
    fn limit_descriptors(&mut self, spare: Option<u64>) -> Result<(), Stop> {
        let Some(spare) = spare else {
            if let Some(limit) = self.limit.take() {
                self.tracer.prlimit(Resource::Nofile, Some(limit))?;
            }
            return Ok(());
        };
        // The numbers that would be given out next.
        let kernel = &mut self.tracer.kernel;
        let (mut probes, mut last) = (Vec::new(), Ok(0));
        for _ in 0..=spare.min(SPARE_MAX) {
            match kernel.eventfd(0) {
                Ok(fd) => {
                    last = Ok(fd.number());
                    probes.push(fd);
                }
                Err(errno) => {
                    last = Err(errno);
                    break;
                }
            }
        }
        probes.into_iter().for_each(|fd| close_quietly(kernel, fd));
        let old = self.tracer.kernel.prlimit(Resource::Nofile, None)?;
        let new = Rlimit { soft: last?.into(), hard: old.hard };
        self.tracer.prlimit(Resource::Nofile, Some(new))?;
        self.limit.get_or_insert(old);
        Ok(())
    }
}

fn count(count: usize) -> Value {
    Value::Number(u64::try_from(count).unwrap_or(u64::MAX))
}

fn buffer(len_max: usize) -> Vec<u8> {
    vec![0; READ_BYTES_MAX.min(len_max)]
}
