//! `attacks`: what one polite client notices while others attack its server. Here are the arguments
//! and the order of events.
//!
//! ```text
//!   attack     the kinds of attacks, each a few threads     uses the clients of `examine`
//!   polite     the client whose latency is measured
//!   result     the figures as data, judged, as tables       pure
//! ```
//!
//! A latency under attack is compared with that of the same client in the same process a moment
//! before and after, so neither the machine nor the speed of a server counts.

mod attack;
mod polite;
mod result;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

pub use result::{Attacks, Latencies, Measured, Row};

use crate::case::Transport;
use crate::exit::{self, Usage};
use crate::schema::Origin;
use crate::server::{Cores, Endpoint, Server, pin, raise_file_limit};
use crate::servers::{self, Builder, BuiltServer, CONTROL, Extra};
use crate::{atomic_file, host, interleave, interrupt, output, progress, units};
use attack::{Attack, KINDS, Kind};
use polite::{Polite, Slice};

/// Descriptors of this process, and of each server: the silent connections, and some more.
const DESCRIPTORS: u64 = 6000;

/// How long an attack goes on before its first slice: it is at full strength then.
const ATTACK_LEAD: Duration = Duration::from_millis(50);

/// The servers without --servers.
const DEFAULT_SERVERS: [&str; 4] = ["epoll-edge", "epoll-level", "libuv", "tokio"];

/// Measures the latency of one polite client while others attack the server.
///
/// The polite client sends 64 bytes and waits for them, and now and then makes a new connection.
/// The figure is its p99 under attack divided by its p99 before and after the attack, the median
/// over the rounds. Each figure has a server process of its own, on one core; the clients have
/// another, where the attackers only get what the polite client leaves. A second copy of the first
/// server is the A/A control. Exit codes: 0; 1 --fail-if; 2 bad arguments; 69 no server; 130
/// interrupted.
#[derive(Debug, clap::Args)]
#[command(after_help = attack::help())]
pub(crate) struct Args {
    /// Servers to attack, separated by commas: names, models, peers, all
    #[arg(long, value_delimiter = ',', value_name = "NAME",
          default_values_t = DEFAULT_SERVERS.map(str::to_owned))]
    servers: Vec<String>,
    /// A server of your own, in addition to --servers; {port} becomes a free port
    #[arg(long, value_name = "NAME=COMMAND")]
    extra: Vec<Extra>,
    /// Attacks, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "ATTACK", value_parser = attack::by_name)]
    attacks: Vec<Kind>,
    /// Rounds: each attacks every server once in every way
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// How long the polite client is measured at a time: before, during and after an attack
    #[arg(long, value_name = "TIME", default_value = "300ms",
          value_parser = units::nonzero_duration)]
    slice: Duration,
    /// Exit code 1 if epollite, or a server of --extra, has a greater ratio, or fails
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    fail_if: Option<f64>,
    /// Path of the epollite program [default: it is built]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Also writes the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The subcommand.
