//! Sentences are the same on the page, in Markdown and on the terminal, and fit there: too few
//! rounds, too much noise, the conclusion, what was not counted. And the reader's own servers stand
//! out.

use epollite_bench::report;
use epollite_bench::schema::{Noise, Origin, ResultFile, Status};
use epollite_bench::{conclusion, table};
use roxmltree::Document;

use super::malformed::{many_servers, renamed};
use super::support::{figure, full, models, part, svgs};

/// How wide a terminal is.
const WIDTH: usize = 80;

/// All that a terminal is shown of a record.
fn terminal(record: &ResultFile) -> String {
    let cases: String = record.cases.iter().map(|case| table::case(case, record)).collect();
    let shown = [
        table::legend(record.run.rounds),
        cases,
        table::knee(record),
        table::servers(record),
        table::models(record),
        table::concluded(record),
    ];
    shown.concat()
}

/// The page without the data in it, the page in Markdown, and the terminal.
fn everywhere(record: &ResultFile) -> [(&'static str, String); 3] {
    let page = report::html(std::slice::from_ref(record)).unwrap();
    let (page, _) = page.split_once("<script type=\"application/json\"").unwrap();
    let markdown = report::markdown(std::slice::from_ref(record), "plots").unwrap();
    [("page", page.to_owned()), ("Markdown", markdown), ("terminal", terminal(record))]
}

/// Without line ends and escapes, so that the same words are the same.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('\\', "")
}

#[test]
fn with_too_few_rounds_there_is_no_interval_and_no_verdict() {
    // The open loop has no intervals anyway.
    let mut record = ResultFile { knee: None, ..full() };
    record.run.rounds = 5;
    for (place, text) in everywhere(&record) {
        assert!(plain(&text).contains("too few"), "{place}: {text}");
        for claim in ["95 % interval", "95% interval", ">95 %<", "no difference shown", "Bold"] {
            assert!(!text.contains(claim), "{place} claims {claim}");
        }
    }
    for (name, picture) in report::write_svgs(std::slice::from_ref(&record)).unwrap() {
        assert!(!picture.contains("95 % interval") && !picture.contains("no difference"), "{name}");
    }
    record.run.rounds = 6;
    for (place, text) in everywhere(&record) {
        let words = plain(&text);
        assert!(!words.contains("too few") && words.contains("no difference"), "{place}: {text}");
    }
}

#[test]
fn too_much_noise_is_a_warning_everywhere() {
    let mut record = full();
    for (place, text) in everywhere(&record) {
        assert!(!text.contains("warning: "), "{place}: the sample is calm");
    }
    record.cases[1].noise = Some(Noise { rate: 1.6, cpu: 1.02 });
    for (place, text) in everywhere(&record) {
        let words = plain(&text);
        assert!(
            words.contains("warning: ") && words.contains("of the rate is 60 %"),
            "{place}: {text}"
        );
        assert!(words.contains("in 1 case that is too much for any conclusion"), "{place}: {text}");
    }
    record.cases[1].noise = Some(Noise { rate: 1.0, cpu: 1.5 });
    assert!(conclusion::warning(&record.cases[1]).unwrap().contains("of the CPU time is 50 %"));
}

#[test]
fn the_conclusion_is_at_the_top() {
    let record = full();
    let concluded = conclusion::of(&record);
    assert!(concluded.contains("Two copies of C edge differed by up to"), "{concluded}");
    for (place, text) in everywhere(&record) {
        let words = plain(&text);
        let at = words.find(&concluded).unwrap_or_else(|| panic!("{place} says it: {words}"));
        match place {
            "page" => assert!(words[..at].find("<section").is_none(), "before everything else"),
            "Markdown" => assert!(!words[..at].contains("## "), "before everything else"),
            _ => assert!(words[at + concluded.len()..].trim().is_empty(), "last on a terminal"),
        }
    }
}

