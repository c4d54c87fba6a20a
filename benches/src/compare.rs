//! `compare`: echo servers against a reference, in interleaved slices. This file has the arguments
//! and the order of the output; each step has its own file.

use anyhow::{Context, Result};

use crate::case::{self, Case};
use crate::exit::Usage;
use crate::load_sweep;
use crate::output;
use crate::schema::Kind;
use crate::servers::{self, Extra, ServerSpec};
use crate::session::{Options, Session};
use crate::table;

/// Compares echo servers with a hand-written C epoll server, the C baseline.
///
/// All servers share one core and are busy one at a time; the load has another core to itself. Each
/// round gives every server one slice, so drift of the machine affects all of them. A difference
/// that a second copy of the reference also shows is noise. Before, some cases of `examine` show
/// which servers get their bytes wrong: these are marked with an exclamation mark.
#[derive(Debug, clap::Args)]
#[command(after_help = cases_help())]
pub(crate) struct Args {
    /// Servers to compare, separated by commas: names, models, peers, all [default: the epoll
    /// models, C, and the installed peers]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    servers: Vec<String>,
    /// A server of your own, in addition to --servers; {port} becomes a free port. For UDP cases
    /// use NAME=udp:COMMAND, for Unix socket cases a command with {path}; commands with the same
    /// NAME are one server
    #[arg(long, value_name = "NAME=COMMAND")]
    extra: Vec<Extra>,
    /// Cases to run, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "CASE", value_parser = by_name)]
    cases: Vec<Case>,
    /// Lists servers and cases, and measures nothing
    #[arg(long)]
    list: bool,
    /// Do not check first which servers get their bytes wrong
    #[arg(long)]
    no_check: bool,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(args: &Args) -> Result<u8> {
    if args.list {
        return output::print(&list()).map(|()| 0);
    }
    let extras = servers::group_extras(&args.extra).map_err(Usage::new)?;
    let entries = servers::select(&args.servers, &extras).map_err(Usage::new)?;
    let mut session = Session::open(Kind::Compare, &args.options, &entries, &args.servers)?;
    if !args.no_check {
        session.check_bytes();
    }
    session.measure_idle_memory();
    let cases = if args.cases.is_empty() { all_cases() } else { args.cases.clone() };
    if cases.iter().any(|case| case.name != load_sweep::NAME) {
        session.outputs.show(&table::legend(session.record.run.rounds))?;
    }
    for case in &cases {
        if session.is_interrupted() {
            break;
        }
        run_case(&mut session, case).with_context(|| format!("case {}", case.name))?;
    }
    let tables = table::servers(&session.record);
    session.finish(&tables)
}

fn run_case(session: &mut Session, case: &Case) -> Result<()> {
    if case.name == load_sweep::NAME {
        session.run_sweep()?;
        return session.outputs.show(&table::knee(&session.record));
    }
    let ran = session.run(case, usize::MAX, true);
    if let Some(case) = session.record.cases.last() {
        session.outputs.show(&table::case(case, &session.record))?;
    }
    ran
}

/// The closed loops, and the open loop with rising rates.
fn all_cases() -> Vec<Case> {
    case::all().into_iter().chain([load_sweep::case()]).collect()
}

fn by_name(name: &str) -> Result<Case, String> {
    Case::find(all_cases(), name)
}

fn cases_help() -> String {
    let line = |case: &Case| format!("  {:10}{}\n", case.name, case.what);
    format!("Cases:\n{}", all_cases().iter().map(line).collect::<String>())
}

fn list() -> String {
    let line = |entry: &ServerSpec| {
        let missing = entry.missing().map(|missing| format!("  {:14}- {missing}\n", ""));
        format!("  {:14}{}\n{}", entry.name, entry.what, missing.unwrap_or_default())
    };
    let servers: String = servers::all().iter().map(line).collect();
    table::folded(&format!("Servers:\n{servers}{}", cases_help()))
}
