//! What a reader gets: the table for people and the JSON for programs. It measures nothing.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::contest::Outcome;
use crate::paired::{Estimate, Sample, Verdict};

/// The yardstick's place among the servers.
pub const REFERENCE: usize = 0;
/// The place of its copy, the A/A control.
pub const CONTROL: usize = 1;

/// Above this share of a core, a server that is asked nothing is called busy. A reactor's timers
/// and a runtime's housekeeping stay far below; whoever polls is far above.
const IDLE_SHARE_MAX: f64 = 0.02;

/// What one case shows about one server.
struct Finding {
    rate: Estimate,
    cpu: Estimate,
    rate_verdict: Verdict,
    cpu_verdict: Verdict,
}

/// The explanation that stands above the tables.
#[must_use]
pub fn legend(rounds: usize) -> String {
    format!(
        "Ratios to the reference: median of {rounds} paired rounds [95% interval].\n\
         CPU is the server's own time per message. High rate and low CPU are good; when both\n\
         cores are saturated, the CPU ratio is the one to read. A/A is a second copy of the\n\
         reference: what it shows is noise, and nothing tighter means anything.\n"
    )
}

/// The table of one case.
#[must_use]
pub fn table(outcome: &Outcome, names: &[String]) -> String {
    let width = names.iter().map(String::len).max().unwrap_or(0).max(6);
    let case = &outcome.case;
    let mut text = format!("\n{}: {}\n", case.name, case.what);
    let mut row = |cells: [&str; 6]| {
        let [name, rate, cpu, rate_ratio, cpu_ratio, verdict] = cells;
        let line = format!(
            "  {name:width$}  {rate:>11}  {cpu:>9}  {rate_ratio:<18}  {cpu_ratio:<18}  {verdict}"
        );
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    row(["server", "msg/s", "µs/msg", "rate ratio", "CPU ratio", "verdict"]);
    for (index, (name, samples)) in names.iter().zip(&outcome.samples).enumerate() {
        let rate = format!("{:.0}", Estimate::of(samples.iter().map(Sample::rate)).median);
        let cpu = Estimate::of(samples.iter().map(Sample::cpu_per_message)).median;
        let cpu = format!("{:.3}", cpu * 1e6);
        if index == REFERENCE {
            row([name, &rate, &cpu, "1", "1", "the yardstick"]);
            continue;
        }
        let finding = finding(outcome, index);
        let verdict = if index == CONTROL { "the noise".to_owned() } else { finding.verdict() };
        row([name, &rate, &cpu, &interval(&finding.rate), &interval(&finding.cpu), &verdict]);
    }
    for (name, share) in names.iter().zip(&outcome.idle_share) {
        if *share > IDLE_SHARE_MAX {
            let percent = share * 100.0;
            let warning =
                "while idle, on everybody's core: the figures above are not to be trusted";
            let _ = writeln!(text, "  ! {name} used {percent:.0}% CPU {warning}");
        }
    }
    text
}

/// Everything that was measured, round by round, so that others may count again.
#[must_use]
pub fn json(outcomes: &[Outcome], names: &[String]) -> Value {
    let cases: Vec<Value> = outcomes.iter().map(|outcome| case_json(outcome, names)).collect();
    json!({ "reference": names[REFERENCE], "control": names[CONTROL], "cases": cases })
}

fn case_json(outcome: &Outcome, names: &[String]) -> Value {
    let case = &outcome.case;
    let servers: Vec<Value> = (0..names.len())
        .map(|index| {
            let samples = &outcome.samples[index];
            let Finding { rate, cpu, rate_verdict, cpu_verdict } = finding(outcome, index);
            json!({
                "name": names[index],
                "rate_ratio": estimate_json(&rate),
                "cpu_ratio": estimate_json(&cpu),
                "rate_verdict": rate_verdict.word("higher", "lower"),
                "cpu_verdict": cpu_verdict.word("more", "less"),
                "idle_share": outcome.idle_share[index],
                "rounds": samples.iter().map(|sample| json!({
                    "messages": sample.messages,
                    "elapsed_seconds": sample.elapsed.as_secs_f64(),
                    "cpu_seconds": sample.cpu.as_secs_f64(),
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "name": case.name,
        "connections": case.connections,
        "depth": case.depth,
        "size_bytes": case.size_bytes,
        "churn": case.churn,
        "wall_seconds": outcome.wall.as_secs_f64(),
        "servers": servers,
    })
}

fn finding(outcome: &Outcome, index: usize) -> Finding {
    let ratio = |index: usize, what| {
        Estimate::of_ratios(&outcome.samples[index], &outcome.samples[REFERENCE], what)
    };
    let (rate, cpu) = (ratio(index, Sample::rate), ratio(index, Sample::cpu_per_message));
    Finding {
        rate_verdict: rate.against(&ratio(CONTROL, Sample::rate)),
        cpu_verdict: cpu.against(&ratio(CONTROL, Sample::cpu_per_message)),
        rate,
        cpu,
    }
}

impl Finding {
    fn verdict(&self) -> String {
        let rate = self.rate_verdict.word("faster", "slower");
        let cpu = self.cpu_verdict.word("more CPU", "less CPU");
        match (self.rate_verdict, self.cpu_verdict) {
            (_, Verdict::NoDifference) => rate.to_owned(),
            (Verdict::NoDifference, _) => cpu.to_owned(),
            _ => format!("{rate}, {cpu}"),
        }
    }
}

impl Verdict {
    fn word(self, higher: &'static str, lower: &'static str) -> &'static str {
        match self {
            Self::Higher => higher,
            Self::Lower => lower,
            Self::NoDifference => "no difference shown",
        }
    }
}

fn interval(estimate: &Estimate) -> String {
    format!("{:.2} [{:.2}, {:.2}]", estimate.median, estimate.low, estimate.high)
}

fn estimate_json(estimate: &Estimate) -> Value {
    json!({ "median": estimate.median, "low": estimate.low, "high": estimate.high })
}
