//! One case, several servers, slice by slice in turn. It knows the order of things and collects
//! samples; what they mean is for `paired` to say, and what a reader sees for `result`.
//!
//! A server that fails is out, with the rounds it had; the others go on.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::case::Case;
use crate::interrupt;
use crate::load_process::{Slice, Worker};
use crate::process_usage::{self, Cpu};
use crate::schema::{Latency, Round, Status, Syscalls};
use crate::server::{Cores, Server};
use crate::servers::BuiltServer;
use crate::stats::Sample;
use crate::syscalls;

/// A pause after each slice before the bill is read: a server that has answered still has to find
/// out that nothing more has come, and to go to sleep. That belongs to its own bill, and must not
/// be in the way of the next.
const SETTLE_TIME: Duration = Duration::from_millis(1);

/// How long all are left alone after the round that does not count, to see who does not sleep.
const IDLE_PROBE_TIME: Duration = Duration::from_millis(50);

/// Above this share of a core, a server that is asked nothing is called busy. A reactor's timers
/// and a runtime's housekeeping stay far below; whoever polls is far above.
const IDLE_CPU_MAX: f64 = 0.02;

/// So many slices in a row may pass without an answer; one more, and the server has none to give.
const SILENT_SLICES_MAX: u32 = 5;

/// How a contest is held.
#[derive(Debug, Clone, Copy)]
pub struct RunConfig {
    /// Rounds that count, after one that does not.
    pub rounds: usize,
    /// How long one server is busy in one round.
    pub slice: Duration,
    /// Who runs where.
    pub cores: Cores,
    /// Whether system calls are counted at the end.
    pub count_syscalls: bool,
}

/// One server in one case: what was measured, and what went wrong.
#[derive(Debug)]
pub struct ServerRun {
    /// Its name.
    pub name: String,
    /// One for each round that counts and that it finished.
    pub rounds: Vec<Round>,
    /// CPU time over those, by its parts.
    pub cpu: Cpu,
    /// Round-trip times over those.
    pub latency: Option<Latency>,
    /// System calls, counted at the end.
    pub syscalls: Option<Syscalls>,
    /// Why they were not, although they were to be.
    pub syscalls_why: Option<String>,
    /// Its memory at the end.
    pub peak_rss_bytes: Option<u64>,
    /// The share of a core it used while it was *not* asked anything. Servers share a core, so
    /// one that is busy while idle would spoil the others' figures.
    pub idle_cpu: f64,
    /// Whether it was stopped between its slices, for that reason.
    pub paused: bool,
    /// Why it is out, if it is.
    pub failure: Option<Failure>,
    running: Option<(Server, Worker)>,
}

/// Why a server is out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In words.
    pub why: String,
    /// How far it came: `Absent`, `NotAsked` or `Broke`.
    pub status: Status,
}

/// Runs a case. `progress` is called after every slice.
///
/// Each server is started anew, so its memory is that of this case, and nobody profits from what an
/// earlier case left behind.
pub fn run(
    case: &Case,
    servers: &[&BuiltServer],
    config: &RunConfig,
    progress: &mut dyn FnMut(),
) -> Vec<ServerRun> {
    let mut runs: Vec<ServerRun> =
        servers.iter().map(|built| ServerRun::start(built, case, config.cores)).collect();
    for round in 0..=config.rounds {
        for index in order(round, runs.len()) {
            if interrupt::is_interrupted() {
                // What they have is kept; nobody is asked anything more.
                return runs;
            }
            runs[index].run_slice(config.slice, round > 0);
            progress();
        }
        if round == 0 {
            probe_idle_cpu(runs.iter_mut());
        }
    }
    // Best effort, like the counting: without it, that takes longer.
    let hold = config.count_syscalls.then(syscalls::TracepointKeepalive::enable);
    for run in &mut runs {
        run.collect(config);
        progress();
    }
    drop(hold);
    runs
}

/// How many times `progress` is called at most.
#[must_use]
pub fn steps(servers: usize, rounds: usize) -> u64 {
    (servers * (rounds + 2)) as u64
}

/// Who comes when in a round. Everyone is first, second and last equally often, and every other
/// round goes backwards, so that nobody always follows the same neighbour and inherits its caches.
pub(crate) fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| {
        let turn = if round.is_multiple_of(2) { turn } else { count - 1 - turn };
        (turn + round / 2) % count
    })
}

