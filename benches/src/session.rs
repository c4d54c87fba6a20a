//! One run, from building the servers to the record: the part that `compare` and `models` share.
//! They choose the cases.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::ProgressBar;

use crate::case::Case;
use crate::interleave::{self, RunConfig};
use crate::interrupt;
use crate::output::{Outputs, print_error};
use crate::progress::{bar, took};
use crate::schema::{Absent, Kind, ResultFile, Run, SCHEMA, Status};
use crate::server::{self, Cores};
use crate::servers::{self, Builder, BuiltServer, ServerSpec};
use crate::{analysis, host, idle_memory, load_sweep, syscalls};

/// A server or a tool is not available.
pub const EXIT_UNAVAILABLE: u8 = 69;

/// A server failed during a case.
pub const EXIT_FAILED: u8 = 1;

/// Converts a result into the exit code; prints the error, if any.
pub(crate) fn exit_code(result: Result<u8>) -> ExitCode {
    ExitCode::from(result.unwrap_or_else(|error| {
        print_error(&format!("{error:#}"));
        EXIT_UNAVAILABLE
    }))
}

/// Prints a usage error; returns clap's exit code for it.
pub(crate) fn usage(error: &anyhow::Error) -> u8 {
    print_error(&format!("{error:#}"));
    2
}

/// Checks that `--reference` names a known server, installed or not.
///
/// # Errors
/// It does not.
pub(crate) fn check_reference(options: &Options, entries: &[ServerSpec]) -> Result<()> {
    let name = &options.reference;
    let is_known = entries.iter().chain(&servers::all()).any(|entry| entry.name == *name);
    anyhow::ensure!(is_known, "--reference: unknown server '{name}'");
    Ok(())
}

/// Options of both subcommands.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The server that ratios are taken to; a second copy of it is the A/A control
    #[arg(long, value_name = "NAME", default_value = servers::BASELINE_SERVER)]
    pub reference: String,
    /// Measured rounds, after one warm-up round [default: 24; of models 12]; with fewer than 6
    /// there are no intervals and no comparison
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub rounds: Option<u16>,
    /// How long each server is busy in one round: 50ms, 1s
    #[arg(long, default_value = "50ms", value_parser = slice)]
    pub slice: Duration,
    /// Idle connections for the memory measurement; 0 skips it
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(0..=19_000))]
    pub idle: u32,
    /// Do not count system calls
    #[arg(long)]
    pub no_syscalls: bool,
    /// Path of the epollite program [default: it is built]
    #[arg(long, value_name = "PATH")]
    pub program: Option<PathBuf>,
    /// Writes all results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A run in progress.
#[derive(Debug)]
pub struct Session {
    /// The results so far.
    pub record: ResultFile,
    /// The servers: the reference, its copy, the others.
    servers: Vec<BuiltServer>,
    config: RunConfig,
    outputs: Outputs,
    start: Instant,
    /// The exit code so far.
    code: u8,
}

impl Session {
    /// Chooses cores and builds all servers. Unavailable ones are omitted, with a line on stderr if
    /// they were requested by name.
    ///
    /// # Errors
    /// If there is no second core, or the reference is not available.
    pub fn open(
        kind: Kind,
        options: &Options,
        entries: &[ServerSpec],
        requested: &[String],
    ) -> Result<Self> {
        interrupt::install_handlers()?;
        let cores = Cores::choose()?;
        server::raise_file_limit()?;
        server::pin(cores.load)?;
        let obstacle = if options.no_syscalls {
            Some("not counted: --no-syscalls".to_owned())
        } else {
            syscalls::unavailable_reason()
        };
        let config = RunConfig {
            rounds: usize::from(options.rounds.unwrap_or(default_rounds(kind))),
            slice: options.slice,
            cores,
            count_syscalls: obstacle.is_none(),
        };
        let record = ResultFile {
            schema: SCHEMA,
            kind,
            machine: host::collect(cores),
            run: Run {
                date: host::date(),
                commit: host::commit(),
                command: host::command(),
                rounds: config.rounds,
                slice_seconds: config.slice.as_secs_f64(),
                wall_seconds: 0.0,
                cpu_read_by: "the CPU clock of each process, and /proc/PID/stat for its parts and \
                              for children that have ended"
                    .to_owned(),
                syscalls_counted_by: obstacle.unwrap_or_else(|| {
                    "perf stat on the kernel's tracepoints, in a separate slice".to_owned()
                }),
                idle_connections: usize::try_from(options.idle)?,
                failures: Vec::new(),
            },
            reference: options.reference.clone(),
            control: servers::CONTROL.to_owned(),
            servers: Vec::new(),
            absent: Vec::new(),
            cases: Vec::new(),
            knee: None,
        };
        let (outputs, start) = (Outputs::new(options.json.clone()), Instant::now());
        let mut session = Self { record, servers: Vec::new(), config, outputs, start, code: 0 };
        session.build_all(options, entries, requested)?;
        Ok(session)
    }

