//! A simulated day of the stream server: clients come, talk, fall silent, half-close, vanish
//! and come back, the kernel does what a kernel may do, and the laws are checked at each step.
//!
//! Knows the library's public face only: the tests and the fuzzer use this very file, with
//! plans of their own.

use std::fmt;
use std::time::Duration;

use epollite::kernel::{Limit, Resource};
use epollite::server::stream::{Config, Left, Note, Server, Stats, Turn};
use epollite::server::{Sharing, bind_stream};
use epollite::sim::{Chance, Config as World, Odds, Sim};
use epollite::{
    Addr, Call, Counted, Errno, Faults, Faulty, Fd, Kernel, Kind, Shut, SocketOption, Trigger,
};

/// What kind of day it is.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// How the server watches.
    pub(crate) trigger: Trigger,
    /// Whether clients come over Unix sockets instead of TCP.
    pub(crate) local: bool,
    /// Clients at once.
    pub(crate) clients_max: usize,
    /// Connections the server takes at once.
    pub(crate) connections_max: u32,
    /// Descriptors the server may have.
    pub(crate) descriptors_max: u32,
    /// The server's buffer, and so the bound of what one connection makes it hold.
    pub(crate) buffer_bytes: usize,
    /// What one connection may read in one turn.
    pub(crate) budget_bytes: usize,
    /// Room in each direction of a connection.
    pub(crate) socket_bytes: usize,
    /// How often the kernel does what it may.
    pub(crate) odds: Odds,
    /// Which of the server's calls fails.
    pub(crate) faults: Option<Faults>,
}

impl Weather {
    /// Draws a day's weather, before anything else; `trigger` when it is wished for. With
    /// `has_faults`, one kind of call fails, once or for ever.
    pub(crate) fn draw(dice: &mut impl Dice, trigger: Option<Trigger>, has_faults: bool) -> Self {
        let mut pick = |end| dice.pick(end).unwrap_or(0);
        let triggers = [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
        let drawn = triggers[pick(triggers.len())];
        let faults = has_faults.then(|| {
            let call = Call::ALL[pick(Call::ALL.len())];
            let errnos = Faults::of(call);
            let errno = errnos.get(pick(errnos.len().max(1))).copied().unwrap_or(Errno::EINTR);
            let at = pick(2_000) as u64;
            let lasts = pick(4) == 0;
            let faults = if lasts { Faults::for_ever(at, errno) } else { Faults::once(at, errno) };
            faults.only(call)
        });
        Self {
            trigger: trigger.unwrap_or(drawn),
            local: pick(2) == 0,
            clients_max: 1 + pick(200),
            connections_max: 1 + u32::try_from(pick(200)).unwrap_or(0),
            descriptors_max: 8 + u32::try_from(pick(200)).unwrap_or(0),
            buffer_bytes: 1 + pick(2_000),
            budget_bytes: 1 + pick(2_000),
            socket_bytes: 256 + pick(4_000),
            odds: if pick(2) == 0 { Odds::SOME } else { Odds::default() },
            faults,
        }
    }
}

/// Where a day's decisions come from.
pub(crate) trait Dice {
    /// A number under `end`, which is not 0; `None` when there are no more decisions.
    fn pick(&mut self, end: usize) -> Option<usize>;
}

/// A law that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Broken {
    /// Which, in a sentence.
    pub(crate) law: String,
    /// After how many steps.
    pub(crate) step: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law broken at step {}: {}", self.step, self.law)
    }
}

/// What a day came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    /// Decisions taken.
    pub(crate) steps: u64,
    /// What the server counted.
    pub(crate) stats: Stats,
    /// Calls it made.
    pub(crate) calls: u64,
    /// Calls that were made to fail.
    pub(crate) faults: u64,
}

type Served = Counted<Faulty<Sim>>;

/// One client, and what it knows of its connection.
struct Client {
    socket: Fd,
    /// Which client of the day: its bytes are its own.
    id: u64,
    said: u64,
    heard: u64,
    /// Whether it has said its last byte.
    has_ended: bool,
    /// Whether it reads.
    listens: bool,
    /// Whether it has heard the server's end.
    was_ended: bool,
    /// How the connection broke, if it did.
    broken: Option<Errno>,
}

