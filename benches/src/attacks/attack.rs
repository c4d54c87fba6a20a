//! The attackers: kinds, each of which runs in a few threads until it is stopped. What they do is
//! ordinary use of sockets, and bounded; whether the server treats them well is not judged here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::libc;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::examine::client::{Client, Received};
use crate::examine::failure::{Checked, Stop};
use crate::examine::payload::payload;
use crate::interrupt;

/// How long one action may take.
const ACTION_MAX: Duration = Duration::from_secs(5);

/// What a flood sends on one connection, and how long it is stuck before it starts again.
const FLOOD_BYTES: usize = 8 << 20;
const FLOOD_STUCK: Duration = Duration::from_millis(100);

/// The connections of one action of the late readers, and how late they are.
const LATE_READERS: usize = 8;
const LATE_BYTES: usize = 1 << 20;
const LATE: Duration = Duration::from_millis(5);

/// Tiny messages on one connection before the next has its turn.
const TINY_MESSAGES: usize = 64;

/// A kind of attack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    threads: usize,
    /// Connections that each thread keeps.
    connections: usize,
    run: fn(&mut Attacker) -> Checked,
    /// After each action.
    pause: Duration,
}

pub(super) const KINDS: [Kind; 8] = [
    Kind {
        name: "churn",
        what: "connects and closes",
        threads: 2,
        connections: 0,
        run: churn,
        pause: Duration::ZERO,
    },
    Kind {
        name: "reset",
        what: "resets before, while and after sending",
        threads: 2,
        connections: 0,
        run: reset,
        pause: Duration::ZERO,
    },
    Kind {
        name: "flood",
        what: "8 connections send up to 8 MiB each and never read",
        threads: 1,
        connections: 8,
        run: flood,
        pause: Duration::ZERO,
    },
    Kind {
        name: "slowloris",
        what: "500 connections, a byte now and then",
        threads: 1,
        connections: 500,
        run: slowloris,
        pause: Duration::from_millis(1),
    },
    Kind {
        name: "silent",
        what: "5000 silent connections",
        threads: 1,
        connections: 5000,
        run: silent,
        pause: Duration::from_millis(10),
    },
    Kind {
        name: "stream",
        what: "8 connections send and read at full speed",
        threads: 8,
        connections: 1,
        run: stream,
        pause: Duration::ZERO,
    },
    Kind {
        name: "tiny",
        what: "4 connections pipeline messages of one byte",
        threads: 1,
        connections: 4,
        run: tiny,
        pause: Duration::ZERO,
    },
    Kind {
        name: "late",
        what: "8 connections half-close and read late, again and again",
        threads: 1,
        connections: 0,
        run: late,
        pause: Duration::ZERO,
    },
];

/// What a thread of attackers keeps.
struct Attacker {
    target: SocketAddr,
    clients: Vec<Client>,
    nth: usize,
    random: StdRng,
    data: Vec<u8>,
}

/// An attack that goes on.
#[derive(Debug)]
pub(super) struct Attack {
    ends: Arc<AtomicBool>,
    actions: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

pub(super) fn by_name(name: &str) -> Result<Kind, String> {
    let names = KINDS.map(|kind| kind.name).join(", ");
    KINDS.into_iter().find(|kind| kind.name == name).ok_or(format!("the attacks are {names}"))
}

pub(super) fn help() -> String {
    let line = |kind: &Kind| format!("  {:10}{}\n", kind.name, kind.what);
    format!("Attacks:\n{}", KINDS.iter().map(line).collect::<String>())
}

impl Attack {
    /// Starts the attackers; returns when each has all its connections and has acted once.
    pub(super) fn start(kind: &Kind, target: SocketAddr) -> Result<Self> {
        let (ready, all_ready) = channel();
        let mut attack =
            Self { ends: Arc::default(), actions: Arc::default(), threads: Vec::new() };
        for nth in 0..kind.threads {
            let (ends, actions) = (Arc::clone(&attack.ends), Arc::clone(&attack.actions));
            let (kind, ready) = (*kind, ready.clone());
            let attacker = Attacker {
                target,
                clients: Vec::new(),
                nth: 0,
                random: StdRng::seed_from_u64(nth as u64),
                data: payload(nth as u64, 1 << 18),
            };
            let thread =
                std::thread::spawn(move || repeat(kind, attacker, &ends, &actions, &ready));
            attack.threads.push(thread);
        }
        drop(ready);
        for _ in 0..kind.threads {
            let first = all_ready.recv().unwrap_or_else(|_| Err("they panicked".to_owned()));
            if let Err(why) = first {
                let _ = attack.stop();
                bail!("the attackers: {why}");
            }
        }
        Ok(attack)
    }

