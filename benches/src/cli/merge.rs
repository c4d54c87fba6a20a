//! `epollite-bench merge DIR`: what several ranks measured, as one result.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use super::{USAGE, complain, show};
use crate::hgrm;
use crate::merge::{Merged, merge, read};
use crate::units::grouped;

/// Adds up the results of several ranks of `load --out DIR`.
///
/// Exit codes: 0; 1 some rank's echoes were wrong, or it ended before its time; 2 the results do
/// not belong together, and nothing is added up.
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// The folder with the files rank-0.json, rank-1.json, ...
    dir: PathBuf,
    /// The result as JSON instead of a table.
    #[arg(long, conflicts_with = "hgrm")]
    json: bool,
    /// Adds the whole distribution, as HdrHistogram's tools print it, in microseconds.
    #[arg(long)]
    hgrm: bool,
}

/// The subcommand.
pub(super) fn main(args: &Args) -> ExitCode {
    match run(args) {
        Ok(merged) => {
            for failure in &merged.failures {
                complain(failure);
            }
            let is_whole = merged.failures.is_empty() && merged.counts.errors() == 0;
            if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(format!("{error:#}"));
            ExitCode::from(USAGE)
        }
    }
}

fn run(args: &Args) -> Result<Merged> {
    let merged = merge(read(&args.dir)?)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&merged)?);
    } else {
        print!("{}", table(&merged));
    }
    if args.hgrm {
        print!("\n{}", hgrm::of(&merged.latencies));
    }
    Ok(merged)
}

fn table(merged: &Merged) -> String {
    let Merged { ranks, counts, window_seconds, rate, .. } = merged;
    let messages = grouped(counts.messages);
    let mut text = format!("{ranks} ranks, {messages} messages; all at work for ");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{window_seconds:.2} s: {rate:.0}/s");
    text += &show::latencies(&merged.latency_nanos, None);
    let _ = writeln!(text, "errors      {}", grouped(counts.errors()));
    for wrong in &merged.wrong {
        let _ = writeln!(text, "            {wrong}");
    }
    if counts.lost > 0 {
        let _ = writeln!(text, "lost        {}", grouped(counts.lost));
        if counts.refused > 0 {
            let refused = grouped(counts.refused);
            let _ = writeln!(text, "            {refused} their own machines refused to send");
        }
    }
    text
}
