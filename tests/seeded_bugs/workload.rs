//! A small simulation with the invariants of the large one: clients use a server, and every
//! invariant is checked in every iteration.
//!
//! Knows only the [`ServerUnderTest`] interface: it does not know whether a bug is seeded.

use core::time::Duration;

use epollite::kernel::{Shutdown, SocketOption, SocketType};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Fd, Kernel};

/// Waits in a row that return events without progress, before it counts as a busy loop. A correct
/// server has a few: writability that is not needed.
const FRUITLESS_MAX: u32 = 16;

/// Rounds without any activity, after which there will be none.
const SILENT_MAX: u32 = 4;

/// Far more than any scenario takes: one that never settles ends here.
const ROUNDS_MAX: u32 = 10_000;

/// Totals of a server: it makes progress when any of these grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) accepted: u64,
    pub(crate) closed: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Interest changes and expired deadlines.
    pub(crate) changes: u64,
}

/// A server, as seen by the invariants.
pub(crate) trait ServerUnderTest {
    /// Polls the kernel once, without waiting, and handles the events; returns their number,
    /// including stale ones.
    fn run_once(&mut self) -> u64;
    fn done(&self) -> Totals;
    /// Events for a connection that had been closed.
    fn stale(&self) -> u64;
}

struct Client {
    socket: Fd,
    id: usize,
    sent: usize,
    received: usize,
    has_ended: bool,
    was_ended: bool,
    broken: Option<Errno>,
}

/// The simulation and its clients.
pub(crate) struct Workload<'a> {
    pub(crate) sim: Sim,
    server: &'a mut dyn ServerUnderTest,
    addr: Addr,
    clients: Vec<Client>,
    client_count: usize,
    fruitless: u32,
}

/// The violated invariant, in a sentence.
pub(crate) type Broken = String;

/// The byte that client `id` sends at `offset`.
#[expect(clippy::cast_possible_truncation, reason = "a byte is wanted")]
const fn byte(id: usize, offset: usize) -> u8 {
    (id.wrapping_mul(151) ^ offset.wrapping_mul(31) ^ (offset >> 8).wrapping_mul(7)) as u8
}

impl<'a> Workload<'a> {
    pub(crate) const fn new(sim: Sim, server: &'a mut dyn ServerUnderTest, addr: Addr) -> Self {
        Self { sim, server, addr, clients: Vec::new(), client_count: 0, fruitless: 0 }
    }

    /// Another client connects; returns its id.
    pub(crate) fn connect_client(&mut self) -> usize {
        let socket = self.sim.socket(self.addr.family().unwrap(), SocketType::Stream).unwrap();
        assert_eq!(self.sim.connect(&socket, &self.addr), Err(Errno::EINPROGRESS));
        self.client_count += 1;
        self.clients.push(Client {
            socket,
            id: self.client_count,
            sent: 0,
            received: 0,
            has_ended: false,
            was_ended: false,
            broken: None,
        });
        self.client_count
    }

    /// Sends as many of `bytes` as there is room for.
    pub(crate) fn client_send(&mut self, id: usize, bytes: usize) {
        self.fruitless = 0;
        let at = self.at(id);
        let Self { sim, clients, .. } = self;
        let client = &mut clients[at];
        let payload: Vec<u8> = (client.sent..).take(bytes).map(|at| byte(id, at)).collect();
        match sim.send(&client.socket, &payload) {
            Ok(count) => client.sent += count,
            Err(Errno::EAGAIN) => {}
            Err(errno) => client.broken = Some(errno),
        }
    }

    /// Half-closes after its last byte.
    pub(crate) fn end(&mut self, id: usize) {
        self.fruitless = 0;
        let at = self.at(id);
        if self.sim.shutdown(&self.clients[at].socket, Shutdown::Write).is_ok() {
            self.clients[at].has_ended = true;
        }
    }

    /// Resets the connection.
    pub(crate) fn reset(&mut self, id: usize) {
        self.fruitless = 0;
        let at = self.at(id);
        let client = self.clients.remove(at);
        self.sim.setsockopt(&client.socket, SocketOption::LingerSeconds(Some(0))).unwrap();
        self.sim.close(client.socket).unwrap();
    }

