//! Measures one case on several servers in interleaved slices. It determines the order and collects
//! samples; statistics are in `stats`, the record in `schema`.
//!
//! A server that fails is excluded and keeps its completed rounds; the others continue.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::ProgressBar;

use crate::case::Case;
use crate::interrupt;
use crate::load::Pace;
use crate::load_process::{Slice, Worker};
use crate::process_usage::{self, Cpu};
use crate::schema::{Latency, Round, Status, Syscalls};
use crate::server::{Cores, Server};
use crate::servers::BuiltServer;
use crate::syscalls;

/// Delay between the end of a slice and reading CPU time: after its last response a server still
/// makes one empty `epoll_wait`. That belongs to its own CPU time, and must not overlap with the
/// next server's slice.
const SETTLE_TIME: Duration = Duration::from_millis(1);

/// How long all servers are left idle after the warm-up round, to detect those that do not sleep.
const IDLE_PROBE_TIME: Duration = Duration::from_millis(50);

/// Above this share of a core, an idle server counts as busy. A reactor's timers and a runtime's
/// periodic work stay far below; a polling server is far above.
const IDLE_CPU_MAX: f64 = 0.02;

/// Number of consecutive slices without a response after which a server fails.
const SILENT_SLICES_MAX: u32 = 5;

/// Parameters of an interleaved run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunConfig {
    /// Measured rounds, after one warm-up round.
    pub(crate) rounds: usize,
    /// How long each server is busy in one round.
    pub(crate) slice: Duration,
    /// The cores of the servers and of the load.
    pub(crate) cores: Cores,
    /// Whether system calls are counted at the end.
    pub(crate) count_syscalls: bool,
}

/// One server in one case: its measurements, or its failure.
#[derive(Debug, Default)]
pub(crate) struct ServerRun {
    pub(crate) name: String,
    /// The completed measured rounds.
    pub(crate) rounds: Vec<Round>,
    /// CPU time over these rounds, total and by mode.
    pub(crate) cpu: Cpu,
    /// Round-trip times over these rounds.
    pub(crate) latency: Option<Latency>,
    /// System calls, counted at the end.
    pub(crate) syscalls: Option<Syscalls>,
    /// Why they were not counted although requested.
    pub(crate) syscalls_why: Option<String>,
    /// Peak memory, read at the end.
    pub(crate) peak_rss_bytes: Option<u64>,
    /// The share of a core it used while idle. Servers share a core, so one that is busy while idle
    /// would distort the others' figures.
    pub(crate) idle_cpu: f64,
    /// Whether it was stopped (SIGSTOP) between its slices for that reason.
    pub(crate) paused: bool,
    /// Complete, or why it was excluded: the kind of reason, and its text.
    pub(crate) status: Status,
    pub(crate) why: Option<String>,
    running: Option<(Server, Worker)>,
}

/// Runs a case. `bar` advances after every slice.
///
/// Each server is started again for each case, so that its memory is that of this case and no state
/// of an earlier case remains.
pub(crate) fn run(
    case: &Case,
    servers: &[&BuiltServer],
    config: &RunConfig,
    bar: &ProgressBar,
) -> Vec<ServerRun> {
    let mut runs: Vec<ServerRun> =
        servers.iter().map(|built| ServerRun::start(built, case, config.cores)).collect();
    for round in 0..=config.rounds {
        for index in order(round, runs.len()) {
            if interrupt::is_interrupted() {
                // Completed rounds are kept; no further slice starts.
                return runs;
            }
            runs[index].run_slice(config.slice, round > 0);
            bar.inc(1);
        }
        if round == 0 {
            probe_idle_cpu(runs.iter_mut());
        }
    }
    // Best effort, like the counting: without it, counting takes longer.
    let keepalive = config.count_syscalls.then(syscalls::keep_tracepoints_open);
    for run in &mut runs {
        run.collect(config);
        bar.inc(1);
    }
    drop(keepalive);
    runs
}

/// Upper bound on the number of steps of the bar.
pub(crate) fn steps(servers: usize, rounds: usize) -> u64 {
    (servers * (rounds + 2)) as u64
}

