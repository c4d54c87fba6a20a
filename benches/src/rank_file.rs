//! The result file of one rank: counters, progress, and the complete histogram.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::atomic_file;
use crate::load::{Counts, Progress, Report};

/// Format name and version.
const FORMAT: &str = "epollite-bench load 1";

/// Parameters that may differ between ranks: they depend on the host, not on the load.
const PER_RANK_PARAMETERS: [&str; 2] = ["pin", "server_pid"];

/// Upper bound of every counter: three million per second for three years.
const COUNT_MAX: u64 = 1 << 48;

/// Upper bound of every time, in nanoseconds since 1970: the year 2262.
const TIME_MAX_NANOS: u64 = i64::MAX.unsigned_abs();

/// The name of a rank's result file.
pub fn file_name(rank: u32) -> String {
    format!("rank-{rank}.json")
}

/// One rank's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankFile {
    format: String,
    /// Which rank, from 0.
    pub rank: u32,
    /// Number of ranks.
    pub size: u32,
    /// The parameters.
    pub parameters: Value,
    /// Start of the measurement, in nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// Why the rank ended early, if it did.
    pub failure: Option<String>,
    /// The counters.
    pub counts: Counts,
    /// Mismatches, described.
    pub wrong: Vec<String>,
    /// Progress over time.
    pub progress: Vec<Progress>,
    /// All latencies in nanoseconds: HdrHistogram V2, deflated, in base64.
    pub histogram: String,
}

impl RankFile {
    /// Converts a report.
    pub(crate) fn from_report(report: &Report, rank: u32, size: u32) -> Self {
        let mut parameters = serde_json::to_value(&report.config).expect("it can be serialised");
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
            histogram: encode(&report.meter.latencies),
        }
    }

    /// Writes it to its file in `dir`, atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(file_name(self.rank));
        let text = serde_json::to_string_pretty(self)? + "\n";
        atomic_file::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads a result file, and checks its consistency.
    ///
    /// # Errors
    /// If it is not a result file, or is inconsistent.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).context("cannot be read")?;
        let record: Self = serde_json::from_str(&text).context("is not the result of a load")?;
        record.check()?;
        Ok(record)
    }

    /// The latencies.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn latencies(&self) -> Result<Histogram<u64>> {
        let bytes = BASE64_STANDARD.decode(&self.histogram).context("the histogram is damaged")?;
        let read: Result<Histogram<u64>, _> = Deserializer::new().deserialize(&mut &bytes[..]);
        read.map_err(|error| anyhow::anyhow!("the histogram is damaged: {error:?}"))
    }

    fn check(&self) -> Result<()> {
        ensure!(self.format == FORMAT, "its format is '{}', not '{FORMAT}'", self.format);
        ensure!(self.rank < self.size, "it is rank {} of {}", self.rank, self.size);
        let most = self.counts.largest();
        ensure!(most <= COUNT_MAX, "a counter is {most}, more than any load counts");
        let latencies = self.latencies()?.len();
        let (messages, unsent) = (self.counts.messages, self.counts.unsent);
        ensure!(
            Some(latencies) == messages.checked_add(unsent),
            "it has {latencies} latencies for {messages} messages and {unsent} unsent"
        );
        let times = self.progress.iter().map(|progress| progress.nanos);
        let latest = times.fold(self.start_unix_nanos, u64::max);
        ensure!(latest <= TIME_MAX_NANOS, "a time is {latest} ns, out of range");
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
    written.expect("writing to memory does not fail");
    BASE64_STANDARD.encode(bytes)
}
