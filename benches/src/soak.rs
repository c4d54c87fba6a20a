//! `soak`: a server under mixed load for a long time. What it uses must stay flat, every byte must
//! be right, and afterwards it must be as it was. Here are the arguments and the order of events.
//!
//! ```text
//!   load      the kinds of clients, each a thread          uses the clients of `examine`
//!   sample    what the server uses, again and again       reads /proc
//!   gauges    what the server tells of itself             its page of figures
//!   curve     the samples as data, judged, as a plot       pure
//! ```

mod curve;
mod gauges;
mod load;
mod sample;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use tempfile::TempDir;

pub use curve::{Sample, Soak};
pub use gauges::Gauges;

use crate::case::Transport;
use crate::exit::Usage;
use crate::server::{Endpoint, Server, free_endpoint, raise_file_limit};
use crate::{atomic_file, host, interrupt, output, units};
use load::{Load, Target};

/// Descriptors for the clients, and as many for the server.
const DESCRIPTORS: u64 = 4096;

/// How long the server may take to close the last connections and to come to rest.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// The time between two samples: a plot of 600 points, or four a second.
const SAMPLES_MAX: u32 = 600;
const SAMPLE_MIN: Duration = Duration::from_millis(250);

/// Loads a server for a long time, and checks that what it uses stays flat.
///
/// At the same time: connections that stay, connections that come and go, resets at any moment,
/// clients that read late or never speak, and with --udp datagrams. Every byte is checked. Memory,
/// descriptors, threads and processes are sampled; at the end, without a client, the server must
/// use what it used before. So must the gauges of its page for Prometheus, if it has one; those
/// named _slots, which a server keeps to use them again, must not go on growing. Exit codes: 0
/// flat and right; 1 not; 2 bad arguments; 69 no server; 130 interrupted.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Starts the server; {port} becomes a free port. Where {path} stands too, it becomes the path
    /// of a Unix socket, and clients come there as well; where {metrics} stands, it becomes the
    /// port of its page for Prometheus
    #[arg(long, value_name = "COMMAND", required_unless_present = "from")]
    start: Option<String>,
    /// The server also echoes datagrams, at the same port
    #[arg(long)]
    udp: bool,
    /// How long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::nonzero_duration)]
    duration: Duration,
    /// Sends SIGHUP to the server so often: it must lose nothing then either
    #[arg(long, value_name = "TIME", value_parser = units::nonzero_duration)]
    reload: Option<Duration>,
    /// Seed of all random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Also writes the samples to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also writes the curves to this folder, as SVG: memory.svg, descriptors.svg, exchanges.svg,
    /// and one for each gauge
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Loads nothing: prints and plots an earlier result of --json
    #[arg(long, value_name = "FILE", conflicts_with_all = ["start", "udp", "duration", "json"])]
    from: Option<PathBuf>,
}

/// The subcommand.
pub(crate) fn run(args: &Args) -> Result<u8> {
    if let Some(folder) = &args.svg {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))
            .map_err(Usage::new)?;
    }
    let soak = if let Some(path) = &args.from {
        Soak::read(path).map_err(Usage::new)?
    } else {
        output::check_writable(args.json.as_deref()).map_err(Usage::new)?;
        soak(args)?
    };
    output::print(&soak.table())?;
    if let Some(path) = &args.json {
        write(path, &(serde_json::to_string_pretty(&soak)? + "\n"))?;
    }
    if let Some(folder) = &args.svg {
        for (name, text) in soak.svgs()? {
            write(&folder.join(name), &text)?;
        }
    }
    Ok(match (interrupt::is_interrupted(), soak.failures().is_empty()) {
        (true, _) => interrupt::EXIT_CODE,
        (false, is_flat) => u8::from(!is_flat),
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    atomic_file::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Starts the server, loads it, and samples it during the load and afterwards.
fn soak(args: &Args) -> Result<Soak> {
    interrupt::install_handlers()?;
    raise_file_limit(DESCRIPTORS).context("cannot raise the limit of open files")?;
    let command = args.start.clone().unwrap_or_default();
    // Removed with the socket in it.
    let folder = TempDir::new().context("no temporary folder")?;
    let path = command.contains("{path}").then(|| folder.path().join("socket"));
    let with_path = match path.as_deref().and_then(|path| path.to_str()) {
        Some(path) => command.replace("{path}", path),
        None => command.clone(),
    };
    let (page, port) = free_endpoint(Transport::Tcp)?;
    let page = if let Endpoint::Tcp(at) = page { Some(at) } else { None };
    let page = page.filter(|_| command.contains("{metrics}"));
    let whole = with_path.replace("{metrics}", &port);
    let mut server =
        Server::spawn("the server", &[], &whole, Transport::Tcp).map_err(Usage::new)?;
    server.wait_until_up()?;
    let target = Target::new(server.endpoint(), path, args.udp)?;
    // Runtimes open descriptors, and threads, with the first clients.
    let mut load = Load::new(target, args.seed);
    load.warm_up()?;
    let mut sampler = sample::UsageSampler::new(server.pid(), page);
    let before = settle(&sampler, None).context("the server has ended")?;
    let mut soak = Soak::new(host::date(), host::kernel(), command, before);
    load.start();
    let period = (args.duration / SAMPLES_MAX).max(SAMPLE_MIN);
    let (start, mut reloaded) = (Instant::now(), Instant::now());
    let mut ended = None;
    while start.elapsed() < args.duration && !interrupt::is_interrupted() {
        std::thread::sleep(period.min(args.duration.saturating_sub(start.elapsed())));
        ended = server.ended();
        if ended.is_some() {
            break;
        }
        soak.samples.extend(sampler.sample(start.elapsed(), load.exchanges()));
        if args.reload.is_some_and(|period| reloaded.elapsed() >= period) {
            kill(server.pid(), Signal::SIGHUP).context("kill")?;
            (reloaded, soak.reloads) = (Instant::now(), soak.reloads + 1);
        }
    }
    (soak.exchanges, soak.wrong) = load.stop();
    ended = ended.or_else(|| server.ended());
    if let Some(status) = ended {
        // The rest follows from it.
        soak.wrong = vec![format!("the server ended: {status}")];
    } else {
        soak.after = settle(&sampler, Some(&soak.before));
    }
    Ok(soak)
}

/// What the server uses at rest: when it uses no more descriptors, threads and processes than
/// `before`, or no longer changes.
fn settle(sampler: &sample::UsageSampler, before: Option<&Sample>) -> Option<Sample> {
    let deadline = Instant::now() + SETTLE_MAX;
    loop {
        let now = sampler.usage()?;
        let is_back = before.is_none_or(|before| !now.exceeds(before));
        if (is_back && before.is_some()) || Instant::now() >= deadline {
            return Some(now);
        }
        std::thread::sleep(SAMPLE_MIN);
        if before.is_none() && sampler.usage()? == now {
            return Some(now);
        }
    }
}
