//! `epollite study` from outside: the list, the pages, files with mistakes, exit codes.

mod limits;
mod pages;
mod pictures;
mod predict;
mod views;

use std::collections::BTreeSet;
use std::fs;

use epollite::study::{BUILT_IN, SECTIONS, parse};

use crate::support::process::Output;
use crate::support::program::Program;
use crate::support::scratch::Scratch;

pub(super) const EXPERIMENT: &str =
    "question: q?\nwiring: f0\npeople: p\nbecause: b\nlesson: l\n\n";

/// Runs an experiment from a file with these steps.
fn run_file(steps: &str, on: &str) -> (Output, String) {
    let scratch = Scratch::new();
    let path = scratch.file("my.txt");
    fs::write(&path, format!("{EXPERIMENT}{steps}\n")).unwrap();
    (Program::run(&["study", "--on", on, "run", &path]), path)
}

fn names() -> BTreeSet<String> {
    let list = Program::run(&["study", "list"]);
    list.expect_code(0);
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        words.next()?.parse::<usize>().ok()?;
        words.next().map(str::to_owned)
    };
    list.stdout.lines().filter_map(row).collect()
}

#[track_caller]
fn fits_a_terminal(output: &Output) {
    for line in output.stdout.lines() {
        assert!(line.chars().count() <= 80, "invariant: 80 columns; got {line:?}");
    }
}

#[test]
fn the_list_has_the_names_of_the_files() {
    let files: BTreeSet<String> = fs::read_dir("src/study/experiments")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed: BTreeSet<String> = names().iter().map(|name| format!("{name}.txt")).collect();
    assert_eq!(listed, files, "invariant: the list (left) is that of the files (right)");
    let readme = fs::read_to_string("README.md").unwrap();
    let count = format!("answers {} questions", files.len());
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&count), "invariant: the README says how many there are: {count}");
}

#[test]
fn what_an_experiment_says_depends_on_it_is_there() {
    let mut count = 0;
    for (name, text) in BUILT_IN {
        let Some(depends) = parse(text).unwrap().depends else { continue };
        let (path, word) = depends.split_once(": ").expect("depends: src/file.rs: function");
        let file = fs::read_to_string(path).unwrap_or_default();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(
            path.starts_with("src/") && file.split(|c| !is_part(c)).any(|it| it == word),
            "invariant: {name}.txt depends on what exists: {depends}"
        );
        count += 1;
    }
    assert!(count > 50, "invariant: most facts are used; only {count} are");
}

#[test]
fn the_list_has_the_sections_of_the_course() {
    let list = Program::run(&["study", "list"]);
    for section in SECTIONS {
        let is_there = list.stdout.lines().any(|line| line == section.title);
        assert!(is_there, "invariant: the list has the section {}", section.title);
    }
}

#[test]
fn the_first_pages_fit_a_terminal_and_name_experiments_that_exist() {
    const LINES: usize = 24;
    let existing = names();
    for (arguments, count) in [(&["study"][..], 9), (&["study", "words"], 16)] {
        let page = Program::run(arguments);
        page.expect_code(0);
        fits_a_terminal(&page);
        // The last line is the prompt's.
        assert!(page.stdout.lines().count() < LINES, "invariant: no pager is needed: {page:?}");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let names_one = |line: &&str| {
            words(line).iter().any(|word| word.contains('-') && existing.contains(word))
        };
        let named = page.stdout.lines().filter(names_one).count();
        assert_eq!(named, count, "invariant: each line names one that exists: {page:?}");
    }
    let words = Program::run(&["study", "words"]).stdout;
    for (name, text) in BUILT_IN {
        let calls =
            text.lines().filter(|line| line.starts_with("add ") || line.starts_with("mod "));
        for flag in calls.flat_map(|line| line.split([' ', '=', ';', ',']).skip(3)) {
            let is_flag = flag.len() > 1 && flag.bytes().all(|byte| byte.is_ascii_uppercase());
            let is_errno = flag.starts_with('E') && !["ET", "ERR", "EXCLUSIVE"].contains(&flag);
            if is_flag && !is_errno {
                let is_there = words.lines().any(|line| line.split(' ').next() == Some(flag));
                assert!(is_there, "invariant: {flag}, in {name}, is explained: {words}");
            }
        }
    }
}

#[test]
fn a_word_that_is_no_name_leads_to_what_has_it() {
    for (word, hint) in [
        ("RDHUP", "try 'epollite study list RDHUP'"),
        ("frobnicate", "try 'epollite study list'"),
        ("a b", "try 'epollite study list'"),
    ] {
        let output = Program::run(&["study", word]);
        output.expect_code(2);
        assert!(output.single_error_line().ends_with(hint), "invariant: {hint}; got {output:?}");
    }
}

