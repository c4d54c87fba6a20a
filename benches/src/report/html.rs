//! The few pieces of HTML that a page is put together from, escaped. It has never heard of servers.

use super::plot::{Plot, Table};
use super::svg::escape;

/// Puts texts into the places `{{so}}` of a template. What is put in is not looked at again.
pub(super) fn fill(template: &str, texts: &[(&str, &str)]) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        let text = texts.iter().find(|it| it.0 == name).map_or("", |it| it.1);
        page.push_str(text);
        page.push_str(rest);
    }
    page
}

/// An element with a text in it.
pub(super) fn element(tag: &str, class: &str, text: &str) -> String {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<{tag}{class}>{}</{tag}>\n", escape(text))
}

/// Figures stand to the right, words to the left; where there are many words they take several
/// lines.
pub(super) fn table(table: &Table) -> String {
    let classes: Vec<&str> = (0..table.head.len()).map(|column| class(table, column)).collect();
    let head = table.head.iter().zip(&classes);
    let head: String = head
        .map(|(text, class)| format!("<th scope=\"col\"{class}>{}</th>", escape(text)))
        .collect();
    let mut text = format!("<div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>\n");
    for row in &table.rows {
        text += "<tr>";
        for (column, (cell, class)) in row.iter().zip(&classes).enumerate() {
            let (tag, scope) = if column == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
            text += &format!("<{tag}{scope}{class}>{}</{tag}>", escape(cell));
        }
        text += "</tr>\n";
    }
    text + "</tbody></table></div>\n"
}

fn class(table: &Table, column: usize) -> &'static str {
    const MANY: usize = 30;
    let mut cells = table.rows.iter().map(|row| row[column].as_str());
    if cells.clone().any(|cell| cell.chars().count() > MANY) {
        " class=\"words\""
    } else if column == 0 || cells.any(|cell| cell.starts_with(|c: char| c.is_ascii_digit())) {
        ""
    } else {
        " class=\"left\""
    }
}

/// A plot: its title, its pictures or why there are none, its figures to unfold.
pub(super) fn figure(plot: &Plot, title: &str, with_lead: bool, prefix: &str) -> String {
    let id = format!("{prefix}-{}", plot.name);
    let is_half = plot.drawn.as_ref().map_or(true, |drawn| drawn.is_half);
    let class = if is_half { "half" } else { "wide" };
    let mut text = format!("<figure class=\"{class}\" id=\"{id}\">\n<figcaption>");
    text += &element("h4", "", title);
    if with_lead && plot.drawn.is_ok() {
        text += &element("p", "", &plot.caption);
    }
    text += "</figcaption>\n";
    match &plot.drawn {
        Ok(drawn) => {
            let (title, what) = (&plot.title, &plot.caption);
            let screen = format!("{id}-screen");
            text += &drawn.screen.inline(&screen, "plot screen", title, what);
            text += &drawn.narrow.inline(&format!("{id}-phone"), "plot phone", title, what);
        }
        Err(why) => text += &element("p", "missing", why),
    }
    if !plot.table.rows.is_empty() {
        text += "<details><summary>The figures</summary>\n";
        text += &self::table(&plot.table);
        text += "</details>\n";
    }
    text + "</figure>\n"
}

/// Data as it may stand in a script element: no text in it can end that, or begin a comment.
pub(super) fn embed(json: &str) -> String {
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_template_is_not_looked_at_again() {
        let texts = [("a", "{{b}}"), ("b", "2")];
        assert_eq!(fill("<{{a}}|{{b}}|{{c}}>", &texts), "<{{b}}|2|>");
    }

    #[test]
    fn data_cannot_end_its_element() {
        assert_eq!(embed("[\"</script><!--\"]"), "[\"\\u003c/script\\u003e\\u003c!--\"]");
    }
}
