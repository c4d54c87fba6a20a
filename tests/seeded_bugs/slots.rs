//! A server without a reactor, for the one bug that the reactor prevents: an event refers to a slot
//! that has been reused by another connection.
//!
//! Each connection has two registrations, one to read and one to write (of a duplicate, since a
//! descriptor is registered only once). One batch may therefore hold an event of a connection that
//! has been closed in this batch.

use epollite::event::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP};
use epollite::kernel::{EpollEvent, EpollOp};
use epollite::server::stream::{Outcome, StreamStats};
use epollite::{Errno, Fd, Instant, Kernel};

use crate::scenario::config::ScenarioConfig;
use crate::scenario::server::{KernelUnderTest, ServerUnderTest};

/// The listener's `epoll_event.data`.
const LISTENER: u64 = u64::MAX;

pub(crate) struct Slots {
    kernel: KernelUnderTest,
    /// The epoll and the listener.
    own: Vec<Fd>,
    slots: Vec<Slot>,
    buffer_bytes: usize,
    /// Whether an event's generation is compared with its slot's.
    compares: bool,
    is_draining: bool,
    stats: StreamStats,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    /// The connection and its duplicate.
    socket: Option<(Fd, Fd)>,
    unsent: Vec<u8>,
    got_eof: bool,
}

impl Slots {
    pub(crate) fn new(
        mut kernel: KernelUnderTest,
        config: &ScenarioConfig,
        compares: bool,
    ) -> Result<Self, Errno> {
        let own = vec![kernel.epoll_create1()?];
        let (buffer_bytes, stats) = (config.buffer_bytes, StreamStats::default());
        let slots = Vec::new();
        Ok(Self { kernel, own, slots, buffer_bytes, compares, is_draining: false, stats })
    }

    fn accept(&mut self) -> Result<(), Errno> {
        let (socket, _) = self.kernel.accept4(&self.own[1])?;
        let free = self.slots.iter().position(|slot| slot.socket.is_none());
        let at = free.unwrap_or(self.slots.len());
        if free.is_none() {
            self.slots.push(Slot::default());
        }
        let slot = &mut self.slots[at];
        *slot = Slot { generation: slot.generation + 1, ..Slot::default() };
        let data = u64::from(slot.generation) << 32 | at as u64;
        let writer = self.kernel.dup(&socket)?;
        for (fd, events) in [(&socket, EPOLLIN | EPOLLRDHUP), (&writer, EPOLLOUT)] {
            let op = EpollOp::Add(EpollEvent::new(events | EPOLLET, data));
            self.kernel.epoll_ctl(&self.own[0], op, fd)?;
        }
        slot.socket = Some((socket, writer));
        self.stats.accepted += 1;
        Ok(())
    }

    fn close(&mut self, at: usize) {
        if let Some((socket, writer)) = self.slots[at].socket.take() {
            self.kernel.close(socket).unwrap();
            self.kernel.close(writer).unwrap();
            self.slots[at].unsent.clear();
            self.stats.closed += 1;
        }
    }

    fn serve(&mut self, data: u64, events: u32) {
        let at = usize::try_from(data & u64::from(u32::MAX)).expect("a slot is a small number");
        let slot = &self.slots[at];
        if u64::from(slot.generation) != data >> 32 || slot.socket.is_none() {
            self.stats.events_stale += 1;
            if self.compares {
                return;
            }
        }
        let is_broken = events & (EPOLLERR | EPOLLHUP) != 0;
        if is_broken || self.echo(at).is_err_and(|errno| !errno.is_would_block()) {
            self.close(at);
        }
    }

    /// Echoes until a call would block, or to the end: `EPIPE`.
    fn echo(&mut self, at: usize) -> Result<(), Errno> {
        let Self { kernel, slots, stats, buffer_bytes, .. } = self;
        let Slot { socket: Some((socket, writer)), unsent, got_eof, .. } = &mut slots[at] else {
            return Ok(());
        };
        loop {
            while !unsent.is_empty() {
                let count = retry(|| kernel.send(writer, unsent))?;
                unsent.drain(..count);
                stats.bytes_out += count as u64;
            }
            if *got_eof {
                return Err(Errno::EPIPE);
            }
            unsent.resize(*buffer_bytes, 0);
            let received = retry(|| kernel.recv(socket, unsent));
            unsent.truncate(received.unwrap_or(0));
            stats.bytes_in += received? as u64;
            *got_eof = unsent.is_empty();
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

impl ServerUnderTest for Slots {
    fn add_listener(&mut self, listener: Fd) -> Result<(), Errno> {
        let op = EpollOp::Add(EpollEvent::new(EPOLLIN, LISTENER));
        self.kernel.epoll_ctl(&self.own[0], op, &listener)?;
        self.own.push(listener);
        Ok(())
    }

    fn run_once(&mut self, _: Instant) -> Result<Outcome, Errno> {
        if self.is_draining && self.connections() == 0 {
            return Ok(Outcome::Drained);
        }
        let mut events = [EpollEvent::default(); 16];
        let count = self.kernel.epoll_wait(&self.own[0], &mut events, Some(0))?;
        for event in &events[..count] {
            if event.data() != LISTENER {
                self.serve(event.data(), event.events());
            } else if self.accept() == Err(Errno::ECONNABORTED) {
                self.stats.aborted += 1;
            }
        }
        Ok(if count == 0 { Outcome::TimedOut } else { Outcome::Handled })
    }

    fn begin_shutdown(&mut self) {
        self.is_draining = true;
    }

    fn kernel(&mut self) -> &mut KernelUnderTest {
        &mut self.kernel
    }

    fn stats(&self) -> StreamStats {
        self.stats
    }

    fn buffered_bytes(&mut self) -> u64 {
        self.slots.iter().map(|slot| slot.unsent.len() as u64).sum()
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for at in 0..self.slots.len() {
            self.close(at);
        }
        for fd in self.own.drain(..) {
            self.kernel.close(fd).unwrap();
        }
    }
}
