//! Draws any chart: its panels in a grid, in each panel its axes and its marks. It does not know
//! what the figures are; colours and line patterns are classes in `plot.css`.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::chart::{Chart, Mark, Panel, Series};
use super::format;
use super::scale::{self, Scale};
use super::svg::{self, END, MIDDLE, Point, START};
use super::view::Look;

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

/// Above a small panel of lines, its height, and below it.
const SMALL: [f64; 3] = [24.0, 112.0, 34.0];

/// Room for the labels of a vertical axis, half the distance of two of them, and from the end of a
/// line to its label.
const AXIS: f64 = 54.0;
const TICK: f64 = 12.0;
const LEADER: f64 = 20.0;

/// More lines than these in one panel are drawn thinner, fewer points than these have dots.
const MANY_LINES: usize = 6;
const FEW_POINTS: usize = 12;

/// A chart for a screen or for a phone: its width, its height, and what is drawn.
pub(super) fn picture(look: Look<'_>, chart: &Chart<'_>, is_phone: bool) -> (f64, f64, Markup) {
    let first = &chart.panels[0];
    let (is_rows, is_small) = (first.y.is_none(), chart.is_split);
    let width = match (is_phone, chart.is_half()) {
        (true, _) => NARROW,
        (false, true) => HALF,
        (false, false) => WIDE,
    };
    let guide = guide(look, first);
    let (above, mut bottom) = match is_small {
        true => words(first, guide.map(|_| look.reference), width),
        false => key(first, width),
    };
    let panels = if is_small { split(look, first, guide) } else { chart.panels.clone() };
    let columns = if is_small { 4 - first.shown } else { panels.len() };
    let columns = if is_phone { (columns / 2).max(1) } else { columns };
    // In a grid of rows the first panel has the names of all; one below the other, each its own.
    let names = scale::max(first.series.iter().map(|it| svg::width(it.server))) + 12.0;
    let names = if is_rows { names.min(NAME_MAX).min(width * 0.3) } else { 0.0 };
    let each = (width - names - GAP * (columns - 1) as f64) / columns as f64;
    let (mut top, mut drawn) = (bottom, Vec::new());
    for (index, panel) in panels.iter().enumerate() {
        let column = index % columns;
        if column == 0 && index > 0 {
            top = bottom + if is_rows { GAP } else { 0.0 };
        }
        let left = names + column as f64 * (each + GAP);
        let cell = Frame { look, panel, left, right: left + each, top, bottom: top, is_small };
        let names = if column == 0 { names } else { 0.0 };
        let part = if is_rows { cell.rows(names) } else { cell.lines() };
        drawn.push(part.0);
        bottom = part.1;
    }
    (width, bottom, html! { (above) @for part in drawn { (part) } })
}

/// The line of the reference, where each server has one line.
fn guide<'p>(look: Look<'_>, panel: &'p Panel<'_>) -> Option<&'p [(f64, f64)]> {
    let reference = panel.series.iter().find(|it| it.server == look.reference)?;
    let mut lines = reference.marks.iter().filter_map(|mark| match mark {
        Mark::Line(_, points, _) => Some(&points[..]),
        _ => None,
    });
    lines.next().filter(|_| lines.next().is_none())
}

/// A panel for each series, the reader's own servers first, with the line of the reference in the
/// panels of all others.
fn split<'a>(look: Look<'_>, panel: &Panel<'a>, guide: Option<&[(f64, f64)]>) -> Vec<Panel<'a>> {
    let alone = |series: &Series<'a>| {
        let guide = guide.filter(|_| series.server != look.reference);
        let guide = guide.map(|it| Mark::Line("guide reference", it.to_vec(), Vec::new()));
        let marks = guide.into_iter().chain(series.marks.clone()).collect();
        Panel { series: vec![Series { marks, ..series.clone() }], ..panel.clone() }
    };
    let mut panels: Vec<_> = panel.series.iter().map(alone).collect();
    panels.sort_by_key(|panel| !look.is_own(panel.series[0].server));
    panels
}

