//! The page once more, as Markdown with its pictures in files: for a repository, where people read
//! before they run. It knows the order of things there, and how Markdown escapes.

use super::matrix::{self, Figure};
use super::metadata;
use super::page::{self, Section};
use super::palette::Styles;
use super::plot::{Plot, Table};
use crate::conclusion;
use crate::schema::ResultFile;
use crate::stats::Verdict;

/// Writes the page; its pictures are in `folder`, as seen from it.
pub(super) fn write(records: &[ResultFile], folder: &str) -> String {
    let palette = Styles::of(records);
    let sections = page::sections(records, &palette);
    let body: String = sections.iter().map(|it| section(it, folder)).collect();
    let concluded = records.iter().map(|it| escape(&conclusion::of(it)) + "\n\n");
    let concluded: String = concluded.collect();
    format!(
        "# Echo servers, measured\n\n{}\n\n{concluded}Every figure here is from the JSON beside the pictures; \
         `epollite-bench report` makes this page of it, and one in HTML with more.\n{body}",
        escape(&page::intro(records))
    )
}

fn section(section: &Section<'_>, folder: &str) -> String {
    let record = section.view.record;
    let mut text = format!("\n## {}\n\n", escape(&page::title(record)));
    for failure in &record.run.failures {
        text += &format!("- failed: {}\n", escape(failure));
    }
    for warning in conclusion::warnings(record) {
        text += &format!("- warning: {}\n", escape(&warning));
    }
    if text.contains("\n- ") {
        text.push('\n');
    }
    if !record.cases.is_empty() {
        text += &ratios(record);
    }
    for plot in &section.whole {
        text += &picture(plot, section, folder, "###");
    }
    for (case, _, plots) in &section.cases {
        text += &format!("\n### {}\n\n{}\n", escape(&case.name), escape(&case.what));
        for plot in plots {
            text += &picture(plot, section, folder, "####");
        }
    }
    let absences = metadata::missing_servers(record);
    if !absences.rows.is_empty() {
        text += &format!("\n### Who was not there, and what failed\n\n{}", table(&absences));
    }
    text += "\n### How it was measured\n\n";
    for (word, what) in metadata::measured(record) {
        text += &format!("- **{word}**: {}\n", escape(&what));
    }
    text
}

/// How the servers stand to the reference, over all cases.
fn ratios(record: &ResultFile) -> String {
    let shows = if conclusion::has_verdicts(record) {
        "**Bold** is a difference that the noise of the same run does not cover; the rest is *no \
         difference shown*."
    } else {
        "There are too few rounds for any verdict."
    };
    let [cpu, rate] = [matrix(record, |it| it.cpu_ratio), matrix(record, |it| it.rate_ratio)];
    format!(
        "Ratios to {}: the median of {} paired rounds. {shows} Where both cores are saturated the CPU \
         ratio is the one to read.\n\n### CPU a message\n\n{}\n### Messages a second\n\n{}",
        escape(&record.reference),
        record.run.rounds,
        table(&cpu),
        table(&rate)
    )
}

fn picture(plot: &Plot, section: &Section<'_>, folder: &str, level: &str) -> String {
    let title = escape(&plot.title);
    match &plot.drawn {
        Ok(_) => format!(
            "\n{level} {title}\n\n![{title}]({folder}/{}{}.svg)\n\n{}\n",
            section.files,
            plot.name,
            escape(&plot.caption)
        ),
        Err(why) => format!("\n{level} {title}\n\n{}\n", escape(why)),
    }
}

/// The ratios of all cases at a glance.
fn matrix(record: &ResultFile, figure: Figure) -> Table {
    let mut head = vec!["server"];
    head.extend(record.cases.iter().map(|case| case.name.as_str()));
    let mut table = Table::new(&head);
    for server in record.servers.iter().filter(|it| it.name != record.reference) {
        let cells = matrix::cells(record, server, figure).into_iter().map(|cell| {
            let is_shown = cell.verdict.is_some_and(|verdict| verdict != Verdict::NoDifference);
            if is_shown { format!("**{}**", cell.text) } else { cell.text }
        });
        table.rows.push(std::iter::once(server.name.clone()).chain(cells).collect());
    }
    table
}

fn table(table: &Table) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> =
            cells.iter().map(|cell| cell.replace('|', "\\|").replace('<', "&lt;")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: String = table.head.iter().map(|_| "---|").collect();
    let rows: String = table.rows.iter().map(|row| line(row)).collect();
    format!("{}|{rule}\n{rows}", line(&table.head))
}

/// What is not ours may look like Markdown, or like HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' => escaped.extend(['\\', c]),
            '\n' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
