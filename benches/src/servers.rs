//! The known servers: epollite models, C baselines, peers. Their names and commands are here;
//! building is in `servers/build.rs`, running in `server.rs`.

mod build;
mod extra;
mod installed;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::case::{Case, Transport};
use crate::schema::{self, Origin};
pub use build::Builder;
use build::Toolchain;
pub use extra::{Extra, group_extras};

/// The default reference.
pub const BASELINE_SERVER: &str = "C edge";

/// The name of its second copy.
pub const CONTROL: &str = "A/A";

/// Models compared by default; the others are known to scale badly.
const DEFAULT_MODELS: [&str; 3] = ["epoll-edge", "epoll-level", "coroutine"];

/// The models of `epollite echo --model`: name, description, UDP support, Unix socket support.
const MODELS: [(&str, &str, bool, bool); 12] = [
    ("blocking", "one client at a time", true, true),
    ("process", "a process for each client, forked", false, true),
    ("thread", "a thread for each client", false, true),
    ("nonblocking", "one thread that polls all sockets in a loop", true, true),
    ("select", "one thread on select(2), 1024 descriptors at most", true, true),
    ("poll", "one thread on poll(2)", true, true),
    ("coroutine", "a coroutine per client on epollite's reactor", true, true),
    ("epoll-level", "epollite's reactor, level-triggered", true, true),
    ("epoll-edge", "epollite's reactor, edge-triggered", true, true),
    ("epoll-oneshot", "epollite's reactor, one-shot", true, true),
    ("prefork", "four processes that share one listener", false, true),
    ("reuseport", "four processes with a listener each", false, false),
];

/// The C baselines and peers: name, description, language, toolchain, arguments for TCP.
const PEERS: [(&str, &str, &str, Toolchain, &str); 18] = [
    ("C edge", "tight epoll in C, edge-triggered", "c", Toolchain::BaselineC, "{port} edge"),
    ("C level", "tight epoll in C, level-triggered", "c", Toolchain::BaselineC, "{port} level"),
    ("libuv", "libuv, uv_try_write", "c", Toolchain::Cc("uv"), "{port}"),
    ("libev", "libev", "c", Toolchain::Cc("ev"), "{port}"),
    ("libevent", "libevent's bufferevents", "c", Toolchain::Cc("event"), "{port}"),
    ("mio", "mio, edge-triggered", "rust", Toolchain::Cargo("mio"), "{port}"),
    ("polling", "polling, one-shot", "rust", Toolchain::Cargo("polling"), "{port}"),
    ("tokio", "tokio, current thread", "rust", Toolchain::Cargo("tokio"), "{port} current"),
    (
        "tokio multi",
        "tokio, as many threads as cores",
        "rust",
        Toolchain::Cargo("tokio"),
        "{port} multi",
    ),
    ("smol", "smol, local executor", "rust", Toolchain::Cargo("smol"), "{port}"),
    ("monoio", "monoio on epoll", "rust", Toolchain::Cargo("monoio"), "{port} epoll"),
    ("monoio uring", "monoio on io_uring", "rust", Toolchain::Cargo("monoio"), "{port} uring"),
    ("threads", "std, a thread for each client", "rust", Toolchain::Cargo("threads"), "{port}"),
    (
        "python epoll",
        "the tutorial's select.epoll",
        "python",
        Toolchain::Python("select"),
        "{port}",
    ),
    ("asyncio", "asyncio, a protocol", "python", Toolchain::Python("asyncio"), "{port} asyncio"),
    ("uvloop", "asyncio on uvloop", "python", Toolchain::Python("uvloop"), "{port} uvloop"),
    ("go", "a goroutine for each client", "go", Toolchain::Go, "{port}"),
    ("node", "a stream piped into itself", "javascript", Toolchain::Node, "{port}"),
];

/// A server before it is built.
#[derive(Debug, Clone)]
pub struct ServerSpec {
    /// The name on the command line and in the table.
    pub name: String,
    /// One line.
    pub what: String,
    /// Where it comes from.
    pub origin: Origin,
    language: Option<&'static str>,
    toolchain: Toolchain,
    /// Commands: `{program}` and `{datagrams}` are the built programs, the rest as in
    /// [`crate::server`].
    tcp: Option<String>,
    udp: Option<String>,
    unix: Option<String>,
}

/// A server that is built and can be started.
#[derive(Debug, Clone)]
pub struct BuiltServer {
    /// Its description in a record, without the idle memory.
    pub about: schema::Server,
    tcp: Option<String>,
    udp: Option<String>,
    unix: Option<String>,
}

