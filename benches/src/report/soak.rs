//! A curve of `soak`: what a server uses over the time of a run.

use super::chart::{Chart, Mark, Panel, Series};
use super::growth::Line;
use super::scale::{Axis, Scale};
use crate::units;

/// The title of the plot, and how to read it.
pub(super) const WORDS: [&str; 2] = [
    "A server under mixed load",
    "What the processes of the server use over the time of the run. A flat line is right: what \
     comes and goes leaves nothing behind.",
];

/// What the axis of a panel is, and how its figures are shown: by the name of its line.
fn kind(name: &str) -> (&'static str, fn(f64) -> String) {
    let count = |figure: f64| format!("{figure:.0}");
    match name {
        "memory" => ("resident memory", units::size),
        "descriptors" => ("descriptors", count),
        "exchanges" => ("exchanges per second", count),
        _ => ("gauge of the server's page", count),
    }
}

/// Both axes are linear and begin at 0.
pub(super) fn chart(line: &Line) -> Chart<'_> {
    let (minutes, figures): (Vec<f64>, Vec<f64>) = line.points.iter().copied().unzip();
    let (title, show) = kind(&line.name);
    let x = Axis::new(Scale::linear(minutes), "minutes", |minutes| format!("{minutes}"));
    let last = figures.last().map_or(String::new(), |&last| show(last));
    let marks = vec![Mark::Line("line", line.points.clone(), Vec::new())];
    let series = Series { server: &line.name, class: "", cells: vec![last], marks };
    let y = Axis::new(Scale::linear(figures), title, show);
    Chart::new("soak", vec![Panel::new(&["last"], x, Some(y), vec![series])])
}
