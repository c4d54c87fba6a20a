//! The record of a run, as data: written by `compare` and `models`, read by `report`. It knows
//! neither servers nor statistics.
//!
//! The name of every figure includes its unit. What was not measured is absent (`null`), never
//! zero, and where it matters a text field beside it has the reason. [`SCHEMA`] is incremented
//! whenever a field changes its meaning or is removed; new optional fields do not count.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::case;
use crate::stats::{Estimate, Verdict};

/// The version of this schema.
pub const SCHEMA: u32 = 1;

/// One run: machine, parameters, servers and results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultFile {
    /// The version of this schema: [`SCHEMA`].
    pub schema: u32,
    /// Which of the subcommands wrote it.
    pub kind: Kind,
    /// Where it ran.
    pub machine: Machine,
    /// How it ran.
    pub run: Run,
    /// The name of the server that ratios are taken to.
    pub reference: String,
    /// The name of its second copy: whatever this shows is noise.
    pub control: String,
    /// The servers, in the order of the tables; the reference first, the control second.
    pub servers: Vec<Server>,
    /// Servers that were not available, and why.
    pub absent: Vec<Absent>,
    /// The cases and their results, in the order they were run.
    pub cases: Vec<Case>,
    /// The open-loop sweep; absent if it was not run.
    #[serde(default)]
    pub knee: Option<Knee>,
}

/// Which subcommand wrote a record. They differ in the cases, not in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `compare`: many servers, named cases.
    Compare,
    /// `models`: every server model, by number of connections.
    Models,
}

/// Properties of the machine that affect the figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// `Linux 6.18.0 x86_64`.
    pub kernel: String,
    /// The processor's own name.
    pub cpu: String,
    /// How many cores it has.
    pub cores: usize,
    /// The kind of virtual machine, if it is one.
    pub virtual_machine: Option<String>,
    /// The core that all servers share, one at a time; numbered as the kernel does.
    pub server_core: usize,
    /// The core of the load.
    pub load_core: usize,
    /// The one-minute load average at the start of the run.
    pub load_average: f64,
}

/// Parameters of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Start time, RFC 3339, UTC.
    pub date: String,
    /// The commit the program was built from, with `+` when files differed from it.
    pub commit: Option<String>,
    /// The command line, without the path of the program.
    pub command: Vec<String>,
    /// Number of measured rounds, after one warm-up round.
    pub rounds: usize,
    /// How long one server is busy in one round.
    pub slice_seconds: f64,
    /// Duration of the run.
    pub wall_seconds: f64,
    /// How CPU time was read, as text.
    pub cpu_read_by: String,
    /// How system calls were counted, or why they were not, as text.
    pub syscalls_counted_by: String,
    /// Number of idle connections for the memory measurement; 0 if it was not made.
    pub idle_connections: usize,
    /// Failures, one line each.
    pub failures: Vec<String>,
}

/// One server of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// The name in tables and on the command line.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// A description in one line.
    pub what: String,
    /// The language it is written in, lower case; `null` for one given by `--extra`.
    pub language: Option<String>,
    /// The version of its library or runtime, if known.
    pub version: Option<String>,
    /// The command that starts it, with its placeholders.
    pub command: String,
    /// Size of its stripped binary in bytes; `null` for an interpreter.
    pub binary_bytes: Option<u64>,
    /// Number of Rust packages it depends on, including transitive ones.
    pub crates: Option<usize>,
    /// Memory with idle connections.
    pub idle: Option<IdleMemory>,
    /// What it gets wrong: cases of `examine`, each with its reason. Figures of a server that loses
    /// bytes are not those of an echo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<Wrong>,
}

/// A case that a server fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// Its name in `epollite-bench examine --list`.
    pub case: String,
    /// What was found.
    pub why: String,
}

/// Where a server comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Written by hand in C for this comparison.
    C,
    /// `epollite echo --model NAME`.
    Model,
    /// A small echo server using another library.
    Peer,
    /// Given by `--extra`.
    Extra,
}

