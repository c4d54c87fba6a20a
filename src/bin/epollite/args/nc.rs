//! The words of `epollite nc`. Knows the flags and which do not go together; resolves no name.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use epollite::{Family, Kind, UnixAddr};

use super::super::failure::Failure;
use super::super::{help, units};
use super::command::Command;
use super::target::unix;
use super::words::{Word, Words};

/// `epollite nc`.
#[derive(Clone, Debug)]
pub(crate) struct Nc {
    pub(crate) place: Place,
    /// Streams, or datagrams (`-u`).
    pub(crate) kind: Kind,
    pub(crate) is_listening: bool,
    /// Goes on after the first connection (`-k`).
    pub(crate) keeps: bool,
    /// Only this family of addresses (`-4`, `-6`).
    pub(crate) family: Option<Family>,
    /// Asks no resolver (`-n`).
    pub(crate) is_numeric: bool,
    /// Where from: a host, or the path of a Unix datagram socket (`-s`).
    pub(crate) source: Option<OsString>,
    /// Where from: the port (`-p`).
    pub(crate) source_port: Option<u16>,
    /// Ports given by the name of a service, to be looked up: what is in `place`, and the source
    /// port, is 0 until then.
    pub(crate) service: Option<String>,
    pub(crate) source_service: Option<String>,
    pub(crate) may_broadcast: bool,
    /// Only looks who listens (`-z`).
    pub(crate) scans: bool,
    /// How often `-v` was said.
    pub(crate) verbosity: u32,
    /// For a connection to come to be, and to be idle (`-w`).
    pub(crate) patience: Option<Duration>,
    /// After so many reads from the network it is over (`-W`).
    pub(crate) received_max: Option<u64>,
    /// Shuts the network's side when the input has ended (`-N`).
    pub(crate) shuts: bool,
    /// So long after the input has ended it is over (`-q`).
    pub(crate) quits: Option<Duration>,
    /// Between lines (`-i`).
    pub(crate) interval: Option<Duration>,
    /// Lines end with CR LF (`-C`).
    pub(crate) crlf: bool,
    pub(crate) mode: Mode,
}

/// Where to.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// `host` is `None` for a listener on all addresses.
    Ports {
        host: Option<String>,
        first: u16,
        last: u16,
    },
    Unix(UnixAddr),
}

/// What a listener does with what it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// It goes to stdout, and stdin goes to everybody.
    Talk,
    /// Everybody gets his own back.
    Echo,
    /// It is dropped.
    Discard,
    /// Everybody gets what the others say.
    Chat,
}

/// The longest that may be waited for: what goes into a deadline without overflow, and far more
/// than anybody waits.
const TIME_MAX: Duration = Duration::from_secs(1 << 31);

pub(super) fn nc(words: &mut Words) -> Result<Command, Failure> {
    words.hint = "epollite nc --help";
    let mut options = Nc {
        place: Place::Ports { host: None, first: 0, last: 0 },
        kind: Kind::Stream,
        is_listening: false,
        keeps: false,
        family: None,
        is_numeric: false,
        source: None,
        source_port: None,
        service: None,
        source_service: None,
        may_broadcast: false,
        scans: false,
        verbosity: 0,
        patience: None,
        received_max: None,
        shuts: false,
        quits: None,
        interval: None,
        crlf: false,
        mode: Mode::Talk,
    };
    let mut is_unix = false;
    let mut plain = Vec::new();
    while let Some(word) = words.next()? {
        match word {
            Word::Plain(word) => plain.push(word),
            Word::Flag(flag) => match flag.as_str() {
                "-h" | "--help" => return Ok(Command::Help(help::NC)),
                "-U" => is_unix = true,
                _ => set(&mut options, &flag, words)?,
            },
        }
    }
    if options.kind == Kind::Stream && options.quits == Some(Duration::ZERO) {
        // To OpenBSD's nc too: the other end is told, and its answer is waited for. Datagrams have
        // no end to wait for.
        options.quits = None;
    }
    if let Some(why) = contradiction(&options, is_unix) {
        return Err(words.usage(why));
    }
    options.place = if is_unix { unix_place(&plain) } else { ports(&plain, &mut options) }
        .map_err(|why| words.usage(&why))?;
    Ok(Command::Nc(options))
}

/// One flag, and its value if it has one.
fn set(options: &mut Nc, flag: &str, words: &mut Words) -> Result<(), Failure> {
    match flag {
        "-l" => options.is_listening = true,
        "-k" => options.keeps = true,
        "-u" => options.kind = Kind::Datagram,
        "-4" => options.family = Some(Family::Inet),
        "-6" => options.family = Some(Family::Inet6),
        "-n" => options.is_numeric = true,
        "-b" => options.may_broadcast = true,
        "-z" => options.scans = true,
        "-v" => options.verbosity += 1,
        "-N" => options.shuts = true,
        "-C" => options.crlf = true,
        "-s" => options.source = Some(words.value()?),
        "-p" => {
            let (port, service) = words.take(port)?;
            (options.source_port, options.source_service) = (Some(port), service);
        }
        "-w" => options.patience = words.take(time)?,
        "-i" => options.interval = words.take(time)?,
        "-W" => options.received_max = Some(words.take(|text| units::big_number(text, 1))?),
        "-q" => {
            options.quits = words.take(quits)?;
            options.shuts |= options.quits.is_some();
        }
        "--echo" | "--discard" | "--chat" => {
            if options.mode != Mode::Talk {
                return Err(words.usage("one of --echo, --discard and --chat is enough"));
            }
            options.mode = match flag {
                "--echo" => Mode::Echo,
                "--discard" => Mode::Discard,
                _ => Mode::Chat,
            };
        }
        "-e" | "-c" => {
            return Err(words.usage(&format!(
                "{flag} would run a program for whoever connects, with your rights: it is not \
                 here; say it with pipes, or with socat's EXEC"
            )));
        }
        _ => return Err(words.usage(&format!("unknown option '{flag}'"))),
    }
    Ok(())
}

