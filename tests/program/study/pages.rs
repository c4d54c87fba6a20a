//! docs/study is what the program writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::names;
use crate::support::program::Program;
use crate::support::scratch::Scratch;

const PAGES: &str = "docs/study";

/// The generated files of a folder: not those of the translators.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// Writes the pages into a new folder that has the translations of docs/study.
fn written() -> (Scratch, String) {
    let scratch = Scratch::new();
    let zh = scratch.path().join("zh");
    fs::create_dir(&zh).unwrap();
    for entry in fs::read_dir(Path::new(PAGES).join("zh")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, zh.join(path.file_name().unwrap())).unwrap();
    }
    let output = Program::run(&["study", "--pages", scratch.path().to_str().unwrap()]);
    output.expect_code(0);
    (scratch, output.stdout)
}

#[test]
fn the_pages_are_those_that_the_program_writes() {
    let (scratch, summary) = written();
    let (real, kept) = (files(scratch.path()), files(Path::new(PAGES)));
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&kept), names(&real), "{PAGES} is stale: run `make study-docs`");
    for (name, text) in &real {
        assert!(kept[name] == *text, "{PAGES}/{name} is stale: run `make study-docs`");
    }
    let pages = real.iter().filter(|(name, _)| !name.starts_with("README"));
    let mut marked = pages.filter(|(_, text)| text.contains("（未翻译）"));
    let lacking = marked.next().map(|(name, _)| name);
    assert_eq!(lacking, None, "a text of it is missing in {PAGES}/zh, and marked 未翻译");
    let count = format!("{} files; 0 texts have no Chinese translation\n", real.len());
    assert!(summary.ends_with(&count), "invariant: {count}; got {summary}");
}

#[test]
fn every_experiment_has_a_page_in_both_languages() {
    let kept = files(Path::new(PAGES));
    for name in names() {
        for end in ["md", "zh-CN.md"] {
            let page = kept.get(&format!("{name}.{end}"));
            let page = page.unwrap_or_else(|| panic!("invariant: there is {name}.{end}"));
            // What the model does not support is skipped, and has no picture.
            let has_picture = page.contains(&format!("]({name}.svg)"));
            let is_not_modelled = page.contains("not modelled") || page.contains("模型不支持");
            assert!(has_picture || is_not_modelled, "{name}.{end}");
            assert_eq!(kept.contains_key(&format!("{name}.svg")), has_picture, "{name}.{end}");
        }
        let index = format!("[{name}]({name}.md)");
        assert!(kept["README.md"].contains(&index), "invariant: the index links to {name}");
    }
}

#[test]
fn every_translation_is_of_an_experiment() {
    let all = names();
    for name in files(&Path::new(PAGES).join("zh")).into_keys() {
        let is_one = name.strip_suffix(".txt").is_some_and(|name| all.contains(name));
        assert!(is_one, "{PAGES}/zh/{name}: there is no such experiment");
    }
}

#[test]
fn the_page_of_kernels_has_a_fact_of_every_experiment() {
    let page = fs::read_to_string("docs/kernels.md").unwrap();
    for name in names() {
        let row = format!("\n| [{name}](study/{name}.md) | ");
        assert!(page.contains(&row), "docs/kernels.md lacks {name}: run `make kernels`");
    }
}

/// A measured number would be another one after each run.
#[test]
fn the_page_of_kernels_has_a_range_where_a_number_may_differ() {
    let page = fs::read_to_string("docs/kernels.md").unwrap();
    let mut ranges = 0;
    for name in names() {
        let text = fs::read_to_string(format!("src/study/experiments/{name}.txt")).unwrap();
        for line in text.lines().filter(|line| line.contains(", people ")) {
            let Some((call, result)) = line.split_once(" = ") else { continue };
            let result = result.split(", people ").next().unwrap();
            let start = format!("| [{name}](study/{name}.md) | `{call}` | ");
            let Some((_, row)) = page.split_once(&start).filter(|_| result.contains("..")) else {
                continue;
            };
            let row = row.lines().next().unwrap();
            let cells = format!("`{result}` | ");
            assert!(row.starts_with(&cells), "docs/kernels.md: {name}: {row}: run `make kernels`");
            ranges += 1;
        }
    }
    assert!(ranges > 5, "invariant: rows are found: {ranges}");
}

/// A link that leads to no file.
#[test]
fn every_link_of_a_page_leads_to_a_file() {
    for (name, text) in files(Path::new(PAGES)).iter().filter(|(name, _)| name.ends_with(".md")) {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = Path::new(PAGES).join(link);
            assert!(target.exists(), "invariant: {PAGES}/{name} links to a file: {link}");
        }
    }
}

#[test]
fn a_mistake_in_a_translation_has_its_line() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path().join("zh")).unwrap();
    fs::write(scratch.path().join("zh/edge-late.txt"), "question: 问\nfrob: x\n").unwrap();
    let output = Program::run(&["study", "--pages", scratch.path().to_str().unwrap()]);
    output.expect_code(1);
    let error = output.single_error_line();
    assert!(error.contains("zh/edge-late.txt:2: expected question:"), "{error}");
}

#[test]
fn a_text_without_a_translation_is_marked_and_counted() {
    let scratch = Scratch::new();
    let output = Program::run(&["study", "--pages", scratch.path().to_str().unwrap()]);
    output.expect_code(0);
    let page = fs::read_to_string(scratch.path().join("edge-late.zh-CN.md")).unwrap();
    assert!(page.contains("EPOLL_CTL_ADD.（未翻译）"), "{page}");
    assert!(output.stdout.contains(" texts have no Chinese translation"), "{output:?}");
    assert!(!output.stdout.contains("; 0 texts"), "invariant: they are counted: {output:?}");
}
