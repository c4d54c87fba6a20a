//! Writes SVG: shapes and words, escaped, at places that are always numbers. It has never heard of
//! a server.
//!
//! It is our own and not `plotters`, which writes colours into every shape: a picture that is right
//! by day and by night needs classes that a style sheet can turn, and text that stays text.

use std::fmt::Write;

/// A place: to the right, and down.
pub(super) type Point = (f64, f64);

/// On which side of its place a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Begins there.
    Start,
    /// Is centred on it.
    Middle,
    /// Ends there.
    End,
}

/// What is drawn on, shape by shape.
#[derive(Debug, Clone, Default)]
pub(super) struct Canvas {
    text: String,
}

impl Canvas {
    /// Begins a group: its class, and the number of the server it belongs to.
    pub(super) fn open(&mut self, class: &str, server: Option<usize>) {
        let server = server.map(|it| format!(" data-server=\"{it}\"")).unwrap_or_default();
        self.put(format_args!("<g class=\"{}\"{server}>", escape(class)));
    }

    /// Ends the group.
    pub(super) fn close(&mut self) {
        self.text.push_str("</g>\n");
    }

    /// What is said of the group just begun when somebody points at it.
    pub(super) fn title(&mut self, text: &str) {
        self.put(format_args!("<title>{}</title>", escape(text)));
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, from: Point, to: Point) {
        let ((x1, y1), (x2, y2)) = (format_px(from), format_px(to));
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    /// A line through points.
    pub(super) fn path(&mut self, class: &str, points: &[Point]) {
        self.put(format_args!("<path class=\"{class}\" d=\"{}\"/>", path_data(points)));
    }

    /// A line that nobody sees, to be pointed at; of each point it is known what is to be said.
    pub(super) fn hover_points(&mut self, points: &[Point], says: &[String]) {
        let (course, says) = (path_data(points), escape(&says.join("|")));
        let says = if says.is_empty() { says } else { format!(" data-says=\"{says}\"") };
        self.put(format_args!("<path class=\"hit\"{says} d=\"{course}\"/>"));
    }

    /// What points enclose.
    pub(super) fn polygon(&mut self, class: &str, points: &[Point]) {
        self.put(format_args!("<path class=\"{class}\" d=\"{}Z\"/>", path_data(points)));
    }

    /// An upright rectangle between two corners.
    pub(super) fn rect(&mut self, class: &str, from: Point, to: Point) {
        let (x, y) = format_px((from.0.min(to.0), from.1.min(to.1)));
        let (width, height) = format_px(((to.0 - from.0).abs(), (to.1 - from.1).abs()));
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        ));
    }

    /// A dot.
    pub(super) fn dot(&mut self, class: &str, centre: Point, radius: f64) {
        let (x, y) = format_px(centre);
        self.put(format_args!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>"));
    }

    /// A text on the line at `place`.
    pub(super) fn text(&mut self, class: &str, place: Point, anchor: Anchor, text: &str) {
        let (x, y) = format_px(place);
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let text = escape(text);
        self.put(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>"));
    }

    fn put(&mut self, shape: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{shape}");
    }
}

/// A picture that is done.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    width: f64,
    height: f64,
    text: String,
}

impl Picture {
    /// What was drawn, on a sheet of this size.
    pub(super) fn new(width: f64, height: f64, canvas: Canvas) -> Self {
        Self { width, height, text: canvas.text }
    }

    /// As a part of a page; `id` is its own in the page.
    pub(super) fn inline(&self, id: &str, class: &str, title: &str, what: &str) -> String {
        self.element(&format!(" class=\"{class}\""), id, title, what, "")
    }

    /// As a file, with its own style and its title above it.
    pub(super) fn file(&self, title: &str, what: &str, style: &str) -> String {
        let mut canvas = Canvas::default();
        canvas.text("title", (0.0, HEAD_TEXT - HEAD), Anchor::Start, title);
        let head = format!(
            "<style>{style}</style>\n<rect class=\"sheet\" x=\"{}\" y=\"{}\" width=\"100%\" \
             height=\"100%\"/>\n{}",
            -MARGIN,
            -HEAD - MARGIN,
            canvas.text
        );
        self.element(
            " xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\"",
            "plot",
            title,
            what,
            &head,
        )
    }

    fn element(&self, attributes: &str, id: &str, title: &str, what: &str, head: &str) -> String {
        let (margin, top) = if head.is_empty() { (0.0, 0.0) } else { (MARGIN, MARGIN + HEAD) };
        let (width, height) = format_px((self.width + 2.0 * margin, self.height + top + margin));
        let (title, what, body) = (escape(title), escape(what), &self.text);
        format!(
            "<svg{attributes} viewBox=\"{} {} {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{what}</desc>\n\
             {head}{body}</svg>\n",
            -margin, -top,
        )
    }
}

/// Around a picture that is a file: room at the edges, for its title, and where that stands.
const MARGIN: f64 = 16.0;
const HEAD: f64 = 26.0;
const HEAD_TEXT: f64 = 12.0;

/// Text as it may stand in HTML and XML, between tags or in an attribute. What XML cannot hold at
/// all becomes a replacement character.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' => safe.push(' '),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

fn path_data(points: &[Point]) -> String {
    let mut text = String::new();
    for (index, &point) in points.iter().enumerate() {
        let (x, y) = format_px(point);
        let _ = write!(text, "{}{x} {y}", if index == 0 { "M" } else { "L" });
    }
    text
}

/// To a tenth, and never what is no number: a picture with one wrong point is still a picture.
fn format_px(point: Point) -> Point {
    let round = |x: f64| if x.is_finite() { (x * 10.0).round() / 10.0 + 0.0 } else { 0.0 };
    (round(point.0), round(point.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_text_stays_text() {
        assert_eq!(escape("<a b=\"c\">&'"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
        assert_eq!(escape("a\u{0}b\u{1b}c\nd"), "a\u{fffd}b\u{fffd}c d");
    }

    #[test]
    fn a_place_is_always_a_number() {
        let mut canvas = Canvas::default();
        canvas.path("x", &[(f64::NAN, 1.0), (f64::INFINITY, 2.26)]);
        assert_eq!(canvas.text, "<path class=\"x\" d=\"M0 1L0 2.3\"/>\n");
    }
}