    /// Ends the attack; returns how many actions there were.
    pub(super) fn stop(self) -> Result<u64> {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().ok().context("an attacker panicked")?;
        }
        Ok(self.actions.load(Ordering::Relaxed))
    }
}

/// A thread of attackers. An action that fails is begun again with new connections: how the server
/// treats attackers is up to it.
fn repeat(
    kind: Kind,
    mut attacker: Attacker,
    ends: &AtomicBool,
    actions: &AtomicU64,
    ready: &Sender<Result<(), String>>,
) {
    let action = |attacker: &mut Attacker| {
        attacker.connect_to(kind.connections)?;
        (kind.run)(attacker)?;
        actions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let first = action(&mut attacker).map_err(|stop| match stop {
        Stop::Wrong(why) | Stop::Skipped(why) => why,
        Stop::Interrupted => "interrupted".to_owned(),
    });
    let is_ready = first.is_ok();
    if ready.send(first).is_err() || !is_ready {
        return;
    }
    run_when_idle();
    while !ends.load(Ordering::Relaxed) && !interrupt::is_interrupted() {
        if action(&mut attacker).is_err() {
            attacker.clients.clear();
            std::thread::sleep(Duration::from_millis(1));
        }
        if !kind.pause.is_zero() {
            std::thread::sleep(kind.pause);
        }
    }
}

/// Gives the calling thread what the others on its core leave: the polite client is measured, and
/// must not wait for attackers on its own side. Without it the figures are greater.
#[expect(unsafe_code, reason = "neither std nor nix has this call")]
fn run_when_idle() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: sched_setscheduler(2) reads `parameters`, which lives until it returns; 0 is the
    // calling thread.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
}

impl Attacker {
    fn connect(&self) -> Checked<Client> {
        let deadline = Instant::now() + ACTION_MAX;
        Client::connect(&self.target.into(), deadline, |socket| socket.set_tcp_nodelay(true))
    }

    /// Opens connections until there are so many.
    fn connect_to(&mut self, count: usize) -> Checked {
        while self.clients.len() < count {
            self.clients.push(self.connect()?);
        }
        Ok(())
    }

    fn next(&mut self) -> &mut Client {
        self.nth = (self.nth + 1) % self.clients.len();
        &mut self.clients[self.nth]
    }
}

fn churn(attacker: &mut Attacker) -> Checked {
    attacker.connect().map(drop)
}

fn reset(attacker: &mut Attacker) -> Checked {
    let client = attacker.connect()?;
    let data = &attacker.data[..attacker.random.random_range(1..=1 << 16)];
    match attacker.random.random_range(0..3) {
        0 => {}
        1 => drop(client.send_some(data)?),
        _ => client.echo(data)?,
    }
    client.reset()
}

/// Sends on all connections until nothing more fits, stays stuck, and resets them.
fn flood(attacker: &mut Attacker) -> Checked {
    let mut sent = vec![0; attacker.clients.len()];
    let mut progress = Instant::now();
    while progress.elapsed() < FLOOD_STUCK && !interrupt::is_interrupted() {
        for (client, sent) in attacker.clients.iter().zip(&mut sent) {
            let room = FLOOD_BYTES.saturating_sub(*sent).min(attacker.data.len());
            let count = if room > 0 { client.send_some(&attacker.data[..room])? } else { 0 };
            *sent += count;
            if count > 0 {
                progress = Instant::now();
            }
        }
    }
    attacker.clients.drain(..).try_for_each(Client::reset)
}

fn slowloris(attacker: &mut Attacker) -> Checked {
    attacker.next().send_some(b"s").map(drop)
}

fn silent(attacker: &mut Attacker) -> Checked {
    attacker.next().expect_silence()
}

fn stream(attacker: &mut Attacker) -> Checked {
    let data = std::mem::take(&mut attacker.data);
    let client = attacker.next();
    client.extend(Instant::now() + ACTION_MAX);
    let result = client.echo(&data);
    attacker.data = data;
    result
}

fn tiny(attacker: &mut Attacker) -> Checked {
    let client = attacker.next();
    for _ in 0..TINY_MESSAGES {
        client.send_some(b"t")?;
    }
    while matches!(client.receive_some(&mut [0; 4096])?, Received::Bytes(4096)) {}
    Ok(())
}

fn late(attacker: &mut Attacker) -> Checked {
    for _ in 0..LATE_READERS {
        attacker.clients.push(attacker.connect()?);
    }
    for client in &attacker.clients {
        let mut sent = 0;
        while sent < LATE_BYTES {
            match client.send_some(&attacker.data)? {
                0 => break,
                count => sent += count,
            }
        }
        client.half_close()?;
    }
    std::thread::sleep(LATE);
    attacker.clients.drain(..).try_for_each(|client| client.receive_to_the_end().map(drop))
}
