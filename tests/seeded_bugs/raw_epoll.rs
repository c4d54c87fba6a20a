//! A server without a reactor, for the one bug that the reactor prevents: an event refers to a slot
//! that has been reused by another connection.
//!
//! It serves a fixed number of connections; for one more, the oldest is closed.

use epollite::event::Ready;
use epollite::event::{EPOLLIN, EPOLLRDHUP};
use epollite::kernel::{EpollEvent, EpollOp};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::Sim;
use epollite::{Addr, Fd, Kernel};

use super::workload::{ServerUnderTest, Totals};

/// The listener's `epoll_event.data`.
const LISTENER: u64 = u64::MAX;

pub(crate) struct Slots {
    kernel: Sim,
    /// The epoll and the listener; none during drop.
    own: Option<(Fd, Fd)>,
    slots: Vec<Slot>,
    /// Whether an event's generation is compared with its slot's.
    compares: bool,
    arrivals: u64,
    stale: u64,
    done: Totals,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    client: Option<Fd>,
    arrival: u64,
}

impl Slots {
    /// A server with `most` slots, and its address.
    pub(crate) fn new(mut kernel: Sim, most: usize, compares: bool) -> (Self, Addr) {
        let epoll = kernel.epoll_create1().unwrap();
        let addr = "127.0.0.1:7777".parse().unwrap();
        let (listener, addr) = bind_stream(&mut kernel, &addr, PortSharing::Exclusive).unwrap();
        kernel
            .epoll_ctl(&epoll, EpollOp::Add(EpollEvent::new(EPOLLIN, LISTENER)), &listener)
            .unwrap();
        let slots = (0..most).map(|_| Slot::default()).collect();
        let (own, done) = (Some((epoll, listener)), Totals::default());
        (Self { kernel, own, slots, compares, arrivals: 0, stale: 0, done }, addr)
    }

    fn accept(&mut self) {
        let Some((_, listener)) = &self.own else { return };
        let Ok((socket, _)) = self.kernel.accept4(listener) else { return };
        let free = self.slots.iter().position(|slot| slot.client.is_none());
        let at = free.unwrap_or_else(|| {
            let oldest = (0..self.slots.len()).min_by_key(|&at| self.slots[at].arrival);
            let oldest = oldest.expect("there is at least one slot");
            self.close(oldest);
            oldest
        });
        self.arrivals += 1;
        let slot = &mut self.slots[at];
        slot.generation += 1;
        slot.arrival = self.arrivals;
        let data = u64::from(slot.generation) << 32 | at as u64;
        let control = EpollOp::Add(EpollEvent::new(EPOLLIN | EPOLLRDHUP, data));
        let Some((epoll, _)) = &self.own else { return };
        self.kernel.epoll_ctl(epoll, control, &socket).unwrap();
        slot.client = Some(socket);
        self.done.accepted += 1;
    }

    fn close(&mut self, at: usize) {
        if let Some(client) = self.slots[at].client.take() {
            self.kernel.close(client).unwrap();
            self.done.closed += 1;
        }
    }

    fn serve(&mut self, data: u64, ready: Ready) {
        let at = usize::try_from(data & u64::from(u32::MAX)).expect("a slot is a small number");
        let slot = &self.slots[at];
        let is_late = u64::from(slot.generation) != data >> 32 || slot.client.is_none();
        self.stale += u64::from(is_late);
        let Some(client) = &slot.client else { return };
        if is_late && self.compares {
            return;
        }
        let mut buf = [0; 256];
        match self.kernel.recv(client, &mut buf) {
            _ if ready.is_hup() => self.close(at),
            Ok(count @ 1..) => {
                // The scenarios send so little that all of it fits.
                assert_eq!(self.kernel.send(client, &buf[..count]), Ok(count));
                self.done.bytes_in += count as u64;
                self.done.bytes_out += count as u64;
            }
            Err(errno) if errno.is_would_block() => {}
            Ok(0) | Err(_) => self.close(at),
        }
    }
}

impl ServerUnderTest for Slots {
    fn run_once(&mut self) -> u64 {
        let mut events = [EpollEvent::default(); 16];
        let Some((epoll, _)) = &self.own else { return 0 };
        let count = self.kernel.epoll_wait(epoll, &mut events, Some(0)).unwrap();
        for event in &events[..count] {
            if event.data() == LISTENER {
                self.accept();
            } else {
                self.serve(event.data(), Ready::from_bits(event.events()));
            }
        }
        count as u64
    }

    fn done(&self) -> Totals {
        self.done
    }

    fn stale(&self) -> u64 {
        self.stale
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for at in 0..self.slots.len() {
            self.close(at);
        }
        if let Some((epoll, listener)) = self.own.take() {
            self.kernel.close(epoll).unwrap();
            self.kernel.close(listener).unwrap();
        }
    }
}
