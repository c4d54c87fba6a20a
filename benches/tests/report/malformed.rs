//! Malformed result files: hostile names, extremes, many servers, none.

use epollite_bench::report;
use epollite_bench::schema::{Measured, Ratio, ResultFile};
use epollite_bench::stats::{Estimate, Verdict};
use roxmltree::Document;

use super::support::{embedded, full, svgs};

const NAMES: [&str; 6] = [
    "<script>alert(1)</script>",
    "</script><!--",
    "\"'onload=x&amp;",
    "../../etc/passwd",
    "\u{0}\u{1b}[31m\u{202e}",
    "a name so long that no column of any table could ever hold it, nor a label beside a line",
];

/// A result file in which every name is hostile.
pub(super) fn renamed() -> ResultFile {
    let mut record = full();
    let mut text = serde_json::to_string(&record).unwrap();
    for (server, name) in record.servers.iter().zip(NAMES) {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        text = text.replace(&quoted(&server.name), &quoted(name));
    }
    record = serde_json::from_str(&text).unwrap();
    for (case, name) in record.cases.iter_mut().zip([NAMES[0], NAMES[3]]) {
        (case.load.name, case.load.what) = (name.to_owned(), NAMES[1].to_owned());
    }
    record.absent[0].why = NAMES[1].to_owned();
    record.machine.cpu = "{{script}}".to_owned();
    record.run.failures = NAMES.map(str::to_owned).to_vec();
    record.run.command = NAMES.map(str::to_owned).to_vec();
    record
}

/// Forty copies of one server: their lines coincide.
pub(super) fn many_servers() -> ResultFile {
    let mut record = full();
    let (server, knee) = (record.servers[3].clone(), record.knee.as_mut().unwrap());
    for number in 0..40 {
        let name = format!("another {number}");
        let mut one = server.clone();
        one.name.clone_from(&name);
        record.servers.push(one);
        for case in &mut record.cases {
            let mut outcome = case.results[3].clone();
            outcome.server.clone_from(&name);
            case.results.push(outcome);
        }
        let mut curve = knee.curves[3].clone();
        curve.server = name;
        knee.curves.push(curve);
    }
    record
}

#[test]
fn a_hostile_name_is_escaped() {
    let record = renamed();
    let page = report::html(std::slice::from_ref(&record)).unwrap();
    assert_eq!(page.matches("<script").count(), 2, "the data and the script, and no other");
    assert_eq!(page.matches("</script").count(), 2, "each ends once");
    assert!(!page.contains("<!--"), "nothing is commented out");
    assert!(page.contains("{{script}}"), "inserted text is not expanded again");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "the name can be read");
    assert_eq!(embedded(&page), std::slice::from_ref(&record), "and the data is what it was");
    are_pictures(&page);
    for (name, picture) in report::write_svgs(&[record]).unwrap() {
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        assert!(name.chars().all(safe) && !name.starts_with('.'), "{name} stays in its folder");
        Document::parse(&picture).unwrap_or_else(|it| panic!("{name}: {it}"));
    }
}

#[test]
fn two_cases_of_one_name_are_two() {
    let mut record = full();
    record.cases[1].load.name = record.cases[0].load.name.clone();
    let names: Vec<String> =
        report::write_svgs(&[record]).unwrap().into_iter().map(|it| it.0).collect();
    assert!(names.contains(&"ratios-ping.svg".to_owned()), "{names:?}");
    assert!(names.contains(&"ratios-ping--2.svg".to_owned()), "{names:?}");
}

#[test]
fn extremes_stay_on_the_sheet() {
    for extreme in [0.0, 1e-300, 1000.0, 1e300] {
        let mut record = full();
        for case in &mut record.cases {
            for outcome in case.results.iter_mut().skip(2) {
                if let Some(measured) = &mut outcome.measured {
                    exaggerate(measured, extreme);
                }
            }
        }
        let step = &mut record.knee.as_mut().unwrap().curves[2].steps[3];
        (step.offered, step.answered, step.p99_ns) = (extreme, extreme, u64::MAX);
        let page = report::html(&[record]).unwrap();
        are_pictures(&page);
        for svg in svgs(&page) {
            let document = Document::parse(svg).unwrap();
            let (width, height) = size(&document);
            for node in document.descendants() {
                for (name, most) in [("cx", width), ("x2", width), ("cy", height), ("y2", height)] {
                    let Some(place) = node.attribute(name) else { continue };
                    let place: f64 = place.parse().unwrap();
                    assert!((-1.0..=most + 1.0).contains(&place), "{name}={place} of {most}");
                }
            }
        }
    }
}

#[test]
fn many_servers_and_none_are_drawn() {
    let mut alone = full();
    alone.servers.truncate(1);
    alone.cases.iter_mut().for_each(|case| case.results.truncate(1));
    let mut nothing = full();
    nothing.servers.clear();
    nothing.cases.clear();
    nothing.knee = None;
    let mut unasked = full();
    unasked.cases.iter_mut().for_each(|case| case.results.clear());
    unasked.knee.as_mut().unwrap().curves.clear();
    for record in [many_servers(), alone, nothing, unasked] {
        let page = report::html(&[record]).unwrap();
        are_pictures(&page);
        assert!(page.contains("How it was measured"));
    }
    are_pictures(&report::html(&[]).unwrap());
}

fn exaggerate(measured: &mut Measured, extreme: f64) {
    let all = Estimate { median: extreme, low: extreme / 2.0, high: extreme * 2.0 };
    let ratio = Some(Ratio { estimate: all, verdict: Verdict::Higher });
    (measured.rate, measured.cpu_ns) = (all, all);
    (measured.rate_ratio, measured.cpu_ratio, measured.p99_ratio) = (ratio, ratio, ratio);
    (measured.cpu_user_ns, measured.cpu_system_ns) = (Some(extreme), Some(extreme));
    measured.peak_rss_bytes = Some(u64::MAX);
    if let Some(calls) = &mut measured.syscalls {
        calls.per_message = extreme;
    }
    if let Some(latency) = &mut measured.latency {
        latency.curve = vec![(0.0, 0), (0.5, 0), (0.99, u64::MAX), (1.0, u64::MAX)];
    }
}

fn are_pictures(page: &str) {
    for svg in svgs(page) {
        Document::parse(svg).unwrap_or_else(|it| panic!("{it}: {svg}"));
        assert!(!svg.contains("NaN") && !svg.contains("inf\""), "a place is a number: {svg}");
    }
}

fn size(document: &Document<'_>) -> (f64, f64) {
    let root = document.root_element();
    let of = |name: &str| root.attribute(name).unwrap().parse().unwrap();
    (of("width"), of("height"))
}
