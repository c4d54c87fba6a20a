//! The files that are written besides a page: SVG, a trace for Perfetto, a recording.

use std::fs;

use serde_json::Value;

use super::names;
use crate::support::process::Process;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tool::tool;

/// Runs an experiment that writes one file, and returns the file.
fn written(flag: &str, name: &str, on: &str) -> String {
    let scratch = Scratch::new();
    let path = scratch.file("file");
    let output = Program::run(&["study", "--on", on, flag, &path, name]);
    output.expect_code(0);
    assert!(output.stdout.contains("Lesson:"), "invariant: the page is printed too: {output:?}");
    fs::read_to_string(&path).unwrap()
}

#[test]
fn every_picture_is_well_formed() {
    let scratch = Scratch::new();
    let paths: Vec<String> = names()
        .iter()
        .map(|name| {
            let path = scratch.file(&format!("{name}.svg"));
            Program::run(&["study", "--svg", &path, name]).expect_code(0);
            path
        })
        .collect();
    let script = "import sys, xml.etree.ElementTree as tree\n\
                  for path in sys.argv[1:]:\n    \
                  root = tree.parse(path).getroot()\n    \
                  assert root.get('width') == '800', path\n    \
                  outside = [it for it in root.iter() if float(it.get('x') or 0) > 800]\n    \
                  assert not outside, (path, outside)\n";
    let mut python = tool("python3");
    python.args(["-c", script]).args(&paths);
    let output = Process::start(python).end();
    assert!(output.status.success(), "invariant: pictures are XML: {}", output.stderr);
}

#[test]
fn a_picture_has_the_steps_the_lanes_and_the_ready_list() {
    let picture = written("--svg", "edge-residue", "sim");
    for part in [
        "add e0 s0 IN ET</text>",
        "people expect: s0 IN</text>",
        ">e0: s0 IN</text>",
        "class=\"name\" x=\"332\"",
        ">main</text>",
        "prefers-color-scheme: dark",
    ] {
        assert!(picture.contains(part), "invariant: it has {part}; got {picture}");
    }
    for part in ["<script", "@import", "url(", "@font-face"] {
        assert!(!picture.contains(part), "invariant: nothing comes from outside: {part}");
    }
}

#[test]
fn a_picture_has_the_waits_of_threads_and_one_lane_for_a_child() {
    let picture = written("--svg", "fork-shares-epoll", "linux");
    let count = |part: &str| picture.matches(part).count();
    assert_eq!(count(">p1</text>"), 1, "invariant: a child that acts has one lane: {picture}");
    assert_eq!(count("<line class=\"waiting\""), 2, "the wait, and the legend: {picture}");
    assert_eq!(count("(not on the model)"), 1, "invariant: lists that are unknown are named");
}

#[test]
fn a_picture_has_a_datagram_that_is_dropped_before_the_lane_of_its_receiver() {
    let picture = written("--svg", "udp-wildcard-source", "sim");
    let lane = |name: &str| {
        let before = picture.split(&format!("\">{name}</text>")).next().unwrap();
        let x = before.rsplit("class=\"name\" x=\"").next().unwrap().split('"').next().unwrap();
        x.parse::<usize>().unwrap()
    };
    let x = lane("c0") - 9;
    let mark = format!("<line class=\"dropped\" x1=\"{x}\"");
    assert!(picture.contains(&mark), "invariant: it has {mark}; got {picture}");
}

#[test]
fn a_picture_without_an_epoll_has_no_ready_list() {
    assert!(!written("--svg", "udp-broadcast", "sim").contains("ready list:"));
    assert!(written("--svg", "udp-connected", "sim").contains("ready list:"));
}

#[test]
fn a_trace_has_a_track_for_each_actor_and_descriptor() {
    for on in ["sim", "linux"] {
        let trace: Value = serde_json::from_str(&written("--perfetto", "half-close", on)).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let of = |kind: &str| events.iter().filter(|event| event["ph"] == kind).collect::<Vec<_>>();
        let tracks: Vec<&str> = of("M")
            .into_iter()
            .filter(|event| event["name"] == "thread_name")
            .map(|event| event["args"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(tracks, ["main", "s0", "c0", "e0"], "{on}");
        let calls: Vec<&Value> = of("X").into_iter().filter(|event| event["pid"] == 1).collect();
        assert_eq!(calls.len(), 8, "invariant: a slice for each step, on {on}");
        let times: Vec<f64> = calls.iter().map(|event| event["ts"].as_f64().unwrap()).collect();
        assert!(times.is_sorted() && times[7] > times[0], "{on}: {times:?}");
        let reports = of("i");
        let [report] = reports[..] else { panic!("{on}: one report: {events:?}") };
        assert_eq!(report["name"], "reported: s0 IN OUT RDHUP");
        assert_eq!((&report["pid"], &report["tid"]), (&2.into(), &1.into()), "the track of s0");
    }
}

#[test]
fn a_recording_is_typed_in_the_order_of_its_times() {
    let recording = written("--cast", "edge-residue", "sim");
    assert_eq!(recording, written("--cast", "edge-residue", "sim"), "invariant: the same times");
    let mut lines = recording.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let header = lines.next().unwrap();
    assert_eq!((&header["version"], &header["width"]), (&2.into(), &80.into()));
    assert!(header.get("timestamp").is_none(), "invariant: it has no date");
    let (mut last, mut screen) = (0.0, String::new());
    for line in lines {
        let time = line[0].as_f64().unwrap();
        assert!(time >= last, "invariant: times go up: {line}");
        last = time;
        assert_eq!(line[1], "o");
        screen += line[2].as_str().unwrap();
    }
    assert!(screen.contains("add e0 s0 IN ET\r\n"), "{screen:?}");
    assert!(last > 10.0, "invariant: it can be read: {last} s");
}

#[test]
fn a_recording_on_linux_has_no_number_of_this_run() {
    let recording = written("--cast", "edge-listener", "linux");
    assert_eq!(recording, written("--cast", "edge-listener", "linux"), "invariant: the same bytes");
}

#[test]
fn a_file_that_cannot_be_written_is_exit_1() {
    for flag in ["--svg", "--perfetto", "--cast"] {
        let output = Program::run(&["study", flag, "/nonexistent/file", "half-close"]);
        output.expect_code(1);
        assert!(output.single_error_line().contains("/nonexistent/file: "), "{output:?}");
    }
    let output = Program::run(&["study", "--pages", "/nonexistent"]);
    output.expect_code(1);
    assert!(output.single_error_line().contains("/nonexistent/"), "{output:?}");
}
