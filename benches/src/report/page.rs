//! The values and filters of the template `page.jinja`, which has the words and the order of a
//! page as Markdown, the frames of its pictures, and what is only in HTML.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use minijinja::{Captured, Environment, Value, args, context};
use pulldown_cmark::{Options, Parser};

use super::chart::Chart;
use super::growth::{self, Line};
use super::soak as soak_chart;
use super::view::{Styles, View, styles};
use super::{cases, draw, format, servers, svg};
use crate::conclusion;
use crate::schema::{Kind, ResultFile};
use crate::units;

/// Every chart of some result files that has a picture, as an SVG file: its name, its text.
///
/// # Errors
/// When the template fails.
pub fn write_svgs(records: &[ResultFile]) -> Result<Vec<(String, String)>> {
    let charts = charts(records, true).into_iter().flatten();
    let drawn = charts.filter(|chart| chart.get_attr("screen").is_ok_and(|it| !it.is_none()));
    render(&[], Some(""), |page| {
        let file = |chart: Value| {
            let name = chart.get_attr("file")?.to_string() + ".svg";
            Ok((name, svg::finish(&page.state().call_macro("picture_file", &[chart])?)))
        };
        drawn.map(file).collect()
    })
}

/// The plot of `scale` as an SVG file.
///
/// # Errors
/// When the template fails.
pub(crate) fn growth(lines: &[Line]) -> Result<String> {
    picture_file(&growth::styles(lines), &growth::chart(lines), growth::WORDS)
}

/// A curve of `soak` as an SVG file.
///
/// # Errors
/// When the template fails.
pub(crate) fn soak(line: &Line) -> Result<String> {
    let styles = growth::styles(std::slice::from_ref(line));
    picture_file(&styles, &soak_chart::chart(line), soak_chart::WORDS)
}

fn picture_file(styles: &Styles, chart: &Chart<'_>, words: [&str; 2]) -> Result<String> {
    let (width, height, shapes) = draw::picture(growth::look(styles), chart, false);
    let screen = context! { width, height, shapes => shapes.into_string() };
    let chart = context! { words, name => chart.name, at => (), record => context! {}, screen };
    render(&[], Some(""), |page| {
        Ok(svg::finish(&page.state().call_macro("picture_file", &[chart])?))
    })
}

/// The page of some result files as Markdown; its pictures are in `folder`, a relative path.
///
/// # Errors
/// When the template fails.
pub fn markdown(records: &[ResultFile], folder: &str) -> Result<String> {
    render(records, Some(folder), |page| Ok(page.into_output()))
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
    render(records, None, |page| {
        let mut body = String::new();
        let markdown = Parser::new_ext(page.output(), Options::ENABLE_TABLES);
        pulldown_cmark::html::push_html(&mut body, markdown);
        Ok(svg::finish(&page.state().call_macro("page_html", args!(body, data))?))
    })
}

/// The page as Markdown; without a folder of pictures it is for HTML.
fn render<T>(
    records: &[ResultFile],
    folder: Option<&str>,
    finish: impl FnOnce(Captured<'_>) -> Result<T>,
) -> Result<T> {
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
        looks => styles(records),
        version => env!("CARGO_PKG_VERSION"),
        style => include_str!("style.css"),
        plot_style => include_str!("plot.css"),
        script => include_str!("script.js"),
    };
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
    page.add_filter("rate", format::rate);
    let template = page.template_from_str(include_str!("page.jinja"))?;
    finish(template.render_captured(values).context("the template of the page")?)
}

/// The charts of each result file, for the template.
fn charts(records: &[ResultFile], is_drawn: bool) -> Vec<Vec<Value>> {
    let styles = styles(records);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let of_file = |(index, record): (usize, &ResultFile)| {
        let view = View { record, styles: &styles };
        let kind = if record.kind == Kind::Models { "models-" } else { "" };
        let shared = Value::from_serialize(record);
        let mut value = |chart: &Chart<'_>, at: Option<usize>, end: &str| {
            let file = format!("{kind}{}{end}", chart.name);
            let times = seen.entry(file.clone()).and_modify(|times| *times += 1).or_insert(1);
            let file = if *times > 1 { format!("{file}--{times}") } else { file };
            let draw = |is_phone: bool| {
                let (width, height, shapes) = draw::picture(view.look(), chart, is_phone);
                context! { width, height, shapes => shapes.into_string() }
            };
            let is_drawn = is_drawn && !chart.is_missing;
            context! {
                at,
                name => chart.name,
                id => format!("r{index}-{}", &file[kind.len()..]),
                file,
                record => shared,
                interval => format::interval_name(record),
                is_missing => chart.is_missing,
                is_half => chart.is_half() || chart.is_missing,
                head => chart.head,
                rows => chart.rows,
                screen => is_drawn.then(|| draw(false)),
                phone => is_drawn.then(|| draw(true)),
            }
        };
        let whole = [vec![servers::rates(view)], servers::knees(view), servers::sizes(view)];
        let mut all: Vec<Value> = whole.iter().flatten().map(|it| value(it, None, "")).collect();
        for (at, case) in record.cases.iter().enumerate() {
            let end = format!("-{}", format::slug(&case.load.name));
            let of_case = [cases::ratios, cases::latency, cases::cpu, cases::syscalls];
            all.extend(of_case.iter().map(|chart| value(&chart(view, case), Some(at), &end)));
        }
        all
    };
    records.iter().enumerate().map(of_file).collect()
}

/// Text that might be read as Markdown or HTML.
fn escape(text: &str) -> String {
    let escape = |c: char| match c {
        '<' => "&lt;".to_owned(),
        '&' => "&amp;".to_owned(),
        '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' => format!("\\{c}"),
        '\n' | '\r' => " ".to_owned(),
        _ => c.to_string(),
    };
    text.chars().map(escape).collect()
}
