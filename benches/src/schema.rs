//! What a run found, as data: the one shape in which `compare` and `models` write it down and
//! `report` reads it. It knows neither servers nor statistics, only how to be written and read.
//!
//! Every figure carries its unit in its name. What was not measured is absent (`null`), never
//! zero, and where it matters a sentence beside it says why. [`SCHEMA`] grows by one whenever a
//! field changes its meaning or goes; new optional fields do not count.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::stats::{Estimate, Verdict};

/// The version of this shape.
pub const SCHEMA: u32 = 1;

/// One run: where, how, who, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultFile {
    /// The version of this shape: [`SCHEMA`].
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
    /// Who took part, in the order of the tables; the reference first, the control second.
    pub servers: Vec<Server>,
    /// Who was meant to take part and could not, and why.
    pub absent: Vec<Absent>,
    /// What was asked and how it went, in the order it was asked.
    pub cases: Vec<Case>,
    /// What became of the latency as more was offered; absent when that was not asked.
    #[serde(default)]
    pub knee: Option<Knee>,
}

/// Which subcommand wrote a record. They differ in what they ask, not in the shape of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `compare`: many servers, named cases.
    Compare,
    /// `models`: every server model, by number of connections.
    Models,
}

/// The machine, as far as it bears on the figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// `Linux 6.18.0 x86_64`.
    pub kernel: String,
    /// The processor's own name.
    pub cpu: String,
    /// How many cores it has.
    pub cores: usize,
    /// What kind of virtual machine it is, if it says that it is one.
    pub virtual_machine: Option<String>,
    /// The core that all servers share, one at a time; numbered as the kernel does.
    pub server_core: usize,
    /// The core of the load.
    pub load_core: usize,
    /// Work that others had for the machine when the run began: the load average of one minute.
    pub load_average: f64,
}

/// How the run was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When it began, RFC 3339, UTC.
    pub date: String,
    /// The commit the program was built from, with `+` when files differed from it.
    pub commit: Option<String>,
    /// The command line, word by word, without the path of the program.
    pub command: Vec<String>,
    /// How many rounds count. One more ran first and does not.
    pub rounds: usize,
    /// How long one server is busy in one round.
    pub slice_seconds: f64,
    /// How long it all took.
    pub wall_seconds: f64,
    /// How CPU time was read, in words.
    pub cpu_read_by: String,
    /// How system calls were counted, in words, or why they were not.
    pub syscalls_counted_by: String,
    /// Idle connections a server held when its memory was weighed; 0 when it was not.
    pub idle_connections: usize,
    /// What went wrong, a line each; empty when nothing did.
    pub failures: Vec<String>,
}

/// One server that took part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// The name in tables and on the command line.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// One line: what it is.
    pub what: String,
    /// The language it is written in, lower case; `null` for one given by `--extra`.
    pub language: Option<String>,
    /// The version of the library or runtime below it, if it says one.
    pub version: Option<String>,
    /// The command it was started by, with its placeholders.
    pub command: String,
    /// Size of its binary, stripped, in bytes; `null` where there is an interpreter.
    pub binary_bytes: Option<u64>,
    /// Rust packages it is made of: the library it is written on, and all that is below that.
    pub crates: Option<usize>,
    /// What it weighs with idle connections.
    pub idle: Option<IdleMemory>,
}

/// Where a server comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Written by hand in C for this comparison.
    C,
    /// `epollite echo --model NAME`.
    Model,
    /// A small echo server on somebody else's library.
    Peer,
    /// Given by `--extra`.
    Extra,
}

/// Memory with connections that were used once and are silent since. Proportional set size, of all
/// its processes; the kernel's own memory for sockets is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IdleMemory {
    /// How many connections.
    pub connections: usize,
    /// Before the first of them.
    pub empty_bytes: u64,
    /// With all of them.
    pub full_bytes: u64,
    /// The difference by their number.
    pub bytes_per_connection: f64,
}

