//! Draws any chart: its panels in a grid, in each panel its axes and its marks. It does not know
//! what the figures are; colours and line patterns are classes in `plot.css`.

use maud::{Markup, html};

use super::chart::{Axis, Chart, Mark, Panel, Series};
use super::format;
use super::scale::{self, Scale};
use super::svg::{self, END, MIDDLE, Picture, Point, START};
use super::view::View;

/// The widths of a screen's column, of half of it, and of a phone. Text has one size everywhere, so
/// each chart is drawn for a screen and again for a phone.
const WIDE: f64 = 960.0;
const HALF: f64 = 464.0;
const NARROW: f64 = 343.0;

/// From one row to the next, between two panels, and between labels at line ends.
const ROW: f64 = 19.0;
const GAP: f64 = 18.0;
const LABEL: f64 = 13.5;

/// Columns in a row: its name, its value, its note, at most.
const NAME_MAX: f64 = 132.0;
const VALUE_MAX: f64 = 122.0;
const NOTE_MAX: f64 = 100.0;

/// Above a small panel of lines, its height, and below it; room for the words above all of them.
const SMALL: [f64; 3] = [24.0, 112.0, 34.0];
const WORDS: f64 = 34.0;

/// Room for the labels of a vertical axis, and from the end of a line to its label.
const AXIS: f64 = 54.0;
const LEADER: f64 = 20.0;

/// More lines than these in one panel are drawn thinner, fewer points than these have dots.
const MANY_LINES: usize = 6;
const FEW_POINTS: usize = 12;

/// A chart for a screen or for a phone.
pub(super) fn picture(view: View<'_>, chart: &Chart<'_>, is_phone: bool) -> Picture {
    let width = match (is_phone, chart.is_half) {
        (true, _) => NARROW,
        (false, true) => HALF,
        (false, false) => WIDE,
    };
    let columns = if is_phone { chart.columns / 2 } else { chart.columns }.max(1);
    let is_rows = chart.panels.iter().any(|panel| panel.y.is_none());
    let is_small = !is_rows && chart.columns > 1;
    // In a grid of rows the first panel has the names of all; one below the other, each has its own.
    let all_names = chart.panels.iter().flat_map(|panel| &panel.series).map(|it| it.server);
    let names = scale::max(all_names.map(svg::width)) + 12.0;
    let names = if is_rows { names.min(NAME_MAX).min(width * 0.3) } else { 0.0 };
    let each = (width - names - GAP * (columns - 1) as f64) / columns as f64;
    let (key, below_key) = key(&chart.key, width);
    let words = if is_small {
        words(view, chart, width)
    } else {
        html! {}
    };
    let mut bottom = if is_small { WORDS } else { below_key };
    let (mut top, mut drawn) = (bottom, Vec::new());
    for (index, panel) in chart.panels.iter().enumerate() {
        let column = index % columns;
        if column == 0 && index > 0 {
            top = bottom + if is_rows { GAP } else { 0.0 };
        }
        let left = names + column as f64 * (each + GAP);
        let cell = Cell { view, panel, left, right: left + each, top };
        let part = match &panel.y {
            None => cell.rows(if column == 0 { names } else { 0.0 }),
            Some(y) => cell.lines(y, is_small),
        };
        drawn.push(part.0);
        bottom = part.1;
    }
    let body = html! { (key) (words) @for part in drawn { (part) } };
    Picture { size: (width, bottom), body }
}

/// What the axes of all small panels are.
fn words(view: View<'_>, chart: &Chart<'_>, width: f64) -> Markup {
    let Some((panel, y)) = chart.panels.first().and_then(|it| Some((it, it.y.as_ref()?))) else {
        return html! {};
    };
    let has_guide = chart.panels.iter().any(|panel| !panel.guide.is_empty());
    let thin = if has_guide { format!("; thin: {}", view.record.reference) } else { String::new() };
    let across = svg::truncate(&format!("Across: {}{thin}", panel.x.sides[1]), width);
    html! {
        (svg::text("quiet", (0.0, 11.0), START, &format!("Up: {}", y.sides[1])))
        (svg::text("quiet", (0.0, 25.0), START, &across)) "\n"
    }
}

