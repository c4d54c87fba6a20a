//! `compare`: echo servers against a reference, slice by slice in turn. Here are its arguments and
//! what it prints when; each piece of the work has its own file.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::case::{self, Case};
use crate::load_sweep;
use crate::output;
use crate::schema::Kind;
use crate::servers::{self, Extra, ServerSpec};
use crate::session::{self, Options, Session};
use crate::table;

/// Compares echo servers with a hand-written C epoll server, the yardstick.
///
/// All servers share one core and are busy one at a time; the load has another core to itself. Each
/// round gives every server one slice, so a machine that drifts does so for all of them. What the
/// yardstick's second copy shows is noise, and what the noise covers is no difference.
#[derive(Debug, clap::Args)]
#[command(after_help = cases_help())]
pub struct Args {
    /// Servers to compare, separated by commas: names, models, peers, all [default: ours by epoll, C,
    /// and the peers that are installed]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    servers: Vec<String>,
    /// A server of your own, beside those of --servers; {port} becomes a free port. For the cases of
    /// UDP NAME=udp:COMMAND, for those of Unix sockets a command with {path}; of one NAME they are
    /// one server
    #[arg(long, value_name = "NAME=COMMAND")]
    extra: Vec<Extra>,
    /// Which cases, separated by commas [default: all of them]
    #[arg(long, value_delimiter = ',', value_name = "CASE", value_parser = named)]
    cases: Vec<Selection>,
    /// Prints whom and what there is, and measures nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    options: Options,
}

/// What may be asked by name.
#[derive(Debug, Clone)]
enum Selection {
    /// A closed loop.
    Case(Case),
    /// The open loop that asks more and more.
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
    let extras = servers::gathered(&args.extra);
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
    let asked = if args.cases.is_empty() { everything() } else { args.cases.clone() };
    if asked.iter().any(|asked| matches!(asked, Selection::Case(_))) {
        session.print(&table::legend(session.record.run.rounds))?;
    }
    for asked in &asked {
        if session.is_interrupted() {
            break;
        }
        match asked {
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

fn everything() -> Vec<Selection> {
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

fn named(text: &str) -> Result<Selection, String> {
    let known = everything();
    let names = || known.iter().map(|asked| asked.description().0).collect::<Vec<_>>().join(", ");
    let asked = known.iter().find(|asked| asked.description().0 == text);
    asked.cloned().ok_or_else(|| format!("the cases are {}", names()))
}

fn cases_help() -> String {
    let everything = everything();
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
