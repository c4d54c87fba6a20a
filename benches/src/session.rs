//! One run, from building the servers to the record: the part that `compare` and `models` share.
//! They choose the cases.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::ProgressBar;

use crate::case::Case;
use crate::exit::{self, Usage};
use crate::interleave::{self, RunConfig};
use crate::interrupt;
use crate::output::{self, Outputs, print_error};
use crate::progress::{bar, took};
use crate::schema::{self, Absent, Kind, Noise, ResultFile, Run, SCHEMA, Status, Wrong};
use crate::server::{self, Cores};
use crate::servers::{self, Builder, BuiltServer, ServerSpec};
use crate::{analysis, examine, host, idle_memory, load_sweep, syscalls, table, units};

/// Options of both subcommands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The server that ratios are taken to; a second copy of it is the A/A control
    #[arg(long, value_name = "NAME", default_value = servers::BASELINE_SERVER)]
    pub(crate) reference: String,
    /// Measured rounds, after one warm-up round [default: 24; of models 12]; with fewer than 6
    /// there are no intervals and no comparison
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) rounds: Option<u16>,
    /// How long each server is busy in one round: 50ms, 1s
    #[arg(long, default_value = "50ms", value_parser = slice)]
    pub(crate) slice: Duration,
    /// Idle connections for the memory measurement; 0 skips it
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(0..=19_000))]
    pub(crate) idle: u32,
    /// Do not count system calls
    #[arg(long)]
    pub(crate) no_syscalls: bool,
    /// Path of the epollite program [default: it is built]
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,
    /// Writes all results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// A run in progress.
#[derive(Debug)]
pub(crate) struct Session {
    /// The results so far.
    pub(crate) record: ResultFile,
    /// The servers: the reference, its copy, the others.
    servers: Vec<BuiltServer>,
    config: RunConfig,
    pub(crate) outputs: Outputs,
    start: Instant,
    /// The exit code so far.
    code: u8,
}

