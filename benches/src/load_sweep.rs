//! Open loop to the knee: the same rates offered to several servers in turn, from little to more
//! than they can take. It knows the order of things; the rates it takes from the reference itself.
//!
//! A closed loop asks a slow server less, so its latencies flatter it. Here the clock asks, and a
//! latency counts from when a message was *meant* to leave: below the knee it is the server's own,
//! beyond it is the queue, which grows for as long as one looks.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::case::Case;
use crate::interleave::{self, ServerRun};
use crate::interrupt;
use crate::load_process::Slice;
use crate::schema::{Curve, Knee, Status, Step};
use crate::server::Cores;
use crate::servers::BuiltServer;

/// The name on the command line.
pub const NAME: &str = "knee";

/// One line for the help text and the report.
pub const WHAT: &str = "open loop, 64 connections, 64 bytes, one under way in each, more and more";

/// The rates, as parts of what the reference answers in a closed loop of as many connections. There
/// it is never without work, so nearly all it can do; the last rates are more than that.
const LOAD_FRACTIONS: [f64; 12] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3];

/// The part of a slice that a message may take at the 99th percentile. If a twentieth more is
/// offered than can be answered, the last ones of the slice wait so long; hiccups of a shared
/// machine are mostly shorter, and a queue that is emptied again and again is far below.
const P99_FRACTION: u32 = 20;

/// Who answers less than this part of what is offered is asked no more: each slice would end only
/// when all of it is answered.
const SATURATED_BELOW: f64 = 0.6;

/// How it is done.
#[derive(Debug, Clone, Copy)]
pub struct SweepConfig {
    /// Slices behind every step of every server.
    pub rounds: usize,
    /// How long a rate is offered in one slice.
    pub slice: Duration,
    /// Who runs where.
    pub cores: Cores,
}

impl SweepConfig {
    /// For a run whose closed loops have `rounds` of `slice`: a quarter of the rounds, twice as
    /// long, since a low rate has few messages to take a percentile of.
    #[must_use]
    pub fn from_run(rounds: usize, slice: Duration, cores: Cores) -> Self {
        Self { rounds: (rounds / 4).max(2), slice: slice * 2, cores }
    }
}

/// Offers the rates. `progress` is called after every slice. The first built is the reference.
///
/// # Errors
/// When the reference itself does not come up or fails while its rate is taken.
pub fn run(
    servers: &[&BuiltServer],
    config: &SweepConfig,
    progress: &mut dyn FnMut(),
) -> Result<Knee> {
    let case = Case::by_name("c64").context("the case that the rates are taken from")?;
    let mut sweeps: Vec<SweepRun> = servers
        .iter()
        .map(|built| SweepRun::new(ServerRun::start(built, &case, config.cores)))
        .collect();
    let capacity = capacity(&mut sweeps, config)?;
    for round in 0..config.rounds {
        sweeps.iter_mut().for_each(|sweep| sweep.max_step = LOAD_FRACTIONS.len());
        for (step, part) in LOAD_FRACTIONS.iter().enumerate() {
            for index in interleave::order(round + step, sweeps.len()) {
                if interrupt::is_interrupted() {
                    break;
                }
                sweeps[index].run_step(step, part * capacity, config.slice);
                progress();
            }
        }
    }
    let bound = nanos(config.slice / P99_FRACTION);
    Ok(Knee {
        what: WHAT.to_owned(),
        connections: case.connections,
        size_bytes: case.size_bytes,
        rounds: config.rounds,
        bound_p99_ns: bound,
        curves: sweeps.into_iter().map(|sweep| sweep.curve(bound)).collect(),
    })
}

/// How many times `progress` is called.
#[must_use]
pub fn steps(servers: usize, config: &SweepConfig) -> u64 {
    (servers * config.rounds * LOAD_FRACTIONS.len()) as u64
}

/// Messages a second that the reference answers in a closed loop. The others have the same slices,
/// to warm up; who is busy without being asked is stopped from then on.
fn capacity(sweeps: &mut [SweepRun], config: &SweepConfig) -> Result<f64> {
    let mut rates = Vec::new();
    for round in 0..4 {
        for (index, sweep) in sweeps.iter_mut().enumerate() {
            let took = sweep.run.with_core(|_, worker| {
                let slice = worker.run_closed_loop(config.slice / 2)?;
                worker.reset()?;
                Ok(slice)
            });
            if let (0, 1.., Some(slice)) = (index, round, took) {
                rates.push(answered(&slice));
            }
        }
    }
    interleave::probe_idle_cpu(sweeps.iter_mut().map(|sweep| &mut sweep.run));
    rates.sort_by(f64::total_cmp);
    let why = sweeps[0].run.failure.as_ref().map(|failure| failure.why.clone());
    rates.get(rates.len() / 2).copied().with_context(|| why.unwrap_or_default())
}