#[test]
fn the_readers_own_server_comes_first_and_stands_out() {
    let mut record = full();
    record.servers[3].origin = Origin::Extra;
    let concluded = conclusion::of(&record);
    assert!(concluded.starts_with("Against C edge, mio shows "), "{concluded}");
    let pictures = report::write_svgs(std::slice::from_ref(&record)).unwrap();
    let mut seen = 0;
    for (name, text) in &pictures {
        let document = Document::parse(text).unwrap_or_else(|it| panic!("{name}: {it}"));
        let groups = document.descendants().filter(|it| it.attribute("data-server").is_some());
        let groups: Vec<(&str, &str)> = groups
            .map(|it| (it.attribute("data-server").unwrap(), it.attribute("class").unwrap()))
            .collect();
        let mine = groups.iter().filter(|(server, _)| *server == "3");
        mine.for_each(|(_, class)| assert!(class.contains(" mine "), "{name}: {class}"));
        seen += usize::from(groups.iter().any(|(server, _)| *server == "3"));
        let lines: Vec<&str> = groups
            .iter()
            .filter(|(_, class)| class.starts_with("series "))
            .map(|it| it.0)
            .collect();
        if name.starts_with("latency") || name == "knee.svg" {
            assert_eq!(lines.last(), Some(&"3"), "{name}: it lies on top of the others");
        }
    }
    assert!(seen >= 10, "it is in every plot: {seen}");
    let page = report::html(&[record]).unwrap();
    assert_eq!(page.matches("class=\"server-toggle own\"").count(), 2, "in both tables");
}

#[test]
fn many_lines_have_a_small_plot_each() {
    let record = many_servers();
    let page = report::html(std::slice::from_ref(&record)).unwrap();
    for svg in svgs(figure(&page, "r0-latency-ping")) {
        let document = Document::parse(svg).unwrap();
        let labels =
            document.descendants().filter(|it| it.attribute("class") == Some("label strong"));
        let mut places: Vec<(&str, &str)> =
            labels.map(|it| (it.attribute("x").unwrap(), it.attribute("y").unwrap())).collect();
        assert!(places.len() > 40, "each has its own: {}", places.len());
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count, "no two are at one place");
        let guides =
            document.descendants().filter(|it| it.attribute("class") == Some("guide reference"));
        assert_eq!(guides.count(), count - 1, "the reference is in all others too");
    }
    let few = report::html(&[full()]).unwrap();
    assert!(!figure(&few, "r0-latency-ping").contains("series alone"), "few lines stand together");
}

#[test]
fn the_page_explains_that_servers_can_be_hidden() {
    let page = report::html(&[full()]).unwrap();
    let hint = part(&page, "<p class=\"hint\" hidden>", "</p>");
    assert!(hint.contains("Click the name of a server"), "{hint}");
    assert!(page.contains("hint.hidden = false"), "the script shows it");
}

#[test]
fn the_reason_for_missing_counts_is_shown() {
    let mut record = full();
    for outcome in &mut record.cases[0].results {
        let Some(measured) = &mut outcome.measured else { continue };
        (measured.syscalls, measured.syscalls_why) = (None, Some("perf is lost".to_owned()));
    }
    for (place, text) in everywhere(&record).into_iter().filter(|it| it.0 != "Markdown") {
        assert!(plain(&text).contains("perf is lost"), "{place}: {text}");
    }
    for outcome in &mut record.cases[0].results {
        outcome.measured.iter_mut().for_each(|it| it.syscalls_why = None);
    }
    record.run.syscalls_counted_by = "not counted: tracefs is not mounted".to_owned();
    let shown = table::case(&record.cases[0], &record);
    assert!(shown.contains("calls/msg: not counted: tracefs is not mounted"), "{shown}");
    assert_eq!(shown.matches("tracefs").count(), 1, "once for all servers");
}

#[test]
fn a_server_past_the_bound_at_once_is_described_by_its_latency() {
    let mut record = full();
    let curve = &mut record.knee.as_mut().unwrap().curves[2];
    (curve.knee, curve.status) = (None, Status::Complete);
    (curve.steps[0].offered, curve.steps[0].answered, curve.steps[0].p99_ns) =
        (7200.0, 7500.0, 9_000_000);
    let text = plain(&table::knee(&record));
    assert!(
        text.contains("at the first rate, 7.2k messages per second, its p99 was 9.00 ms"),
        "{text}"
    );
    assert!(!text.contains("7.5k"), "more than was offered is not a result: {text}");
}

#[test]
fn a_terminal_of_eighty_columns_holds_every_table() {
    for record in [full(), models(), many_servers(), renamed()] {
        for line in terminal(&record).lines() {
            assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
        }
    }
}
