//! Arguments of `epollite nc`. Knows the flags and which exclude each other; resolves no name.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use epollite::kernel::SocketType;
use epollite::net::{AddressFamily, UnixAddr};

use super::super::exit::CliError;
use super::parser::{Arg, ArgParser};
use super::target::parse_unix;
use super::trace::{TraceTarget, parse_trace};
use super::{help, units};

/// `epollite nc`.
#[derive(Clone, Default, Debug)]
pub(crate) struct NcOptions {
    pub(crate) endpoint: Endpoint,
    /// Datagrams instead of streams (`-u`).
    pub(crate) is_datagram: bool,
    pub(crate) is_listening: bool,
    /// Continues after the first connection (`-k`).
    pub(crate) keep_listening: bool,
    /// Only this family of addresses (`-4`, `-6`).
    pub(crate) family: Option<AddressFamily>,
    /// Uses no resolver (`-n`).
    pub(crate) is_numeric: bool,
    /// The source address: a host, or the path of a Unix datagram socket (`-s`).
    pub(crate) source: Option<OsString>,
    /// The source port (`-p`).
    pub(crate) source_port: Option<u16>,
    /// Ports given as service names, to be resolved: the ports in `endpoint`, and the source port,
    /// are 0 until then.
    pub(crate) service: Option<String>,
    pub(crate) source_service: Option<String>,
    pub(crate) broadcast: bool,
    /// Only probes for open ports (`-z`).
    pub(crate) port_scan: bool,
    /// How often `-v` was given.
    pub(crate) verbosity: u32,
    /// Timeout of connecting and of an idle connection (`-w`).
    pub(crate) timeout: Option<Duration>,
    /// The number of reads from the network after which to quit (`-W`).
    pub(crate) max_recvs: Option<u64>,
    /// Half-closes the connection at the end of the input (`-N`).
    pub(crate) shutdown_on_eof: bool,
    /// How long after the end of the input to quit (`-q`).
    pub(crate) quit_after: Option<Duration>,
    /// The delay between lines (`-i`).
    pub(crate) interval: Option<Duration>,
    /// Ends lines with CR LF (`-C`).
    pub(crate) crlf: bool,
    pub(crate) mode: Mode,
    /// Where every call is printed.
    pub(crate) trace: Option<TraceTarget>,
}

/// Where to connect or listen.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    /// `host` is `None` for a listener on all addresses.
    Ports {
        host: Option<String>,
        first: u16,
        last: u16,
    },
    Unix(UnixAddr),
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::Ports { host: None, first: 0, last: 0 }
    }
}

impl NcOptions {
    pub(crate) const fn kind(&self) -> SocketType {
        if self.is_datagram { SocketType::Datagram } else { SocketType::Stream }
    }
}

/// What a listener does with received data.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Mode {
    #[default]
    /// Received data goes to stdout, and stdin goes to all peers.
    Interactive,
    /// Each peer gets its own data back.
    Echo,
    /// Received data is discarded.
    Discard,
    /// Each peer gets the lines of the others.
    Chat,
}

/// The longest timeout: fits into a deadline without overflow, and exceeds any practical one.
const TIME_MAX: Duration = Duration::from_secs(1 << 31);

/// Parses the options; `None` is a request for help.
pub(super) fn parse_nc(args: &mut ArgParser) -> Result<Option<NcOptions>, CliError> {
    args.hint = "epollite nc --help";
    let mut options = NcOptions::default();
    let mut is_unix = false;
    let mut positionals = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Positional(arg) => positionals.push(arg),
            Arg::Flag(flag) => match flag.as_str() {
                "-h" | "--help" => return Ok(None),
                "-U" => is_unix = true,
                _ => apply_flag(&mut options, &flag, args)?,
            },
        }
    }
    if !options.is_datagram && options.quit_after == Some(Duration::ZERO) {
        // As OpenBSD's nc: the connection is half-closed, and the reply is waited for. Datagrams
        // have no end of stream to wait for.
        options.quit_after = None;
    }
    if let Some(why) = check_conflicts(&options, is_unix) {
        return Err(args.usage_error(why));
    }
    options.endpoint =
        if is_unix { parse_unix_endpoint(&positionals) } else { ports(&positionals, &mut options) }
            .map_err(|why| args.usage_error(&why))?;
    Ok(Some(options))
}

/// Applies one flag, with its value if it has one.
fn apply_flag(options: &mut NcOptions, flag: &str, args: &mut ArgParser) -> Result<(), CliError> {
    match flag {
        "-l" => options.is_listening = true,
        "-k" => options.keep_listening = true,
        "-u" => options.is_datagram = true,
        "-4" => options.family = Some(AddressFamily::Inet),
        "-6" => options.family = Some(AddressFamily::Inet6),
        "-n" => options.is_numeric = true,
        "-b" => options.broadcast = true,
        "-z" => options.port_scan = true,
        "-v" => options.verbosity += 1,
        "-N" => options.shutdown_on_eof = true,
        "-C" => options.crlf = true,
        "-s" => options.source = Some(args.value()?),
        "-p" => {
            let (port, service) = args.parse_value(port)?;
            (options.source_port, options.source_service) = (Some(port), service);
        }
        "-w" => options.timeout = args.parse_value(parse_time)?,
        "-i" => options.interval = args.parse_value(parse_time)?,
        "-W" => options.max_recvs = Some(args.parse_value(|text| units::parse_count(text, 1))?),
        "-q" => {
            options.quit_after = args.parse_value(parse_quit_after)?;
            options.shutdown_on_eof |= options.quit_after.is_some();
        }
        "--trace" => options.trace = Some(parse_trace(args)?),
        "--echo" | "--discard" | "--chat" => {
            if options.mode != Mode::Interactive {
                return Err(args.usage_error("one of --echo, --discard and --chat is enough"));
            }
            options.mode = match flag {
                "--echo" => Mode::Echo,
                "--discard" => Mode::Discard,
                _ => Mode::Chat,
            };
        }
        "-e" | "-c" => {
            return Err(args.usage_error(&format!(
                "{flag} would run a program for any client, with your rights: it is not \
                 supported; use pipes, or socat's EXEC"
            )));
        }
        _ => return Err(args.unknown_option(flag, help::NC)),
    }
    Ok(())
}

