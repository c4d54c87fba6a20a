//! The page: every record a section, every case a section in it. It knows the order of things; what
//! each of them looks like is told elsewhere.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::palette::Styles;
use super::plot::{Plot, slug};
use super::svg::escape;
use super::view::RecordView;
use super::{connections, cpu, dots, html, latency, matrix, metadata, ratios, sweep, syscalls};
use crate::conclusion;
use crate::schema::{Case, Kind, ResultFile};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The style of a picture, in a page or as a file.
const PLOT_STYLE: &str = include_str!("plot.css");

/// A record with its plots, ready to be put on a page or into files.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) view: RecordView<'a>,
    /// Its own place in the page, and what the names of its files begin with.
    place: String,
    pub(super) files: String,
    pub(super) cases: Vec<(&'a Case, String, Vec<Plot>)>,
    pub(super) whole: Vec<Plot>,
}

/// The whole page.
///
/// # Errors
/// When a record has a figure that JSON cannot hold.
pub(super) fn write(records: &[ResultFile]) -> Result<String> {
    let palette = Styles::of(records);
    let sections = sections(records, &palette);
    let data = serde_json::to_string(records).context("a figure that JSON cannot hold")?;
    let body: String = sections.iter().map(section).collect();
    let style = format!("{STYLE}{PLOT_STYLE}");
    let texts = [
        ("title", "Echo servers, measured"),
        ("lead", &escape(&intro(records))),
        ("conclusion", &concluded(records)),
        ("contents", &contents(&sections)),
        ("style", &style),
        ("body", &body),
        ("version", env!("CARGO_PKG_VERSION")),
        ("data", &html::embed(&data)),
        ("script", SCRIPT),
    ];
    Ok(html::fill(PAGE, &texts))
}

/// Every plot as a file: its name, and what is in it.
pub(super) fn pictures(records: &[ResultFile]) -> Vec<(String, String)> {
    let palette = Styles::of(records);
    let mut files = Vec::new();
    for section in sections(records, &palette) {
        let cases = section.cases.iter().flat_map(|case| &case.2);
        for plot in cases.chain(&section.whole) {
            if let Ok(drawn) = &plot.drawn {
                let text = drawn.screen.file(&plot.title, &plot.caption, PLOT_STYLE);
                files.push((format!("{}{}.svg", section.files, plot.name), text));
            }
        }
    }
    files
}

pub(super) fn sections<'a>(records: &'a [ResultFile], palette: &'a Styles) -> Vec<Section<'a>> {
    let mut counts = [0; 2];
    let section = |(index, record): (usize, &'a ResultFile)| {
        let (count, kind) = match record.kind {
            Kind::Compare => (&mut counts[0], ""),
            Kind::Models => (&mut counts[1], "models-"),
        };
        *count += 1;
        let again = if *count > 1 { format!("{count}-") } else { String::new() };
        let view = RecordView { record, palette };
        let kinds = syscalls::kinds(view);
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let cases = record.cases.iter().map(|case| {
            let name = slug(&case.name);
            let times = seen.entry(name.clone()).or_default();
            *times += 1;
            let suffix = if *times > 1 { format!("--{times}") } else { String::new() };
            let mut plots = vec![
                ratios::plot(view, case),
                latency::plot(view, case),
                cpu::plot(view, case),
                syscalls::plot(view, case, &kinds),
            ];
            plots.iter_mut().for_each(|plot| plot.name += &suffix);
            (case, name + &suffix, plots)
        });
        let cases = cases.collect();
        let mut whole = vec![connections::plot(view)];
        whole.extend(sweep::plots(view));
        whole.extend(dots::plots(view));
        Section { view, place: format!("r{index}"), files: format!("{kind}{again}"), cases, whole }
    };
    records.iter().enumerate().map(section).collect()
}

pub(super) fn intro(records: &[ResultFile]) -> String {
    let Some(first) = records.first() else { return String::new() };
    format!(
        "{} on {}, {}. Ratios are paired, slice by slice; absolute figures are for this run only.",
        first.run.date, first.machine.cpu, first.machine.kernel
    )
}

/// What it all comes to: a paragraph for each record.
fn concluded(records: &[ResultFile]) -> String {
    records.iter().map(|it| html::element("p", "conclusion", &conclusion::of(it))).collect()
}

