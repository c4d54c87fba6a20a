//! From words on the command line to a command. Pure: it reads no environment, resolves no
//! name and touches no file.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use epollite::{Trigger, UnixAddr};

use super::failure::Failure;
use super::log::{Format, Log};
use super::{help, units};

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Command {
    Help(&'static str),
    Version,
    Echo(Echo),
    Sim(Sim),
    Check(Target),
}

/// A name and a port, not resolved yet; or a Unix socket.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Tcp(String),
    Udp(String),
    Unix(UnixAddr),
}

/// `epollite echo`.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    pub(crate) targets: Vec<Target>,
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

/// `epollite sim`.
#[derive(Clone, Debug)]
pub(crate) struct Sim {
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    /// `None` takes another one each day.
    pub(crate) trigger: Option<Trigger>,
    pub(crate) has_faults: bool,
    pub(crate) is_quiet: bool,
}

/// Where `epollite echo` serves when it is not told.
const DEFAULT_TCP: &str = "127.0.0.1:7777";

/// More threads than this help nobody: each is a reactor of its own.
const THREADS_MAX: u32 = 1024;

/// Reads a command line, without the program's own name.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Command, Failure> {
    let mut words =
        Words { rest: words.collect(), hint: "epollite --help", flag: String::new(), inline: None };
    let command = match words.next()? {
        None => return Err(words.usage("no command")),
        Some(Word::Flag(flag)) => match flag.as_str() {
            "-h" | "--help" => Command::Help(help::MAIN),
            "-V" | "--version" => Command::Version,
            _ => return Err(words.usage(&format!("unknown option '{flag}'"))),
        },
        Some(Word::Plain(word)) => match word.as_bytes() {
            b"echo" => echo(&mut words)?,
            b"sim" => sim(&mut words)?,
            b"help" => Command::Help(help::MAIN),
            _ => {
                return Err(words.usage(&format!("unknown command '{}'", word.to_string_lossy())));
            }
        },
    };
    Ok(command)
}

fn echo(words: &mut Words) -> Result<Command, Failure> {
    words.hint = "epollite echo --help";
    let mut options = Echo {
        targets: Vec::new(),
        trigger: Trigger::Edge,
        threads: 1,
        connections_max: None,
        idle: None,
        drain: Duration::from_secs(5),
        budget_bytes: None,
        log: Log { format: Format::Text, is_verbose: false, is_quiet: false },
        trace: None,
        is_counted: false,
    };
    let mut check = None;
    while let Some(word) = words.next()? {
        let flag = match word {
            Word::Flag(flag) => flag,
            Word::Plain(word) => {
                let word = word.to_string_lossy();
                return Err(words.usage(&format!("unexpected argument '{word}'")));
            }
        };
        match flag.as_str() {
            "-h" | "--help" => return Ok(Command::Help(help::ECHO)),
            "--tcp" => options.targets.push(words.take(|text| host(text).map(Target::Tcp))?),
            "--udp" => options.targets.push(words.take(|text| host(text).map(Target::Udp))?),
            "--unix" => options.targets.push(Target::Unix(words.unix_path()?)),
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
            "--check" => check = Some(words.take(target)?),
            _ => return Err(words.usage(&format!("unknown option '{flag}'"))),
        }
    }
    if let Some(target) = check {
        return if options.targets.is_empty() {
            Ok(Command::Check(target))
        } else {
            Err(words.usage("--check is a client: it takes no --tcp, --udp or --unix"))
        };
    }
    if options.log.is_verbose && options.log.is_quiet {
        return Err(words.usage("--verbose and --quiet at once"));
    }
    if let Some(max) = options.connections_max
        && max < options.threads
    {
        let why =
            format!("--max-connections {max} with --threads {}: each serves", options.threads);
        return Err(words.usage(&format!("{why} at least one")));
    }
    if options.targets.is_empty() {
        options.targets.push(Target::Tcp(DEFAULT_TCP.into()));
    }
    Ok(Command::Echo(options))
}

fn sim(words: &mut Words) -> Result<Command, Failure> {
    words.hint = "epollite sim --help";
    let mut seed = None;
    let mut options =
        Sim { seed: 0, steps: 1_000_000, trigger: None, has_faults: false, is_quiet: false };
    while let Some(word) = words.next()? {
        let flag = match word {
            Word::Flag(flag) => flag,
            Word::Plain(word) => {
                let word = word.to_string_lossy();
                return Err(words.usage(&format!("unexpected argument '{word}'")));
            }
        };
        match flag.as_str() {
            "-h" | "--help" => return Ok(Command::Help(help::SIM)),
            "--seed" => seed = Some(words.take(|text| units::big_number(text, 0))?),
            "--steps" => options.steps = words.take(|text| units::big_number(text, 1))?,
            "--trigger" => options.trigger = Some(words.take(trigger)?),
            "--faults" => options.has_faults = true,
            "-q" | "--quiet" => options.is_quiet = true,
            _ => return Err(words.usage(&format!("unknown option '{flag}'"))),
        }
    }
    options.seed = seed.ok_or_else(|| words.usage("--seed is missing: which day?"))?;
    Ok(Command::Sim(options))
}

