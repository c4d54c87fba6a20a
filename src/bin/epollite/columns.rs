//! Text in columns, for a terminal of 80.

/// The width of a page.
pub(crate) const COLUMNS: usize = 80;

/// The lines of `text`, none longer than `width`: broken at spaces, a longer word anywhere.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
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

/// `text` behind `label`; its further lines begin below the end of the label.
pub(crate) fn behind(label: &str, text: &str) -> String {
    let indent = label.chars().count();
    let lines = wrap(text, COLUMNS - indent);
    let mut page = String::new();
    for (at, line) in lines.iter().enumerate() {
        let start = if at == 0 { label.to_owned() } else { " ".repeat(indent) };
        page += &format!("{}\n", format!("{start}{line}").trim_end());
    }
    page
}

/// Without control characters, which a terminal would obey.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces_or_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        let text = "word ".repeat(30);
        let page = behind("label: ", &text);
        assert!(page.lines().count() > 1 && page.lines().all(|line| line.len() <= COLUMNS));
        assert!(page.lines().skip(1).all(|line| line.starts_with("       word")));
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(one_line("a\n\x1b[1m"), "a??[1m");
    }
}
