//! A chart as data: panels with axes, in them a series for each server, in it marks; and the same
//! figures as a table. It does not know places or colours.

use super::scale::Scale;
use super::view::View;

/// More lines than these cannot be told apart in one panel.
const TOGETHER_MAX: usize = 8;

/// One chart.
#[derive(Debug, Default)]
pub(super) struct Chart<'a> {
    /// The name of its file, and part of its id in the page.
    pub(super) name: String,
    pub(super) title: String,
    /// The case it belongs to, if it is not about all of them.
    pub(super) case: Option<&'a str>,
    pub(super) caption: String,
    /// Why there is no picture, if there is none.
    pub(super) missing: Option<String>,
    /// Whether two of them are side by side on a screen.
    pub(super) is_half: bool,
    /// Panels side by side on a screen; a phone has half of them.
    pub(super) columns: usize,
    /// The class and the name of each colour that is not a server's.
    pub(super) key: Vec<(String, String)>,
    pub(super) panels: Vec<Panel<'a>>,
    pub(super) table: Table,
}

/// Series over common axes.
#[derive(Debug, Clone)]
pub(super) struct Panel<'a> {
    pub(super) title: &'static str,
    /// What the cells of its series are.
    pub(super) head: Vec<String>,
    /// The number of cells that are beside the marks.
    pub(super) shown: usize,
    pub(super) x: Axis,
    /// `None`: a row for each series.
    pub(super) y: Option<Axis>,
    /// The factor around 1 that is noise.
    pub(super) noise: Option<f64>,
    pub(super) series: Vec<Series<'a>>,
    /// The line of the reference, for comparison.
    pub(super) guide: Vec<(f64, f64)>,
}

/// An axis, its labels, and the words at its two sides.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) sides: [&'static str; 2],
}

/// What one server contributes.
#[derive(Debug, Clone)]
pub(super) struct Series<'a> {
    pub(super) server: &'a str,
    /// Further classes: `none` is a series that shows no difference.
    pub(super) class: &'static str,
    /// Its figures as text: in the table, at the pointer, beside the marks.
    pub(super) cells: Vec<String>,
    pub(super) marks: Vec<Mark>,
}

/// Something to see, in the figures of the axes.
#[derive(Debug, Clone)]
pub(super) enum Mark {
    /// A line, and the hover text of each of its points.
    Line(&'static str, Vec<(f64, f64)>, Vec<String>),
    /// The interval of a line: x, low, high.
    Band(Vec<(f64, f64, f64)>),
    /// A part of a bar: its class, from, to, its own name and figure if it has them.
    Bar(String, f64, f64, Option<[String; 2]>),
    /// An interval in a row.
    Whisker(f64, f64),
    /// A thin line to a figure in a row.
    Stem(f64),
    /// A figure in a row: an arrow where it is beyond the axis, before the axis where it is 0.
    Dot(f64),
    /// A circle around a point.
    Ring(f64, f64),
    /// A vertical line.
    Rule(f64),
    /// A failure: the point before it, and the point of it.
    Failed((f64, f64), (f64, f64)),
}

/// Figures as text; the first column names the rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { head: head.iter().map(|&title| title.to_owned()).collect(), rows }
    }

    /// The cells of panels with the same servers, side by side.
    pub(super) fn of_panels(panels: &[Panel<'_>]) -> Self {
        let heads = panels.iter().flat_map(|panel| panel.head.iter().cloned());
        let servers = panels.first().map_or(&[][..], |panel| &panel.series);
        let row = |(index, series): (usize, &Series<'_>)| {
            let cells = panels.iter().flat_map(|panel| panel.series[index].cells.clone());
            std::iter::once(series.server.to_owned()).chain(cells).collect()
        };
        let rows = servers.iter().enumerate().map(row).collect();
        Self { head: std::iter::once("server".to_owned()).chain(heads).collect(), rows }
    }
}

impl Axis {
    /// An axis with labels at round figures.
    pub(super) fn new(scale: Scale, title: &'static str, show: fn(f64) -> String) -> Self {
        let label = |tick: f64| if tick > 0.0 { show(tick) } else { "0".to_owned() };
        let ticks = scale.ticks().into_iter().map(|tick| (tick, label(tick))).collect();
        Self { scale, ticks, sides: ["", title] }
    }
}

impl<'a> Panel<'a> {
    /// A row for each series, or a line for each where there is an axis upwards.
    pub(super) fn new(head: &[&str], x: Axis, y: Option<Axis>, series: Vec<Series<'a>>) -> Self {
        let head = head.iter().map(|&title| title.to_owned()).collect();
        let shown = usize::from(y.is_none());
        Self { title: "", head, shown, x, y, noise: None, series, guide: Vec::new() }
    }

    /// A panel for each series, the reader's own servers first.
    pub(super) fn split(&self, view: View<'_>, with_guide: bool) -> Vec<Self> {
        let is_reference = |series: &&Series<'a>| series.server == view.record.reference;
        let reference = self.series.iter().find(is_reference).filter(|_| with_guide);
        let guide = reference.and_then(|series| series.marks.iter().find_map(Mark::line));
        let panel = |series: &Series<'a>| Self {
            guide: guide.filter(|_| !is_reference(&series)).map(<[_]>::to_vec).unwrap_or_default(),
            series: vec![series.clone()],
            ..Self { series: Vec::new(), ..self.clone() }
        };
        let mut panels: Vec<Self> = self.series.iter().map(panel).collect();
        panels.sort_by_key(|panel| !view.is_own(panel.series[0].server));
        panels
    }
}

impl Series<'_> {
    /// What is shown at the pointer: all its cells, each after its head.
    pub(super) fn hover(&self, head: &[String]) -> String {
        let cells = head.iter().zip(&self.cells).filter(|(_, cell)| !cell.is_empty());
        let cells = cells.map(|(head, cell)| format!("{head} {cell}").trim().to_owned());
        format!("{}: {}", self.server, cells.collect::<Vec<_>>().join(", "))
    }
}

impl Mark {
    pub(super) fn line(&self) -> Option<&[(f64, f64)]> {
        if let Self::Line(_, points, _) = self { Some(points) } else { None }
    }
}

impl<'a> Chart<'a> {
    /// One panel, and its cells as a table.
    pub(super) fn new(panel: Panel<'a>) -> Self {
        let panels = vec![panel];
        Self { columns: 1, table: Table::of_panels(&panels), panels, ..Self::default() }
    }

    /// Its name, its title, how to read it, and why there is no picture, if there is none.
    pub(super) fn named(
        self,
        name: &str,
        title: &str,
        caption: impl Into<String>,
        missing: Option<impl Into<String>>,
    ) -> Self {
        let [name, title] = [name, title].map(str::to_owned);
        Self { name, title, caption: caption.into(), missing: missing.map(Into::into), ..self }
    }

    /// Lines: all in one panel, or each in its own where they are too many, with the reference.
    pub(super) fn lines(view: View<'_>, panel: Panel<'a>) -> Self {
        let chart = Self::new(panel);
        if chart.panels[0].series.len() <= TOGETHER_MAX {
            return chart;
        }
        Self { columns: 4, panels: chart.panels[0].split(view, true), ..chart }
    }

    /// The title with its case.
    pub(super) fn full_title(&self) -> String {
        self.case.map_or(String::new(), |case| format!("{case}: ")) + &self.title
    }
}
