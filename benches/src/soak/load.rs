//! The clients of a soak: kinds, each of which runs in a thread of its own until the end. Each
//! exchange is bounded, and there is a pause between two, so that the load is the same on every
//! machine.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use socket2::SockAddr;

use crate::examine::client::{Client, Exchange};
use crate::examine::datagram;
use crate::examine::failure::{Checked, Local, Stop, wrong};
use crate::examine::payload::payload;
use crate::interrupt;
use crate::server::Endpoint;

/// How long one exchange may take, on a busy machine.
const EXCHANGE_MAX: Duration = Duration::from_secs(30);

/// Connections that stay for the whole run, and that stay silent for a while.
const STEADY: usize = 32;
const SILENT: usize = 100;

/// A kind gives up after so many failures.
const FAILURES_MAX: usize = 5;

/// Where the server is.
#[derive(Debug, Clone)]
pub(super) struct Target {
    tcp: SocketAddr,
    unix: Option<PathBuf>,
    has_datagrams: bool,
}

/// One exchange of a kind of client; what it keeps from one to the next is in its `State`.
type Run = fn(&Target, &mut State, &mut StdRng) -> Checked;

/// A kind: its name, what it does, the pause after it.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    run: Run,
    pause: Duration,
}

/// What a thread keeps.
#[derive(Debug, Default)]
struct State {
    clients: Vec<Client>,
    nth: usize,
}

const KINDS: [Kind; 7] = [
    Kind { name: "steady", run: steady, pause: Duration::from_millis(1) },
    Kind { name: "short", run: short, pause: Duration::from_millis(10) },
    Kind { name: "reset", run: reset, pause: Duration::from_millis(20) },
    Kind { name: "late", run: late, pause: Duration::from_millis(200) },
    Kind { name: "silent", run: silent, pause: Duration::from_millis(50) },
    Kind { name: "unix", run: unix, pause: Duration::from_millis(10) },
    Kind { name: "datagram", run: datagrams, pause: Duration::from_millis(10) },
];

/// A thread of clients: how many exchanges were right, and at its end what was wrong.
#[derive(Debug)]
struct Running {
    name: &'static str,
    right: Arc<AtomicU64>,
    thread: JoinHandle<Vec<String>>,
}

/// All clients.
#[derive(Debug)]
pub(super) struct Load {
    target: Target,
    seed: u64,
    ends: Arc<AtomicBool>,
    running: Vec<Running>,
}

impl Target {
    /// The endpoint of TCP, and the others.
    pub(super) fn new(
        endpoint: &Endpoint,
        unix: Option<PathBuf>,
        has_datagrams: bool,
    ) -> Result<Self> {
        let Endpoint::Tcp(tcp) = *endpoint else { bail!("the server has no TCP port") };
        Ok(Self { tcp, unix, has_datagrams })
    }

    fn has(&self, kind: &Kind) -> bool {
        match kind.name {
            "unix" => self.unix.is_some(),
            "datagram" => self.has_datagrams,
            _ => true,
        }
    }

    fn connect(&self) -> Checked<Client> {
        Client::connect(&self.tcp.into(), Instant::now() + EXCHANGE_MAX, |_| Ok(()))
    }
}

impl Load {
    pub(super) fn new(target: Target, seed: u64) -> Self {
        Self { target, seed, ends: Arc::default(), running: Vec::new() }
    }

    /// One exchange of each kind, one after the other.
    pub(super) fn warm_up(&mut self) -> Result<()> {
        let mut random = StdRng::seed_from_u64(self.seed);
        for kind in KINDS.iter().filter(|kind| self.target.has(kind)) {
            match (kind.run)(&self.target, &mut State::default(), &mut random) {
                Ok(()) => {}
                Err(Stop::Wrong(why) | Stop::Skipped(why)) => {
                    return Err(anyhow!(why)).context(format!("the first client, {}", kind.name));
                }
                Err(Stop::Interrupted) => bail!("interrupted"),
            }
        }
        Ok(())
    }

    /// Starts a thread for each kind.
    pub(super) fn start(&mut self) {
        for (nth, kind) in KINDS.iter().enumerate().filter(|(_, it)| self.target.has(it)) {
            let (target, ends, kind) = (self.target.clone(), Arc::clone(&self.ends), *kind);
            let right = Arc::new(AtomicU64::new(0));
            let count = Arc::clone(&right);
            let random = StdRng::seed_from_u64(self.seed.wrapping_add(nth as u64));
            let thread = std::thread::spawn(move || repeat(kind, &target, random, &ends, &count));
            self.running.push(Running { name: kind.name, right, thread });
        }
    }

