//! The page, written once, as Markdown. Where it becomes HTML it has some elements more: figures with
//! pictures and tables, and sections for the script.

use std::collections::BTreeMap;

use maud::html;

use super::chart::{Chart, Table};
use super::view::{Styles, View};
use super::{connections, costs, draw, facts, format, latency, ratios, sizes, svg, sweep};
use crate::conclusion;
use crate::schema::{Case, Kind, Measured, Ratio, ResultFile, Server, Status};
use crate::stats::Verdict;

pub(super) const TITLE: &str = "Echo servers, measured";

/// What the page is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// One HTML file, after conversion.
    Html,
    /// A repository; the pictures are in this folder, a path relative to the page.
    Markdown(&'a str),
}

/// Every chart that has a picture, as a file: its name, its text.
pub(super) fn pictures(records: &[ResultFile]) -> Vec<(String, String)> {
    let styles = Styles::new(records);
    let mut files = Vec::new();
    for Section { view, files: start, cases, whole, .. } in sections(records, &styles) {
        let all = cases.iter().flat_map(|(_, charts)| charts).chain(&whole);
        for chart in all.filter(|chart| chart.missing.is_none()) {
            let text = draw::picture(view, chart, false).file(&chart.full_title(), &chart.caption);
            files.push((format!("{start}{}.svg", chart.name), text));
        }
    }
    files
}

/// The page of some result files.
pub(super) fn write(records: &[ResultFile], target: Target<'_>) -> String {
    let styles = Styles::new(records);
    let sections = sections(records, &styles);
    let mut text = format!("# {TITLE}\n\n");
    if let Some(first) = records.first() {
        let machine =
            format!("{} on {}, {}.", first.run.date, first.machine.cpu, first.machine.kernel);
        text += &escape(&machine);
        text += " Ratios are paired, slice by slice; absolute figures are for this run only.\n\n";
    }
    for record in records {
        text += &format!("{}\n\n", escape(&conclusion::of(record)));
    }
    if target == Target::Html {
        let link = |it: &Section<'_>| format!("[{}](#{})", escape(&title(it.view.record)), it.id);
        let links: Vec<String> = sections.iter().map(link).collect();
        let version = env!("CARGO_PKG_VERSION");
        text += &format!("{}\n\nWritten by epollite-bench {version}. ", links.join(" · "));
        text += "All results are in this page, as JSON, in the element `#records`.\n";
    } else {
        text += "Every figure here is from the JSON beside the pictures; `epollite-bench report` \
                 writes this page from it, and one in HTML with more.\n";
    }
    text.extend(sections.iter().map(|it| section(it, target)));
    text
}

/// A result file with its charts.
#[derive(Debug)]
struct Section<'a> {
    view: View<'a>,
    /// Its id in the page, and the start of the names of its files.
    id: String,
    files: String,
    cases: Vec<(&'a Case, Vec<Chart<'a>>)>,
    whole: Vec<Chart<'a>>,
}

fn sections<'a>(records: &'a [ResultFile], styles: &'a Styles) -> Vec<Section<'a>> {
    let mut counts = [0; 2];
    let section = |(index, record): (usize, &'a ResultFile)| {
        let (count, kind) = match record.kind {
            Kind::Compare => (&mut counts[0], ""),
            Kind::Models => (&mut counts[1], "models-"),
        };
        *count += 1;
        let files = if *count > 1 { format!("{kind}{count}-") } else { kind.to_owned() };
        let view = View { record, styles };
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let case = |case: &'a Case| {
            let mut name = format::slug(&case.name);
            let times = seen.entry(name.clone()).or_default();
            *times += 1;
            if *times > 1 {
                name += &format!("--{times}");
            }
            let (ratios, latency) = (ratios::chart(view, case), latency::chart(view, case));
            let (cpu, syscalls) = (costs::cpu(view, case), costs::syscalls(view, case));
            let charts = [ratios, latency, cpu, syscalls].map(|chart| Chart {
                name: format!("{}-{name}", chart.name),
                case: Some(&case.name),
                ..chart
            });
            (case, charts.into())
        };
        let cases = record.cases.iter().map(case).collect();
        let mut whole = vec![connections::chart(view)];
        whole.extend(sweep::charts(view));
        whole.extend(sizes::charts(view));
        Section { view, id: format!("r{index}"), files, cases, whole }
    };
    records.iter().enumerate().map(section).collect()
}

