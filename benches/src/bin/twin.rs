//! `twin`: compares echo servers with the C twin, slice by slice. Here are the arguments and the
//! order of events; each piece of the work has its own file in the library.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use epollite_bench::case::{CASES, Case};
use epollite_bench::server::{self, Cores, Server};
use epollite_bench::{contest, report, twin};

/// Compares echo servers with a hand-written C epoll server (edge-triggered), the yardstick.
///
/// All servers share one core and are busy one at a time; the load has another core to itself.
/// Each round gives every server one slice, so a machine that drifts does so for all of them.
#[derive(Debug, Parser)]
#[command(version, after_help = cases_help())]
struct Args {
    /// A server to compare; may be given more than once. In the command, {port} becomes a free
    /// port and {twin} the path of the C twin.
    #[arg(long = "server", value_name = "NAME=COMMAND", value_parser = parse_server)]
    servers: Vec<(String, String)>,
    /// Which cases to run, separated by commas; all of them if not given.
    #[arg(long, value_delimiter = ',', value_parser = parse_case)]
    cases: Vec<Case>,
    /// How many rounds count, after one that does not.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    rounds: u16,
    /// How long one server is busy in one round: 50ms, 1s.
    #[arg(long, default_value = "50ms", value_parser = parse_slice)]
    slice: Duration,
    /// Writes everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("twin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let cores = Cores::choose()?;
    server::raise_file_limit()?;
    let twin = twin::compile()?;
    let twin = twin.to_str().context("the path of this program is not text")?;
    let twin = shlex::try_quote(twin).context("the path of this program cannot be quoted")?;
    server::pin(cores.load)?;

    let edge = "{twin} {port} edge".to_owned();
    let mut commands = vec![("C edge".to_owned(), edge.clone()), ("A/A".to_owned(), edge)];
    commands.extend(args.servers.iter().cloned());
    let (names, commands): (Vec<String>, Vec<String>) = commands.into_iter().unzip();
    let mut servers = Vec::with_capacity(names.len());
    for (name, command) in names.iter().zip(commands) {
        servers.push(Server::start(name, &command.replace("{twin}", &twin), cores)?);
    }

    let cases = if args.cases.is_empty() { CASES.to_vec() } else { args.cases.clone() };
    let rounds = usize::from(args.rounds);
    let start = Instant::now();
    print!("{}", report::legend(rounds));
    let mut outcomes = Vec::with_capacity(cases.len());
    for case in cases {
        eprintln!("{}: {rounds} rounds, {} servers, {:?} each", case.name, names.len(), args.slice);
        let outcome = contest::run(case, &mut servers, rounds, args.slice)
            .with_context(|| format!("case {}", case.name))?;
        eprintln!("{}: done in {:.1} s", case.name, outcome.wall.as_secs_f64());
        print!("{}", report::table(&outcome, &names));
        outcomes.push(outcome);
    }
    eprintln!("all done in {:.1} s", start.elapsed().as_secs_f64());
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", report::json(&outcomes, &names));
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn parse_server(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, command)) if !name.is_empty() && command.contains("{port}") => {
            Ok((name.to_owned(), command.to_owned()))
        }
        _ => Err("it takes NAME=COMMAND, and the command must contain {port}".to_owned()),
    }
}

fn parse_case(text: &str) -> Result<Case, String> {
    let known = || CASES.map(|case| case.name).join(", ");
    Case::named(text).ok_or_else(|| format!("the cases are {}", known()))
}

fn parse_slice(text: &str) -> Result<Duration, String> {
    let millis = match text.strip_suffix("ms") {
        Some(millis) => millis.parse::<u64>().ok(),
        None => text
            .strip_suffix('s')
            .and_then(|seconds| seconds.parse::<u64>().ok())
            .and_then(|seconds| seconds.checked_mul(1000)),
    };
    match millis {
        // Shorter, and starting and ending a slice is all there is; longer, and drift creeps in.
        Some(millis @ 5..=10_000) => Ok(Duration::from_millis(millis)),
        _ => Err("it takes a time from 5ms to 10s".to_owned()),
    }
}

fn cases_help() -> String {
    let lines = CASES.map(|case| format!("  {:8}{}\n", case.name, case.what));
    format!("Cases:\n{}", lines.concat())
}
