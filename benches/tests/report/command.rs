//! The `report` command: its output files, and its errors for bad input.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use epollite_bench::report;
use epollite_bench::schema::ResultFile;
use epollite_bench::stats::{Estimate, Verdict};

use super::support::data;

#[test]
fn output_files_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let sample = data("sample.json");
    let output = run(folder.path(), &[sample.to_str().unwrap(), "--svg", "pictures/of/it"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.starts_with("the page: report.html\n"), "{said}");
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    let pictures = folder.path().join("pictures/of/it");
    let count = std::fs::read_dir(&pictures).unwrap().count();
    assert!(pictures.join("ratios-c64.svg").is_file() && count >= 13, "{count} pictures");
    assert!(said.contains(&format!("the plots: {count} files in pictures/of/it")), "{said}");
}

#[test]
fn the_page_in_markdown_leads_to_every_picture() {
    let folder = tempfile::tempdir().unwrap();
    let sample = data("sample.json");
    let arguments =
        [sample.to_str().unwrap(), "--svg", "docs/plots", "--markdown", "docs/bench.md"];
    assert!(run(folder.path(), &arguments).status.success());
    let page = std::fs::read_to_string(folder.path().join("docs/bench.md")).unwrap();
    let linked: BTreeSet<&str> = page
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap().strip_prefix("plots/").unwrap())
        .collect();
    let pictures = std::fs::read_dir(folder.path().join("docs/plots")).unwrap();
    let pictures: Vec<_> =
        pictures.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(linked, pictures.iter().map(String::as_str).collect());
}

/// What is committed is what was measured: no figure was edited since.
#[test]
fn docs_bench_matches_its_data() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let read = |name: &str| std::fs::read_to_string(docs.join(name)).unwrap();
    let records = ["compare", "models"].map(|name| {
        ResultFile::read(&docs.join(format!("bench/{name}.json"))).expect("docs/bench has the data")
    });
    let again = "run make bench-page";
    assert_eq!(report::markdown(&records, "bench").unwrap(), read("bench.md"), "{again}");
    for (name, picture) in report::write_svgs(&records).unwrap() {
        assert_eq!(picture, read(&format!("bench/{name}")), "{name}: {again}");
    }
}

/// Older result files may contain paths of the machine.
#[test]
fn a_page_contains_no_paths_of_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = ResultFile::read(&data("sample.json")).unwrap();
    record.absent[0].why = "cc: /home/alice/peers/libuv_echo.c:12:10: fatal error".to_owned();
    record.run.command.push("--program=/home/alice/bin/epollite".to_owned());
    let text = serde_json::to_string(&record).unwrap();
    std::fs::write(folder.path().join("old.json"), text).unwrap();
    let output = run(folder.path(), &["old.json", "--svg", "p", "--markdown", "page.md"]);
    assert!(output.status.success(), "{output:?}");
    for file in ["report.html", "page.md"] {
        let page = std::fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(!page.contains("alice"), "{file}");
        assert!(page.contains("cc: libuv") && page.contains("--program=epollite"), "{file}");
    }
}

#[test]
fn bad_input_gets_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let sample = data("sample.json");
    let sample = sample.to_str().unwrap();
    let text = std::fs::read_to_string(sample).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("other.json", &text.replace("\"schema\": 1", "\"schema\": 99"));
    write("half.json", &text[..text.len() / 2]);
    write("binary.json", "\u{0}");
    for (arguments, why) in [
        (vec!["none.json"], "cannot read none.json"),
        (vec!["."], "cannot read ."),
        (vec!["half.json"], "half.json is not JSON"),
        (vec!["binary.json"], "is not JSON"),
        (vec![sample, "other.json"], "other.json: schema 99, and this program reads 1"),
        (vec![sample, "-o", "no/such/place.html"], "cannot write no/such/place.html"),
        (vec![sample, "-o", "."], "cannot write ."),
        (vec![sample, "-o", sample], "is an input"),
        (vec![sample, "--svg", "other.json"], "cannot make other.json"),
        (vec![sample, "--svg", "a", "--markdown", "b/c.md"], "a is not in the folder of b/c.md"),
    ] {
        let output = run(folder.path(), &arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{arguments:?}: {said}");
    }
}

#[test]
fn a_report_needs_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("<RESULT.json>..."));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "and nothing is written");
}

/// The table of the README is of the same run.
#[test]
fn the_readme_table_matches_the_data() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let record = ResultFile::read(&root.join("docs/bench/compare.json")).unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    for case in &record.cases {
        let cells = ["A/A", "epoll-edge", "epoll-level", "coroutine"].map(|server| {
            let outcome = case.results.iter().find(|it| it.server == server).unwrap();
            let ratio = outcome.measured.as_ref().unwrap().cpu_ratio.unwrap();
            let Estimate { median, low, high } = ratio.estimate;
            let text = format!("{median:.2} [{low:.2}, {high:.2}]");
            if ratio.verdict == Verdict::NoDifference { text } else { format!("**{text}**") }
        });
        let reference = case.results.iter().find(|it| it.server == record.reference).unwrap();
        let load = reference.measured.as_ref().unwrap().load_cpu_ratio.unwrap();
        let load = format!("{:.2} [{:.2}, {:.2}]", load.median, load.low, load.high);
        let figures = format!(" | {} | {load} |", cells.join(" | "));
        let is_line = |line: &str| {
            line.starts_with(&format!("| {}:", case.load.name)) && line.ends_with(&figures)
        };
        assert!(readme.lines().any(is_line), "{}:{figures}", case.load.name);
    }
}

/// And so are the instruction counts in its text.
#[test]
fn the_readme_counts_match_the_baseline() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let baseline = read("benches/instructions.txt");
    let figure = |case: &str, server: &str| -> f64 {
        let is_line = |line: &&str| line.starts_with(case) && line.ends_with(server);
        let line = baseline.lines().find(is_line).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let [ours, ours_busy] = ["ping", "busy64"].map(|case| figure(case, "  epoll-edge"));
    let [theirs, theirs_busy] = ["ping", "busy64"].map(|case| figure(case, "  C edge"));
    let said = format!(
        "{ours:.0} at one connection, {ours_busy:.0} at 64, where the C server has {theirs:.0} and \
         {theirs_busy:.0}"
    );
    let readme = read("README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&said), "{said}");
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epollite-bench"));
    command.arg("report").args(arguments).current_dir(folder).output().unwrap()
}