/// The reason why the options exclude each other, if they do.
fn check_conflicts(options: &NcOptions, is_unix: bool) -> Option<&'static str> {
    let listens = options.is_listening;
    let is_datagram = options.is_datagram;
    match () {
        () if listens && options.port_scan => Some("cannot use -z and -l"),
        () if options.keep_listening && !listens => Some("must use -l with -k"),
        () if options.mode != Mode::Interactive && !listens => {
            Some("must use -l with --echo, --discard and --chat")
        }
        () if options.port_scan && is_unix => Some("cannot use -z and -U: a path has no ports"),
        () if is_unix && options.source_port.is_some() => Some("cannot use -p and -U"),
        () if is_unix && options.family.is_some() => Some("cannot use -4 or -6 and -U"),
        () if is_unix && options.source.is_some() && (listens || !is_datagram) => {
            Some("-s with -U is the source of a client's datagrams: it needs -u, without -l")
        }
        () if options.broadcast && (is_unix || !is_datagram) => {
            Some("-b is for UDP: it needs -u, without -U")
        }
        () => None,
    }
}

fn parse_unix_endpoint(positionals: &[OsString]) -> Result<Endpoint, String> {
    match positionals {
        [path] => parse_unix(path.as_bytes()).map(Endpoint::Unix),
        [] => Err("missing path".into()),
        [_, stray, ..] => Err(format!("unexpected argument '{}'", stray.to_string_lossy())),
    }
}

/// `HOST PORT`; a listener may omit the host, or give both with `-s` and `-p`.
fn ports(positionals: &[OsString], options: &mut NcOptions) -> Result<Endpoint, String> {
    let text = |arg: &OsString| arg.to_string_lossy().into_owned();
    let (host, port) = match positionals {
        [host, port] => (Some(text(host)), text(port)),
        [port] if options.is_listening && options.source_port.is_none() => (None, text(port)),
        [host] if options.is_listening => (Some(text(host)), String::new()),
        [] if options.is_listening => (None, String::new()),
        [_, _, stray, ..] => return Err(format!("unexpected argument '{}'", text(stray))),
        _ => (None, String::new()),
    };
    let (first, last) = if !port.is_empty() {
        if options.is_listening && options.source_port.is_some() {
            return Err("the port to listen on is given twice".into());
        }
        let (first, last, service) = parse_port_range(&port, options.port_scan)?;
        options.service = service;
        (first, last)
    } else if let Some(own) = options.source_port.take().filter(|_| options.is_listening) {
        // -l also accepts its own address from -s and -p.
        options.service = options.source_service.take();
        (own, own)
    } else {
        return Err("missing port number".into());
    };
    let mut host = host.filter(|host| !host.is_empty());
    if options.is_listening && host.is_none() {
        host = options.source.take().map(|host| text(&host));
    }
    let is_invalid = |host: &String| host.chars().any(|c| c.is_whitespace() || c.is_control());
    if let Some(host) = host.iter().find(|host| is_invalid(host)) {
        return Err(format!("'{host}' is not a host"));
    }
    if host.is_none() && !options.is_listening {
        return Err("missing host".into());
    }
    if first == 0 && options.service.is_none() && !options.is_listening {
        return Err("port number too small: 0".into());
    }
    Ok(Endpoint::Ports { host, first, last })
}

/// `22`, or `20-30` for a scan, or `http`; a service's name may contain a hyphen, too.
fn parse_port_range(text: &str, port_scan: bool) -> Result<(u16, u16, Option<String>), String> {
    let begins_with_digit = text.starts_with(|c: char| c.is_ascii_digit());
    match text.split_once('-').filter(|_| begins_with_digit) {
        Some(_) if !port_scan => Err(format!("'{text}': a range of ports is for -z")),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            Ok((first.min(last), first.max(last), None))
        }
        None => port(text).map(|(port, service)| (port, port, service)),
    }
}

/// A number; or 0, and a service name to be resolved.
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

fn parse_time(text: &str) -> Result<Option<Duration>, String> {
    match units::duration(text)? {
        Some(duration) if duration > TIME_MAX => Err(format!("'{text}' is too long")),
        time => Ok(time),
    }
}

/// Unlike other times, 0 is at once, and a negative time is never.
fn parse_quit_after(text: &str) -> Result<Option<Duration>, String> {
    match text.strip_prefix('-') {
        Some(never) => parse_time(never).map(|_| None),
        None if text == "off" => Ok(None),
        None => parse_time(text).map(|time| Some(time.unwrap_or_default())),
    }
}
