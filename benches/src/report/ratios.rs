//! The heart of the page: who differs from the reference, as intervals around 1 with the noise of
//! the same case behind them. It judges nothing; the verdicts are in the record.

use super::labels;
use super::plot::{Pictures, Plot, ROW, TEXT, Table, Width, slug};
use super::scale::Scale;
use super::svg::{Anchor, Canvas, Picture};
use super::view::{self, RecordView, count};
use crate::schema::{Case, Measured, Outcome, Ratio, Status};
use crate::stats::Verdict;

/// Further from 1 than this factor is beside the sheet: an arrow points there, and the figure
/// stands beside it. One slow server must not squeeze all others together.
const AXIS_MAX: f64 = 3.0;

/// An axis is at least this wide to both sides of 1, or noise would look like news.
const AXIS_MIN: f64 = 1.12;

/// One figure of which there are ratios.
#[derive(Debug, Clone, Copy)]
struct Panel {
    title: &'static str,
    lower: &'static str,
    higher: &'static str,
    ratio: fn(&Measured) -> Option<Ratio>,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "Messages a second",
        lower: "slower",
        higher: "faster",
        ratio: |it| it.rate_ratio,
    },
    Panel { title: "CPU a message", lower: "less", higher: "more", ratio: |it| it.cpu_ratio },
    Panel {
        title: "p99 of round trips",
        lower: "shorter",
        higher: "longer",
        ratio: |it| it.p99_ratio,
    },
];

/// The plot of one case.
pub(super) fn plot(view: RecordView<'_>, case: &Case) -> Plot {
    let drawn = if case.noise.is_none() {
        Err("The A/A control failed in this case: without it there are no ratios and no verdicts."
            .to_owned())
    } else if rows(case).is_empty() {
        Err("Nobody was asked in this case, so there is nothing to compare.".to_owned())
    } else {
        Ok(Pictures::wide(|room| draw(view, case, room)))
    };
    Plot {
        name: format!("ratios-{}", slug(&case.name)),
        title: format!("{}: against {}", case.name, view.record.reference),
        caption: format!(
            "Ratios to {}: the median of {} paired rounds and its {}. The grey band is what its own \
             second copy ({}) shows: {}.",
            view.record.reference,
            view.record.run.rounds,
            view.interval_name(),
            view.record.control,
            if crate::conclusion::has_verdicts(view.record) {
                "an interval that touches the band, hollow and grey, shows no difference"
            } else {
                "with so few rounds nothing shows a difference, and all is hollow and grey"
            }
        ),
        drawn,
        table: table(view, case),
    }
}

/// Those who were asked.
fn rows(case: &Case) -> Vec<&Outcome> {
    case.results.iter().filter(|it| it.status != Status::Skipped).collect()
}

fn table(view: RecordView<'_>, case: &Case) -> Table {
    let mut table = Table::new(&["server", "rate", "", "CPU", "", "p99", ""]);
    for outcome in rows(case) {
        let mut row = vec![outcome.server.clone()];
        for panel in PANELS {
            let ratio = outcome.measured.as_ref().and_then(panel.ratio);
            let said = match ratio {
                Some(_) if view.is_control(&outcome.server) => "the noise".to_owned(),
                Some(ratio) => view.verdict(ratio.verdict, panel.higher, panel.lower),
                None if view.is_reference(&outcome.server) => "the reference".to_owned(),
                None => view::status(outcome.status).to_owned(),
            };
            row.push(ratio.map_or("–".to_owned(), |ratio| view::interval(&ratio.estimate)));
            row.push(said);
        }
        table.rows.push(row);
    }
    table
}

/// Where things are from left to right, in one panel.
#[derive(Debug, Clone, Copy)]
struct Columns {
    /// Names, if this panel has its own.
    names: Option<f64>,
    track: (f64, f64),
    value: f64,
}

/// Letters of a value: `0.98 [0.95, 1.02]`.
const VALUE: f64 = 112.0;

