//! A grid for a terminal of 80 columns: columns that do not fit are moved to a block below, and
//! cells that do not fit at all are truncated.

/// Width of a terminal.
pub(crate) const WIDTH: usize = 80;

/// Maximum length of a name: the first column is repeated in every block.
const NAME_MAX: usize = 20;

/// A table under construction.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Spaces between two columns.
    pub(crate) gap: usize,
    /// The column that always starts a new block, for figures of another kind.
    pub(crate) below: Option<usize>,
}

impl Grid {
    pub(crate) fn new(head: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            head: head.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
            gap: 2,
            below: None,
        }
    }

    /// Adds a row; the first cell is its name.
    pub(crate) fn add(&mut self, mut row: Vec<String>) {
        if let Some(name) = row.first_mut() {
            *name = cut(name, NAME_MAX);
        }
        self.rows.push(row);
    }

    /// Formats the grid as blocks, each with the names and as many columns as fit.
    pub(crate) fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.head.len()).map(|column| self.width(column)).collect();
        let Some((&names, others)) = widths.split_first() else { return String::new() };
        let mut blocks: Vec<Vec<usize>> = Vec::new();
        let mut used = WIDTH;
        for (column, width) in (1..).zip(others) {
            let width = self.gap + width;
            if used + width > WIDTH || self.below == Some(column) {
                (used, blocks) = (names, [blocks, vec![vec![0]]].concat());
            }
            used += width;
            blocks.last_mut().into_iter().for_each(|block| block.push(column));
        }
        if blocks.is_empty() {
            blocks.push(vec![0]);
        }
        let block = |columns: &Vec<usize>| -> String {
            let rows = std::iter::once(&self.head).chain(&self.rows);
            rows.map(|row| self.line(row, columns, &widths)).collect()
        };
        blocks.iter().map(block).collect::<Vec<_>>().join("\n")
    }

    fn line(&self, row: &[String], columns: &[usize], widths: &[usize]) -> String {
        let cell = |&column: &usize| {
            let room =
                widths[column].min(WIDTH - if column == 0 { 0 } else { widths[0] + self.gap });
            let text = row.get(column).map_or(String::new(), |text| cut(text, room));
            let rest = " ".repeat(room - text.chars().count());
            if column == 0 || self.is_text(column) { text + &rest } else { rest + &text }
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        format!("{}\n", cells.join(&" ".repeat(self.gap)).trim_end())
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widths = cells.chain(self.head.get(column)).map(|cell| cell.chars().count());
        widths.max().unwrap_or_default()
    }

    /// Whether a column contains text, which is left-aligned, or figures.
    fn is_text(&self, column: usize) -> bool {
        ["server", "result", "version", "what"].contains(&self.head[column].as_str())
    }
}

/// Truncates a text to at most `most` characters, with an ellipsis.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Folds lines to the width of a terminal; continuation lines are indented.
pub(crate) fn folded(text: &str) -> String {
    text.lines().map(|line| fold(line) + "\n").collect()
}

fn fold(line: &str) -> String {
    let indent = " ".repeat(line.len() - line.trim_start_matches(' ').len() + 2);
    let options = textwrap::Options::new(WIDTH).subsequent_indent(&indent).break_words(false);
    textwrap::fill(line, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_do_not_fit_start_a_new_block() {
        let mut grid = Grid::new(
            ["server".to_owned()].into_iter().chain((0..12).map(|it| format!("column {it}"))),
        );
        grid.add((0..13).map(|cell| format!("{cell}")).collect());
        let text = grid.render();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("server")).count(), 2, "{text}");
        assert!((0..12).all(|column| text.contains(&format!("column {column}"))), "{text}");
    }

    #[test]
    fn cells_that_do_not_fit_are_truncated() {
        let mut grid = Grid::new(["server", "what", "msg/s"]);
        grid.add(["a name of far too many letters".into(), "word ".repeat(40), "1".into()].into());
        let text = grid.render();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("a name of far too m…"), "{text}");
    }

    #[test]
    fn a_long_line_is_folded_with_an_indent() {
        let long = format!("  {}end", "seven77 ".repeat(12));
        let text = folded(&format!("short\n{long}\n"));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.starts_with("short\n  seven77") && text.contains("\n    seven77"), "{text}");
        assert_eq!(text.split_whitespace().count(), 14, "{text}");
    }
}
