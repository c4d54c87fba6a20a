//! The server models by name, and what each cannot do.
//!
//! Knows words only: how a model serves is told in `models/`, one file each.

use epollite::Trigger;

use super::args::Echo;

/// How clients are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Model {
    Blocking,
    Thread,
    Nonblocking,
    Select,
    Poll,
    /// The reactor, triggered as `--trigger` says.
    Epoll(Trigger),
}

/// Every model by its name.
const NAMES: [(&str, Model); 8] = [
    ("blocking", Model::Blocking),
    ("thread", Model::Thread),
    ("nonblocking", Model::Nonblocking),
    ("select", Model::Select),
    ("poll", Model::Poll),
    ("epoll-level", Model::Epoll(Trigger::Level)),
    ("epoll-edge", Model::Epoll(Trigger::Edge)),
    ("epoll-oneshot", Model::Epoll(Trigger::OneShot)),
];

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

    /// Whether it waits inside one call, and so for one thing.
    const fn waits_for_one(self) -> bool {
        matches!(self, Self::Blocking | Self::Thread)
    }

    /// Why this model has no use for an option, if it has none.
    fn lacks(self, flag: &str) -> Option<&'static str> {
        match (self, flag) {
            (Self::Epoll(_), _) => None,
            (_, "--trigger") => Some("only epoll has triggers"),
            (Self::Thread, "--threads") => Some("it has a thread for each client"),
            (_, "--threads") => Some("it has one thread"),
            (_, "--budget") => Some("it reads once, then others have their turn"),
            (Self::Blocking, "--max-connections") => Some("it serves one at a time"),
            (Self::Thread, "--udp") => {
                Some("a datagram is no client that a thread could stay with")
            }
            (Self::Blocking | Self::Thread, "--idle-timeout") => Some("its recv(2) waits for ever"),
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
