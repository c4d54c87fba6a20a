//! Round-trip times by percentile, both axes logarithmic: the further right, the rarer.

use super::chart::{self, Axis, Line};
use super::plot::{Pictures, Plot, Table, Width, slug};
use super::scale::{self, Scale};
use super::svg::Picture;
use super::view::{self, RecordView, number};
use crate::schema::{Case, Latency};
use crate::units;

/// The tail of more messages than these is not drawn: nobody has so many.
const PERCENTILE_MAX: f64 = 1e7;

/// The quickest few are not drawn: the tail is what matters.
const PERCENTILE_MIN: f64 = 0.1;

/// The plot of one case.
pub(super) fn plot(view: RecordView<'_>, case: &Case) -> Plot {
    let curves = curves(view, case);
    let drawn = if curves.is_empty() {
        Err("No round-trip times were kept in this case.".to_owned())
    } else {
        Ok(Pictures::wide(|room| draw(view, &curves, room)))
    };
    let mut table = Table::new(&["server", "50 %", "90 %", "99 %", "99.9 %", "slowest"]);
    for (server, latency) in &curves {
        let Latency { p50_ns, p90_ns, p99_ns, p999_ns, max_ns, .. } = latency;
        let times = [p50_ns, p90_ns, p99_ns, p999_ns, max_ns].map(|&it| time(it));
        table.rows.push([vec![(*server).to_owned()], times.to_vec()].concat());
    }
    Plot {
        name: format!("latency-{}", slug(&case.name)),
        title: format!("{}: latency by percentile", case.name),
        caption:
            "Round-trip times: so many percent of the messages took no longer. Closed loop: a \
               server that stalls is asked less meanwhile."
                .to_owned(),
        drawn,
        table,
    }
}

fn curves<'a>(view: RecordView<'a>, case: &'a Case) -> Vec<(&'a str, &'a Latency)> {
    let measured = view.measured(case).into_iter();
    let timed = measured.filter_map(|(server, it)| Some((server, it.latency.as_ref()?)));
    timed.filter(|(_, latency)| latency.count > 0).collect()
}

fn draw(view: RecordView<'_>, curves: &[(&str, &Latency)], room: Width) -> Picture {
    let points: Vec<Vec<(f64, f64)>> = curves.iter().map(|(_, latency)| points(latency)).collect();
    let all = || points.iter().flatten();
    let span = scale::extent(all().map(|point| point.1)).unwrap_or((1.0, 10.0));
    let rarest = scale::max(all().map(|point| point.0)).clamp(10.0, PERCENTILE_MAX);
    let frame = chart::frame(room, curves.iter().map(|(server, _)| *server));
    let x = Scale::log((1.0, rarest), frame.left, frame.right);
    let y = Scale::log(span, frame.bottom, frame.top);
    let percents = [
        (2.0, "50 %"),
        (10.0, "90 %"),
        (100.0, "99 %"),
        (1e3, "99.9 %"),
        (1e4, "99.99 %"),
        (1e5, "99.999 %"),
        (1e6, "99.9999 %"),
    ];
    let below = percents.map(|(rare, percent)| (rare, percent.to_owned()));
    let beside = y.ticks().into_iter().map(|tick| (tick, view::tick_time(tick))).collect();
    let lines = curves.iter().zip(&points).map(|(&(server, latency), points)| Line {
        server,
        points: points.clone(),
        tooltips: shown(latency).into_iter().map(tooltip).collect(),
        title: format!(
            "{server}: 50 % {}, 99 % {}, 99.9 % {}",
            time(latency.p50_ns),
            time(latency.p99_ns),
            time(latency.p999_ns)
        ),
        ..Line::default()
    });
    let across = Axis { scale: x, ticks: below.to_vec(), title: "of messages, no slower than" };
    let up = Axis { scale: y, ticks: beside, title: "round trip" };
    chart::draw(view, &frame, &across, &up, &lines.collect::<Vec<_>>())
}

/// The curve, or the few points of it that are always known, without the quickest.
fn shown(latency: &Latency) -> Vec<(f64, u64)> {
    let given = [
        (0.5, latency.p50_ns),
        (0.9, latency.p90_ns),
        (0.99, latency.p99_ns),
        (0.999, latency.p999_ns),
        (1.0, latency.max_ns),
    ];
    let curve = if latency.curve.len() > 1 { &latency.curve[..] } else { &given[..] };
    curve.iter().copied().filter(|(part, _)| *part >= PERCENTILE_MIN).collect()
}

/// How rare those beyond a part of all messages are: for 99 % one in 100. The slowest is one of all.
fn points(latency: &Latency) -> Vec<(f64, f64)> {
    let all = number(latency.count).max(2.0);
    let rare = |part: f64| (1.0 / (1.0 - part.clamp(0.0, 1.0))).min(all).min(PERCENTILE_MAX);
    shown(latency).into_iter().map(|(part, nanos)| (rare(part), number(nanos))).collect()
}

/// `99.9 %: 1.20 ms`.
fn tooltip((part, nanos): (f64, u64)) -> String {
    if part >= 1.0 {
        return format!("slowest: {}", time(nanos));
    }
    let percent = format!("{:.5}", part * 100.0);
    format!("{} %: {}", percent.trim_end_matches('0').trim_end_matches('.'), time(nanos))
}

fn time(nanos: u64) -> String {
    units::time(number(nanos))
}