fn section(section: &Section<'_>, target: Target<'_>) -> String {
    let Section { view, id, cases, whole, .. } = section;
    let record = view.record;
    let element = |opening: &str| match target {
        Target::Html => format!("\n{opening}\n"),
        Target::Markdown(_) => String::new(),
    };
    let mut text = element(&format!("<section class=\"record\" id=\"{id}\">"));
    text += &format!("\n## {}\n\n", escape(&title(record)));
    text.extend(facts::alerts(record).iter().map(|alert| format!("- {}\n", escape(alert))));
    text += &ratios(*view, target);
    text += &element("<section><div class=\"figures\">");
    text.extend(whole.iter().map(|it| chart(section, it, target)));
    text += &element("</div></section>\n<nav class=\"chooser\" aria-label=\"cases\" hidden></nav>");
    for (case, charts) in cases {
        let name = html! { (case.name) }.into_string();
        text += &element(&format!("<section class=\"case\" data-case=\"{name}\">"));
        text += &format!("\n### {}\n\n{}\n", escape(&case.name), escape(&case.what));
        text += &element("<div class=\"figures\">");
        text.extend(charts.iter().map(|it| chart(section, it, target)));
        text += &element("</div></section>");
    }
    let failures = facts::failures(record);
    text += "\n### Not installed, not supported, failed\n\n";
    text += &if failures.rows.is_empty() { "Nothing.\n".to_owned() } else { table(&failures) };
    text += &format!("\n### The servers\n\n{}", table(&facts::servers(record)));
    text += &element(&format!("<section class=\"measured\" id=\"{id}-measured\">"));
    text += "\n### How it was measured\n\n";
    let facts = facts::method(record).into_iter();
    text.extend(facts.map(|(term, what)| format!("- **{term}**: {}\n", escape(&what))));
    text + &element("</section>\n</section>")
}

fn title(record: &ResultFile) -> String {
    let number =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let cases = number(record.cases.len(), "case");
    // The control is not a server of its own, and the reference is not a model.
    let others = record.servers.iter().filter(|it| it.name != record.control);
    let models = others.clone().filter(|it| it.name != record.reference);
    match record.kind {
        Kind::Compare => format!("{} in {cases}", number(others.count(), "server")),
        Kind::Models => format!("{} by connections", number(models.count(), "server model")),
    }
}

/// The ratios of all servers in all cases, one table for each figure.
fn ratios(view: View<'_>, target: Target<'_>) -> String {
    let record = view.record;
    if record.cases.is_empty() || record.servers.is_empty() {
        return "\nThis run has no complete case.\n".to_owned();
    }
    let (marks, hint) = match target {
        // The script shows it: without a script nothing can be hidden.
        Target::Html => (
            "Blue is better, orange is worse, grey shows no difference beyond the noise.",
            "\n<p class=\"hint\" hidden>Click the name of a server in these tables to hide it in \
             every plot, and again to show it.</p>\n",
        ),
        Target::Markdown(_) => (
            "**Bold** is a difference that the noise of the same run does not cover; the rest is *no \
             difference shown*.",
            "",
        ),
    };
    let few = "There are too few rounds to show any difference.";
    format!(
        "\nRatios to {}: the median of {} paired rounds. {} Where both cores are saturated, the CPU \
         ratio is the one to read.\n{hint}{}{}",
        escape(&record.reference),
        record.run.rounds,
        if conclusion::has_verdicts(record) { marks } else { few },
        matrix(view, target, "CPU per message", |it| it.cpu_ratio, Verdict::Lower),
        matrix(view, target, "Messages per second", |it| it.rate_ratio, Verdict::Higher),
    )
}

