//! `compare`: echo servers against a reference, in interleaved slices. This file has the arguments
//! and the order of the output; each step has its own file.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::case::{self, Case};
use crate::load_sweep;
use crate::output;
use crate::schema::Kind;
use crate::servers::{self, Extra, ServerSpec};
use crate::session::{self, Options, Session};
use crate::table;

/// Compares echo servers with a hand-written C epoll server, the C baseline.
///
/// All servers share one core and are busy one at a time; the load has another core to itself. Each
/// round gives every server one slice, so drift of the machine affects all of them. A difference
/// that a second copy of the reference also shows is noise.
#[derive(Debug, clap::Args)]
#[command(after_help = cases_help())]
pub struct Args {
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
    cases: Vec<Selection>,
    /// Lists servers and cases, and measures nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    options: Options,
}

/// What can be selected by name.
#[derive(Debug, Clone)]
enum Selection {
    /// A closed loop.
    Case(Case),
    /// The open loop with rising rates.
    Knee,
}

/// The subcommand.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    if args.list {
        return session::exit_code(output::print(&list()).map(|()| 0));
    }
    session::exit_code(run(args))
}

fn run(args: &Args) -> Result<u8> {
    let extras = servers::group_extras(&args.extra);
    let entries = extras.and_then(|extras| servers::select_of(&args.servers, &extras));
    let entries = match entries {
        Ok(entries) => entries,
        Err(error) => return Ok(session::usage(&error)),
    };
    let may_begin = session::check_reference(&args.options, &entries)
        .and_then(|()| output::check_writable(args.options.json.as_deref()));
    if let Err(error) = may_begin {
        return Ok(session::usage(&error));
    }
    let mut session = Session::open(Kind::Compare, &args.options, &entries, &args.servers)?;
    session.measure_idle_memory();
    let selected = if args.cases.is_empty() { all_selections() } else { args.cases.clone() };
    if selected.iter().any(|it| matches!(it, Selection::Case(_))) {
        session.print(&table::legend(session.record.run.rounds))?;
    }
    for selection in &selected {
        if session.is_interrupted() {
            break;
        }
        match selection {
            Selection::Case(case) => select(&mut session, case)?,
            Selection::Knee => {
                session.run_sweep().context("case knee")?;
                let shown = table::knee(&session.record);
                session.print(&shown)?;
            }
        }
    }
    session.is_interrupted();
    let shown = table::servers(&session.record) + &table::concluded(&session.record);
    session.print(&shown)?;
    session.write()?;
    Ok(session.code())
}

fn select(session: &mut Session, case: &Case) -> Result<()> {
    let ran = session.run(case, usize::MAX, true);
    if let Some(shown) = session.record.cases.last().map(|case| table::case(case, &session.record))
    {
        session.print(&shown)?;
    }
    ran.with_context(|| format!("case {}", case.name))
}

fn all_selections() -> Vec<Selection> {
    case::all().into_iter().map(Selection::Case).chain([Selection::Knee]).collect()
}

impl Selection {
    fn description(&self) -> (&str, &str) {
        match self {
            Self::Case(case) => (&case.name, &case.what),
            Self::Knee => (load_sweep::NAME, load_sweep::WHAT),
        }
    }
}

fn by_name(text: &str) -> Result<Selection, String> {
    let known = all_selections();
    let names = || known.iter().map(|it| it.description().0).collect::<Vec<_>>().join(", ");
    let found = known.iter().find(|it| it.description().0 == text);
    found.cloned().ok_or_else(|| format!("the cases are {}", names()))
}

fn cases_help() -> String {
    let everything = all_selections();
    let lines = everything
        .iter()
        .map(Selection::description)
        .map(|(name, what)| format!("  {name:10}{what}\n"));
    format!("Cases:\n{}", lines.collect::<String>())
}

fn list() -> String {
    let line = |entry: &ServerSpec| {
        let missing = entry.missing().map(|missing| format!("  {:14}- {missing}\n", ""));
        format!("  {:14}{}\n{}", entry.name, entry.what, missing.unwrap_or_default())
    };
    let servers: String = servers::all().iter().map(line).collect();
    table::folded(&format!("Servers:\n{servers}{}", cases_help()))
}