fn contents(sections: &[Section<'_>]) -> String {
    if sections.len() < 2 {
        return String::new();
    }
    let line = |section: &Section<'_>| {
        let (place, title) = (&section.place, escape(&title(section.view.record)));
        format!("<a href=\"#{place}\">{title}</a>")
    };
    let lines: Vec<String> = sections.iter().map(line).collect();
    format!("<nav>{}</nav>", lines.join(" · "))
}

pub(super) fn title(record: &ResultFile) -> String {
    let number =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let cases = number(record.cases.len(), "case");
    // The control is no server of its own, and the reference is no model.
    let others = record.servers.iter().filter(|it| it.name != record.control);
    let models = others.clone().filter(|it| it.name != record.reference);
    match record.kind {
        Kind::Compare => format!("{} in {cases}", number(others.count(), "server")),
        Kind::Models => format!("{} by connections", number(models.count(), "server model")),
    }
}

fn section(section: &Section<'_>) -> String {
    let Section { view, place, .. } = section;
    let record = view.record;
    let mut text = format!("<section class=\"record\" id=\"{place}\">\n");
    text += &html::element("h2", "", &title(record));
    let warnings = conclusion::warnings(record).into_iter().map(|it| format!("warning: {it}"));
    let failures = record.run.failures.iter().cloned().chain(warnings);
    let failures: String = failures.map(|failure| html::element("li", "", &failure)).collect();
    if !failures.is_empty() {
        text += &format!("<ul class=\"alerts\">\n{failures}</ul>\n");
    }
    text += &matrix::tables(*view);
    // By connections is what the models are asked; of others each case is news of its own.
    text += &match record.kind {
        Kind::Compare => cases(section) + &summary(section),
        Kind::Models => summary(section) + &cases(section),
    };
    text + &footer(record, place)
}

/// Case by case.
fn cases(section: &Section<'_>) -> String {
    let place = &section.place;
    let mut text = String::new();
    if let Some((case, _, plots)) = section.cases.first() {
        text += "<h3>How to read the cases</h3>\n<dl>";
        for plot in plots {
            let (term, what) = (escape(&short_title(plot, case)), escape(&plot.caption));
            text += &format!("<dt>{term}</dt><dd>{what}</dd>\n");
        }
        text += "</dl>\n<nav class=\"chooser\" aria-label=\"cases\" hidden></nav>\n";
    }
    for (case, name, plots) in &section.cases {
        let shown = escape(&case.name);
        text +=
            &format!("<section class=\"case\" id=\"{place}-case-{name}\" data-case=\"{shown}\">");
        text += &html::element("h3", "", &case.name);
        text += &html::element("p", "what", &case.what);
        text += "<div class=\"figures\">\n";
        for plot in plots {
            text += &html::figure(plot, &short_title(plot, case), false, place);
        }
        text += "</div></section>\n";
    }
    text
}

/// What is of all cases together; what there is no picture of stands last.
fn summary(section: &Section<'_>) -> String {
    let (drawn, missing): (Vec<&Plot>, Vec<&Plot>) =
        section.whole.iter().partition(|plot| plot.drawn.is_ok());
    let figures = drawn.into_iter().chain(missing);
    let figures: String =
        figures.map(|plot| html::figure(plot, &plot.title, true, &section.place)).collect();
    format!(
        "<section class=\"whole\"><h3>Over all cases</h3>\n<div class=\"figures\">\n{figures}\
         </div></section>\n"
    )
}

/// The title without the name of the case, which stands above it anyway.
fn short_title(plot: &Plot, case: &Case) -> String {
    let title = plot.title.strip_prefix(&format!("{}: ", case.name)).unwrap_or(&plot.title);
    let mut letters = title.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn footer(record: &ResultFile, place: &str) -> String {
    let absences = metadata::missing_servers(record);
    let mut text =
        format!("<section id=\"{place}-absent\"><h3>Who was not there, and what failed</h3>\n");
    text += &if absences.rows.is_empty() {
        html::element("p", "what", "Everybody was there, and nothing failed.")
    } else {
        html::table(&absences)
    };
    text += &format!("</section>\n<section id=\"{place}-servers\"><h3>The servers</h3>\n");
    text += &html::table(&metadata::servers(record));
    text += &format!("</section>\n<section class=\"measured\" id=\"{place}-measured\">");
    text += "<h3>How it was measured</h3>\n<dl>";
    for (word, what) in metadata::measured(record) {
        text += &format!("<dt>{word}</dt><dd>{}</dd>\n", escape(&what));
    }
    text + "</dl></section>\n</section>\n"
}