/// Memory with connections that sent one message and are idle since. Proportional set size of all
/// processes; the kernel's own memory for sockets is not included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IdleMemory {
    /// How many connections.
    pub connections: usize,
    /// Memory before the first of them.
    pub empty_bytes: u64,
    /// Memory with all of them.
    pub full_bytes: u64,
    /// The difference divided by their number.
    pub bytes_per_connection: f64,
}

/// A server that was not available.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The name.
    pub name: String,
    /// The reason, one line.
    pub why: String,
}

/// One case, on all servers, interleaved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The load.
    #[serde(flatten)]
    pub load: case::Case,
    /// Duration of the case.
    pub wall_seconds: f64,
    /// The noise measured by the A/A control; `null` if the control failed.
    pub noise: Option<Noise>,
    /// One per server of the run, in the order of [`ResultFile::servers`].
    pub results: Vec<Outcome>,
}

/// How much the copy of the reference differed from the reference: factors of at least 1. A ratio
/// whose interval is not entirely above the factor, or below its inverse, shows no difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// For messages per second.
    pub rate: f64,
    /// For CPU time per message.
    pub cpu: f64,
}

/// The result of one server in one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name.
    pub server: String,
    /// The status.
    pub status: Status,
    /// The reason, if it is not complete: refused, stalled or ended, with details.
    pub why: Option<String>,
    /// The measurements, if any. Where `status` is `failed`, those of the rounds before the
    /// failure.
    pub measured: Option<Measured>,
}

/// The status of a server in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All rounds were completed.
    #[default]
    Complete,
    /// The server, or the load on it, failed; earlier rounds are used if there are at least six.
    Failed,
    /// It did not start.
    Absent,
    /// It was skipped, since it does not support the case.
    Skipped,
}

/// The figures of one server in one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Messages per second. Absolute, so not comparable between runs.
    pub rate: Estimate,
    /// CPU time of the server per message, nanoseconds; absolute too.
    pub cpu_ns: Estimate,
    /// The part of `cpu_ns` in user mode, in nanoseconds, over all rounds.
    pub cpu_user_ns: Option<f64>,
    /// The part in the kernel.
    pub cpu_system_ns: Option<f64>,
    /// Rate divided by that of the reference, paired; above 1 is faster. `null` for the reference.
    pub rate_ratio: Option<Ratio>,
    /// CPU per message divided by that of the reference, paired; below 1 is cheaper.
    pub cpu_ratio: Option<Ratio>,
    /// 99th percentile of the round-trip times divided by that of the reference, paired.
    pub p99_ratio: Option<Ratio>,
    /// CPU of the load divided by that of this server, for the same messages: where it is well
    /// above 1, the load is the bottleneck.
    pub load_cpu_ratio: Option<Estimate>,
    /// Round-trip times. In a closed loop: a stalled server is sent fewer messages.
    pub latency: Option<Latency>,
    /// System calls, counted in a separate slice that is not used for other figures.
    pub syscalls: Option<Syscalls>,
    /// Why they were not counted for this server: see also [`Run::syscalls_counted_by`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscalls_why: Option<String>,
    /// Peak resident memory in this case, summed over its processes; shared pages count once for
    /// each.
    pub peak_rss_bytes: Option<u64>,
    /// The share of its core that it used while idle.
    pub idle_share: f64,
    /// Whether it was stopped (SIGSTOP) between its slices because of that.
    pub paused_between: bool,
    /// The rounds, so that the statistics can be recomputed.
    pub rounds: Vec<Round>,
}

/// A ratio and its significance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The median over the rounds, and its interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The comparison with the noise of the same case.
    pub verdict: Verdict,
}

/// Open-loop sweep: the same rising rates offered to every server, up to more than it can serve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Knee {
    /// Description of the load, one line.
    pub what: String,
    /// Busy connections.
    pub connections: usize,
    /// Bytes in a message.
    pub size_bytes: usize,
    /// Number of slices per step; fewer for a saturated server.
    pub rounds: usize,
    /// A 99th percentile above this bound is past the knee.
    pub bound_p99_ns: u64,
    /// One per server, in the order of [`ResultFile::servers`].
    pub curves: Vec<Curve>,
}

