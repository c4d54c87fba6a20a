//! A timeline as Chrome trace JSON, which ui.perfetto.dev loads: a track for each actor, with its
//! calls, and one for each descriptor, with the calls on it and what was reported of it.
//!
//! Makes text from rows; runs nothing. Reference: "Trace Event Format", the JSON array format.

use super::json::{array, object};
use super::timeline::{Row, actors, descriptors};
use crate::log::json_string;

/// The process of the actors' tracks, and that of the descriptors'.
const ACTORS: usize = 1;
const DESCRIPTORS: usize = 2;
/// The distance of two steps where the kernel's clock stands still, and the length of a call there.
const STEP_NANOS: u128 = 10_000;
const CALL_NANOS: u128 = 5_000;

/// The trace of one experiment.
pub(super) fn trace(name: &str, rows: &[Row]) -> String {
    let (actors, descriptors) = (actors(rows), descriptors(rows));
    let mut events = tracks(ACTORS, &format!("{name}: actors"), &actors);
    events.extend(tracks(DESCRIPTORS, &format!("{name}: descriptors"), &descriptors));
    let is_still = rows.iter().all(|row| row.time.is_zero());
    let place = |names: &[&str], name: &str| names.iter().position(|it| *it == name);
    for (at, row) in rows.iter().enumerate() {
        let (mut start, mut took) = (row.time.as_nanos(), row.took.as_nanos());
        if is_still {
            start = u128::try_from(at).unwrap_or(0) * STEP_NANOS;
            took = CALL_NANOS;
        }
        if let Some(actor) = place(&actors, &row.actor) {
            events.push(slice(ACTORS, actor, row, start, took));
        }
        // A new descriptor's name is among those of the call.
        for descriptor in row.names.iter().filter_map(|name| place(&descriptors, name)) {
            events.push(slice(DESCRIPTORS, descriptor, row, start, took));
        }
        for descriptor in row.reported.iter().filter_map(|name| place(&descriptors, name)) {
            events.push(instant(descriptor, row, start + took));
        }
    }
    object(&[("displayTimeUnit", json_string("ns")), ("traceEvents", array(events.into_iter()))])
        + "\n"
}

/// The names of a process and of its tracks, which are in the order of their numbers.
fn tracks(process: usize, name: &str, names: &[&str]) -> Vec<String> {
    let named = |kind: &str, thread: usize, name: &str| {
        object(&[
            ("ph", json_string("M")),
            ("name", json_string(kind)),
            ("pid", process.to_string()),
            ("tid", thread.to_string()),
            ("args", object(&[("name", json_string(name))])),
        ])
    };
    let mut events = vec![named("process_name", 0, name)];
    let threads = names.iter().enumerate();
    events.extend(threads.map(|(at, name)| named("thread_name", at + 1, name)));
    events
}

/// A step, as long as its calls.
fn slice(process: usize, track: usize, row: &Row, start: u128, took: u128) -> String {
    object(&[
        ("ph", json_string("X")),
        ("name", json_string(&row.call)),
        ("pid", process.to_string()),
        ("tid", (track + 1).to_string()),
        ("ts", micros(start)),
        ("dur", micros(took)),
        ("args", arguments(row)),
    ])
}

/// That a wait has reported a descriptor.
fn instant(track: usize, row: &Row, at: u128) -> String {
    object(&[
        ("ph", json_string("i")),
        ("s", json_string("t")),
        ("name", json_string(&format!("reported: {}", row.result))),
        ("pid", DESCRIPTORS.to_string()),
        ("tid", (track + 1).to_string()),
        ("ts", micros(at)),
    ])
}

fn arguments(row: &Row) -> String {
    let calls = row.calls.join("\n");
    let mut fields = vec![
        ("step", row.number.to_string()),
        ("result", json_string(&row.result)),
        ("calls", json_string(&calls)),
    ];
    if let Some(people) = &row.people {
        fields.push(("people expect", json_string(people)));
    }
    if !row.note.is_empty() {
        fields.push(("note", json_string(&row.note)));
    }
    object(&fields)
}

/// Nanoseconds as the microseconds of the format, exactly.
fn micros(nanos: u128) -> String {
    format!("{}.{:03}", nanos / 1_000, nanos % 1_000)
}
