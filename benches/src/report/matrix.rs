//! How the servers stand to the reference, all cases at a glance: a table for the rate, one for CPU.
//! What stands in a cell is the same on the page and in Markdown.

use super::html;
use super::svg::escape;
use super::view::{self, RecordView};
use crate::conclusion;
use crate::schema::{Measured, Ratio, ResultFile, Server, Status};
use crate::stats::Verdict;

/// A figure of a server that is a ratio to the reference.
pub(super) type Figure = fn(&Measured) -> Option<Ratio>;

/// What stands in one cell, and the verdict if there is one.
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) verdict: Option<Verdict>,
}

/// The cells of one server, case by case. Why there is no figure is told where the absent are.
pub(super) fn cells(record: &ResultFile, server: &Server, figure: Figure) -> Vec<Cell> {
    let cell = |case: &crate::schema::Case| {
        let outcome = case.results.iter().find(|it| it.server == server.name);
        let ratio = outcome.and_then(|it| figure(it.measured.as_ref()?));
        let text = match (ratio, outcome.map(|it| it.status)) {
            (Some(ratio), _) => view::format_factor(ratio.estimate.median),
            (None, _) if server.name == record.reference => "1".to_owned(),
            (None, Some(Status::Failed)) => "broke".to_owned(),
            (None, _) => "–".to_owned(),
        };
        Cell { text, verdict: ratio.map(|ratio| ratio.verdict) }
    };
    record.cases.iter().map(cell).collect()
}

/// Both tables, for the page.
pub(super) fn tables(view: RecordView<'_>) -> String {
    let record = view.record;
    if record.cases.is_empty() || record.servers.is_empty() {
        return html::element("p", "missing", "This run has no case that came to its end.");
    }
    let rate = table(view, "Messages a second", |it| it.rate_ratio, Verdict::Higher);
    let cpu = table(view, "CPU a message", |it| it.cpu_ratio, Verdict::Lower);
    let shows = if conclusion::has_verdicts(record) {
        "Blue is better, orange is worse, grey shows no difference beyond the noise."
    } else {
        "There are too few rounds for any verdict."
    };
    let how = format!(
        "Ratios to {}. {shows} Where both cores are saturated, the CPU ratio is the one to read.",
        record.reference
    );
    // The script, without which nothing can be hidden, shows it.
    let hint = "<p class=\"note hint\" hidden>Click the name of a server in these tables to hide it in \
                every plot, and again to show it.</p>\n";
    format!("{}{hint}<div class=\"matrix\">{rate}{cpu}</div>\n", html::element("p", "note", &how))
}

fn table(view: RecordView<'_>, title: &str, figure: Figure, good: Verdict) -> String {
    let cases = &view.record.cases;
    let head: String =
        cases.iter().map(|case| format!("<th scope=\"col\">{}</th>", escape(&case.name))).collect();
    let title = html::element("h4", "", title);
    let mut text = format!(
        "<div>{title}<div class=\"scroll\"><table><thead><tr><th scope=\"col\">server</th>{head}\
         </tr></thead><tbody>\n"
    );
    for (number, server) in view.record.servers.iter().enumerate() {
        let own = if view.is_own(&server.name) { " own" } else { "" };
        let (look, name) = (view.palette.class(&server.name), escape(&server.name));
        text += &format!(
            "<tr><th scope=\"row\"><span class=\"who{own}\" data-who=\"{number}\"><i class=\"plot\">\
             <i class=\"swatch {look}\"></i></i>{name}</span></th>"
        );
        for Cell { text: said, verdict } in cells(view.record, server, figure) {
            let class = match verdict {
                None | Some(Verdict::NoDifference) => "none",
                Some(found) if found == good => "better",
                Some(_) => "worse",
            };
            text += &format!("<td class=\"{class}\">{said}</td>");
        }
        text += "</tr>\n";
    }
    text + "</tbody></table></div></div>\n"
}
