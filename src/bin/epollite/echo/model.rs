//! The server models by name, and the options each does not support.
//!
//! Knows names and options only: the models are implemented in `models/`, one file each.

use epollite::Trigger;

/// How clients are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Model {
    Blocking,
    Process,
    Thread,
    Nonblocking,
    Select,
    Poll,
    Coroutine,
    Prefork,
    Reuseport,
    /// The reactor, with the trigger mode of `--trigger`.
    Epoll(Trigger),
}

/// Every model by its name.
const NAMES: [(&str, Model); 12] = [
    ("blocking", Model::Blocking),
    ("process", Model::Process),
    ("thread", Model::Thread),
    ("nonblocking", Model::Nonblocking),
    ("select", Model::Select),
    ("poll", Model::Poll),
    ("epoll-level", Model::Epoll(Trigger::Level)),
    ("epoll-edge", Model::Epoll(Trigger::Edge)),
    ("epoll-oneshot", Model::Epoll(Trigger::OneShot)),
    ("coroutine", Model::Coroutine),
    ("prefork", Model::Prefork),
    ("reuseport", Model::Reuseport),
];

/// How the kernel selects among the listeners of one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Steer {
    Hash,
    Cpu,
    Random,
}

impl Model {
    pub(crate) fn from_name(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|&(_, model)| model).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("'{text}' is not a model; the models are {}", names.join(", "))
        })
    }

    fn name(self) -> &'static str {
        NAMES.iter().find(|(_, model)| *model == self).map_or("epoll", |(name, _)| name)
    }

    /// Whether it forks, and reads SIGCHLD.
    pub(crate) const fn has_children(self) -> bool {
        matches!(self, Self::Process | Self::Prefork | Self::Reuseport)
    }

    /// Whether it blocks in one call, and so waits for one descriptor only.
    pub(crate) const fn is_blocking(self) -> bool {
        matches!(self, Self::Blocking | Self::Thread)
    }

    /// Why this model does not serve a datagram socket that was passed to it, if it does not.
    pub(crate) fn unsupported_datagrams(self, transport: &str) -> Option<&'static str> {
        match self {
            Self::Epoll(_) => None,
            _ if transport != "udp" => Some("only the reactor's server serves Unix datagrams"),
            _ => self.unsupported_reason("--udp"),
        }
    }

    /// Why this model does not support an option, if it does not.
    fn unsupported_reason(self, flag: &str) -> Option<&'static str> {
        use Model::{Blocking, Epoll, Prefork, Process, Reuseport, Thread};
        match (self, flag) {
            (Prefork, "--accept" | "--workers" | "--worker-timeout")
            | (Reuseport, "--reuseport-select" | "--workers" | "--worker-timeout") => None,
            (Prefork | Reuseport, "--allow" | "--buffer-total") => None,
            (_, "--user") => None,
            (_, "--accept") => Some("only prefork shares a listener"),
            (_, "--reuseport-select") => Some("only reuseport has listeners to choose from"),
            (_, "--workers" | "--worker-timeout") => {
                Some("only prefork and reuseport have workers")
            }
            (Epoll(_), _) => None,
            (Prefork | Reuseport | Process, "--sandbox") => Some("it forks while it serves"),
            (Thread, "--sandbox") => Some("it starts threads while it serves"),
            (_, "--sandbox") => Some("only the calls of the reactor's server are known"),
            (_, "--takeover") => Some("only the reactor's server hands its sockets over"),
            (_, "--metrics") => Some("only the reactor's server answers in the same loop"),
            (Reuseport, "--listen-fds") => Some("each of its workers binds a socket of its own"),
            (_, "--explain" | "--recorder") => Some("only the reactor's server explains itself"),
            (Prefork | Reuseport, "--spin") => Some("its workers would compete for the cores"),
            (Prefork | Reuseport, "--bulk") => Some("its workers copy"),
            (Prefork | Reuseport, "--trigger") => Some("its workers are edge-triggered"),
            (Prefork | Reuseport, "--threads") => Some("it has processes: use --workers"),
            (Prefork | Reuseport, "--udp") => Some("it distributes connections"),
            (Reuseport, "--unix") => Some("SO_REUSEPORT shares ports only"),
            (Prefork | Reuseport, "--read-budget") => Some("its workers use the default"),
            (Prefork | Reuseport, "--connections-per-address" | "--accept-rate") => {
                Some("its workers share no table of addresses")
            }
            (_, "--buffer-total") => Some("only the reactor's server counts its buffers"),
            (_, "--allow" | "--connections-per-address" | "--accept-rate") => {
                Some("only the reactor's server limits addresses")
            }
            (_, "--udp-rate" | "--udp-refuse") => {
                Some("only the reactor's server limits datagrams")
            }
            (_, "--trigger") => Some("only epoll has triggers"),
            (_, "--spin") => Some("only the reactor's server polls before it blocks"),
            (_, "--bulk") => Some("only the reactor's server moves bytes by splice(2)"),
            (Thread, "--threads") => Some("it has a thread for each client"),
            (Process, "--threads") => Some("it has a process for each client"),
            (_, "--threads") => Some("it has one thread"),
            (Self::Coroutine, "--read-budget") => Some("its budget is a number of system calls"),
            (_, "--read-budget") => Some("it reads each client once per iteration"),
            (Blocking, "--max-connections") => Some("it serves one at a time"),
            (Thread, "--udp") => Some("datagrams have no connection to serve in a thread"),
            (Process, "--udp") => Some("datagrams have no connection to serve in a process"),
            (Blocking | Thread | Process, "--idle-timeout") => Some("its recv(2) has no timeout"),
            _ => None,
        }
    }
}

/// Resolves `--model` and `--trigger`, and rejects options that the model does not support: in one
/// line, with the reason. `given` are the flags on the command line, `addresses` is the number of
/// addresses to listen on.
pub(crate) fn resolve_model(
    model: Option<Model>,
    trigger: Trigger,
    given: &[String],
    addresses: usize,
) -> Result<Model, String> {
    let is_given = |flag: &str| given.iter().any(|other| other == flag);
    let model = match model {
        None => Model::Epoll(trigger),
        Some(Model::Epoll(implied)) if is_given("--trigger") && implied != trigger => {
            let name = Model::Epoll(implied).name();
            return Err(format!("--model {name} contradicts --trigger"));
        }
        Some(model) => model,
    };
    let name = model.name();
    if model.is_blocking() && addresses > 1 {
        return Err(format!(
            "--model {name} waits in accept(2): it can listen on one address only"
        ));
    }
    for flag in given {
        if let Some(why) = model.unsupported_reason(flag) {
            return Err(format!("--model {name} does not support {flag}: {why}"));
        }
    }
    Ok(model)
}
