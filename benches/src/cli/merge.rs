//! `epollite-bench merge DIR`: merges the results of several ranks.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use super::hgrm::Hgrm;
use super::{UNAVAILABLE, USAGE, print_error, table};
use crate::merge::{Merged, merge, read};
use crate::output;
use crate::table::folded;
use crate::units::grouped;

/// Adds up the results of several ranks of `load --out DIR`.
///
/// Exit codes: 0; 1 a rank had wrong echoes, or ended early; 2 the results do not belong together,
/// and nothing is merged.
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// The folder with the files rank-0.json, rank-1.json, ...
    dir: PathBuf,
    /// The result as JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hgrm: Hgrm,
}

/// The subcommand.
pub(super) fn main(args: &Args) -> ExitCode {
    let merged = read(&args.dir)
        .and_then(merge)
        .and_then(|merged| args.hgrm.check(args.json).map(|()| merged).map_err(anyhow::Error::msg));
    let merged = match merged {
        Ok(merged) => merged,
        Err(error) => {
            print_error(format!("{error:#}"));
            return ExitCode::from(USAGE);
        }
    };
    let printed = print_result(args, &merged);
    for failure in &merged.failures {
        print_error(failure);
    }
    let is_complete = merged.failures.is_empty() && merged.counts.errors() == 0;
    if let Err(error) = printed {
        print_error(format!("{error:#}"));
        return ExitCode::from(if is_complete { UNAVAILABLE } else { 1 });
    }
    if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_result(args: &Args, merged: &Merged) -> Result<()> {
    let mut text =
        if args.json { serde_json::to_string_pretty(merged)? + "\n" } else { table(merged) };
    let written = args.hgrm.add(&mut text, &merged.latencies).map_err(anyhow::Error::msg);
    output::print(&text).and(written)
}

fn table(merged: &Merged) -> String {
    let Merged { ranks, counts, window_seconds, rate, .. } = merged;
    let messages = grouped(counts.messages);
    let mut text = format!("{ranks} ranks, {messages} messages; all running for ");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{window_seconds:.2} s: {rate:.0}/s");
    text += &table::latencies(&merged.latency_nanos, None);
    let _ = writeln!(text, "errors      {}", grouped(counts.errors()));
    for wrong in &merged.wrong {
        let _ = writeln!(text, "            {wrong}");
    }
    if counts.lost > 0 {
        let _ = writeln!(text, "lost        {}", grouped(counts.lost));
        if counts.refused > 0 {
            let refused = grouped(counts.refused);
            let _ = writeln!(text, "            {refused} refused by the sending machines");
        }
    }
    folded(&text)
}