pub(crate) fn run(args: &Args) -> Result<u8> {
    output::check_writable(args.json.as_deref()).map_err(Usage::new)?;
    let servers = build(args)?;
    interrupt::install_handlers()?;
    raise_file_limit(DESCRIPTORS).context("cannot raise the limit of open files")?;
    let cores = Cores::choose()?;
    pin(cores.load)?;
    let attacks = attack_all(args, &servers, cores);
    output::print(&attacks.tables())?;
    if let Some(path) = &args.json {
        atomic_file::write(path, &(serde_json::to_string_pretty(&attacks)? + "\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if interrupt::is_interrupted() {
        return Ok(interrupt::EXIT_CODE);
    }
    let violations = args.fail_if.map_or(Vec::new(), |most| attacks.above(most));
    for violation in &violations {
        output::print_error(violation);
    }
    Ok(if violations.is_empty() { 0 } else { exit::FAILED })
}

/// The servers, with a second copy of the first behind it. One that is not available is left out,
/// with a line; without the first there is no control.
fn build(args: &Args) -> Result<Vec<BuiltServer>> {
    let extras = servers::group_extras(&args.extra).map_err(Usage::new)?;
    let specs = servers::select(&args.servers, &extras).map_err(Usage::new)?;
    let mut builder = Builder::new(args.program.clone()).map_err(Usage::new)?;
    let mut built = Vec::new();
    for spec in &specs {
        match builder.build(spec) {
            Ok(server) => built.push(server),
            Err(why) => output::print_error(format!("{}: {why}", spec.name)),
        }
    }
    let control = built.first().context("no server is available")?.copy_as(CONTROL);
    built.insert(1, control);
    Ok(built)
}

/// All attacks on all servers, in turn, round by round.
fn attack_all(args: &Args, servers: &[BuiltServer], cores: Cores) -> Attacks {
    let kinds = if args.attacks.is_empty() { KINDS.to_vec() } else { args.attacks.clone() };
    let names: Vec<String> = servers.iter().map(|it| it.about.name.clone()).collect();
    let judged = servers.iter().filter(|it| is_judged(it));
    let judged = judged.map(|it| it.about.name.clone()).collect();
    let mut attacks = Attacks::new(host::date(), host::collect(cores), args.slice, names, judged);
    attacks.rows = kinds.iter().map(|kind| Row::new(kind.name, kind.what, servers.len())).collect();
    let rounds = usize::from(args.rounds);
    let bar = progress::bar((rounds * kinds.len() * servers.len()) as u64, "attacks");
    for round in 0..rounds {
        for (kind, row) in kinds.iter().zip(&mut attacks.rows) {
            for index in interleave::order(round, servers.len()) {
                if interrupt::is_interrupted() {
                    return attacks;
                }
                let measured = &mut row.servers[index];
                if measured.why.is_none() {
                    match attack_once(&servers[index], kind, args.slice, cores) {
                        Ok((quiet, attacked, actions)) => measured.add(&quiet, &attacked, actions),
                        Err(error) => measured.why = Some(format!("{error:#}")),
                    }
                }
                bar.inc(1);
            }
        }
    }
    attacks
}

/// One attack on a new process of one server: the quiet slices before and after it, the one during
/// it, and how often the attackers did what they do.
fn attack_once(
    built: &BuiltServer,
    kind: &Kind,
    slice: Duration,
    cores: Cores,
) -> Result<(Slice, Slice, u64)> {
    let (transport, command) = built.stream_command().context("it has no stream")?;
    anyhow::ensure!(transport == Transport::Tcp, "it does not serve TCP");
    let mut server = Server::start(&built.about.name, command, transport, cores)?;
    let target = tcp(server.endpoint())?;
    let measured = (|| {
        let mut polite = Polite::connect(target)?;
        // The first slice warms up, and is not kept.
        polite.slice(slice / 4).context("before the attack")?;
        let mut quiet = polite.slice(slice).context("before the attack")?;
        let attack = Attack::start(kind, target)?;
        std::thread::sleep(ATTACK_LEAD);
        let attacked = polite.slice(slice).context("under attack");
        let actions = attack.stop();
        let attacked = attacked?;
        // What the attackers have left behind is no quiet server.
        polite.slice(slice / 4).context("after the attack")?;
        quiet.add(&polite.slice(slice).context("after the attack")?);
        Ok((quiet, attacked, actions?))
    })();
    measured.map_err(|error| anyhow::anyhow!(server.with_exit_status(error)))
}

/// Whether --fail-if is about this server, and not one that others have made.
fn is_judged(built: &BuiltServer) -> bool {
    matches!(built.about.origin, Origin::Model | Origin::Extra)
}

fn tcp(endpoint: &Endpoint) -> Result<SocketAddr> {
    let Endpoint::Tcp(address) = *endpoint else { anyhow::bail!("it does not serve TCP") };
    Ok(address)
}

fn ratio(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|it: &f64| it.is_finite() && *it > 0.0);
    number.ok_or_else(|| format!("'{text}' is not a ratio such as 10 or 2.5"))
}
