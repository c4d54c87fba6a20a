//! `epollite-bench merge DIR`: merges the results of several ranks.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use super::hgrm::Hgrm;
use super::table;
use crate::exit::{self, Usage};
use crate::merge::{Merged, merge, read};
use crate::output::{self, print_error};
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

pub(super) fn run(args: &Args) -> Result<u8> {
    let merged = read(&args.dir).and_then(merge).map_err(Usage::new)?;
    args.hgrm.check(args.json).map_err(Usage::new)?;
    let printed = print_result(args, &merged);
    for failure in &merged.failures {
        print_error(failure);
    }
    let is_complete = merged.failures.is_empty() && merged.counts.errors() == 0;
    super::written(printed, if is_complete { 0 } else { exit::FAILED })
}

fn print_result(args: &Args, merged: &Merged) -> Result<()> {
    let mut text =
        if args.json { serde_json::to_string_pretty(merged)? + "\n" } else { table(merged) };
    let added = args.hgrm.add(&mut text, &merged.latencies);
    output::print(&text).and(added)
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