/// The meaning of colours, and how far down it reaches.
fn key(key: &[(String, String)], width: f64) -> (Markup, f64) {
    let (mut x, mut y, mut parts) = (0.0, 8.0, Vec::new());
    for (class, name) in key {
        let name = svg::truncate(name, 120.0);
        let room = svg::width(&name) + 24.0;
        if x + room > width {
            (x, y) = (0.0, y + 17.0);
        }
        parts.push(svg::rect(class, (x, y - 5.0), (x + 10.0, y + 5.0)));
        parts.push(svg::text("tick", (x + 14.0, y + 4.0), START, &name));
        x += room;
    }
    let drawn = html! { g class="key" { @for part in &parts { (part) } } "\n" };
    if parts.is_empty() { (html! {}, 0.0) } else { (drawn, y + 10.0) }
}

/// The place of a panel in the picture. Each drawing returns its bottom edge too.
#[derive(Debug, Clone, Copy)]
struct Cell<'a> {
    view: View<'a>,
    panel: &'a Panel<'a>,
    left: f64,
    right: f64,
    top: f64,
}

impl Cell<'_> {
    /// A row for each series: name, marks, value, note.
    fn rows(&self, names: f64) -> (Markup, f64) {
        let Self { panel, left, right, top, .. } = *self;
        let Panel { title, x, series, shown, .. } = panel;
        let note = if *shown > 1 { NOTE_MAX } else { 0.0 };
        let value = scale::max(series.iter().map(|it| svg::width(&it.cells[0]))) * 0.9 + 4.0;
        let track = right - note - value.min(VALUE_MAX);
        let first = top + if title.is_empty() { 6.0 } else { 42.0 };
        let bottom = first + ROW * series.len() as f64;
        let frame =
            Frame { x, y: None, left, right: track, top: first - 4.0, bottom, is_small: false };
        let row = |(index, series): (usize, &Series<'_>)| {
            let y = first + ROW * (index as f64 + 0.5);
            let name = svg::truncate(series.server, names - 10.0);
            let shapes = html! {
                (svg::rect("hit", (left - names, y - 9.5), (right, y + 9.5)))
                @if names > 0.0 { (svg::text("name", (0.0, y + 4.0), START, &name)) }
                @for mark in &series.marks { (frame.mark(mark, y)) }
                (svg::text("value", (right - note, y + 4.0), END, &series.cells[0]))
                @if note > 0.0 {
                    @let words = svg::truncate(&series.cells[1], note - 8.0);
                    (svg::text("note", (right - note + 8.0, y + 4.0), START, &words))
                }
            };
            self.group("row", series, &shapes)
        };
        let drawn = html! {
            @if !title.is_empty() { (svg::text("head", (left, top + 12.0), START, title)) }
            (frame.axes())
            @if let Some(noise) = panel.noise { (frame.noise(noise)) }
            @for row in series.iter().enumerate().map(row) { (row) }
        };
        (drawn, bottom + if x.sides[0].is_empty() { 24.0 } else { 36.0 })
    }

    /// All lines in one panel, each with its name at its end; or, in a small panel, those of one
    /// server below its name.
    fn lines(&self, y: &Axis, is_small: bool) -> (Markup, f64) {
        let Self { panel, left, right: edge, .. } = *self;
        let Panel { x, series, .. } = panel;
        let widest = scale::max(series.iter().map(|it| svg::width(it.server))) + LEADER + 4.0;
        let names = widest.clamp(54.0, NAME_MAX.min(edge / 3.0));
        let height = if edge > NARROW { 300.0 } else { 236.0 };
        let height = f64::max(height, LABEL * series.len() as f64);
        let [head, body, foot] = if is_small { SMALL } else { [ROW + 6.0, height, 42.0] };
        let right = edge - if is_small { 6.0 } else { names };
        let (top, bottom) = (self.top + head, self.top + head + body);
        let frame = Frame { x, y: Some(y), left: left + AXIS, right, top, bottom, is_small };
        let ends: Vec<Point> = series.iter().map(|it| frame.end(it)).collect();
        let heights: Vec<f64> = ends.iter().map(|end| end.1).collect();
        let heights = svg::separate(&heights, LABEL, top, bottom);
        // The first of them, the reference, is above the others; the reader's own is on top of all.
        let mut order: Vec<_> = series.iter().zip(ends).zip(heights).rev().collect();
        order.sort_by_key(|((series, _), _)| self.view.is_own(series.server));
        let line = |((series, end), height): ((&Series<'_>, Point), f64)| {
            let value = if panel.shown > 0 { series.cells[0].as_str() } else { "" };
            let label = right + LEADER;
            let leader = [(end.0 + 4.0, end.1), (right + 2.0, end.1), (label, height)];
            let room =
                if is_small { edge - left - svg::width(value) - 8.0 } else { edge - label - 3.0 };
            let name = svg::truncate(series.server, room);
            let shapes = html! {
                @for mark in &series.marks { (frame.mark(mark, 0.0)) }
                @if is_small {
                    (svg::text("label strong", (left, top - 8.0), START, &name))
                    @if !value.is_empty() { (svg::text("value", (edge, top - 8.0), END, value)) }
                } @else {
                    (svg::path("leader", &leader))
                    (svg::text("label", (label + 3.0, height + 4.0), START, &name))
                }
            };
            self.group(if is_small { "series alone" } else { "series" }, series, &shapes)
        };
        let guide: Vec<Point> = panel.guide.iter().map(|&point| frame.place(point)).collect();
        let drawn = html! {
            @if !is_small { (svg::text("quiet", (0.0, top - 12.0), START, y.sides[1])) }
            (frame.axes())
            @if !guide.is_empty() { g class="guide reference" { (svg::path("thin", &guide)) } }
            g class=[(series.len() > MANY_LINES).then_some("crowd")] {
                @for line in order.into_iter().map(line) { (line) }
            }
        };
        (drawn, bottom + foot)
    }

    /// Everything that belongs to one server.
    fn group(&self, class: &str, series: &Series<'_>, shapes: &Markup) -> Markup {
        let look = self.view.class(series.server);
        let classes = [class, series.class, look].into_iter().filter(|it| !it.is_empty());
        html! {
            g class=(classes.collect::<Vec<_>>().join(" "))
                data-server=[self.view.number(series.server)] {
                title { (series.hover(&self.panel.head)) }
                (shapes)
            }
            "\n"
        }
    }
}

