//! SVG elements at places that are always numbers, and how much room their text needs. Escaping is
//! `maud`'s. It does not know what a chart is.

use maud::{Markup, PreEscaped, html};

/// A place: to the right, and down.
pub(super) type Point = (f64, f64);

/// The style of every picture, in a page or as a file.
pub(super) const STYLE: &str = include_str!("plot.css");

/// The side of its place at which a text begins, as `text-anchor`.
pub(super) const START: Option<&str> = None;
pub(super) const MIDDLE: Option<&str> = Some("middle");
pub(super) const END: Option<&str> = Some("end");

/// The size of text in `plot.css`, and the part of it that a letter takes in the widest font.
const TEXT: f64 = 11.5;
const LETTER: f64 = 0.6;

/// Around a picture that is a file: its margin, and the room for its title.
const MARGIN: f64 = 16.0;
const HEAD: f64 = 26.0;

pub(super) fn line(class: &str, from: Point, to: Point) -> Markup {
    let ((x1, y1), (x2, y2)) = (px(from), px(to));
    html! { line class=(class) x1=(x1) y1=(y1) x2=(x2) y2=(y2) {} }
}

/// A line through points.
pub(super) fn path(class: &str, points: &[Point]) -> Markup {
    html! { path class=(class) d=(path_data(points)) {} }
}

/// An invisible line for the pointer, with the hover text of each of its points.
pub(super) fn hover_path(points: &[Point], hovers: &[String]) -> Markup {
    html! { path class="hit" data-points=(hovers.join("|")) d=(path_data(points)) {} }
}

/// The area that points enclose.
pub(super) fn polygon(class: &str, points: &[Point]) -> Markup {
    html! { path class=(class) d={ (path_data(points)) "Z" } {} }
}

/// A rectangle between two corners.
pub(super) fn rect(class: &str, from: Point, to: Point) -> Markup {
    let (x, y) = px((from.0.min(to.0), from.1.min(to.1)));
    let (width, height) = px(((to.0 - from.0).abs(), (to.1 - from.1).abs()));
    html! { rect class=(class) x=(x) y=(y) width=(width) height=(height) {} }
}

pub(super) fn dot(class: &str, centre: Point, radius: f64) -> Markup {
    let (x, y) = px(centre);
    html! { circle class=(class) cx=(x) cy=(y) r=(radius) {} }
}

pub(super) fn text(class: &str, place: Point, anchor: Option<&str>, text: &str) -> Markup {
    let (x, y) = px(place);
    html! { text class=(class) x=(x) y=(y) text-anchor=[anchor] { (text) } }
}

/// Width and height of a picture, and what is drawn on it.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) size: Point,
    pub(super) body: Markup,
}

impl Picture {
    /// An element: a part of a page, with an id that is unique in it; or a file, with its own style
    /// and background and its title above the picture.
    pub(super) fn element(
        &self,
        id: &str,
        class: &str,
        [title, caption]: [&str; 2],
        is_file: bool,
    ) -> Markup {
        let (margin, above) = if is_file { (MARGIN, MARGIN + HEAD) } else { (0.0, 0.0) };
        let (width, height) = px((self.size.0 + 2.0 * margin, self.size.1 + above + margin));
        html! {
            svg xmlns=[is_file.then_some("http://www.w3.org/2000/svg")] class=(class)
                viewBox={ (-margin) " " (-above) " " (width) " " (height) }
                width=(width) height=(height)
                role="img" aria-labelledby={ (id) "-t " (id) "-d" } {
                title id={ (id) "-t" } { (title) }
                desc id={ (id) "-d" } { (caption) } "\n"
                @if is_file {
                    style { (PreEscaped(STYLE)) }
                    rect class="sheet" x=(-margin) y=(-above) width="100%" height="100%" {}
                    (text("title", (0.0, 12.0 - HEAD), START, title)) "\n"
                }
                (self.body)
            }
        }
    }
}

/// The text of a page or a picture: shapes without content in their short form, and a replacement
/// character for every character that XML cannot contain.
pub(super) fn finish(markup: Markup) -> String {
    let is_unsafe =
        |c: char| (c < ' ' && c != '\n' && c != '\t') || c == '\u{fffe}' || c == '\u{ffff}';
    let text = markup.into_string().replace(is_unsafe, "\u{fffd}");
    ["line", "path", "rect", "circle"]
        .iter()
        .fold(text, |text, shape| text.replace(&format!("></{shape}>"), "/>"))
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
    let mut short = text.to_owned();
    while short.pop().is_some() && width(&short) + LETTER * TEXT > room {}
    short.trim_end().to_owned() + "…"
}

/// Moves places as little as needed to be `gap` apart and between `low` and `high`, in the order
/// given. Where there is no room for all of them, they continue past `high`.
pub(super) fn separate(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let ranks = || std::iter::successors(Some(0.0), |rank| Some(rank + gap));
    // Without their gaps, places may be equal but must not fall: neighbours that would are pooled
    // at their mean, which is the nearest place for all of them.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (&index, rank) in order.iter().zip(ranks()) {
        let mut pool = (wanted[index] - rank, 1);
        while let Some((place, count)) = pools.pop_if(|before| before.0 > pool.0) {
            let sum = place * count as f64 + pool.0 * pool.1 as f64;
            pool = (sum / (count + pool.1) as f64, count + pool.1);
        }
        pools.push(pool);
    }
    let top = (high - gap * wanted.len().saturating_sub(1) as f64).max(low);
    let pooled = pools.into_iter().flat_map(|(place, count)| std::iter::repeat_n(place, count));
    let mut places = vec![0.0; wanted.len()];
    for ((index, rank), place) in order.into_iter().zip(ranks()).zip(pooled) {
        places[index] = place.clamp(low, top) + rank;
    }
    places
}

fn path_data(points: &[Point]) -> String {
    let commands = std::iter::once('M').chain(std::iter::repeat('L'));
    let points = points.iter().map(|&point| px(point)).zip(commands);
    points.map(|((x, y), command)| format!("{command}{x} {y}")).collect()
}

/// To a tenth; a place that is not a number becomes 0, so that one wrong point spoils no picture.
fn px(point: Point) -> Point {
    let round = |x: f64| if x.is_finite() { (x * 10.0).round() / 10.0 + 0.0 } else { 0.0 };
    (round(point.0), round(point.1))
}
