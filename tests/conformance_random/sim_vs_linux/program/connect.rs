//! The steps of a program that involve two descriptors: connect, accept, splice; and options.
//!
//! Depends on the program's slots.

use epollite::Addr;
use epollite::kernel::SocketOption;

use super::{FdKind, Program, SLOTS};

impl Program<'_, '_> {
    /// Connects to a listener that was made (it may be closed by now), or accepts.
    pub(super) fn step_connect(&mut self) {
        let choice = self.byte();
        let is_listener = |sort| matches!(sort, FdKind::Listener | FdKind::UnixListener);
        if choice.is_multiple_of(2) {
            let Some(at) = self.pick_of(is_listener) else { return };
            let (name, sort) = (self.slots[at].name, self.slots[at].sort);
            if self.slots.len() >= SLOTS {
                return;
            }
            match self.harness.k.accept4(&self.slots[at].fd) {
                Ok((fd, _)) if sort == FdKind::Listener => self.keep(fd, FdKind::Tcp),
                Ok((fd, _)) => self.keep(fd, FdKind::Unix),
                Err(errno) => self.harness.record(format!("accept {name}: {errno:?}")),
            }
            return;
        }
        let index = usize::from(choice / 2).checked_rem(self.listeners.len());
        let Some(index) = index else { return };
        let addr = self.listeners[index];
        let wanted = if addr.port().is_some() { FdKind::Tcp } else { FdKind::Unix };
        if let Some(at) = self.pick_of(|sort| sort == wanted) {
            let connected = self.harness.k.connect(&self.slots[at].fd, &addr);
            let name = self.slots[at].name;
            self.harness.record(format!("connect {name} to listener {index}: {connected:?}"));
        }
    }

    pub(super) fn set(&mut self) {
        let choice = self.byte();
        let is_datagram = |sort| matches!(sort, FdKind::Udp | FdKind::UnixDatagram);
        if choice.is_multiple_of(2)
            && let Some(at) = self.pick_of(is_datagram)
        {
            let sort = self.slots[at].sort;
            let Some(to) = self.pick_of(|other| other == sort) else { return };
            let addr = self.harness.k.getsockname(&self.slots[to].fd).unwrap();
            let (addr, to) = match choice {
                0 => (Addr::Unspecified, 0),
                _ => (addr, self.slots[to].name),
            };
            let done = self.harness.k.connect(&self.slots[at].fd, &addr);
            self.harness.record(format!("connect {} to {to}: {done:?}", self.slots[at].name));
            return;
        }
        let Some(at) = self.pick() else { return };
        let option = match choice % 3 {
            0 => SocketOption::LingerSeconds(Some(0)),
            1 => SocketOption::RecvLowWatermark(u32::from(choice % 5)),
            _ => SocketOption::LingerSeconds(None),
        };
        let done = self.harness.k.setsockopt(&self.slots[at].fd, option);
        self.harness.record(format!("set {} {option:?}: {done:?}", self.slots[at].name));
    }

    pub(super) fn splice(&mut self) {
        let is_fine =
            |sort| matches!(sort, FdKind::Pipe | FdKind::Unix | FdKind::Tcp | FdKind::UnixDatagram);
        let Some(from) = self.pick_of(is_fine) else { return };
        let Some(into) = self.pick_of(is_fine) else { return };
        let len = usize::from(self.byte() % 12);
        self.has_spliced = true;
        let moved = self.harness.k.splice(&self.slots[from].fd, &self.slots[into].fd, len);
        let (from, into) = (self.slots[from].name, self.slots[into].name);
        self.harness.record(format!("splice {from} to {into} {len}: {moved:?}"));
    }
}