/// Who could not take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The name.
    pub name: String,
    /// One line.
    pub why: String,
}

/// One kind of load on all servers, interleaved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The name in tables and on the command line.
    pub name: String,
    /// One line: what was asked.
    pub what: String,
    /// Through what.
    pub transport: Transport,
    /// Connections (UDP: sockets) busy at once.
    pub connections: usize,
    /// Connections that were open beside them and silent.
    pub idle_connections: usize,
    /// Messages under way at once in each connection.
    pub depth: usize,
    /// Bytes in a message.
    pub size_bytes: usize,
    /// Whether each message had a connection of its own.
    pub churn: bool,
    /// How long it took.
    pub wall_seconds: f64,
    /// What the A/A control showed; `null` when the control itself failed.
    pub noise: Option<Noise>,
    /// One for each server that was asked, in the order of [`Record::servers`].
    pub results: Vec<Outcome>,
}

/// Through what the messages went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP on loopback.
    Tcp,
    /// UDP on loopback.
    Udp,
    /// A Unix stream socket.
    Unix,
}

/// How far the reference's copy was from the reference: factors of at least 1. A ratio whose
/// interval is not wholly above the factor, or wholly below its inverse, shows no difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// For messages a second.
    pub rate: f64,
    /// For CPU time a message.
    pub cpu: f64,
}

/// How one server did in one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name.
    pub server: String,
    /// How it went.
    pub status: Status,
    /// In words, when it did not go well: who refused, starved or ended, and after what.
    pub why: Option<String>,
    /// What was measured, if anything was. Where `status` is `broke` this is from the rounds before.
    pub measured: Option<Measured>,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All rounds.
    Complete,
    /// It, or the load on it, failed: the rounds before that count, if there are six.
    Failed,
    /// It did not come up.
    Absent,
    /// It was not asked, since it cannot serve such a case at all.
    Skipped,
}

/// The figures of one server in one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Messages a second. Absolute, and so good for no comparison between two runs.
    pub rate: Estimate,
    /// CPU time of the server a message, nanoseconds; absolute too.
    pub cpu_ns: Estimate,
    /// The part of `cpu_ns` in its own code, in nanoseconds, over all rounds together.
    pub cpu_user_ns: Option<f64>,
    /// The part in the kernel.
    pub cpu_system_ns: Option<f64>,
    /// Rate by the rate of the reference, paired; above 1 is faster. `null` for the reference.
    pub rate_ratio: Option<Ratio>,
    /// CPU a message by that of the reference, paired; below 1 is cheaper.
    pub cpu_ratio: Option<Ratio>,
    /// 99th percentile of the round-trip times by that of the reference, paired.
    pub p99_ratio: Option<Ratio>,
    /// CPU of the load by that of this server, for the same messages: where it is well above 1,
    /// the load is the bottleneck.
    pub load_cpu_ratio: Option<Estimate>,
    /// Round-trip times. In a closed loop: a server that stalls is asked less meanwhile.
    pub latency: Option<Latency>,
    /// System calls, counted in a slice of its own that is in no other figure.
    pub syscalls: Option<Syscalls>,
    /// Why they are not counted, where it was not for all servers: see [`Run::syscalls_counted_by`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscalls_why: Option<String>,
    /// The most memory it ever had resident in this case, all its processes together; pages shared
    /// between them count once for each.
    pub peak_rss_bytes: Option<u64>,
    /// The share of its core that it used while it was *not* asked anything.
    pub idle_share: f64,
    /// Whether it was stopped between its slices because of that.
    pub paused_between: bool,
    /// Round by round, so that others may count again.
    pub rounds: Vec<Round>,
}

/// A ratio and what may be said about it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Its median over the rounds and the interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Against the noise of the same case.
    pub verdict: Verdict,
}

