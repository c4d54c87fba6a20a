//! Experiments as Markdown: one with its timeline, and the table of facts, in English or Chinese.
//!
//! Makes text from reports; runs nothing. Lines have at most 100 columns, tables and fenced blocks
//! excepted.

use epollite::study::{ExperimentReport, Skipped};

use super::kernels::{Machine, Observation};
use super::script::Script;
use super::timeline::{Row, expected, observed, timeline};
use super::translation::{Language, Translation};
use super::verdict::{key_step, people_wrong, skipped, state, verdict};
use crate::output::columns::{one_line, wrap};

/// The width of a paragraph.
const COLUMNS: usize = 100;
/// The width of a call as strace prints it, in a fenced block.
const CALL_COLUMNS: usize = 96;

/// Where a page is, and in which language.
pub(super) struct Place<'p> {
    pub(super) language: Language,
    pub(super) translation: &'p Translation,
    /// The kernel that was observed, as a sentence of the page names it.
    pub(super) kernel: &'p str,
    /// Whether the picture stands beside the page.
    pub(super) has_picture: bool,
}

impl Place<'_> {
    /// In the language of the page.
    fn say(&self, english: &'static str, chinese: &'static str) -> &'static str {
        match self.language {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    /// A text of the experiment. What is not translated is marked.
    fn of(&self, english: &str) -> String {
        match (self.language, self.translation.get(english)) {
            (Language::English, _) => english.to_owned(),
            (Language::Chinese, Some(chinese)) => chinese.to_owned(),
            (Language::Chinese, None) if english.is_empty() => String::new(),
            (Language::Chinese, None) => format!("{english}（未翻译）"),
        }
    }

    /// A paragraph, with a label in bold.
    fn labelled(&self, english: &'static str, chinese: &'static str, text: &str) -> String {
        let text = match self.language {
            Language::English => format!("**{english}:** {text}"),
            Language::Chinese => format!("**{chinese}：** {text}"),
        };
        paragraph(&text)
    }
}

/// One experiment.
pub(super) fn experiment(
    script: &Script,
    machine: &Machine,
    seen: &Observation,
    place: &Place<'_>,
) -> String {
    let experiment = &script.experiment;
    let mut page = format!("# {}\n\n", script.name);
    page += &paragraph(&place.of(&experiment.question));
    let wiring: Vec<String> = experiment.wiring.lines().map(one_line).collect();
    page += &format!("\n```text\n{}\n```\n\n", wiring.join("\n"));
    if place.has_picture {
        let alt = place.say("The calls as arrows between lanes", "以泳道间的箭头表示的调用");
        page += &format!("![{alt}]({}.svg)\n\n", script.name);
    }
    let report = seen.shown();
    match report.filter(|report| !report.is_skipped()) {
        Some(report) => page += &timeline_of(seen, &timeline(experiment, report), place),
        None => {
            let reason = not_observed(report, place);
            page += &place.labelled("Not observed", "未观察", &reason);
            page += &format!("\n{}\n", expectations(script, place));
        }
    }
    page += &place.labelled("People expect", "人们通常以为", &place.of(&experiment.people));
    page.push('\n');
    let verdict = match place.language {
        Language::English => verdict(experiment, machine, seen, "Linux"),
        Language::Chinese => chinese_verdict(script, machine, seen),
    };
    page += &place.labelled("Verdict", "结果", &verdict);
    page.push('\n');
    page += &place.labelled("Because", "原因", &experiment.because);
    page.push('\n');
    page += &place.labelled("Lesson", "结论", &place.of(&experiment.lesson));
    if let Some(file) = &experiment.depends {
        page.push('\n');
        page += &place.labelled("In epollite", "epollite 中的相关代码", file);
    }
    page
}

