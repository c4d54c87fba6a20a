//! Living a day, decision by decision.

use std::time::Duration;

use epollite::SocketOption;
use epollite::kernel::{Limit, Resource};
use epollite::server::stream::{Config, Left, Note, Server, Stats, Turn};
use epollite::server::{Sharing, bind_stream};
use epollite::sim::{Chance, Config as World, Sim};
use epollite::{Addr, Counted, Errno, Faults, Faulty, Fd, Instant, Kernel, Kind, Shut};

use super::weather::{Broken, Dice, Report, Weather};

type Served = Counted<Faulty<Sim>>;

/// One client, and what it knows of its connection.
pub(super) struct Client {
    pub(super) socket: Fd,
    /// Which client of the day: its bytes are its own.
    pub(super) id: u64,
    pub(super) said: u64,
    pub(super) heard: u64,
    /// Whether it has said its last byte.
    pub(super) has_ended: bool,
    /// Whether it reads.
    pub(super) listens: bool,
    /// Whether it has heard the server's end.
    pub(super) was_ended: bool,
    /// How the connection broke, if it did.
    pub(super) broken: Option<Errno>,
    /// When it came, and when it said what: how many bytes by then.
    spoke: Vec<(u64, Instant)>,
    /// Since when there may be bytes for it that it has not read, and the longest such time.
    behind: Option<Instant>,
    longest_behind: Duration,
}

/// The byte that client `id` says at `offset`: alike neither between clients nor along one.
#[expect(clippy::cast_possible_truncation, reason = "a byte is wanted")]
const fn byte(id: u64, offset: u64) -> u8 {
    (id.wrapping_mul(151) ^ offset.wrapping_mul(31) ^ (offset >> 8).wrapping_mul(7)) as u8
}

/// Rounds without any progress after which somebody waits in vain. One is enough in a world
/// without chance; an interruption may cost a few.
pub(super) const FRUITLESS_MAX: u32 = 16;

/// A day that is being lived.
pub(super) struct Day<'a> {
    pub(super) weather: &'a Weather,
    pub(super) sim: Sim,
    pub(super) server: Server<Served>,
    pub(super) addr: Addr,
    pub(super) clients: Vec<Client>,
    pub(super) born: u64,
    pub(super) step: u64,
    /// Why the server last gave a connection up.
    pub(super) gave_up: Option<Errno>,
}

/// Lives a day of at most `steps_max` steps, and its evening: everybody says what he had to
/// say, hears what he is owed, and goes home.
///
/// # Errors
/// The first law that does not hold.
///
/// # Panics
/// The simulated kernel found a descriptor leaked, closed twice or used after its close.
pub(crate) fn live(
    weather: &Weather,
    dice: &mut impl Dice,
    chance: Chance,
    steps_max: u64,
) -> Result<Report, Broken> {
    let Some(mut day) = Day::dawn(weather, chance) else {
        // A fault met the server before it had a door: it must only have left nothing open.
        return Ok(Report { steps: 0, stats: Stats::default(), calls: 0, faults: 1 });
    };
    let lived = day.live(dice, steps_max);
    // Who is still here when a law breaks goes home all the same: that is no leak.
    while !day.clients.is_empty() {
        day.leave(0, false);
    }
    lived
}

impl<'a> Day<'a> {
    fn dawn(weather: &'a Weather, chance: Chance) -> Option<Self> {
        let world = World {
            receive_buffer_bytes: weather.socket_bytes,
            send_buffer_bytes: weather.socket_bytes,
            descriptors_max: 100_000,
            chance,
            odds: weather.odds,
            ..World::default()
        };
        let sim = Sim::new(world);
        let mut process = sim.process();
        let most = u64::from(weather.descriptors_max);
        let limit = Limit { soft: most, hard: most };
        process.prlimit(Resource::OpenFiles, Some(limit)).ok()?;
        let never = Faults::once(u64::MAX, Errno::EIO);
        let kernel = Counted::over(Faulty::over(process, weather.faults.unwrap_or(never)));
        let config = Config {
            trigger: weather.trigger,
            connections_max: weather.connections_max,
            buffer_bytes: weather.buffer_bytes,
            budget_bytes: weather.budget_bytes,
            accepts_max: 4,
            events_max: weather.events_max,
            idle: weather.idle,
            tell: true,
            ..Config::default()
        };
        let mut server = Server::new(kernel, config).ok()?;
        let wanted = if weather.local { "unix:@day" } else { "127.0.0.1:7777" };
        let wanted: Addr = wanted.parse().expect("an address of ours is one");
        let (door, addr) = bind_stream(server.kernel(), &wanted, Sharing::Alone).ok()?;
        server.open(door).ok()?;
        Some(Self {
            weather,
            sim,
            server,
            addr,
            clients: Vec::new(),
            born: 0,
            step: 0,
            gave_up: None,
        })
    }

