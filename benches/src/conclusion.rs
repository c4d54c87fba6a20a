//! Conclusion of a run in a few sentences, for the terminal, the page and Markdown alike. The
//! statistics are in the record.

use crate::analysis::ROUNDS_MIN;
use crate::schema::{Case, Kind, Measured, Noise, Origin, Ratio, ResultFile, Server, Status};
use crate::stats::Verdict;

/// If two copies of one server differ by more than this factor, the machine was too busy to
/// distinguish servers.
pub const NOISE_MAX: f64 = 1.25;

/// Maximum number of names in a list; the others are counted.
const NAMED_MAX: usize = 4;

/// Maximum number of servers described individually.
const SERVERS_MAX: usize = 4;

/// Whether a run has enough rounds for intervals, and so for statements about differences.
pub(crate) const fn has_verdicts(record: &ResultFile) -> bool {
    record.run.rounds >= ROUNDS_MIN
}

/// The conclusion as one paragraph.
pub fn of(record: &ResultFile) -> String {
    let mut sentences = Vec::new();
    if record.cases.iter().all(|case| case.results.iter().all(|it| it.measured.is_none())) {
        sentences.push("No case was measured.".to_owned());
    } else if !has_verdicts(record) {
        sentences.push(too_few(record));
    } else {
        if record.kind == Kind::Compare {
            let servers = described_servers(record);
            let shown = servers.iter().take(SERVERS_MAX);
            sentences.extend(shown.map(|server| of_server(record, server)));
        }
        sentences.extend(noise(record));
    }
    if record.kind == Kind::Models {
        sentences.extend(failures(record));
    }
    let failures = record.run.failures.len();
    if failures > 0 {
        let lines = if failures == 1 { "failure is" } else { "failures are" };
        sentences.push(format!("{failures} {lines} listed."));
    }
    sentences.join(" ")
}

/// Warnings that limit the validity of the figures, one line each.
pub(crate) fn warnings(record: &ResultFile) -> Vec<String> {
    let few = (!has_verdicts(record) && !record.cases.is_empty()).then(|| too_few(record));
    let noisy = record
        .cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.load.name, warning(case)?)));
    few.into_iter().chain(noisy).collect()
}

/// The warning for a case whose noise is too high for any conclusion.
pub fn warning(case: &Case) -> Option<String> {
    let Noise { rate, cpu } = case.noise?;
    let percent = |factor: f64| format!("{:.0} %", (factor - 1.0) * 100.0);
    let what = match (rate > NOISE_MAX, cpu > NOISE_MAX) {
        (false, false) => return None,
        (true, false) => format!("of the rate is {}", percent(rate)),
        (false, true) => format!("of the CPU time is {}", percent(cpu)),
        (true, true) => {
            format!("is {} of the rate, {} of the CPU time", percent(rate), percent(cpu))
        }
    };
    Some(format!(
        "the A/A noise {what}: too high for any conclusion; repeat the run while nothing else \
         runs here, or with more rounds"
    ))
}

fn too_few(record: &ResultFile) -> String {
    format!(
        "{} rounds are too few for an interval: at least {ROUNDS_MIN} are needed.",
        record.run.rounds
    )
}

/// The user's own servers, then the epollite models.
fn described_servers(record: &ResultFile) -> Vec<&Server> {
    let of = |origin| record.others().filter(move |it| it.origin == origin);
    of(Origin::Extra).chain(of(Origin::Model)).collect()
}

/// Cases grouped by the result for one figure.
#[derive(Debug, Default)]
struct Found<'a> {
    more: Vec<&'a str>,
    less: Vec<&'a str>,
    none: usize,
}

/// A figure with a ratio, and its noise.
type Figure = (fn(&Measured) -> Option<Ratio>, fn(&Noise) -> f64);

const CPU: Figure = (|it| it.cpu_ratio, |noise| noise.cpu);
const RATE: Figure = (|it| it.rate_ratio, |noise| noise.rate);

/// Groups the cases of a server; cases with too much noise are omitted.
fn found<'a>(record: &'a ResultFile, server: &str, (ratio, noise): Figure) -> Found<'a> {
    let mut found = Found::default();
    let is_calm = |case: &&Case| case.noise.as_ref().is_none_or(|it| noise(it) <= NOISE_MAX);
    for case in record.cases.iter().filter(is_calm) {
        let Some(ratio) = case.measured(server).and_then(ratio) else { continue };
        match ratio.verdict {
            Verdict::Higher => found.more.push(&case.load.name),
            Verdict::Lower => found.less.push(&case.load.name),
            Verdict::NoDifference => found.none += 1,
        }
    }
    found
}

