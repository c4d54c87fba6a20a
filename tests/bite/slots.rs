//! A server without a reactor, for the one bug that the reactor leaves no room for: an event
//! names a place, and somebody else sits there by now.
//!
//! It serves so many at once; for one more, whoever came first is shown out.

use epollite::event::{EPOLLIN, EPOLLRDHUP};
use epollite::kernel::{Control, EpollEvent};
use epollite::server::{Sharing, bind_stream};
use epollite::{Addr, Fd, Kernel, Ready, Sim};

use super::world::{Done, Serves};

/// The door's place in `epoll_event.data`.
const DOOR: u64 = u64::MAX;

pub(crate) struct Slots {
    kernel: Sim,
    /// The epoll and the listener; nobody has them any more while they are closed.
    own: Option<(Fd, Fd)>,
    slots: Vec<Slot>,
    /// Whether an event's generation is compared with its slot's.
    compares: bool,
    arrivals: u64,
    stale: u64,
    done: Done,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    guest: Option<Fd>,
    arrival: u64,
}

impl Slots {
    /// A server with room for `most`, and where it listens.
    pub(crate) fn new(mut kernel: Sim, most: usize, compares: bool) -> (Self, Addr) {
        let epoll = kernel.epoll_create1().unwrap();
        let addr = "127.0.0.1:7777".parse().unwrap();
        let (door, addr) = bind_stream(&mut kernel, &addr, Sharing::Alone).unwrap();
        kernel.epoll_ctl(&epoll, Control::Add(EpollEvent::new(EPOLLIN, DOOR)), &door).unwrap();
        let slots = (0..most).map(|_| Slot::default()).collect();
        let (own, done) = (Some((epoll, door)), Done::default());
        (Self { kernel, own, slots, compares, arrivals: 0, stale: 0, done }, addr)
    }

    fn accept(&mut self) {
        let Some((_, door)) = &self.own else { return };
        let Ok((socket, _)) = self.kernel.accept4(door) else { return };
        let free = self.slots.iter().position(|slot| slot.guest.is_none());
        let at = free.unwrap_or_else(|| {
            let oldest = (0..self.slots.len()).min_by_key(|&at| self.slots[at].arrival);
            let oldest = oldest.expect("there is room for one at least");
            self.show_out(oldest);
            oldest
        });
        self.arrivals += 1;
        let slot = &mut self.slots[at];
        slot.generation += 1;
        slot.arrival = self.arrivals;
        let data = u64::from(slot.generation) << 32 | at as u64;
        let control = Control::Add(EpollEvent::new(EPOLLIN | EPOLLRDHUP, data));
        let Some((epoll, _)) = &self.own else { return };
        self.kernel.epoll_ctl(epoll, control, &socket).unwrap();
        slot.guest = Some(socket);
        self.done.accepted += 1;
    }

    fn show_out(&mut self, at: usize) {
        if let Some(guest) = self.slots[at].guest.take() {
            self.kernel.close(guest).unwrap();
            self.done.closed += 1;
        }
    }

    fn serve(&mut self, data: u64, ready: Ready) {
        let at = usize::try_from(data & u64::from(u32::MAX)).expect("a slot is a small number");
        let slot = &self.slots[at];
        let is_late = u64::from(slot.generation) != data >> 32 || slot.guest.is_none();
        self.stale += u64::from(is_late);
        let Some(guest) = &slot.guest else { return };
        if is_late && self.compares {
            return;
        }
        let mut buf = [0; 256];
        match self.kernel.recv(guest, &mut buf) {
            _ if ready.is_hup() => self.show_out(at),
            Ok(count @ 1..) => {
                // The scenes send so little that all of it fits.
                assert_eq!(self.kernel.send(guest, &buf[..count]), Ok(count));
                self.done.bytes_in += count as u64;
                self.done.bytes_out += count as u64;
            }
            Err(errno) if errno.would_block() => {}
            Ok(0) | Err(_) => self.show_out(at),
        }
    }
}

impl Serves for Slots {
    fn turn(&mut self) -> u64 {
        let mut events = [EpollEvent::default(); 16];
        let Some((epoll, _)) = &self.own else { return 0 };
        let count = self.kernel.epoll_wait(epoll, &mut events, Some(0)).unwrap();
        for event in &events[..count] {
            if event.data() == DOOR {
                self.accept();
            } else {
                self.serve(event.data(), Ready::from_bits(event.events()));
            }
        }
        count as u64
    }

    fn done(&self) -> Done {
        self.done
    }

    fn stale(&self) -> u64 {
        self.stale
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for at in 0..self.slots.len() {
            self.show_out(at);
        }
        if let Some((epoll, door)) = self.own.take() {
            self.kernel.close(epoll).unwrap();
            self.kernel.close(door).unwrap();
        }
    }
}
