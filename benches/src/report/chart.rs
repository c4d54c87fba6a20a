//! A chart as data: panels with axes, in them a series for each server, in it marks; and the same
//! figures as a table. It does not know places, colours or words: those are in `page.jinja`.

use super::scale::Axis;

#[derive(Debug)]
pub(super) struct Chart<'a> {
    /// Which one it is: the template has its title and caption by this name.
    pub(super) name: &'static str,
    /// Whether there is nothing to draw: the template has the reason.
    pub(super) is_missing: bool,
    /// Whether each line has a small panel of its own.
    pub(super) is_split: bool,
    /// Side by side on a screen.
    pub(super) panels: Vec<Panel<'a>>,
    /// Its cells as a table; the first column names the servers.
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
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
    /// A line along a row: its class, from, to.
    Across(&'static str, f64, f64),
    /// A figure in a row: an arrow where it is beyond the axis, before the axis where it is 0.
    Dot(f64),
    /// A circle around a point, and a vertical line through it where it is alone.
    Ring(f64, f64),
    /// A failure: the point before it, and the point of it.
    Failed((f64, f64), (f64, f64)),
}

impl<'a> Panel<'a> {
    /// A row for each series, or a line for each where there is an axis upwards.
    pub(super) fn new(head: &[&str], x: Axis, y: Option<Axis>, series: Vec<Series<'a>>) -> Self {
        let head = head.iter().map(|&title| title.to_owned()).collect();
        Self { title: "", head, shown: usize::from(y.is_none()), x, y, noise: None, series }
    }

    /// What its axis upwards is.
    pub(super) fn up(&self) -> &'static str {
        self.y.as_ref().map_or("", |y| y.sides[1])
    }
}

impl<'a> Chart<'a> {
    /// The cells of its panels, which have the same servers, are its table.
    pub(super) fn new(name: &'static str, panels: Vec<Panel<'a>>) -> Self {
        let head = panels.iter().flat_map(|panel| panel.head.clone());
        let head = std::iter::once("server".to_owned()).chain(head).collect();
        let row = |(index, series): (usize, &Series<'_>)| {
            let cells = panels.iter().flat_map(|panel| panel.series[index].cells.clone());
            std::iter::once(series.server.to_owned()).chain(cells).collect()
        };
        let rows: Vec<_> = panels[0].series.iter().enumerate().map(row).collect();
        let is_missing = rows.is_empty();
        Self { name, is_missing, is_split: false, panels, head, rows }
    }

    /// Whether two of them are side by side on a screen: those with one panel of rows.
    pub(super) fn is_half(&self) -> bool {
        self.panels.len() == 1 && self.panels[0].y.is_none()
    }
}

/// All points of lines and of their intervals: their places across, and those upwards.
pub(super) fn points(series: &[Series<'_>]) -> (Vec<f64>, Vec<f64>) {
    let of_mark = |mark: &Mark| match mark {
        Mark::Line(_, points, _) => points.clone(),
        Mark::Band(points) => points.iter().flat_map(|it| [(it.0, it.1), (it.0, it.2)]).collect(),
        _ => Vec::new(),
    };
    series.iter().flat_map(|it| &it.marks).flat_map(of_mark).unzip()
}