/// The sweep of one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Its name.
    pub server: String,
    /// The status. Absent in records written before this field existed: they have complete curves
    /// only.
    #[serde(default)]
    pub status: Status,
    /// The reason, if it is not complete.
    pub why: Option<String>,
    /// From the lowest offered rate to the highest.
    pub steps: Vec<Step>,
    /// The last rate before two consecutive steps above the bound, in messages per second.
    pub knee: Option<f64>,
}

/// One rate offered to one server. Latencies count from the *intended* send time, in nanoseconds;
/// each figure is the median over the slices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Offered messages per second.
    pub offered: f64,
    /// Received messages per second, until the last response.
    pub answered: f64,
    /// The median.
    pub p50_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The generator's send lag at the 99th percentile. If it is not far below the latency, the
    /// generator is what was measured.
    pub sender_lag_p99_ns: u64,
    /// The share of its core that the server used.
    pub busy: f64,
}

/// Round-trip times, nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of measured messages.
    pub count: u64,
    /// The median.
    pub p50_ns: u64,
    /// The 90th percentile.
    pub p90_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th percentile.
    pub p999_ns: u64,
    /// The maximum.
    pub max_ns: u64,
    /// Points of the distribution: a fraction of all messages (0 to 1), and the time that this
    /// fraction did not exceed. Both increase.
    pub curve: Vec<(f64, u64)>,
}

/// System calls of the server, all its threads and processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Syscalls {
    /// All system calls, per message.
    pub per_message: f64,
    /// Number of messages in the counted slice.
    pub messages: u64,
    /// By name, most frequent first; those not counted by name are `other`. Empty if there were too
    /// many threads to count by name.
    pub kinds: Vec<Calls>,
}

/// One kind of system call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// As in the man page: `epoll_wait`.
    pub name: String,
    /// Number per message.
    pub per_message: f64,
}

/// One slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Messages echoed, all checked.
    pub messages: u64,
    /// Duration of the slice.
    pub elapsed_seconds: f64,
    /// CPU time of the server.
    pub cpu_seconds: f64,
    /// The 99th percentile of the slice's round-trip times.
    pub p99_ns: u64,
    /// Lost datagrams.
    #[serde(default)]
    pub lost: u64,
    /// CPU time of the load; absent in records written before this field existed.
    pub load_cpu_seconds: Option<f64>,
}

impl Round {
    /// Messages per second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.elapsed_seconds
    }

    /// CPU time of the server per message, in seconds.
    pub(crate) fn cpu_per_message(&self) -> f64 {
        self.cpu_seconds / self.messages as f64
    }
}

impl Case {
    /// The result of a server, if it has one.
    pub fn outcome(&self, server: &str) -> Option<&Outcome> {
        self.results.iter().find(|outcome| outcome.server == server)
    }

    /// What was measured of a server, if anything.
    pub fn measured(&self, server: &str) -> Option<&Measured> {
        self.outcome(server)?.measured.as_ref()
    }
}

impl ResultFile {
    /// The servers without the reference and its copy.
    pub fn others(&self) -> impl Iterator<Item = &Server> {
        let is_other = |it: &&Server| it.name != self.reference && it.name != self.control;
        self.servers.iter().filter(is_other)
    }

    /// Writes it atomically, and without local paths.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(&crate::redact::record(self))
            .context("a figure cannot be represented in JSON")?;
        atomic_file::write(path, &(text + "\n"))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If it cannot be read, is not a record, or has another [`SCHEMA`].
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let value: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
        let schema = value.get("schema").and_then(serde_json::Value::as_u64);
        ensure!(
            schema == Some(u64::from(SCHEMA)),
            "{shown}: schema {}, and this program reads {SCHEMA}",
            schema.map_or("unknown".to_owned(), |schema| schema.to_string()),
        );
        serde_json::from_value(value).with_context(|| format!("{shown} is not the record of a run"))
    }
}
