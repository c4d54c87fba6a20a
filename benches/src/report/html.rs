//! The page as one HTML file, with pictures, data, style and script in it: it loads nothing.

use anyhow::{Context, Result};
use maud::{PreEscaped, html};
use pulldown_cmark::{Options, Parser};

use super::page::{self, TITLE};
use super::svg;
use crate::schema::ResultFile;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What the page may do: use its own style and script, nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      img-src data:";

/// The page of some result files, in their order.
///
/// # Errors
/// When a result file has a figure that JSON cannot hold, or the template fails.
pub fn write(records: &[ResultFile]) -> Result<String> {
    let data = serde_json::to_string(records).context("a figure that JSON cannot hold")?;
    // No text in a script element may end that, or begin a comment.
    let data = data.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let markdown = page::markdown(records, None)?;
    let mut body = String::new();
    pulldown_cmark::html::push_html(&mut body, Parser::new_ext(&markdown, Options::ENABLE_TABLES));
    let page = html! {
        (PreEscaped("<!doctype html>\n"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                link rel="icon" href="data:,";
                title { (TITLE) }
                style { (PreEscaped(STYLE)) (PreEscaped(svg::STYLE)) }
            }
            body {
                main { (PreEscaped(body)) }
                script type="application/json" id="records" { (PreEscaped(data)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
        "\n"
    };
    Ok(svg::finish(page))
}
