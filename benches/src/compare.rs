//! `compare`: echo servers against a reference, slice by slice in turn. Here are its arguments and
//! what it prints when; each piece of the work has its own file.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::case::{self, Case};
use crate::knee;
use crate::outlet;
use crate::result::Kind;
use crate::roster::{self, Entry, Extra};
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
    cases: Vec<Asked>,
    /// Prints whom and what there is, and measures nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    options: Options,
}

/// What may be asked by name.
#[derive(Debug, Clone)]
enum Asked {
    /// A closed loop.
    Case(Case),
    /// The open loop that asks more and more.
    Knee,
}

/// The subcommand.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    if args.list {
        return session::ended(outlet::write_out(&list()).map(|()| 0));
    }
    session::ended(run(args))
}

fn run(args: &Args) -> Result<u8> {
    let extras = roster::gathered(&args.extra);
    let entries = extras.and_then(|extras| roster::select_of(&args.servers, &extras));
    let entries = match entries {
        Ok(entries) => entries,
        Err(error) => return Ok(session::usage(&error)),
    };
    let may_begin = session::check_reference(&args.options, &entries)
        .and_then(|()| outlet::is_writable(args.options.json.as_deref()));
    if let Err(error) = may_begin {
        return Ok(session::usage(&error));
    }
    let mut session = Session::open(Kind::Compare, &args.options, &entries, &args.servers)?;
    session.weigh();
    let asked = if args.cases.is_empty() { everything() } else { args.cases.clone() };
    if asked.iter().any(|asked| matches!(asked, Asked::Case(_))) {
        session.show(&table::legend(session.record.run.rounds))?;
    }
    for asked in &asked {
        if session.is_interrupted() {
            break;
        }
        match asked {
            Asked::Case(case) => ask(&mut session, case)?,
            Asked::Knee => {
                session.knee().context("case knee")?;
                let shown = table::knee(&session.record);
                session.show(&shown)?;
            }
        }
    }
    session.is_interrupted();
    let shown = table::servers(&session.record) + &table::concluded(&session.record);
    session.show(&shown)?;
    session.write()?;
    Ok(session.code())
}

fn ask(session: &mut Session, case: &Case) -> Result<()> {
    let ran = session.run(case, usize::MAX, true);
    if let Some(shown) = session.record.cases.last().map(|case| table::case(case, &session.record))
    {
        session.show(&shown)?;
    }
    ran.with_context(|| format!("case {}", case.name))
}

fn everything() -> Vec<Asked> {
    case::all().into_iter().map(Asked::Case).chain([Asked::Knee]).collect()
}

impl Asked {
    fn about(&self) -> (&str, &str) {
        match self {
            Self::Case(case) => (&case.name, &case.what),
            Self::Knee => (knee::NAME, knee::WHAT),
        }
    }
}

fn named(text: &str) -> Result<Asked, String> {
    let known = everything();
    let names = || known.iter().map(|asked| asked.about().0).collect::<Vec<_>>().join(", ");
    let asked = known.iter().find(|asked| asked.about().0 == text);
    asked.cloned().ok_or_else(|| format!("the cases are {}", names()))
}

fn cases_help() -> String {
    let everything = everything();
    let lines =
        everything.iter().map(Asked::about).map(|(name, what)| format!("  {name:10}{what}\n"));
    format!("Cases:\n{}", lines.collect::<String>())
}

fn list() -> String {
    let line = |entry: &Entry| {
        let missing = entry.missing().map(|missing| format!("  {:14}- {missing}\n", ""));
        format!("  {:14}{}\n{}", entry.name, entry.what, missing.unwrap_or_default())
    };
    let servers: String = roster::all().iter().map(line).collect();
    table::folded(&format!("Servers:\n{servers}{}", cases_help()))
}
