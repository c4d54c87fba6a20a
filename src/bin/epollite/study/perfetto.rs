//! A timeline as Chrome trace JSON, which ui.perfetto.dev loads: a track for each actor, with its
//! calls, and one for each descriptor, with the calls on it and what was reported of it.
//!
//! Makes text from rows; runs nothing. Reference: "Trace Event Format", the JSON array format.

use super::timeline::{Row, actors, descriptors};
use crate::instrument::trace_event::Track;
use crate::output::json::{array, json_string, object};

/// The process of the actors' tracks, and that of the descriptors'.
const ACTORS: u32 = 1;
const DESCRIPTORS: u32 = 2;
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
            events.push(track(ACTORS, actor).slice(&row.call, start, took, &arguments(row)));
        }
        // A new descriptor's name is among those of the call.
        for descriptor in row.names.iter().filter_map(|name| place(&descriptors, name)) {
            let track = track(DESCRIPTORS, descriptor);
            events.push(track.slice(&row.call, start, took, &arguments(row)));
        }
        for descriptor in row.reported.iter().filter_map(|name| place(&descriptors, name)) {
            let reported = format!("reported: {}", row.result);
            events.push(track(DESCRIPTORS, descriptor).instant(&reported, start + took));
        }
    }
    object(&[("displayTimeUnit", json_string("ns")), ("traceEvents", array(events.into_iter()))])
        + "\n"
}

/// The names of a process and of its tracks, which are in the order of their numbers.
fn tracks(process: u32, name: &str, names: &[&str]) -> Vec<String> {
    let mut events = vec![Track { process, thread: 0 }.process_name(name)];
    let tracks = names.iter().enumerate();
    events.extend(tracks.map(|(at, name)| track(process, at).thread_name(name)));
    events
}

/// The track at this place. The first number is that of the process.
fn track(process: u32, at: usize) -> Track {
    Track { process, thread: u64::try_from(at + 1).unwrap_or(u64::MAX) }
}

fn arguments(row: &Row) -> Vec<(&'static str, String)> {
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
    fields
}
