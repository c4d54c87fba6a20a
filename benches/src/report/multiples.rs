//! Many lines, each in a small plot of its own: side by side they could not be told apart. In all of
//! them the axes are the same, and the reference is drawn too. It knows nothing of what the axes mean.

use super::chart::{Axis, Line};
use super::labels;
use super::plot::{TEXT, Width};
use super::scale::Scale;
use super::svg::{Anchor, Canvas, Picture, Point};
use super::view::{RecordView, count};

/// Room for the name above a small plot, for the plot, and for the axis below it.
const HEAD: f64 = 22.0;
const BODY: f64 = 104.0;
const FOOT: f64 = 32.0;

/// Room for the figures beside it, and between two.
const BESIDE: f64 = 48.0;
const GAP: f64 = 14.0;

/// What the axes mean is said once, above all of them.
const TITLE: f64 = 20.0;

/// Between two figures beside the axis that goes up, at least.
const TICKS_APART: f64 = 15.0;

/// Draws it all: the reader's own servers first, then the reference, then the others.
pub(super) fn draw(
    view: RecordView<'_>,
    room: Width,
    across: &Axis<'_>,
    up: &Axis<'_>,
    lines: &[Line<'_>],
) -> Picture {
    let columns = match room {
        Width::Wide => 4,
        Width::Half | Width::Narrow => 2,
    };
    let each = (room.width() - GAP * count(columns - 1)) / count(columns);
    let mut order: Vec<&Line<'_>> = lines.iter().collect();
    order.sort_by_key(|line| !view.is_own(line.server));
    let reference = lines.iter().find(|line| view.is_reference(line.server));
    let mut canvas = Canvas::default();
    let thin = reference.map(|it| format!("; thin: {}", it.server)).unwrap_or_default();
    let title = format!("Up: {}. Across: {}{thin}.", up.title, across.title);
    canvas.text("quiet", (0.0, 11.0), Anchor::Start, &labels::truncate(&title, TEXT, room.width()));
    for (index, line) in order.iter().enumerate() {
        let left = count(index % columns) * (each + GAP);
        let top = TITLE + count(index / columns) * (HEAD + BODY + FOOT) + HEAD;
        let place = Place::new(across, up, (left, left + each), top);
        place.axes(&mut canvas, across, up);
        if let Some(reference) = reference.filter(|it| it.server != line.server) {
            canvas.open("guide reference", None);
            canvas.path("thin", &place.course(reference));
            canvas.close();
        }
        place.line(&mut canvas, view, line);
    }
    let rows = lines.len().div_ceil(columns);
    Picture::new(room.width(), TITLE + count(rows) * (HEAD + BODY + FOOT), canvas)
}

/// Where one small plot is.
struct Place {
    x: Scale,
    y: Scale,
    left: f64,
    right: f64,
    top: f64,
}

impl Place {
    fn new(across: &Axis<'_>, up: &Axis<'_>, (left, right): (f64, f64), top: f64) -> Self {
        let x = across.scale.between(left + BESIDE, right - 6.0);
        Self { x, y: up.scale.between(top + BODY, top), left, right, top }
    }

    fn course(&self, line: &Line<'_>) -> Vec<Point> {
        line.points.iter().map(|&(x, y)| (self.x.to_px(x), self.y.to_px(y))).collect()
    }

    fn axes(&self, canvas: &mut Canvas, across: &Axis<'_>, up: &Axis<'_>) {
        let (start, bottom) = (self.left + BESIDE, self.top + BODY);
        canvas.open("axes", None);
        let mut free = f64::INFINITY;
        for (tick, text) in &up.ticks {
            let y = self.y.to_px(*tick);
            if y > free {
                continue;
            }
            free = y - TICKS_APART;
            canvas.line("grid", (start, y), (self.right, y));
            canvas.text("tick", (start - 6.0, y + 4.0), Anchor::End, text);
        }
        canvas.line("axis", (start, bottom), (self.right, bottom));
        let mut free = start - 20.0;
        for (tick, text) in across.ticks.iter().filter(|(tick, _)| across.scale.contains(*tick)) {
            let (x, half) = (self.x.to_px(*tick), labels::width(text, TEXT) / 2.0);
            canvas.line("axis", (x, bottom), (x, bottom + 4.0));
            if x - half > free && x + half < self.right + 6.0 {
                canvas.text("tick", (x, bottom + 16.0), Anchor::Middle, text);
                free = x + half + 4.0;
            }
        }
        canvas.close();
    }

    fn line(&self, canvas: &mut Canvas, view: RecordView<'_>, line: &Line<'_>) {
        let points = self.course(line);
        view.open(canvas, "series alone", line.server);
        canvas.title(&line.title);
        canvas.hover_points(&points, &line.tooltips);
        canvas.path("line solid", &points);
        if let Some((x, y)) = line.ring {
            canvas.dot("ring", (self.x.to_px(x), self.y.to_px(y)), 4.5);
        }
        if let Some(at) = line.failed_at {
            let place = points.last().map_or(self.top + BODY, |last| last.1);
            let (x, y) = (self.x.to_px(at), place);
            canvas.line("cross", (x - 4.0, y - 4.0), (x + 4.0, y + 4.0));
            canvas.line("cross", (x - 4.0, y + 4.0), (x + 4.0, y - 4.0));
        }
        let name = labels::truncate(line.server, TEXT, self.right - self.left - 4.0);
        canvas.text("label strong", (self.left, self.top - 8.0), Anchor::Start, &name);
        canvas.close();
    }
}
