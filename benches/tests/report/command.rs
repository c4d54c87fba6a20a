//! `report` as its users meet it: what it writes where, and what bad input gets.

use std::path::Path;
use std::process::{Command, Output};

use super::support::data;

#[test]
fn the_page_and_the_pictures_are_where_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let sample = data("sample.json");
    let run = report(folder.path(), &[sample.to_str().unwrap(), "--svg", "pictures/of/it"]);
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success() && said.starts_with("the page: report.html\n"), "{said}");
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    let pictures = folder.path().join("pictures/of/it");
    let count = std::fs::read_dir(&pictures).unwrap().count();
    assert!(pictures.join("ratios-c64.svg").is_file() && count >= 13, "{count} pictures");
    assert!(said.contains(&format!("the plots: {count} files in pictures/of/it")), "{said}");
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
        (vec![sample, "--svg", "other.json"], "cannot make other.json"),
    ] {
        let run = report(folder.path(), &arguments);
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{arguments:?}: {said}");
    }
}

#[test]
fn nothing_is_asked_for_without_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let run = report(folder.path(), &[]);
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8(run.stderr).unwrap().contains("<RESULT.json>..."));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "and nothing is written");
}

fn report(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epollite-bench"));
    command.arg("report").args(arguments).current_dir(folder).output().unwrap()
}