/// What does not go together.
fn contradiction(options: &Nc, is_unix: bool) -> Option<&'static str> {
    let listens = options.is_listening;
    let is_datagram = options.kind == Kind::Datagram;
    match () {
        () if listens && options.scans => Some("cannot use -z and -l"),
        () if options.keeps && !listens => Some("must use -l with -k"),
        () if options.mode != Mode::Talk && !listens => {
            Some("must use -l with --echo, --discard and --chat")
        }
        () if options.scans && is_unix => Some("cannot use -z and -U: a path has no ports"),
        () if is_unix && options.source_port.is_some() => Some("cannot use -p and -U"),
        () if is_unix && options.family.is_some() => Some("cannot use -4 or -6 and -U"),
        () if is_unix && options.source.is_some() && (listens || !is_datagram) => {
            Some("-s with -U is where a client's datagrams come from: it wants -u and no -l")
        }
        () if options.may_broadcast && (is_unix || !is_datagram) => {
            Some("-b is for UDP: it wants -u and no -U")
        }
        () => None,
    }
}

fn unix_place(plain: &[OsString]) -> Result<Place, String> {
    match plain {
        [path] => unix(path.as_bytes()).map(Place::Unix),
        [] => Err("missing path".into()),
        [_, stray, ..] => Err(format!("unexpected argument '{}'", stray.to_string_lossy())),
    }
}

/// `HOST PORT`; a listener may leave the host out, or say both with `-s` and `-p`.
fn ports(plain: &[OsString], options: &mut Nc) -> Result<Place, String> {
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    let (host, port) = match plain {
        [host, port] => (Some(text(host)), text(port)),
        [port] if options.is_listening && options.source_port.is_none() => (None, text(port)),
        [host] if options.is_listening => (Some(text(host)), String::new()),
        [] if options.is_listening => (None, String::new()),
        [_, _, stray, ..] => return Err(format!("unexpected argument '{}'", text(stray))),
        _ => (None, String::new()),
    };
    let (first, last) = if !port.is_empty() {
        if options.is_listening && options.source_port.is_some() {
            return Err("the port to listen on is said twice".into());
        }
        let (first, last, service) = range(&port, options.scans)?;
        options.service = service;
        (first, last)
    } else if let Some(own) = options.source_port.take().filter(|_| options.is_listening) {
        // -l takes its own address from -s and -p as well.
        options.service = options.source_service.take();
        (own, own)
    } else {
        return Err("missing port number".into());
    };
    let mut host = host.filter(|host| !host.is_empty());
    if options.is_listening && host.is_none() {
        host = options.source.take().map(|host| text(&host));
    }
    let is_odd = |host: &String| host.chars().any(|c| c.is_whitespace() || c.is_control());
    if let Some(host) = host.iter().find(|host| is_odd(host)) {
        return Err(format!("'{host}' is no host"));
    }
    if host.is_none() && !options.is_listening {
        return Err("missing host".into());
    }
    if first == 0 && options.service.is_none() && !options.is_listening {
        return Err("port number too small: 0".into());
    }
    Ok(Place::Ports { host, first, last })
}

/// `22`, or `20-30` for a scan, or `http`; a service's name may have a hyphen, too.
fn range(text: &str, scans: bool) -> Result<(u16, u16, Option<String>), String> {
    let begins_with_digit = text.starts_with(|c: char| c.is_ascii_digit());
    match text.split_once('-').filter(|_| begins_with_digit) {
        Some(_) if !scans => Err(format!("'{text}': a range of ports is for -z")),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            Ok((first.min(last), first.max(last), None))
        }
        None => port(text).map(|(port, service)| (port, port, service)),
    }
}

/// A number; or 0, and the name that is to be looked up.
fn port(text: &str) -> Result<(u16, Option<String>), String> {
    let is_word = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_word && text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return Ok((0, Some(text.to_owned())));
    }
    number(text).map(|port| (port, None))
}

fn number(text: &str) -> Result<u16, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if is_number => Ok(port),
        _ if is_number => Err(format!("port number too large: {text}")),
        _ => Err(format!("port number invalid: '{text}'")),
    }
}

fn time(text: &str) -> Result<Option<Duration>, String> {
    match units::duration(text)? {
        Some(long) if long > TIME_MAX => Err(format!("'{text}' is too long")),
        time => Ok(time),
    }
}

/// Unlike other times, 0 is at once, and what is negative is never.
fn quits(text: &str) -> Result<Option<Duration>, String> {
    match text.strip_prefix('-') {
        Some(never) => time(never).map(|_| None),
        None if text == "off" => Ok(None),
        None => time(text).map(|time| Some(time.unwrap_or_default())),
    }
}
