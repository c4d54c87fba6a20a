//! What the servers do after each errno of each call: the tables of `docs/reliability.md`, observed
//! on the simulated kernel and compared with the page.
//!
//! Two clients of one server, of which one call fails once: the first call of its kind, then the
//! second, … until a run that no fault reached. `BLESS=1` writes the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use epollite::instrument::{FaultInjector, FaultPlan};
use epollite::kernel::{Shutdown, SocketType, Syscall};
use epollite::server::datagram::{DatagramConfig, DatagramServer};
use epollite::server::stream::{Bulk, Outcome, StreamConfig, StreamServer};
use epollite::sim::{Sim, SimConfig};
use epollite::{Addr, Errno, Fd, Instant, Kernel, Trigger};

/// What a fault led to, from harmless to fatal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Effect {
    /// Every byte came back to both clients.
    Unnoticed,
    /// The same, after the server had waited for its retry delay.
    Delayed,
    /// A datagram was lost, as on a network.
    DatagramLost,
    /// One client lost its connection, the other was served.
    ConnectionClosed,
    /// No server was created, or it did not take its socket.
    NotStarted,
    /// The loop ended with the error.
    Ended,
}

impl Effect {
    const fn text(self) -> &'static str {
        match self {
            Self::Unnoticed => "no client notices",
            Self::Delayed => "accepting pauses and goes on, no client loses a byte",
            Self::DatagramLost => "that datagram is lost, the others are answered",
            Self::ConnectionClosed => "that connection closes, the others are served",
            Self::NotStarted => "the server does not start, with this error",
            Self::Ended => "the server ends with this error",
        }
    }
}

type Rows = BTreeMap<(Syscall, Vec<Effect>), BTreeSet<&'static str>>;

/// Fails each call with each errno, and groups the errnos that have the same effects.
fn observe(scenario: impl Fn(FaultPlan) -> Option<Effect>) -> Rows {
    let mut rows = Rows::new();
    for call in Syscall::ALL {
        for &errno in call.errnos() {
            let mut effects = BTreeSet::new();
            for at in 0..200 {
                let Some(effect) = scenario(FaultPlan::once(at, errno).for_syscall(call)) else {
                    break;
                };
                effects.insert(effect);
            }
            if !effects.is_empty() {
                let effects = effects.into_iter().collect();
                let name = errno.name().expect("an errno of a call has a name");
                rows.entry((call, effects)).or_default().insert(name);
            }
        }
    }
    rows
}

fn table(rows: &Rows) -> String {
    let mut text = "| call | errno | what happens |\n|---|---|---|\n".to_owned();
    for ((call, effects), errnos) in rows {
        let errnos: Vec<&str> = errnos.iter().copied().collect();
        let effects: Vec<&str> = effects.iter().map(|effect| effect.text()).collect();
        let (errnos, effects) = (errnos.join(", "), effects.join(" - or "));
        writeln!(text, "| `{}` | {errnos} | {effects} |", call.name()).expect("a string grows");
    }
    text
}

fn sims() -> (Sim, Sim) {
    let clients = Sim::new(SimConfig::default());
    let server = clients.new_process();
    (clients, server)
}

/// A client of the stream server: what it has sent, and what has come back.
struct Client {
    socket: Fd,
    received: Vec<u8>,
    is_half_closed: bool,
    is_ended: bool,
}

impl Client {
    fn connect(sim: &mut Sim, addr: &Addr) -> Self {
        let family = addr.family().expect("it has one");
        let socket = sim.socket(family, SocketType::Stream).expect("room");
        assert!(matches!(sim.connect(&socket, addr), Ok(()) | Err(Errno::EINPROGRESS)));
        sim.send(&socket, MESSAGE).expect("room in the send buffer");
        Self { socket, received: Vec::new(), is_half_closed: false, is_ended: false }
    }