/// What the axes of all small panels are, and how far down that reaches.
fn words(panel: &Panel<'_>, reference: Option<&str>, width: f64) -> (Markup, f64) {
    let thin = reference.map_or(String::new(), |name| format!("; thin: {name}"));
    let across = svg::truncate(&format!("Across: {}{thin}", panel.x.sides[1]), width);
    let drawn = html! {
        (svg::text("quiet", (0.0, 11.0), START, &format!("Up: {}", panel.up())))
        (svg::text("quiet", (0.0, 25.0), START, &across)) "\n"
    };
    (drawn, 34.0)
}

/// The meaning of the colours of named parts of bars, and how far down that reaches.
fn key(panel: &Panel<'_>, width: f64) -> (Markup, f64) {
    let named = panel.series.iter().flat_map(|it| &it.marks).filter_map(|mark| match mark {
        Mark::Bar(class, _, _, Some([name, _])) => Some((class, name)),
        _ => None,
    });
    let (mut x, mut y, mut parts) = (0.0, 8.0, Vec::new());
    // Of the names of one colour the last: "other".
    let named: BTreeMap<_, _> = named.collect::<BTreeSet<_>>().into_iter().collect();
    for (class, name) in named {
        let name = svg::truncate(name, 120.0);
        let room = svg::width(&name) + 24.0;
        if x + room > width {
            (x, y) = (0.0, y + 17.0);
        }
        parts.push(svg::rect(class, (x, y - 5.0), (x + 10.0, y + 5.0)));
        parts.push(svg::text("tick", (x + 14.0, y + 4.0), START, &name));
        x += room;
    }
    let bottom = if parts.is_empty() { 0.0 } else { y + 10.0 };
    (html! { g class="key" { @for part in &parts { (part) } } "\n" }, bottom)
}

/// The area of a panel, and then that which its axes span.
#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    look: Look<'a>,
    panel: &'a Panel<'a>,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    /// The words at the sides of the axes are above all panels instead.
    is_small: bool,
}

