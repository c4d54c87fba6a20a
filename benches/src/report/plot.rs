//! A plot: its name, its words, its picture in two widths or why there is none, its figures. It
//! knows neither what is in it nor what page it will be in.

use super::svg::Picture;

/// How wide there is to draw. Text has one size whatever the page, so each picture is drawn for a
/// screen and again for a telephone, and the page shows the one that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// A screen's column, or a file.
    Wide,
    /// The half of that: two stand side by side.
    Half,
    /// A telephone.
    Narrow,
}

impl Width {
    /// In CSS pixels.
    pub(super) fn width(self) -> f64 {
        match self {
            Self::Wide => 960.0,
            Self::Half => 464.0,
            Self::Narrow => 343.0,
        }
    }
}

/// The size of text in a picture, as `plot.css` has it.
pub(super) const TEXT: f64 = 11.5;

/// From one row to the next.
pub(super) const ROW: f64 = 19.0;

/// Figures as text, for those who do not look at pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// What stands above each column; the first column names the rows.
    pub(super) head: Vec<String>,
    /// As many cells in each as the head has.
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one.
    pub(super) fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|&title| title.to_owned()).collect(), rows: Vec::new() }
    }
}

/// The same picture for a screen and for a telephone.
#[derive(Debug, Clone)]
pub(super) struct Pictures {
    /// Whether two of them stand side by side.
    pub(super) is_half: bool,
    /// For a screen, and as a file.
    pub(super) screen: Picture,
    /// For a telephone.
    pub(super) narrow: Picture,
}

impl Pictures {
    /// As wide as the page.
    pub(super) fn wide(draw: impl Fn(Width) -> Picture) -> Self {
        Self { is_half: false, screen: draw(Width::Wide), narrow: draw(Width::Narrow) }
    }

    /// Half as wide.
    pub(super) fn half(draw: impl Fn(Width) -> Picture) -> Self {
        Self { is_half: true, screen: draw(Width::Half), narrow: draw(Width::Narrow) }
    }
}

/// One plot.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    /// What its file is called, and part of its place in the page.
    pub(super) name: String,
    /// What is shown.
    pub(super) title: String,
    /// How to read it, in a sentence or two.
    pub(super) caption: String,
    /// The picture, or in a sentence why there is none.
    pub(super) drawn: Result<Pictures, String>,
    /// What is in the picture.
    pub(super) table: Table,
}

/// A part of a file's name, whatever it was.
pub(super) fn slug(text: &str) -> String {
    const LONGEST: usize = 40;
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().take(LONGEST).map(safe).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}