fn chinese_verdict(script: &Script, machine: &Machine, seen: &Observation) -> String {
    let mut parts = Vec::new();
    for (name, report) in [("模型", &seen.model), ("Linux", &seen.linux)] {
        let Some(report) = report else { continue };
        parts.push(match report.steps.iter().filter(|step| !step.agrees).count() {
            _ if is_not_modelled(Some(report)) => format!("{name}：不支持"),
            _ if report.is_skipped() => format!("{name}：已跳过"),
            0 => format!("{name}：符合预期"),
            count => format!("{name}：{count} 个结果不符"),
        });
    }
    parts.push(match people_wrong(&script.experiment, machine.version) {
        (_, 0) => "未询问人们的看法".to_owned(),
        (0, _) => "人们的看法正确".to_owned(),
        (wrong, asked) => format!("人们在 {asked} 个步骤中错了 {wrong} 个"),
    });
    parts.join("；") + "。"
}

fn is_not_modelled(report: Option<&ExperimentReport>) -> bool {
    report.is_some_and(|report| report.skipped == Some(Skipped::NotModelled))
}

/// Why there are no results, and what stands in their place.
fn not_observed(report: Option<&ExperimentReport>, place: &Place<'_>) -> String {
    if is_not_modelled(report) {
        return place
            .say(
                "not modelled. The table has what is expected of Linux.",
                "模型不支持。表中是对 Linux 的预期。",
            )
            .to_owned();
    }
    skipped(report).unwrap_or_default()
}

/// The steps as a table, and their system calls.
fn timeline_of(seen: &Observation, rows: &[Row], place: &Place<'_>) -> String {
    let mut page = paragraph(place.kernel) + "\n";
    page += place.say(
        "| # | call | result | people expect | note |\n",
        "| # | 调用 | 结果 | 人们通常以为 | 说明 |\n",
    );
    page += "|--:|---|---|---|---|\n";
    for row in rows {
        let model = seen.model.as_ref().filter(|_| seen.linux.is_some());
        let model = model.and_then(|model| model.steps.get(row.number - 1));
        let mut result = code(&row.result);
        if let Some(model) = model.filter(|model| observed(Some(model)) != row.result) {
            let other = code(&observed(Some(model)));
            result += &format!("; {}: {other}", place.say("the model", "模型"));
        }
        if !row.agrees {
            result += &format!("; {}: {}", place.say("expected", "预期"), code(&row.expected));
        }
        let people = row.people.as_deref().map_or_else(String::new, code);
        let note = cell(&place.of(&row.note));
        page +=
            &format!("| {} | {} | {result} | {people} | {note} |\n", row.number, code(&row.call));
    }
    page += "\n";
    page += place.say(
        "The system calls, with names for descriptors:\n",
        "系统调用（文件描述符以名称表示）：\n",
    );
    page += "\n```text\n";
    for row in rows {
        let is_short = row.named_calls.len() <= 2;
        let calls =
            if is_short { row.named_calls.clone() } else { vec![format!("({})", row.summary())] };
        // Of these the report has the last call only.
        let is_last = ["fill", "fillto", "drain"].contains(&row.verb());
        let mark = if is_last { place.say("(the last) ", "（最后一次）") } else { "" };
        for call in calls {
            let call = format!("{mark}{call}");
            for (at, line) in wrap(&call, CALL_COLUMNS - 6).iter().enumerate() {
                let number = if at == 0 { row.number.to_string() } else { String::new() };
                let indent = if at == 0 { "" } else { "  " };
                page += &format!("{number:>3} {indent}{line}\n");
            }
        }
    }
    page + "```\n\n"
}

