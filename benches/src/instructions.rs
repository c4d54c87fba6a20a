//! `instructions`: counts the user-space instructions of a server per echo with callgrind, and
//! compares them with a baseline. This file has the arguments and the output; time is not measured.
//!
//! ```text
//!   cases       what is counted, for which servers          pure data
//!   count       two runs, and the difference between them
//!   callgrind   a server under callgrind, stopped and resumed   knows processes
//!   client      the client of that server                   knows sockets
//!   baseline    earlier figures, and the comparison         pure
//! ```

mod baseline;
mod callgrind;
mod cases;
mod client;
mod count;

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use crate::case::Case;
use crate::exit::{self, Usage};
use crate::output;
use crate::servers::{self, Builder, BuiltServer};
use crate::table::Grid;
pub use baseline::{Baseline, Change, Figure, Finding};

/// File name of the default baseline.
const BASELINE: &str = "instructions.txt";

/// Maximum number of servers counted in parallel, to leave processors for other work.
const PARALLEL_MAX: usize = 8;

/// Counts user-space instructions per echo with callgrind, and compares them with a baseline.
///
/// A figure is the difference between two runs that differ only in the number of messages, so that
/// start and shutdown cancel. Each message, or batch of 64, arrives while the server is stopped:
/// the number of ready events does not depend on timing, and two counts agree on any machine,
/// however busy. Kernel instructions are not counted.
///
/// Exit codes: 0; 1 a figure has grown by more than 5 %, or the baseline has other cases; 2 bad
/// arguments; 69 valgrind or a server is not available.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Servers to count, separated by commas [default: the epoll modes, coroutine, C]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    servers: Vec<String>,
    /// Cases to count, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "CASE", value_parser = cases::by_name)]
    cases: Vec<Case>,
    /// The baseline file [default: instructions.txt beside the sources]
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Writes the counts into the baseline instead of comparing with it
    #[arg(long)]
    bless: bool,
    /// Path of the epollite program [default: it is built]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

/// The subcommand.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let names: Vec<String> = if args.servers.is_empty() {
        cases::SERVERS.map(str::to_owned).to_vec()
    } else {
        args.servers.clone()
    };
    let entries = servers::select(&names, &[]).map_err(Usage::new)?;
    let path = args.baseline.clone().unwrap_or_else(default_baseline);
    let before = match Baseline::read(&path) {
        // There is none, or it is invalid: a new one can be written nevertheless.
        Err(_) if args.bless => Baseline::default(),
        before => before.map_err(Usage::new)?,
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
    Ok(print_findings(&before, &now, &findings))
}

/// Prints changed tools and findings; returns the exit code.
fn print_findings(before: &Baseline, now: &Baseline, findings: &[Finding]) -> u8 {
    let others = before.tool_changes(now);
    for (name, was, is) in &others {
        output::print_error(format!(
            "the baseline was counted with {name} {was}, this run with {is}"
        ));
    }
    let mut code = 0;
    for finding in findings.iter().filter(|finding| finding.change != Change::Same) {
        let is_failure = finding.change.is_failure() && others.is_empty();
        let prefix =
            if is_failure || finding.change == Change::Improved { "" } else { "warning: " };
        output::print_error(format!("{prefix}{finding}"));
        if is_failure {
            code = exit::FAILED;
        }
    }
    code
}

/// Counts all combinations, as many in parallel as there are processors: counts do not depend on
/// speed.
fn figures(servers: &[BuiltServer], cases: &[Case]) -> Result<Vec<Figure>> {
    let jobs: Vec<(&BuiltServer, &Case)> = cases
        .iter()
        .flat_map(|case| servers.iter().map(move |built| (built, case)))
        .filter(|(built, case)| built.command(case).is_ok())
        .collect();
    let counters = thread::available_parallelism().map_or(1, usize::from).min(PARALLEL_MAX);
    let figure = |&(built, case): &(&BuiltServer, &Case)| {
        let (case_name, server) = (case.name.clone(), built.about.name.clone());
        let counted = count::count_per_echo(built, case);
        let instructions = counted.with_context(|| format!("{case_name}: {server}"))?;
        Ok(Figure { case: case_name, server, instructions })
    };
    let pool = ThreadPoolBuilder::new().num_threads(counters).build()?;
    let found: Vec<Result<Figure>> = pool.install(|| jobs.par_iter().map(figure).collect());
    found.into_iter().collect()
}

fn table(findings: &[Finding]) -> String {
    let mut table = Grid::new(["case", "server", "was", "is", "change"]);
    for finding in findings {
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{it:.1}"));
        let change =
            finding.relative_change().map_or(String::new(), |it| format!("{:+.1} %", it * 100.0));
        let (case, server) = (finding.case.clone(), finding.server.clone());
        table.add(vec![case, server, figure(finding.was), figure(finding.is), change]);
    }
    format!("User-space instructions of the server per echo:\n\n{}\n", table.render())
}

fn default_baseline() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(BASELINE)
}
