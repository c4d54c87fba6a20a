//! Reads a text that `--help` prints: usage, options, lists, paragraphs.
//!
//! Knows the layout of such texts, and neither man pages nor shells.

/// A help text.
pub(crate) struct Help {
    pub(crate) about: String,
    /// The lines of the usage, without indentation.
    pub(crate) usage: Vec<String>,
    pub(crate) blocks: Vec<Block>,
}

/// A part of a help text.
pub(crate) enum Block {
    /// A line of its own before a list: `Output:`.
    Heading(String),
    Paragraph(String),
    Options(Vec<Entry>),
    /// Terms and what they mean.
    Terms(Vec<Entry>),
    /// Lines that are shown as they are.
    Literal(Vec<String>),
}

/// An option, or a term of a list.
pub(crate) struct Entry {
    /// `-v, --verbose`, `--trace[=FILE]`.
    pub(crate) name: String,
    pub(crate) text: String,
    /// Lines below the text, in a table of their own.
    pub(crate) table: Vec<String>,
}

/// Reads `text`.
pub(crate) fn parse(text: &str) -> Help {
    let lines: Vec<&str> = text.lines().collect();
    let about = lines[0].split_once(" - ").expect("NAME - ABOUT").1.to_owned();
    let begin = lines.iter().position(|line| line.starts_with("Usage: ")).expect("a usage");
    let end = (begin..lines.len()).find(|&at| lines[at].is_empty()).unwrap_or(lines.len());
    let usage = lines[begin..end].iter().map(|line| line["Usage: ".len()..].to_owned()).collect();
    let mut blocks = Vec::new();
    let mut at = end;
    while at < lines.len() {
        let line = lines[at];
        let stop = |test: &dyn Fn(&str) -> bool| {
            (at..lines.len()).find(|&at| !test(lines[at])).unwrap_or(lines.len())
        };
        if line.is_empty() {
            at += 1;
        } else if line.starts_with(' ') {
            let end = stop(&|line| line.starts_with(' '));
            push_indented(&mut blocks, &lines[at..end]);
            at = end;
        } else {
            let end = stop(&|line| !line.is_empty() && !line.starts_with(' '));
            let paragraph = lines[at..end].join(" ");
            let is_heading = end == at + 1 && line.ends_with(':') && lines[at - 1].is_empty();
            blocks.push(if is_heading {
                Block::Heading(paragraph.trim_end_matches(':').to_owned())
            } else {
                Block::Paragraph(paragraph)
            });
            at = end;
        }
    }
    Help { about, usage, blocks }
}

/// Adds the block that a run of indented lines is.
fn push_indented(blocks: &mut Vec<Block>, lines: &[&str]) {
    let after_examples = matches!(blocks.last(), Some(Block::Heading(h)) if h == "Examples");
    if lines[0].trim_start().starts_with('-') {
        blocks.push(Block::Options(entries(lines, |line| line.trim_start().starts_with('-'))));
    } else if !after_examples && lines.iter().all(|line| is_list_row(line)) {
        let base = indent(lines[0]);
        blocks.push(Block::Terms(entries(lines, |line| indent(line) == base)));
    } else {
        let base = lines.iter().map(|line| indent(line)).min().unwrap_or(0);
        blocks.push(Block::Literal(lines.iter().map(|line| line[base..].to_owned()).collect()));
    }
}

/// Whether a line is a term and its text, or more of that text.
fn is_list_row(line: &str) -> bool {
    indent(line) > 10 || split(line).1.is_some()
}

/// The entries of a list; `begins` recognises the first line of one.
fn entries(lines: &[&str], begins: impl Fn(&str) -> bool) -> Vec<Entry> {
    let mut entries: Vec<(Entry, usize)> = Vec::new();
    for line in lines {
        if begins(line) {
            let (name, text) = split(line);
            let column = text.map_or(usize::MAX, |(_, column)| column);
            let text = text.map_or(String::new(), |(text, _)| text.to_owned());
            entries.push((Entry { name: name.to_owned(), text, table: Vec::new() }, column));
        } else if let Some((entry, column)) = entries.last_mut() {
            if *column == usize::MAX {
                *column = indent(line);
            }
            let words = line.trim();
            if entry.table.is_empty() && (indent(line) <= *column || words.starts_with('[')) {
                entry.text.push(' ');
                entry.text.push_str(words);
            } else if indent(line) == *column {
                entry.table.push(words.to_owned());
            } else {
                entry.table.push(line[*column..].to_owned());
            }
        }
    }
    entries
        .into_iter()
        .map(|(entry, _)| Entry { text: single_spaces(&entry.text), ..entry })
        .collect()
}

/// A line as its name, and the text behind it with its column.
fn split(line: &str) -> (&str, Option<(&str, usize)>) {
    let begin = indent(line);
    let end = begin + if line[begin..].starts_with('-') { option_len(&line[begin..]) } else { 0 };
    let gap = line[end..].find("  ").unwrap_or(line.len() - end);
    let gap = if end > begin { 0 } else { gap };
    let rest = &line[end + gap..];
    if rest.trim().is_empty() {
        return (line.trim(), None);
    }
    let column = end + gap + indent(rest);
    (&line[begin..end + gap], Some((&line[column..], column)))
}

/// How long an option is: its flags, and the words in capitals that stand for its values.
fn option_len(line: &str) -> usize {
    let is_value = |word: &str| word.chars().all(|c| c.is_ascii_uppercase() || "[],".contains(c));
    let mut len = 0;
    for word in line.split_inclusive(' ') {
        let text = word.trim_end();
        if text.is_empty() || !(text.starts_with('-') || is_value(text)) {
            break;
        }
        len += word.len();
    }
    line[..len].trim_end().len()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn single_spaces(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
