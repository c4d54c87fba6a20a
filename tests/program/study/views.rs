//! How an experiment is shown: JSON, Markdown, step by step, triggers beside each other; and flags
//! that do not go together.

use std::fs;

use serde_json::Value;

use super::{EXPERIMENT, fits_a_terminal, names};
use crate::support::program::Program;
use crate::support::scratch::Scratch;

fn json(arguments: &[&str]) -> Value {
    let output = Program::run(arguments);
    output.expect_code(0);
    let line = output.stdout.trim_end();
    assert!(!line.contains('\n'), "invariant: one object on one line: {line}");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn one_experiment_is_json_with_every_call() {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let page = json(&["study", "--json", "edge-residue"]);
    assert_eq!(page["kernel"], release.trim());
    let experiment = &page["experiment"];
    assert_eq!(experiment["name"], "edge-residue");
    assert_eq!(experiment["state"], "expected");
    assert_eq!(experiment["reason"], Value::Null);
    let steps = experiment["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 11);
    let silent = &steps[6];
    assert_eq!((&silent["call"], &silent["people"]), (&"wait e0".into(), &"s0 IN".into()));
    assert_eq!(silent["people_agree"], false);
    for kernel in ["model", "linux"] {
        let seen = &silent[kernel];
        assert_eq!((&seen["result"], &seen["agrees"]), (&"nothing".into(), &true.into()));
        assert_eq!(seen["actor"], "main");
        let calls = seen["calls"].as_array().unwrap();
        assert!(calls[0].as_str().unwrap().starts_with("epoll_wait("), "{calls:?}");
        assert!(seen["start_ns"].as_u64().is_some() && seen["duration_ns"].as_u64().is_some());
    }
    let times: Vec<u64> =
        steps.iter().map(|step| step["linux"]["start_ns"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "invariant: steps are in the order of time: {times:?}");
}

#[test]
fn only_the_kernel_that_ran_is_in_the_json() {
    let page = json(&["study", "--json", "--on", "sim", "edge-residue"]);
    let step = &page["experiment"]["steps"][0];
    assert!(step.get("model").is_some() && step.get("linux").is_none(), "{step}");
}

#[test]
fn all_experiments_are_json_in_the_order_of_the_course() {
    let page = json(&["study", "--json", "--all"]);
    let experiments = page["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), names().len());
    assert_eq!(experiments[0]["name"], "level-until-read");
    for experiment in experiments {
        let key = usize::try_from(experiment["key_step"].as_u64().unwrap()).unwrap();
        let step = &experiment["steps"][key - 1];
        assert_eq!(step["step"].as_u64().unwrap(), key as u64);
        assert!(step["people"].is_string(), "invariant: the key step asks people: {experiment}");
        assert!(step["linux"].get("calls").is_none(), "invariant: a table has no calls");
    }
}

#[test]
fn a_result_that_differs_is_in_every_form_and_exit_1() {
    let steps = "eventfd f0 3\nread f0 8 = u64 4, people u64 5";
    let scratch = Scratch::new();
    let path = scratch.file("wrong.txt");
    fs::write(&path, format!("{}{steps}\n", EXPERIMENT)).unwrap();
    let json = Program::run(&["study", "--json", "run", &path]);
    json.expect_code(1);
    assert!(json.stdout.contains("\"state\":\"differs\""), "{json:?}");
    let markdown = Program::run(&["study", "--markdown", "run", &path]);
    markdown.expect_code(1);
    assert!(markdown.stdout.contains("| `u64 3`; expected: `u64 4` | `u64 5` |"), "{markdown:?}");
}

#[test]
fn an_experiment_for_newer_kernels_is_skipped_with_the_reason() {
    let scratch = Scratch::new();
    let path = scratch.file("new.txt");
    fs::write(&path, format!("since: 99.0\n{}eventfd f0 3\n", EXPERIMENT)).unwrap();
    for arguments in [&["study", "run", &path][..], &["study", "--markdown", "run", &path]] {
        let output = Program::run(arguments);
        output.expect_code(0);
        let text = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("skipped: needs Linux 99.0"), "{output:?}");
    }
    let json = json(&["study", "--json", "run", &path]);
    assert_eq!(json["experiment"]["state"], "skipped");
    let reason = json["experiment"]["reason"].as_str().unwrap();
    assert!(reason.contains("needs Linux 99.0"), "{reason}");
    Program::run(&["study", "--step", "run", &path]).expect_code(0);
    Program::run(&["study", "--predict", "run", &path]).expect_code(0);
}

#[test]
fn one_experiment_is_a_page_in_markdown() {
    let page = Program::run(&["study", "--markdown", "--on", "sim", "half-close"]);
    page.expect_code(0);
    for part in [
        "# half-close\n",
        "| 5 | `wait e0` | `s0 IN OUT RDHUP` | `s0 HUP` |  |\n",
        "  5 epoll_wait(e0, [{events=EPOLLIN|EPOLLOUT|EPOLLRDHUP, data=s0}], 8, ",
        "**Lesson:** A FIN is IN and RDHUP, and recv returns 0.",
    ] {
        assert!(page.stdout.contains(part), "invariant: it has {part:?}; got {}", page.stdout);
    }
}

#[test]
fn all_experiments_are_a_table_in_markdown() {
    let table = Program::run(&["study", "--all", "--markdown"]);
    table.expect_code(0);
    let rows: Vec<&str> = table.stdout.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), names().len() + 2, "invariant: a head and a row for each");
    let columns = |row: &str| row.replace("\\|", "").matches('|').count();
    assert!(rows.iter().all(|row| columns(row) == 7), "invariant: six columns: {rows:#?}");
}

#[test]
fn each_step_waits_for_enter() {
    let mut program = Program::start(&["study", "--step", "edge-merged"]);
    // A prompt has no end of line: what was shown before it has.
    program.stdout.line_with("t0 -(ew)- e0");
    assert_eq!(program.stdout.count_with("socketpair(AF_UNIX"), 0, "invariant: it waits");
    program.write_stdin(b"\n");
    program.stdout.line_with("socketpair(AF_UNIX");
    assert_eq!(program.stdout.count_with("epoll_create1("), 0, "invariant: one step an Enter");
    program.write_stdin(b"\n\n");
    program.stdout.line_with("epoll_ctl(");
    assert_eq!(program.stdout.count_with("sendto("), 0, "invariant: one step an Enter");
    // At the end of the input the rest is shown.
    let output = program.end();
    output.expect_code(0);
    fits_a_terminal(&output);
    assert!(output.stdout.contains("Lesson:"), "{output:?}");
}

#[test]
fn triggers_are_compared_beside_each_other() {
    for on in ["sim", "linux"] {
        let output = Program::run(&[
            "study",
            "--on",
            on,
            "level-until-read",
            "--side-by-side",
            "level",
            "edge",
            "oneshot",
        ]);
        output.expect_code(0);
        fits_a_terminal(&output);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let rows: Vec<String> = output.stdout.lines().map(words).collect();
        assert!(rows.contains(&"call level edge oneshot".to_owned()), "{rows:#?}");
        assert!(rows.contains(&"5 wait e0 s0 IN s0 IN s0 IN".to_owned()), "{rows:#?}");
        assert!(rows.contains(&"=> 6 wait e0 s0 IN nothing nothing".to_owned()), "{rows:#?}");
        assert!(rows.contains(&"> 8 wait e0 s0 IN nothing nothing".to_owned()), "{rows:#?}");
        assert!(rows.contains(&"The first difference is step 6.".to_owned()), "{rows:#?}");
    }
    let same = Program::run(&["study", "ctl-errors", "--side-by-side", "level,edge"]);
    same.expect_code(0);
    assert!(same.stdout.contains("No result differs between level, edge."), "{same:?}");
}

#[test]
fn every_experiment_has_its_triggers_compared() {
    for name in names() {
        let output = Program::run(&["study", "--side-by-side", "level,edge,oneshot", &name]);
        output.expect_code(0);
        fits_a_terminal(&output);
    }
}

#[test]
fn flags_that_do_not_go_together_are_exit_2() {
    for (arguments, why) in [
        (&["--json", "--markdown", "half-close"][..], "--json and --markdown exclude each other"),
        (&["--predict", "--step", "half-close"], "--predict and --step exclude each other"),
        (&["--score", "x", "half-close"], "--score is for --predict"),
        (&["--all", "--step"], "not --all"),
        (&["--all", "--side-by-side", "level", "edge"], "not --all"),
        (&["--all", "--svg", "x.svg"], "a picture shows one experiment"),
        (&["--svg", "x.svg", "--predict", "half-close"], "a picture is of the whole"),
        (&["--json", "list"], "for experiments that run"),
        (&["--cast", "x", "show", "half-close"], "for experiments that run"),
        (&["--json"], "for experiments that run"),
        (&["half-close", "edge-late"], "unexpected argument 'edge-late'"),
        (&["--side-by-side", "level", "half-close"], "needs two or three of"),
        (&["--side-by-side", "level,level", "half-close"], "needs two or three of"),
        (&["--side-by-side", "half-close"], "'half-close' is not level, edge or oneshot"),
        (&["--pages", "x", "half-close"], "--pages writes every experiment, not 'half-close'"),
        (&["--pages", "x", "--all"], "--pages writes every experiment, not '--all'"),
        (&["--pages", "x", "--on", "linux"], "--pages shows the model"),
        (&["--predict", "half-close", "frobnicate"], "unknown experiment 'frobnicate'"),
        (&["--predict"], "for experiments that run"),
    ] {
        let output = Program::run(&[&["study"], arguments].concat());
        output.expect_code(2);
        let error = output.single_error_line();
        assert!(error.contains(why), "invariant: {arguments:?}: {why}; got {error}");
        assert!(output.stdout.is_empty(), "invariant: nothing runs: {output:?}");
    }
}
