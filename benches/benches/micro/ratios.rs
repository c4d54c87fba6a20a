//! What was measured, as ratios: each part to what stands beside it. It reads what criterion has
//! written, and knows nothing of the parts.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Of each group: the part, its reference, and what the ratio says.
const PAIRS: [(&str, &str, &str, &str); 21] = [
    ("slab churn 1", "ours", "the crate slab", "a generation in each slot, on insert and remove"),
    ("slab churn 1000", "ours", "the crate slab", "the same, in the first cache"),
    ("slab churn 100000", "ours", "the crate slab", "the same, out of the caches"),
    ("slab get 1", "ours", "the crate slab", "the check of the generation, on get"),
    ("slab get 1000", "ours", "the crate slab", "the same, in the first cache"),
    ("slab get 100000", "ours", "the crate slab", "the same, out of the caches"),
    ("slab fill 1000", "ours", "the crate slab", "growing by half and not by doubling"),
    ("token to bits and back", "ours", "a pair", "packing a token for the kernel"),
    ("token check", "live", "an index, unchecked", "the check, to a plain index"),
    ("token check", "stale", "live", "finding a stale token, to finding a live one"),
    ("timers re-arm 10000", "ours", "a heap with tombstones", "moving, to leaving a tombstone"),
    ("timers re-arm 10000", "ours", "a tree", "moving, to taking out and putting in"),
    ("timers arm and cancel 10000", "ours", "a heap with tombstones", "taking back at once"),
    ("timers expire one of 10000", "ours", "a heap with tombstones", "knowing everybody's place"),
    ("owed 4 KiB, paid at once", "ours", "a VecDeque", "giving memory back each time"),
    ("owed 4 KiB, paid in 16 pieces", "ours", "a VecDeque", "the same, for a slow reader"),
    ("batch of 64 filled, sifted, read", "ours", "a Vec for each", "one allocation for ever"),
    ("echo machine", "a message half sent", "a message", "a short send, to a whole one"),
    ("turn", "level, 1 ready beside 10000 silent", "level, 1 ready beside 0 silent", "idle ones"),
    ("turn", "edge, 64 ready beside 10000 silent", "edge, 64 ready beside 0 silent", "the same"),
    ("turn", "edge, 64 ready beside 0 silent", "level, 64 ready beside 0 silent", "edge to level"),
];

/// All of them; of a run that was filtered, those that were measured once.
pub(super) fn table() -> String {
    let folder = folder();
    let mut text = "\nRatios of the least time of each; less is better:\n".to_owned();
    for (group, part, reference, what) in PAIRS {
        let (part_is, reference_is) =
            (least(&folder, group, part), least(&folder, group, reference));
        if let (Some(part_is), Some(reference_is)) = (part_is, reference_is) {
            let ratio = part_is / reference_is;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {ratio:6.2}  {group}: {part} / {reference}");
            let _ = writeln!(text, "          ({what})");
        }
    }
    text
}

/// The least time of one in any sample, in nanoseconds. On a machine that others use too the median
/// says how busy they were meanwhile; the least is what the code can do.
fn least(folder: &Path, group: &str, name: &str) -> Option<f64> {
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

/// As criterion names folders.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if "?\"/\\*<>:|^".contains(c) { '_' } else { c }).collect()
}

/// Where criterion writes to.
fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    std::env::var_os("CRITERION_HOME").map_or_else(|| target.join("criterion"), PathBuf::from)
}
