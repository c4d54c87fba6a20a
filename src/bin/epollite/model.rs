//! The server models by name, and what each cannot do.
//!
//! Knows words only: how a model serves is told in `models/`, one file each.

use epollite::Trigger;

use super::args::Echo;

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
    /// The reactor, triggered as `--trigger` says.
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

/// How workers share one listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Share {
    Plain,
    Exclusive,
    Rotate,
}

impl Share {
    pub(crate) fn named(text: &str) -> Result<Self, String> {
        match text {
            "plain" => Ok(Self::Plain),
            "exclusive" => Ok(Self::Exclusive),
            "rotate" => Ok(Self::Rotate),
            _ => Err(format!("'{text}' is not plain, exclusive or rotate")),
        }
    }
}

/// How the kernel chooses among the listeners of one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Steer {
    Hash,
    Cpu,
    Random,
}

impl Steer {
    pub(crate) fn named(text: &str) -> Result<Self, String> {
        match text {
            "hash" => Ok(Self::Hash),
            "cpu" => Ok(Self::Cpu),
            "random" => Ok(Self::Random),
            _ => Err(format!("'{text}' is not hash, cpu or random")),
        }
    }
}

impl Model {
    pub(crate) fn named(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|&(_, model)| model).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("'{text}' is no model; there are {}", names.join(", "))
        })
    }

    fn name(self) -> &'static str {
        NAMES.iter().find(|(_, model)| *model == self).map_or("epoll", |(name, _)| name)
    }

    /// Whether it forks, and is told when a child ends.
    pub(crate) const fn has_children(self) -> bool {
        matches!(self, Self::Process | Self::Prefork | Self::Reuseport)
    }

    /// Whether it waits inside one call, and so for one thing.
    const fn waits_for_one(self) -> bool {
        matches!(self, Self::Blocking | Self::Thread)
    }

    /// Why this model has no use for an option, if it has none.
    fn lacks(self, flag: &str) -> Option<&'static str> {
        use Model::{Blocking, Epoll, Prefork, Process, Reuseport, Thread};
        match (self, flag) {
            (Prefork, "--share" | "--workers") | (Reuseport, "--steer" | "--workers") => None,
            (_, "--share") => Some("only prefork shares a listener"),
            (_, "--steer") => Some("only reuseport has listeners to choose from"),
            (_, "--workers") => Some("only prefork and reuseport have workers"),
            (Epoll(_), _) => None,
            (Prefork | Reuseport, "--trigger") => Some("its workers are edge-triggered"),
            (Prefork | Reuseport, "--threads") => Some("it has processes: say --workers"),
            (Prefork | Reuseport, "--udp") => Some("it spreads connections"),
            (Reuseport, "--unix") => Some("only ports can be shared so"),
            (Prefork | Reuseport, "--budget") => Some("its workers have the usual one"),
            (_, "--trigger") => Some("only epoll has triggers"),
            (Thread, "--threads") => Some("it has a thread for each client"),
            (Process, "--threads") => Some("it has a process for each client"),
            (_, "--threads") => Some("it has one thread"),
            (Self::Coroutine, "--budget") => Some("its clients take turns by calls, not by bytes"),
            (_, "--budget") => Some("it reads once, then others have their turn"),
            (Blocking, "--max-connections") => Some("it serves one at a time"),
            (Thread, "--udp") => Some("a datagram is no client that a thread could stay with"),
            (Process, "--udp") => Some("a datagram is no client that a process could stay with"),
            (Blocking | Thread | Process, "--idle-timeout") => Some("its wait has no end"),
            _ => None,
        }
    }
}

/// Brings `--model` and `--trigger` together, and refuses a model what it cannot do: in one
/// line, the reason in it. `given` are the flags that were on the command line.
pub(crate) fn settle(
    options: &mut Echo,
    model: Option<Model>,
    given: &[String],
) -> Result<(), String> {
    let is_given = |flag: &str| given.iter().any(|other| other == flag);
    options.model = match model {
        None => Model::Epoll(options.trigger),
        Some(Model::Epoll(trigger)) if is_given("--trigger") && trigger != options.trigger => {
            let name = Model::Epoll(trigger).name();
            return Err(format!("--model {name} with another --trigger: which of them?"));
        }
        Some(model) => model,
    };
    if let Model::Epoll(trigger) = options.model {
        options.trigger = trigger;
    }
    let (model, name) = (options.model, options.model.name());
    if model.waits_for_one() && options.targets.len() > 1 {
        return Err(format!("--model {name} waits in accept(2): it can have one address only"));
    }
    for flag in given {
        if let Some(why) = model.lacks(flag) {
            return Err(format!("--model {name} cannot do {flag}: {why}"));
        }
    }
    Ok(())
}
