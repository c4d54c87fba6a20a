//! SVG elements at places that are always numbers, and how much room their text needs. Escaping is
//! `maud`'s. It does not know what a chart is.

use maud::{Markup, html};

/// A place: to the right, and down.
pub(super) type Point = (f64, f64);

/// The side of its place at which a text begins, as `text-anchor`.
pub(super) const START: Option<&str> = None;
pub(super) const MIDDLE: Option<&str> = Some("middle");
pub(super) const END: Option<&str> = Some("end");

/// The size of text in `plot.css`, and the part of it that a letter takes in the widest font.
const TEXT: f64 = 11.5;
const LETTER: f64 = 0.6;

pub(super) fn line(class: &str, from: Point, to: Point) -> Markup {
    let ((x1, y1), (x2, y2)) = (px(from), px(to));
    html! { line class=(class) x1=(x1) y1=(y1) x2=(x2) y2=(y2) {} }
}

/// A line through points, with the hover text of each if there are any.
pub(super) fn path(class: &str, points: &[Point], hovers: &[String]) -> Markup {
    let hovers = (!hovers.is_empty()).then(|| hovers.join("|"));
    let commands = std::iter::once('M').chain(std::iter::repeat('L'));
    let points = points.iter().map(|&point| px(point)).zip(commands);
    let points = points.map(|((x, y), command)| format!("{command}{x} {y}")).collect::<String>();
    html! { path class=(class) data-points=[hovers] d=(points) {} }
}

/// A rectangle between its upper left and its lower right corner.
pub(super) fn rect(class: &str, from: Point, to: Point) -> Markup {
    let ((x, y), (width, height)) = (px(from), px((to.0 - from.0, to.1 - from.1)));
    html! { rect class=(class) x=(x) y=(y) width=(width) height=(height) {} }
}

pub(super) fn dot(class: &str, centre: Point, radius: f64) -> Markup {
    let (x, y) = px(centre);
    html! { circle class=(class) cx=(x) cy=(y) r=(radius) {} }
}

pub(super) fn text(class: &str, place: Point, anchor: Option<&str>, text: &str) -> Markup {
    let (x, y) = px(place);
    html! {
        @if !text.is_empty() { text class=(class) x=(x) y=(y) text-anchor=[anchor] { (text) } }
    }
}

/// The text of a page or a picture: shapes without content in their short form, and a replacement
/// character for every character that XML cannot contain.
pub(super) fn finish(text: &str) -> String {
    let is_unsafe =
        |c: char| (c < ' ' && c != '\n' && c != '\t') || c == '\u{fffe}' || c == '\u{ffff}';
    let shapes = ["line", "path", "rect", "circle"];
    shapes.iter().fold(text.replace(is_unsafe, "\u{fffd}"), |text, shape| {
        text.replace(&format!("></{shape}>"), "/>")
    })
}

/// The width of a text, about; East Asian letters are square.
pub(super) fn width(text: &str) -> f64 {
    text.chars().map(|c| if c < '\u{2e80}' { LETTER } else { 1.0 }).sum::<f64>() * TEXT
}

/// A text that fits into `room`, with an ellipsis where something is cut off.
pub(super) fn truncate(text: &str, room: f64) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let letters = text.char_indices().map(|(at, _)| text[..at].trim_end().to_owned() + "…");
    letters.take_while(|short| width(short) <= room).last().unwrap_or_default()
}

/// Heights of labels for some points: `gap` apart and between `low` and `high`, in the order of the
/// points, each at its point or as little below as possible, or above where that has no room.
pub(super) fn separate(points: &[Point], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut heights: Vec<f64> = points.iter().map(|point| point.1).collect();
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]));
    let mut free = low;
    for &index in &order {
        heights[index] = heights[index].max(free);
        free = heights[index] + gap;
    }
    free = high;
    for &index in order.iter().rev() {
        heights[index] = heights[index].min(free);
        free = heights[index] - gap;
    }
    heights
}

/// To a tenth; a place that is not a number becomes 0, so that one wrong point spoils no picture.
fn px(point: Point) -> Point {
    let round = |x: f64| if x.is_finite() { (x * 10.0).round() / 10.0 + 0.0 } else { 0.0 };
    (round(point.0), round(point.1))
}
