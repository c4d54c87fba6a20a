//! Open-loop sweep to the knee: the same rising rates offered to several servers in turn, up to
//! more than they can serve. The rates are derived from the closed-loop rate of the reference.
//!
//! A closed loop sends less to a slow server, so its latencies flatter it. Here the schedule is
//! fixed, and a latency counts from the *intended* send time: below the knee it is the server's own
//! latency, beyond it the queueing time, which grows for as long as the overload lasts.

use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::ProgressBar;

use crate::case::{self, Case};
use crate::interleave::{self, RunConfig, ServerRun};
use crate::interrupt;
use crate::load::Pace;
use crate::load_process::Slice;
use crate::schema::{Curve, Knee, Step};
use crate::servers::BuiltServer;

/// The name on the command line.
pub(crate) const NAME: &str = "knee";

/// The load, whose rates are [`LOAD_FRACTIONS`].
pub(crate) fn case() -> Case {
    let what = "open loop, 64 connections, 64 bytes, one in flight in each, rising rates";
    case::tcp(NAME, what, 64, 1, 64)
}

/// The rates, as fractions of the closed-loop rate of the reference with as many connections. There
/// it is never idle, so that is nearly its capacity; the last rates exceed it.
const LOAD_FRACTIONS: [f64; 12] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3];

/// The bound on the 99th percentile, as a fraction of a slice. If a twentieth more is offered than
/// can be served, the last messages of the slice wait this long; delays of a shared machine are
/// mostly shorter, and a queue that empties again and again stays far below.
const P99_FRACTION: u32 = 20;

/// A server whose throughput is below this fraction of the offered rate is not offered higher
/// rates: each slice would end only when the whole queue is served.
const SATURATED_BELOW: f64 = 0.6;

/// Parameters of the sweep of a run: a quarter of the rounds, and slices twice as long, since a low
/// rate has few messages to compute a percentile from.
pub(crate) fn config(run: &RunConfig) -> RunConfig {
    RunConfig { rounds: (run.rounds / 4).max(2), slice: run.slice * 2, ..*run }
}

/// Runs the sweep. `bar` advances after every slice. The first built is the reference. Fails
/// if the reference does not start, or fails while its rate is measured.
pub(crate) fn run(servers: &[&BuiltServer], config: &RunConfig, bar: &ProgressBar) -> Result<Knee> {
    let case = case();
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
                bar.inc(1);
            }
        }
    }
    let bound = u64::try_from((config.slice / P99_FRACTION).as_nanos())?;
    Ok(Knee {
        what: case.what,
        connections: case.connections,
        size_bytes: case.size_bytes,
        rounds: config.rounds,
        bound_p99_ns: bound,
        curves: sweeps.into_iter().map(|sweep| sweep.curve(bound)).collect(),
    })
}

/// Upper bound on the number of steps of the bar.
pub(crate) fn steps(servers: usize, config: &RunConfig) -> u64 {
    (servers * config.rounds * LOAD_FRACTIONS.len()) as u64
}

/// Closed-loop rate of the reference, in messages per second. The other servers run the same slices
/// as warm-up; one that is busy while idle is stopped between its slices from then on.
fn capacity(sweeps: &mut [SweepRun], config: &RunConfig) -> Result<f64> {
    let mut rates = Vec::new();
    for round in 0..4 {
        for (index, sweep) in sweeps.iter_mut().enumerate() {
            let took = sweep.run.with_core(|_, worker| {
                let slice = worker.slice(Pace::ClosedLoop, config.slice / 2)?;
                worker.reset()?;
                Ok(slice)
            });
            if let (0, 1.., Some(slice)) = (index, round, took) {
                rates.push(answered(&slice));
            }
        }
    }
    interleave::probe_idle_cpu(sweeps.iter_mut().map(|sweep| &mut sweep.run));
    let why = sweeps[0].run.why.clone();
    middle(rates).with_context(|| why.unwrap_or_default())
}

/// The sweep of one server.
struct SweepRun {
    run: ServerRun,
    /// Results of the slices, by step.
    slices: [Vec<Step>; LOAD_FRACTIONS.len()],
    /// The first step not offered any more in this round.
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
            let measured =
                interleave::measure_cpu(server, || worker.slice(Pace::Poisson(rate), length))?;
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
        Curve {
            server: self.run.name,
            status: self.run.status,
            why: self.run.why,
            knee: find_knee(&steps, bound_ns),
            steps,
        }
    }
}

/// The last rate before two consecutive ones, or the last one, above the bound: a single one is a
/// disturbance of the machine, since a higher rate was within the bound again.
fn find_knee(steps: &[Step], bound_ns: u64) -> Option<f64> {
    let is_late = |at: usize| steps.get(at).is_none_or(|step| step.p99_ns > bound_ns);
    let end = (0..steps.len()).find(|&at| is_late(at) && is_late(at + 1)).unwrap_or(steps.len());
    end.checked_sub(1).map(|at| steps[at].offered)
}

/// The median of each figure over the slices; `None` without slices.
fn median(slices: &[Step]) -> Option<Step> {
    let offered = slices.first()?.offered;
    let figure = |what: fn(&Step) -> f64| middle(slices.iter().map(what).collect());
    let time = |what: fn(&Step) -> u64| {
        let mut sorted: Vec<u64> = slices.iter().map(what).collect();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    Some(Step {
        offered,
        answered: figure(|step| step.answered)?,
        p50_ns: time(|step| step.p50_ns),
        p99_ns: time(|step| step.p99_ns),
        sender_lag_p99_ns: time(|step| step.sender_lag_p99_ns),
        busy: figure(|step| step.busy)?,
    })
}

/// The middle one of some figures; of an even number the upper one.
fn middle(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

fn answered(slice: &Slice) -> f64 {
    slice.messages as f64 / slice.elapsed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_before_the_first_two_steps_above_the_bound() {
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
    fn one_outlier_of_three_slices_does_not_change_the_median() {
        let slices = [step(0.5, 100), step(0.5, 9_000), step(0.5, 110)];
        assert_eq!(median(&slices).map(|step| step.p99_ns), Some(110_000));
        assert_eq!(median(&[]), None);
    }

    fn step(offered: f64, p99_micros: u64) -> Step {
        let p99_ns = p99_micros * 1000;
        Step { offered, answered: offered, p50_ns: 1, p99_ns, sender_lag_p99_ns: 1, busy: 0.5 }
    }
}
