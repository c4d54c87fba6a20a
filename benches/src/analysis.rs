//! Analysis of a case: from rounds to ratios to the reference, the noise, and significance. Pure
//! arithmetic on the results of interleaved runs; it starts nothing.

use crate::case::Case;
use crate::interleave::ServerRun;
use crate::schema::{self, Measured, Noise, Outcome, Ratio, Round, Status};
use crate::stats::{Estimate, Sample, Verdict};

/// Minimum number of rounds for which an interval can contain the median in 95 of 100 runs.
pub const ROUNDS_MIN: usize = 6;

/// Index of the reference among the runs.
pub const REFERENCE: usize = 0;
/// Index of its copy, the A/A control.
pub const CONTROL: usize = 1;

/// Analyses the runs of a case. The first run is of the reference, the second of its copy.
#[must_use]
pub fn analyze_case(case: &Case, runs: &[ServerRun], wall_seconds: f64) -> schema::Case {
    let samples: Vec<Vec<Sample>> = runs.iter().map(ServerRun::samples).collect();
    let noise = |what| ratio(&samples, CONTROL, what).map(|estimate| estimate.noise_factor());
    let noise = match (noise(Sample::rate), noise(Sample::cpu_per_message)) {
        (Some(rate), Some(cpu)) => Some(Noise { rate, cpu }),
        _ => None,
    };
    let results = runs.iter().enumerate();
    schema::Case {
        name: case.name.clone(),
        what: case.what.clone(),
        transport: case.transport,
        connections: case.connections,
        idle_connections: case.idle,
        depth: case.depth,
        size_bytes: case.size_bytes,
        churn: case.churn,
        wall_seconds,
        noise,
        results: results.map(|(index, run)| outcome(index, run, &samples)).collect(),
    }
}

fn outcome(index: usize, run: &ServerRun, samples: &[Vec<Sample>]) -> Outcome {
    let status = run.failure.as_ref().map_or(Status::Complete, |failure| failure.status);
    let enough = status == Status::Complete || samples[index].len() >= ROUNDS_MIN;
    Outcome {
        server: run.name.clone(),
        status,
        why: run.failure.as_ref().map(|failure| failure.why.clone()),
        measured: (enough && !samples[index].is_empty()).then(|| measured(index, run, samples)),
    }
}

fn measured(index: usize, run: &ServerRun, samples: &[Vec<Sample>]) -> Measured {
    let mine = &samples[index];
    let messages: f64 = mine.iter().map(Sample::messages_f64).sum();
    let share = |part: std::time::Duration| {
        // Each part has tick resolution, so they rarely add up to the total, which is exact.
        let sum = run.cpu.user + run.cpu.system;
        let total = run.cpu.total.as_secs_f64();
        (!sum.is_zero()).then(|| total * part.as_secs_f64() / sum.as_secs_f64() / messages * 1e9)
    };
    let compared = |what| compare(samples, index, what);
    let cpu = Estimate::of(mine.iter().map(|sample| sample.cpu_per_message() * 1e9));
    Measured {
        rate: Estimate::of(mine.iter().map(Sample::rate)),
        cpu_ns: cpu,
        cpu_user_ns: share(run.cpu.user),
        cpu_system_ns: share(run.cpu.system),
        rate_ratio: compared(Sample::rate),
        cpu_ratio: compared(Sample::cpu_per_message),
        p99_ratio: compared(Sample::p99_seconds),
        load_cpu_ratio: load_cpu(&run.rounds),
        latency: run.latency.clone(),
        syscalls: run.syscalls.clone(),
        syscalls_why: run.syscalls_why.clone(),
        peak_rss_bytes: run.peak_rss_bytes,
        idle_share: run.idle_cpu,
        paused_between: run.paused,
        rounds: run.rounds.clone(),
    }
}

/// CPU time of the load divided by that of the server, in the same rounds.
fn load_cpu(rounds: &[Round]) -> Option<Estimate> {
    let ratios =
        rounds.iter().filter_map(|round| Some(round.load_cpu_seconds? / round.cpu_seconds));
    estimate(ratios)
}

/// A ratio and its significance against the noise. Without a control there is no noise estimate,
/// and so no ratio.
fn compare(samples: &[Vec<Sample>], index: usize, what: fn(&Sample) -> f64) -> Option<Ratio> {
    if index == REFERENCE {
        return None;
    }
    let (control, estimate) = (ratio(samples, CONTROL, what)?, ratio(samples, index, what)?);
    let rounds = |index: usize| samples[index].len().min(samples[REFERENCE].len());
    // Too few rounds give no interval.
    let enough = rounds(index).min(rounds(CONTROL)) >= ROUNDS_MIN;
    let verdict = if enough { estimate.verdict(&control) } else { Verdict::NoDifference };
    Some(Ratio { estimate, verdict })
}

/// The ratio over the rounds that both have: a failed server has only the rounds before its
/// failure.
fn ratio(samples: &[Vec<Sample>], index: usize, what: fn(&Sample) -> f64) -> Option<Estimate> {
    let (mine, reference) = (samples.get(index)?, samples.get(REFERENCE)?);
    let both = mine.len().min(reference.len());
    let ratios = mine[..both].iter().zip(&reference[..both]).map(|(a, b)| what(a) / what(b));
    estimate(ratios)
}

/// Skips slices without a finite ratio, such as those with no measurable CPU time.
fn estimate(ratios: impl Iterator<Item = f64>) -> Option<Estimate> {
    let ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect();
    (!ratios.is_empty()).then(|| Estimate::of(ratios))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interleave::Failure;

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
        let case = Case::by_name("ping").expect("a known case");
        let mut all: Vec<ServerRun> =
            (0..3).map(|index| run(index, 7, 1.0 + f64::from(index), 0.0, ROUNDS)).collect();
        all[1].rounds.clear();
        all[1].failure = Some(Failure { why: "it ended".to_owned(), status: Status::Failed });
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
            let case = Case::by_name("ping").expect("a known case");
            let mut all: Vec<ServerRun> =
                (0..3).map(|index| run(index, 3, 1.0, 0.02, ROUNDS)).collect();
            all[2].rounds.truncate(rounds);
            all[2].failure = Some(Failure { why: "it ended".to_owned(), status: Status::Failed });
            let found = super::analyze_case(&case, &all, 1.0);
            let two = &found.results[2];
            assert_eq!(two.measured.is_some(), is_measured, "{rounds} rounds");
            assert_eq!((two.status, two.why.as_deref()), (Status::Failed, Some("it ended")));
        }
    }

    fn simulate(costs: &[f64], noise: f64, rounds: usize) -> schema::Case {
        simulate_seeded(1, costs, noise, rounds)
    }

    fn simulate_seeded(seed: u64, costs: &[f64], noise: f64, rounds: usize) -> schema::Case {
        let case = Case::by_name("ping").expect("a known case");
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
                Round {
                    messages: 1000,
                    elapsed_seconds: seconds,
                    cpu_seconds: seconds,
                    p99_ns: 9,
                    lost: 0,
                    load_cpu_seconds: None,
                }
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
