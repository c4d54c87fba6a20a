//! Arguments of `epollite echo`. Knows the flags, and not what the server does with them.

use std::time::Duration;

use epollite::Trigger;
use epollite::net::UnixAddr;
use epollite::reactor::Spin;
use epollite::server::stream::{AcceptSharing, Bulk};

use super::super::echo::model::{self, Model, Steer};
use super::super::exit::CliError;
use super::super::output::log::{Format, Log};
use super::limits::LimitOptions;
use super::parser::ArgParser;
use super::target::{Target, parse_host_port, parse_target, parse_unix};
use super::trace::{TraceTarget, parse_text_trace, parse_trace};
use super::user::{User, parse_user};
use super::{help, units};

/// `epollite echo`.
#[derive(Clone, Debug)]
pub(crate) struct EchoOptions {
    pub(crate) targets: Vec<Target>,
    /// The names of passed sockets to serve; `None` is all.
    pub(crate) listen_fds: Vec<Option<String>>,
    /// Where a successor connects to, and this server to its predecessor.
    pub(crate) takeover: Option<Box<UnixAddr>>,
    /// Where the figures are asked for over HTTP.
    pub(crate) metrics: Option<String>,
    /// The user to become when the sockets are bound.
    pub(crate) user: Option<User>,
    /// Whether only known system calls are allowed after the start.
    pub(crate) is_sandboxed: bool,
    pub(crate) model: Model,
    pub(crate) workers: u32,
    /// How long a worker of prefork and reuseport may give no heartbeat.
    pub(crate) worker_timeout: Option<Duration>,
    /// Which workers of prefork a connection wakes; `None` is all.
    pub(crate) share: Option<AcceptSharing>,
    pub(crate) steer: Steer,
    pub(crate) trigger: Trigger,
    pub(crate) threads: u32,
    pub(crate) connections_max: Option<u32>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) drain_timeout: Duration,
    pub(crate) budget_bytes: Option<usize>,
    pub(crate) limits: LimitOptions,
    pub(crate) spin: Spin,
    pub(crate) bulk: Bulk,
    pub(crate) log: Log,
    /// Where every call is printed.
    pub(crate) trace: Option<TraceTarget>,
    /// Where every decision is explained.
    pub(crate) explain: Option<TraceTarget>,
    /// Where the last calls and decisions are printed on SIGUSR2 and after a panic.
    pub(crate) recorder: Option<TraceTarget>,
}

/// The default address of `epollite echo`.
const DEFAULT_TCP: &str = "127.0.0.1:7777";

/// Upper bound of threads: each is a reactor of its own, and more do not help.
const THREADS_MAX: u32 = 1024;

/// What `epollite echo` is to do.
pub(super) enum EchoCommand {
    Help,
    Check(Target),
    Serve(Box<EchoOptions>),
}

