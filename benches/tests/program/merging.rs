//! Ranks are added exactly, and what does not belong together is refused.

use std::fs;
use std::path::Path;

use epollite_bench::load::histogram;
use epollite_bench::rank_file::RankFile;
use serde_json::{Value, json};

use crate::support::{Run, bench, plain_tcp, run};

const RANKS: u32 = 3;

/// Three ranks at the same time, and their folder.
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
fn histograms_are_added_exactly_and_refusals_are_plain() {
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
    let refused = |line: &str| {
        let run = merge(path);
        run.ended(2, line);
        assert_eq!(run.out, "", "nothing is added up");
        restore();
    };
    fs::remove_file(path.join("rank-1.json")).unwrap();
    refused("of 3 ranks these are missing: 1");
    change(path, 2, |value| value["parameters"]["connections"] = json!(3));
    refused("rank 2 was asked something else than rank 0: connections is 3 and not 2");
    change(path, 1, |value| value["size"] = json!(4));
    refused("rank 1 is one of 4, rank 0 of 3");
    change(path, 1, |value| value["rank"] = json!(0));
    refused("rank 0 is there twice");
    change(path, 1, |value| value["rank"] = json!(3));
    refused("it is rank 3 of 3");
    change(path, 0, |value| value["counts"]["messages"] = json!(7));
    refused("for 7 messages");
    change(path, 0, |value| value["progress"] = json!([]));
    refused("its progress ends at None");
    change(path, 0, |value| value["histogram"] = json!("AAAA"));
    refused("the histogram is damaged");
    change(path, 0, |value| value["counts"]["lost"] = json!(u64::MAX));
    refused("it counts to 18446744073709551615, which no load does");
    change(path, 0, |value| value["start_unix_nanos"] = json!(u64::MAX));
    refused("its times go to 18446744073709551615 ns, past all calendars");
    change(path, 0, |value| value["format"] = json!("something else"));
    refused("its format is 'something else'");
    change(path, 1, |value| value["start_unix_nanos"] = json!(1));
    refused("never at work at the same time");
    fs::write(path.join("rank-2.json"), "{").unwrap();
    refused("is no result of a load");

    change(path, 1, |value| value["failure"] = json!("the server broke"));
    let run = merge(path);
    run.ended(1, "rank 1: the server broke");
    assert_eq!(run.json()["messages"], messages, "what was measured is kept");
    for rank in 0..RANKS {
        fs::remove_file(path.join(format!("rank-{rank}.json"))).unwrap();
    }
    merge(path).ended(2, "there are no results");
}

#[test]
fn rates_are_those_of_the_common_window() {
    let dir = ranks();
    let mut records: Vec<RankFile> = (0..RANKS).map(|rank| record(dir.path(), rank)).collect();
    // Steady ranks, the second a second later: a thousand a second, for two seconds each.
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