impl Frame<'_> {
    /// A row for each series: name, marks, value, note. Returns its lower edge too.
    fn rows(&self, names: f64) -> (Markup, f64) {
        let Self { panel, left, right, top, .. } = *self;
        let Panel { title, series, shown, .. } = panel;
        let note = if *shown > 1 { NOTE_MAX } else { 0.0 };
        let value = scale::max(series.iter().map(|it| svg::width(&it.cells[0]))) * 0.9 + 4.0;
        let first = top + if title.is_empty() { 6.0 } else { 42.0 };
        let bottom = first + ROW * series.len() as f64;
        let track = right - note - value.min(VALUE_MAX);
        let frame = Self { right: track, top: first - 4.0, bottom, ..*self };
        let row = |(index, series): (usize, &Series<'_>)| {
            let y = first + ROW * (index as f64 + 0.5);
            let name = svg::truncate(series.server, names - 10.0);
            let words = series.cells.get(1).filter(|_| note > 0.0).map(String::as_str);
            let words = svg::truncate(words.unwrap_or_default(), note - 8.0);
            let shapes = html! {
                (svg::rect("hit", (left - names, y - 9.5), (right, y + 9.5)))
                @if names > 0.0 { (svg::text("name", (0.0, y + 4.0), START, &name)) }
                @for mark in &series.marks { (frame.mark(mark, y)) }
                (svg::text("value", (right - note, y + 4.0), END, &series.cells[0]))
                (svg::text("note", (right - note + 8.0, y + 4.0), START, &words))
            };
            self.group("row", series, &shapes)
        };
        let drawn = html! {
            (svg::text("head", (left, top + 12.0), START, title))
            (frame.axes())
            @if let Some(noise) = panel.noise { (frame.noise(noise)) }
            @for row in series.iter().enumerate().map(row) { (row) }
        };
        (drawn, bottom + if panel.x.sides[0].is_empty() { 24.0 } else { 36.0 })
    }

    /// All lines in one panel, each with its name at its end; or, in a small panel, those of one
    /// server below its name.
    fn lines(&self) -> (Markup, f64) {
        let Self { panel, left, right: edge, is_small, .. } = *self;
        let series = &panel.series;
        let widest = scale::max(series.iter().map(|it| svg::width(it.server))) + LEADER + 4.0;
        let height = if edge > NARROW { 300.0 } else { 236.0 };
        let height = f64::max(height, LABEL * series.len() as f64);
        let [head, body, foot] = if is_small { SMALL } else { [ROW + 6.0, height, 42.0] };
        let names = widest.clamp(54.0, NAME_MAX.min(edge / 3.0));
        let right = edge - if is_small { 6.0 } else { names };
        let (top, bottom) = (self.top + head, self.top + head + body);
        let frame = Self { left: left + AXIS, right, top, bottom, ..*self };
        let ends: Vec<Point> = series.iter().map(|it| frame.end(it)).collect();
        let heights = svg::separate(&ends, LABEL, top, bottom);
        // The first of them, the reference, is above the others; the reader's own is on top of all.
        let mut order: Vec<_> = series.iter().zip(ends).zip(heights).rev().collect();
        order.sort_by_key(|((series, _), _)| self.look.is_own(series.server));
        let line = |((series, end), height): ((&Series<'_>, Point), f64)| {
            let value = [&panel.head[0], " ", &series.cells[0]].concat();
            let value = if panel.shown > 0 { &value[..] } else { "" };
            let (label, above) = (right + LEADER, top - 8.0);
            let leader = [(end.0 + 4.0, end.1), (right + 2.0, end.1), (label, height)];
            let beside = if is_small { svg::width(value) + 8.0 + left } else { label + 3.0 };
            let name = svg::truncate(series.server, edge - beside);
            let shapes = html! {
                @for mark in &series.marks { (frame.mark(mark, 0.0)) }
                @if is_small {
                    (svg::text("label strong", (left, above), START, &name))
                    (svg::text("value", (edge, above), END, value))
                } @else {
                    (svg::path("leader", &leader, &[]))
                    (svg::text("label", (label + 3.0, height + 4.0), START, &name))
                }
            };
            self.group(if is_small { "series alone" } else { "series" }, series, &shapes)
        };
        let drawn = html! {
            @if !is_small { (svg::text("quiet", (0.0, top - 12.0), START, panel.up())) }
            (frame.axes())
            g class=[(series.len() > MANY_LINES).then_some("numerous")] {
                @for line in order.into_iter().map(line) { (line) }
            }
        };
        (drawn, bottom + foot)
    }

    /// Everything that belongs to one server; at the pointer all its cells, each after its head.
    fn group(&self, class: &str, series: &Series<'_>, shapes: &Markup) -> Markup {
        let cells = self.panel.head.iter().zip(&series.cells).filter(|it| !it.1.is_empty());
        let cells: Vec<_> =
            cells.map(|it| format!("{} {}", it.0, it.1).trim().to_owned()).collect();
        html! {
            g class={ (class) " " (series.class) " " (self.look.class(series.server)) }
                data-server=[self.look.number(series.server)] {
                title { (series.server) ": " (cells.join(", ")) }
                (shapes)
            }
            "\n"
        }
    }

    fn x(&self, figure: f64) -> f64 {
        let scale = self.panel.x.scale;
        let pad = if matches!(scale, Scale::Log(..)) { 8.0 } else { 0.0 };
        self.left + pad + scale.share(figure) * (self.right - self.left - 2.0 * pad)
    }

    fn place(&self, (x, y): (f64, f64)) -> Point {
        let share = self.panel.y.as_ref().map_or(0.0, |axis| axis.scale.share(y));
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
        let Self { panel: Panel { x, y, .. }, left, right, top, bottom, .. } = *self;
        let (class, from) = if y.is_none() { ("grid", top) } else { ("axis", bottom + 4.0) };
        let below = bottom + if y.is_none() { 29.0 } else { 34.0 };
        let (mut up, mut across) = (Vec::new(), Vec::new());
        for (tick, label) in y.iter().flat_map(|axis| &axis.ticks) {
            free(&mut up, self.place((0.0, *tick)).1, TICK, label);
        }
        for (tick, label) in x.ticks.iter().filter(|(tick, _)| x.scale.contains(*tick)) {
            let (at, half) = (self.x(*tick), svg::width(label) / 2.0 + 2.0);
            if at - half > left - 26.0 && at + half < right + 14.0 {
                free(&mut across, at, half, label);
            }
        }
        html! {
            g class="axes" {
                @for (at, _, label) in up {
                    (svg::line("grid", (left, at), (right, at)))
                    (svg::text("tick", (left - 7.0, at + 4.0), END, label))
                }
                @for (at, _, label) in across {
                    (svg::line(class, (at, from), (at, bottom)))
                    (svg::text("tick", (at, bottom + 15.0), MIDDLE, label))
                }
                @if y.is_some() { (svg::line("axis", (left, bottom), (right, bottom))) }
                @if !self.is_small {
                    (svg::text("quiet", (left, below), START, x.sides[0]))
                    (svg::text("quiet", (right, below), END, x.sides[1]))
                }
            }
            "\n"
        }
    }

    /// The band around 1 that is noise, and 1 itself.
    fn noise(&self, factor: f64) -> Markup {
        let (low, high) = (self.x(1.0 / factor), self.x(factor));
        let middle = f64::midpoint(low, high).clamp(self.left + 45.0, self.right - 45.0);
        let reach = format!("A/A {}", format::noise(factor));
        html! {
            g class="band" {
                title { "noise: " (reach) }
                (svg::rect("fill", (low, self.top), (high, self.bottom)))
            }
            (svg::text("quiet", (middle, self.top - 6.0), MIDDLE, &reach))
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
                    @if !hovers.is_empty() { (svg::path("hit", &points, hovers)) }
                    (svg::path(class, &points, &[]))
                    @if has_dots { @for &point in &points { (svg::dot("point", point, 2.0)) } }
                }
            }
            Mark::Band(points) => {
                let low = points.iter().map(|&(x, low, _)| self.place((x, low)));
                let high = points.iter().rev().map(|&(x, _, high)| self.place((x, high)));
                svg::path("spread", &low.chain(high).collect::<Vec<_>>(), &[])
            }
            Mark::Bar(class, from, to, words) => {
                let (start, end) = (self.x(*from), self.x(*to));
                let bar = svg::rect(class, (start, y - 6.0), (end, y + 6.0));
                let Some([name, hover]) = words else { return bar };
                let has_room = svg::width(name) * 0.83 + 6.0 < end - start;
                let middle = (f64::midpoint(start, end), y + 3.5);
                html! {
                    g class="call" {
                        title { (hover) }
                        (bar)
                        @if has_room { (svg::text("inside", middle, MIDDLE, name)) }
                    }
                }
            }
            Mark::Across(class, from, to) => svg::line(class, (self.x(*from), y), (self.x(*to), y)),
            Mark::Dot(figure) => {
                let (x, back) = (self.x(*figure), if *figure > 1.0 { -8.0 } else { 8.0 });
                let arrow = [(x, y), (x + back, y - 4.5), (x + back, y + 4.5), (x, y)];
                match figure {
                    _ if *figure <= 0.0 => svg::dot("mark", (self.left - 3.0, y), 3.6),
                    _ if self.panel.x.scale.contains(*figure) => svg::dot("mark", (x, y), 3.6),
                    _ => svg::path("mark", &arrow, &[]),
                }
            }
            Mark::Ring(x, y) => html! {
                @if self.is_small {
                    (svg::line("knee", (self.x(*x), self.top), (self.x(*x), self.bottom)))
                }
                (svg::dot("ring", self.place((*x, *y)), 5.0))
            },
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

/// Adds a label if there is room for it at its place: half of it is before, half of it behind.
fn free<'l>(taken: &mut Vec<(f64, f64, &'l str)>, at: f64, half: f64, label: &'l str) {
    if taken.iter().all(|(other, room, _)| (at - other).abs() > half + room) {
        taken.push((at, half, label));
    }
}
