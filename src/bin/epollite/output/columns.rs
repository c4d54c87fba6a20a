//! Text in columns: wrapped at spaces, for a terminal of 80 columns.

/// The width of every page.
pub(crate) const COLUMNS: usize = 80;

/// The lines of `text`, none longer than `width` where there is a space to break it, or else
/// broken anywhere. Control characters are replaced.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_ascii_whitespace() {
        let mut word: Vec<char> = one_line(word).chars().collect();
        let used = line.chars().count();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        }
        while word.len() > width {
            lines.push(word.drain(..width).collect());
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// `text` behind `label`, which stands as it is; further lines begin below the first one's text.
pub(crate) fn labelled(label: &str, text: &str) -> String {
    let indent = label.chars().count();
    let mut page = String::new();
    for (at, line) in wrap(text, COLUMNS - indent).iter().enumerate() {
        let start = if at == 0 { label.to_owned() } else { " ".repeat(indent) };
        page += &format!("{}\n", format!("{start}{line}").trim_end());
    }
    page
}

/// A row: cells with their widths, each wrapped. A cell that is too wide for its column continues
/// on the next line.
pub(crate) fn columns(cells: &[(&str, usize)]) -> String {
    let wrapped: Vec<Vec<String>> = cells
        .iter()
        .map(|(text, width)| {
            let indent = text.chars().take_while(|c| *c == ' ').count();
            let lines = wrap(text, width.saturating_sub(indent + 1).max(1));
            lines.into_iter().map(|line| " ".repeat(indent) + &line).collect()
        })
        .collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    let mut row = String::new();
    for at in 0..height {
        let mut line = String::new();
        for (cell, (_, width)) in wrapped.iter().zip(cells) {
            let text = cell.get(at).map_or("", String::as_str);
            line.push_str(text);
            line.push_str(&" ".repeat(width.saturating_sub(text.chars().count())));
        }
        row.push_str(line.trim_end());
        row.push('\n');
    }
    row
}

/// Without control characters, which a terminal would obey.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_at_spaces_or_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn further_lines_begin_below_the_first_text() {
        let page = labelled("label:  ", &"word ".repeat(30));
        assert!(page.lines().count() > 1 && page.lines().all(|line| line.len() <= COLUMNS));
        assert!(page.lines().skip(1).all(|line| line.starts_with("        word")));
    }

    #[test]
    fn cells_stand_beside_each_other() {
        let row = columns(&[("a b", 3), ("  cc dd", 6), ("e", 2)]);
        assert_eq!(row, "a    cc  e\nb    dd\n");
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(one_line("a\n\x1b[1m"), "a??[1m");
        assert_eq!(wrap("a \x1b[1m", 9), ["a ?[1m"]);
    }
}