    /// Exchanges so far.
    pub(super) fn exchanges(&self) -> u64 {
        self.running.iter().map(|it| it.right.load(Ordering::Relaxed)).sum()
    }

    /// Ends all clients; returns how many exchanges of each kind were right, and what was wrong.
    pub(super) fn stop(self) -> (Vec<(String, u64)>, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        let (mut counts, mut failures) = (Vec::new(), Vec::new());
        for Running { name, right, thread } in self.running {
            let wrong = thread.join().unwrap_or_else(|_| vec!["its clients panicked".to_owned()]);
            failures.extend(wrong.into_iter().map(|why| format!("{name}: {why}")));
            counts.push((name.to_owned(), right.load(Ordering::Relaxed)));
        }
        (counts, failures)
    }
}

/// Exchanges of one kind until the end; returns what was wrong.
fn repeat(
    kind: Kind,
    target: &Target,
    mut random: StdRng,
    ends: &AtomicBool,
    right: &AtomicU64,
) -> Vec<String> {
    let (mut state, mut failures) = (State::default(), Vec::new());
    while !ends.load(Ordering::Relaxed) && !interrupt::is_interrupted() {
        match (kind.run)(target, &mut state, &mut random) {
            Ok(()) => {
                right.fetch_add(1, Ordering::Relaxed);
            }
            Err(Stop::Interrupted) => break,
            Err(Stop::Wrong(why) | Stop::Skipped(why)) => {
                failures.push(why);
                state = State::default();
                if failures.len() == FAILURES_MAX {
                    break;
                }
            }
        }
        std::thread::sleep(kind.pause);
    }
    failures
}

fn bytes(random: &mut StdRng, most: usize) -> Vec<u8> {
    payload(random.random(), random.random_range(1..=most))
}

/// One of the connections that stay sends a message.
fn steady(target: &Target, state: &mut State, random: &mut StdRng) -> Checked {
    while state.clients.len() < STEADY {
        state.clients.push(target.connect()?);
    }
    state.nth = (state.nth + 1) % state.clients.len();
    let client = &mut state.clients[state.nth];
    client.extend(Instant::now() + EXCHANGE_MAX);
    client.echo(&bytes(random, 256))
}

/// A connection for one message.
fn short(target: &Target, _: &mut State, random: &mut StdRng) -> Checked {
    target.connect()?.echo_to_the_end(&bytes(random, 1 << 16))
}

/// A connection that is reset at some moment.
fn reset(target: &Target, _: &mut State, random: &mut StdRng) -> Checked {
    let client = target.connect()?;
    let data = bytes(random, 1 << 18);
    match random.random_range(0..4) {
        0 => {}
        1 => drop(client.send_some(&data)?),
        2 => drop(client.fill(&data, data.len())?),
        _ => client.echo(&data)?,
    }
    client.reset()
}

/// A client that reads only when nothing more can be sent.
fn late(target: &Target, _: &mut State, random: &mut StdRng) -> Checked {
    let how = Exchange { is_late: true, half_close: true, ..Exchange::default() };
    target.connect()?.exchange(&bytes(random, 4 << 20), how)
}

/// Clients that say nothing for some time, and then something.
fn silent(target: &Target, state: &mut State, random: &mut StdRng) -> Checked {
    while state.clients.len() < SILENT {
        state.clients.push(target.connect()?);
    }
    let mut client = state.clients.swap_remove(random.random_range(0..SILENT));
    client.extend(Instant::now() + EXCHANGE_MAX);
    client.expect_silence()?;
    if random.random() { client.echo_to_the_end(b"at last") } else { Ok(()) }
}

/// A connection for one message, at the Unix socket.
fn unix(target: &Target, _: &mut State, random: &mut StdRng) -> Checked {
    let path = target.unix.clone().unwrap_or_default();
    let addr = SockAddr::unix(path).local("the path")?;
    let client = Client::connect(&addr, Instant::now() + EXCHANGE_MAX, |_| Ok(()))?;
    client.echo_to_the_end(&bytes(random, 1 << 16))
}

/// A datagram from a new socket. One may be lost, not all.
fn datagrams(target: &Target, _: &mut State, random: &mut StdRng) -> Checked {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).local("bind")?;
    socket.connect(target.tcp).local("connect")?;
    socket.set_nonblocking(true).local("fcntl")?;
    let data = bytes(random, 8192);
    match datagram::echo_with_retries(&socket, &data, Instant::now() + EXCHANGE_MAX) {
        Err(Stop::Wrong(why)) => wrong(format!("a datagram of {} bytes: {why}", data.len())),
        other => other,
    }
}
