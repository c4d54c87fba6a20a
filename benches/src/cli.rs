//! The command line: dispatch to subcommands, each of which has its own file. Exit codes are in
//! `exit.rs`.

mod examine;
mod hgrm;
mod load;
mod merge;
mod progress;
mod rank;
mod table;
mod target;
mod threshold;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::SIGCHLD;

use crate::exit;
use crate::output::{self, print_error};
use crate::table::WIDTH;

/// Measures echo servers and checks every byte.
#[derive(Debug, Parser)]
#[command(name = "epollite-bench", version, term_width = WIDTH)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Loads one echo server and checks every byte that comes back.
    Load(Box<load::Args>),
    /// Adds up the results of several ranks of `load --out DIR`.
    Merge(merge::Args),
    /// Compares echo servers with a C baseline: paired, with an A/A control.
    Compare(Box<crate::compare::Args>),
    /// Compares the server models by number of connections.
    Models(Box<crate::models::Args>),
    /// Counts a server's instructions per echo, and compares them with a baseline.
    Instructions(crate::instructions::Args),
    /// Measures what a receive and a send cost by the offset of the buffer within a page.
    Alignment(crate::alignment::Args),
    /// Measures what an event and an idle connection cost as connections grow.
    Scale(crate::scale::Args),
    /// Examines one echo server: is each byte right, whatever its clients do.
    Examine(Box<examine::Args>),
    /// Loads one server for a long time: does what it uses stay flat.
    Soak(Box<crate::soak::Args>),
    /// Measures the latency of one polite client while others attack the server.
    Attacks(Box<crate::attacks::Args>),
    /// Renders the JSON of compare and models: an HTML page, and its plots as SVG.
    Report(crate::report::Args),
    #[command(name = crate::load_process::NAME, hide = true)]
    Worker,
    /// Writes a completion script for a shell to standard output.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// The program.
pub fn main() -> ExitCode {
    // SIGXFSZ blocked: a file at its size limit is then an error of write(2), and the measurements
    // are not lost. Servers do not inherit this: the mask of a child is empty.
    let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
    // SIGCHLD ignored by the parent, as by a shell's trap, would discard the exit status of
    // children: exec(3) keeps the disposition, and wait(2) then reports no child. A handler resets
    // it. Best effort: without it exit statuses are missing, and that is reported. Blocked, the
    // handler never runs: otherwise it would interrupt a receive with a timeout, even with
    // SA_RESTART (signal(7)).
    let _ = SigSet::from(Signal::SIGCHLD).thread_block();
    let _ = signal_hook::flag::register(SIGCHLD, Arc::default());
    let code = parse().map_or_else(|error| print_usage(&error), run);
    ExitCode::from(code.unwrap_or_else(|error| {
        print_error(format!("{error:#}"));
        exit::code(&error)
    }))
}

/// Prints help, the version, or an error of the arguments; returns the exit code.
fn print_usage(error: &clap::Error) -> Result<u8> {
    let text = error.render();
    let coloured = |has_colour| if has_colour { text.ansi().to_string() } else { text.to_string() };
    if error.use_stderr() {
        output::write_err(&coloured(std::io::stderr().is_terminal()));
    } else {
        output::print(&coloured(std::io::stdout().is_terminal()))?;
    }
    Ok(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE))
}

/// Parses the arguments and the environment.
fn parse() -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let (Command::Load(args), Some((_, load))) = (&mut cli.command, matches.subcommand())
        && let Err(why) = args.resolve_conflicts(load)
    {
        return Err(command.error(ErrorKind::ArgumentConflict, why));
    }
    Ok(cli)
}

/// The command line definition; empty environment variables count as unset.
#[must_use]
pub fn command() -> clap::Command {
    let without_empty = |arg: Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        if value.is_some_and(|value| value.is_empty()) { arg.env(Resettable::Reset) } else { arg }
    };
    Cli::command().mut_subcommand("load", |load| load.mut_args(without_empty))
}

fn run(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::Load(args) => load::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Compare(args) => crate::compare::run(&args),
        Command::Models(args) => crate::models::run(&args),
        Command::Instructions(args) => crate::instructions::run(&args),
        Command::Alignment(args) => crate::alignment::run(&args),
        Command::Scale(args) => crate::scale::run(&args),
        Command::Examine(args) => examine::run(&args),
        Command::Soak(args) => crate::soak::run(&args),
        Command::Attacks(args) => crate::attacks::run(&args),
        Command::Report(args) => crate::report::run(&args),
        Command::Worker => {
            crate::load_process::run();
            Ok(0)
        }
        Command::Completions { shell } => output::print(&completions(shell)).map(|()| 0),
    }
}

/// The completion script of the program.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "epollite-bench", &mut script);
    // In bash, the states of a program with a hyphen in its name are set by one name and looked for
    // by another: no option would be completed.
    String::from_utf8_lossy(&script).replace("epollite__subcmd__bench", "epollite__bench")
}

/// The exit code of a load whose result was written: a failure of the load takes precedence over
/// one of the output.
fn written(result: Result<()>, code: u8) -> Result<u8> {
    match result {
        Err(error) if code != 0 => {
            print_error(format!("{error:#}"));
            Ok(code)
        }
        result => result.map(|()| code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