/// All known servers: C, models, peers.
#[must_use]
pub fn all() -> Vec<ServerSpec> {
    let others = || {
        PEERS.iter().map(|&(name, what, language, toolchain, arguments)| {
            let origin = if toolchain == Toolchain::BaselineC { Origin::C } else { Origin::Peer };
            let udp = match name {
                "C edge" => Some("{datagrams} {port}".to_owned()),
                "tokio" => Some("{program} {port} current udp".to_owned()),
                _ => None,
            };
            let unix = (origin == Origin::C)
                .then(|| format!("{{program}} {}", arguments.replace("{port}", "{path}")));
            let tcp = Some(format!("{{program}} {arguments}"));
            let (name, what, language) = (name.to_owned(), what.to_owned(), Some(language));
            ServerSpec { name, what, origin, language, toolchain, tcp, udp, unix }
        })
    };
    let models = MODELS.iter().map(|&(name, what, udp, unix)| ServerSpec {
        name: name.to_owned(),
        what: what.to_owned(),
        origin: Origin::Model,
        language: Some("rust"),
        toolchain: Toolchain::Epollite,
        tcp: Some(format!("{{program}} echo -q --model {name} --tcp 127.0.0.1:{{port}}")),
        udp: udp.then(|| format!("{{program}} echo -q --model {name} --udp 127.0.0.1:{{port}}")),
        unix: unix.then(|| format!("{{program}} echo -q --model {name} --unix {{path}}")),
    });
    let c = others().filter(|entry| entry.origin == Origin::C);
    let peers = others().filter(|entry| entry.origin == Origin::Peer);
    c.chain(models).chain(peers).collect()
}

/// Selects servers by name, `models`, `peers` or `all`. Without names, the default ones.
///
/// # Errors
/// An unknown name.
pub fn select(names: &[String]) -> Result<Vec<ServerSpec>> {
    select_of(names, &[])
}

/// The same, with `extras`. All extras are included: those not named come last.
///
/// # Errors
/// An unknown name.
pub fn select_of(names: &[String], extras: &[ServerSpec]) -> Result<Vec<ServerSpec>> {
    let all = || all().into_iter().chain(extras.iter().cloned());
    let mut chosen: Vec<ServerSpec> = Vec::new();
    let mut add = |matches: &dyn Fn(&ServerSpec) -> bool| {
        let before = chosen.len();
        let mut found = 0;
        for entry in all().filter(|entry| matches(entry)) {
            found += 1;
            if !chosen.iter().any(|other| other.name == entry.name) {
                chosen.push(entry);
            }
        }
        found > 0 || chosen.len() > before
    };
    if names.is_empty() {
        add(&|entry| {
            entry.origin != Origin::Model || DEFAULT_MODELS.contains(&entry.name.as_str())
        });
    }
    let unnamed = extras.iter().filter(|extra| !names.contains(&extra.name));
    for name in names {
        let found = match name.as_str() {
            "all" => add(&|_| true),
            "models" => add(&|entry| entry.origin == Origin::Model),
            "peers" => add(&|entry| entry.origin == Origin::Peer),
            name => add(&|entry| entry.name == name),
        };
        if !found {
            let known: Vec<String> = all().map(|entry| entry.name).collect();
            bail!("unknown server '{name}'; known are models, peers, all, {}", known.join(", "));
        }
    }
    chosen.retain(|entry| !unnamed.clone().any(|extra| extra.name == entry.name));
    chosen.extend(unnamed.cloned());
    Ok(chosen)
}

impl ServerSpec {
    /// Its commands for display: the one for TCP, or the others.
    fn commands(&self) -> String {
        let others = || [&self.udp, &self.unix].into_iter().flatten().cloned().collect::<Vec<_>>();
        self.tcp.clone().unwrap_or_else(|| others().join("; "))
    }

    /// The missing tool in one line, if any.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        installed::missing(self.toolchain)
    }
}

impl BuiltServer {
    /// A second copy under another name.
    #[must_use]
    pub fn copy_as(&self, name: &str) -> Self {
        let mut copy = self.clone();
        name.clone_into(&mut copy.about.name);
        copy.about.what = format!("a second copy of {}: the noise", self.about.name);
        copy
    }

    /// The command for a case, or why there is none.
    ///
    /// # Errors
    /// The unsupported transport, as text.
    pub fn command(&self, case: &Case) -> Result<&str, String> {
        let (command, what) = match case.transport {
            Transport::Tcp => (&self.tcp, "TCP"),
            Transport::Udp => (&self.udp, "UDP"),
            Transport::Unix => (&self.unix, "Unix sockets"),
        };
        command.as_deref().ok_or_else(|| match (self.about.origin, case.transport) {
            (Origin::Extra, Transport::Tcp) => missing_extra_command("TCP", "COMMAND {port}"),
            (Origin::Extra, Transport::Udp) => missing_extra_command("UDP", "udp:COMMAND {port}"),
            (Origin::Extra, Transport::Unix) => {
                missing_extra_command("Unix sockets", "COMMAND {path}")
            }
            _ => format!("{what} is not supported"),
        })
    }
}

/// Why a server of `--extra` is skipped: it has no command for the transport.
fn missing_extra_command(what: &str, how: &str) -> String {
    format!("--extra has no command for {what}: add NAME='{how}'")
}

/// The folder of the peers' sources.
fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}
