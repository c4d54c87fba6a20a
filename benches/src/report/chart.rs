//! Lines over two axes, each with the name of its server at its end. It knows nothing of what the
//! axes mean.

use super::labels;
use super::multiples;
use super::plot::{ROW, TEXT, Width};
use super::scale::Scale;
use super::svg::{Anchor, Canvas, Picture, Point};
use super::view::{RecordView, count};

/// From one name to the next, at the ends of lines.
const LABEL_HEIGHT: f64 = 13.5;

/// More lines than these, and their bands are only just seen.
const MANY_LINES: usize = 6;

/// More lines than these cannot be told apart, and each has a small plot of its own.
const TOGETHER_MAX: usize = 8;

/// How far a line runs on to its name.
const LEADER: f64 = 20.0;

/// Room for the figures beside the axis that goes up.
const AXIS_MARGIN: f64 = 54.0;

/// Where the lines are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    width: f64,
    room: Width,
}

/// An axis: its scale, what stands where, what it is.
#[derive(Debug, Clone)]
pub(super) struct Axis<'a> {
    pub(super) scale: Scale,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) title: &'a str,
}

/// One server's line, in the figures of the axes.
#[derive(Debug, Clone, Default)]
pub(super) struct Line<'a> {
    pub(super) server: &'a str,
    pub(super) points: Vec<(f64, f64)>,
    /// What is said of each point when somebody points at it, if anything.
    pub(super) tooltips: Vec<String>,
    /// How far each point could as well be down and up, if that is known.
    pub(super) spread: Vec<(f64, f64)>,
    /// Where it ended before its time: so far across, and whether it had begun.
    pub(super) failed_at: Option<f64>,
    /// A point to mark with a ring.
    pub(super) ring: Option<(f64, f64)>,
    /// What is said of the line.
    pub(super) title: String,
}

/// A frame with room for these names at its right; as high as all of them need.
pub(super) fn frame<'a>(room: Width, names: impl Iterator<Item = &'a str>) -> Frame {
    let names: Vec<&str> = names.collect();
    let widest =
        names.iter().map(|name| labels::width(name, TEXT)).fold(30.0, f64::max) + LEADER + 4.0;
    let width = room.width();
    let right = width - widest.min(if room == Width::Narrow { 112.0 } else { 144.0 });
    let least = if room == Width::Wide { 300.0 } else { 236.0 };
    let height = (LABEL_HEIGHT * count(names.len())).max(least);
    Frame { left: AXIS_MARGIN, right, top: ROW + 6.0, bottom: ROW + 6.0 + height, width, room }
}

