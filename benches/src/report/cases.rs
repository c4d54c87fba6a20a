//! The charts of one case: ratios to the reference, latency by percentile, and what a message costs
//! in CPU time and system calls.

use std::collections::HashMap;

use super::chart::{self, Chart, Mark, Panel, Series};
use super::format;
use super::scale::{self, Axis, Scale};
use super::view::View;
use crate::conclusion;
use crate::schema::{Calls, Case, Latency, Measured, Outcome, Ratio, Status, Syscalls};
use crate::stats::Verdict;
use crate::units;

/// Ratios further from 1 than this factor are arrows, so that one slow server does not compress all
/// others. Every axis reaches as far, so that all cases can be compared by eye.
const AXIS: f64 = 2.5;

/// Labels of an axis of ratios; the first that have room are shown.
const RATIOS: [f64; 14] =
    [1.0, 0.5, 2.0, 0.25, 4.0, 0.8, 1.25, 0.9, 1.1, 1.5, 0.7, 3.0, 0.95, 1.05];

/// A figure that has ratios: its name, the words for less and for more.
struct Figure(&'static str, [&'static str; 2], fn(&Measured) -> Option<Ratio>);

const FIGURES: [Figure; 3] = [
    Figure("Messages per second", ["← slower", "faster →"], |it| it.rate_ratio),
    Figure("CPU per message", ["← less", "more →"], |it| it.cpu_ratio),
    Figure("p99 of round trips", ["← shorter", "longer →"], |it| it.p99_ratio),
];

/// Labels of an axis of percentiles: one message in so many is slower. The last is the rarest that
/// is drawn; the fastest messages are not drawn, because the tail is what matters.
const RARE: [f64; 8] = [2.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7];
const FASTEST: f64 = 0.1;

/// More lines than these cannot be told apart in one panel.
pub(super) const TOGETHER_MAX: usize = 8;

/// Kinds of system calls that have a colour in `plot.css`; the others are grey together.
const KINDS: usize = 9;
const REST: &str = "kind-rest";

/// What the ratio of the reference shows.
const REFERENCE: &str = "the reference";

/// Intervals around 1, with the A/A noise of the case behind them. Whether a ratio shows a
/// difference is decided in the result file.
pub(super) fn ratios<'a>(view: View<'a>, case: &'a Case) -> Chart<'a> {
    let panel = |figure: &Figure| {
        let ticks = RATIOS.map(|tick| (tick, tick.to_string())).to_vec();
        let x = Axis { scale: Scale::log(1.0 / AXIS, AXIS), ticks, sides: figure.1 };
        let ran = case.results.iter().filter(|it| it.status != Status::Skipped);
        let series = ran.map(|outcome| ratio(view, outcome, figure)).collect();
        let noise = ratio_noise(view, case, figure);
        Panel { title: figure.0, noise, ..Panel::new(&[figure.0, ""], x, None, series) }
    };
    let chart = Chart::new("ratios", FIGURES.iter().map(panel).collect());
    Chart { is_missing: chart.is_missing || case.noise.is_none(), ..chart }
}

fn ratio<'a>(view: View<'a>, outcome: &'a Outcome, figure: &Figure) -> Series<'a> {
    let server = outcome.server.as_str();
    let ratio = outcome.measured.as_ref().and_then(figure.2);
    let result = result(view, server, ratio, figure);
    let why = outcome.why.clone().unwrap_or_default();
    let (value, result, marks) = match ratio {
        Some(Ratio { estimate: it, .. }) => {
            let [median, low, high] = [it.median, it.low, it.high].map(format::factor);
            let (cross, result) = match outcome.status {
                Status::Failed => (" ×", format!("of the rounds before it failed: {why}")),
                _ => ("", result.to_owned()),
            };
            let marks = vec![Mark::Across("whisker", it.low, it.high), Mark::Dot(it.median)];
            (format!("{median} [{low}, {high}]{cross}"), result, marks)
        }
        None if result == REFERENCE => ("1".to_owned(), result.to_owned(), vec![Mark::Dot(1.0)]),
        None => (format::status(outcome.status).to_owned(), why, Vec::new()),
    };
    let is_none = ratio.is_none_or(|ratio| ratio.verdict == Verdict::NoDifference);
    let class = if is_none && result != REFERENCE { "none" } else { "" };
    Series { server, class, cells: vec![value, result], marks }
}