/// `HOST:PORT`, looked at only so far that a typing error is told apart from an unknown host.
fn host(text: &str) -> Result<String, String> {
    let bad = || format!("'{text}' is no address, such as 127.0.0.1:7777, [::1]:7777 or :7777");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err(format!("'{text}': the port is not a number from 0 to 65535"));
    }
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let has_odd = host.chars().any(|c| c.is_whitespace() || c.is_control());
    if (host.contains(':') && !is_bracketed) || has_odd {
        return Err(bad());
    }
    Ok(text.to_owned())
}

fn target(text: &str) -> Result<Target, String> {
    match text.split_once(':') {
        Some(("unix", path)) => unix(path.as_bytes()).map(Target::Unix),
        Some(("udp", rest)) if rest.contains(':') => host(rest).map(Target::Udp),
        Some(("tcp", rest)) if rest.contains(':') => host(rest).map(Target::Tcp),
        _ => host(text).map(Target::Tcp),
    }
}

fn unix(path: &[u8]) -> Result<UnixAddr, String> {
    let name = match path {
        [b'@', name @ ..] => UnixAddr::abstract_name(name),
        path => UnixAddr::path(path),
    };
    name.map_err(|error| format!("'{}': {error}", String::from_utf8_lossy(path)))
}

fn trigger(text: &str) -> Result<Trigger, String> {
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

/// A word: `-x` and `--xyz` are flags.
enum Word {
    Flag(String),
    Plain(OsString),
}

/// The words that are left, and for the sake of errors where we are.
struct Words {
    rest: VecDeque<OsString>,
    /// Where to send people.
    hint: &'static str,
    /// The flag whose value is wanted next.
    flag: String,
    /// What stood behind the `=` of that flag, until somebody takes it.
    inline: Option<OsString>,
}

impl Words {
    fn next(&mut self) -> Result<Option<Word>, Failure> {
        if self.inline.is_some() {
            return Err(self.usage(&format!("{} takes no value", self.flag)));
        }
        let Some(word) = self.rest.pop_front() else { return Ok(None) };
        let bytes = word.as_bytes();
        if !bytes.starts_with(b"-") || bytes == b"-" {
            return Ok(Some(Word::Plain(word)));
        }
        if let Some(at) = bytes.iter().position(|&byte| byte == b'=')
            && bytes.starts_with(b"--")
        {
            self.inline = Some(OsString::from_vec(bytes[at + 1..].to_vec()));
            self.flag = String::from_utf8_lossy(&bytes[..at]).into_owned();
            return Ok(Some(Word::Flag(self.flag.clone())));
        }
        if !bytes.starts_with(b"--") && bytes.len() > 2 {
            // `-vq` is `-v -q`.
            let others = [b"-", &bytes[2..]].concat();
            self.rest.push_front(OsString::from_vec(others));
            self.flag = String::from_utf8_lossy(&bytes[..2]).into_owned();
            return Ok(Some(Word::Flag(self.flag.clone())));
        }
        self.flag = String::from_utf8_lossy(bytes).into_owned();
        Ok(Some(Word::Flag(self.flag.clone())))
    }

    /// The value of the flag just read, as bytes.
    fn value(&mut self) -> Result<OsString, Failure> {
        let value = self.inline.take().or_else(|| self.rest.pop_front());
        value.ok_or_else(|| self.usage(&format!("{} needs a value", self.flag)))
    }

    /// The value of the flag just read, as `read` reads it.
    fn take<T>(&mut self, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Failure> {
        let value = self.value()?;
        read(&value.to_string_lossy()).map_err(|why| self.usage(&format!("{}: {why}", self.flag)))
    }

    /// A path is bytes, not text.
    fn unix_path(&mut self) -> Result<UnixAddr, Failure> {
        let value = self.value()?;
        unix(value.as_bytes()).map_err(|why| self.usage(&format!("{}: {why}", self.flag)))
    }

    fn usage(&self, why: &str) -> Failure {
        // What people typed may hold anything; an error is one line.
        let why: String = why.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        Failure::new(Failure::USAGE, format!("{why}; try '{}'", self.hint))
    }
}