fn draw(view: RecordView<'_>, case: &Case, room: Width) -> Picture {
    let rows = rows(case);
    let mut canvas = Canvas::default();
    let names = rows.iter().map(|row| row.server.as_str());
    let height = HEAD + ROW * count(rows.len()) + FOOT;
    if room == Width::Narrow {
        let left = view::names_width(names, 98.0);
        let width = room.width();
        let columns = Columns { names: Some(left), track: (left, width - VALUE), value: width };
        for (panel, top) in PANELS.iter().zip([0.0, 1.0, 2.0]) {
            draw_panel(&mut canvas, view, case, panel, columns, top * (height + 18.0));
        }
        return Picture::new(width, 3.0 * height + 36.0, canvas);
    }
    let left = view::names_width(names, 132.0);
    let each = (room.width() - left) / 3.0;
    for (panel, index) in PANELS.iter().zip([0.0, 1.0, 2.0]) {
        let from = left + index * each;
        let value = from + each - if index < 2.0 { 18.0 } else { 0.0 };
        let track = (from, value - VALUE);
        let columns = Columns { names: (index == 0.0).then_some(left), track, value };
        draw_panel(&mut canvas, view, case, panel, columns, 0.0);
    }
    Picture::new(room.width(), height, canvas)
}

/// Above the rows and below them.
const HEAD: f64 = 42.0;
const FOOT: f64 = 36.0;

fn draw_panel(
    canvas: &mut Canvas,
    view: RecordView<'_>,
    case: &Case,
    panel: &Panel,
    columns: Columns,
    top: f64,
) {
    let rows = rows(case);
    let scale = scale(view, panel, columns.track);
    let (from, to) = columns.track;
    let (first, last) = (top + HEAD, top + HEAD + ROW * count(rows.len()));
    canvas.text("head", (from, top + 12.0), Anchor::Start, panel.title);
    if let Some(noise) = noise(view, case, panel) {
        canvas.open("band", None);
        canvas.title(&format!("A/A noise: {}", view::noise(noise)));
        canvas.rect("fill", (scale.to_px(1.0 / noise), first - 4.0), (scale.to_px(noise), last));
        canvas.close();
        let reach = format!("A/A {}", view::noise(noise));
        let middle = f64::midpoint(scale.to_px(1.0 / noise), scale.to_px(noise));
        let middle = middle.clamp(from + 45.0, to - 45.0);
        canvas.text("quiet", (middle, first - 10.0), Anchor::Middle, &reach);
    }
    canvas.line("one", (scale.to_px(1.0), first - 4.0), (scale.to_px(1.0), last));
    axis(canvas, &scale, panel, columns.track, last);
    for (index, outcome) in rows.iter().enumerate() {
        let y = first + ROW * (count(index) + 0.5);
        draw_row(canvas, view, outcome, panel, columns, &scale, y);
    }
}

fn axis(canvas: &mut Canvas, scale: &Scale, panel: &Panel, (from, to): (f64, f64), last: f64) {
    canvas.line("axis", (from, last), (to, last));
    let mut taken: Vec<f64> = Vec::new();
    // The first of them that have room are shown: 1 always.
    for tick in [1.0, 0.5, 2.0, 0.25, 4.0, 0.8, 1.25, 0.9, 1.1, 1.5, 0.7, 3.0, 0.95, 1.05] {
        let x = scale.to_px(tick);
        if scale.contains(tick) && taken.iter().all(|other| (other - x).abs() > 30.0) {
            canvas.line("axis", (x, last), (x, last + 4.0));
            canvas.text("tick", (x, last + 15.0), Anchor::Middle, &format!("{tick}"));
            taken.push(x);
        }
    }
    canvas.text("quiet", (from, last + 29.0), Anchor::Start, &format!("← {}", panel.lower));
    canvas.text("quiet", (to, last + 29.0), Anchor::End, &format!("{} →", panel.higher));
}

