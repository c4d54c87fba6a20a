//! `epollite-bench load`: arguments to a configuration, a run, and how it is told.

use std::ffi::OsString;
use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Parser};
use jiff::Timestamp;

use super::hgrm::Hgrm;
use super::progress::{Log, LogFile, Progress};
use super::rank::Rank;
use super::target::{self, Transport};
use super::threshold::Threshold;
use super::{UNAVAILABLE, USAGE, print_error, table};
use crate::load::{self, Config, Length, Load, LoadError, Pace, Report, Sizes};
use crate::output;
use crate::rank_file::RankFile;
use crate::units;

/// Why a run did not come to an end of its own.
const EXIT_CODES: &str = "\
Exit codes: 0; 1 a wrong echo, or --fail-if; 2 bad arguments; 69 no server, or
it went away, or a limit of this machine. Whatever was measured by then is
printed.

Ranks: an engine that starts several sets rank and size in EPL_RANK and
EPL_SIZE, OMPI_COMM_WORLD_RANK and _SIZE, SLURM_PROCID and SLURM_NTASKS, or
JOB_COMPLETION_INDEX and EPL_SIZE. Each takes the whole load; --out DIR leaves
a file for `epollite-bench merge DIR`.

A variable of the environment that is empty is not set, and the command line
wins over the environment.";

/// Loads one echo server and checks every byte that comes back.
#[derive(Debug, Parser)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// The server: 127.0.0.1:7777, [::1]:7777, [fe80::1%eth0]:7777, a host name with a port (each of
    /// its addresses is tried), or a Unix socket's path or @name.
    #[arg(env = "EPL_ADDR")]
    addr: OsString,
    /// Datagrams instead of TCP.
    #[arg(long, conflicts_with = "unix")]
    udp: bool,
    /// A Unix stream socket.
    #[arg(long)]
    unix: bool,
    /// How many connections; for UDP, sockets with a port each.
    #[arg(short, long, default_value_t = 1, env = "EPL_CONNECTIONS", value_name = "N")]
    connections: u32,
    /// Messages under way in each connection: 1, or with --rate as many as it takes.
    #[arg(short, long, env = "EPL_DEPTH", value_name = "D")]
    depth: Option<u32>,
    /// How long messages are: 64, 16k, uniform:64-4096, exp:1000, list:64,1500,9000.
    #[arg(short, long, default_value = "64", env = "EPL_MESSAGE_SIZE", value_name = "BYTES|DIST")]
    size: Sizes,
    /// Messages a second over all connections, whatever comes back: 5000, 100k. Latencies count
    /// from when a message was meant to leave.
    #[arg(short, long, env = "EPL_RATE", value_name = "R", value_parser = units::amount)]
    rate: Option<f64>,
    /// Random distances between messages instead of equal ones.
    #[arg(long, requires = "rate")]
    poisson: bool,
    /// How long to measure.
    #[arg(short = 't', long, default_value = "10s", env = "EPL_DURATION", value_name = "TIME",
          value_parser = units::nonzero_duration)]
    duration: Duration,
    /// How many messages to measure, instead of a duration.
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    count: Option<u64>,
    /// What is not measured yet.
    #[arg(long, default_value = "1s", env = "EPL_WARMUP", value_name = "TIME",
          value_parser = units::duration)]
    warmup: Duration,
    /// A connection for each message: connect, one message, half-close, wait for the end.
    #[arg(long)]
    churn: bool,
    /// UDP: messages that leave together leave in one call and are cut by the kernel.
    #[arg(long, requires = "udp")]
    gso: bool,
    /// The server is gone when nothing has come back for so long.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = units::nonzero_duration)]
    stall: Duration,
    /// UDP: a datagram is lost when it has not come back after so long.
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = units::nonzero_duration)]
    loss_after: Duration,
    /// Of all chance: the same seed, the same sizes and distances.
    #[arg(long, default_value_t = 1, env = "EPL_SEED")]
    seed: u64,
    /// Stays on this CPU.
    #[arg(long, env = "EPL_PIN", value_name = "CPU")]
    pin: Option<usize>,
    /// The server's process on this machine: its CPU is told too.
    #[arg(long, value_name = "PID")]
    server_pid: Option<i32>,
    /// The result as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Writes the latencies second by second, as an HdrHistogram interval log.
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
    #[command(flatten)]
    hgrm: Hgrm,
    /// Exits 1 if this holds: p99>2ms, rate<100k, errors>0, lost>0, refused>0. May be given more than
    /// once.
    #[arg(long = "fail-if", value_name = "EXPR")]
    fail_if: Vec<Threshold>,
    /// Begins at this time: 2026-01-31T12:00:00Z, or seconds since 1970 as @1800000000.
    #[arg(long, env = "EPL_START_AT", value_name = "TIME", value_parser = start_at)]
    start_at: Option<Timestamp>,
    /// Writes the result to a file of its rank in this folder.
    #[arg(long, env = "EPL_OUT", value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The subcommand.
