//! `scale` as a program: a small run, its files, and arguments that are refused. Times are not
//! judged. And the committed result: its plot and its rows are those of the page.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

mod deadline;

use std::path::Path;
use std::process::{Command, Output};

use epollite_bench::scale::{Growth, Memory, Size};
use epollite_bench::units;

/// How wide a terminal is.
const WIDTH: usize = 80;

#[test]
fn a_small_run_prints_tables_and_writes_files_that_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let [json, svg, again] = ["a.json", "a.svg", "b.svg"].map(|name| folder.path().join(name));
    let [json, svg, again] = [&json, &svg, &again].map(|path| path.to_str().unwrap());
    let output = scale(&["--max", "1500", "--rounds", "1", "--json", json, "--svg", svg]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let growth = Growth::read(Path::new(json)).unwrap();
    assert_eq!(growth.memory.iter().map(|it| it.connections).collect::<Vec<_>>(), [1_000, 1_500]);
    let names: Vec<&str> = growth.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    assert_eq!(names, ["library", "in turn", "model", "this kernel"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    let rows = text.lines().filter(|line| line.starts_with("1 500 ")).count();
    assert_eq!(rows, 5, "one in each table: {text}");
    let output = scale(&["--from", json, "--svg", again]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "the same tables");
    let [first, second] = [svg, again].map(|path| std::fs::read_to_string(path).unwrap());
    assert!(first == second && roxmltree::Document::parse(&first).is_ok(), "the same plot");
}

#[test]
fn wrong_arguments_and_files_are_2() {
    for (arguments, why) in [
        (&["--max", "999"][..], "999 is not in 1000..=16000000"),
        (&["--max", "many"], "invalid value 'many'"),
        (&["--rounds", "0"], "0 is not in 1..=1000"),
        (&["--from", "a.json", "--max", "2000"], "cannot be used with"),
        (&["--from", "/no/such/file.json"], "cannot read /no/such/file.json"),
        (&["--from", "Cargo.toml"], "Cargo.toml is no result of scale"),
        (&["--json", "/no/such/folder/a.json"], "cannot write /no/such/folder/a.json"),
        (&["1000"], "unexpected argument '1000'"),
    ] {
        let output = scale(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.lines().next().unwrap().contains(why), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "nothing was measured");
    }
}

#[test]
fn too_few_descriptors_are_one_line_and_69() {
    let program = deadline::program();
    let mut command = Command::new("prlimit");
    command.arg("--nofile=1000:1000").arg(program.get_program()).args(program.get_args());
    let output = command.arg("scale").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(69), 1), "{text}");
    assert!(text.contains("the limit of 1000 descriptors is too low"), "{text}");
}

#[test]
fn the_page_shows_the_committed_result() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let growth = Growth::read(&docs.join("performance/growth.json")).unwrap();
    let plot = std::fs::read_to_string(docs.join("performance/growth.svg")).unwrap();
    assert!(plot == growth.svg().unwrap(), "make scale-page draws the plot again");
    let page = std::fs::read_to_string(docs.join("performance.md")).unwrap();
    for row in rows(&growth) {
        assert!(page.contains(&row), "docs/performance.md has not the row\n{row}");
    }
}

/// The rows of the page.
fn rows(growth: &Growth) -> Vec<String> {
    let [library, in_turn, model, linux] = &growth.kernels[..] else { panic!("four kernels") };
    let event = |it: Size| format!("{} / {:.2}", units::time(it.event_ns.median), it.ratio.median);
    let calls = |it: Size| {
        let (time, ratio) = (it.calls_ns.unwrap().median, it.calls_ratio.unwrap().median);
        format!("{} / {ratio:.2}", units::time(time))
    };
    let range = |[least, most]: [f64; 2]| format!("{least:.0} to {most:.0}");
    let row = |(at, memory): (usize, &Memory)| {
        let cells = [
            units::grouped(memory.connections),
            event(library.sizes[at]),
            event(in_turn.sizes[at]),
            event(model.sizes[at]),
            calls(model.sizes[at]),
            range(memory.bytes_per_connection),
            range(memory.with_deadlines),
        ];
        format!("| {} |", cells.join(" | "))
    };
    let linux = linux.sizes.iter();
    let linux = linux.map(|it| format!("| {} | {} |", units::grouped(it.connections), event(*it)));
    growth.memory.iter().enumerate().map(row).chain(linux).collect()
}

fn scale(arguments: &[&str]) -> Output {
    deadline::program().arg("scale").args(arguments).output().unwrap()
}
