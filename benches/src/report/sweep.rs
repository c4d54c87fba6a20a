//! The open loop: latency by offered load. The p99 of all servers in one chart, and each server
//! alone with the lag of the load generator.

use super::chart::{Axis, Chart, Mark, Panel, Series, Table};
use super::format;
use super::scale::Scale;
use super::view::View;
use crate::schema::{Curve, Knee, Step};
use crate::units;

/// Both charts of a result file; or the first of them, with the reason why there is none.
pub(super) fn charts(view: View<'_>) -> Vec<Chart<'_>> {
    let title = "Latency by offered load: p99, all servers";
    let without = |why: &str| vec![Chart::default().named("knee", title, "", Some(why))];
    let Some(knee) = &view.record.knee else {
        return without("No open loop was run: latency by offered load was not requested.");
    };
    let all = panel(knee, "99 % were no slower", true);
    if all.series.is_empty() {
        return without("An open loop was requested, and no server could be measured in it.");
    }
    let caption = format!(
        "{}. Latency counts from when a message was due. A ring marks the knee, the last rate before \
         two in a row whose p99 was above {}. A distance as between the A/A control and the \
         reference shows no difference.",
        format::capitalized(knee.what.trim_end_matches('.')),
        format::nanos(knee.bound_p99_ns)
    );
    let row = |curve: &Curve| [vec![curve.server.clone()], series(curve, true).cells].concat();
    let rows = knee.curves.iter().map(row).collect();
    // However many lines there are: each of them alone is the next chart.
    let all = Chart {
        table: Table::new(&["server", "knee", "how it ended"], rows),
        ..Chart::new(all).named("knee", title, caption, None::<&str>)
    };
    let each = Panel { shown: 1, ..panel(knee, "round trip", false) };
    let each = Chart {
        table: steps(knee),
        columns: 3,
        panels: each.split(view, false),
        ..Chart::default()
    };
    let caption = "Strong: p99. Thin: p50. Dashed: how late the generator itself sent, at p99; where \
                   this is not far below the latency, the generator is what was measured.";
    let title = "Latency by offered load: each server";
    vec![all, each.named("knee-servers", title, caption, None::<&str>)]
}

fn panel<'a>(knee: &'a Knee, title: &'static str, is_p99_only: bool) -> Panel<'a> {
    let steps = || knee.curves.iter().flat_map(|curve| &curve.steps);
    let offered = steps().map(|step| step.offered).filter(|it| *it > 0.0);
    let ends = offered.map(|it| (it, it)).reduce(|one, it| (one.0.min(it.0), one.1.max(it.1)));
    let (least, most) = ends.unwrap_or((1.0, 10.0));
    let times: Vec<u64> = if is_p99_only {
        steps().map(|it| it.p99_ns).chain([knee.bound_p99_ns]).collect()
    } else {
        steps().flat_map(|it| [it.p50_ns, it.p99_ns, it.sender_lag_p99_ns]).collect()
    };
    let x = Axis::new(Scale::log(least, most), "messages per second, offered", format::rate);
    let y = Scale::around(times.into_iter().map(|nanos| nanos as f64));
    let y = Axis::new(y, title, |nanos| format::round(&units::time(nanos)));
    let curves = knee.curves.iter().filter(|curve| !curve.steps.is_empty());
    let series = curves.map(|curve| series(curve, is_p99_only)).collect();
    Panel::new(&["", ""], x, Some(y), series)
}

fn series(curve: &Curve, is_p99_only: bool) -> Series<'_> {
    let line = |class, time: fn(&Step) -> u64, hovers| {
        let points = curve.steps.iter().map(|step| (step.offered, time(step) as f64));
        Mark::Line(class, points.collect(), hovers)
    };
    let hovers = curve.steps.iter().map(hover).collect();
    let mut marks = vec![line("line", |step| step.p99_ns, hovers)];
    let knee =
        curve.knee.and_then(|knee| curve.steps.iter().rfind(|step| step.offered <= knee * 1.001));
    if !is_p99_only {
        marks.push(line("late", |step| step.sender_lag_p99_ns, Vec::new()));
        marks.push(line("thin", |step| step.p50_ns, Vec::new()));
        marks.extend(knee.map(|step| Mark::Rule(step.offered)));
    }
    marks.extend(knee.map(|step| Mark::Ring(step.offered, step.p99_ns as f64)));
    let at = curve.knee.map_or("no knee".to_owned(), |at| format!("knee {}", format::rate(at)));
    let end = curve.why.clone().unwrap_or_else(|| "measured at every rate".to_owned());
    Series { server: &curve.server, class: "", cells: vec![at, end], marks }
}

/// `40k/s offered: p50 20 µs, p99 30 µs, sent late 5 µs, 40 % busy`.
fn hover(step: &Step) -> String {
    let [p50, p99, late] = [step.p50_ns, step.p99_ns, step.sender_lag_p99_ns].map(format::nanos);
    let (offered, busy) = (format::rate(step.offered), step.busy * 100.0);
    format!("{offered} offered: p50 {p50}, p99 {p99}, sent late {late}, {busy:.0} % busy")
}

fn steps(knee: &Knee) -> Table {
    let steps = knee.curves.iter().flat_map(|curve| curve.steps.iter().map(move |it| (curve, it)));
    let row = |(curve, step): (&Curve, &Step)| {
        vec![
            curve.server.clone(),
            format::rate(step.offered),
            format::rate(step.answered),
            format::nanos(step.p50_ns),
            format::nanos(step.p99_ns),
            format::nanos(step.sender_lag_p99_ns),
            format!("{:.0} %", step.busy * 100.0),
        ]
    };
    let head = ["server", "offered", "answered", "p50", "p99", "sent late, p99", "busy"];
    Table::new(&head, steps.map(row).collect())
}