pub(super) fn main(args: &Args) -> ExitCode {
    let (config, rank) = match args.config().and_then(|config| Ok((config, args.rank()?))) {
        Ok(it) => it,
        Err(why) => {
            print_error(why);
            return ExitCode::from(USAGE);
        }
    };
    let file = match args.hlog.as_deref().map(LogFile::create).transpose() {
        Ok(file) => file,
        Err(error) => {
            print_error(format!("--hlog: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    let (result, encoded) = Log::with(file.as_ref(), |log| {
        let mut watcher = Progress::new(std::io::stderr().is_terminal(), log);
        let result = load::run(&config, &mut watcher, |load| args.warm_start(load));
        watcher.finish();
        result
    });
    let report = match result {
        Ok(report) => report,
        Err(failure) => {
            print_error(failure);
            // There is no more of it than its head, and the failure is what counts.
            let _ = file.map(LogFile::finish);
            return ExitCode::from(failure.exit_code());
        }
    };
    let told = args.report(&report, rank);
    // The result is told by then, whatever the log has to wait for.
    let logged = file.map_or(Ok(()), LogFile::finish);
    let told = told.and(encoded).and(logged);
    let code = args.exit_code(&report);
    match told {
        Ok(()) => ExitCode::from(code),
        Err(why) => {
            print_error(why);
            ExitCode::from(if code == 0 { UNAVAILABLE } else { code })
        }
    }
}

impl Args {
    /// Where the environment asks for one thing and the command line for another that cannot be had
    /// with it, the command line counts. Returns what the command line itself cannot mean.
    pub(super) fn settle(&mut self, matches: &ArgMatches) -> Result<(), &'static str> {
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if typed("count") && typed("duration") {
            return Err("the argument '--count <N>' cannot be used with '--duration <TIME>'");
        }
        if typed("churn") && !typed("depth") {
            self.depth = None;
        }
        Ok(())
    }

    fn config(&self) -> Result<Config, String> {
        let way = match (self.udp, self.unix) {
            (true, _) => Transport::Udp,
            (_, true) => Transport::Unix,
            _ => Transport::Tcp,
        };
        let mut targets = target::parse(&self.addr, way)?;
        let config = Config {
            target: targets.remove(0),
            alternatives: targets,
            connections: self.connections,
            depth: self.depth,
            sizes: self.size.clone(),
            pace: match self.rate {
                None => Pace::ClosedLoop,
                Some(rate) if self.poisson => Pace::Poisson(rate),
                Some(rate) => Pace::Uniform(rate),
            },
            churn: self.churn,
            gso: self.gso,
            warmup: self.warmup,
            length: self.count.map_or(Length::For(self.duration), Length::Count),
            stall: self.stall,
            loss_after: self.loss_after,
            seed: self.seed,
            pin: self.pin,
            server_pid: self.server_pid,
        };
        config.check()?;
        self.hgrm.check(self.json)?;
        if let Some(core) = self.pin {
            crate::server::pin(core).map_err(|error| format!("--pin: {error:#}"))?;
        }
        if let Some(pid) = self.server_pid
            && !load::is_process_readable(pid)
        {
            return Err(format!("--server-pid: there is no process {pid}"));
        }
        if let Some(start) = self.start_at
            && start < Timestamp::now()
        {
            return Err(format!("--start-at: {start} is over"));
        }
        Ok(config)
    }

    fn rank(&self) -> Result<Rank, String> {
        if let Some(dir) = &self.out {
            fs::create_dir_all(dir).map_err(|error| format!("--out: {error}"))?;
        }
        // What is no text is no number either, and is refused as that.
        Rank::from_env(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    /// Connections are open; nothing is sent yet.
    fn warm_start(&self, load: &mut Load) -> Result<(), LoadError> {
        if let Some(start) = self.start_at {
            // Not heeding signals yet, so that Ctrl-C ends the wait as it ends any program.
            let left = start.duration_since(Timestamp::now());
            std::thread::sleep(left.try_into().unwrap_or(Duration::ZERO));
        }
        load.install_signalfd()
    }

    /// Prints the result and writes it down.
    fn report(&self, report: &Report, rank: Rank) -> Result<(), String> {
        let mut text = if self.json {
            let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
            json + "\n"
        } else {
            table::report(report)
        };
        let filed = self.hgrm.add(&mut text, report.latencies());
        let told = output::print(&text).map_err(|error| format!("{error:#}"));
        let recorded = self.out.as_ref().map_or(Ok(()), |dir| {
            let record = RankFile::from_report(report, rank.rank, rank.size);
            record.write(dir).map_err(|error| format!("--out: {error:#}"))
        });
        // Where one of them cannot be written the others are all the same.
        told.and(filed).and(recorded)
    }

    /// The exit code, and the lines that say why.
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
        for condition in &self.fail_if {
            if condition.is_violated(report) {
                print_error(format!("--fail-if {condition}: it is {}", condition.figure(report)));
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
    Err(format!("'{text}' is no number of messages"))
}

fn start_at(text: &str) -> Result<Timestamp, String> {
    let result = match text.strip_prefix('@') {
        Some(seconds) => units::duration(seconds)?.try_into().and_then(Timestamp::from_duration),
        None => text.parse(),
    };
    result.map_err(|error| format!("'{text}' is no time such as 2026-01-31T12:00:00Z: {error}"))
}