fn draw_row(
    canvas: &mut Canvas,
    view: RecordView<'_>,
    outcome: &Outcome,
    panel: &Panel,
    columns: Columns,
    scale: &Scale,
    y: f64,
) {
    let server = outcome.server.as_str();
    let ratio = outcome.measured.as_ref().and_then(panel.ratio);
    let is_none = ratio.is_none_or(|ratio| ratio.verdict == Verdict::NoDifference);
    let shows = if is_none && !view.is_reference(server) { "row none" } else { "row shown" };
    view.open(canvas, shows, server);
    let said = match ratio {
        Some(ratio) => view::interval(&ratio.estimate),
        None if view.is_reference(server) => "1, the reference".to_owned(),
        None => view::status(outcome.status).to_owned(),
    };
    let verdict = ratio.map(|it| view.verdict(it.verdict, panel.higher, panel.lower));
    let why = verdict.or(outcome.why.clone()).map(|it| format!("; {it}")).unwrap_or_default();
    canvas.title(&format!("{server}: {}: {said}{why}", panel.title));
    let right = columns.value;
    canvas.rect("hit", (columns.names.map_or(columns.track.0, |_| 0.0), y - 9.5), (right, y + 9.5));
    if let Some(room) = columns.names {
        let broke = if outcome.status == Status::Failed { " ×" } else { "" };
        let name = labels::truncate(server, TEXT, room - 10.0 - labels::width(broke, TEXT));
        canvas.text("name", (0.0, y + 4.0), Anchor::Start, &(name + broke));
    }
    match ratio {
        Some(ratio) => {
            let (low, high) = (ratio.estimate.low, ratio.estimate.high);
            canvas.line("whisker", (scale.to_px(low), y), (scale.to_px(high), y));
            mark(canvas, scale, ratio.estimate.median, y);
        }
        None if view.is_reference(server) => canvas.dot("mark", (scale.to_px(1.0), y), 3.6),
        None => {}
    }
    canvas.text("value", (right, y + 4.0), Anchor::End, &said);
    canvas.close();
}

/// A dot, or an arrow towards where it would be.
fn mark(canvas: &mut Canvas, scale: &Scale, median: f64, y: f64) {
    let x = scale.to_px(median);
    if scale.contains(median) {
        canvas.dot("mark", (x, y), 3.6);
    } else {
        let back = if median > 1.0 { -8.0 } else { 8.0 };
        canvas.polygon("mark", &[(x, y), (x + back, y - 4.5), (x + back, y + 4.5)]);
    }
}

/// The same for all cases of a record, so that they can be compared by eye.
fn scale(view: RecordView<'_>, panel: &Panel, (from, to): (f64, f64)) -> Scale {
    let mut reach = AXIS_MIN;
    let mut sides = (1.0 / AXIS_MIN, AXIS_MIN);
    for case in &view.record.cases {
        reach = noise(view, case, panel).map_or(reach, |noise| reach.max(noise * 1.05));
        for ratio in view.measured(case).iter().filter_map(|(_, it)| (panel.ratio)(it)) {
            sides.0 = sides.0.min(ratio.estimate.low / 1.05);
            sides.1 = sides.1.max(ratio.estimate.high * 1.05);
        }
    }
    let low = sides.0.min(1.0 / reach).max(1.0 / AXIS_MAX);
    let high = sides.1.max(reach).min(AXIS_MAX);
    Scale::log((low, high), from + 4.0, to - 10.0)
}

/// What the control makes of no difference, in this figure.
fn noise(view: RecordView<'_>, case: &Case, panel: &Panel) -> Option<f64> {
    case.noise?;
    let outcome = case.results.iter().find(|it| view.is_control(&it.server))?;
    let noise = (panel.ratio)(outcome.measured.as_ref()?)?.estimate.noise_factor();
    noise.is_finite().then_some(noise)
}