    fn live(&mut self, dice: &mut impl Dice, steps_max: u64) -> Result<Report, Broken> {
        while self.step < steps_max && self.live_a_moment(dice)?.is_some() {
            self.step += 1;
        }
        self.evening()
    }

    pub(super) fn broken(&self, law: impl Into<String>) -> Broken {
        Broken { law: law.into(), step: self.step }
    }

    /// One decision; `None` when there are no more.
    fn live_a_moment(&mut self, dice: &mut impl Dice) -> Result<Option<()>, Broken> {
        let Some(what) = dice.pick(32) else { return Ok(None) };
        if what < 10 {
            self.turn()?;
            return Ok(Some(()));
        }
        if what < 14 && self.clients.len() < self.weather.clients_max {
            self.arrive();
            return Ok(Some(()));
        }
        if self.clients.is_empty() {
            return Ok(Some(()));
        }
        let (Some(who), Some(much)) = (dice.pick(self.clients.len()), dice.pick(200)) else {
            return Ok(None);
        };
        match what {
            10..=19 => self.say(who, much + 1),
            20..=26 => self.hear(who, much + 1)?,
            27 => self.end(who),
            28 => self.leave(who, true),
            29 => self.leave(who, false),
            30 => self.clients[who].listens ^= true,
            // The server's process stands still for as long as it lets others be silent.
            _ if much > 180 => self.sim.advance(self.weather.idle.unwrap_or_default()),
            _ => self.sim.advance(Duration::from_millis(much as u64)),
        }
        Ok(Some(()))
    }

    /// The server has its turn; it asks, and does not wait.
    pub(super) fn turn(&mut self) -> Result<Turn, Broken> {
        let now = self.server.kernel().now();
        let before = self.server.kernel().tap.total();
        let turn = self.server.turn(Some(now)).map_err(|errno| {
            self.broken(format!("no errno ends the server, but epoll_wait's {errno} did"))
        })?;
        while let Some(note) = self.server.note() {
            if let Note::Left { why: Left::Failed(errno), .. } = note {
                self.gave_up = Some(errno);
            }
        }
        for client in self.clients.iter_mut().filter(|client| client.heard < client.said) {
            client.behind.get_or_insert(now);
        }
        let calls = self.server.kernel().tap.total() - before;
        let connections = u64::from(self.server.connections()) + self.weather.clients_max as u64;
        // A wait that is interrupted for ever, a recv and a send for each byte of the budget,
        // and a dozen calls around.
        let bound = 1_100 + connections * (2 * self.weather.budget_bytes as u64 + 12);
        if calls > bound {
            return Err(self.broken(format!("a turn is bounded, but one made {calls} calls")));
        }
        self.check_memory()?;
        Ok(turn)
    }

    /// What came in and has not gone out is owed, or given up with its connection; open
    /// connections owe at most a buffer each.
    fn check_memory(&mut self) -> Result<(), Broken> {
        let owed = self.server.owed_bytes();
        let bound = u64::from(self.server.connections()) * self.weather.buffer_bytes as u64;
        if owed > bound {
            return Err(self.broken(format!("memory is bounded, but {owed} bytes are owed")));
        }
        Ok(())
    }

