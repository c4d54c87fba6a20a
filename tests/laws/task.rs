//! The laws of coroutines, in a simulated world: clients talk to an echo server of tasks, some of
//! them tasks themselves; tasks are cancelled when it suits them least; and the kernel does and
//! leaves whatever a kernel may.

#[path = "task/evening.rs"]
mod evening;
#[path = "task/guests.rs"]
mod guests;

use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use epollite::SocketOption;
use epollite::kernel::{Limit, Resource};
use epollite::server::{Sharing, bind_stream};
use epollite::sim::{Chance, Config as World, Odds, Sim};
use epollite::task::{Config, JoinHandle, Tasks};
use epollite::{Addr, Call, Counted, Errno, Faults, Faulty, Fd, Instant, Kernel, Kind, Shut};
use guests::{byte, converse, serve};

type Served = Counted<Faulty<Sim>>;

/// What one task may do at a time, and how much it is lent for it: little, so that every bound
/// is met.
const CALLS_MAX: u32 = 5;
const BUFFER_BYTES: usize = 32;

/// Lives a day as `plan` says, two bytes a step; the first says what the world is like.
///
/// # Panics
/// When a law is broken, with its name.
pub fn keeps_its_promises(plan: &[u8]) {
    live(plan, None);
}

/// The same with one system call of the server's failing, once or for ever.
///
/// # Panics
/// When a law is broken, with its name.
pub fn keeps_its_promises_under_faults(plan: &[u8]) {
    let [which, errno, at, plan @ ..] = plan else { return };
    let call = Call::ALL[usize::from(*which) % Call::ALL.len()];
    let errnos = Faults::of(call);
    let Some(&errno) = errnos.get(usize::from(errno >> 1) % errnos.len().max(1)) else { return };
    let lasts = which & 0x80 != 0;
    let faults = if lasts { Faults::for_ever } else { Faults::once };
    live(plan, Some(faults(u64::from(*at), errno).only(call)));
}

/// Either of the two, as the first byte says: for the fuzzer, and for what it has found.
///
/// # Panics
/// When a law is broken, with its name.
pub fn keeps_its_promises_either_way(plan: &[u8]) {
    match plan.split_first() {
        Some((first, rest)) if first % 2 == 1 => keeps_its_promises_under_faults(rest),
        Some((_, rest)) => keeps_its_promises(rest),
        None => {}
    }
}