    /// One iteration of the server. Returns whether there was any event.
    pub(crate) fn run_once(&mut self) -> Result<bool, Broken> {
        let before = self.server.done();
        let had_events = self.server.run_once();
        let done = self.server.done();
        if done != before {
            self.fruitless = 0;
        } else if had_events > 0 {
            self.fruitless += 1;
        }
        let stale = self.server.stale();
        // One may have been in the same batch in which its connection was closed.
        if stale > done.closed {
            return Err(format!(
                "closed connections get no events, but {stale} events came for {} closed",
                done.closed
            ));
        }
        if self.fruitless > FRUITLESS_MAX {
            return Err(format!(
                "no busy loop, but {} waits in a row returned events without any progress",
                self.fruitless
            ));
        }
        Ok(had_events > 0)
    }

    /// Iterations and reads, until nothing more happens, even when time passes.
    pub(crate) fn settle(&mut self) -> Result<(), Broken> {
        let mut silent = 0;
        for _ in 0..ROUNDS_MAX {
            let before = self.server.done();
            let had_events = self.run_once()?;
            let received = self.listen()?;
            let is_silent = !had_events && !received && before == self.server.done();
            silent = if is_silent { silent + 1 } else { 0 };
            if silent > SILENT_MAX {
                return Ok(());
            }
            if is_silent {
                self.sim.advance(Duration::from_secs(1));
            }
        }
        Err("every scenario settles, but this one did not".into())
    }

    /// All clients read what is available. Returns whether anything was.
    fn listen(&mut self) -> Result<bool, Broken> {
        let Self { sim, clients, .. } = self;
        let (mut buf, mut any) = ([0; 256], false);
        for client in clients {
            while !client.was_ended && client.broken.is_none() {
                match sim.recv(&client.socket, &mut buf) {
                    Ok(0) => client.was_ended = true,
                    Ok(count) => client.recv(&buf[..count])?,
                    Err(Errno::EAGAIN) => break,
                    Err(errno) => client.broken = Some(errno),
                }
                any = true;
            }
        }
        Ok(any)
    }

    /// All clients read their data, finish and disconnect; then the invariants are checked.
    pub(crate) fn drain_and_check(&mut self) -> Result<(), Broken> {
        self.settle()?;
        for Client { id, sent, received, was_ended, broken, has_ended, .. } in &self.clients {
            if broken.is_some() || (*was_ended && !has_ended) {
                return Err(format!("no client is disconnected, but client {id} was ({broken:?})"));
            }
            if received != sent {
                return Err(format!(
                    "no client waits forever, but client {id} got {received} of {sent} bytes"
                ));
            }
        }
        for at in 0..self.clients.len() {
            self.end(self.clients[at].id);
        }
        self.settle()?;
        for Client { id, was_ended, .. } in &self.clients {
            if !was_ended {
                return Err(format!("no client waits forever, but client {id} waits for EOF"));
            }
        }
        self.disconnect_all();
        self.settle()?;
        let Totals { accepted, closed, .. } = self.server.done();
        if accepted != closed {
            return Err(format!(
                "every connection is closed, but of {accepted} connections {closed} are closed"
            ));
        }
        Ok(())
    }

    fn disconnect_all(&mut self) {
        for client in self.clients.drain(..) {
            self.sim.close(client.socket).unwrap();
        }
    }

    fn at(&self, id: usize) -> usize {
        self.clients.iter().position(|client| client.id == id).expect("the client is connected")
    }
}

impl Client {
    fn recv(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        for &got in bytes {
            if got != byte(self.id, self.received) || self.received >= self.sent {
                return Err(format!(
                    "output is a prefix of input, but client {} received {got:#04x} at {}",
                    self.id, self.received
                ));
            }
            self.received += 1;
        }
        Ok(())
    }
}

impl Drop for Workload<'_> {
    fn drop(&mut self) {
        self.disconnect_all();
    }
}