fn matrix(
    view: View<'_>,
    target: Target<'_>,
    title: &str,
    ratio: fn(&Measured) -> Option<Ratio>,
    good: Verdict,
) -> String {
    let record = view.record;
    let cell = |server: &Server, case: &Case| {
        let outcome = case.results.iter().find(|it| it.server == server.name);
        let found = outcome.and_then(|it| ratio(it.measured.as_ref()?));
        let text = match (found, outcome.map(|it| it.status)) {
            (Some(ratio), _) => format::factor(ratio.estimate.median),
            (None, _) if server.name == record.reference => "1".to_owned(),
            (None, Some(Status::Failed)) => "failed".to_owned(),
            (None, _) => "–".to_owned(),
        };
        let verdict = found.map(|it| it.verdict).filter(|it| *it != Verdict::NoDifference);
        match (target, verdict) {
            (_, None) => text,
            (Target::Html, Some(it)) if it == good => format!("<b class=\"better\">{text}</b>"),
            (Target::Html, Some(_)) => format!("<b class=\"worse\">{text}</b>"),
            (Target::Markdown(_), Some(_)) => format!("**{text}**"),
        }
    };
    let row = |(number, server): (usize, &Server)| {
        let class = if view.is_own(&server.name) { "who own" } else { "who" };
        let swatch = html! {
            i class="plot" { i class={ "swatch " (view.class(&server.name)) } {} }
        };
        let mut name = escape(&server.name);
        if target == Target::Html {
            let swatch = swatch.into_string();
            name = format!("<span class=\"{class}\" data-who=\"{number}\">{swatch}{name}</span>");
        }
        let cells = record.cases.iter().map(|case| cell(server, case));
        std::iter::once(name).chain(cells).collect::<Vec<_>>()
    };
    let head = std::iter::once("server".to_owned());
    let head: Vec<String> = head.chain(record.cases.iter().map(|it| escape(&it.name))).collect();
    let rows = record.servers.iter().enumerate().map(row).collect::<Vec<_>>();
    format!("\n### {title}\n\n{}", markdown_table(&head, &rows))
}

/// A chart: its title, its picture or why there is none, how to read it, and its figures.
fn chart(section: &Section<'_>, chart: &Chart<'_>, target: Target<'_>) -> String {
    let (title, files, name) = (chart.full_title(), &section.files, &chart.name);
    let Target::Markdown(folder) = target else {
        let figure = figure(section, chart);
        let rows = if chart.table.rows.is_empty() {
            String::new()
        } else {
            let table = table(&chart.table);
            format!("<details><summary>The figures</summary>\n\n{table}\n</details>\n")
        };
        return format!("\n{figure}{rows}</figure>\n");
    };
    let level = if chart.case.is_some() { "####" } else { "###" };
    let (title, caption) = (escape(&title), escape(&chart.caption));
    match &chart.missing {
        Some(why) => format!("\n{level} {title}\n\n{}\n", escape(why)),
        None => {
            format!("\n{level} {title}\n\n![{title}]({folder}/{files}{name}.svg)\n\n{caption}\n")
        }
    }
}

/// The opening of a figure: its title and caption, its picture for a screen and for a phone.
fn figure(Section { view, id, .. }: &Section<'_>, chart: &Chart<'_>) -> String {
    let id = format!("{id}-{}", chart.name);
    let picture = |class: &str| {
        let picture = draw::picture(*view, chart, class == "phone");
        let class_of = format!("plot {class}");
        picture.inline(&format!("{id}-{class}"), &class_of, &chart.full_title(), &chart.caption)
    };
    let is_half = chart.is_half || chart.missing.is_some();
    let content = html! {
        figcaption {
            h4 { (format::capitalized(&chart.title)) }
            @if chart.missing.is_none() { p { (chart.caption) } }
        }
        @match &chart.missing {
            Some(why) => { p class="missing" { (why) } }
            None => { (picture("screen")) (picture("phone")) }
        }
    };
    let class = if is_half { "half" } else { "wide" };
    // A blank line would end the HTML in the Markdown.
    let content = svg::finish(content).replace("\n\n", "\n");
    format!("<figure class=\"{class}\" id=\"{id}\">\n{content}\n")
}

fn table(table: &Table) -> String {
    let escaped = |row: &Vec<String>| row.iter().map(|cell| escape(cell)).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = table.rows.iter().map(escaped).collect();
    markdown_table(&escaped(&table.head), &rows)
}

/// Columns of figures are aligned to the right.
fn markdown_table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let is_figure = |cell: &str| {
        cell.trim_start_matches(|c: char| !c.is_alphanumeric())
            .starts_with(|c: char| c.is_ascii_digit())
    };
    let rule = |column: usize| {
        let has_figures = rows.iter().any(|row| is_figure(&row[column]));
        if column > 0 && has_figures { "---:|" } else { "---|" }
    };
    let rule: String = (0..head.len()).map(rule).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}|{rule}\n{rows}", line(head))
}

/// Text that might be read as Markdown or HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' => escaped.extend(['\\', c]),
            '\n' | '\r' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