    /// Reads what has come back; half-closes once it has its first bytes.
    fn run(&mut self, sim: &mut Sim) {
        let mut buf = [0; 64];
        while !self.is_ended {
            match sim.recv(&self.socket, &mut buf) {
                Ok(0) => self.is_ended = true,
                Ok(count) => self.received.extend_from_slice(&buf[..count]),
                Err(Errno::EAGAIN) => break,
                Err(_) => self.is_ended = true,
            }
        }
        if !self.received.is_empty() && !self.is_half_closed {
            self.is_half_closed = true;
            // It may have been closed already.
            let _ = sim.shutdown(&self.socket, Shutdown::Write);
        }
    }

    fn is_served(&self) -> bool {
        self.is_ended && self.received == MESSAGE
    }
}

const MESSAGE: &[u8] = b"what a client sends";

/// How far the clock moves while nothing happens.
const STEP: Duration = Duration::from_millis(10);

/// More than any run takes.
const IDLE: Duration = Duration::from_secs(3600);

/// Longer than a run without faults takes, shorter than the delay until accepting is tried again.
const DELAYED: Duration = Duration::from_millis(200);

const INET: &str = "127.0.0.1:7";

/// How streams are served.
#[derive(Clone, Copy)]
struct Served {
    addr: &'static str,
    config: StreamConfig,
    /// Whether the server ends while both clients are connected.
    is_drained: bool,
}

impl Served {
    fn with(trigger: Trigger) -> Self {
        let config = StreamConfig { trigger, ..StreamConfig::default() };
        Self { addr: INET, config, is_drained: false }
    }
}

fn address(text: &str) -> Addr {
    text.parse().expect("an address")
}

fn bound(sim: &mut Sim, addr: &Addr, kind: SocketType) -> Fd {
    let socket = sim.socket(addr.family().expect("it has one"), kind).expect("room");
    sim.bind(&socket, addr).expect("it is free");
    socket
}

fn stream(served: Served, faults: FaultPlan) -> Option<Effect> {
    let (mut clients, mut process) = sims();
    let listener = bound(&mut process, &address(served.addr), SocketType::Stream);
    process.listen(&listener, 16).expect("it is bound");
    let mut kernel = FaultInjector::new(process, faults);
    let effect = serve_stream(&mut kernel, &mut clients, served, listener);
    assert_eq!(kernel.kernel.open_descriptors(), 0, "leak under {faults:?}");
    kernel.hook.has_fired().then_some(effect)
}

fn serve_stream(
    kernel: &mut FaultInjector<Sim>,
    sim: &mut Sim,
    served: Served,
    listener: Fd,
) -> Effect {
    let Ok(mut server) = StreamServer::<_>::new(&mut *kernel, served.config) else {
        kernel.kernel.close(listener).expect("it is open");
        return Effect::NotStarted;
    };
    if server.add_listener(listener).is_err() {
        return Effect::NotStarted;
    }
    let begun = sim.now();
    let mut clients = [(); 2].map(|()| Client::connect(sim, &address(served.addr)));
    if served.is_drained {
        clients.iter_mut().for_each(|client| client.is_half_closed = true);
    }
    let mut result = Ok(Outcome::Handled);
    while clients.iter().any(|client| !client.is_ended) && result.is_ok() {
        assert!(sim.now() < begun + Duration::from_secs(60), "invariant: a client is served");
        // A server with timeouts waits for a time, the others poll.
        let waits = served.config.idle_timeout.is_some();
        let until = if waits { sim.now() + STEP } else { Instant::ZERO };
        result = server.run_once(Some(until));
        if result == Ok(Outcome::TimedOut) && !waits {
            sim.advance(STEP);
        }
        clients.iter_mut().for_each(|client| client.run(sim));
        let is_answered = |client: &Client| client.is_ended || client.received == MESSAGE;
        if served.is_drained && server.listeners() > 0 && clients.iter().all(is_answered) {
            server.begin_shutdown();
        }
    }
    let is_delayed = sim.now() > begun + DELAYED;
    let whole = clients.iter().filter(|client| client.is_served()).count();
    for client in clients {
        sim.close(client.socket).expect("it is open");
    }
    match whole {
        _ if result.is_err() => Effect::Ended,
        2 if is_delayed => Effect::Delayed,
        2 => Effect::Unnoticed,
        1 => Effect::ConnectionClosed,
        _ => panic!("invariant: one failed call costs at most one connection"),
    }
}