fn of_server(record: &ResultFile, server: &Server) -> String {
    let (name, reference) = (&server.name, &record.reference);
    let cpu = found(record, name, CPU);
    let rate = found(record, name, RATE);
    let turned = Found { more: rate.less, less: rate.more, ..rate };
    let figures = [
        figure(&cpu, "less CPU per message", "more"),
        figure(&turned, "more messages per second", "fewer"),
    ];
    let figures: Vec<String> = figures.into_iter().flatten().collect();
    if figures.is_empty() {
        return format!("No comparison of {name} with {reference} is possible.");
    }
    format!("Against {reference}, {name} shows {}.", figures.join(", and "))
}

/// `less CPU per message in c64, more in ping (no difference in 3 cases)`.
fn figure(found: &Found<'_>, less: &str, more: &str) -> Option<String> {
    let Found { more: mores, less: lesses, none } = found;
    let what = less.split_once(' ').map_or("", |(_, what)| what);
    Some(match (lesses.is_empty(), mores.is_empty()) {
        (true, true) if *none == 0 => return None,
        (true, true) => format!("no difference in {what} in {}", cases(*none)),
        (false, true) => format!("{less} in {}{}", listed(lesses), rest(*none)),
        (true, false) => format!("{more} {what} in {}{}", listed(mores), rest(*none)),
        (false, false) => {
            format!("{less} in {}, {more} in {}{}", listed(lesses), listed(mores), rest(*none))
        }
    })
}

fn rest(none: usize) -> String {
    if none == 0 { String::new() } else { format!(" (no difference in {})", cases(none)) }
}

fn cases(count: usize) -> String {
    format!("{count} {}", if count == 1 { "case" } else { "cases" })
}

/// `a`, `a and b`, `a, b and c`, `a, b, c and 5 more`.
fn listed(names: &[&str]) -> String {
    let (shown, more) = names.split_at(names.len().min(NAMED_MAX));
    match (shown, more.len()) {
        ([one], 0) => (*one).to_owned(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

fn noise(record: &ResultFile) -> Option<String> {
    let noises = || record.cases.iter().filter_map(|case| Some((case, case.noise?)));
    let cpu = noises().max_by(|a, b| a.1.cpu.total_cmp(&b.1.cpu))?;
    let rate = noises().max_by(|a, b| a.1.rate.total_cmp(&b.1.rate))?;
    let percent = |factor: f64| (factor - 1.0) * 100.0;
    let noisy = record.cases.iter().filter(|case| warning(case).is_some()).count();
    let noisy = match noisy {
        0 => String::new(),
        noisy => format!("; in {} that is too much for any conclusion", cases(noisy)),
    };
    Some(format!(
        "Two copies of {} differed by up to {:.1} % in CPU per message ({}) and {:.1} % in rate \
         ({}): smaller differences are noise{noisy}.",
        record.reference,
        percent(cpu.1.cpu),
        cpu.0.load.name,
        percent(rate.1.rate),
        rate.0.load.name
    ))
}

/// How many models completed all connection counts, and which failed.
fn failures(record: &ResultFile) -> Option<String> {
    let most = record.cases.iter().map(|case| case.load.connections).max()?;
    let has_failed = |server: &&Server| {
        let mut outcomes = record.cases.iter().filter_map(|case| case.outcome(&server.name));
        outcomes.any(|it| it.status == Status::Failed)
    };
    let servers = record.servers.iter();
    let models =
        || servers.clone().filter(|it| it.origin == Origin::Model && it.name != record.reference);
    let failed: Vec<&str> = models().filter(has_failed).map(|it| it.name.as_str()).collect();
    let complete = models().count() - failed.len();
    let end =
        if failed.is_empty() { String::new() } else { format!("; {} failed", listed(&failed)) };
    Some(format!("{complete} of {} models served up to {most} connections{end}.", models().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_joined_with_and() {
        for (names, text) in [
            (&["a"][..], "a"),
            (&["a", "b"], "a and b"),
            (&["a", "b", "c"], "a, b and c"),
            (&["a", "b", "c", "d", "e", "f"], "a, b, c, d and 2 more"),
        ] {
            assert_eq!(listed(names), text);
        }
    }

    #[test]
    fn a_figure_shows_direction_and_cases() {
        let found = |less: &[&'static str], more: &[&'static str], none| Found {
            more: more.to_vec(),
            less: less.to_vec(),
            none,
        };
        for (found, text) in [
            (found(&[], &[], 3), "no difference in CPU per message in 3 cases"),
            (found(&["c64"], &[], 0), "less CPU per message in c64"),
            (found(&[], &["c64"], 1), "more CPU per message in c64 (no difference in 1 case)"),
            (
                found(&["c64"], &["ping", "p16"], 2),
                "less CPU per message in c64, more in ping and p16 (no difference in 2 cases)",
            ),
        ] {
            assert_eq!(figure(&found, "less CPU per message", "more").as_deref(), Some(text));
        }
        assert_eq!(figure(&found(&[], &[], 0), "less CPU per message", "more"), None);
    }
}
