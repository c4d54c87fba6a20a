//! Result files to draw, and parts of a page, found without a browser.

use std::path::{Path, PathBuf};

use epollite_bench::schema::{Case, Kind, ResultFile};

/// Plots of one case, and of a whole record.
pub(super) const CASE_PLOTS: [&str; 4] = ["ratios", "latency", "cpu", "syscalls"];
pub(super) const WHOLE_PLOTS: [&str; 7] = [
    "rate-connections",
    "knee",
    "knee-servers",
    "memory-idle",
    "memory-peak",
    "size-binary",
    "size-crates",
];

pub(super) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The sample with an open loop: every plot has something to show.
pub(super) fn full() -> ResultFile {
    let mut record = ResultFile::read(&data("sample.json")).unwrap();
    record.knee = ResultFile::read(&data("sample-knee.json")).unwrap().knee;
    record
}

/// A record of `models`: the same servers by connections, and one that breaks on the way.
pub(super) fn models() -> ResultFile {
    let mut record = ResultFile { kind: Kind::Models, knee: None, ..full() };
    let (small, large) = (record.cases[0].clone(), record.cases[1].clone());
    let of = |case: &Case, connections: usize| {
        let what = format!("connections: {connections}");
        let mut case = case.clone();
        (case.load.name, case.load.what) = (format!("c{connections}"), what);
        case.load.connections = connections;
        case
    };
    record.cases = vec![of(&small, 1), of(&large, 10), of(&large, 100), of(&large, 1000)];
    let breaks = &mut record.cases[3].results[3];
    breaks.status = epollite_bench::schema::Status::Failed;
    breaks.why = Some("stalled at a thousand".to_owned());
    record
}

/// The element that begins with `opening`, up to the first `closing`.
pub(super) fn part<'a>(page: &'a str, opening: &str, closing: &str) -> &'a str {
    let from = page.find(opening).unwrap_or_else(|| panic!("the page lacks {opening}"));
    let to = page[from..].find(closing).unwrap_or_else(|| panic!("{opening} never ends"));
    &page[from..from + to + closing.len()]
}

/// The figure of a plot in a page, by its place.
pub(super) fn figure<'a>(page: &'a str, place: &str) -> &'a str {
    let id = format!("id=\"{place}\"");
    let at = page.find(&id).unwrap_or_else(|| panic!("the page has no plot {place}"));
    let from = page[..at].rfind("<figure").unwrap();
    let to = page[from..].find("</figure>").unwrap();
    &page[from..from + to]
}

/// Every SVG in a text.
pub(super) fn svgs(page: &str) -> Vec<&str> {
    let starts = page.match_indices("<svg").map(|(at, _)| at);
    starts.map(|at| &page[at..at + page[at..].find("</svg>").unwrap() + 6]).collect()
}

/// The records that a page carries.
pub(super) fn embedded(page: &str) -> Vec<ResultFile> {
    let opening = "<script type=\"application/json\" id=\"records\">";
    let element = part(page, opening, "</script>");
    let json = element.strip_prefix(opening).unwrap().strip_suffix("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}