    fn build_all(
        &mut self,
        options: &Options,
        entries: &[ServerSpec],
        requested: &[String],
    ) -> Result<()> {
        let mut builder = Builder::new(options.program.clone())?;
        let name = &options.reference;
        let known = entries.iter().cloned().chain(servers::all()).find(|it| it.name == *name);
        let reference = known.with_context(|| format!("unknown server '{name}'"))?;
        let reference = builder
            .build(&reference)
            .map_err(|why| anyhow::anyhow!("the reference {name} is not available: {why}"))?;
        self.servers = vec![reference.copy_as(servers::CONTROL)];
        self.servers.insert(0, reference);
        let bar = bar(entries.len() as u64, "building");
        for entry in entries.iter().filter(|entry| entry.name != *name) {
            // A compiler receives Ctrl-C too, and reports a failure.
            anyhow::ensure!(!interrupt::is_interrupted(), "interrupted while building");
            bar.set_message(entry.name.clone());
            match builder.build(entry) {
                Ok(built) => self.servers.push(built),
                Err(why) => {
                    if requested.contains(&entry.name) {
                        self.fail(EXIT_UNAVAILABLE, format!("{}: {why}", entry.name), &bar);
                    }
                    self.record.absent.push(Absent { name: entry.name.clone(), why });
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.record.servers = self.servers.iter().map(|built| built.about.clone()).collect();
        Ok(())
    }

    /// Measures the idle memory of every server. Failures are reported, and the figure is omitted.
    pub fn measure_idle_memory(&mut self) {
        let count = self.record.run.idle_connections;
        if count == 0 {
            return;
        }
        let bar = bar(self.servers.len() as u64, "idle memory");
        for (built, server) in self.servers.iter().zip(&mut self.record.servers) {
            if interrupt::is_interrupted() {
                break;
            }
            bar.set_message(server.name.clone());
            match idle_memory::measure_idle_memory(built, count, self.config.cores) {
                Ok(idle) => server.idle = Some(idle),
                Err(why) => {
                    bar.suspend(|| {
                        print_error(&format!("{}: idle memory not measured: {why}", server.name))
                    });
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
    }

    /// Runs a case with all servers, `group_size` at a time in addition to the reference and its
    /// copy, and records the results. `is_failure`: whether a failed server is also a failure of
    /// the run.
    ///
    /// # Errors
    /// If the record cannot be written, or the reference failed: nothing can be compared with it.
    pub fn run(&mut self, case: &Case, group_size: usize, is_failure: bool) -> Result<()> {
        let start = Instant::now();
        let mut found: Option<crate::schema::Case> = None;
        let others: Vec<&BuiltServer> = self.servers[2..].iter().collect();
        let groups: Vec<&[&BuiltServer]> =
            if others.is_empty() { vec![&[]] } else { others.chunks(group_size.max(1)).collect() };
        let bar = bar(
            groups.iter().map(|group| interleave::steps(group.len() + 2, self.config.rounds)).sum(),
            &case.name,
        );
        for group in groups {
            if interrupt::is_interrupted() {
                break;
            }
            let servers: Vec<&BuiltServer> =
                self.servers[..2].iter().chain(group.iter().copied()).collect();
            let runs = interleave::run(case, &servers, &self.config, &mut || bar.inc(1));
            let part = analysis::analyze_case(case, &runs, start.elapsed().as_secs_f64());
            found = Some(match found {
                None => part,
                Some(before) => merge_groups(before, part),
            });
        }
        bar.finish_and_clear();
        took(&case.name, start);
        let Some(found) = found else { return Ok(()) };
        let lines: HashSet<String> = self.record.run.failures.iter().cloned().collect();
        for outcome in &found.results {
            let Some(code) = code_of(outcome.status) else { continue };
            let why = outcome.why.as_deref().unwrap_or("it failed");
            let line = format!("{}: {}: {why}", case.name, outcome.server);
            if is_failure && !lines.contains(&line) {
                self.fail(code, line, &bar);
            }
        }
        let reference = &found.results[analysis::REFERENCE];
        let lost = reference.measured.is_none().then(|| reference.why.clone()).flatten();
        self.record.cases.push(found);
        self.write()?;
        match lost {
            Some(why) => anyhow::bail!("the reference failed: {why}"),
            None => Ok(()),
        }
    }

    /// Runs the open-loop sweep, and records the results.
    ///
    /// # Errors
    /// If the record cannot be written, or the reference failed.
    pub fn run_sweep(&mut self) -> Result<()> {
        let start = Instant::now();
        let config = load_sweep::SweepConfig::from_run(
            self.config.rounds,
            self.config.slice,
            self.config.cores,
        );
        let servers: Vec<&BuiltServer> = self.servers.iter().collect();
        let bar = bar(load_sweep::steps(servers.len(), &config), load_sweep::NAME);
        let found = load_sweep::run(&servers, &config, &mut || bar.inc(1))?;
        bar.finish_and_clear();
        took(load_sweep::NAME, start);
        for curve in &found.curves {
            if let (Some(code), Some(why)) = (code_of(curve.status), &curve.why) {
                self.fail(code, format!("{}: {}: {why}", load_sweep::NAME, curve.server), &bar);
            }
        }
        self.record.knee = Some(found);
        self.write()
    }

    /// Writes the record with the results so far.
    ///
    /// # Errors
    /// If it cannot be written, and printing has failed too.
    pub fn write(&mut self) -> Result<()> {
        self.record.run.wall_seconds = self.start.elapsed().as_secs_f64();
        self.outputs.keep(&self.record)
    }

    /// Prints text to standard output.
    ///
    /// # Errors
    /// If it cannot be printed, and the record is not written either.
    pub fn print(&mut self, text: &str) -> Result<()> {
        self.outputs.show(text)
    }

    /// Whether a termination signal was received; if so, records it as a failure and sets the exit
    /// code.
    pub fn is_interrupted(&mut self) -> bool {
        if interrupt::is_interrupted() && self.code != interrupt::EXIT_CODE {
            print_error("interrupted; results so far are kept");
            self.record.run.failures.push("interrupted by a signal".to_owned());
            self.code = interrupt::EXIT_CODE;
        }
        interrupt::is_interrupted()
    }

    /// The exit code: a failed server takes precedence over an unavailable one, and that over an
    /// unwritten record.
    #[must_use]
    pub fn code(&self) -> u8 {
        if self.code == 0 && self.outputs.is_unwritten() { EXIT_UNAVAILABLE } else { self.code }
    }

    fn fail(&mut self, code: u8, line: String, bar: &ProgressBar) {
        bar.suspend(|| print_error(&line));
        self.record.run.failures.push(line);
        self.code = if self.code == EXIT_FAILED { EXIT_FAILED } else { code };
    }
}

/// The exit code for a status, if it is a failure.
const fn code_of(status: Status) -> Option<u8> {
    match status {
        Status::Failed => Some(EXIT_FAILED),
        Status::Absent => Some(EXIT_UNAVAILABLE),
        Status::Complete | Status::Skipped => None,
    }
}

/// Merges two groups of one case. The noise is the larger of both; the reference's figures are
/// those of the first.
fn merge_groups(mut one: crate::schema::Case, mut two: crate::schema::Case) -> crate::schema::Case {
    one.noise = match (one.noise, two.noise) {
        (Some(a), Some(b)) => {
            Some(crate::schema::Noise { rate: a.rate.max(b.rate), cpu: a.cpu.max(b.cpu) })
        }
        _ => None,
    };
    one.results.extend(two.results.drain(2..));
    one.wall_seconds = two.wall_seconds;
    one
}

/// Twelve rounds resolve differences of a tenth, which is sufficient for models that differ by
/// factors.
const fn default_rounds(kind: Kind) -> u16 {
    match kind {
        Kind::Compare => 24,
        Kind::Models => 12,
    }
}

fn slice(text: &str) -> Result<Duration, String> {
    let millis = match text.strip_suffix("ms") {
        Some(millis) => millis.parse::<u64>().ok(),
        None => text
            .strip_suffix('s')
            .and_then(|seconds| seconds.parse::<u64>().ok())
            .and_then(|seconds| seconds.checked_mul(1000)),
    };
    match millis {
        // Shorter slices are dominated by their start and end; longer ones include drift.
        Some(millis @ 5..=10_000) => Ok(Duration::from_millis(millis)),
        _ => Err("expected a time from 5ms to 10s".to_owned()),
    }
}