/// The area of a panel that the axes span.
#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    x: &'a Axis,
    y: Option<&'a Axis>,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    /// The words at the sides of the axes are above all panels instead.
    is_small: bool,
}

impl Frame<'_> {
    fn x(&self, figure: f64) -> f64 {
        let pad = if matches!(self.x.scale, Scale::Log(..)) { 8.0 } else { 0.0 };
        self.left + pad + self.x.scale.share(figure) * (self.right - self.left - 2.0 * pad)
    }

    fn place(&self, (x, y): (f64, f64)) -> Point {
        let share = self.y.map_or(0.0, |axis| axis.scale.share(y));
        (self.x(x), self.bottom - share * (self.bottom - self.top))
    }

    /// Where a series ends: at its last point, or where it failed.
    fn end(&self, series: &Series<'_>) -> Point {
        let mut ends = series.marks.iter().filter_map(|mark| match mark {
            Mark::Line(_, points, _) => points.last().copied(),
            Mark::Failed(_, at) => Some(*at),
            _ => None,
        });
        self.place(ends.next_back().unwrap_or_default())
    }

    /// Grid lines and labels, as many as have room: across for rows, upwards for lines.
    fn axes(&self) -> Markup {
        let Self { x, y, left, right, top, bottom, is_small } = *self;
        let is_rows = y.is_none();
        let (mut parts, mut taken) = (Vec::new(), Vec::new());
        let mut free = f64::INFINITY;
        for (tick, label) in y.iter().flat_map(|axis| &axis.ticks) {
            let at = self.place((0.0, *tick)).1;
            if at <= free {
                free = at - 15.0;
                parts.push(svg::line("grid", (left, at), (right, at)));
                parts.push(svg::text("tick", (left - 7.0, at + 4.0), END, label));
            }
        }
        for (tick, label) in x.ticks.iter().filter(|(tick, _)| x.scale.contains(*tick)) {
            let (at, half) = (self.x(*tick), svg::width(label) / 2.0 + 2.0);
            let has_room =
                taken.iter().all(|(other, room): &(f64, f64)| (at - other).abs() > half + room);
            if has_room && at - half > left - 26.0 && at + half < right + 14.0 {
                taken.push((at, half));
                let (class, from) = if is_rows { ("grid", top) } else { ("axis", bottom + 4.0) };
                parts.push(svg::line(class, (at, from), (at, bottom)));
                parts.push(svg::text("tick", (at, bottom + 15.0), MIDDLE, label));
            }
        }
        let below = bottom + if is_rows { 29.0 } else { 34.0 };
        html! {
            g class="axes" {
                @for part in parts { (part) }
                @if !is_rows { (svg::line("axis", (left, bottom), (right, bottom))) }
                @if !is_small && !x.sides[0].is_empty() { (svg::text("quiet", (left, below), START, x.sides[0])) }
                @if !is_small && !x.sides[1].is_empty() { (svg::text("quiet", (right, below), END, x.sides[1])) }
            }
            "\n"
        }
    }

    /// The band around 1 that is noise, and 1 itself.
    fn noise(&self, factor: f64) -> Markup {
        let (low, high) = (self.x(1.0 / factor), self.x(factor));
        let middle = f64::midpoint(low, high).clamp(self.left + 45.0, self.right - 45.0);
        let reach = format::noise(factor);
        html! {
            g class="band" {
                title { "A/A noise: " (reach) }
                (svg::rect("fill", (low, self.top), (high, self.bottom)))
            }
            (svg::text("quiet", (middle, self.top - 6.0), MIDDLE, &format!("A/A {reach}")))
            (svg::line("one", (self.x(1.0), self.top), (self.x(1.0), self.bottom)))
            "\n"
        }
    }

    /// One mark; `y` is the middle of its row, if it is in one.
    fn mark(&self, mark: &Mark, y: f64) -> Markup {
        match mark {
            Mark::Line(class, points, hovers) => {
                let points: Vec<Point> = points.iter().map(|&point| self.place(point)).collect();
                let has_dots = *class == "line" && points.len() < FEW_POINTS;
                html! {
                    @if !hovers.is_empty() { (svg::hover_path(&points, hovers)) }
                    (svg::path(class, &points))
                    @if has_dots { @for &point in &points { (svg::dot("point", point, 2.0)) } }
                }
            }
            Mark::Band(points) => {
                let low = points.iter().map(|&(x, low, _)| self.place((x, low)));
                let high = points.iter().rev().map(|&(x, _, high)| self.place((x, high)));
                svg::polygon("spread", &low.chain(high).collect::<Vec<_>>())
            }
            Mark::Bar(class, from, to, None) => {
                svg::rect(class, (self.x(*from), y - 6.0), (self.x(*to), y + 6.0))
            }
            Mark::Bar(class, from, to, Some([name, hover])) => {
                let (start, end) = (self.x(*from), self.x(*to));
                let has_room = svg::width(name) * 0.83 + 6.0 < end - start;
                html! {
                    g class="call" {
                        title { (hover) }
                        (svg::rect(class, (start, y - 6.5), (end, y + 6.5)))
                        @if has_room {
                            (svg::text("inside", (f64::midpoint(start, end), y + 3.5), MIDDLE, name))
                        }
                    }
                }
            }
            Mark::Whisker(low, high) => svg::line("whisker", (self.x(*low), y), (self.x(*high), y)),
            Mark::Stem(to) => svg::line("guide", (self.left, y), (self.x(*to), y)),
            Mark::Dot(figure) if *figure <= 0.0 => svg::dot("mark", (self.left - 3.0, y), 3.6),
            Mark::Dot(figure) if self.x.scale.contains(*figure) => {
                svg::dot("mark", (self.x(*figure), y), 3.6)
            }
            Mark::Dot(figure) => {
                let (x, back) = (self.x(*figure), if *figure > 1.0 { -8.0 } else { 8.0 });
                svg::polygon("mark", &[(x, y), (x + back, y - 4.5), (x + back, y + 4.5)])
            }
            Mark::Ring(x, y) => svg::dot("ring", self.place((*x, *y)), 5.0),
            Mark::Rule(x) => svg::line("knee", (self.x(*x), self.top), (self.x(*x), self.bottom)),
            Mark::Failed(from, to) => {
                let (from, (x, y)) = (self.place(*from), self.place(*to));
                html! {
                    (svg::line("broken", from, (x, y)))
                    (svg::line("cross", (x - 4.0, y - 4.0), (x + 4.0, y + 4.0)))
                    (svg::line("cross", (x - 4.0, y + 4.0), (x + 4.0, y - 4.0)))
                }
            }
        }
    }
}