/// What a ratio shows, in the words of its figure without their arrows.
fn result(view: View<'_>, server: &str, ratio: Option<Ratio>, figure: &Figure) -> &'static str {
    match ratio.map(|it| it.verdict) {
        _ if server == view.record.reference => REFERENCE,
        _ if server == view.record.control => "the noise",
        None => "no ratio",
        _ if !conclusion::has_verdicts(view.record) => "too few rounds",
        Some(Verdict::Lower) => figure.1[0].trim_start_matches("← "),
        Some(Verdict::Higher) => figure.1[1].trim_end_matches(" →"),
        Some(Verdict::NoDifference) => "no difference shown",
    }
}

/// The difference between the control and the reference.
fn ratio_noise(view: View<'_>, case: &Case, figure: &Figure) -> Option<f64> {
    case.noise?;
    let control = case.measured(&view.record.control)?;
    let noise = (figure.2)(control)?.estimate.noise_factor();
    noise.is_finite().then_some(noise)
}

/// Round-trip times by percentile, both axes logarithmic: the further right, the rarer.
pub(super) fn latency<'a>(view: View<'a>, case: &'a Case) -> Chart<'a> {
    let timed = view.measured(case).into_iter().filter_map(|(server, it)| {
        let latency = it.latency.as_ref().filter(|it| it.count > 0)?;
        Some(percentiles(server, latency))
    });
    let series: Vec<Series<'_>> = timed.collect();
    let (rare, times) = chart::points(&series);
    let rarest = scale::max(rare).max(10.0);
    let ticks = RARE.map(|rare| (rare, format!("{} %", 100.0 - 100.0 / rare))).to_vec();
    let sides = ["", "of messages, no slower than"];
    let x = Axis { scale: Scale::log(1.0, rarest), ticks, sides };
    let y = Axis::new(Scale::around(times), "round trip", units::time);
    let is_split = series.len() > TOGETHER_MAX;
    let panel = Panel::new(&["50 %", "90 %", "99 %", "99.9 %", "slowest"], x, Some(y), series);
    Chart { is_split, ..Chart::new("latency", vec![panel]) }
}

fn percentiles<'a>(server: &'a str, latency: &Latency) -> Series<'a> {
    let Latency { p50_ns, p90_ns, p99_ns, p999_ns, max_ns, .. } = *latency;
    let known = [(0.5, p50_ns), (0.9, p90_ns), (0.99, p99_ns), (0.999, p999_ns), (1.0, max_ns)];
    let curve = if latency.curve.len() > 1 { &latency.curve[..] } else { &known[..] };
    let all = (latency.count as f64).clamp(2.0, RARE[RARE.len() - 1]);
    let shown = curve.iter().filter(|(part, _)| *part >= FASTEST);
    let (points, hovers) = shown
        .map(|&(part, nanos)| {
            let percent = format!("{:.5}", part * 100.0);
            let percent = percent.trim_end_matches('0').trim_end_matches('.');
            let percent = if part < 1.0 { format!("{percent} %") } else { "slowest".to_owned() };
            // For 99 % one message in 100 is slower; the slowest is one of all.
            let rare = (1.0 / (1.0 - part.clamp(0.0, 1.0))).min(all);
            ((rare, nanos as f64), format!("{percent}: {}", format::nanos(nanos)))
        })
        .unzip();
    let cells = known.map(|(_, nanos)| format::nanos(nanos)).to_vec();
    Series { server, class: "", cells, marks: vec![Mark::Line("line", points, hovers)] }
}

/// CPU time per message by user and system.
pub(super) fn cpu<'a>(view: View<'a>, case: &'a Case) -> Chart<'a> {
    let measured = view.measured(case);
    let ends = measured.iter().flat_map(|(_, it)| {
        let parts = it.cpu_user_ns.unwrap_or(0.0) + it.cpu_system_ns.unwrap_or(0.0);
        [it.cpu_ns.median * 1.1, parts]
    });
    let x = Axis::new(Scale::linear(ends), "", units::time);
    let series = measured.iter().map(|&(server, it)| cpu_bar(view, server, it)).collect();
    let head = ["CPU", "", format::interval_name(view.record), "user", "system"];
    Chart::new("cpu", vec![Panel { shown: 2, ..Panel::new(&head, x, None, series) }])
}