/// The steps with what is expected, where nothing was observed.
fn expectations(script: &Script, place: &Place<'_>) -> String {
    let mut table = place
        .say(
            "| # | call | expected | people expect | note |\n",
            "| # | 调用 | 预期 | 人们通常以为 | 说明 |\n",
        )
        .to_owned();
    table += "|--:|---|---|---|---|\n";
    for (at, step) in script.experiment.steps.iter().enumerate() {
        let people = step.people.as_ref().map_or_else(String::new, |it| code(&it.to_string()));
        let none = place.say("no error", "没有错误");
        let expected = step.expected.as_ref().map_or(none.to_owned(), |_| code(&expected(step)));
        let call = code(&step.call);
        let note = cell(&place.of(&step.note));
        table += &format!("| {} | {call} | {expected} | {people} | {note} |\n", at + 1);
    }
    table
}

/// A row for each experiment. `link` makes a link of a name. What is not modelled has the result
/// that is expected.
pub(super) fn facts(
    machine: &Machine,
    rows: &[(&Script, &Observation, &Translation)],
    language: Language,
    link: impl Fn(&str) -> String,
) -> String {
    let mut page = match language {
        Language::English => "| # | experiment | question | fact | people expect | is |\n",
        Language::Chinese => "| # | 实验 | 问题 | 事实 | 人们通常以为 | 状态 |\n",
    }
    .to_owned();
    page += "|--:|---|---|---|---|---|\n";
    for (at, (script, seen, translation)) in rows.iter().enumerate() {
        let place = Place { language, translation, kernel: "", has_picture: false };
        let experiment = &script.experiment;
        let report = seen.shown();
        let (mut fact, mut people) = (String::new(), String::new());
        if let (Some(key), Some(report)) = (key_step(experiment, machine.version), report) {
            let step = &experiment.steps[key];
            let result = match is_not_modelled(Some(report)) {
                true => expected(step),
                false => observed(report.steps.get(key)),
            };
            fact = format!("{}: {}", code(&step.call), code(&result));
            people = step.people.as_ref().map_or_else(String::new, |it| code(&it.to_string()));
        }
        if let Some(reason) = skipped(report).filter(|_| !is_not_modelled(report)) {
            (fact, people) = (cell(&reason), String::new());
        }
        let state = match (language, state(machine, seen)) {
            (Language::Chinese, "expected") => "符合预期",
            (Language::Chinese, "no model") => "模型不支持",
            (Language::Chinese, "skipped") => "已跳过",
            (Language::Chinese, _) => "不符",
            (Language::English, state) => state,
        };
        let (name, question) = (link(&script.name), cell(&place.of(&experiment.question)));
        page += &format!("| {} | {name} | {question} | {fact} | {people} | {state} |\n", at + 1);
    }
    page
}

/// Lines of at most [`COLUMNS`] columns. Chinese, which has no spaces, is broken behind a full stop
/// or a comma.
pub(super) fn paragraph(text: &str) -> String {
    let mut lines = Vec::new();
    for line in wrap_words(text) {
        let mut rest: Vec<char> = line.chars().collect();
        while rest.len() > COLUMNS {
            let stop = rest[..COLUMNS].iter().rposition(|c| "。；，、：".contains(*c));
            let at = stop.map_or(COLUMNS, |at| at + 1);
            lines.push(rest.drain(..at).collect::<String>());
        }
        lines.push(rest.into_iter().collect());
    }
    lines.join("\n") + "\n"
}

/// Lines broken at spaces only.
fn wrap_words(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    let mut used = 0;
    for word in one_line(text).split_whitespace() {
        let len = word.chars().count();
        if used > 0 && used + 1 + len > COLUMNS && len <= COLUMNS {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += len;
        }
    }
    lines
}

/// In a cell of a table, as code.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|").replace('`', "'"))
}

/// In a cell of a table, as text.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_has_no_line_of_more_than_100_columns() {
        for text in ["word ".repeat(60), "边缘触发，只报告一次。".repeat(40), "字".repeat(250)]
        {
            let lines = paragraph(&text);
            assert!(lines.lines().all(|line| line.chars().count() <= 100), "{lines}");
            let kept: String = lines.split_whitespace().collect();
            assert_eq!(kept, text.replace(' ', ""), "nothing is lost");
        }
    }
}