/// A server on its way up.
struct SweepRun {
    run: ServerRun,
    /// What each slice brought, by step.
    slices: [Vec<Step>; LOAD_FRACTIONS.len()],
    /// The first step that is too high for it altogether, in this round.
    max_step: usize,
}

impl SweepRun {
    fn new(run: ServerRun) -> Self {
        Self { run, slices: Default::default(), max_step: LOAD_FRACTIONS.len() }
    }

    fn run_step(&mut self, step: usize, rate: f64, length: Duration) {
        if step >= self.max_step {
            return;
        }
        let took = self.run.with_core(|server, worker| {
            let measured = interleave::measure_cpu(server, || worker.run_open_loop(rate, length))?;
            worker.reset()?;
            Ok(measured)
        });
        let Some((slice, cpu)) = took else { return };
        let answered = answered(&slice);
        if answered < SATURATED_BELOW * rate {
            self.max_step = step + 1;
        }
        self.slices[step].push(Step {
            offered: rate,
            answered,
            p50_ns: slice.p50_ns,
            p99_ns: slice.p99_ns,
            sender_lag_p99_ns: slice.late_p99_ns,
            busy: cpu.total.as_secs_f64() / slice.elapsed.as_secs_f64(),
        });
    }

    fn curve(self, bound_ns: u64) -> Curve {
        let steps: Vec<Step> = self.slices.iter().filter_map(|slices| median(slices)).collect();
        let failure = self.run.failure;
        Curve {
            server: self.run.name,
            status: failure.as_ref().map_or(Status::Complete, |failure| failure.status),
            why: failure.map(|failure| failure.why),
            knee: find_knee(&steps, bound_ns),
            steps,
        }
    }
}

/// The last rate before two in a row, or the very last, that take too long: one alone is a hiccup of
/// the machine, since with more to do it went well again.
fn find_knee(steps: &[Step], bound_ns: u64) -> Option<f64> {
    let is_late = |at: usize| steps.get(at).is_none_or(|step| step.p99_ns > bound_ns);
    let end = (0..steps.len()).find(|&at| is_late(at) && is_late(at + 1)).unwrap_or(steps.len());
    end.checked_sub(1).map(|at| steps[at].offered)
}

/// Figure by figure the median of the slices; none, when there are no slices.
fn median(slices: &[Step]) -> Option<Step> {
    let offered = slices.first()?.offered;
    let time = |what: fn(&Step) -> u64| {
        let mut sorted: Vec<u64> = slices.iter().map(what).collect();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    let figure = |what: fn(&Step) -> f64| {
        let mut sorted: Vec<f64> = slices.iter().map(what).collect();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    Some(Step {
        offered,
        answered: figure(|step| step.answered),
        p50_ns: time(|step| step.p50_ns),
        p99_ns: time(|step| step.p99_ns),
        sender_lag_p99_ns: time(|step| step.sender_lag_p99_ns),
        busy: figure(|step| step.busy),
    })
}

fn answered(slice: &Slice) -> f64 {
    // Far fewer than 2^32 messages; that many would be one every 12 picoseconds.
    f64::from(u32::try_from(slice.messages).unwrap_or(u32::MAX)) / slice.elapsed.as_secs_f64()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_before_the_first_two_steps_that_take_too_long() {
        for (p99s, knee) in [
            (&[10_u64, 20, 900, 5_000, 90_000][..], Some(0.3)),
            (&[10, 2_000, 30], Some(0.3)),
            (&[10, 2_000, 30, 2_000, 2_000], Some(0.3)),
            (&[2_000, 10], Some(0.2)),
            (&[10, 2_000], Some(0.1)),
            (&[2_000, 2_000, 10], None),
            (&[10], Some(0.1)),
            (&[], None),
        ] {
            let mut sweep = SweepRun::new(ServerRun::empty("x"));
            for (at, &p99) in p99s.iter().enumerate() {
                sweep.slices[at] = vec![step(LOAD_FRACTIONS[at], p99)];
            }
            assert_eq!(sweep.curve(1_000_000).knee, knee, "{p99s:?}");
        }
    }

    #[test]
    fn one_bad_slice_of_three_moves_nothing() {
        let slices = [step(0.5, 100), step(0.5, 9_000), step(0.5, 110)];
        assert_eq!(median(&slices).map(|step| step.p99_ns), Some(110_000));
        assert_eq!(median(&[]), None);
    }

    fn step(offered: f64, p99_micros: u64) -> Step {
        let p99_ns = p99_micros * 1000;
        Step { offered, answered: offered, p50_ns: 1, p99_ns, sender_lag_p99_ns: 1, busy: 0.5 }
    }
}