pub(super) fn parse_echo(args: &mut ArgParser) -> Result<EchoCommand, CliError> {
    args.hint = "epollite echo --help";
    let mut options = defaults();
    let (mut check, mut model, mut given) = (None, None, Vec::new());
    while let Some(flag) = args.next_flag()? {
        given.push(flag.clone());
        match flag.as_str() {
            "-h" | "--help" => return Ok(EchoCommand::Help),
            "--tcp" => options.targets.push(Target::Tcp(args.parse_value(parse_host_port)?)),
            "--udp" => options.targets.push(Target::Udp(args.parse_value(parse_host_port)?)),
            "--unix" => options.targets.push(Target::Unix(args.take_bytes(parse_unix)?)),
            "--listen-fds" => options.listen_fds.push(parse_socket_name(args)?),
            "--takeover" => options.takeover = Some(Box::new(args.take_bytes(parse_unix)?)),
            "--metrics" => options.metrics = Some(args.parse_value(parse_host_port)?),
            "--user" => options.user = Some(args.parse_value(parse_user)?),
            "--sandbox" => options.is_sandboxed = true,
            "--model" => model = Some(args.parse_value(Model::from_name)?),
            "--workers" => options.workers = args.parse_value(parse_threads)?,
            "--worker-timeout" => {
                options.worker_timeout = args.parse_value(parse_worker_timeout)?;
            }
            "--accept" => options.share = args.parse_value(parse_sharing)?,
            "--reuseport-select" => options.steer = args.parse_value(parse_steer)?,
            "--trigger" => options.trigger = args.parse_value(parse_trigger)?,
            "--threads" => options.threads = args.parse_value(parse_threads)?,
            "--max-connections" => {
                options.connections_max = Some(args.parse_value(|n| units::number(n, 1, 1 << 30))?);
            }
            "--idle-timeout" => options.idle_timeout = args.parse_value(parse_idle_timeout)?,
            "--drain-timeout" => {
                options.drain_timeout = args.parse_value(units::duration)?.unwrap_or_default()
            }
            "--read-budget" => options.budget_bytes = Some(args.parse_value(units::bytes)?),
            "--spin" => options.spin = args.parse_value(parse_spin)?,
            "--bulk" => options.bulk = args.parse_value(parse_bulk)?,
            "--log-format" => options.log.format = args.parse_value(parse_format)?,
            "-v" | "--verbose" => options.log.is_verbose = true,
            "-q" | "--quiet" => options.log.is_quiet = true,
            "--trace" => options.trace = Some(parse_trace(args)?),
            "--explain" => options.explain = Some(parse_text_trace(args)?),
            "--recorder" => options.recorder = Some(parse_text_trace(args)?),
            "--syscall-summary" => options.log.syscall_summary = true,
            "--check" => check = Some(args.take_bytes(parse_target)?),
            flag if options.limits.parse(flag, args)? => {}
            _ => return Err(args.unknown_option(&flag, help::ECHO)),
        }
    }
    if let Some(target) = check {
        return match given.iter().find(|flag| *flag != "--check") {
            None => Ok(EchoCommand::Check(target)),
            Some(flag) => {
                Err(args.usage_error(&format!("--check is a client: it takes no {flag}")))
            }
        };
    }
    finish(args, options, model, &given).map(Box::new).map(EchoCommand::Serve)
}

/// Checks what only all options together tell, and adds the defaults that depend on others.
fn finish(
    args: &ArgParser,
    mut options: EchoOptions,
    model: Option<Model>,
    given: &[String],
) -> Result<EchoOptions, CliError> {
    if options.log.is_verbose && options.log.is_quiet {
        return Err(args.usage_error("--verbose and --quiet at once"));
    }
    if options.takeover.is_some() && !options.listen_fds.is_empty() {
        let why = "--takeover and --listen-fds at once: the service manager keeps the sockets";
        return Err(args.usage_error(why));
    }
    if options.targets.is_empty() && options.listen_fds.is_empty() {
        options.targets.push(Target::Tcp(DEFAULT_TCP.into()));
    }
    options.model = model::resolve_model(model, options.trigger, given, options.targets.len())
        .map_err(|why| args.usage_error(&why))?;
    if let Model::Epoll(trigger) = options.model {
        options.trigger = trigger;
    }
    let (servers, flag) = match options.model {
        Model::Prefork | Model::Reuseport => (options.workers, "--workers"),
        _ => (options.threads, "--threads"),
    };
    if let Some(max) = options.connections_max.filter(|&max| max < servers) {
        let why =
            format!("--max-connections {max} with {flag} {servers}: each serves at least one");
        return Err(args.usage_error(&why));
    }
    if let Some(why) = options.limits.buffer_total_error(servers, flag) {
        return Err(args.usage_error(&why));
    }
    Ok(options)
}

