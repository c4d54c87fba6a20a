//! What plots with a row for each server share: names at the left, an axis below. It knows nothing
//! of what is in the rows.

use super::labels;
use super::plot::TEXT;
use super::scale::Scale;
use super::svg::{Anchor, Canvas};

/// Below the rows: the axis.
pub(super) const FOOT: f64 = 24.0;

/// The name of a row, cut to its room.
pub(super) fn name(canvas: &mut Canvas, server: &str, room: f64, y: f64) {
    let name = labels::truncate(server, TEXT, room - 10.0);
    canvas.text("name", (0.0, y + 4.0), Anchor::Start, &name);
}

/// Faint lines from top to bottom, figures below where there is room for them.
pub(super) fn ticks(
    canvas: &mut Canvas,
    scale: &Scale,
    (top, bottom): (f64, f64),
    text: impl Fn(f64) -> String,
) {
    let mut free = f64::NEG_INFINITY;
    for tick in scale.ticks() {
        let x = scale.to_px(tick);
        canvas.line("grid", (x, top), (x, bottom));
        let text = if tick > 0.0 { text(tick) } else { "0".to_owned() };
        let half = labels::width(&text, TEXT) / 2.0;
        if x - half > free {
            canvas.text("tick", (x, bottom + 15.0), Anchor::Middle, &text);
            free = x + half + 4.0;
        }
    }
}
