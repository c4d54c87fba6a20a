//! `epollite-bench load`: arguments, the run, and its output.

use std::ffi::OsString;
use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use clap::parser::ValueSource;
use clap::{ArgMatches, Parser};
use jiff::Timestamp;

use super::hgrm::Hgrm;
use super::progress::{IntervalLog, Progress};
use super::rank::Rank;
use super::threshold::Threshold;
use super::{table, target};
use crate::case::Transport;
use crate::exit::Usage;
use crate::load::{self, Config, Length, Load, LoadError, Pace, Report};
use crate::output::{self, print_error};
use crate::rank_file::RankFile;
use crate::units;

/// Help text below the options.
const EXIT_CODES: &str = "\
Exit codes: 0; 1 a wrong echo, or --fail-if; 2 bad arguments; 69 no server, it
closed or stalled, or a limit of this machine. Measurements up to then are
printed.

Ranks: a launcher of several processes sets rank and size in EPL_RANK and
EPL_SIZE, OMPI_COMM_WORLD_RANK and _SIZE, SLURM_PROCID and SLURM_NTASKS, or
JOB_COMPLETION_INDEX and EPL_SIZE. Each runs the whole load; --out DIR writes
a file for `epollite-bench merge DIR`.

An empty environment variable counts as unset, and the command line takes
precedence over the environment.";

/// Loads one echo server and checks every byte that comes back.
#[derive(Debug, Parser)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// The server: 127.0.0.1:7777, [::1]:7777, [fe80::1%eth0]:7777, a host name with a port (its
    /// addresses are tried in turn), or a Unix socket's path or @name.
    #[arg(env = "EPL_ADDR")]
    addr: OsString,
    /// Use UDP.
    #[arg(long, conflicts_with = "unix")]
    udp: bool,
    /// Use a Unix stream socket.
    #[arg(long)]
    unix: bool,
    #[command(flatten)]
    config: Config,
    /// Open loop: messages per second over all connections, independent of responses: 5000, 100k.
    /// Latencies count from the intended send time.
    #[arg(short, long, env = "EPL_RATE", value_name = "R", value_parser = units::amount)]
    rate: Option<f64>,
    /// Random intervals between messages instead of equal ones.
    #[arg(long, requires = "rate")]
    poisson: bool,
    /// Duration of the measurement.
    #[arg(short = 't', long, default_value = "10s", env = "EPL_DURATION", value_name = "TIME",
          value_parser = units::nonzero_duration)]
    duration: Duration,
    /// Number of messages to measure, instead of a duration.
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    count: Option<u64>,
    /// Print the result as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Write the latencies of each second as an HdrHistogram interval log.
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
    #[command(flatten)]
    hgrm: Hgrm,
    /// Exit with 1 if this holds: p99>2ms, rate<100k, errors>0, lost>0, refused>0. May be repeated.
    #[arg(long = "fail-if", value_name = "EXPR")]
    fail_if: Vec<Threshold>,
    /// Start at this time: 2026-01-31T12:00:00Z, or seconds since 1970 as @1800000000.
    #[arg(long, env = "EPL_START_AT", value_name = "TIME", value_parser = start_at)]
    start_at: Option<Timestamp>,
    /// Write the result to the file of this rank in a folder.
    #[arg(long, env = "EPL_OUT", value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let (config, rank) =
        args.config().and_then(|config| Ok((config, args.rank()?))).map_err(Usage::new)?;
    let log = args.hlog.as_deref().map(IntervalLog::create).transpose().map_err(Usage::new)?;
    let mut watcher = Progress::new(std::io::stderr().is_terminal(), log);
    let result = load::run(&config, &mut watcher, |load| args.warm_start(load));
    watcher.clear();
    let report = match result {
        Ok(report) => report,
        Err(failure) => {
            print_error(failure);
            // The log has only its header, and the error takes precedence.
            let _ = watcher.finish_log();
            return Ok(failure.exit_code());
        }
    };
    let printed = args.print(&report, rank);
    // The result is printed first, however long the log takes.
    let logged = watcher.finish_log();
    super::written(printed.and(logged), args.exit_code(&report))
}