impl Session {
    /// Chooses cores and builds all servers. Unavailable ones are omitted, with a line on stderr if
    /// they were requested by name. Fails if the arguments are wrong, there is no second core, or
    /// the reference is not available.
    pub(crate) fn open(
        kind: Kind,
        options: &Options,
        entries: &[ServerSpec],
        requested: &[String],
    ) -> Result<Self> {
        let name = &options.reference;
        let known = entries.iter().cloned().chain(servers::all()).find(|it| it.name == *name);
        let reference = known.with_context(|| format!("--reference: unknown server '{name}'"));
        let reference = reference.map_err(Usage::new)?;
        output::check_writable(options.json.as_deref()).map_err(Usage::new)?;
        interrupt::install_handlers()?;
        let cores = Cores::choose()?;
        server::raise_file_limit(u64::MAX).context("cannot raise the limit of open files")?;
        server::pin(cores.load)?;
        let obstacle = if options.no_syscalls {
            Some("not counted: --no-syscalls".to_owned())
        } else {
            syscalls::unavailable_reason()
        };
        let default_rounds = match kind {
            Kind::Compare => 24,
            // They resolve differences of a tenth, sufficient for models that differ by factors.
            Kind::Models => 12,
        };
        let config = RunConfig {
            rounds: usize::from(options.rounds.unwrap_or(default_rounds)),
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
        session.build_all(options, &reference, entries, requested)?;
        Ok(session)
    }

    fn build_all(
        &mut self,
        options: &Options,
        reference: &ServerSpec,
        entries: &[ServerSpec],
        requested: &[String],
    ) -> Result<()> {
        let mut builder = Builder::new(options.program.clone())?;
        let name = &reference.name;
        let reference = builder
            .build(reference)
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
                        self.fail(exit::UNAVAILABLE, format!("{}: {why}", entry.name), &bar);
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

    /// Marks the servers that get their bytes wrong: some cases of `examine`, of streams.
    pub(crate) fn check_bytes(&mut self) {
        let servers = self.servers.iter().zip(&mut self.record.servers);
        let bar = bar(servers.len() as u64, "bytes");
        for (built, server) in servers {
            if interrupt::is_interrupted() {
                break;
            }
            bar.set_message(server.name.clone());
            bar.inc(1);
            let Some((transport, command)) = built.stream_command() else { continue };
            let is_sequential = server.name == servers::SEQUENTIAL;
            // A server that does not start is reported by the first case.
            let wrong = examine::wrong_bytes(command, transport, is_sequential);
            let wrong = wrong.into_iter().flatten();
            server.wrong = wrong.map(|(case, why)| Wrong { case, why }).collect();
        }
        bar.finish_and_clear();
    }

    /// Measures the idle memory of every server. Failures are reported, and the figure is omitted.
    pub(crate) fn measure_idle_memory(&mut self) {
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
                    let line = format!("{}: idle memory not measured: {why:#}", server.name);
                    bar.suspend(|| print_error(line));
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
    }

    /// Runs a case with all servers, `group_size` at a time in addition to the reference and its
    /// copy, and records the results. `is_failure`: whether a failed server is also a failure of
    /// the run. Fails if the record cannot be written, or the reference failed: nothing can be
    /// compared with it.
    pub(crate) fn run(&mut self, case: &Case, group_size: usize, is_failure: bool) -> Result<()> {
        let start = Instant::now();
        let mut found: Option<schema::Case> = None;
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
            let runs = interleave::run(case, &servers, &self.config, &bar);
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
        let lost = reference.why.clone().filter(|_| reference.measured.is_none());
        self.record.cases.push(found);
        self.write()?;
        lost.map_or(Ok(()), |why| Err(anyhow::anyhow!("the reference failed: {why}")))
    }

    /// Runs the open-loop sweep, and records the results. Fails if the record cannot be written, or
    /// the reference failed.
    pub(crate) fn run_sweep(&mut self) -> Result<()> {
        let start = Instant::now();
        let config = load_sweep::config(&self.config);
        let servers: Vec<&BuiltServer> = self.servers.iter().collect();
        let bar = bar(load_sweep::steps(servers.len(), &config), load_sweep::NAME);
        let found = load_sweep::run(&servers, &config, &bar)?;
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

    /// Writes the record with the results so far. Fails if it cannot be written, and printing has
    /// failed too.
    pub(crate) fn write(&mut self) -> Result<()> {
        self.record.run.wall_seconds = self.start.elapsed().as_secs_f64();
        self.outputs.keep(&self.record)
    }

    /// Prints the last tables and the conclusion, and writes the record; returns the exit code: a
    /// failed server takes precedence over an unavailable one, and that over an unwritten record.
    /// Fails if neither output can be written.
    pub(crate) fn finish(mut self, tables: &str) -> Result<u8> {
        self.is_interrupted();
        self.outputs.show(&(tables.to_owned() + &table::concluded(&self.record)))?;
        self.write()?;
        let is_unwritten = self.code == 0 && self.outputs.is_unwritten();
        Ok(if is_unwritten { exit::UNAVAILABLE } else { self.code })
    }

    /// Whether a termination signal was received; if so, records it as a failure and sets the exit
    /// code.
    pub(crate) fn is_interrupted(&mut self) -> bool {
        if interrupt::is_interrupted() && self.code != interrupt::EXIT_CODE {
            print_error("interrupted; results so far are kept");
            self.record.run.failures.push("interrupted by a signal".to_owned());
            self.code = interrupt::EXIT_CODE;
        }
        interrupt::is_interrupted()
    }

    fn fail(&mut self, code: u8, line: String, bar: &ProgressBar) {
        bar.suspend(|| print_error(&line));
        self.record.run.failures.push(line);
        self.code = if self.code == exit::FAILED { exit::FAILED } else { code };
    }
}

/// The exit code for a status, if it is a failure.
const fn code_of(status: Status) -> Option<u8> {
    match status {
        Status::Failed => Some(exit::FAILED),
        Status::Absent => Some(exit::UNAVAILABLE),
        Status::Complete | Status::Skipped => None,
    }
}

/// Merges two groups of one case. The noise is the larger of both; the reference's figures are
/// those of the first.
fn merge_groups(mut one: schema::Case, mut two: schema::Case) -> schema::Case {
    let larger = |(a, b): (Noise, Noise)| Noise { rate: a.rate.max(b.rate), cpu: a.cpu.max(b.cpu) };
    one.noise = one.noise.zip(two.noise).map(larger);
    one.results.extend(two.results.drain(2..));
    one.wall_seconds = two.wall_seconds;
    one
}

fn slice(text: &str) -> Result<Duration, &'static str> {
    // Shorter slices are dominated by their start and end; longer ones include drift.
    let range = Duration::from_millis(5)..=Duration::from_secs(10);
    let time = units::duration(text).ok().filter(|time| range.contains(time));
    time.ok_or("expected a time from 5ms to 10s")
}
