//! The open-loop sweep as a table.

use std::fmt::Write;

use super::{Grid, folded};
use crate::schema::ResultFile;
use crate::units::time;

/// The open-loop sweep: a row per server, a column per offered rate.
pub fn knee(record: &ResultFile) -> String {
    let Some(knee) = &record.knee else { return String::new() };
    let longest = knee.curves.iter().max_by_key(|curve| curve.steps.len());
    let rates: Vec<f64> = longest
        .map(|curve| curve.steps.iter().map(|step| step.offered).collect())
        .unwrap_or_default();
    let mut header = vec!["server".to_owned(), "knee".to_owned()];
    header.extend(rates.iter().map(|rate| thousands(*rate)));
    let mut table = Grid::new(header);
    for curve in &knee.curves {
        let mut row = vec![curve.server.clone(), curve.knee.map_or("-".to_owned(), thousands)];
        row.extend(rates.iter().map(|rate| {
            let step = curve.steps.iter().find(|step| step.offered >= *rate);
            step.map_or("-".to_owned(), |step| time(step.p99_ns as f64))
        }));
        table.add(row);
    }
    let bound = time(knee.bound_p99_ns as f64);
    let late =
        knee.curves.iter().flat_map(|curve| &curve.steps).map(|step| step.sender_lag_p99_ns).max();
    let late = late.unwrap_or_default();
    let mut text = format!(
        "\nknee: {}\n\
         p99 from the intended send time, by offered messages per second,\n\
         median of {} slices.\n{}\n  the knee is the last rate before two consecutive ones with a \
         p99 above {bound}\n",
        knee.what,
        knee.rounds,
        table.render(),
    );
    let knee_of = |name: &str| knee.curves.iter().find(|curve| curve.server == name)?.knee;
    if let (Some(one), Some(other)) = (knee_of(&record.reference), knee_of(&record.control)) {
        let (low, high) = (thousands(one.min(other)), thousands(one.max(other)));
        let _ = writeln!(
            text,
            "  A/A noise: the knees of two copies of one server are {low} and {high}; a difference \
             of one step, or less than between these two, is not significant"
        );
    }
    let _ =
        writeln!(text, "  the send lag of the generator was at most {} at p99", time(late as f64));
    if late > knee.bound_p99_ns {
        text.push_str("  the send lag is above the bound: the generator is what was measured\n");
    }
    for curve in &knee.curves {
        if let Some(why) = &curve.why {
            let _ = writeln!(text, "  {}: {why}", curve.server);
        }
        if let (None, Some(first)) = (curve.knee, curve.steps.first()) {
            let (offered, p99) = (thousands(first.offered), time(first.p99_ns as f64));
            let _ = writeln!(
                text,
                "  {}: no knee: at the first rate, {offered} messages per second, its p99 was \
                 {p99}, already above {bound}",
                curve.server
            );
        }
    }
    folded(&text)
}

fn thousands(rate: f64) -> String {
    format!("{:.1}k", rate / 1000.0)
}
