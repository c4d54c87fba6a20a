//! Ratios to the reference in one case: intervals around 1, with the A/A noise of the case behind
//! them. Whether a ratio shows a difference is decided in the result file.

use super::chart::{Axis, Chart, Mark, Panel, Series, Table};
use super::format;
use super::scale::Scale;
use super::view::View;
use crate::conclusion;
use crate::schema::{Case, Measured, Outcome, Ratio, Status};
use crate::stats::Verdict;

/// Ratios further from 1 than this factor are arrows, so that one slow server does not compress all
/// others; an axis reaches at least as far as the other factor, so that noise stays small.
const AXIS_MAX: f64 = 3.0;
const AXIS_MIN: f64 = 1.12;

/// Labels of the axis; the first that have room are shown.
const TICKS: [f64; 14] = [1.0, 0.5, 2.0, 0.25, 4.0, 0.8, 1.25, 0.9, 1.1, 1.5, 0.7, 3.0, 0.95, 1.05];

/// A figure that has ratios: its name, the words for less and for more.
struct Figure(&'static str, [&'static str; 2], fn(&Measured) -> Option<Ratio>);

const FIGURES: [Figure; 3] = [
    Figure("Messages per second", ["← slower", "faster →"], |it| it.rate_ratio),
    Figure("CPU per message", ["← less", "more →"], |it| it.cpu_ratio),
    Figure("p99 of round trips", ["← shorter", "longer →"], |it| it.p99_ratio),
];

/// The chart of one case.
pub(super) fn chart<'a>(view: View<'a>, case: &'a Case) -> Chart<'a> {
    let record = view.record;
    let panels = FIGURES.map(|figure| panel(view, case, &figure)).to_vec();
    let missing = if case.noise.is_none() {
        Some("The A/A control failed in this case: without it there are no ratios.")
    } else if panels[0].series.is_empty() {
        Some("No server ran in this case.")
    } else {
        None
    };
    let reading = if conclusion::has_verdicts(record) {
        "an interval that touches the band, hollow and grey, shows no difference"
    } else {
        "with so few rounds nothing shows a difference, and all is hollow and grey"
    };
    let caption = format!(
        "Ratios to {}: the median of {} paired rounds and its {}. The grey band is what its own \
         second copy ({}) shows: {reading}.",
        record.reference,
        record.run.rounds,
        format::interval_name(record),
        record.control,
    );
    let title = format!("against {}", record.reference);
    let chart = Chart { columns: 3, table: Table::of_panels(&panels), panels, ..Chart::default() };
    chart.named("ratios", &title, caption, missing)
}

fn panel<'a>(view: View<'a>, case: &'a Case, figure: &Figure) -> Panel<'a> {
    let Figure(title, sides, _) = *figure;
    let ticks = TICKS.map(|tick| (tick, tick.to_string())).to_vec();
    let x = Axis { scale: scale(view, figure), ticks, sides };
    let ran = case.results.iter().filter(|it| it.status != Status::Skipped);
    let series = ran.map(|outcome| series(view, outcome, figure)).collect();
    let noise = noise(view, case, figure);
    Panel { title, noise, ..Panel::new(&[title, ""], x, None, series) }
}

fn series<'a>(view: View<'a>, outcome: &'a Outcome, figure: &Figure) -> Series<'a> {
    let Figure(_, [lower, higher], ratio) = figure;
    let server = outcome.server.as_str();
    let is_reference = server == view.record.reference;
    let ratio = outcome.measured.as_ref().and_then(ratio);
    let why = outcome.why.clone().unwrap_or_default();
    let (value, result, marks) = match ratio {
        Some(Ratio { estimate, verdict }) => {
            let (lower, higher) = (lower.trim_start_matches("← "), higher.trim_end_matches(" →"));
            let result = match outcome.status {
                Status::Failed => format!("of the rounds before it failed: {why}"),
                _ if server == view.record.control => "the noise".to_owned(),
                _ => view.difference(verdict, higher, lower),
            };
            let cross = if outcome.status == Status::Failed { " ×" } else { "" };
            let marks =
                vec![Mark::Whisker(estimate.low, estimate.high), Mark::Dot(estimate.median)];
            (format::interval(&estimate) + cross, result, marks)
        }
        None if is_reference => ("1".to_owned(), "the reference".to_owned(), vec![Mark::Dot(1.0)]),
        None => (format::status(outcome.status).to_owned(), why, Vec::new()),
    };
    let is_none = ratio.is_none_or(|ratio| ratio.verdict == Verdict::NoDifference);
    let class = if is_none && !is_reference { "none" } else { "shown" };
    Series { server, class, cells: vec![value, result], marks }
}

/// The same in all cases of a result file, so that they can be compared by eye.
fn scale(view: View<'_>, figure: &Figure) -> Scale {
    let (mut low, mut high) = (1.0 / AXIS_MIN, AXIS_MIN);
    for case in &view.record.cases {
        let noise = noise(view, case, figure).unwrap_or(1.0) * 1.05;
        (low, high) = (low.min(1.0 / noise), high.max(noise));
        for ratio in view.measured(case).iter().filter_map(|(_, it)| (figure.2)(it)) {
            low = low.min(ratio.estimate.low / 1.05);
            high = high.max(ratio.estimate.high * 1.05);
        }
    }
    Scale::log(low.max(1.0 / AXIS_MAX), high.min(AXIS_MAX))
}

/// The difference between the control and the reference.
fn noise(view: View<'_>, case: &Case, figure: &Figure) -> Option<f64> {
    case.noise?;
    let control = case.results.iter().find(|it| it.server == view.record.control)?;
    let noise = (figure.2)(control.measured.as_ref()?)?.estimate.noise_factor();
    noise.is_finite().then_some(noise)
}
