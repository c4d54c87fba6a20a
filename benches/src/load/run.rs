//! A complete run: warm-up, measurement, report. How a report is printed is decided elsewhere.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;
use serde::Serialize;

use super::config::{Config, Length};
use super::error::{LoadError, Result, from_os};
use super::metrics::{Counts, Metrics};
use super::{Load, Observer};
use crate::process_usage::process_cpu;

/// The percentiles of a report.
const PERCENTILES: [f64; 7] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0];

/// CPU time of the generator or the server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cpu {
    /// Seconds in user mode; `None` for a server: only the sum is known to the nanosecond.
    pub user_seconds: Option<f64>,
    /// Seconds in the kernel.
    pub system_seconds: Option<f64>,
    /// The sum of both.
    pub seconds: f64,
    /// Nanoseconds per message, if there was any.
    pub nanos_per_message: Option<f64>,
    /// CPU time divided by elapsed time; 1 is one busy core.
    pub busy: f64,
}

/// Summary of latencies, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// The shortest.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub stdev: f64,
    /// The longest.
    pub max: u64,
    /// Percentiles: a percentage, and the latency that this part of the messages did not exceed.
    pub percentiles: Vec<(f64, u64)>,
}

impl Latency {
    /// Summarises a histogram.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |percent| (percent, histogram.value_at_percentile(percent));
        Self {
            min: histogram.min(),
            mean: histogram.mean(),
            stdev: histogram.stdev(),
            max: histogram.max(),
            percentiles: PERCENTILES.map(at).to_vec(),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// After the configured length.
    Complete,
    /// By a signal; the measurements up to then are valid.
    Interrupted,
    /// Early, or without any response; the measurements up to then are valid.
    Failed(#[serde(skip)] LoadError),
}

/// What a run measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The configuration.
    pub config: Config,
    /// How it ended.
    pub ending: Outcome,
    /// The error, if it failed: one line.
    pub failure: Option<String>,
    /// Start of the measurement, in nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// Duration until the last response.
    pub elapsed_seconds: f64,
    /// Messages per second.
    pub rate: f64,
    /// Bytes per second, in one direction.
    pub bytes_per_second: f64,
    /// Counters.
    #[serde(flatten)]
    pub counts: Counts,
    /// The first mismatches, described.
    pub wrong: Vec<String>,
    /// Latencies, in nanoseconds.
    pub latency_nanos: Latency,
    /// With a rate: the send lag, how late messages were sent for reasons other than the server. If
    /// it is not far below the latencies, the generator measured itself.
    pub lag_nanos: Option<Latency>,
    /// The generator's own CPU.
    pub own_cpu: Cpu,
    /// The server's CPU, if its process was given.
    pub server_cpu: Option<Cpu>,
    /// The underlying measurements.
    #[serde(skip)]
    pub meter: Metrics,
}

impl Report {
    /// 0; 1 if an echo was wrong; 69 if the server closed, stalled or did not respond.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self.ending {
            _ if self.counts.errors() > 0 => 1,
            Outcome::Failed(failure) => failure.exit_code(),
            _ => 0,
        }
    }
}

/// Opens a load, warms up, measures and reports, all on the calling thread, which is pinned to the
/// configured CPU.
///
/// `prepare` is called once the connections are open and before anything is sent, for example to
/// install signal handling or to wait for a common start time.
///
/// # Errors
/// [`LoadError`] if it fails before the measurement. A later error is in the report, beside the
/// measurements up to then.
pub(crate) fn run(
    config: &Config,
    observer: &mut dyn Observer,
    prepare: impl FnOnce(&mut Load) -> Result<()>,
) -> Result<Report> {
    if let Some(core) = config.pin {
        crate::server::pin(core).map_err(|error| LoadError::Call {
            call: "sched_setaffinity",
            errno: error.downcast_ref().map_or(epollite::Errno::EINVAL, |errno| from_os(*errno)),
        })?;
    }
    let mut load = Load::open(config)?;
    prepare(&mut load)?;
    if !config.warmup.is_zero() {
        load.slice(Length::For(config.warmup), &mut ())?;
        if let Some(mismatch) = load.meter().wrong.first() {
            return Err(LoadError::Mismatch(*mismatch));
        }
    }
    let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let before = CpuUsage::now(config.server_pid);
    let result = load.slice(config.length, observer).map(drop);
    let after = CpuUsage::now(config.server_pid);
    let meter = load.meter().clone();
    let nanos = meter.progress.last().map_or(0, |progress| progress.nanos);
    let elapsed = Duration::from_nanos(nanos).as_secs_f64().max(1e-9);
    let counts = meter.counts;
    let has_no_response = counts.messages == 0 && counts.errors() == 0 && counts.lost > 0;
    let result = match result {
        Ok(()) if has_no_response && !load.is_interrupted => Err(match load.shared.refusal {
            Some(errno) if counts.refused >= counts.lost => {
                LoadError::Unsendable { refused: counts.refused, errno }
            }
            _ => LoadError::NoResponse { lost: counts.lost },
        }),
        // Nothing was sent, so there is nothing else to report.
        Err(failure @ LoadError::TooLong { .. }) => return Err(failure),
        result => result,
    };
    let cpu = |spent: f64| Cpu {
        user_seconds: None,
        system_seconds: None,
        seconds: spent,
        nanos_per_message: (counts.messages > 0).then(|| spent * 1e9 / counts.messages as f64),
        busy: spent / elapsed,
    };
    let (user, system) = (after.user - before.user, after.system - before.system);
    Ok(Report {
        config: load.config.clone(),
        ending: match result {
            Err(failure) => Outcome::Failed(failure),
            Ok(()) if load.is_interrupted => Outcome::Interrupted,
            Ok(()) => Outcome::Complete,
        },
        failure: result.err().map(|failure| failure.to_string()),
        start_unix_nanos: u64::try_from(start.as_nanos()).unwrap_or(u64::MAX),
        elapsed_seconds: elapsed,
        rate: counts.messages as f64 / elapsed,
        bytes_per_second: counts.bytes as f64 / elapsed,
        counts,
        wrong: meter.wrong.iter().map(ToString::to_string).collect(),
        latency_nanos: Latency::of(&meter.latencies),
        lag_nanos: config.pace.rate().map(|_| Latency::of(&meter.lags)),
        own_cpu: Cpu {
            user_seconds: Some(user),
            system_seconds: Some(system),
            ..cpu(user + system)
        },
        server_cpu: after.server.zip(before.server).map(|(after, before)| cpu(after - before)),
        meter,
    })
}

/// CPU time so far, in seconds.
struct CpuUsage {
    user: f64,
    system: f64,
    server: Option<f64>,
}

impl CpuUsage {
    fn now(server_pid: Option<i32>) -> Self {
        let seconds = |micros: i64| Duration::from_micros(micros.unsigned_abs()).as_secs_f64();
        let (user, system) = getrusage(UsageWho::RUSAGE_THREAD).map_or((0, 0), |usage| {
            (usage.user_time().num_microseconds(), usage.system_time().num_microseconds())
        });
        let server = server_pid.and_then(|pid| process_cpu(Pid::from_raw(pid)));
        Self {
            user: seconds(user),
            system: seconds(system),
            server: server.map(|it| it.as_secs_f64()),
        }
    }
}

/// Whether the CPU time of a process can be read: see [`Config::server_pid`].
pub(crate) fn is_process_readable(pid: i32) -> bool {
    process_cpu(Pid::from_raw(pid)).is_some()
}