/// Open loop: the same rates offered to every server, from little to more than it can take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Knee {
    /// One line: what was asked.
    pub what: String,
    /// Connections busy at once.
    pub connections: usize,
    /// Bytes in a message.
    pub size_bytes: usize,
    /// How many slices stand behind every step; fewer where a server could take no more.
    pub rounds: usize,
    /// What takes longer than this at the 99th percentile is past the knee.
    pub bound_p99_ns: u64,
    /// One for each server that was asked, in the order of [`Record::servers`].
    pub curves: Vec<Curve>,
}

/// How one server took it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Its name.
    pub server: String,
    /// How it went.
    #[serde(default = "is_complete_status")]
    pub status: Status,
    /// In words, when it did not go to the end.
    pub why: Option<String>,
    /// From the lowest rate to the highest that it was asked.
    pub steps: Vec<Step>,
    /// The last rate before two in a row that went past the bound, messages a second.
    pub knee: Option<f64>,
}

/// Records from before it was written down are of curves that went well.
const fn is_complete_status() -> Status {
    Status::Complete
}

/// One rate offered to one server. Latencies count from when a message was *meant* to leave, in
/// nanoseconds; each is the median over the slices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Messages a second that were meant to leave.
    pub offered: f64,
    /// Messages a second that came back, until the last of them.
    pub answered: f64,
    /// The half of them were no slower.
    pub p50_ns: u64,
    /// 99 of 100.
    pub p99_ns: u64,
    /// How late the generator itself sent, at the 99th percentile. Where this is not far below the
    /// latency, the generator is what was measured.
    pub sender_lag_p99_ns: u64,
    /// The share of its core that the server was busy.
    pub busy: f64,
}

/// Round-trip times, nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many were timed.
    pub count: u64,
    /// The half of them were no slower.
    pub p50_ns: u64,
    /// 90 of 100.
    pub p90_ns: u64,
    /// 99 of 100.
    pub p99_ns: u64,
    /// 999 of 1000.
    pub p999_ns: u64,
    /// The slowest.
    pub max_ns: u64,
    /// Points of the whole curve: the part of all messages (0 to 1), and the time that no slower
    /// part of them took. Both rise.
    pub curve: Vec<(f64, u64)>,
}

/// System calls of the server, all its threads and processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Syscalls {
    /// All of them, a message.
    pub per_message: f64,
    /// The messages they were counted over.
    pub messages: u64,
    /// By name, most frequent first; those that were not looked for by name are `other`. Empty
    /// when there were too many threads to count by name.
    pub kinds: Vec<Calls>,
}

/// One kind of system call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// As in the man page: `epoll_wait`.
    pub name: String,
    /// How many a message.
    pub per_message: f64,
}

/// One slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Messages echoed, each of them checked.
    pub messages: u64,
    /// In this time.
    pub elapsed_seconds: f64,
    /// With this much CPU time of the server.
    pub cpu_seconds: f64,
    /// The 99th percentile of the slice's round-trip times.
    pub p99_ns: u64,
    /// Datagrams that did not come back.
    #[serde(default)]
    pub lost: u64,
    /// CPU time of the load itself; not known of records from before it was written down.
    pub load_cpu_seconds: Option<f64>,
}

impl ResultFile {
    /// Writes it, so that a reader never sees half of it, and without the paths of this machine.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(&crate::redact::record(self))
            .context("a figure that JSON cannot hold")?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let written =
            std::fs::write(&fresh, text + "\n").and_then(|()| std::fs::rename(&fresh, path));
        if written.is_err() {
            // What there is of it is no record.
            let _ = std::fs::remove_file(&fresh);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads one back.
    ///
    /// # Errors
    /// When it cannot be read, is none, or is of another [`SCHEMA`].
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
        serde_json::from_value(value).with_context(|| format!("{shown} is no record of a run"))
    }

    /// Whether everything that was asked for was measured.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.run.failures.is_empty()
    }
}
