//! The rate by the number of connections, and where each server breaks.

use std::collections::BTreeSet;

use super::chart::{self, Axis, Line};
use super::plot::{Pictures, Plot, Table, Width};
use super::scale::{self, Scale};
use super::svg::Picture;
use super::view::{self, RecordView, count};
use crate::schema::{Case, Outcome, Status, Transport};
use crate::stats::Estimate;

/// What one server did by number of connections.
#[derive(Debug)]
struct Series<'a> {
    server: &'a str,
    rates: Vec<(f64, Estimate)>,
    /// At how many it broke, and why.
    failed_at: Option<(f64, &'a str)>,
}

/// The plot of a record.
pub(super) fn plot(view: RecordView<'_>) -> Plot {
    let cases = cases(view);
    let courses: Vec<Series<'_>> =
        view.record.servers.iter().filter_map(|it| series(&it.name, &cases)).collect();
    let drawn = if cases.len() < 2 {
        Err("This run has no two cases that differ in the number of connections only.".to_owned())
    } else if courses.iter().all(|course| course.rates.is_empty()) {
        Err("Nobody was measured in the cases that differ in the number of connections.".to_owned())
    } else {
        Ok(Pictures::wide(|room| draw(view, &cases, &courses, room)))
    };
    let at: Vec<String> = cases.iter().map(|case| case.connections.to_string()).collect();
    let head = std::iter::once("server").chain(at.iter().map(String::as_str)).collect::<Vec<_>>();
    Plot {
        name: "rate-connections".to_owned(),
        title: "Rate by connections".to_owned(),
        caption: format!(
            "Messages a second, of this run only; a band is the {} of the median. A cross stands where a \
             server broke.",
            view.interval_name()
        ),
        drawn,
        table: Table { rows: rows(view, &cases), ..Table::new(&head) },
    }
}

/// Those that differ from each other in nothing but the number of connections: the shape that most
/// of them have. By rising number.
fn cases(view: RecordView<'_>) -> Vec<&Case> {
    let shape = |case: &Case| (case.transport, case.depth, case.size_bytes, case.churn);
    let silent: Vec<&Case> = view
        .record
        .cases
        .iter()
        .filter(|case| case.idle_connections == 0 && case.transport == Transport::Tcp)
        .collect();
    let alike = |one: &Case| silent.iter().filter(|it| shape(it) == shape(one)).count();
    let mut most: Option<&Case> = None;
    for &case in &silent {
        if most.is_none_or(|most| alike(case) > alike(most)) {
            most = Some(case);
        }
    }
    let mut seen = BTreeSet::new();
    let mut cases: Vec<&Case> = silent
        .into_iter()
        .filter(|case| most.is_some_and(|most| shape(most) == shape(case)))
        .filter(|case| seen.insert(case.connections))
        .collect();
    cases.sort_by_key(|case| case.connections);
    cases
}

fn outcome<'a>(case: &'a Case, server: &str) -> Option<&'a Outcome> {
    case.results.iter().find(|it| it.server == server && it.status != Status::Skipped)
}

fn series<'a>(server: &'a str, cases: &[&'a Case]) -> Option<Series<'a>> {
    let mut course = Series { server, rates: Vec::new(), failed_at: None };
    for case in cases {
        let Some(outcome) = outcome(case, server) else { continue };
        let at = count(case.connections);
        let is_whole = outcome.status == Status::Complete;
        match &outcome.measured {
            Some(measured) if is_whole => course.rates.push((at, measured.rate)),
            _ if course.failed_at.is_none() => {
                course.failed_at = Some((at, outcome.why.as_deref().unwrap_or("it failed")));
            }
            _ => {}
        }
    }
    (!course.rates.is_empty() || course.failed_at.is_some()).then_some(course)
}

fn rows(view: RecordView<'_>, cases: &[&Case]) -> Vec<Vec<String>> {
    let cell = |case: &Case, server: &str| match outcome(case, server) {
        None => "–".to_owned(),
        Some(outcome) => match (&outcome.measured, outcome.status) {
            (Some(measured), Status::Complete) => view::format_amount(measured.rate.median),
            (_, status) => view::status(status).to_owned(),
        },
    };
    let servers = view.record.servers.iter().map(|it| it.name.as_str());
    let row = |server: &str| {
        let cells = cases.iter().map(|case| cell(case, server));
        std::iter::once(server.to_owned()).chain(cells).collect()
    };
    servers.map(row).collect()
}

fn draw(view: RecordView<'_>, cases: &[&Case], courses: &[Series<'_>], room: Width) -> Picture {
    let rates = || courses.iter().flat_map(|course| course.rates.iter().map(|rate| rate.1));
    let span = scale::extent(rates().flat_map(|rate| [rate.low, rate.median, rate.high]));
    let frame = chart::frame(room, courses.iter().map(|course| course.server));
    let least = count(cases.first().map_or(1, |case| case.connections)).max(1.0);
    let most = count(cases.last().map_or(1, |case| case.connections));
    let x = Scale::log((least, most), frame.left + 8.0, frame.right - 8.0);
    let y = Scale::log(span.unwrap_or((1.0, 10.0)), frame.bottom, frame.top);
    let below = cases.iter().map(|case| count(case.connections));
    let across = Axis {
        scale: x,
        ticks: below.map(|tick| (tick, view::format_amount(tick))).collect(),
        title: "connections",
    };
    let beside =
        y.ticks().into_iter().map(|tick| (tick, view::format_amount(tick) + "/s")).collect();
    let up = Axis { scale: y, ticks: beside, title: "messages a second" };
    let lines = courses.iter().map(|course| Line {
        server: course.server,
        points: course.rates.iter().map(|(at, rate)| (*at, rate.median)).collect(),
        tooltips: course.rates.iter().map(|(at, rate)| tooltip(*at, rate)).collect(),
        spread: course.rates.iter().map(|(_, rate)| (rate.low, rate.high)).collect(),
        failed_at: course.failed_at.map(|(at, _)| at),
        title: match course.failed_at {
            Some((at, why)) => format!("{} broke at {at} connections: {why}", course.server),
            None => course.server.to_owned(),
        },
        ..Line::default()
    });
    chart::draw(view, &frame, &across, &up, &lines.collect::<Vec<_>>())
}

/// `64 connections: 45.2k/s [44.1k, 46.0k]`.
fn tooltip(at: f64, rate: &Estimate) -> String {
    let [median, low, high] = [rate.median, rate.low, rate.high].map(view::format_amount);
    format!("{at} connections: {median}/s [{low}, {high}]")
}
