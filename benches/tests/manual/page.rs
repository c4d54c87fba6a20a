//! Writes a man page, in the language of man(7).

use roff::{Inline, Roff, bold, italic, roman};

use crate::help::{Block, Entry, Help};

/// The version that pages name.
pub(crate) const VERSION: &str = concat!("epollite ", env!("CARGO_PKG_VERSION"));

/// When the form of the pages was last changed. What they describe is told by the version.
pub(crate) const DATE: &str = "2026-11-30";

/// A page while it is written.
pub(crate) struct Page {
    roff: Roff,
    /// Whether a section has just begun: its first paragraph needs no macro.
    is_fresh: bool,
}

impl Page {
    /// Begins a page: its title line, and its name with what it is.
    pub(crate) fn new(title: &str, section: &str, names: &str, about: &str) -> Self {
        let manual = if section == "1" { "User Commands" } else { "Library Functions" };
        let mut page = Self { roff: Roff::new(), is_fresh: false };
        page.roff.control("TH", [title, section, DATE, VERSION, manual]);
        page.heading("NAME");
        page.text(&format!("{names} - {about}"));
        page
    }

    pub(crate) fn render(&self) -> String {
        self.roff.render()
    }

    pub(crate) fn heading(&mut self, title: &str) {
        self.roff.control("SH", [title]);
        self.is_fresh = true;
    }

    fn subheading(&mut self, title: &str) {
        self.roff.control("SS", [title]);
        self.is_fresh = true;
    }

    fn text(&mut self, text: &str) {
        self.roff.text([roman(text)]);
        self.is_fresh = false;
    }

    pub(crate) fn paragraph(&mut self, text: &str) {
        if !self.is_fresh {
            self.roff.control("PP", []);
        }
        self.text(text);
    }

    /// Lines as they are, without indentation: lines of help have up to 80 columns.
    pub(crate) fn literal<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        if !self.is_fresh {
            self.roff.control("PP", []);
        }
        self.roff.control("in", ["0"]);
        self.unfilled(lines);
        self.roff.control("in", []);
    }

    fn unfilled<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        self.roff.control("nf", []);
        for line in lines {
            if line.is_empty() {
                self.roff.control("sp", [])
            } else {
                self.roff.text([roman(line)])
            };
        }
        self.roff.control("fi", []);
        self.is_fresh = false;
    }

    /// A term with its description.
    pub(crate) fn term(&mut self, name: Vec<Inline>, text: &str) {
        self.roff.control("TP", []);
        self.roff.text(name);
        self.text(text);
    }

    /// One more paragraph of the last description.
    pub(crate) fn more(&mut self, text: &str) {
        self.roff.control("IP", []);
        self.text(text);
    }

    /// A table below the last description.
    fn table(&mut self, lines: &[String]) {
        self.roff.control("RS", []);
        self.unfilled(lines.iter().map(String::as_str));
        self.roff.control("RE", []);
    }

    /// The pages that belong to this one.
    pub(crate) fn see_also(&mut self, pages: impl IntoIterator<Item = (String, &'static str)>) {
        self.heading("SEE ALSO");
        let mut line = Vec::new();
        for (at, (name, section)) in pages.into_iter().enumerate() {
            if at > 0 {
                line.push(roman(", "));
            }
            line.push(bold(name));
            line.push(roman(format!("({section})")));
        }
        self.roff.text(line);
    }
}

/// The page of a command.
pub(crate) fn command(name: &str, help: &Help, others: &[String]) -> String {
    let mut page = Page::new(name, "1", name, &help.about);
    page.heading("SYNOPSIS");
    page.literal(help.usage.iter().map(String::as_str));
    let mut sections = Sections { page, current: "SYNOPSIS", exit_status: None, signals: None };
    for block in &help.blocks {
        sections.block(block);
    }
    let mut page = sections.page;
    for (title, text) in [("SIGNALS", sections.signals), ("EXIT STATUS", sections.exit_status)] {
        if let Some(text) = text {
            page.heading(title);
            page.paragraph(&text);
        }
    }
    let mut also: Vec<_> = others.iter().map(|name| (name.clone(), "1")).collect();
    also.extend([("epollite".into(), "3"), ("epoll".into(), "7")]);
    page.see_also(also);
    page.render()
}

/// A page whose sections are those of man-pages(7).
struct Sections {
    page: Page,
    current: &'static str,
    exit_status: Option<String>,
    signals: Option<String>,
}

impl Sections {
    fn enter(&mut self, title: &'static str) {
        if self.current != title {
            self.page.heading(title);
            self.current = title;
        }
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Heading(title) => match title.as_str() {
                "Commands" => self.enter("COMMANDS"),
                "Examples" => self.enter("EXAMPLES"),
                "Options" => self.enter("OPTIONS"),
                _ => {
                    self.enter("OPTIONS");
                    self.page.subheading(title);
                }
            },
            Block::Paragraph(text) => self.paragraph(text),
            Block::Options(options) => {
                self.enter("OPTIONS");
                options.iter().for_each(|option| self.entry(option));
            }
            Block::Terms(terms) => terms.iter().for_each(|term| self.entry(term)),
            Block::Literal(lines) => self.page.literal(lines.iter().map(String::as_str)),
        }
    }

    /// A paragraph, without the parts that have sections of their own.
    fn paragraph(&mut self, text: &str) {
        let (text, exit_status) = cut(text, "Exit codes: ");
        let (text, signals) = cut(text, "Signals: ");
        self.exit_status = exit_status.or(self.exit_status.take());
        self.signals = signals.or(self.signals.take());
        if text.is_empty() {
            return;
        }
        match self.current {
            "SYNOPSIS" => self.enter("DESCRIPTION"),
            "OPTIONS" | "EXAMPLES" => self.enter("NOTES"),
            _ => {}
        }
        self.page.paragraph(text);
    }

    fn entry(&mut self, entry: &Entry) {
        self.page.term(name(&entry.name), &entry.text);
        if !entry.table.is_empty() {
            self.page.table(&entry.table);
        }
    }
}

/// `text` before `word`, and what is behind it.
fn cut<'a>(text: &'a str, word: &str) -> (&'a str, Option<String>) {
    match text.split_once(word) {
        Some((before, after)) => (before.trim_end(), Some(after.to_owned())),
        None => (text, None),
    }
}

/// The name of an option: what is typed is bold, what stands for a value italic.
fn name(text: &str) -> Vec<Inline> {
    let is_value = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    let mut parts = Vec::new();
    for (at, part) in text.split_inclusive([' ', '=', '[', ']', ',']).enumerate() {
        let word = part.trim_end_matches([' ', '=', '[', ']', ',']);
        let is_single = at > 0 && word.len() == 1 && word.chars().all(|c| c.is_ascii_uppercase());
        if is_value(word) || is_single {
            parts.push(italic(word));
        } else if !word.is_empty() {
            parts.push(bold(word));
        }
        parts.push(roman(&part[word.len()..]));
    }
    parts
}
