//! Rows and columns for a terminal of 80 columns: what does not fit beside each other stands below, and
//! what does not fit at all is cut or folded. It knows nothing of what is in the cells.

/// How wide a terminal is, unless somebody has made it wider.
pub(crate) const WIDTH: usize = 80;

/// Spaces between two columns, and between those of a grid that would not fit otherwise.
const GAP: usize = 2;
const NARROW_GAP: usize = 1;

/// Letters of a name, at most: the first column is in every block.
const NAME_MAX: usize = 20;

/// A table to be.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    gap: usize,
    /// The column with which a block begins, wherever it would fit.
    below: Option<usize>,
}

impl Grid {
    /// Without rows.
    pub(crate) fn new(head: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            head: head.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
            gap: GAP,
            below: None,
        }
    }

    /// The same, with its columns closer together.
    pub(crate) fn narrow(self) -> Self {
        Self { gap: NARROW_GAP, ..self }
    }

    /// The same; from this column on they stand below the others, as figures of another kind.
    pub(crate) fn with_below(self, title: &str) -> Self {
        let below = self.head.iter().position(|head| head == title);
        Self { below, ..self }
    }

    /// One more row; the first cell is its name.
    pub(crate) fn add(&mut self, mut row: Vec<String>) {
        if let Some(name) = row.first_mut() {
            *name = cut(name, NAME_MAX);
        }
        self.rows.push(row);
    }

    /// As text: blocks below each other, each with the names and as many columns as fit.
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
            if column == 0 || self.is_words(column) { text + &rest } else { rest + &text }
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        format!("{}\n", cells.join(&" ".repeat(self.gap)).trim_end())
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widths = cells.chain(self.head.get(column)).map(|cell| cell.chars().count());
        widths.max().unwrap_or_default()
    }

    /// Whether a column has words, which stand to the left, or figures.
    fn is_words(&self, column: usize) -> bool {
        ["server", "verdict", "version", "what"].contains(&self.head[column].as_str())
    }
}

/// A text of so many letters at most, with a mark where something was cut off.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The same lines, none of them wider than a terminal: the rest of a long one stands below it, further
/// in.
pub(crate) fn folded(text: &str) -> String {
    text.lines().map(|line| fold(line) + "\n").collect()
}

fn fold(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    let indent = line.chars().take_while(|c| *c == ' ').count();
    let mut lines = vec![String::new()];
    for (index, word) in line.split(' ').enumerate() {
        let last = lines.last().map_or(0, |last| last.chars().count());
        if index > indent && last + 1 + word.chars().count() > WIDTH {
            lines.push(" ".repeat(indent + 2) + word);
        } else if let Some(last) = lines.last_mut() {
            last.push_str(if index == 0 { "" } else { " " });
            last.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_beside_stands_below() {
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
    fn what_does_not_fit_at_all_is_cut() {
        let mut grid = Grid::new(["server", "what", "msg/s"]);
        grid.add(["a name of far too many letters".into(), "word ".repeat(40), "1".into()].into());
        let text = grid.render();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("a name of far too m…"), "{text}");
    }

    #[test]
    fn a_long_line_is_folded_further_in() {
        let long = format!("  {}end", "seven77 ".repeat(12));
        let text = folded(&format!("short\n{long}\n"));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.starts_with("short\n  seven77") && text.contains("\n    seven77"), "{text}");
        assert_eq!(text.split_whitespace().count(), 14, "{text}");
    }
}