    pub(super) fn arrive(&mut self) {
        let family = self.addr.family().expect("it was bound to it");
        let Ok(socket) = self.sim.socket(family, Kind::Stream) else { return };
        match self.sim.connect(&socket, &self.addr) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            // Nobody is at home, or the queue is full: another time.
            Err(_) => {
                let _ = self.sim.close(socket);
                return;
            }
        }
        self.born += 1;
        let now = self.sim.now();
        self.clients.push(Client {
            socket,
            id: self.born,
            said: 0,
            heard: 0,
            has_ended: false,
            listens: true,
            was_ended: false,
            broken: None,
            spoke: vec![(0, now)],
            behind: None,
            longest_behind: Duration::ZERO,
        });
    }

    pub(super) fn say(&mut self, who: usize, bytes: usize) {
        let client = &mut self.clients[who];
        if client.has_ended || client.broken.is_some() {
            return;
        }
        let now = self.sim.now();
        let words: Vec<u8> =
            (client.said..).take(bytes).map(|offset| byte(client.id, offset)).collect();
        match self.sim.send(&client.socket, &words) {
            Ok(count) => {
                client.said += count as u64;
                client.spoke.push((client.said, now));
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOTCONN) => {}
            Err(errno) => client.broken = Some(errno),
        }
    }

    fn hear(&mut self, who: usize, bytes: usize) -> Result<(), Broken> {
        if self.clients[who].listens {
            self.listen(who, bytes)?;
        }
        Ok(())
    }

    /// Returns whether anything came.
    pub(super) fn listen(&mut self, who: usize, bytes: usize) -> Result<bool, Broken> {
        let client = &mut self.clients[who];
        if client.was_ended || client.broken.is_some() {
            return Ok(false);
        }
        let mut buf = vec![0; bytes];
        let count = match self.sim.recv(&client.socket, &mut buf) {
            Ok(0) => {
                client.was_ended = true;
                let now = self.sim.now();
                self.check_silence(&self.clients[who], now)?;
                return Ok(true);
            }
            Ok(count) => count,
            Err(Errno::EAGAIN) => {
                client.behind = None;
                return Ok(false);
            }
            Err(Errno::EINTR) => return Ok(false),
            // Not yet connected; who has ended was.
            Err(Errno::ENOTCONN) if !client.has_ended => return Ok(false),
            Err(errno) => {
                client.broken = Some(errno);
                return Ok(true);
            }
        };
        let (id, said, heard) = (client.id, client.said, client.heard);
        for (&got, offset) in buf[..count].iter().zip(heard..) {
            if got != byte(id, offset) || offset >= said {
                return Err(self.broken(format!(
                    "output is a prefix of input, but client {id} said {said} bytes and heard \
                     {got:#04x} at {offset}"
                )));
            }
        }
        let now = self.sim.now();
        let client = &mut self.clients[who];
        client.heard += count as u64;
        if let Some(since) = client.behind {
            client.longest_behind = client.longest_behind.max(now - since);
        }
        client.behind = client.behind.map(|_| now);
        Ok(true)
    }

    /// A client that was ended, for its silence if at all: what it had said while it was not silent
    /// came back. (What it says when it has been asked to leave does not; nor does anything that
    /// it leaves unread for as long as the server takes to see that nobody reads.)
    fn check_silence(&self, client: &Client, now: Instant) -> Result<(), Broken> {
        let Some(idle) = self.weather.idle else { return Ok(()) };
        // A call that fails, and a connection that the kernel aborts, end one for other reasons.
        let aborted = self.server.stats().aborted > 0 && client.heard == 0;
        if self.weather.faults.is_some() || aborted {
            return Ok(());
        }
        let lost = client.spoke.iter().position(|&(said, _)| said > client.heard);
        let Some(at) = lost.filter(|_| client.was_ended && client.broken.is_none()) else {
            return Ok(());
        };
        let silence = client.spoke[at].1 - client.spoke[at - 1].1;
        let behind = client.behind.map_or(Duration::ZERO, |since| now - since);
        let reads = client.longest_behind.max(behind) < idle / 4;
        if reads && silence < idle {
            return Err(self.broken(format!(
                "what arrives before a deadline is served before it, but client {} said {} bytes \
                 after {silence:?} of silence, heard {} of {} back and was told the end (idle time \
                 {idle:?})",
                client.id,
                client.spoke[at].0 - client.spoke[at - 1].0,
                client.heard,
                client.said
            )));
        }
        Ok(())
    }

    pub(super) fn end(&mut self, who: usize) {
        let client = &mut self.clients[who];
        // To shut a socket that is still connecting is to give the connection up.
        let is_connected = self.sim.getpeername(&client.socket).is_ok();
        if is_connected && self.sim.shutdown(&client.socket, Shut::Write).is_ok() {
            client.has_ended = true;
        }
    }

    pub(super) fn leave(&mut self, who: usize, in_anger: bool) {
        let client = self.clients.swap_remove(who);
        if in_anger {
            let _ = self.sim.setsockopt(&client.socket, SocketOption::LingerSeconds(Some(0)));
        }
        let _ = self.sim.close(client.socket);
    }
}
