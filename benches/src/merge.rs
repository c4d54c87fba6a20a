//! Merges the results of several ranks: histograms are added exactly, rates are summed over the
//! time during which all ranks were running. Results that do not belong together are rejected.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;

use crate::load::{Counts, Latency, Progress, histogram};
use crate::rank_file::RankFile;

/// The merged result.
#[derive(Debug, Clone, Serialize)]
pub struct Merged {
    /// Number of ranks.
    pub ranks: u32,
    /// The parameters of each rank.
    pub parameters: Value,
    /// The summed counters.
    #[serde(flatten)]
    pub counts: Counts,
    /// How long all of them were running at the same time.
    pub window_seconds: f64,
    /// Messages per second in that time, of all ranks.
    pub rate: f64,
    /// The rate of each rank in that time.
    pub rates: Vec<f64>,
    /// Latencies of all messages, in nanoseconds.
    pub latency_nanos: Latency,
    /// Ranks that ended early, and why.
    pub failures: Vec<String>,
    /// Mismatches, described.
    pub wrong: Vec<String>,
    /// All latencies.
    #[serde(skip)]
    pub latencies: Histogram<u64>,
}

/// Reads all result files of a folder.
///
/// # Errors
/// If there are none, or one is invalid.
pub fn read(dir: &Path) -> Result<Vec<RankFile>> {
    let mut records = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("rank-") && name.ends_with(".json") {
            records.push(RankFile::read(&path).with_context(|| path.display().to_string())?);
        }
    }
    ensure!(!records.is_empty(), "{}: no results found (rank-N.json)", dir.display());
    Ok(records)
}

/// Merges results.
///
/// # Errors
/// If ranks are missing or duplicate, have different parameters, or never ran at the same time.
pub fn merge(mut records: Vec<RankFile>) -> Result<Merged> {
    records.sort_by_key(|record| record.rank);
    check_same_run(&records)?;
    let (start, end) = window(&records)?;
    let mut latencies = histogram();
    let mut counts = Counts::default();
    for record in &records {
        latencies.add(record.latencies()?).context("the histograms have different bounds")?;
        counts = counts + record.counts;
    }
    let window_seconds = (end - start) as f64 / 1e9;
    let rate = |record: &RankFile| {
        let at = |time: u64| interpolate_messages(&record.progress, time - record.start_unix_nanos);
        (at(end) - at(start)) / window_seconds
    };
    let rates: Vec<f64> = records.iter().map(rate).collect();
    let failure = |record: &RankFile| {
        record.failure.as_ref().map(|failure| format!("rank {}: {failure}", record.rank))
    };
    let wrong = |record: &RankFile| {
        let rank = record.rank;
        record.wrong.iter().map(|wrong| format!("rank {rank}: {wrong}")).collect::<Vec<_>>()
    };
    Ok(Merged {
        ranks: records[0].size,
        parameters: records[0].parameters.clone(),
        counts,
        window_seconds,
        rate: rates.iter().sum(),
        rates,
        latency_nanos: Latency::of(&latencies),
        failures: records.iter().filter_map(failure).collect(),
        wrong: records.iter().flat_map(wrong).collect(),
        latencies,
    })
}

/// Checks that each rank is present once, with the same parameters. The slice is sorted by rank.
fn check_same_run(records: &[RankFile]) -> Result<()> {
    let Some(first) = records.first() else { bail!("no results found") };
    let (first_rank, ranks) = (first.rank, first.size);
    for RankFile { rank, size, .. } in records {
        ensure!(*size == ranks, "rank {rank} is one of {size}, rank {first_rank} of {ranks}");
    }
    for pair in records.windows(2) {
        ensure!(pair[0].rank != pair[1].rank, "rank {} occurs twice", pair[0].rank);
    }
    let is_missing = |rank: &u32| records.iter().all(|record| record.rank != *rank);
    let missing: Vec<String> = (0..ranks).filter(is_missing).map(|rank| rank.to_string()).collect();
    let list = missing.join(", ");
    ensure!(missing.is_empty(), "of {ranks} ranks these are missing: {list}");
    for record in &records[1..] {
        if let Some(name) = differing_parameter(&first.parameters, &record.parameters) {
            let of = |record: &RankFile| {
                record.parameters.get(&name).map(Value::to_string).unwrap_or_default()
            };
            let (rank, is, was) = (record.rank, of(record), of(first));
            bail!(
                "rank {rank} has other parameters than rank {first_rank}: {name} is {is} and not {was}"
            );
        }
    }
    Ok(())
}

/// The first parameter that differs.
fn differing_parameter(one: &Value, other: &Value) -> Option<String> {
    let empty = serde_json::Map::new();
    let fields = |value| Value::as_object(value).unwrap_or(&empty);
    let (one, other) = (fields(one), fields(other));
    let mut names = one.keys().chain(other.keys());
    names.find(|name| one.get(*name) != other.get(*name)).cloned()
}

/// The time during which all ranks were running, in nanoseconds since 1970.
fn window(records: &[RankFile]) -> Result<(u64, u64)> {
    let end = |record: &RankFile| {
        record.start_unix_nanos + record.progress.last().map_or(0, |progress| progress.nanos)
    };
    let start = records.iter().map(|record| record.start_unix_nanos).max().unwrap_or(0);
    let end = records.iter().map(end).min().unwrap_or(0);
    ensure!(start < end, "the ranks never ran at the same time: start them together (--start-at)");
    Ok((start, end))
}

/// Number of messages at some time, linearly interpolated.
fn interpolate_messages(progress: &[Progress], nanos: u64) -> f64 {
    let after = progress.partition_point(|point| point.nanos < nanos);
    let zero = Progress { nanos: 0, messages: 0 };
    let before = after.checked_sub(1).map_or(zero, |at| progress[at]);
    let Some(next) = progress.get(after) else {
        return before.messages as f64;
    };
    let span = (next.nanos - before.nanos).max(1) as f64;
    let share = (nanos - before.nanos) as f64 / span;
    before.messages as f64 + (next.messages - before.messages) as f64 * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_interpolated_linearly() {
        let progress = [(10, 100), (20, 300)].map(|(nanos, messages)| Progress { nanos, messages });
        for (nanos, messages) in
            [(0, 0.0), (5, 50.0), (10, 100.0), (15, 200.0), (20, 300.0), (99, 300.0)]
        {
            let got = interpolate_messages(&progress, nanos);
            assert!((got - messages).abs() < 1e-9, "at {nanos}: {got}");
        }
    }
}