#[test]
fn a_section_selects_its_experiments() {
    let list = Program::run(&["study", "list", "Edges"]);
    list.expect_code(0);
    let edges = SECTIONS.iter().find(|section| section.title == "Edges").unwrap();
    let rows = |name: &&&str| list.stdout.lines().any(|line| line.contains(&format!("  {name}  ")));
    assert_eq!(edges.names.iter().filter(rows).count(), edges.names.len(), "{list:?}");
}

#[test]
fn a_word_selects_experiments() {
    let list = Program::run(&["study", "list", "EVENTFD"]);
    list.expect_code(0);
    assert!(list.stdout.contains("eventfd-unread") && !list.stdout.contains("round-robin"));
    fits_a_terminal(&list);
    let none = Program::run(&["study", "list", "frobnicate"]);
    none.expect_code(1);
    assert!(none.single_error_line().contains("'frobnicate'"));
}

#[test]
fn every_experiment_has_a_page_that_fits_a_terminal() {
    for name in names() {
        let page = Program::run(&["study", &name]);
        page.expect_code(0);
        fits_a_terminal(&page);
        if page.stdout.contains("your kernel: skipped") {
            continue;
        }
        for part in ["Timeline", "people expect", "your kernel", "Verdict:", "Lesson:", "Because:"]
        {
            assert!(page.stdout.contains(part), "invariant: {name} shows {part}: {page:?}");
        }
    }
}

#[test]
fn the_table_of_facts_names_the_kernel_and_every_experiment() {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let table = Program::run(&["study", "--all"]);
    table.expect_code(0);
    fits_a_terminal(&table);
    assert!(table.stdout.contains(release.trim()), "invariant: the table is of this kernel");
    for name in names() {
        assert!(table.stdout.contains(&name), "invariant: the table has {name}");
    }
}

#[test]
fn what_show_prints_can_be_run() {
    let shown = Program::run(&["study", "show", "edge-residue"]);
    shown.expect_code(0);
    let file = fs::read_to_string("src/study/experiments/edge-residue.txt").unwrap();
    assert_eq!(shown.stdout, file, "invariant: the text is that of the file");
    let scratch = Scratch::new();
    let path = scratch.file("copy.txt");
    fs::write(&path, &shown.stdout).unwrap();
    Program::run(&["study", "run", &path]).expect_code(0);
}

#[test]
fn a_file_cannot_send_control_characters_to_the_terminal() {
    let scratch = Scratch::new();
    let path = scratch.file("my.txt");
    let header = EXPERIMENT.replace("lesson: l", "lesson: \u{1b}[2J");
    fs::write(&path, format!("{header}socket s0 udp ; \u{1b}]0;x\u{7}\nclose s0\n")).unwrap();
    for view in ["--on=both", "--markdown", "--step", "--predict", "--side-by-side=level,edge"] {
        let output = Program::run(&["study", view, "run", &path]);
        output.expect_code(0);
        let is_clean = |c: char| !c.is_control() || c == '\n';
        assert!(output.stdout.chars().all(is_clean), "invariant: {view}: text only: {output:?}");
    }
}

#[test]
fn a_wrong_expectation_is_exit_1_and_names_the_kernels() {
    for on in ["sim", "linux", "both"] {
        let (output, path) = run_file("eventfd f0 3\nread f0 8 = u64 4 ; wrong", on);
        output.expect_code(1);
        let error = output.single_error_line();
        assert!(error.contains(&path) && error.contains("not as expected on"), "{error}");
        assert_eq!(error.contains("the model"), on != "linux", "{error}");
        assert_eq!(error.contains("Linux"), on != "sim", "{error}");
        assert!(output.stdout.contains("!! expected: u64 4"), "{output:?}");
        assert!(output.stdout.contains("1 of 2 results differ"), "{output:?}");
    }
}

#[test]
fn a_mistake_in_a_file_is_exit_2_with_its_line_and_column() {
    let (output, path) = run_file("eventfd f0 3\nread f1 8", "both");
    output.expect_code(2);
    let error = output.single_error_line();
    let expected = format!("{path}:8:6: expected the name of an open descriptor: f0");
    assert!(error.ends_with(&expected), "invariant: {expected:?}; got {error:?}");
    assert!(output.stdout.is_empty(), "invariant: nothing runs");
}

#[test]
fn a_file_that_cannot_be_read_is_exit_2() {
    for path in ["/nonexistent/my.txt", "/"] {
        let output = Program::run(&["study", "run", path]);
        output.expect_code(2);
        assert!(output.single_error_line().contains(path));
    }
}

#[test]
fn an_unknown_name_is_exit_2_with_the_nearest() {
    for (name, near) in [
        ("edge-resideu", "(nearest: edge-residue)"),
        ("fresh", "(nearest: fresh-socket)"),
        ("frobnicate", "'frobnicate'; try 'epollite study list'"),
    ] {
        for arguments in [&["study", name][..], &["study", "show", name]] {
            let output = Program::run(arguments);
            output.expect_code(2);
            let error = output.single_error_line();
            assert!(error.contains(near), "invariant: {near}; got {error}");
        }
    }
}
