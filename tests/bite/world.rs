//! A small simulated world with the laws of the large one: clients talk to a server, and every
//! law is checked at every turn.
//!
//! Knows of the server only what [`Serves`] says: whether it is healthy is not for it to know.

use core::time::Duration;

use epollite::{Addr, Errno, Fd, Kernel, Kind, Shut, Sim, SocketOption};

/// Waits that may bring events after which nothing is done, before it counts as spinning. A
/// healthy server has a few: room to write that nobody needs.
const FRUITLESS_MAX: u32 = 16;

/// Rounds in which nothing happens at all, after which nothing will.
const SILENT_MAX: u32 = 4;

/// Far more than any scene takes: one that never settles ends here.
const ROUNDS_MAX: u32 = 10_000;

/// What a server has done: it makes progress when any of these grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Done {
    pub(crate) accepted: u64,
    pub(crate) closed: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Registrations changed and deadlines obeyed.
    pub(crate) changes: u64,
}

/// A server, as far as the laws look.
pub(crate) trait Serves {
    /// Asks the kernel once, without waiting, and serves what it says; returns how many events
    /// that was, those for nobody included.
    fn turn(&mut self) -> u64;
    fn done(&self) -> Done;
    /// Events that came for a connection that had ended.
    fn stale(&self) -> u64;
}

struct Client {
    socket: Fd,
    id: usize,
    said: usize,
    heard: usize,
    has_ended: bool,
    was_ended: bool,
    broken: Option<Errno>,
}

/// The world and who is in it.
pub(crate) struct World<'a> {
    pub(crate) sim: Sim,
    server: &'a mut dyn Serves,
    addr: Addr,
    clients: Vec<Client>,
    born: usize,
    fruitless: u32,
}

/// The law that does not hold, in a sentence.
pub(crate) type Broken = String;

/// The byte that client `id` says at `offset`.
#[expect(clippy::cast_possible_truncation, reason = "a byte is wanted")]
const fn byte(id: usize, offset: usize) -> u8 {
    (id.wrapping_mul(151) ^ offset.wrapping_mul(31) ^ (offset >> 8).wrapping_mul(7)) as u8
}

impl<'a> World<'a> {
    pub(crate) const fn new(sim: Sim, server: &'a mut dyn Serves, addr: Addr) -> Self {
        Self { sim, server, addr, clients: Vec::new(), born: 0, fruitless: 0 }
    }

    /// Another client connects; returns who it is.
    pub(crate) fn arrive(&mut self) -> usize {
        let socket = self.sim.socket(self.addr.family().unwrap(), Kind::Stream).unwrap();
        assert_eq!(self.sim.connect(&socket, &self.addr), Err(Errno::EINPROGRESS));
        self.born += 1;
        self.clients.push(Client {
            socket,
            id: self.born,
            said: 0,
            heard: 0,
            has_ended: false,
            was_ended: false,
            broken: None,
        });
        self.born
    }

    /// As many of `bytes` as there is room for.
    pub(crate) fn say(&mut self, id: usize, bytes: usize) {
        self.fruitless = 0;
        let at = self.at(id);
        let Self { sim, clients, .. } = self;
        let client = &mut clients[at];
        let words: Vec<u8> = (client.said..).take(bytes).map(|at| byte(id, at)).collect();
        match sim.send(&client.socket, &words) {
            Ok(count) => client.said += count,
            Err(Errno::EAGAIN) => {}
            Err(errno) => client.broken = Some(errno),
        }
    }

    /// It has said its last byte.
    pub(crate) fn end(&mut self, id: usize) {
        self.fruitless = 0;
        let at = self.at(id);
        if self.sim.shutdown(&self.clients[at].socket, Shut::Write).is_ok() {
            self.clients[at].has_ended = true;
        }
    }

    /// It breaks the connection.
    pub(crate) fn reset(&mut self, id: usize) {
        self.fruitless = 0;
        let at = self.at(id);
        let client = self.clients.remove(at);
        self.sim.setsockopt(&client.socket, SocketOption::LingerSeconds(Some(0))).unwrap();
        self.sim.close(client.socket).unwrap();
    }

