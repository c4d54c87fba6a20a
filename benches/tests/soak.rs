//! `soak` as a program: a short run with epollite's server; servers that leak, are wrong, or end;
//! its files and arguments. And how results are judged.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

mod deadline;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use epollite_bench::case::{self, Case};
use epollite_bench::servers::{Builder, select};
use epollite_bench::soak::{Gauges, Sample, Soak};
use rayon::prelude::*;

/// How wide a terminal is.
const WIDTH: usize = 80;

/// When this program is started again as a server, this is its main function: an echo that is wrong
/// in the way that is named.
#[test]
fn serves_when_told_so() {
    let (Ok(wrong), Ok(port)) = (std::env::var("WRONG"), std::env::var("PORT")) else { return };
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    for (nth, stream) in listener.incoming().enumerate() {
        let (mut stream, wrong) = (stream.unwrap(), wrong.clone());
        if wrong == "ends" && nth > 300 {
            std::process::exit(3);
        }
        if wrong == "keeps" && nth % 50 == 0 {
            std::mem::forget(stream.try_clone().unwrap());
        }
        std::thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buf) {
                if wrong == "alters" && nth > 300 {
                    buf[0] ^= 1;
                }
                if stream.write_all(&buf[..count]).is_err() {
                    break;
                }
            }
            if wrong == "leaks" {
                vec![1_u8; 1 << 17].leak();
            }
        });
    }
}

fn soak(arguments: &[&str]) -> Output {
    deadline::program().arg("soak").args(arguments).output().unwrap()
}

fn wrong(how: &str) -> Output {
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    let server = format!(
        "env WRONG={how} PORT={{port}} {program} --exact serves_when_told_so --nocapture --quiet"
    );
    soak(&["--start", &server, "--duration", "5s"])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_right_server_is_flat_and_its_result_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let [json, first, second] = ["a.json", "1", "2"].map(|name| folder.path().join(name));
    let [json, first, second] = [&json, &first, &second].map(|path| path.to_str().unwrap());
    let entry = &select(&["epoll-edge".to_owned()], &[]).unwrap()[0];
    let built = Builder::new(None).unwrap().build(entry).unwrap();
    let tcp = built.command(&Case::find(case::all(), "ping").unwrap()).unwrap().to_owned();
    let server = format!(
        "{tcp} --udp 127.0.0.1:{{port}} --unix {{path}} --metrics 127.0.0.1:{{metrics}} \
         --idle-timeout 1m"
    );
    let output =
        soak(&["--start", &server, "--udp", "--duration", "3s", "--json", json, "--svg", first]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let out = text(&output.stdout);
    assert!(out.lines().all(|line| line.chars().count() <= WIDTH), "{out}");
    let soak_result = Soak::read(Path::new(json)).unwrap();
    let kinds: Vec<&str> = soak_result.exchanges.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["steady", "short", "reset", "late", "silent", "unix", "datagram"]);
    assert!(soak_result.exchanges.iter().all(|(_, right)| *right > 0), "{soak_result:?}");
    let output = soak(&["--from", json, "--svg", second]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), out, "the same table");
    let most =
        |name: &str| soak_result.samples.iter().map(|it| it.gauges[name]).fold(0.0, f64::max);
    assert!(most("epollite_deadlines") >= 32.0 && most("epollite_slab_slots") >= 32.0, "{out}");
    for name in ["memory.svg", "descriptors.svg", "exchanges.svg", "epollite_deadlines.svg"] {
        let [one, two] = [first, second].map(|it| std::fs::read_to_string(format!("{it}/{name}")));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert!(one == two && roxmltree::Document::parse(&one).is_ok(), "{name}");
        assert!(one.contains("class=\"line\""), "{name}");
    }
}