/// Asks nobody anything for a while. Who is busy all the same is stopped, and from then on runs in
/// its own slices only.
pub(crate) fn probe_idle_cpu<'a>(runs: impl Iterator<Item = &'a mut ServerRun>) {
    let mut runs: Vec<&mut ServerRun> = runs.collect();
    let bills = |runs: &[&mut ServerRun]| -> Vec<Option<Duration>> {
        let bill =
            |it: &&mut ServerRun| Some(process_usage::cpu(it.running.as_ref()?.0.pid())?.total);
        runs.iter().map(bill).collect()
    };
    let (before, start) = (bills(&runs), Instant::now());
    thread::sleep(IDLE_PROBE_TIME);
    let (after, wall) = (bills(&runs), start.elapsed());
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
    /// Nothing known yet.
    pub(crate) fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            rounds: Vec::new(),
            cpu: Cpu::default(),
            latency: None,
            syscalls: None,
            syscalls_why: None,
            peak_rss_bytes: None,
            idle_cpu: 0.0,
            paused: false,
            failure: None,
            running: None,
        }
    }

    /// Started and asked nothing; or out, with the reason.
    pub(crate) fn start(built: &BuiltServer, case: &Case, cores: Cores) -> Self {
        let mut run = Self::empty(&built.about.name);
        let command = match built.command(case) {
            Ok(command) => command,
            Err(why) => return run.excluded(why, Status::Skipped),
        };
        let server = match Server::start(&built.about.name, command, case.transport, cores) {
            Ok(server) => server,
            Err(error) => return run.excluded(format!("{error:#}"), Status::Absent),
        };
        match Worker::start(case, server.endpoint()) {
            Ok(worker) => run.running = Some((server, worker)),
            Err(error) => {
                return run.excluded(describe_failure(server, &error), Status::Failed);
            }
        }
        run
    }

    /// Its slice of a round, if it is still in.
    fn run_slice(&mut self, length: Duration, counts: bool) {
        let measured = self.with_core(|server, worker| {
            let (slice, cpu) = measure_cpu(server, || worker.run_closed_loop(length))?;
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
        self.cpu.user += cpu.user;
        self.cpu.system += cpu.system;
        self.cpu.total += cpu.total;
    }

    /// Gives it the core, asks it something, and takes the core back. `None` when it is out, or
    /// fails and is out from then on.
    pub(crate) fn with_core<T>(
        &mut self,
        ask: impl FnOnce(&Server, &mut Worker) -> Result<T>,
    ) -> Option<T> {
        let (server, worker) = self.running.as_mut()?;
        if self.paused {
            server.resume();
        }
        let answer = ask(server, worker);
        if self.paused {
            server.pause();
        }
        answer.map_err(|error| self.fail(&error)).ok()
    }

    /// What is looked at once, at the end; then it is stopped.
    fn collect(&mut self, config: &RunConfig) {
        let Some((server, worker)) = &mut self.running else { return };
        self.latency = worker.latency().ok().flatten();
        self.peak_rss_bytes = process_usage::peak_rss_bytes(server.pid());
        if self.paused {
            server.resume();
        }
        if config.count_syscalls {
            let counted = syscalls::count(server.pid(), || {
                Ok(worker.run_closed_loop(config.slice)?.messages)
            });
            // Best effort: perf is a guest here, and no figure but its own depends on it.
            match counted {
                Ok(syscalls) => self.syscalls = Some(syscalls),
                Err(error) => self.syscalls_why = Some(format!("{error:#}")),
            }
        }
        self.running = None;
    }

    fn fail(&mut self, error: &anyhow::Error) {
        if let Some((server, mut worker)) = self.running.take() {
            self.latency = worker.latency().ok().flatten();
            let why = describe_failure(server, error);
            self.failure = Some(Failure { why, status: Status::Failed });
        }
    }

    fn excluded(mut self, why: String, status: Status) -> Self {
        self.failure = Some(Failure { why, status });
        self
    }

    /// Its rounds, in the form that ratios are made of.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        let sample = |round: &Round| Sample {
            messages: round.messages,
            elapsed: Duration::from_secs_f64(round.elapsed_seconds),
            cpu: Duration::from_secs_f64(round.cpu_seconds),
            p99: Duration::from_nanos(round.p99_ns),
        };
        self.rounds.iter().map(sample).collect()
    }
}

fn describe_failure(mut server: Server, error: &anyhow::Error) -> String {
    server.with_exit_status(format!("{error:#}"))
}

/// Runs a slice, and the server's bill for it. One in which nothing comes back is run again: a machine
/// that is busy elsewhere may take the core away for longer than a datagram is waited for.
pub(crate) fn measure_cpu(
    server: &Server,
    mut slice: impl FnMut() -> Result<Slice>,
) -> Result<(Slice, Cpu)> {
    answered(|| {
        let gone = || anyhow::anyhow!("it is gone");
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

/// The first of a few slices in which anything came back.
fn answered(mut slice: impl FnMut() -> Result<(Slice, Cpu)>) -> Result<(Slice, Cpu)> {
    for _ in 0..SILENT_SLICES_MAX {
        let measured = slice()?;
        if measured.0.messages > 0 {
            return Ok(measured);
        }
    }
    anyhow::bail!("not one message came back in {SILENT_SLICES_MAX} slices")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_without_an_answer_is_run_again() {
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
        let found = answered(|| {
            left -= 1;
            Ok((slice(u64::from(left == 0)), Cpu::default()))
        });
        assert_eq!(found.expect("the third is answered").0.messages, 1);
        let mut asked = 0;
        let none = answered(|| {
            asked += 1;
            Ok((slice(0), Cpu::default()))
        });
        assert!(none.is_err_and(|why| why.to_string().starts_with("not one message came back")));
        assert_eq!(asked, SILENT_SLICES_MAX, "nobody is asked for ever");
        let mut asked = 0;
        let failed = answered(|| {
            asked += 1;
            anyhow::bail!("it broke")
        });
        assert!(failed.is_err() && asked == 1, "what failed is not asked again");
    }

    #[test]
    fn everyone_has_every_turn_equally_often() {
        let rounds = 24;
        for count in [2, 3, 4] {
            let mut turns = vec![vec![0; count]; count];
            for round in 0..rounds {
                let order: Vec<usize> = order(round, count).collect();
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..count).collect::<Vec<_>>(), "a round is everyone once");
                order.iter().enumerate().for_each(|(turn, &who)| turns[who][turn] += 1);
            }
            let fair = rounds / count;
            assert!(turns.iter().flatten().all(|&times| times == fair), "{count}: {turns:?}");
        }
        assert_eq!(order(0, 3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(1, 3).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(order(2, 3).collect::<Vec<_>>(), [1, 2, 0]);
    }
}
