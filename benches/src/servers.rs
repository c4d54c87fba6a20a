//! The known servers: epollite models, C baselines, peers. Their names and commands are here;
//! building is in `servers/build.rs`, running in `server.rs`.

mod build;
mod extra;
mod installed;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::case::{Case, Transport};
use crate::schema::{self, Origin};
pub use build::Builder;
use build::Toolchain;
pub(crate) use build::compiler;
pub use extra::Extra;
pub(crate) use extra::group_extras;

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

/// The C baselines and peers: name, description, toolchain, arguments for TCP.
const PEERS: [(&str, &str, Toolchain, &str); 22] = [
    ("C edge", "tight epoll in C, edge-triggered", Toolchain::BaselineC, "{port} edge"),
    ("C level", "tight epoll in C, level-triggered", Toolchain::BaselineC, "{port} level"),
    ("libuv", "libuv, uv_try_write", Toolchain::Cc("libuv"), "{port}"),
    ("libev", "libev", Toolchain::Cc("libev"), "{port}"),
    ("libevent", "libevent's bufferevents", Toolchain::Cc("libevent"), "{port}"),
    ("glib", "GLib's GSocketService, asynchronous", Toolchain::Cc("glib"), "{port}"),
    ("mio", "mio, edge-triggered", Toolchain::Cargo("mio"), "{port}"),
    ("polling", "polling, one-shot", Toolchain::Cargo("polling"), "{port}"),
    (
        "tokio",
        "tokio, current thread, 64 KiB a connection",
        Toolchain::Cargo("tokio"),
        "{port} current",
    ),
    (
        "tokio multi",
        "tokio, a thread for each core, 64 KiB a connection",
        Toolchain::Cargo("tokio"),
        "{port} multi",
    ),
    ("smol", "smol, local executor, 64 KiB a connection", Toolchain::Cargo("smol"), "{port}"),
    ("monoio", "monoio on epoll, 64 KiB a connection", Toolchain::Cargo("monoio"), "{port} epoll"),
    (
        "monoio uring",
        "monoio on io_uring, 64 KiB a connection",
        Toolchain::Cargo("monoio"),
        "{port} uring",
    ),
    ("threads", "std, a thread and 64 KiB for each client", Toolchain::Cargo("threads"), "{port}"),
    ("python epoll", "the tutorial's select.epoll", Toolchain::Python("select"), "{port}"),
    ("asyncio", "asyncio, a protocol", Toolchain::Python("asyncio"), "{port} asyncio"),
    ("uvloop", "asyncio on uvloop", Toolchain::Python("uvloop"), "{port} uvloop"),
    ("twisted", "Twisted, a protocol", Toolchain::Python("twisted"), "{port}"),
    ("go", "a goroutine and 64 KiB for each client", Toolchain::Go, "{port}"),
    ("node", "a stream piped into itself", Toolchain::Node, "{port}"),
    ("java", "Java NIO, one selector, 64 KiB a connection", Toolchain::Java, "{port}"),
    ("tcl", "Tcl, fcopy in the background", Toolchain::Tcl, "{port}"),
];

/// The command of a server for each transport that it supports.
type Commands = HashMap<Transport, String>;

/// A server before it is built.
#[derive(Debug, Clone)]
pub struct ServerSpec {
    /// The name on the command line and in the table.
    pub name: String,
    /// One line.
    pub what: String,
    /// Where it comes from.
    pub origin: Origin,
    toolchain: Toolchain,
    /// `{program}` and `{datagrams}` are the built programs, the rest as in [`crate::server`].
    commands: Commands,
}

/// A server that is built and can be started.
#[derive(Debug, Clone)]
pub struct BuiltServer {
    /// Its description in a record, without the idle memory.
    pub about: schema::Server,
    commands: Commands,
}