/// The byte that client `id` says at `offset`: alike neither between clients nor along one.
#[expect(clippy::cast_possible_truncation, reason = "a byte is wanted")]
const fn byte(id: u64, offset: u64) -> u8 {
    (id.wrapping_mul(151) ^ offset.wrapping_mul(31) ^ (offset >> 8).wrapping_mul(7)) as u8
}

/// Rounds without any progress after which somebody waits in vain. One is enough in a world
/// without chance; an interruption may cost a few.
const FRUITLESS_MAX: u32 = 64;

/// A day that is being lived.
struct Day<'a> {
    weather: &'a Weather,
    sim: Sim,
    server: Server<Served>,
    addr: Addr,
    clients: Vec<Client>,
    born: u64,
    step: u64,
    /// Why the server last gave a connection up.
    gave_up: Option<Errno>,
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

    fn broken(&self, law: impl Into<String>) -> Broken {
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
            _ => self.sim.advance(Duration::from_millis(much as u64)),
        }
        Ok(Some(()))
    }

    /// The server has its turn; it asks, and does not wait.
    fn turn(&mut self) -> Result<Turn, Broken> {
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
        let calls = self.server.kernel().tap.total() - before;
        let connections = u64::from(self.server.connections()) + self.weather.clients_max as u64;
        // A recv and a send for each byte of the budget, and a dozen calls around.
        let bound = 64 + connections * (2 * self.weather.budget_bytes as u64 + 12);
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

    fn arrive(&mut self) {
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
        self.clients.push(Client {
            socket,
            id: self.born,
            said: 0,
            heard: 0,
            has_ended: false,
            listens: true,
            was_ended: false,
            broken: None,
        });
    }

    fn say(&mut self, who: usize, bytes: usize) {
        let client = &mut self.clients[who];
        if client.has_ended || client.broken.is_some() {
            return;
        }
        let words: Vec<u8> =
            (client.said..).take(bytes).map(|offset| byte(client.id, offset)).collect();
        match self.sim.send(&client.socket, &words) {
            Ok(count) => client.said += count as u64,
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOTCONN) => {}
            Err(errno) => client.broken = Some(errno),
        }
    }

    /// Returns whether anything came.
    fn hear(&mut self, who: usize, bytes: usize) -> Result<(), Broken> {
        if self.clients[who].listens {
            self.listen(who, bytes)?;
        }
        Ok(())
    }

    fn listen(&mut self, who: usize, bytes: usize) -> Result<bool, Broken> {
        let client = &mut self.clients[who];
        if client.was_ended || client.broken.is_some() {
            return Ok(false);
        }
        let mut buf = vec![0; bytes];
        let count = match self.sim.recv(&client.socket, &mut buf) {
            Ok(0) => {
                client.was_ended = true;
                return Ok(true);
            }
            Ok(count) => count,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
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
        self.clients[who].heard += count as u64;
        Ok(true)
    }

    fn end(&mut self, who: usize) {
        let client = &mut self.clients[who];
        // To shut a socket that is still connecting is to give the connection up.
        let is_connected = self.sim.getpeername(&client.socket).is_ok();
        if is_connected && self.sim.shutdown(&client.socket, Shut::Write).is_ok() {
            client.has_ended = true;
        }
    }

    fn leave(&mut self, who: usize, in_anger: bool) {
        let client = self.clients.swap_remove(who);
        if in_anger {
            let _ = self.sim.setsockopt(&client.socket, SocketOption::LingerSeconds(Some(0)));
        }
        let _ = self.sim.close(client.socket);
    }

    /// Everybody who is still here ends, hears, and goes home; then the server does.
    fn evening(&mut self) -> Result<Report, Broken> {
        self.settle()?;
        let excused = self.weather.faults.is_some();
        // The kernel may abort a connection before it is accepted; nobody else is thrown out.
        let mut aborted = self.server.stats().aborted;
        for at in 0..self.clients.len() {
            let Client { id, said, heard, was_ended, broken, .. } = self.clients[at];
            if excused {
                continue;
            }
            let is_lost = broken.is_some() || (was_ended && said > 0);
            if is_lost && heard == 0 && aborted > 0 {
                aborted -= 1;
                continue;
            }
            if let Some(errno) = broken {
                return Err(self.broken(format!(
                    "nobody is thrown out, but client {id}, who said {said} bytes and heard {heard}, \
                     met {errno} (the server last gave up for {:?})",
                    self.gave_up
                )));
            }
            if heard != said || !was_ended {
                return Err(self.broken(format!(
                    "nobody waits for ever, but client {id} said {said} bytes, heard {heard} back, \
                     and was {} the end",
                    if was_ended { "told" } else { "not told" }
                )));
            }
        }
        while !self.clients.is_empty() {
            self.leave(0, false);
        }
        self.serve_one_more()?;
        self.go_home()
    }

    /// Until nothing happens any more. Everybody listens now, and half-closes.
    fn settle(&mut self) -> Result<(), Broken> {
        let mut fruitless = 0;
        while fruitless < FRUITLESS_MAX {
            let mut progress = false;
            let before = (self.server.stats(), self.server.connections());
            self.turn()?;
            // Pauses end by time, too.
            self.sim.advance(Duration::from_millis(10));
            for who in 0..self.clients.len() {
                if !self.clients[who].has_ended {
                    self.end(who);
                }
                while self.listen(who, 4096)? {
                    progress = true;
                    if self.clients[who].was_ended || self.clients[who].broken.is_some() {
                        break;
                    }
                }
            }
            let after = (self.server.stats(), self.server.connections());
            progress |= (before.0.bytes_in, before.0.bytes_out, before.0.closed, before.1)
                != (after.0.bytes_in, after.0.bytes_out, after.0.closed, after.1);
            fruitless = if progress { 0 } else { fruitless + 1 };
        }
        Ok(())
    }

    /// Whatever the day was like: who comes now is served. (A fault that lasts excuses.)
    fn serve_one_more(&mut self) -> Result<(), Broken> {
        /// The kernel may abort one connection, even two; and the one fault of the day may
        /// have waited for this very client.
        const TRIES: u32 = 8;

        self.settle()?;
        if self.weather.faults.is_some_and(|faults| faults.lasts()) {
            return Ok(());
        }
        let mut last = (0, 0);
        for _ in 0..TRIES {
            self.arrive();
            if self.clients.is_empty() {
                continue;
            }
            for _ in 0..FRUITLESS_MAX {
                self.turn()?;
                if self.clients[0].said == 0 {
                    self.say(0, 100);
                }
                self.sim.advance(Duration::from_millis(10));
            }
            self.settle()?;
            let Client { said, heard, was_ended, .. } = self.clients[0];
            self.leave(0, false);
            self.settle()?;
            if said > 0 && said == heard && was_ended {
                return Ok(());
            }
            last = (said, heard);
        }
        let (said, heard) = last;
        Err(self.broken(format!(
            "service resumes, but the last of {TRIES} said {said} bytes and heard {heard} back"
        )))
    }

    fn go_home(&mut self) -> Result<Report, Broken> {
        let left = self.server.connections();
        let lasts = self.weather.faults.is_some_and(|faults| faults.lasts());
        if left > 0 && !lasts {
            return Err(self.broken(format!("who left is forgotten, but {left} are still known")));
        }
        self.server.stop();
        for _ in 0..FRUITLESS_MAX {
            if self.turn()? == Turn::Over {
                let calls = self.server.kernel().tap.total();
                let faults = self.server.kernel().kernel.tap.struck();
                let stats = self.server.stats();
                return Ok(Report { steps: self.step, stats, calls, faults });
            }
            self.sim.advance(Duration::from_millis(500));
        }
        Err(self.broken("the server leaves within its drain time, but it did not"))
    }
}
