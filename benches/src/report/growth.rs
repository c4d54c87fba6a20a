//! The plot of `scale`: a time by the number of connections, a line for each kernel.

use super::chart::{self, Chart, Mark, Panel, Series};
use super::format;
use super::scale::{Axis, Scale};
use super::view::{Look, Styles};
use crate::units;

/// The title of the plot, and how to read it.
pub(super) const WORDS: [&str; 2] = [
    "An event by connections",
    "Processor time of an event with 64 busy connections among so many, each with an idle \
     deadline; in turn: with all of them busy. Both axes are logarithmic. Calls: the kernel's \
     share, the same system calls without the library.",
];

/// A line of the plot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// Its colour, a class in `plot.css`.
    pub(crate) class: &'static str,
    /// Connections, and nanoseconds.
    pub(crate) points: Vec<(f64, f64)>,
}

/// The looks of the lines, each a family of its own.
pub(super) fn styles(lines: &[Line]) -> Styles {
    lines.iter().map(|line| (line.name.clone(), format!("{} shade-0", line.class))).collect()
}

/// Both axes are logarithmic: equal distances are equal factors.
pub(super) fn chart(lines: &[Line]) -> Chart<'_> {
    let series: Vec<Series<'_>> = lines.iter().map(series).collect();
    let (connections, times) = chart::points(&series);
    let ticks = connections.iter().map(|&count| (count, format::amount(count))).collect();
    let x = Axis { scale: Scale::around(connections), ticks, sides: ["", "connections"] };
    let y = Axis::new(Scale::around(times), "processor time of an event", units::time);
    Chart::new("growth", vec![Panel::new(&["largest"], x, Some(y), series)])
}

fn series(line: &Line) -> Series<'_> {
    let hover =
        |&(at, nanos): &(f64, f64)| format!("{}: {}", format::amount(at), units::time(nanos));
    let hovers = line.points.iter().map(hover).collect();
    let last = line.points.last().map_or(String::new(), |last| units::time(last.1));
    let marks = vec![Mark::Line("line", line.points.clone(), hovers)];
    Series { server: &line.name, class: "", cells: vec![last], marks }
}

/// How they look: none of them is a reference, or the reader's own.
pub(super) const fn look(styles: &Styles) -> Look<'_> {
    Look { reference: "", servers: &[], styles }
}