fn cpu_bar<'a>(view: View<'a>, server: &'a str, measured: &Measured) -> Series<'a> {
    let cpu = &measured.cpu_ns;
    let verdict = result(view, server, measured.cpu_ratio, &FIGURES[1]);
    // As much as has room beside a bar.
    let result = match measured.cpu_ratio {
        Some(ratio) if ["more", "less"].contains(&verdict) => {
            format!("{verdict}, ×{}", format::factor(ratio.estimate.median))
        }
        _ => verdict.trim_end_matches(" shown").to_owned(),
    };
    let bar = |class: &str, from, to| Mark::Bar(class.to_owned(), from, to, None);
    let mut marks = match (measured.cpu_user_ns, measured.cpu_system_ns) {
        (Some(user), Some(system)) => {
            vec![bar("user", 0.0, user), bar("system", user, user + system)]
        }
        _ => vec![bar("unknown", 0.0, cpu.median)],
    };
    marks.push(Mark::Across("whisker", cpu.low, cpu.high));
    let part = |part: Option<f64>| part.map_or("not known".to_owned(), units::time);
    let [median, low, high] = [cpu.median, cpu.low, cpu.high].map(units::time);
    let [user, system] = [measured.cpu_user_ns, measured.cpu_system_ns].map(part);
    let cells = vec![median, result, format!("{low} to {high}"), user, system];
    let is_none = measured.cpu_ratio.is_some_and(|it| it.verdict == Verdict::NoDifference);
    Series { server, class: if is_none { "bars none" } else { "bars" }, cells, marks }
}

/// System calls per message by name.
pub(super) fn syscalls<'a>(view: View<'a>, case: &'a Case) -> Chart<'a> {
    let measured = view.measured(case);
    let kinds = kinds(view);
    let series = measured.iter().filter_map(|&(server, it)| {
        let (cells, marks) = match (&it.syscalls, &it.syscalls_why) {
            (Some(calls), _) => {
                let count = |it: &Calls| format!("{} {:.3}", it.name, it.per_message);
                let by_name = calls.kinds.iter().map(count).collect::<Vec<_>>().join(", ");
                (vec![format!("{:.3}", calls.per_message), by_name], bars(server, calls, &kinds))
            }
            (None, Some(why)) => (vec!["–".to_owned(), format!("not counted: {why}")], Vec::new()),
            (None, None) => return None,
        };
        Some(Series { server, class: "calls", cells, marks })
    });
    let counts = measured.iter().filter_map(|(_, it)| Some(it.syscalls.as_ref()?.per_message));
    let x = Axis::new(Scale::linear(counts), "", format::amount);
    let panel = Panel::new(&["calls per message", "by name"], x, None, series.collect());
    let is_missing = measured.iter().all(|(_, it)| it.syscalls.is_none());
    Chart { is_missing, ..Chart::new("syscalls", vec![panel]) }
}

/// The most frequent kinds of system calls in a result file, each with its class.
fn kinds(view: View<'_>) -> Vec<(String, &str)> {
    let mut sums: HashMap<&str, f64> = HashMap::new();
    let cases = view.record.cases.iter();
    let all = cases.flat_map(|case| view.measured(case)).filter_map(|(_, it)| it.syscalls.as_ref());
    for call in all.flat_map(|calls| &calls.kinds).filter(|call| call.name != "other") {
        *sums.entry(&call.name).or_default() += call.per_message;
    }
    let mut kinds: Vec<(&str, f64)> = sums.into_iter().collect();
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    let kinds = kinds.into_iter().take(KINDS).enumerate();
    kinds.map(|(index, (name, _))| (format!("kind-{index}"), name)).collect()
}

/// The parts of a bar: the kinds in their order, the others together.
fn bars(server: &str, calls: &Syscalls, kinds: &[(String, &str)]) -> Vec<Mark> {
    let by_name = kinds.iter().map(|(class, name)| {
        let same = calls.kinds.iter().filter(|call| call.name == *name);
        (class.as_str(), *name, same.map(|call| call.per_message).sum::<f64>())
    });
    let mut parts: Vec<_> = by_name.filter(|part| part.2 > 0.0).collect();
    let rest = calls.per_message - parts.iter().map(|part| part.2).sum::<f64>();
    if rest > 0.0005 {
        parts.push((REST, if calls.kinds.is_empty() { "not by name" } else { "other" }, rest));
    }
    let mut end = 0.0;
    let bar = |(class, name, count): (&str, &str, f64)| {
        let words = [name.to_owned(), format!("{server}: {name} {count:.3} per message")];
        end += count;
        Mark::Bar(class.to_owned(), end - count, end, Some(words))
    };
    parts.into_iter().map(bar).collect()
}