/// All known servers: C, models, peers.
pub fn all() -> Vec<ServerSpec> {
    let others = PEERS.iter().map(|&(name, what, toolchain, arguments)| {
        let origin = if toolchain == Toolchain::BaselineC { Origin::C } else { Origin::Peer };
        let mut commands = Commands::from([(Transport::Tcp, format!("{{program}} {arguments}"))]);
        if origin == Origin::C {
            let command = format!("{{program}} {}", arguments.replace("{port}", "{path}"));
            commands.insert(Transport::Unix, command);
        }
        let udp = match name {
            "C edge" => Some("{datagrams} {port}"),
            "tokio" => Some("{program} {port} current udp"),
            _ => None,
        };
        commands.extend(udp.map(|command| (Transport::Udp, command.to_owned())));
        let (name, what) = (name.to_owned(), what.to_owned());
        ServerSpec { name, what, origin, toolchain, commands }
    });
    let models = MODELS.iter().map(|&(name, what, udp, unix)| {
        let addresses = [
            (Transport::Tcp, true, "--tcp 127.0.0.1:{port}"),
            (Transport::Udp, udp, "--udp 127.0.0.1:{port}"),
            (Transport::Unix, unix, "--unix {path}"),
        ];
        let supported = addresses.into_iter().filter(|(_, is_supported, _)| *is_supported);
        let command = |address| format!("{{program}} echo -q --model {name} {address}");
        ServerSpec {
            name: name.to_owned(),
            what: what.to_owned(),
            origin: Origin::Model,
            toolchain: Toolchain::Epollite,
            commands: supported.map(|(transport, _, it)| (transport, command(it))).collect(),
        }
    });
    let (c, peers): (Vec<_>, Vec<_>) = others.partition(|entry| entry.origin == Origin::C);
    c.into_iter().chain(models).chain(peers).collect()
}

/// Selects servers by name, `models`, `peers` or `all`; without names, the default ones. All
/// `extras` are included: those not named come last.
///
/// # Errors
/// An unknown name.
pub fn select(names: &[String], extras: &[ServerSpec]) -> Result<Vec<ServerSpec>> {
    let known: Vec<ServerSpec> = all().into_iter().chain(extras.iter().cloned()).collect();
    let is_named = |entry: &ServerSpec, name: &str| match name {
        "all" => true,
        "models" => entry.origin == Origin::Model,
        "peers" => entry.origin == Origin::Peer,
        name => entry.name == name,
    };
    let is_default = |entry: &&ServerSpec| {
        entry.origin != Origin::Model || DEFAULT_MODELS.contains(&entry.name.as_str())
    };
    let defaults = known.iter().filter(|_| names.is_empty()).filter(is_default);
    let mut chosen: Vec<ServerSpec> = defaults.cloned().collect();
    for name in names {
        let mut found = known.iter().filter(|entry| is_named(entry, name)).peekable();
        if found.peek().is_none() {
            let known: Vec<&str> = known.iter().map(|entry| entry.name.as_str()).collect();
            bail!("unknown server '{name}'; known are models, peers, all, {}", known.join(", "));
        }
        for entry in found {
            if !chosen.iter().any(|other| other.name == entry.name) {
                chosen.push(entry.clone());
            }
        }
    }
    let unnamed = extras.iter().filter(|extra| !names.contains(&extra.name));
    chosen.retain(|entry| !unnamed.clone().any(|extra| extra.name == entry.name));
    chosen.extend(unnamed.cloned());
    Ok(chosen)
}

impl ServerSpec {
    /// Its commands for display: the one for TCP, or the others.
    fn displayed_command(&self) -> String {
        let of = |transport| self.commands.get(&transport).cloned();
        let others = || [Transport::Udp, Transport::Unix].into_iter().filter_map(of);
        of(Transport::Tcp).unwrap_or_else(|| others().collect::<Vec<_>>().join("; "))
    }

    /// The missing tool in one line, if any.
    pub fn missing(&self) -> Option<String> {
        installed::missing(self.toolchain)
    }
}

impl BuiltServer {
    /// A second copy under another name.
    pub(crate) fn copy_as(&self, name: &str) -> Self {
        let mut copy = self.clone();
        name.clone_into(&mut copy.about.name);
        copy.about.what = format!("a second copy of {}: the noise", self.about.name);
        copy
    }

    /// Its command for a stream, if it has one.
    pub(crate) fn stream_command(&self) -> Option<(Transport, &str)> {
        let of = |transport| Some((transport, self.commands.get(&transport)?.as_str()));
        of(Transport::Tcp).or_else(|| of(Transport::Unix))
    }

    /// The command for a case, or why there is none.
    ///
    /// # Errors
    /// The unsupported transport, as text.
    pub fn command(&self, case: &Case) -> Result<&str, String> {
        let (what, how) = match case.transport {
            Transport::Tcp => ("TCP", "COMMAND {port}"),
            Transport::Udp => ("UDP", "udp:COMMAND {port}"),
            Transport::Unix => ("Unix sockets", "COMMAND {path}"),
        };
        let command = self.commands.get(&case.transport).map(String::as_str);
        command.ok_or_else(|| match self.about.origin {
            Origin::Extra => format!("--extra has no command for {what}: add NAME='{how}'"),
            _ => format!("{what} is not supported"),
        })
    }
}

/// The model that serves one client at a time.
pub(crate) const SEQUENTIAL: &str = "blocking";

/// The folder of the peers' sources.
fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}
