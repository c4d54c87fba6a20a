//! The result of one rank as a file, whole: counts, progress, the histogram bit for bit.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::load::{Counts, Progress, Report};

/// What the file is, and how it is to be read.
const FORMAT: &str = "epollite-bench load 1";

/// Parameters that may differ between ranks: they say where a rank is, not what it does.
const PER_RANK_PARAMETERS: [&str; 2] = ["pin", "server_pid"];

/// More than any load counts: three million a second for three years.
const COUNT_MAX: u64 = 1 << 48;

/// Later than any load runs: in nanoseconds since 1970, the year 2262.
const TIME_MAX_NANOS: u64 = i64::MAX.unsigned_abs();

/// What a file of results is called.
#[must_use]
pub fn file_name(rank: u32) -> String {
    format!("rank-{rank}.json")
}

/// One rank's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankFile {
    format: String,
    /// Which rank, from 0.
    pub rank: u32,
    /// How many there are.
    pub size: u32,
    /// What was asked.
    pub parameters: Value,
    /// When the measuring began, in nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// Why the rank ended before its time, if it did.
    pub failure: Option<String>,
    /// What it counted.
    pub counts: Counts,
    /// What was wrong, by name.
    pub wrong: Vec<String>,
    /// How far it had come, when.
    pub progress: Vec<Progress>,
    /// All latencies in nanoseconds: HdrHistogram V2, deflated, in base64.
    pub histogram: String,
}

impl RankFile {
    /// Of a report.
    ///
    /// # Panics
    /// Never: a histogram and a configuration can be written down.
    #[must_use]
    pub fn from_report(report: &Report, rank: u32, size: u32) -> Self {
        let mut parameters = serde_json::to_value(&report.config).expect("it has a form in JSON");
        if let Some(fields) = parameters.as_object_mut() {
            for name in PER_RANK_PARAMETERS {
                fields.remove(name);
            }
        }
        let interrupted = || "interrupted by a signal".to_owned();
        let ended_early = report.ending == crate::load::Outcome::Interrupted;
        Self {
            format: FORMAT.to_owned(),
            rank,
            size,
            parameters,
            start_unix_nanos: report.start_unix_nanos,
            failure: report.failure.clone().or_else(|| ended_early.then(interrupted)),
            counts: report.counts,
            wrong: report.wrong.clone(),
            progress: report.meter.progress.clone(),
            histogram: encode(report.latencies()),
        }
    }

    /// Writes it to its file in `dir`, which appears whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(file_name(self.rank));
        let fresh = dir.join(format!(".{}.{}", file_name(self.rank), std::process::id()));
        let text = serde_json::to_string_pretty(self)? + "\n";
        let written = fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &path));
        if written.is_err() {
            // What there is of it is no result.
            let _ = fs::remove_file(&fresh);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads one, and checks that it agrees with itself.
    ///
    /// # Errors
    /// When it is no result, or its counts do not add up.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).context("cannot be read")?;
        let record: Self = serde_json::from_str(&text).context("is no result of a load")?;
        record.check()?;
        Ok(record)
    }

    /// The latencies.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn latencies(&self) -> Result<Histogram<u64>> {
        let bytes = BASE64_STANDARD.decode(&self.histogram).context("the histogram is damaged")?;
        let read: Result<Histogram<u64>, _> = Deserializer::new().deserialize(&mut &bytes[..]);
        read.map_err(|error| anyhow::anyhow!("the histogram is damaged: {error:?}"))
    }

    fn check(&self) -> Result<()> {
        ensure!(self.format == FORMAT, "its format is '{}', not '{FORMAT}'", self.format);
        ensure!(self.rank < self.size, "it is rank {} of {}", self.rank, self.size);
        let most = self.counts.largest();
        ensure!(most <= COUNT_MAX, "it counts to {most}, which no load does");
        let latencies = self.latencies()?.len();
        let (messages, unsent) = (self.counts.messages, self.counts.unsent);
        ensure!(
            Some(latencies) == messages.checked_add(unsent),
            "it has {latencies} latencies for {messages} messages and {unsent} unsent"
        );
        let times = self.progress.iter().map(|progress| progress.nanos);
        let latest = times.fold(self.start_unix_nanos, u64::max);
        ensure!(latest <= TIME_MAX_NANOS, "its times go to {latest} ns, past all calendars");
        let ascends = |pair: &[Progress]| {
            pair[0].nanos <= pair[1].nanos && pair[0].messages <= pair[1].messages
        };
        ensure!(self.progress.windows(2).all(ascends), "its progress goes backwards");
        let last = self.progress.last().map(|progress| progress.messages);
        ensure!(last == Some(messages), "its progress ends at {last:?} of {messages} messages");
        Ok(())
    }
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    let written = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    written.expect("memory takes every byte");
    BASE64_STANDARD.encode(bytes)
}
