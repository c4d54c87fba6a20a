//! The rate by the number of connections, and where each server fails.

use std::collections::BTreeMap;

use super::chart::{Axis, Chart, Mark, Panel, Series};
use super::format;
use super::scale::Scale;
use super::view::View;
use crate::schema::{Case, Status, Transport};

/// The chart of a result file.
pub(super) fn chart(view: View<'_>) -> Chart<'_> {
    let cases = cases(view);
    let servers = view.record.servers.iter();
    let series: Vec<Series<'_>> = servers.map(|it| series(&it.name, &cases)).collect();
    let rates = series.iter().flat_map(|it| &it.marks).filter_map(|mark| match mark {
        Mark::Band(rates) => Some(rates),
        _ => None,
    });
    let rates: Vec<f64> = rates.flatten().flat_map(|&(_, low, high)| [low, high]).collect();
    let missing = if cases.len() < 2 {
        Some("This run has no two cases that differ only in the number of connections.")
    } else {
        let why = "No server was measured in the cases that differ only in the connections.";
        rates.is_empty().then_some(why)
    };
    let y = Scale::around(rates);
    let [least, most] = [cases.first(), cases.last()].map(|it| it.map_or(1, |it| it.connections));
    let tick = |case: &&Case| (case.connections as f64, format::amount(case.connections as f64));
    let ticks = cases.iter().map(tick).collect();
    let x = Scale::log((least as f64).max(1.0), most as f64);
    let x = Axis { scale: x, ticks, sides: ["", "connections"] };
    let y = Axis::new(y, "messages per second", format::rate);
    let head: Vec<String> = cases.iter().map(|case| format!("at {}", case.connections)).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let caption = format!(
        "Messages per second, of this run only; a band is the {} of the median. A cross is where a \
         server failed.",
        format::interval_name(view.record)
    );
    let chart = Chart::lines(view, Panel::new(&head, x, Some(y), series));
    chart.named("rate-connections", "Rate by connections", caption, missing)
}

/// The TCP cases that differ only in the number of connections: those of the shape that most of
/// them have, by that number.
fn cases(view: View<'_>) -> Vec<&Case> {
    let mut shapes: Vec<(_, BTreeMap<usize, &Case>)> = Vec::new();
    let tcp = |case: &&Case| case.idle_connections == 0 && case.transport == Transport::Tcp;
    for case in view.record.cases.iter().filter(tcp) {
        let shape = (case.depth, case.size_bytes, case.churn);
        if !shapes.iter().any(|it| it.0 == shape) {
            shapes.push((shape, BTreeMap::new()));
        }
        for (_, cases) in shapes.iter_mut().filter(|it| it.0 == shape) {
            cases.entry(case.connections).or_insert(case);
        }
    }
    // The first of those with the most cases.
    let most = shapes.into_iter().rev().max_by_key(|it| it.1.len());
    most.map_or(Vec::new(), |most| most.1.into_values().collect())
}

fn series<'a>(server: &'a str, cases: &[&'a Case]) -> Series<'a> {
    let (mut rates, mut points, mut hovers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cells, mut failed_at) = (Vec::new(), None);
    for case in cases {
        let at = case.connections as f64;
        let outcome = case.results.iter().find(|it| it.server == server);
        let outcome = outcome.filter(|it| it.status != Status::Skipped);
        match outcome.map(|it| (it.status, it.measured.as_ref(), it.why.as_ref())) {
            None => cells.push("–".to_owned()),
            Some((Status::Complete, Some(measured), _)) => {
                let rate = measured.rate;
                let [median, low, high] = [rate.median, rate.low, rate.high].map(format::amount);
                hovers.push(format!("{at} connections: {median}/s [{low}, {high}]"));
                cells.push(format!("{median}/s"));
                points.push((at, rate.median));
                rates.push((at, rate.low, rate.high));
            }
            Some((status, _, why)) => {
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                cells.push(format::status(status).to_owned() + &why);
                failed_at = failed_at.or(Some(at));
            }
        }
    }
    let last = |at| points.last().copied().unwrap_or((at, 0.0));
    let failure = failed_at.map(|at| Mark::Failed(last(at), (at, last(at).1)));
    let is_drawn = !points.is_empty();
    let drawn = [Mark::Band(rates), Mark::Line("line", points, hovers)];
    let marks = drawn.into_iter().filter(|_| is_drawn).chain(failure).collect();
    Series { server, class: "", cells, marks }
}