/// The order of the servers in a round. Each server is first, second and last equally often, and
/// every other round is reversed, so that no server always follows the same neighbour and its cache
/// contents.
pub(crate) fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| {
        let turn = if round.is_multiple_of(2) { turn } else { count - 1 - turn };
        (turn + round / 2) % count
    })
}

/// Measures the CPU use of all servers while they are idle. A busy one is stopped, and from then on
/// runs in its own slices only.
pub(crate) fn probe_idle_cpu<'a>(runs: impl Iterator<Item = &'a mut ServerRun>) {
    let mut runs: Vec<&mut ServerRun> = runs.collect();
    let cpu_times = |runs: &[&mut ServerRun]| -> Vec<Option<Duration>> {
        let cpu_time =
            |it: &&mut ServerRun| Some(process_usage::cpu(it.running.as_ref()?.0.pid())?.total);
        runs.iter().map(cpu_time).collect()
    };
    let (before, start) = (cpu_times(&runs), Instant::now());
    thread::sleep(IDLE_PROBE_TIME);
    let (after, wall) = (cpu_times(&runs), start.elapsed());
    for ((run, before), after) in runs.iter_mut().zip(before).zip(after) {
        let (Some(before), Some(after)) = (before, after) else { continue };
        run.idle_cpu = after.saturating_sub(before).as_secs_f64() / wall.as_secs_f64();
        run.paused = run.idle_cpu > IDLE_CPU_MAX;
        if let (true, Some((server, _))) = (run.paused, &run.running) {
            server.pause();
        }
    }
}

