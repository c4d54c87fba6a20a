//! The steps of a program in which two descriptors meet: connect, accept, splice; and options.
//!
//! Knows the program's slots.

use epollite::{Addr, SocketOption};

use super::{Program, SLOTS, Sort};

impl Program<'_, '_> {
    /// Connects, to a door that was made (it may be closed by now), or accepts.
    pub(super) fn meet(&mut self) {
        let choice = self.byte();
        let is_door = |sort| matches!(sort, Sort::Listener | Sort::UnixListener);
        if choice.is_multiple_of(2) {
            let Some(at) = self.pick_of(is_door) else { return };
            let (name, sort) = (self.slots[at].name, self.slots[at].sort);
            if self.slots.len() >= SLOTS {
                return;
            }
            match self.stage.k.accept4(&self.slots[at].fd) {
                Ok((fd, _)) if sort == Sort::Listener => self.keep(fd, Sort::Tcp),
                Ok((fd, _)) => self.keep(fd, Sort::Unix),
                Err(errno) => self.stage.note(format!("accept {name}: {errno:?}")),
            }
            return;
        }
        let door = usize::from(choice / 2).checked_rem(self.doors.len());
        let Some(door) = door else { return };
        let addr = self.doors[door];
        let wanted = if addr.port().is_some() { Sort::Tcp } else { Sort::Unix };
        if let Some(at) = self.pick_of(|sort| sort == wanted) {
            let connected = self.stage.k.connect(&self.slots[at].fd, &addr);
            let name = self.slots[at].name;
            self.stage.note(format!("connect {name} to door {door}: {connected:?}"));
        }
    }

    pub(super) fn set(&mut self) {
        let choice = self.byte();
        let is_datagram = |sort| matches!(sort, Sort::Udp | Sort::UnixDatagram);
        if choice.is_multiple_of(2)
            && let Some(at) = self.pick_of(is_datagram)
        {
            let sort = self.slots[at].sort;
            let Some(to) = self.pick_of(|other| other == sort) else { return };
            let addr = self.stage.k.getsockname(&self.slots[to].fd).unwrap();
            let (addr, to) = match choice {
                0 => (Addr::Unspec, 0),
                _ => (addr, self.slots[to].name),
            };
            let done = self.stage.k.connect(&self.slots[at].fd, &addr);
            self.stage.note(format!("connect {} to {to}: {done:?}", self.slots[at].name));
            return;
        }
        let Some(at) = self.pick() else { return };
        let option = match choice % 3 {
            0 => SocketOption::LingerSeconds(Some(0)),
            1 => SocketOption::ReceiveLowBytes(u32::from(choice % 5)),
            _ => SocketOption::LingerSeconds(None),
        };
        let done = self.stage.k.setsockopt(&self.slots[at].fd, option);
        self.stage.note(format!("set {} {option:?}: {done:?}", self.slots[at].name));
    }

    pub(super) fn splice(&mut self) {
        let is_fine =
            |sort| matches!(sort, Sort::Pipe | Sort::Unix | Sort::Tcp | Sort::UnixDatagram);
        let Some(from) = self.pick_of(is_fine) else { return };
        let Some(into) = self.pick_of(is_fine) else { return };
        let len = usize::from(self.byte() % 12);
        self.has_spliced = true;
        let moved = self.stage.k.splice(&self.slots[from].fd, &self.slots[into].fd, len);
        let (from, into) = (self.slots[from].name, self.slots[into].name);
        self.stage.note(format!("splice {from} to {into} {len}: {moved:?}"));
    }
}
