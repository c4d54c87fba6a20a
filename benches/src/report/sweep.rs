//! The open loop: latency by what was offered. All servers' tails in one plot, and each server by
//! itself with how late the generator was.

use super::chart::{self, Axis, Line};
use super::labels;
use super::plot::{Pictures, Plot, TEXT, Table, Width};
use super::scale::{self, Scale};
use super::svg::{Anchor, Canvas, Picture};
use super::view::{self, RecordView, count, number};
use crate::schema::{Curve, Knee, Step};
use crate::units;

const NOT_ASKED: &str = "No open loop was run: latency against offered load was not asked for.";
const NOTHING: &str = "An open loop was asked for, and nobody could be measured in it.";

/// Those that have something to show.
fn curves(knee: &Knee) -> Vec<&Curve> {
    knee.curves.iter().filter(|curve| !curve.steps.is_empty()).collect()
}

/// Both plots of a record; or the first of them, which says why there is none.
pub(super) fn plots(view: RecordView<'_>) -> Vec<Plot> {
    let asked = view.record.knee.as_ref();
    let drawn = |draw: fn(RecordView<'_>, &Knee, Width) -> Picture| match asked {
        None => Err(NOT_ASKED.to_owned()),
        Some(knee) if curves(knee).is_empty() => Err(NOTHING.to_owned()),
        Some(knee) => Ok(Pictures::wide(|room| draw(view, knee, room))),
    };
    let what = asked.map_or(String::new(), |knee| description(&knee.what));
    let bound = asked.map_or(String::new(), |knee| units::time(number(knee.bound_p99_ns)));
    let all = Plot {
        name: "knee".to_owned(),
        title: "Latency by offered load: p99, all servers".to_owned(),
        caption: format!(
            "{what}Latency counts from when a message was meant to leave. A ring marks \
             the knee, the last rate before two in a row whose p99 was above {bound}; as far as the \
             A/A control is from the reference, no difference is shown."
        ),
        drawn: drawn(draw_all),
        table: asked.map(table_all).unwrap_or_default(),
    };
    let each = Plot {
        name: "knee-servers".to_owned(),
        title: "Latency by offered load: each server".to_owned(),
        caption:
            "Strong: p99. Thin: p50. Dashed: how late the generator itself sent, at p99; where \
               this is not far below the latency, the generator is what was measured."
                .to_owned(),
        drawn: drawn(draw_each),
        table: asked.map(table_each).unwrap_or_default(),
    };
    if all.drawn.is_ok() { vec![all, each] } else { vec![all] }
}

/// What was asked, as a sentence before others.
fn description(what: &str) -> String {
    let mut letters = what.trim_end_matches('.').chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}. ", letters.as_str())
}

fn table_all(knee: &Knee) -> Table {
    let mut table = Table::new(&["server", "knee", "how it ended"]);
    for curve in &knee.curves {
        let at = curve.knee.map_or("none".to_owned(), |at| view::format_amount(at) + "/s");
        let why = curve.why.clone().unwrap_or_else(|| "asked to the end".to_owned());
        table.rows.push(vec![curve.server.clone(), at, why]);
    }
    table
}

fn table_each(knee: &Knee) -> Table {
    let head = ["server", "offered", "answered", "p50", "p99", "sent late, p99", "busy"];
    let mut table = Table::new(&head);
    for curve in &knee.curves {
        for step in &curve.steps {
            table.rows.push(vec![
                curve.server.clone(),
                view::format_amount(step.offered) + "/s",
                view::format_amount(step.answered) + "/s",
                units::time(number(step.p50_ns)),
                units::time(number(step.p99_ns)),
                units::time(number(step.sender_lag_p99_ns)),
                format!("{:.0} %", step.busy * 100.0),
            ]);
        }
    }
    table
}

/// The rates that were offered, and the times that were seen, as spans.
fn spans(knee: &Knee) -> ((f64, f64), (f64, f64)) {
    let steps = || knee.curves.iter().flat_map(|curve| &curve.steps);
    let offered = || steps().map(|step| step.offered).filter(|it| *it > 0.0);
    let least = offered().fold(f64::INFINITY, f64::min);
    let most = scale::max(offered());
    let across = if most > 0.0 { (least, most) } else { (1.0, 10.0) };
    let times = steps().flat_map(|it| [it.p50_ns, it.p99_ns, it.sender_lag_p99_ns]).map(number);
    (across, scale::extent(times).unwrap_or((1.0, 10.0)))
}

/// The step that is the knee.
fn ring(curve: &Curve) -> Option<&Step> {
    let knee = curve.knee?;
    curve.steps.iter().rfind(|step| step.offered <= knee * 1.001)
}