/// Draws it all: in one plot, or in many where these are too many for one.
pub(super) fn draw(
    view: RecordView<'_>,
    frame: &Frame,
    across: &Axis<'_>,
    up: &Axis<'_>,
    lines: &[Line<'_>],
) -> Picture {
    if lines.len() > TOGETHER_MAX {
        return multiples::draw(view, frame.room, across, up, lines);
    }
    together(view, frame, across, up, lines)
}

/// Draws it all in one plot, however many lines there are.
pub(super) fn together(
    view: RecordView<'_>,
    frame: &Frame,
    across: &Axis<'_>,
    up: &Axis<'_>,
    lines: &[Line<'_>],
) -> Picture {
    let mut canvas = Canvas::default();
    axes(&mut canvas, frame, across, up);
    let place = |&(x, y): &(f64, f64)| (across.scale.to_px(x), up.scale.to_px(y));
    let ends: Vec<Point> = lines.iter().map(|line| line_end(line, across, up)).collect();
    let heights: Vec<f64> = ends.iter().map(|end| end.1).collect();
    let heights = labels::separate(&heights, LABEL_HEIGHT, frame.top, frame.bottom);
    canvas.open(if lines.len() > MANY_LINES { "crowd" } else { "few" }, None);
    // The first of them, the reference, lies on top of the others; the reader's own on top of all.
    let mut order: Vec<_> = lines.iter().zip(&ends).zip(heights).rev().collect();
    order.sort_by_key(|((line, _), _)| view.is_own(line.server));
    for ((line, &end), height) in order {
        let points: Vec<Point> = line.points.iter().map(place).collect();
        view.open(&mut canvas, "series", line.server);
        canvas.title(&line.title);
        band(&mut canvas, line, across, up);
        canvas.hover_points(&points, &line.tooltips);
        canvas.path("line", &points);
        if points.len() < 12 {
            for &point in &points {
                canvas.dot("point", point, 2.0);
            }
        }
        if let Some(ring) = &line.ring {
            canvas.dot("ring", place(ring), 5.5);
        }
        if line.failed_at.is_some() {
            let from = points.last().copied().unwrap_or((end.0, frame.bottom));
            canvas.line("broken", from, end);
            canvas.line("cross", (end.0 - 4.0, end.1 - 4.0), (end.0 + 4.0, end.1 + 4.0));
            canvas.line("cross", (end.0 - 4.0, end.1 + 4.0), (end.0 + 4.0, end.1 - 4.0));
        }
        let (edge, beside) = ((frame.right + 2.0, end.1), (frame.right + LEADER, height));
        canvas.path("leader", &[(end.0 + 4.0, end.1), edge, beside]);
        let name = labels::truncate(line.server, TEXT, frame.width - frame.right - LEADER - 3.0);
        canvas.text("label", (beside.0 + 3.0, height + 4.0), Anchor::Start, &name);
        canvas.close();
    }
    canvas.close();
    Picture::new(frame.width, frame.bottom + 42.0, canvas)
}

/// Where a line ends: at its last point, or at the cross where it broke.
fn line_end(line: &Line<'_>, across: &Axis<'_>, up: &Axis<'_>) -> Point {
    let last = line.points.last();
    let y = last.map_or(f64::NEG_INFINITY, |last| last.1);
    match (line.failed_at, last) {
        (Some(x), _) => (across.scale.to_px(x), up.scale.to_px(y)),
        (None, Some(last)) => (across.scale.to_px(last.0), up.scale.to_px(y)),
        (None, None) => (across.scale.to_px(0.0), up.scale.to_px(y)),
    }
}

fn band(canvas: &mut Canvas, line: &Line<'_>, across: &Axis<'_>, up: &Axis<'_>) {
    if line.spread.len() < 2 {
        return;
    }
    let x = || line.points.iter().map(|point| across.scale.to_px(point.0));
    let low = x().zip(&line.spread).map(|(x, spread)| (x, up.scale.to_px(spread.0)));
    let high = x().zip(&line.spread).map(|(x, spread)| (x, up.scale.to_px(spread.1)));
    let back: Vec<Point> = high.collect();
    canvas.polygon("spread", &low.chain(back.into_iter().rev()).collect::<Vec<_>>());
}

/// Faint lines at the ticks, figures outside.
pub(super) fn axes(canvas: &mut Canvas, frame: &Frame, across: &Axis<'_>, up: &Axis<'_>) {
    canvas.open("axes", None);
    canvas.text("quiet", (0.0, frame.top - 12.0), Anchor::Start, up.title);
    for (tick, text) in &up.ticks {
        let y = up.scale.to_px(*tick);
        canvas.line("grid", (frame.left, y), (frame.right, y));
        canvas.text("tick", (frame.left - 7.0, y + 4.0), Anchor::End, text);
    }
    let mut free = f64::NEG_INFINITY;
    for (tick, text) in across.ticks.iter().filter(|(tick, _)| across.scale.contains(*tick)) {
        let (x, half) = (across.scale.to_px(*tick), labels::width(text, TEXT) / 2.0);
        canvas.line("axis", (x, frame.bottom), (x, frame.bottom + 4.0));
        if x - half > free {
            canvas.text("tick", (x, frame.bottom + 17.0), Anchor::Middle, text);
            free = x + half + 4.0;
        }
    }
    canvas.line("axis", (frame.left, frame.bottom), (frame.right, frame.bottom));
    let title = (frame.right, frame.bottom + 34.0);
    canvas.text("quiet", title, Anchor::End, across.title);
    canvas.close();
}
