//! The words of `epollite echo`. Knows the flags; what they do is the server's affair.

use std::path::PathBuf;
use std::time::Duration;

use epollite::Trigger;

use super::super::failure::Failure;
use super::super::log::{Format, Log};
use super::super::model::{self, Model, Share, Steer};
use super::super::{help, units};
use super::command::Command;
use super::target::{Target, host, target};
use super::words::{Word, Words};

/// `epollite echo`.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    pub(crate) targets: Vec<Target>,
    pub(crate) model: Model,
    pub(crate) workers: u32,
    pub(crate) share: Share,
    pub(crate) steer: Steer,
    pub(crate) trigger: Trigger,
    pub(crate) threads: u32,
    pub(crate) connections_max: Option<u32>,
    pub(crate) idle: Option<Duration>,
    pub(crate) drain: Duration,
    pub(crate) budget_bytes: Option<usize>,
    pub(crate) log: Log,
    /// Whether every call is printed, and where; `None` inside is stderr.
    pub(crate) trace: Option<Option<PathBuf>>,
    /// Whether calls are summed up in a table.
    pub(crate) is_counted: bool,
}

/// Where `epollite echo` serves when it is not told.
const DEFAULT_TCP: &str = "127.0.0.1:7777";

/// More threads than this help nobody: each is a reactor of its own.
const THREADS_MAX: u32 = 1024;

pub(super) fn echo(words: &mut Words) -> Result<Command, Failure> {
    words.hint = "epollite echo --help";
    let mut options = usual();
    let (mut check, mut model, mut given) = (None, None, Vec::new());
    while let Some(word) = words.next()? {
        let flag = match word {
            Word::Flag(flag) => flag,
            Word::Plain(word) => {
                let word = word.to_string_lossy();
                return Err(words.usage(&format!("unexpected argument '{word}'")));
            }
        };
        given.push(flag.clone());
        match flag.as_str() {
            "-h" | "--help" => return Ok(Command::Help(help::ECHO)),
            "--tcp" => options.targets.push(words.take(|text| host(text).map(Target::Tcp))?),
            "--udp" => options.targets.push(words.take(|text| host(text).map(Target::Udp))?),
            "--unix" => options.targets.push(Target::Unix(words.unix_path()?)),
            "--model" => model = Some(words.take(Model::named)?),
            "--workers" => options.workers = words.take(|n| units::number(n, 1, THREADS_MAX))?,
            "--share" => options.share = words.take(Share::named)?,
            "--steer" => options.steer = words.take(Steer::named)?,
            "--trigger" => options.trigger = words.take(trigger)?,
            "--threads" => options.threads = words.take(|n| units::number(n, 1, THREADS_MAX))?,
            "--max-connections" => {
                options.connections_max = Some(words.take(|n| units::number(n, 1, 1 << 30))?);
            }
            "--idle-timeout" => options.idle = words.take(idle)?,
            "--drain" => options.drain = words.take(units::duration)?.unwrap_or_default(),
            "--budget" => options.budget_bytes = Some(words.take(units::bytes)?),
            "--log" => options.log.format = words.take(format)?,
            "-v" | "--verbose" => options.log.is_verbose = true,
            "-q" | "--quiet" => options.log.is_quiet = true,
            "--trace" => options.trace = Some(words.inline.take().map(PathBuf::from)),
            "--count" => options.is_counted = true,
            "--check" => check = Some(words.take_bytes(target)?),
            _ => return Err(words.usage(&format!("unknown option '{flag}'"))),
        }
    }
    if let Some(target) = check {
        return match given.iter().find(|flag| *flag != "--check") {
            None => Ok(Command::Check(target)),
            Some(flag) => Err(words.usage(&format!("--check is a client: it takes no {flag}"))),
        };
    }
    if options.log.is_verbose && options.log.is_quiet {
        return Err(words.usage("--verbose and --quiet at once"));
    }
    if options.targets.is_empty() {
        options.targets.push(Target::Tcp(DEFAULT_TCP.into()));
    }
    model::settle(&mut options, model, &given).map_err(|why| words.usage(&why))?;
    let (among, flag) = match options.model {
        Model::Prefork | Model::Reuseport => (options.workers, "--workers"),
        _ => (options.threads, "--threads"),
    };
    if let Some(max) = options.connections_max.filter(|&max| max < among) {
        let why = format!("--max-connections {max} with {flag} {among}: each serves at least one");
        return Err(words.usage(&why));
    }
    Ok(Command::Echo(options))
}

/// How echo is served when nothing else is said.
fn usual() -> Echo {
    Echo {
        targets: Vec::new(),
        model: Model::Epoll(Trigger::Edge),
        workers: 4,
        share: Share::Exclusive,
        steer: Steer::Hash,
        trigger: Trigger::Edge,
        threads: 1,
        connections_max: None,
        idle: None,
        drain: Duration::from_secs(5),
        budget_bytes: None,
        log: Log { format: Format::Text, is_verbose: false, is_quiet: false },
        trace: None,
        is_counted: false,
    }
}

pub(super) fn trigger(text: &str) -> Result<Trigger, String> {
    match text {
        "level" => Ok(Trigger::Level),
        "edge" => Ok(Trigger::Edge),
        "oneshot" => Ok(Trigger::OneShot),
        _ => Err(format!("'{text}' is not level, edge or oneshot")),
    }
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        "off" => Ok(Format::Off),
        _ => Err(format!("'{text}' is not text, json or off")),
    }
}

fn idle(text: &str) -> Result<Option<Duration>, String> {
    let idle = units::duration(text)?;
    match idle {
        Some(long) if long > epollite::server::stream::IDLE_MAX => {
            Err(format!("'{text}' is more than 24 days"))
        }
        idle => Ok(idle),
    }
}
