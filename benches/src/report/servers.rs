//! The charts of all cases together: the rate by connections, the open loop, memory and sizes.

use std::collections::BTreeMap;

use super::cases::TOGETHER_MAX;
use super::chart::{self, Chart, Mark, Panel, Series};
use super::format;
use super::scale::{Axis, Scale};
use super::view::View;
use crate::case::Transport;
use crate::schema::{Case, Curve, ResultFile, Server, Status, Step};
use crate::units;

/// The rate by the number of connections, and where each server fails.
pub(super) fn rates(view: View<'_>) -> Chart<'_> {
    let cases = cases(view);
    let servers = view.record.servers.iter();
    let series: Vec<Series<'_>> = servers.map(|it| rates_of(&it.name, &cases)).collect();
    let (_, rates) = chart::points(&series);
    let is_missing = cases.len() < 2 || rates.is_empty();
    let counts: Vec<f64> = cases.iter().map(|case| case.load.connections as f64).collect();
    let ticks = counts.iter().map(|&count| (count, format::amount(count))).collect();
    let head = counts.iter().map(|count| format!("at {count}")).collect();
    let x = Axis { scale: Scale::around(counts), ticks, sides: ["", "connections"] };
    let y = Axis::new(Scale::around(rates), "messages per second", format::rate);
    let is_split = series.len() > TOGETHER_MAX;
    let panel = Panel { head, ..Panel::new(&[], x, Some(y), series) };
    Chart { is_missing, is_split, ..Chart::new("rate-connections", vec![panel]) }
}

/// The TCP cases that differ only in the number of connections: those of the shape that most of
/// them have, by that number.
fn cases(view: View<'_>) -> Vec<&Case> {
    let mut shapes: BTreeMap<_, BTreeMap<usize, &Case>> = BTreeMap::new();
    let tcp = |case: &&Case| case.load.idle == 0 && case.load.transport == Transport::Tcp;
    for case in view.record.cases.iter().filter(tcp) {
        let shape = (case.load.churn, case.load.depth, case.load.size_bytes);
        shapes.entry(shape).or_default().entry(case.load.connections).or_insert(case);
    }
    // The simplest of those with the most cases.
    let most = shapes.into_values().rev().max_by_key(BTreeMap::len);
    most.map_or(Vec::new(), |most| most.into_values().collect())
}

fn rates_of<'a>(server: &'a str, cases: &[&'a Case]) -> Series<'a> {
    let (mut rates, mut points, mut hovers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cells, mut failed_at) = (Vec::new(), None);
    for case in cases {
        let at = case.load.connections as f64;
        let ran = case.outcome(server).filter(|it| it.status != Status::Skipped);
        let Some(outcome) = ran else {
            cells.push("–".to_owned());
            continue;
        };
        if let (Status::Complete, Some(it)) = (outcome.status, &outcome.measured) {
            let rate = it.rate;
            let [median, low, high] = [rate.median, rate.low, rate.high].map(format::amount);
            hovers.push(format!("{at} connections: {median}/s [{low}, {high}]"));
            cells.push(format!("{median}/s"));
            points.push((at, rate.median));
            rates.push((at, rate.low, rate.high));
        } else {
            let why = outcome.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            cells.push(format::status(outcome.status).to_owned() + &why);
            failed_at = failed_at.or(Some(at));
        }
    }
    let last = |at| points.last().copied().unwrap_or((at, 0.0));
    let failure = failed_at.map(|at| Mark::Failed(last(at), (at, last(at).1)));
    let is_drawn = !points.is_empty();
    let drawn = [Mark::Band(rates), Mark::Line("line", points, hovers)];
    let marks = drawn.into_iter().filter(|_| is_drawn).chain(failure).collect();
    Series { server, class: "", cells, marks }
}

/// The open loop, latency by offered load: the p99 of all servers in one chart however many they
/// are, and each server alone with the lag of the load generator.
pub(super) fn knees(view: View<'_>) -> Vec<Chart<'_>> {
    let curves = view.record.knee.as_ref().map_or(&[][..], |knee| &knee.curves);
    let all = Chart::new("knee", vec![knee_panel(curves, true)]);
    let panel = Panel { shown: 1, ..knee_panel(curves, false) };
    let each = Chart { is_split: true, ..Chart::new("knee-servers", vec![panel]) };
    if all.is_missing { vec![all] } else { vec![all, each] }
}

fn knee_panel(curves: &[Curve], is_p99_only: bool) -> Panel<'_> {
    let curves = curves.iter().filter(|curve| !curve.steps.is_empty());
    let series: Vec<_> = curves.map(|curve| knee_series(curve, is_p99_only)).collect();
    let (rates, times) = chart::points(&series);
    let x = Axis::new(Scale::around(rates), "messages per second, offered", format::rate);
    let title = if is_p99_only { "99 % were no slower" } else { "round trip" };
    let y = Axis::new(Scale::around(times), title, units::time);
    Panel::new(&["knee", ""], x, Some(y), series)
}

fn knee_series(curve: &Curve, is_p99_only: bool) -> Series<'_> {
    let line = |class, time: fn(&Step) -> u64, hovers| {
        let points = curve.steps.iter().map(|step| (step.offered, time(step) as f64));
        Mark::Line(class, points.collect(), hovers)
    };
    let hover = |step: &Step| {
        let [p50, p99, late] =
            [step.p50_ns, step.p99_ns, step.sender_lag_p99_ns].map(format::nanos);
        let (offered, busy) = (format::rate(step.offered), step.busy * 100.0);
        format!("{offered} offered: p50 {p50}, p99 {p99}, sent late {late}, {busy:.0} % busy")
    };
    let hovers = curve.steps.iter().map(hover).collect();
    let mut marks = vec![line("line", |step| step.p99_ns, hovers)];
    if !is_p99_only {
        marks.push(line("late", |step| step.sender_lag_p99_ns, Vec::new()));
        marks.push(line("thin", |step| step.p50_ns, Vec::new()));
    }
    let last = |knee| curve.steps.iter().rfind(|step| step.offered <= knee * 1.001);
    let knee = curve.knee.and_then(last);
    marks.extend(knee.map(|step| Mark::Ring(step.offered, step.p99_ns as f64)));
    let at = curve.knee.map_or("none".to_owned(), format::rate);
    let end = curve.why.clone().unwrap_or_else(|| "measured at every rate".to_owned());
    Series { server: &curve.server, class: "", cells: vec![at, end], marks }
}

/// A chart of a size of each server: its name, what the size is, and its format.
type Size = (&'static str, &'static str, fn(f64) -> String);
const SIZES: [Size; 4] = [
    ("memory-idle", "per connection", units::size),
    ("memory-peak", "peak", units::size),
    ("size-binary", "stripped", units::size),
    ("size-crates", "crates", format::amount),
];

/// A size of a server, and a note on it.
fn size(record: &ResultFile, server: &Server, name: &str) -> Option<(f64, String)> {
    let (size, note) = match name {
        "memory-idle" => {
            let idle = server.idle?;
            let empty = units::size(idle.empty_bytes as f64);
            let note = format!("{empty} without, {} connections", idle.connections);
            (idle.bytes_per_connection.max(0.0), note)
        }
        "memory-peak" => {
            let peaks = record.cases.iter().filter_map(|case| {
                Some((case.measured(&server.name)?.peak_rss_bytes?, &case.load.name))
            });
            let (bytes, case) = peaks.max_by_key(|peak| peak.0)?;
            (bytes as f64, format!("in {case}"))
        }
        "size-binary" => (server.binary_bytes? as f64, String::new()),
        _ => (server.crates? as f64, String::new()),
    };
    Some((size, note))
}

/// A dot for each server: the axes are logarithmic, so no bar could begin at 0.
pub(super) fn sizes(view: View<'_>) -> Vec<Chart<'_>> {
    let chart = |(name, head, show): Size| {
        let (mut sizes, mut series) = (Vec::new(), Vec::new());
        for server in &view.record.servers {
            let Some((size, note)) = size(view.record, server, name) else { continue };
            let class = if size > 0.0 { "" } else { "none" };
            let marks = vec![Mark::Across("guide", 0.0, size), Mark::Dot(size)];
            sizes.push(size);
            let cells = vec![show(size), note];
            series.push(Series { server: &server.name, class, cells, marks });
        }
        let x = Axis::new(Scale::around(sizes), "", show);
        Chart::new(name, vec![Panel::new(&[head, "note"], x, None, series)])
    };
    SIZES.map(chart).into()
}
