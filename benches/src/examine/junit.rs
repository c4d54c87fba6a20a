//! The results as JUnit XML, which continuous integration systems show.

use std::fmt::Write as _;

use super::record::{Examination, Examined, Outcome, Status};

/// The document: a suite for each server, a test case for each case.
pub fn junit(examination: &Examination) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    examination.servers.iter().for_each(|server| suite(&mut text, server));
    text + "</testsuites>\n"
}

fn suite(text: &mut String, server: &Examined) {
    let seconds: f64 = server.cases.iter().map(|case| case.seconds).sum();
    let (failed, skipped) = (server.count(Status::Failed), server.count(Status::Skipped));
    let name = escaped(&format!("{} {:?}", server.server, server.transport));
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\" \
         time=\"{seconds:.3}\">",
        server.cases.len()
    );
    server.cases.iter().for_each(|case| test_case(text, case));
    text.push_str("  </testsuite>\n");
}

fn test_case(text: &mut String, case: &Outcome) {
    let (class, name) = case.name.split_once('/').unwrap_or(("", &case.name));
    let (class, name) = (escaped(class), escaped(name));
    let seconds = case.seconds;
    let _ =
        write!(text, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\"");
    let why = escaped(case.why.as_deref().unwrap_or_default());
    let right = escaped(&format!("right: {}; {}", case.right, case.because));
    let _ = match case.status {
        Status::Ok => writeln!(text, "/>"),
        Status::Skipped => writeln!(text, "><skipped message=\"{why}\"/></testcase>"),
        Status::Failed => {
            writeln!(text, "><failure message=\"{why}\">{right}</failure></testcase>")
        }
    };
}

/// Text for XML; control characters, which XML 1.0 does not allow, become U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}