#[test]
fn each_wrong_server_is_told_and_exits_with_1() {
    let rows = [
        ("keeps", 1, "FAIL: descriptors: "),
        ("alters", 1, "came back as"),
        ("leaks", 1, "FAIL: resident memory grew from"),
        ("ends", 1, "FAIL: the server ended: exit status: 3"),
        ("nothing", 0, "; reloads 0"),
    ];
    let failures: Vec<String> = rows
        .into_par_iter()
        .filter_map(|(how, code, why)| {
            let output = wrong(how);
            let is_told = text(&output.stdout).contains(why);
            (output.status.code() != Some(code) || !is_told).then(|| format!("{how}: {output:?}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn bad_arguments_and_files_are_2_and_one_line() {
    for (arguments, why) in [
        (&["--start", "true"][..], "does not contain {port}"),
        (&["--start", "no-such-program {port}"], "cannot start"),
        (&["--start", "'true {port}"], "unterminated quote"),
        (&["--start", "true {port}", "--json", "/no/such/folder/a.json"], "cannot write"),
        (&["--from", "/no/such/file.json"], "cannot read /no/such/file.json"),
        (&["--from", "Cargo.toml"], "Cargo.toml is no result of soak"),
    ] {
        let output = soak(arguments);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(why) && err.lines().count() == 1, "{arguments:?}: {err}");
    }
    let output = soak(&["--start", "true", "--duration", "0s"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    // What ends before it serves is no wrong server.
    let output = soak(&["--start", "true {port}"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
}

fn sample(resident_bytes: u64, descriptors: usize) -> Sample {
    Sample {
        seconds: 0.0,
        resident_bytes,
        descriptors,
        threads: 1,
        processes: 1,
        cores: 0.0,
        exchanges_per_second: 0.0,
        gauges: Gauges::new(),
    }
}

/// With a gauge.
fn with(gauge: &str, value: f64, sample: Sample) -> Sample {
    Sample { gauges: Gauges::from([(gauge.to_owned(), value)]), ..sample }
}

fn result(resident: impl Iterator<Item = u64>, after: Sample) -> Soak {
    Soak {
        date: String::new(),
        kernel: String::new(),
        command: String::new(),
        before: sample(1 << 20, 10),
        samples: resident.map(|bytes| sample(bytes, 100)).collect(),
        after: Some(after),
        reloads: 0,
        exchanges: Vec::new(),
        wrong: Vec::new(),
    }
}

#[test]
fn growth_is_what_goes_on_after_the_start() {
    let flat = |bytes| std::iter::repeat_n(bytes, 80);
    let rest = || sample(1 << 20, 10);
    let start_then_flat = (0..20).map(|nth| nth << 20).chain(flat(20 << 20));
    assert_eq!(result(start_then_flat, rest()).failures(), Vec::<String>::new());
    let always = (0..100).map(|nth| (20 << 20) + (nth << 16));
    let failures = result(always, rest()).failures();
    assert!(failures.len() == 1 && failures[0].contains("resident memory grew"), "{failures:?}");
    // The most that passes: 2 MiB, and of large servers 5 %.
    for (early, late, failures) in
        [(10_u64, 12, 0), (10, 13, 1), (100, 105, 0), (100, 106, 1), (100, 90, 0)]
    {
        let [early, late] = [early, late].map(|mebibytes| mebibytes << 20);
        let steps = std::iter::repeat_n(early, 50).chain(std::iter::repeat_n(late, 50));
        assert_eq!(result(steps, rest()).failures().len(), failures, "{early} {late}");
    }
    let kept = result(flat(1 << 20), sample(1 << 20, 11)).failures();
    assert_eq!(kept, ["descriptors: 10 before the load, 11 after it"]);
}

#[test]
fn gauges_are_as_before_and_what_is_kept_does_not_go_on_growing() {
    let run = |gauge: &str, before: f64, under_load: &dyn Fn(u32) -> f64, after: f64| {
        let rest = || sample(1 << 20, 10);
        let mut run = result(std::iter::repeat_n(1 << 20, 100), with(gauge, after, rest()));
        run.before = with(gauge, before, rest());
        run.samples = (0..100).map(|nth| with(gauge, under_load(nth), rest())).collect();
        run.failures()
    };
    let none: [&str; 0] = [];
    assert_eq!(run("open", 1.0, &|nth| f64::from(nth % 7), 1.0), none);
    assert_eq!(
        run("open", 1.0, &|_| 5.0, 2.0),
        ["open: 1 before the load, 2 after it"],
        "one is kept"
    );
    assert_eq!(run("a_slots", 2.0, &|_| 130.0, 130.0), none, "kept to be used again");
    assert_eq!(run("a_slots", 2.0, &|nth| if nth < 70 { 130.0 } else { 195.0 }, 195.0), none);
    let grown = run("a_slots", 2.0, &|nth| f64::from(nth), 100.0);
    assert_eq!(grown, ["a_slots grew from 39 to 80"]);
    let mut silent = result(std::iter::repeat_n(1 << 20, 100), sample(1 << 20, 10));
    silent.before = with("open", 1.0, sample(1 << 20, 10));
    let failures = silent.failures();
    assert!(failures[0].starts_with("100 times the page of figures"), "{failures:?}");
    assert_eq!(failures[1..], ["open: 1 before the load, and unknown after it"]);
}