fn defaults() -> EchoOptions {
    EchoOptions {
        targets: Vec::new(),
        listen_fds: Vec::new(),
        takeover: None,
        metrics: None,
        user: None,
        is_sandboxed: false,
        model: Model::Epoll(Trigger::Edge),
        workers: 4,
        worker_timeout: Some(Duration::from_secs(30)),
        share: Some(AcceptSharing::Exclusive),
        steer: Steer::Hash,
        trigger: Trigger::Edge,
        threads: 1,
        connections_max: None,
        idle_timeout: None,
        drain_timeout: Duration::from_secs(5),
        budget_bytes: None,
        limits: LimitOptions::default(),
        spin: Spin::Off,
        bulk: Bulk::Copy,
        log: Log {
            format: Format::Text,
            is_verbose: false,
            is_quiet: false,
            syscall_summary: false,
        },
        trace: None,
        explain: None,
        recorder: None,
    }
}

/// `--listen-fds`, or `--listen-fds=NAME`.
fn parse_socket_name(args: &mut ArgParser) -> Result<Option<String>, CliError> {
    let Some(value) = args.attached_value.take() else { return Ok(None) };
    match value.to_str().filter(|name| !name.is_empty()) {
        Some(name) => Ok(Some(name.to_owned())),
        None => Err(args.usage_error("--listen-fds: the name is empty, or not text")),
    }
}

/// A worker is asked three times in this time, and needs some to answer.
const WORKER_TIMEOUT_MIN: Duration = Duration::from_millis(300);

fn parse_worker_timeout(text: &str) -> Result<Option<Duration>, String> {
    match units::duration(text)? {
        Some(timeout) if timeout < WORKER_TIMEOUT_MIN => {
            Err(format!("'{text}' is less than 300ms"))
        }
        timeout => Ok(timeout),
    }
}

fn parse_threads(text: &str) -> Result<u32, String> {
    units::number(text, 1, THREADS_MAX)
}

pub(super) fn parse_trigger(text: &str) -> Result<Trigger, String> {
    let names = [("level", Trigger::Level), ("edge", Trigger::Edge), ("oneshot", Trigger::OneShot)];
    units::one_of(text, &names)
}

fn parse_format(text: &str) -> Result<Format, String> {
    units::one_of(text, &[("text", Format::Text), ("json", Format::Json), ("off", Format::Off)])
}

fn parse_sharing(text: &str) -> Result<Option<AcceptSharing>, String> {
    let (one, in_turn) = (AcceptSharing::Exclusive, AcceptSharing::RoundRobin);
    units::one_of(text, &[("all", None), ("exclusive", Some(one)), ("round-robin", Some(in_turn))])
}

fn parse_steer(text: &str) -> Result<Steer, String> {
    units::one_of(text, &[("hash", Steer::Hash), ("cpu", Steer::Cpu), ("random", Steer::Random)])
}

/// The longest time to poll before each wait: anything longer is a busy loop.
const SPIN_MAX: Duration = Duration::from_millis(10);

fn parse_spin(text: &str) -> Result<Spin, String> {
    if text == "auto" {
        return Ok(Spin::Auto);
    }
    let bad = |_| format!("'{text}' is not auto, off or a time up to 10ms, such as 50us");
    match units::duration(text).map_err(bad)? {
        None => Ok(Spin::Off),
        Some(limit) if limit <= SPIN_MAX => Ok(Spin::For(limit)),
        Some(_) => Err(format!("'{text}' is more than 10ms")),
    }
}

fn parse_bulk(text: &str) -> Result<Bulk, String> {
    let names = [("splice", Bulk::Splice), ("copy", Bulk::Copy), ("auto", Bulk::Auto)];
    units::one_of(text, &names)
}

fn parse_idle_timeout(text: &str) -> Result<Option<Duration>, String> {
    let idle = units::duration(text)?;
    match idle {
        Some(duration) if duration > epollite::server::stream::IDLE_TIMEOUT_MAX => {
            Err(format!("'{text}' is more than 24 days"))
        }
        idle => Ok(idle),
    }
}
