//! The command line: which subcommand, and how a run ends. Each subcommand has its own file.
//!
//! Exit codes: 0; 1 a wrong echo, a condition of `--fail-if` that holds, a server that broke in
//! `compare`, a count of instructions that grew; 2 bad arguments, or files that are not what they
//! should be; 69 (`EX_UNAVAILABLE`) no server, or one that went away, or a limit of this machine.

mod condition;
mod live;
mod load;
mod merge;
mod rank;
mod show;
mod target;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// No server, or no means to load it.
const UNAVAILABLE: u8 = 69;

/// Bad arguments, as clap has it.
const USAGE: u8 = 2;

/// Measures echo servers, and tells the truth about them.
#[derive(Debug, Parser)]
#[command(name = "epollite-bench", version)]
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
    /// Compares echo servers with a C yardstick, paired, with an A/A control.
    Compare(Box<crate::compare::Args>),
    /// Compares the server models by number of connections: the tutorial's comparison, measured.
    Models(Box<crate::models::Args>),
    /// Counts a server's instructions for each echo, and compares them with a baseline.
    Instructions(crate::instructions::Args),
    /// Draws what compare and models wrote with --json: one HTML page, and its plots as SVG.
    Report(crate::report::Args),
    #[command(name = crate::worker::NAME, hide = true)]
    Worker(crate::worker::Order),
    /// Writes a completion script for a shell to standard output.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Load(args) => load::main(&args),
        Command::Merge(args) => merge::main(&args),
        Command::Compare(args) => crate::compare::main(&args),
        Command::Models(args) => crate::models::main(&args),
        Command::Instructions(args) => crate::instructions::main(&args),
        Command::Report(args) => crate::report::main(&args),
        Command::Worker(order) => crate::worker::main(&order),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "epollite-bench", &mut script);
            let written = crate::outlet::write_out(&String::from_utf8_lossy(&script));
            crate::session::ended(written.map(|()| 0))
        }
    }
}

/// One clear line on standard error.
fn complain(why: impl std::fmt::Display) {
    eprintln!("epollite-bench: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Cli::command().debug_assert();
    }
}