fn datagram(faults: FaultPlan) -> Option<Effect> {
    let (mut clients, mut process) = sims();
    let socket = bound(&mut process, &address(INET), SocketType::Datagram);
    let mut kernel = FaultInjector::new(process, faults);
    let effect = serve_datagrams(&mut kernel, &mut clients, socket);
    assert_eq!(kernel.kernel.open_descriptors(), 0, "leak under {faults:?}");
    kernel.hook.has_fired().then_some(effect)
}

fn serve_datagrams(kernel: &mut FaultInjector<Sim>, sim: &mut Sim, socket: Fd) -> Effect {
    const EACH: usize = 3;
    let Ok(mut server) = DatagramServer::new(&mut *kernel, DatagramConfig::default()) else {
        kernel.kernel.close(socket).expect("it is open");
        return Effect::NotStarted;
    };
    if server.add_socket(socket).is_err() {
        return Effect::NotStarted;
    }
    let clients = [(); 2].map(|()| bound(sim, &address("127.0.0.1:0"), SocketType::Datagram));
    let mut answered = 0;
    for _ in 0..EACH {
        for client in &clients {
            sim.sendto(client, MESSAGE, &address(INET)).expect("room in the receive buffer");
            for _ in 0..4 {
                if server.run_once(Some(Instant::ZERO)).is_err() {
                    return Effect::Ended;
                }
            }
            while sim.recvfrom(client, &mut [0; 64]).is_ok() {
                answered += 1;
            }
        }
    }
    for client in clients {
        sim.close(client).expect("it is open");
    }
    match 2 * EACH - answered {
        0 => Effect::Unnoticed,
        1 => Effect::DatagramLost,
        lost => panic!("invariant: one failed call costs at most one datagram; lost {lost}"),
    }
}

/// The text between two marks of the page, which is generated.
fn replaced(page: &str, mark: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
    let (before, rest) = page.split_once(&begin).expect("the page has the mark");
    let (_, after) = rest.split_once(&end).expect("the page has the end of it");
    format!("{before}{begin}\n{table}\n{end}{after}")
}

#[test]
fn the_page_says_what_each_errno_leads_to() {
    let page = Path::new("docs/reliability.md");
    let text = fs::read_to_string(page).expect("the page");
    let edge = Served::with(Trigger::Edge);
    let of = |served: Served| table(&observe(|faults| stream(served, faults)));
    let with = |change: fn(&mut Served)| {
        let mut served = edge;
        change(&mut served);
        of(served)
    };
    let usual = of(edge);
    let mut expected = replaced(&text, "streams, edge-triggered", &usual);
    for (mark, other) in [
        ("streams, level-triggered", of(Served::with(Trigger::Level))),
        ("streams, one-shot", of(Served::with(Trigger::OneShot))),
        ("streams, Unix", with(|it| it.addr = "unix:@reliability")),
        ("streams, spliced", with(|it| it.config.bulk = Bulk::Splice)),
        ("streams, idle timeout", with(|it| it.config.idle_timeout = Some(IDLE))),
        ("streams, drained", with(|it| it.is_drained = true)),
    ] {
        expected = replaced(&expected, mark, &differing(&other, &usual));
    }
    expected = replaced(&expected, "datagrams", &table(&observe(datagram)));
    if std::env::var_os("BLESS").is_some() {
        fs::write(page, &expected).expect("the page can be written");
    } else {
        assert!(text == expected, "stale: BLESS=1 cargo test --test reliability");
    }
}

/// The rows of `table` that `other` does not have.
fn differing(table: &str, other: &str) -> String {
    let others: BTreeSet<&str> = other.lines().skip(2).collect();
    let (head, rows): (Vec<_>, Vec<_>) =
        table.lines().enumerate().partition(|(number, _)| *number < 2);
    let rows: Vec<&str> =
        rows.into_iter().map(|(_, row)| row).filter(|row| !others.contains(row)).collect();
    if rows.is_empty() {
        return "No row differs.\n".to_owned();
    }
    let head = head.into_iter().map(|(_, row)| row);
    head.chain(rows).flat_map(|row| [row, "\n"]).collect()
}
