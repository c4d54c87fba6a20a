//! Round-trip times of one case by percentile, both axes logarithmic: the further right, the rarer.

use super::chart::{Axis, Chart, Mark, Panel, Series};
use super::format;
use super::scale::{self, Scale};
use super::view::View;
use crate::schema::{Case, Latency};
use crate::units;

/// One in so many messages is the rarest that is drawn.
const RAREST: f64 = 1e7;

/// The fastest part of all messages, which is not drawn: the tail is what matters.
const FASTEST: f64 = 0.1;

/// Labels of the axis: one message in so many is slower.
const PERCENTILES: [(f64, &str); 7] = [
    (2.0, "50 %"),
    (10.0, "90 %"),
    (100.0, "99 %"),
    (1e3, "99.9 %"),
    (1e4, "99.99 %"),
    (1e5, "99.999 %"),
    (1e6, "99.9999 %"),
];

/// The chart of one case.
pub(super) fn chart<'a>(view: View<'a>, case: &'a Case) -> Chart<'a> {
    let measured = view.measured(case).into_iter();
    let timed = measured.filter_map(|(server, it)| Some((server, it.latency.as_ref()?)));
    let series: Vec<Series<'_>> =
        timed.filter(|(_, it)| it.count > 0).map(|(server, it)| series(server, it)).collect();
    let points = || series.iter().flat_map(|it| &it.marks).filter_map(Mark::line).flatten();
    let rarest = scale::max(points().map(|point| point.0)).clamp(10.0, RAREST);
    let ticks = PERCENTILES.map(|(rare, percent)| (rare, percent.to_owned())).to_vec();
    let sides = ["", "of messages, no slower than"];
    let x = Axis { scale: Scale::log(1.0, rarest), ticks, sides };
    let y = Scale::around(points().map(|point| point.1));
    let y = Axis::new(y, "round trip", |nanos| format::round(&units::time(nanos)));
    let missing = series.is_empty().then_some("No round-trip times were kept in this case.");
    let caption = "Round-trip times: this percentage of the messages took no longer. Closed loop: a \
                   server that stalls receives fewer messages meanwhile.";
    let head = ["50 %", "90 %", "99 %", "99.9 %", "slowest"];
    let chart = Chart::lines(view, Panel::new(&head, x, Some(y), series));
    chart.named("latency", "latency by percentile", caption, missing)
}

fn series<'a>(server: &'a str, latency: &Latency) -> Series<'a> {
    let Latency { p50_ns, p90_ns, p99_ns, p999_ns, max_ns, .. } = *latency;
    let known = [(0.5, p50_ns), (0.9, p90_ns), (0.99, p99_ns), (0.999, p999_ns), (1.0, max_ns)];
    let curve = if latency.curve.len() > 1 { &latency.curve[..] } else { &known[..] };
    let all = (latency.count as f64).clamp(2.0, RAREST);
    // For 99 % one message in 100 is slower; the slowest is one of all.
    let rare = |part: f64| (1.0 / (1.0 - part.clamp(0.0, 1.0))).min(all);
    let shown = || curve.iter().filter(|(part, _)| *part >= FASTEST);
    let points = shown().map(|&(part, nanos)| (rare(part), nanos as f64)).collect();
    let hovers = shown().map(|&point| hover(point)).collect();
    let cells = known.map(|(_, nanos)| format::nanos(nanos)).to_vec();
    Series { server, class: "", cells, marks: vec![Mark::Line("line", points, hovers)] }
}

/// `99.9 %: 1.20 ms`.
fn hover((part, nanos): (f64, u64)) -> String {
    if part >= 1.0 {
        return format!("slowest: {}", format::nanos(nanos));
    }
    let percent = format!("{:.5}", part * 100.0);
    let percent = percent.trim_end_matches('0').trim_end_matches('.');
    format!("{percent} %: {}", format::nanos(nanos))
}