impl Args {
    /// Resolves conflicts between the environment and the command line in favour of the command
    /// line. Returns a conflict within the command line.
    pub(super) fn resolve_conflicts(&mut self, matches: &ArgMatches) -> Result<(), &'static str> {
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if typed("count") && typed("duration") {
            return Err("the argument '--count <N>' cannot be used with '--duration <TIME>'");
        }
        if typed("churn") && !typed("depth") {
            self.config.depth = None;
        }
        Ok(())
    }

    fn config(&self) -> Result<Config> {
        let transport = match (self.udp, self.unix) {
            (true, _) => Transport::Udp,
            (_, true) => Transport::Unix,
            _ => Transport::Tcp,
        };
        let mut targets = target::parse(&self.addr, transport).map_err(Error::msg)?;
        let config = Config {
            target: targets.remove(0),
            alternatives: targets,
            pace: match self.rate {
                None => Pace::ClosedLoop,
                Some(rate) if self.poisson => Pace::Poisson(rate),
                Some(rate) => Pace::Uniform(rate),
            },
            length: self.count.map_or(Length::For(self.duration), Length::Count),
            ..self.config.clone()
        };
        config.check().map_err(Error::msg)?;
        self.hgrm.check(self.json)?;
        if let Some(core) = config.pin {
            crate::server::pin(core).context("--pin")?;
        }
        if let Some(pid) = config.server_pid {
            let is_there = load::is_process_readable(pid);
            ensure!(is_there, "--server-pid: there is no process {pid}");
        }
        if let Some(start) = self.start_at {
            ensure!(start >= Timestamp::now(), "--start-at: {start} is in the past");
        }
        Ok(config)
    }

    fn rank(&self) -> Result<Rank> {
        if let Some(dir) = &self.out {
            fs::create_dir_all(dir).context("--out")?;
        }
        // Invalid UTF-8 is not a number either, and is rejected as such.
        let variable = |name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned());
        Rank::from_env(variable).map_err(Error::msg)
    }

    /// Called when the connections are open and nothing has been sent.
    fn warm_start(&self, load: &mut Load) -> Result<(), LoadError> {
        if let Some(start) = self.start_at {
            // Signal handling is installed after the wait, so that Ctrl-C ends the wait at once.
            let remaining = start.duration_since(Timestamp::now());
            std::thread::sleep(remaining.try_into().unwrap_or(Duration::ZERO));
        }
        load.install_signalfd()
    }

    /// Prints the result and writes its files. If one output fails, the others are written
    /// nevertheless.
    fn print(&self, report: &Report, rank: Rank) -> Result<()> {
        let mut text = if self.json {
            serde_json::to_string_pretty(report)? + "\n"
        } else {
            table::report(report)
        };
        let hgrm = self.hgrm.add(&mut text, &report.meter.latencies);
        let printed = output::print(&text);
        let recorded = self.out.as_ref().map_or(Ok(()), |dir| {
            RankFile::from_report(report, rank.rank, rank.size).write(dir).context("--out")
        });
        printed.and(hgrm).and(recorded)
    }

    /// Returns the exit code, after printing the reasons.
    fn exit_code(&self, report: &Report) -> u8 {
        if let Some(failure) = &report.failure {
            print_error(failure);
        } else if report.counts.errors() > 0 {
            let (errors, first) = (report.counts.errors(), report.wrong.first());
            print_error(format!(
                "{errors} echoes were wrong; {}",
                first.map_or("", String::as_str)
            ));
        }
        let mut code = report.exit_code();
        for threshold in &self.fail_if {
            if threshold.is_violated(report) {
                print_error(format!("--fail-if {threshold}: it is {}", threshold.figure(report)));
                code = code.max(1);
            }
        }
        code
    }
}

fn count(text: &str) -> Result<u64, String> {
    let amount = units::amount(text)?;
    if (1.0..=1e15).contains(&amount) && amount.fract() == 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number in range"
        )]
        return Ok(amount as u64);
    }
    Err(format!("'{text}' is not a number of messages"))
}

fn start_at(text: &str) -> Result<Timestamp, String> {
    let result = match text.strip_prefix('@') {
        Some(seconds) => units::duration(seconds)?.try_into().and_then(Timestamp::from_duration),
        None => text.parse(),
    };
    result.map_err(|error| format!("'{text}' is not a time such as 2026-01-31T12:00:00Z: {error}"))
}
