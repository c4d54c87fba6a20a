//! The content of a page. The template `page.jinja` has its words and its order, in Markdown; where
//! it becomes HTML it has some elements more: figures, and sections for the script.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use maud::html as markup;
use minijinja::{Environment, Value, context};

use super::chart::{Chart, Table};
use super::view::{Styles, View};
use super::{connections, costs, draw, facts, format, latency, ratios, sizes, svg, sweep};
use crate::conclusion;
use crate::schema::{Case, Kind, Measured, Ratio, ResultFile, Server, Status};
use crate::stats::Verdict;
use crate::units;

pub(super) const TITLE: &str = "Echo servers, measured";

/// Every chart of some result files that has a picture, as an SVG file: its name, its text.
#[must_use]
pub fn pictures(records: &[ResultFile]) -> Vec<(String, String)> {
    let styles = Styles::new(records);
    let mut files = Vec::new();
    for Section { view, files: start, cases, whole, .. } in sections(records, &styles) {
        let all = cases.iter().flat_map(|(_, charts)| charts).chain(&whole);
        for chart in all.filter(|chart| chart.missing.is_none()) {
            let words = [&chart.full_title()[..], &chart.caption];
            let picture = draw::picture(view, chart, false).element("plot", "plot", words, true);
            files.push((format!("{start}{}.svg", chart.name), svg::finish(picture) + "\n"));
        }
    }
    files
}

/// The page of some result files as Markdown. Its pictures are in `folder`, a path relative to it;
/// without a folder it is for HTML.
///
/// # Errors
/// When the template fails.
pub(super) fn markdown(records: &[ResultFile], folder: Option<&str>) -> Result<String> {
    let mut page = Environment::new();
    page.set_trim_blocks(true);
    page.set_lstrip_blocks(true);
    page.add_filter("md", escape);
    page.add_filter("time", |seconds: f64| units::time(seconds * 1e9));
    page.add_filter("hundredths", |figure: f64| format!("{figure:.2}"));
    page.add_filter("grouped", units::grouped);
    let styles = Styles::new(records);
    let html = folder.is_none();
    let files: Vec<Value> = sections(records, &styles).iter().map(|it| section(it, html)).collect();
    let version = env!("CARGO_PKG_VERSION");
    let values = context! { title => TITLE, html, folder, version, files };
    page.render_str(include_str!("page.jinja"), values).context("the template of the page")
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

/// What the template needs of a result file.
fn section(section: &Section<'_>, html: bool) -> Value {
    let Section { view, id, files, cases, whole } = section;
    let record = view.record;
    let chart = |chart: &Chart<'_>| {
        let figure = if html { figure(section, chart) } else { String::new() };
        let (title, file) = (chart.full_title(), format!("{files}{}", chart.name));
        context! { title, file, caption => chart.caption, missing => chart.missing, figure }
    };
    let charts = |charts: &[Chart<'_>]| charts.iter().map(chart).collect::<Vec<_>>();
    let case = |(case, of_case): &(&Case, Vec<Chart<'_>>)| {
        context! { name => case.name, what => case.what, charts => charts(of_case) }
    };
    let failures = facts::failures(record);
    let failures = (!failures.rows.is_empty()).then(|| table(&failures));
    let has_ratios = !record.cases.is_empty() && !record.servers.is_empty();
    let cpu = has_ratios.then(|| matrix(*view, html, |it| it.cpu_ratio, Verdict::Lower));
    let rate = has_ratios.then(|| matrix(*view, html, |it| it.rate_ratio, Verdict::Higher));
    context! {
        id, cpu, rate, failures,
        title => title(record),
        run => record.run,
        machine => record.machine,
        reference => record.reference,
        control => record.control,
        schema => record.schema,
        is_short => !conclusion::has_verdicts(record),
        conclusion => conclusion::of(record),
        alerts => facts::alerts(record),
        whole => charts(whole),
        cases => cases.iter().map(case).collect::<Vec<_>>(),
        servers => table(&facts::servers(record)),
        noise => facts::noise(record),
        load_cpu => facts::load_cpu(record),
    }
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

/// The ratios of all servers in all cases.
fn matrix(
    view: View<'_>,
    html: bool,
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
        match verdict {
            None => text,
            Some(_) if !html => format!("**{text}**"),
            Some(it) if it == good => format!("<b class=\"better\">{text}</b>"),
            Some(_) => format!("<b class=\"worse\">{text}</b>"),
        }
    };
    let row = |(number, server): (usize, &Server)| {
        let class = if view.is_own(&server.name) { "who own" } else { "who" };
        let swatch = markup! {
            i class="plot" { i class={ "swatch " (view.class(&server.name)) } {} }
        };
        let mut name = escape(&server.name);
        if html {
            let swatch = swatch.into_string();
            name = format!("<span class=\"{class}\" data-who=\"{number}\">{swatch}{name}</span>");
        }
        let cells = record.cases.iter().map(|case| cell(server, case));
        std::iter::once(name).chain(cells).collect::<Vec<_>>()
    };
    let head = std::iter::once("server".to_owned());
    let head: Vec<String> = head.chain(record.cases.iter().map(|it| escape(&it.name))).collect();
    let rows = record.servers.iter().enumerate().map(row).collect::<Vec<_>>();
    markdown_table(&head, &rows)
}

/// A figure: its title and caption, its picture for a screen and for a phone, its table.
fn figure(Section { view, id, .. }: &Section<'_>, chart: &Chart<'_>) -> String {
    let id = format!("{id}-{}", chart.name);
    let picture = |class: &str| {
        let words = [&chart.full_title()[..], &chart.caption];
        let picture = draw::picture(*view, chart, class == "phone");
        picture.element(&format!("{id}-{class}"), &format!("plot {class}"), words, false)
    };
    let content = markup! {
        figcaption {
            h4 { (format::capitalized(&chart.title)) }
            @if chart.missing.is_none() { p { (chart.caption) } }
        }
        @match &chart.missing {
            Some(why) => { p class="missing" { (why) } }
            None => { (picture("screen")) (picture("phone")) }
        }
    };
    // A blank line would end the HTML in the Markdown.
    let content = svg::finish(content).replace("\n\n", "\n");
    let class = if chart.is_half || chart.missing.is_some() { "half" } else { "wide" };
    let mut figure = format!("<figure class=\"{class}\" id=\"{id}\">\n{content}\n");
    if !chart.table.rows.is_empty() {
        let table = table(&chart.table);
        figure += &format!("<details><summary>The figures</summary>\n\n{table}\n</details>\n");
    }
    figure + "</figure>"
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
