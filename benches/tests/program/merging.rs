//! Ranks are merged exactly, and results that do not belong together are rejected.

use std::fs;
use std::path::Path;

use epollite_bench::load::histogram;
use epollite_bench::rank_file::RankFile;
use serde_json::{Value, json};

use crate::support::{Run, bench, plain_tcp, run};

const RANKS: u32 = 3;

/// Runs three ranks at the same time; returns their folder.
fn ranks() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let address = plain_tcp();
    let start = |rank: u32| {
        let out = dir.path().display();
        let mut command = bench(&format!("load {address} -c 2 -t 400ms --warmup 0 --out {out}"));
        command.env("EPL_RANK", rank.to_string()).env("EPL_SIZE", RANKS.to_string());
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..RANKS).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    dir
}

fn record(dir: &Path, rank: u32) -> RankFile {
    RankFile::read(&dir.join(format!("rank-{rank}.json"))).unwrap()
}

fn merge(dir: &Path) -> Run {
    run(&format!("merge {} --json", dir.display()))
}

/// Changes one rank's file.
fn change(dir: &Path, rank: u32, change: impl FnOnce(&mut Value)) {
    let path = dir.join(format!("rank-{rank}.json"));
    let mut value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn histograms_are_added_exactly_and_errors_are_one_line() {
    let dir = ranks();
    let path = dir.path();
    let run = merge(path);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    let records: Vec<RankFile> = (0..RANKS).map(|rank| record(path, rank)).collect();
    let mut sum = histogram();
    for record in &records {
        sum.add(record.latencies().unwrap()).unwrap();
    }
    let merged = epollite_bench::merge::merge(records.clone()).unwrap();
    assert_eq!(merged.latencies, sum, "bucket by bucket");
    let messages: u64 = records.iter().map(|record| record.counts.messages).sum();
    assert_eq!((&run.json()["messages"], merged.latencies.len()), (&messages.into(), messages));
    assert!((merged.rates.iter().sum::<f64>() - merged.rate).abs() < 1e-6);
    let table = crate::support::run(&format!("merge {}", path.display()));
    assert!(table.out.starts_with("3 ranks, "), "{table:?}");

    let whole = |rank: u32| fs::read_to_string(path.join(format!("rank-{rank}.json"))).unwrap();
    let kept: Vec<String> = (0..RANKS).map(whole).collect();
    let restore = || {
        for (text, rank) in kept.iter().zip(0..) {
            fs::write(path.join(format!("rank-{rank}.json")), text).unwrap();
        }
    };
    let rejected = |line: &str| {
        let run = merge(path);
        run.ended(2, line);
        assert_eq!(run.out, "", "nothing is merged");
        restore();
    };
    fs::remove_file(path.join("rank-1.json")).unwrap();
    rejected("of 3 ranks these are missing: 1");
    change(path, 2, |value| value["parameters"]["connections"] = json!(3));
    rejected("rank 2 has other parameters than rank 0: connections is 3 and not 2");
    change(path, 1, |value| value["size"] = json!(4));
    rejected("rank 1 is one of 4, rank 0 of 3");
    change(path, 1, |value| value["rank"] = json!(0));
    rejected("rank 0 occurs twice");
    change(path, 1, |value| value["rank"] = json!(3));
    rejected("it is rank 3 of 3");
    change(path, 0, |value| value["counts"]["messages"] = json!(7));
    rejected("for 7 messages");
    change(path, 0, |value| value["progress"] = json!([]));
    rejected("its progress ends at None");
    change(path, 0, |value| value["histogram"] = json!("AAAA"));
    rejected("the histogram is damaged");
    change(path, 0, |value| value["counts"]["lost"] = json!(u64::MAX));
    rejected("a counter is 18446744073709551615, more than any load counts");
    change(path, 0, |value| value["start_unix_nanos"] = json!(u64::MAX));
    rejected("a time is 18446744073709551615 ns, out of range");
    change(path, 0, |value| value["format"] = json!("something else"));
    rejected("its format is 'something else'");
    change(path, 1, |value| value["start_unix_nanos"] = json!(1));
    rejected("never ran at the same time");
    fs::write(path.join("rank-2.json"), "{").unwrap();
    rejected("is not the result of a load");

    change(path, 1, |value| value["failure"] = json!("the server failed"));
    let run = merge(path);
    run.ended(1, "rank 1: the server failed");
    assert_eq!(run.json()["messages"], messages, "the measurements are kept");
    for rank in 0..RANKS {
        fs::remove_file(path.join(format!("rank-{rank}.json"))).unwrap();
    }
    merge(path).ended(2, "no results found");
}

#[test]
fn rates_are_those_of_the_common_window() {
    let dir = ranks();
    let mut records: Vec<RankFile> = (0..RANKS).map(|rank| record(dir.path(), rank)).collect();
    // Constant rates, the second rank one second later: a thousand per second, for two seconds
    // each.
    for (record, rank) in records.iter_mut().zip(0_u64..) {
        record.start_unix_nanos = 5_000_000_000 + if rank == 1 { 1_000_000_000 } else { 0 };
        let progress = json!([{"nanos": 500_000_000, "messages": 500},
            {"nanos": 2_000_000_000_u64, "messages": 2000}]);
        record.progress = serde_json::from_value(progress).unwrap();
    }
    let merged = epollite_bench::merge::merge(records).unwrap();
    assert!((merged.window_seconds - 1.0).abs() < 1e-9, "{merged:?}");
    assert!((merged.rate - 3000.0).abs() < 1e-6, "{:?}", merged.rates);
}