/// Lives a day; returns whether the fault has struck.
///
/// # Panics
/// When a law is broken, with its name.
pub fn live(plan: &[u8], faults: Option<Faults>) -> bool {
    let (&first, plan) = plan.split_first().unwrap_or((&0, &[]));
    let (chance, plan) = plan.split_at(plan.len() / 3);
    let mut day = match Day::dawn(first, Chance::from_bytes(chance.into()), faults) {
        Ok(day) => day,
        // Without a door there is no day; but nothing may be left open, or the world complains.
        Err(_) => {
            assert!(faults.is_some(), "law: a fresh world has room");
            return true;
        }
    };
    for step in plan.chunks_exact(2) {
        day.live_a_moment(step[0], usize::from(step[1]));
    }
    // Some days end in the middle: everything falls at once.
    if first & 0x30 != 0x30 {
        day.evening();
    }
    day.end()
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

/// What a client that is a task has to say, and heard of it, when it was not cancelled.
type Conversation = JoinHandle<Result<(), Errno>>;

struct Day {
    sim: Sim,
    tasks: Tasks<Served>,
    guests: Rc<RefCell<Vec<JoinHandle<()>>>>,
    /// How much went through guests: a day in which it grows makes progress.
    echoed: Rc<Cell<usize>>,
    callers: Tasks<Sim>,
    calls: Vec<Conversation>,
    addr: Addr,
    clients: Vec<Client>,
    born: usize,
    /// Guests that were cancelled: whose clients they were heard no more than a part.
    cancelled: u64,
    faults: Option<Faults>,
}

impl Day {
    fn dawn(first: u8, chance: Chance, faults: Option<Faults>) -> Result<Self, Errno> {
        let odds = if first & 1 == 0 { Odds::default() } else { Odds::SOME };
        let bytes = if first & 2 == 0 { 256 } else { 3_000 };
        let (receive_buffer_bytes, send_buffer_bytes) = (bytes, bytes);
        let world =
            World { chance, odds, receive_buffer_bytes, send_buffer_bytes, ..World::default() };
        let sim = Sim::new(world);
        let mut process = sim.process();
        // The standard streams, the epoll, the door, and eight guests, or two.
        let most = if first & 4 == 0 { 13 } else { 7 };
        process.prlimit(Resource::OpenFiles, Some(Limit { soft: most, hard: most }))?;
        let never = Faults::once(u64::MAX, Errno::EIO);
        let kernel = Counted::over(Faulty::over(process, faults.unwrap_or(never)));
        let config = Config {
            calls_max: CALLS_MAX.try_into().expect("it is not zero"),
            buffer_bytes: BUFFER_BYTES.try_into().expect("it is not zero"),
            ..Config::default()
        };
        let tasks = Tasks::with_config(kernel, config)?;
        let callers = Tasks::on(sim.process()).expect("a fresh process has room");
        let wanted = if first & 8 == 0 { "127.0.0.1:7777" } else { "unix:@day" };
        let wanted: Addr = wanted.parse().expect("it is an address");
        let handle = tasks.handle();
        let bound = handle.kernel(|kernel| bind_stream(kernel, &wanted, Sharing::Alone));
        let (door, addr) = bound.map_err(|error| error.errno)?;
        let guests: Rc<RefCell<Vec<JoinHandle<()>>>> = Rc::default();
        let echoed: Rc<Cell<usize>> = Rc::default();
        let (listener, keeps, counts) =
            (handle.listener(door)?, Rc::clone(&guests), Rc::clone(&echoed));
        drop(handle.clone().spawn(serve(handle, listener, keeps, counts)));
        let (calls, clients) = (Vec::new(), Vec::new());
        let (born, cancelled) = (0, 0);
        Ok(Self {
            sim,
            tasks,
            guests,
            echoed,
            callers,
            calls,
            addr,
            clients,
            born,
            cancelled,
            faults,
        })
    }

    fn live_a_moment(&mut self, what: u8, much: usize) {
        match what % 32 {
            0..=9 => self.turn(),
            10..=12 if self.clients.len() < 12 => self.arrive(),
            13 if self.calls.len() < 6 => self.call(much * 5),
            14..=18 => self.with(much, |day, who| day.say(who, much % 150 + 1)),
            19..=25 => self.with(much, |day, who| _ = day.listen(who, much % 150 + 1)),
            26 => self.with(much, Self::say_the_last),
            27 => self.with(much, |day, who| day.leave(who, true)),
            28 => self.with(much, |day, who| day.leave(who, false)),
            29 => self.cancel(much),
            30 => {
                if let Some(call) = self.calls.get(much % self.calls.len().max(1)) {
                    call.cancel();
                }
            }
            _ => self.sim.advance(Duration::from_millis(much as u64)),
        }
    }

    fn with(&mut self, much: usize, act: impl FnOnce(&mut Self, usize)) {
        if !self.clients.is_empty() {
            let who = much % self.clients.len();
            act(self, who);
        }
    }

    /// Everybody has a turn and nobody waits. Returns whether any task was polled.
    fn turn(&mut self) {
        let handle = self.tasks.handle();
        let made = || handle.kernel(|kernel| kernel.tap.total());
        let (before, tasks) = (made(), u64::from(handle.tasks()));
        match self.tasks.turn(Some(Instant::ZERO)) {
            Ok(polled) => assert!(polled as u64 <= 2 * tasks + 64, "law: each once a turn"),
            Err(errno) => {
                let lasts = self.faults.is_some_and(|faults| faults.lasts());
                assert!(lasts, "law: no errno ends the tasks, but {errno} did");
            }
        }
        let calls = made() - before;
        // A wait that is interrupted for ever; and of each task the calls that it may make, each
        // interrupted as often as it is patient, and what closing costs.
        let bound = 1_100 + (tasks + 64) * (u64::from(CALLS_MAX) * 16 + 8);
        assert!(calls <= bound, "law: a turn is bounded, but one made {calls} calls");
        self.callers.turn(Some(Instant::ZERO)).expect("law: no errno ends the tasks");
    }

    fn arrive(&mut self) {
        let family = self.addr.family().expect("it was bound to it");
        let socket = self.sim.socket(family, Kind::Stream).expect("there is room");
        match self.sim.connect(&socket, &self.addr) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
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
            was_ended: false,
            broken: None,
        });
    }

    /// A client that is a task, and talks with itself: one half sends, the other listens.
    fn call(&mut self, bytes: usize) {
        self.born += 1;
        let (handle, addr, who) = (self.callers.handle(), self.addr, self.born);
        self.calls.push(self.callers.handle().spawn(converse(handle, addr, who, bytes)));
    }

    fn say(&mut self, who: usize, bytes: usize) {
        let client = &mut self.clients[who];
        if client.has_ended || client.broken.is_some() {
            return;
        }
        let words: Vec<u8> = (client.said..).take(bytes).map(|at| byte(client.id, at)).collect();
        match self.sim.send(&client.socket, &words) {
            Ok(count) => client.said += count,
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOTCONN) => {}
            Err(errno) => client.broken = Some(errno),
        }
    }

    /// Returns whether anything came.
    fn listen(&mut self, who: usize, bytes: usize) -> bool {
        let client = &mut self.clients[who];
        if client.was_ended || client.broken.is_some() {
            return false;
        }
        let mut buf = vec![0; bytes];
        match self.sim.recv(&client.socket, &mut buf) {
            Ok(0) => client.was_ended = true,
            Ok(count) => {
                for &got in &buf[..count] {
                    let Client { id, said, heard, .. } = *client;
                    let is_so = heard < said && got == byte(id, heard);
                    assert!(is_so, "law: output is a prefix of input, at {heard} of {said}");
                    client.heard += 1;
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOTCONN) => return false,
            Err(errno) => client.broken = Some(errno),
        }
        true
    }

    fn say_the_last(&mut self, who: usize) {
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

    fn cancel(&mut self, which: usize) {
        let mut guests = self.guests.borrow_mut();
        guests.retain(|guest| !guest.is_over());
        if !guests.is_empty() {
            let which = which % guests.len();
            guests.swap_remove(which).cancel();
            self.cancelled += 1;
        }
    }
}
