//! Analysis of a case: from rounds to ratios to the reference, the noise, and significance. Pure
//! arithmetic on the results of interleaved runs; it starts nothing.

use crate::case::Case;
use crate::interleave::ServerRun;
use crate::schema::{self, Measured, Noise, Outcome, Ratio, Round, Status};
use crate::stats::{Estimate, Verdict};

/// Minimum number of rounds for which an interval can contain the median in 95 of 100 runs.
pub(crate) const ROUNDS_MIN: usize = 6;

/// Index of the reference among the runs.
pub(crate) const REFERENCE: usize = 0;
/// Index of its copy, the A/A control.
pub(crate) const CONTROL: usize = 1;

/// Analyses the runs of a case. The first run is of the reference, the second of its copy.
pub(crate) fn analyze_case(case: &Case, runs: &[ServerRun], wall_seconds: f64) -> schema::Case {
    let noise = |what| ratio(runs, CONTROL, what).map(|estimate| estimate.noise_factor());
    let noise = noise(Round::rate).zip(noise(Round::cpu_per_message));
    schema::Case {
        load: case.clone(),
        wall_seconds,
        noise: noise.map(|(rate, cpu)| Noise { rate, cpu }),
        results: (0..runs.len()).map(|index| outcome(index, runs)).collect(),
    }
}

fn outcome(index: usize, runs: &[ServerRun]) -> Outcome {
    let ServerRun { name, rounds, status, why, .. } = &runs[index];
    let enough = *status == Status::Complete || rounds.len() >= ROUNDS_MIN;
    Outcome {
        server: name.clone(),
        status: *status,
        why: why.clone(),
        measured: (enough && !rounds.is_empty()).then(|| measured(index, runs)),
    }
}

fn measured(index: usize, runs: &[ServerRun]) -> Measured {
    let run = &runs[index];
    let messages: f64 = run.rounds.iter().map(|round| round.messages as f64).sum();
    let share = |part: std::time::Duration| {
        // Each part has tick resolution, so they rarely add up to the total, which is exact.
        let sum = run.cpu.user + run.cpu.system;
        let total = run.cpu.total.as_secs_f64();
        (!sum.is_zero()).then(|| total * part.as_secs_f64() / sum.as_secs_f64() / messages * 1e9)
    };
    let compared = |what| compare(runs, index, what);
    let load_cpu = |round: &Round| Some(round.load_cpu_seconds? / round.cpu_seconds);
    Measured {
        rate: Estimate::of(run.rounds.iter().map(Round::rate)),
        cpu_ns: Estimate::of(run.rounds.iter().map(|round| round.cpu_per_message() * 1e9)),
        cpu_user_ns: share(run.cpu.user),
        cpu_system_ns: share(run.cpu.system),
        rate_ratio: compared(Round::rate),
        cpu_ratio: compared(Round::cpu_per_message),
        p99_ratio: compared(|round| round.p99_ns as f64),
        load_cpu_ratio: estimate(run.rounds.iter().filter_map(load_cpu)),
        latency: run.latency.clone(),
        syscalls: run.syscalls.clone(),
        syscalls_why: run.syscalls_why.clone(),
        peak_rss_bytes: run.peak_rss_bytes,
        idle_share: run.idle_cpu,
        paused_between: run.paused,
        rounds: run.rounds.clone(),
    }
}

/// A ratio and its significance against the noise. Without a control there is no noise estimate,
/// and so no ratio.
fn compare(runs: &[ServerRun], index: usize, what: fn(&Round) -> f64) -> Option<Ratio> {
    if index == REFERENCE {
        return None;
    }
    let (control, estimate) = (ratio(runs, CONTROL, what)?, ratio(runs, index, what)?);
    let rounds = |index: usize| runs[index].rounds.len().min(runs[REFERENCE].rounds.len());
    // Too few rounds give no interval.
    let enough = rounds(index).min(rounds(CONTROL)) >= ROUNDS_MIN;
    let verdict = if enough { estimate.verdict(&control) } else { Verdict::NoDifference };
    Some(Ratio { estimate, verdict })
}

/// The ratio over the rounds that both have: a failed server has only the rounds before its
/// failure.
fn ratio(runs: &[ServerRun], index: usize, what: fn(&Round) -> f64) -> Option<Estimate> {
    let (mine, reference) = (&runs.get(index)?.rounds, &runs.get(REFERENCE)?.rounds);
    estimate(mine.iter().zip(reference).map(|(mine, other)| what(mine) / what(other)))
}