fn draw_all(view: RecordView<'_>, knee: &Knee, room: Width) -> Picture {
    let curves = curves(knee);
    let (offered, _) = spans(knee);
    let tails = || curves.iter().flat_map(|curve| &curve.steps).map(|step| number(step.p99_ns));
    let bound = std::iter::once(number(knee.bound_p99_ns));
    let times = scale::extent(tails().chain(bound)).unwrap_or((1.0, 10.0));
    let frame = chart::frame(room, curves.iter().map(|curve| curve.server.as_str()));
    let x = Scale::log(offered, frame.left + 8.0, frame.right - 8.0);
    let y = Scale::log(times, frame.bottom, frame.top);
    let below =
        x.ticks().into_iter().map(|tick| (tick, view::format_amount(tick) + "/s")).collect();
    let beside = y.ticks().into_iter().map(|tick| (tick, view::tick_time(tick))).collect();
    let across = Axis { scale: x, ticks: below, title: "messages a second, offered" };
    let up = Axis { scale: y, ticks: beside, title: "99 % were no slower" };
    let lines = curves.iter().map(|curve| Line {
        server: &curve.server,
        points: curve.steps.iter().map(|step| (step.offered, number(step.p99_ns))).collect(),
        tooltips: curve.steps.iter().map(tooltip).collect(),
        ring: ring(curve).map(|step| (step.offered, number(step.p99_ns))),
        title: match curve.knee {
            Some(at) => format!("{}: the knee is at {}/s", curve.server, view::format_amount(at)),
            None => format!("{}: no rate stayed within the bound", curve.server),
        },
        ..Line::default()
    });
    // Each by itself is the next plot.
    chart::together(view, &frame, &across, &up, &lines.collect::<Vec<_>>())
}

/// What is said of a step.
fn tooltip(step: &Step) -> String {
    let [p50, p99, late] =
        [step.p50_ns, step.p99_ns, step.sender_lag_p99_ns].map(|it| units::time(number(it)));
    let (offered, busy) = (view::format_amount(step.offered), step.busy * 100.0);
    format!("{offered}/s offered: p50 {p50}, p99 {p99}, sent late {late}, {busy:.0} % busy")
}

/// One small plot: room for its name above and for its axis below.
const HEAD: f64 = 34.0;
const BODY: f64 = 120.0;
const FOOT: f64 = 38.0;

/// The figures beside a small plot.
const BESIDE: f64 = 50.0;

fn draw_each(view: RecordView<'_>, knee: &Knee, room: Width) -> Picture {
    let curves = curves(knee);
    let columns = if room == Width::Narrow { 1 } else { 3 };
    let gap = 24.0;
    let each = (room.width() - gap * count(columns - 1)) / count(columns);
    let mut canvas = Canvas::default();
    for (index, curve) in curves.iter().enumerate() {
        let left = count(index % columns) * (each + gap);
        let top = count(index / columns) * (HEAD + BODY + FOOT);
        draw_one(&mut canvas, view, knee, curve, (left, left + each, top + HEAD));
    }
    let height = count(curves.len().div_ceil(columns)) * (HEAD + BODY + FOOT);
    Picture::new(room.width(), height, canvas)
}

fn draw_one(
    canvas: &mut Canvas,
    view: RecordView<'_>,
    knee: &Knee,
    curve: &Curve,
    (left, right, top): (f64, f64, f64),
) {
    let (offered, times) = spans(knee);
    let (start, bottom) = (left + BESIDE, top + BODY);
    let x = Scale::log(offered, start + 6.0, right - 6.0);
    let y = Scale::log(times, bottom, top);
    grid(canvas, &x, &y, (start, right), bottom);
    let course = |figure: fn(&Step) -> u64| -> Vec<(f64, f64)> {
        curve
            .steps
            .iter()
            .map(|step| (x.to_px(step.offered), y.to_px(number(figure(step)))))
            .collect()
    };
    view.open(canvas, "series alone", &curve.server);
    let why = curve.why.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    let at =
        curve.knee.map_or("no knee".to_owned(), |at| format!("knee {}/s", view::format_amount(at)));
    canvas.title(&format!("{}: {at}{why}", curve.server));
    if let Some(step) = ring(curve) {
        let place = x.to_px(step.offered);
        canvas.line("knee", (place, top), (place, bottom));
        canvas.dot("ring", (place, y.to_px(number(step.p99_ns))), 5.0);
    }
    let says: Vec<String> = curve.steps.iter().map(tooltip).collect();
    canvas.hover_points(&course(|step| step.p99_ns), &says);
    canvas.path("late", &course(|step| step.sender_lag_p99_ns));
    canvas.path("thin", &course(|step| step.p50_ns));
    canvas.path("line solid", &course(|step| step.p99_ns));
    let room = right - left - labels::width(&at, TEXT) - 8.0;
    let name = labels::truncate(&curve.server, TEXT, room);
    canvas.text("label strong", (left, top - 16.0), Anchor::Start, &name);
    canvas.text("value", (right, top - 16.0), Anchor::End, &at);
    canvas.close();
}

fn grid(canvas: &mut Canvas, x: &Scale, y: &Scale, (left, right): (f64, f64), bottom: f64) {
    let ticks = y.ticks();
    let every = ticks.len().div_ceil(5).max(1);
    for tick in ticks.into_iter().step_by(every) {
        canvas.line("grid", (left, y.to_px(tick)), (right, y.to_px(tick)));
        let place = (left - 7.0, y.to_px(tick) + 4.0);
        canvas.text("tick", place, Anchor::End, &view::tick_time(tick));
    }
    canvas.line("axis", (left, bottom), (right, bottom));
    let mut free = f64::NEG_INFINITY;
    for tick in x.ticks() {
        let text = view::format_amount(tick) + "/s";
        let (place, half) = (x.to_px(tick), labels::width(&text, TEXT) / 2.0);
        canvas.line("axis", (place, bottom), (place, bottom + 4.0));
        if place - half > free && place + half < right + 14.0 {
            canvas.text("tick", (place, bottom + 16.0), Anchor::Middle, &text);
            free = place + half + 4.0;
        }
    }
}
