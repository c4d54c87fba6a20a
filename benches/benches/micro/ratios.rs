//! Prints ratios of each part to its alternative, from the files written by criterion.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Per ratio: the group, the part, its reference, and what the ratio measures.
const PAIRS: [(&str, &str, &str, &str); 18] = [
    (
        "slab churn 1",
        "epollite",
        "the crate slab",
        "a generation in each slot, on insert and remove",
    ),
    ("slab churn 1000", "epollite", "the crate slab", "the same, in the L1 cache"),
    ("slab churn 100000", "epollite", "the crate slab", "the same, beyond the caches"),
    ("slab get 1", "epollite", "the crate slab", "the check of the generation, on get"),
    ("slab get 1000", "epollite", "the crate slab", "the same, in the L1 cache"),
    ("slab get 100000", "epollite", "the crate slab", "the same, beyond the caches"),
    ("slab fill 1000", "epollite", "the crate slab", "growing by half instead of doubling"),
    ("token to bits and back", "epollite", "a pair", "packing a token for the kernel"),
    ("token check", "live", "an index, unchecked", "the check, compared with a plain index"),
    ("token check", "stale", "live", "rejecting a stale token, compared with finding a live one"),
    (
        "timers re-arm 10000",
        "epollite",
        "a heap with tombstones",
        "moving, compared with leaving a tombstone",
    ),
    ("timers re-arm 10000", "epollite", "a tree", "moving, compared with removing and inserting"),
    ("timers arm and cancel 10000", "epollite", "a heap with tombstones", "removing at once"),
    (
        "timers expire one of 10000",
        "epollite",
        "a heap with tombstones",
        "tracking the position of each entry",
    ),
    ("write buffer 4 KiB, one consume", "epollite", "a VecDeque", "freeing memory each time"),
    ("write buffer 4 KiB, 16 consumes", "epollite", "a VecDeque", "the same, with a slow peer"),
    ("batch of 64 filled, filtered, read", "epollite", "a Vec per datagram", "a single allocation"),
    ("echo state machine", "a message half sent", "a message", "a short send, to a complete one"),
];

/// All ratios whose benchmarks have been measured.
pub(super) fn table() -> String {
    let folder = folder();
    let mut text = "\nRatios of the minimum times; lower is better:\n".to_owned();
    for (group, part, reference, what) in PAIRS {
        let (part_is, reference_is) =
            (minimum(&folder, group, part), minimum(&folder, group, reference));
        if let (Some(part_is), Some(reference_is)) = (part_is, reference_is) {
            let ratio = part_is / reference_is;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {ratio:6.2}  {group}: {part} / {reference}");
            let _ = writeln!(text, "          ({what})");
        }
    }
    text
}

/// The minimum time in any sample, in nanoseconds. On a shared machine the median depends on other
/// load; the minimum is what the code can reach.
fn minimum(folder: &Path, group: &str, name: &str) -> Option<f64> {
    let path = folder.join(file_name(group)).join(file_name(name)).join("new/sample.json");
    let text = std::fs::read_to_string(path).ok()?;
    let sample: serde_json::Value = serde_json::from_str(&text).ok()?;
    let (times, rounds) = (sample["times"].as_array()?, sample["iters"].as_array()?);
    let each = times
        .iter()
        .zip(rounds)
        .filter_map(|(time, rounds)| Some(time.as_f64()? / rounds.as_f64()?));
    each.reduce(f64::min)
}

/// The folder name that criterion uses.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if "?\"/\\*<>:|^".contains(c) { '_' } else { c }).collect()
}

fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    std::env::var_os("CRITERION_HOME").map_or_else(|| target.join("criterion"), PathBuf::from)
}