/// Skips slices without a finite ratio, such as those with no measurable CPU time.
fn estimate(ratios: impl Iterator<Item = f64>) -> Option<Estimate> {
    let ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect();
    (!ratios.is_empty()).then(|| Estimate::of(ratios))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUNDS: usize = 24;

    #[test]
    fn a_ten_percent_difference_is_significant() {
        let found = simulate(&[1.0, 1.0, 1.1, 0.9], 0.02, ROUNDS);
        let expected = [Verdict::NoDifference, Verdict::Higher, Verdict::Lower];
        assert_eq!(cpu_results(&found), expected, "{found:#?}");
        let rates: Vec<Verdict> = ratios(&found, |it| it.rate_ratio);
        let expected = [Verdict::NoDifference, Verdict::Lower, Verdict::Higher];
        assert_eq!(rates, expected, "more CPU per message means a lower rate");
        let noise = found.noise.expect("there is a control");
        assert!((1.0..1.05).contains(&noise.cpu), "{noise:?}");
    }

    #[test]
    fn too_few_rounds_show_nothing() {
        for (rounds, verdict) in [(1, Verdict::NoDifference), (5, Verdict::NoDifference)]
            .into_iter()
            .chain([(6, Verdict::Higher)])
        {
            let found = simulate(&[1.0, 1.0, 2.0], 0.01, rounds);
            assert_eq!(cpu_results(&found)[1], verdict, "{rounds} rounds");
        }
    }

    #[test]
    fn equal_servers_show_no_difference() {
        let mut shown = 0;
        for seed in 0..50 {
            let found = simulate_seeded(seed, &[1.0; 4], 0.05, ROUNDS);
            let others = &cpu_results(&found)[1..];
            shown += others.iter().filter(|verdict| **verdict != Verdict::NoDifference).count();
        }
        // Two servers in fifty runs: an interval misses in five of a hundred, and the noise of the
        // control makes a false difference still less likely.
        assert!(shown <= 2, "{shown} of 100 comparisons show a difference where there is none");
    }

    #[test]
    fn a_difference_within_the_control_is_noise() {
        // The copy of the reference itself differs by 12 %, which can only be noise.
        let found = simulate(&[1.0, 1.12, 1.1, 0.9], 0.02, ROUNDS);
        assert_eq!(cpu_results(&found), [Verdict::NoDifference; 3], "{found:#?}");
    }

    #[test]
    fn no_verdict_without_a_control() {
        let case = Case::find(crate::case::all(), "ping").expect("a known case");
        let mut all: Vec<ServerRun> =
            (0..3).map(|index| run(index, 7, 1.0 + f64::from(index), 0.0, ROUNDS)).collect();
        all[1].rounds.clear();
        (all[1].status, all[1].why) = (Status::Failed, Some("it ended".to_owned()));
        let found = super::analyze_case(&case, &all, 1.0);
        assert_eq!(found.noise, None);
        let two = found.results[2].measured.as_ref().expect("it was measured");
        assert_eq!(
            (two.cpu_ratio, two.rate_ratio),
            (None, None),
            "no ratio without a noise estimate"
        );
    }

    #[test]
    fn a_failed_server_is_compared_over_its_rounds() {
        for (rounds, is_measured) in [(0, false), (5, false), (6, true), (23, true)] {
            let case = Case::find(crate::case::all(), "ping").expect("a known case");
            let mut all: Vec<ServerRun> =
                (0..3).map(|index| run(index, 3, 1.0, 0.02, ROUNDS)).collect();
            all[2].rounds.truncate(rounds);
            (all[2].status, all[2].why) = (Status::Failed, Some("it ended".to_owned()));
            let found = super::analyze_case(&case, &all, 1.0);
            let two = &found.results[2];
            assert_eq!(two.measured.is_some(), is_measured, "{rounds} rounds");
            assert_eq!((two.status, two.why.as_deref()), (Status::Failed, Some("it ended")));
        }
    }

    #[test]
    fn drift_cancels_within_a_round() {
        // The machine becomes three times slower; the second server is always 10% slower.
        let slices = |factor: f64| {
            let mut run = ServerRun::empty("x");
            let time = |round| factor * (1.0 + f64::from(round) / 6.0);
            run.rounds = (0..12).map(|round| slice(1000, time(round))).collect();
            run
        };
        let runs = [slices(1.0), slices(1.1)];
        let ratio = |what| ratio(&runs, CONTROL, what).expect("both have rounds");
        let cpu = ratio(Round::cpu_per_message);
        assert!((cpu.median - 1.1).abs() < 1e-6 && cpu.high - cpu.low < 1e-6, "{cpu:?}");
        let rate = ratio(Round::rate);
        assert!((rate.median - 1.0 / 1.1).abs() < 1e-6, "{rate:?}");
    }

    fn slice(messages: u64, seconds: f64) -> Round {
        Round {
            messages,
            elapsed_seconds: seconds,
            cpu_seconds: seconds,
            p99_ns: 9,
            lost: 0,
            load_cpu_seconds: None,
        }
    }

    fn simulate(costs: &[f64], noise: f64, rounds: usize) -> schema::Case {
        simulate_seeded(1, costs, noise, rounds)
    }

    fn simulate_seeded(seed: u64, costs: &[f64], noise: f64, rounds: usize) -> schema::Case {
        let case = Case::find(crate::case::all(), "ping").expect("a known case");
        let all: Vec<ServerRun> =
            (0..).zip(costs).map(|(index, &cost)| run(index, seed, cost, noise, rounds)).collect();
        super::analyze_case(&case, &all, 1.0)
    }

    /// A simulated run: a drift common to all servers, and independent noise for each.
    fn run(index: u32, seed: u64, cost: f64, noise: f64, rounds: usize) -> ServerRun {
        let mut state = (seed * 31 + u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut jitter = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let unit =
                f64::from(u32::try_from(state >> 32).expect("32 bits")) / f64::from(u32::MAX);
            1.0 + noise * (2.0 * unit - 1.0)
        };
        let mut run = ServerRun::empty(&index.to_string());
        run.rounds = (0..rounds)
            .map(|round| {
                let drift = 1.0 + f64::from(u32::try_from(round).expect("few")) / 20.0;
                let seconds = 0.05 * cost * drift * jitter();
                slice(1000, seconds)
            })
            .collect();
        run
    }

    fn cpu_results(found: &schema::Case) -> Vec<Verdict> {
        ratios(found, |it| it.cpu_ratio)
    }

    fn ratios(found: &schema::Case, what: fn(&Measured) -> Option<Ratio>) -> Vec<Verdict> {
        let measured = found.results.iter().filter_map(|outcome| outcome.measured.as_ref());
        measured.filter_map(what).map(|ratio| ratio.verdict).collect()
    }
}
