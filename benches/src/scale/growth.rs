//! The results as data, as tables for a terminal, and as lines for a plot.

use serde::{Deserialize, Serialize};

use crate::report::Line;
use crate::schema::Machine;
use crate::stats::Estimate;
use crate::table::Grid;
use crate::units;

/// What `scale` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Where it ran.
    pub machine: Machine,
    /// When: RFC 3339, UTC.
    pub date: String,
    /// The commit of the sources.
    pub commit: Option<String>,
    /// Measured rounds, after one warm-up round.
    pub rounds: usize,
    /// Memory of the library, by size.
    pub memory: Vec<Memory>,
    /// Time, by kernel.
    pub kernels: Vec<KernelGrowth>,
}

/// Bytes that the library holds for each connection: the least and the most while their number
/// grew to two thirds of this size and on to it, since the slab and the heap grow in steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// How many connections.
    pub connections: u64,
    /// Without deadlines: one slot of the slab.
    pub bytes_per_connection: [f64; 2],
    /// With a deadline for each.
    pub with_deadlines: [f64; 2],
}

/// What an event costs on one kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelGrowth {
    /// The name of its line.
    pub name: String,
    /// The kernel.
    pub what: String,
    /// The smallest size once more, divided by the smallest size: the A/A control.
    pub control: Estimate,
    /// From the smallest size to the largest.
    pub sizes: Vec<Size>,
}

/// What an event costs with so many connections: processor time, medians over the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// How many connections.
    pub connections: u64,
    /// Nanoseconds per event, kernel included.
    pub event_ns: Estimate,
    /// Divided by that of the smallest size, in the same round.
    pub ratio: Estimate,
    /// Nanoseconds per event of the same system calls without the library; `None` where they were
    /// not made.
    pub calls_ns: Option<Estimate>,
    /// Divided by that of the smallest size.
    pub calls_ratio: Option<Estimate>,
}

/// The table of memory.
pub(super) fn memory_table(memory: &[Memory]) -> String {
    let mut grid = Grid::new(["connections", "bytes each", "with deadlines"]);
    for it in memory {
        let range = |[least, most]: [f64; 2]| format!("{least:.0} to {most:.0}");
        let connections = units::grouped(it.connections);
        grid.add(vec![connections, range(it.bytes_per_connection), range(it.with_deadlines)]);
    }
    format!("bytes of the library for each idle connection\n{}", grid.render())
}

/// The table of one kernel.
pub(super) fn kernel_table(kernel: &KernelGrowth) -> String {
    let mut grid = Grid::new(["connections", "event", "ratio", "interval", "calls alone", "ratio"]);
    let factor = |it: f64| format!("{it:.2}");
    let interval = |it: Estimate| format!("{:.2} to {:.2}", it.low, it.high);
    for size in &kernel.sizes {
        let or_none = |it: Option<String>| it.unwrap_or_else(|| "-".to_owned());
        grid.add(vec![
            units::grouped(size.connections),
            units::time(size.event_ns.median),
            factor(size.ratio.median),
            interval(size.ratio),
            or_none(size.calls_ns.map(|it| units::time(it.median))),
            or_none(size.calls_ratio.map(|it| factor(it.median))),
        ]);
    }
    let (what, control) = (&kernel.what, kernel.control);
    let noise = format!("A/A {:.2}, {}", control.median, interval(control));
    format!("processor time of an event: {what}\n{}{noise}\n", grid.render())
}

impl Growth {
    /// The lines of the plot.
    pub(super) fn lines(&self) -> Vec<Line> {
        let of =
            |kernel: &KernelGrowth, class, name: String, figure: &dyn Fn(&Size) -> Option<f64>| {
                let point = |size: &Size| Some((size.connections as f64, figure(size)?));
                Line { name, class, points: kernel.sizes.iter().filter_map(point).collect() }
            };
        let looks = ["ours", "many", "rust", "c"];
        let lines = self.kernels.iter().zip(looks).flat_map(|(kernel, class)| {
            let whole = of(kernel, class, kernel.name.clone(), &|it| Some(it.event_ns.median));
            // What answers at once has no share worth a line.
            let calls = |it: &Size| Some(it.calls_ns?.median).filter(|_| class != "ours");
            let calls = of(kernel, "other", format!("{}: calls", kernel.name), &calls);
            [whole, calls]
        });
        lines.filter(|line| !line.points.is_empty()).collect()
    }
}