    /// The server has its turn. Returns whether any event came.
    pub(crate) fn turn(&mut self) -> Result<bool, Broken> {
        let before = self.server.done();
        let came = self.server.turn();
        let done = self.server.done();
        if done != before {
            self.fruitless = 0;
        } else if came > 0 {
            self.fruitless += 1;
        }
        let stale = self.server.stale();
        // One may have lain in the very batch in which its connection ended.
        if stale > done.closed {
            return Err(format!(
                "who is closed haunts nobody, but {stale} events came for {} closed",
                done.closed
            ));
        }
        if self.fruitless > FRUITLESS_MAX {
            return Err(format!(
                "nobody spins, but {} waits in a row brought events and nothing was done",
                self.fruitless
            ));
        }
        Ok(came > 0)
    }

    /// Turns and listening, until nothing happens any more, not even when time passes.
    pub(crate) fn settle(&mut self) -> Result<(), Broken> {
        let mut silent = 0;
        for _ in 0..ROUNDS_MAX {
            let before = self.server.done();
            let came = self.turn()?;
            let heard = self.listen()?;
            let is_silent = !came && !heard && before == self.server.done();
            silent = if is_silent { silent + 1 } else { 0 };
            if silent > SILENT_MAX {
                return Ok(());
            }
            if is_silent {
                self.sim.advance(Duration::from_secs(1));
            }
        }
        Err("every scene settles, but this one did not".into())
    }

    /// Everybody reads what is there. Returns whether anything was.
    fn listen(&mut self) -> Result<bool, Broken> {
        let Self { sim, clients, .. } = self;
        let (mut buf, mut any) = ([0; 256], false);
        for client in clients {
            while !client.was_ended && client.broken.is_none() {
                match sim.recv(&client.socket, &mut buf) {
                    Ok(0) => client.was_ended = true,
                    Ok(count) => client.hear(&buf[..count])?,
                    Err(Errno::EAGAIN) => break,
                    Err(errno) => client.broken = Some(errno),
                }
                any = true;
            }
        }
        Ok(any)
    }

    /// Everybody ends, hears what he is owed, and goes home.
    pub(crate) fn evening(&mut self) -> Result<(), Broken> {
        self.settle()?;
        for Client { id, said, heard, was_ended, broken, has_ended, .. } in &self.clients {
            if broken.is_some() || (*was_ended && !has_ended) {
                return Err(format!("nobody is thrown out, but client {id} was ({broken:?})"));
            }
            if heard != said {
                return Err(format!(
                    "nobody waits for ever, but client {id} said {said} and heard {heard} bytes"
                ));
            }
        }
        for at in 0..self.clients.len() {
            self.end(self.clients[at].id);
        }
        self.settle()?;
        for Client { id, was_ended, .. } in &self.clients {
            if !was_ended {
                return Err(format!("nobody waits for ever, but client {id} does for its end"));
            }
        }
        self.go_home();
        self.settle()?;
        let Done { accepted, closed, .. } = self.server.done();
        if accepted != closed {
            return Err(format!(
                "who left is forgotten, but of {accepted} connections {closed} are closed"
            ));
        }
        Ok(())
    }

    fn go_home(&mut self) {
        for client in self.clients.drain(..) {
            self.sim.close(client.socket).unwrap();
        }
    }

    fn at(&self, id: usize) -> usize {
        self.clients.iter().position(|client| client.id == id).expect("it has arrived")
    }
}

impl Client {
    fn hear(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        for &got in bytes {
            if got != byte(self.id, self.heard) || self.heard >= self.said {
                return Err(format!(
                    "output is a prefix of input, but client {} heard {got:#04x} at {}",
                    self.id, self.heard
                ));
            }
            self.heard += 1;
        }
        Ok(())
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        self.go_home();
    }
}
