//! The values and filters of the template `page.jinja`, which has the words and the order of a page,
//! in Markdown, and the frames of its pictures. Where it becomes HTML it has some elements more:
//! figures, and sections for the script.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use minijinja::{Captured, Environment, Value, args, context};
use pulldown_cmark::{Options, Parser};

use super::chart::Chart;
use super::view::{Styles, View};
use super::{cases, draw, format, servers, svg};
use crate::conclusion;
use crate::schema::{Kind, ResultFile};
use crate::units;

const TEMPLATE: &str = include_str!("page.jinja");

/// Every chart of some result files that has a picture, as an SVG file: its name, its text.
///
/// # Errors
/// When the template fails.
pub fn write_svgs(records: &[ResultFile]) -> Result<Vec<(String, String)>> {
    let environment = environment();
    let page = render(&environment, &[], Some(""))?;
    let charts = charts(records, true).into_iter().flatten();
    let drawn = charts.filter(|chart| chart.get_attr("screen").is_ok_and(|it| !it.is_none()));
    let file = |chart: Value| {
        let name = chart.get_attr("file")?.to_string() + ".svg";
        Ok((name, svg::finish(&page.state().call_macro("picture_file", &[chart])?)))
    };
    drawn.map(file).collect()
}

/// The page of some result files as Markdown; its pictures are in `folder`, a relative path.
///
/// # Errors
/// When the template fails.
pub fn markdown(records: &[ResultFile], folder: &str) -> Result<String> {
    Ok(render(&environment(), records, Some(folder))?.into_output())
}

/// The page of some result files as one HTML file, with pictures, data, style and script in it: it
/// loads nothing.
///
/// # Errors
/// When a result file has a figure that JSON cannot hold, or the template fails.
pub fn html(records: &[ResultFile]) -> Result<String> {
    let data = serde_json::to_string(records).context("a figure that JSON cannot hold")?;
    // No text in a script element may end that, or begin a comment.
    let data = data.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let environment = environment();
    let page = render(&environment, records, None)?;
    let mut body = String::new();
    let markdown = Parser::new_ext(page.output(), Options::ENABLE_TABLES);
    pulldown_cmark::html::push_html(&mut body, markdown);
    Ok(svg::finish(&page.state().call_macro("page_html", args!(body, data))?))
}

/// The page as Markdown; without a folder of pictures it is for HTML.
fn render<'e>(
    page: &'e Environment<'_>,
    records: &[ResultFile],
    folder: Option<&str>,
) -> Result<Captured<'e>> {
    let file = |(record, charts): (&ResultFile, Vec<Value>)| {
        context! {
            record, charts,
            is_short => !conclusion::has_verdicts(record),
            conclusion => conclusion::of(record),
            warnings => conclusion::warnings(record),
        }
    };
    let html = folder.is_none();
    let files = records.iter().zip(charts(records, html)).map(file).collect::<Vec<_>>();
    let values = context! {
        html, folder, files,
        looks => Styles::new(records).0,
        version => env!("CARGO_PKG_VERSION"),
        style => include_str!("style.css"),
        plot_style => include_str!("plot.css"),
        script => include_str!("script.js"),
    };
    page.template_from_str(TEMPLATE)?.render_captured(values).context("the template of the page")
}

fn environment() -> Environment<'static> {
    let mut page = Environment::new();
    page.set_trim_blocks(true);
    page.set_lstrip_blocks(true);
    page.add_filter("md", escape);
    // A blank line would end the HTML in Markdown.
    page.add_filter("xml", |text: &str| maud::html! { (text) }.into_string().replace('\n', " "));
    page.add_filter("time", units::time);
    page.add_filter("grouped", units::grouped);
    page.add_filter("factor", format::factor);
    page.add_filter("noise", format::noise);
    page.add_filter("rule", |rows: Vec<Vec<String>>| rule(&rows));
    page.add_filter("merged", merged);
    page
}

/// The charts of each result file, for the template.
fn charts(records: &[ResultFile], is_drawn: bool) -> Vec<Vec<Value>> {
    let styles = Styles::new(records);
    let mut counts = [0; 2];
    let of_file = |(index, record): (usize, &ResultFile)| {
        let view = View { record, styles: &styles };
        let (count, kind) = match record.kind {
            Kind::Compare => (&mut counts[0], ""),
            Kind::Models => (&mut counts[1], "models-"),
        };
        *count += 1;
        let start = if *count > 1 { format!("{kind}{count}-") } else { kind.to_owned() };
        let shared = Value::from_serialize(record);
        let value = |chart: &Chart<'_>, at: Option<usize>, end: &str| {
            let draw = |is_phone: bool| {
                let (width, height, shapes) = draw::picture(view, chart, is_phone);
                context! { width, height, shapes => shapes.into_string() }
            };
            let is_drawn = is_drawn && !chart.is_missing;
            let name = chart.name.to_owned() + end;
            context! {
                at,
                name => chart.name,
                id => format!("r{index}-{name}"),
                file => format!("{start}{name}"),
                record => shared,
                interval => format::interval_name(record),
                is_missing => chart.is_missing,
                is_half => chart.is_half() || chart.is_missing,
                table => chart.table,
                screen => is_drawn.then(|| draw(false)),
                phone => is_drawn.then(|| draw(true)),
            }
        };
        let whole = [vec![servers::rates(view)], servers::knees(view), servers::sizes(view)];
        let mut all: Vec<Value> = whole.iter().flatten().map(|it| value(it, None, "")).collect();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (at, case) in record.cases.iter().enumerate() {
            let mut end = format!("-{}", format::slug(&case.name));
            let times = seen.entry(end.clone()).or_default();
            *times += 1;
            if *times > 1 {
                end += &format!("--{times}");
            }
            let of_case = [cases::ratios, cases::latency, cases::cpu, cases::syscalls];
            all.extend(of_case.iter().map(|chart| value(&chart(view, case), Some(at), &end)));
        }
        all
    };
    records.iter().enumerate().map(of_file).collect()
}

/// Rows that differ only in their first cell, the name of a server, become one.
fn merged(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.into_iter().fold(Vec::new(), |mut merged, row| {
        match merged.iter_mut().find(|other: &&mut Vec<String>| other[1..] == row[1..]) {
            Some(other) => other[0] += &format!(", {}", row[0]),
            None => merged.push(row),
        }
        merged
    })
}

/// The line below the head of a table: columns of figures are aligned to the right.
fn rule(rows: &[Vec<String>]) -> String {
    let is_figure = |cell: &str| {
        cell.trim_start_matches(|c: char| !c.is_alphanumeric())
            .starts_with(|c: char| c.is_ascii_digit())
    };
    let has_figures = |column: usize| column > 0 && rows.iter().any(|row| is_figure(&row[column]));
    let columns = 0..rows.first().map_or(0, Vec::len);
    columns.map(|column| if has_figures(column) { "---:|" } else { "---|" }).collect()
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