impl ServerRun {
    /// A run without results.
    pub(crate) fn empty(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Starts the server and opens the connections; or excluded, with the reason.
    pub(crate) fn start(built: &BuiltServer, case: &Case, cores: Cores) -> Self {
        let run = Self::empty(&built.about.name);
        let command = match built.command(case) {
            Ok(command) => command,
            Err(why) => return run.excluded(why, Status::Skipped),
        };
        let mut server = match Server::start(&built.about.name, command, case.transport, cores) {
            Ok(server) => server,
            Err(error) => return run.excluded(format!("{error:#}"), Status::Absent),
        };
        match Worker::start(case, server.endpoint()) {
            Ok(worker) => Self { running: Some((server, worker)), ..run },
            Err(error) => run.excluded(server.with_exit_status(error), Status::Failed),
        }
    }

    /// Runs its slice of a round, unless it is excluded.
    fn run_slice(&mut self, length: Duration, counts: bool) {
        let measured = self.with_core(|server, worker| {
            let (slice, cpu) = measure_cpu(server, || worker.slice(Pace::ClosedLoop, length))?;
            if !counts {
                worker.reset()?;
            }
            Ok((slice, cpu))
        });
        let Some((slice, cpu)) = measured.filter(|_| counts) else { return };
        self.rounds.push(Round {
            messages: slice.messages,
            elapsed_seconds: slice.elapsed.as_secs_f64(),
            cpu_seconds: cpu.total.as_secs_f64(),
            p99_ns: slice.p99_ns,
            lost: slice.lost,
            load_cpu_seconds: Some(slice.own_cpu.as_secs_f64()),
        });
        self.cpu += cpu;
    }

    /// Resumes the server if it is paused, calls `action`, and pauses it again. `None` if the
    /// server is excluded, or fails and is excluded from now on.
    pub(crate) fn with_core<T>(
        &mut self,
        action: impl FnOnce(&Server, &mut Worker) -> Result<T>,
    ) -> Option<T> {
        let (server, worker) = self.running.as_mut()?;
        if self.paused {
            server.resume();
        }
        let result = action(server, worker);
        if self.paused {
            server.pause();
        }
        result.map_err(|error| self.fail(error)).ok()
    }

    /// Collects the final counters; then stops the server.
    fn collect(&mut self, config: &RunConfig) {
        let Some((server, worker)) = &mut self.running else { return };
        self.latency = worker.latency().ok().flatten();
        self.peak_rss_bytes = process_usage::peak_rss_bytes(server.pid());
        if self.paused {
            server.resume();
        }
        if config.count_syscalls {
            let counted = syscalls::count(server.pid(), || {
                Ok(worker.slice(Pace::ClosedLoop, config.slice)?.messages)
            });
            // Best effort: perf is optional, and no other figure depends on it.
            match counted {
                Ok(syscalls) => self.syscalls = Some(syscalls),
                Err(error) => self.syscalls_why = Some(format!("{error:#}")),
            }
        }
        self.running = None;
    }

    fn fail(&mut self, error: anyhow::Error) {
        if let Some((mut server, mut worker)) = self.running.take() {
            self.latency = worker.latency().ok().flatten();
            self.status = Status::Failed;
            self.why = Some(server.with_exit_status(error));
        }
    }

    fn excluded(self, why: String, status: Status) -> Self {
        Self { status, why: Some(why), ..self }
    }
}

/// Runs a slice and measures the server's CPU time for it. A slice without any response is
/// repeated: a busy machine may take the core away for longer than the loss timeout of a datagram.
pub(crate) fn measure_cpu(
    server: &Server,
    mut slice: impl FnMut() -> Result<Slice>,
) -> Result<(Slice, Cpu)> {
    retry_until_response(|| {
        let gone = || anyhow::anyhow!("the process has ended");
        let before = process_usage::cpu(server.pid()).ok_or_else(gone)?;
        let slice = slice()?;
        thread::sleep(SETTLE_TIME);
        let after = process_usage::cpu(server.pid()).ok_or_else(gone)?;
        let cpu = Cpu {
            total: after.total.saturating_sub(before.total),
            user: after.user.saturating_sub(before.user),
            system: after.system.saturating_sub(before.system),
        };
        Ok((slice, cpu))
    })
}

/// Repeats a slice until it has a response, up to [`SILENT_SLICES_MAX`] times.
fn retry_until_response(mut slice: impl FnMut() -> Result<(Slice, Cpu)>) -> Result<(Slice, Cpu)> {
    for _ in 0..SILENT_SLICES_MAX {
        let measured = slice()?;
        if measured.0.messages > 0 {
            return Ok(measured);
        }
    }
    anyhow::bail!("no response in {SILENT_SLICES_MAX} slices")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_without_a_response_is_repeated() {
        let slice = |messages| Slice {
            messages,
            lost: 1,
            elapsed: SETTLE_TIME,
            p50_ns: 1,
            p99_ns: 1,
            late_p99_ns: 0,
            own_cpu: SETTLE_TIME,
        };
        let mut left = 3;
        let found = retry_until_response(|| {
            left -= 1;
            Ok((slice(u64::from(left == 0)), Cpu::default()))
        });
        assert_eq!(found.expect("the third has a response").0.messages, 1);
        let mut calls = 0;
        let none = retry_until_response(|| {
            calls += 1;
            Ok((slice(0), Cpu::default()))
        });
        assert!(none.is_err_and(|why| why.to_string().starts_with("no response in")));
        assert_eq!(calls, SILENT_SLICES_MAX, "the number of attempts is limited");
        let mut calls = 0;
        let failed = retry_until_response(|| {
            calls += 1;
            anyhow::bail!("it failed")
        });
        assert!(failed.is_err() && calls == 1, "an error is not retried");
    }

    #[test]
    fn every_server_has_every_position_equally_often() {
        let rounds = 24;
        for count in [2, 3, 4] {
            let mut counts = vec![vec![0; count]; count];
            for round in 0..rounds {
                let order: Vec<usize> = order(round, count).collect();
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..count).collect::<Vec<_>>(), "a round has every server once");
                order
                    .iter()
                    .enumerate()
                    .for_each(|(position, &server)| counts[server][position] += 1);
            }
            let expected = rounds / count;
            assert!(counts.iter().flatten().all(|&times| times == expected), "{count}: {counts:?}");
        }
        assert_eq!(order(0, 3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(1, 3).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(order(2, 3).collect::<Vec<_>>(), [1, 2, 0]);
    }
}
