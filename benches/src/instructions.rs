//! `instructions`: how many instructions of its own a server spends on one echo, counted by
//! callgrind, and held to a baseline. Here are its arguments, the order of events and what is said;
//! it knows no clock: how fast anybody is, is not jobs.
//!
//! ```text
//!   questions   what is counted, and of whom                pure data
//!   count       two runs, and the difference between them
//!   patient     a server under callgrind, stopped and woken knows processes
//!   visitor     who speaks with it, round by round          knows sockets
//!   baseline    the figures of before, and the verdict      pure
//! ```

mod baseline;
mod callgrind;
mod cases;
mod client;
mod count;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result};

use crate::output;
use crate::servers::{self, Builder, BuiltServer};
use crate::session;
use crate::table::Grid;
pub use baseline::{Baseline, Figure, Finding, Verdict};
use cases::CountedCase;

/// Something costs more than it did.
const EXIT_REGRESSED: u8 = 1;

/// Where the figures of before are, unless somebody says otherwise.
const BASELINE: &str = "instructions.txt";

/// How many servers may be counted at a time: more processors than that have other things to do.
const PARALLEL_MAX: usize = 8;

/// Counts user-space instructions for each echo, by callgrind, and compares them with a baseline.
///
/// The figure is the difference between two runs that differ in nothing but the number of messages,
/// so that starting and ending cost nothing. Each message, or each lot of 64, arrives while the
/// server is stopped: how much it finds ready never depends on timing, and two counts agree on any
/// machine, however busy. The kernel's part is not in it.
///
/// Exit codes: 0; 1 a figure has grown by more than 5 %, or the baseline has other cases; 2 bad
/// arguments; 69 no valgrind, or a server that cannot be had.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom to ask, separated by commas [default: our epoll modes, coroutines, C]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    servers: Vec<String>,
    /// Which cases, separated by commas [default: all of them]
    #[arg(long, value_delimiter = ',', value_name = "CASE", value_parser = cases::by_name)]
    cases: Vec<CountedCase>,
    /// The figures of before [default: instructions.txt beside the sources]
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Writes what is counted into the baseline, instead of judging by it
    #[arg(long)]
    bless: bool,
    /// The epollite program, when it is not to be built
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

/// The subcommand.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    session::exit_code(run(args))
}

fn run(args: &Args) -> Result<u8> {
    let names: Vec<String> = if args.servers.is_empty() {
        cases::SERVERS.map(str::to_owned).to_vec()
    } else {
        args.servers.clone()
    };
    let entries = match servers::select(&names) {
        Ok(entries) => entries,
        Err(error) => return Ok(session::usage(&error)),
    };
    let path = args.baseline.clone().unwrap_or_else(default_baseline);
    let before = match Baseline::read(&path) {
        Ok(before) => before,
        // There is none yet, or not one that is understood: a new one can be written all the same.
        Err(_) if args.bless => Baseline::default(),
        Err(error) => return Ok(session::usage(&error)),
    };
    let tools = count::tools()?;
    let mut builder = Builder::new(args.program.clone())?;
    let mut servers = Vec::new();
    for entry in &entries {
        let built = builder.build(entry);
        servers.push(built.map_err(|why| anyhow::anyhow!("{}: {why}", entry.name))?);
    }
    let cases = if args.cases.is_empty() { cases::all() } else { args.cases.clone() };
    let now = Baseline { tools, figures: figures(&servers, &cases)? };
    let is_everything = args.servers.is_empty() && args.cases.is_empty();
    let findings = before.compare(&now, is_everything);
    let shown = table(&findings);
    if args.bless {
        let kept = if is_everything { now } else { before.updated(now) };
        kept.write(&path)?;
        output::print(&format!("{shown}written: {}\n", path.display()))?;
        return Ok(0);
    }
    output::print(&shown)?;
    Ok(verdict(&before, &now, &findings))
}

/// Says what is to be said about each finding, and how it ends.
fn verdict(before: &Baseline, now: &Baseline, findings: &[Finding]) -> u8 {
    let others = before.tool_changes(now);
    for (name, was, is) in &others {
        output::complain(&format!("the baseline was counted with {name} {was}, this is {is}"));
    }
    let mut code = 0;
    for finding in findings.iter().filter(|finding| finding.verdict != Verdict::Same) {
        let is_failure = finding.verdict.is_failure() && others.is_empty();
        let weight =
            if is_failure || finding.verdict == Verdict::Improved { "" } else { "warning: " };
        output::complain(&format!("{weight}{finding}"));
        if is_failure {
            code = EXIT_REGRESSED;
        }
    }
    code
}

/// Counts all of it, as many at a time as there are processors: what is counted does not know how
/// fast it goes.
fn figures(servers: &[BuiltServer], cases: &[CountedCase]) -> Result<Vec<Figure>> {
    let jobs: Vec<(&BuiltServer, &CountedCase)> = cases
        .iter()
        .flat_map(|case| servers.iter().map(move |built| (built, case)))
        .filter(|(built, case)| built.command(&case.load()).is_ok())
        .collect();
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..jobs.len()).collect());
    let found = Mutex::new(Vec::new());
    let counters = thread::available_parallelism().map_or(1, usize::from).min(PARALLEL_MAX);
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    thread::scope(|scope| {
        for _ in 0..counters {
            scope.spawn(|| {
                while let Some(at) = next() {
                    let (built, case) = jobs[at];
                    let counted = count::count_per_echo(built, case)
                        .with_context(|| format!("{}: {}", case.name, built.about.name));
                    if let Ok(mut found) = found.lock() {
                        found.push((at, counted));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by_key(|(at, _)| *at);
    let figure = |(at, counted): (usize, Result<f64>)| {
        let (built, case) = jobs[at];
        let (case, server) = (case.name.to_owned(), built.about.name.clone());
        Ok(Figure { case, server, instructions: counted? })
    };
    found.into_iter().map(figure).collect()
}

fn table(findings: &[Finding]) -> String {
    let mut table = Grid::new(["case", "server", "was", "is", "change"]);
    for finding in findings {
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{it:.1}"));
        let change = finding.change().map_or(String::new(), |it| format!("{:+.1} %", it * 100.0));
        let (case, server) = (finding.case.clone(), finding.server.clone());
        table.add(vec![case, server, figure(finding.was), figure(finding.is), change]);
    }
    format!("User-space instructions of the server for each echo:\n\n{}\n", table.render())
}

fn default_baseline() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(BASELINE)
}
