//! What a message costs a server in one case, a bar for each server: CPU time by user and system,
//! system calls by name.

use std::collections::HashMap;

use super::chart::{Axis, Chart, Mark, Panel, Series};
use super::format;
use super::scale::Scale;
use super::view::View;
use crate::schema::{Case, Measured, Syscalls};
use crate::stats::Verdict;
use crate::units;

/// CPU time per message.
pub(super) fn cpu<'a>(view: View<'a>, case: &'a Case) -> Chart<'a> {
    let measured = view.measured(case);
    let ends = measured.iter().flat_map(|(_, it)| {
        let parts = it.cpu_user_ns.unwrap_or(0.0) + it.cpu_system_ns.unwrap_or(0.0);
        [it.cpu_ns.median * 1.1, parts]
    });
    let x = Axis::new(Scale::linear(ends), "", |nanos| format::round(&units::time(nanos)));
    let series = measured.iter().map(|&(server, it)| cpu_series(view, server, it)).collect();
    let interval = format::interval_name(view.record);
    let head = ["CPU", "", interval, "user", "system"];
    let panel = Panel { shown: 2, ..Panel::new(&head, x, None, series) };
    let caption = format!(
        "The server's own time: user (full colour) and system (pale), where they are known \
         separately. The line is the {interval} of the sum."
    );
    let missing = measured.is_empty().then_some("No server was measured in this case.");
    let chart = Chart::new(panel).named("cpu", "CPU per message", caption, missing);
    Chart { is_half: true, ..chart }
}

fn cpu_series<'a>(view: View<'a>, server: &'a str, measured: &Measured) -> Series<'a> {
    let (cpu, record) = (&measured.cpu_ns, view.record);
    let ratio = measured.cpu_ratio;
    let result = match ratio {
        _ if server == record.reference => "reference".to_owned(),
        _ if server == record.control => "the noise".to_owned(),
        Some(ratio) => match view.difference(ratio.verdict, "more", "less").as_str() {
            word @ ("more" | "less") => {
                format!("{word}, ×{}", format::factor(ratio.estimate.median))
            }
            word => word.trim_end_matches(" shown").to_owned(),
        },
        None => "no ratio".to_owned(),
    };
    let bar = |class: &str, from, to| Mark::Bar(class.to_owned(), from, to, None);
    let mut marks = match (measured.cpu_user_ns, measured.cpu_system_ns) {
        (Some(user), Some(system)) => {
            vec![bar("user", 0.0, user), bar("system", user, user + system)]
        }
        _ => vec![bar("unknown", 0.0, cpu.median)],
    };
    marks.push(Mark::Whisker(cpu.low, cpu.high));
    let part = |part: Option<f64>| part.map_or("not known".to_owned(), units::time);
    let cells = vec![
        units::time(cpu.median),
        result,
        format!("{} to {}", units::time(cpu.low), units::time(cpu.high)),
        part(measured.cpu_user_ns),
        part(measured.cpu_system_ns),
    ];
    let is_none = ratio.is_some_and(|it| it.verdict == Verdict::NoDifference);
    Series { server, class: if is_none { "bars none" } else { "bars shown" }, cells, marks }
}

/// Kinds of system calls that have a colour in `plot.css`; the others are grey together.
const KINDS: usize = 9;
const REST: &str = "kind-rest";

/// System calls per message.
pub(super) fn syscalls<'a>(view: View<'a>, case: &'a Case) -> Chart<'a> {
    let measured = view.measured(case);
    let kinds = kinds(view);
    let mut key = Vec::new();
    let mut series = |(server, it): (&'a str, &'a Measured)| {
        let (cells, parts) = match (&it.syscalls, &it.syscalls_why) {
            (Some(calls), _) => {
                let by_name = calls.kinds.iter();
                let by_name = by_name.map(|it| format!("{} {:.3}", it.name, it.per_message));
                let by_name = by_name.collect::<Vec<_>>().join(", ");
                (vec![format!("{:.3}", calls.per_message), by_name], parts(calls, &kinds))
            }
            (None, Some(why)) => (vec!["–".to_owned(), format!("not counted: {why}")], Vec::new()),
            (None, None) => return None,
        };
        let (mut marks, mut from) = (Vec::new(), 0.0);
        for (class, name, count) in parts {
            let words = [name.clone(), format!("{server}: {name} {count:.3} per message")];
            marks.push(Mark::Bar(class.clone(), from, from + count, Some(words)));
            from += count;
            key.push(if class == REST { (class, "other".to_owned()) } else { (class, name) });
        }
        Some(Series { server, class: "calls", cells, marks })
    };
    let series: Vec<Series<'_>> = measured.iter().filter_map(|&it| series(it)).collect();
    key.sort();
    key.dedup();
    let counts = measured.iter().filter_map(|(_, it)| Some(it.syscalls.as_ref()?.per_message));
    let x = Axis::new(Scale::linear(counts), "", format::amount);
    let missing = measured.iter().all(|(_, it)| it.syscalls.is_none()).then(|| {
        let why =
            measured.iter().find_map(|(server, it)| Some((server, it.syscalls_why.as_ref()?)));
        let how = view.record.run.syscalls_counted_by.trim_end_matches('.');
        let why = why.map_or(format!(" How they are read: {how}."), |(server, why)| {
            format!(" {server}: {why}.")
        });
        format!("System calls were not counted in this case.{why}")
    });
    let caption = "By name, counted in a separate slice that is in no other figure.";
    let panel = Panel::new(&["calls per message", "by name"], x, None, series);
    let chart = Chart::new(panel).named("syscalls", "system calls per message", caption, missing);
    Chart { key, is_half: true, ..chart }
}

/// The most frequent kinds of system calls in a result file.
fn kinds(view: View<'_>) -> Vec<&str> {
    let mut sums: HashMap<&str, f64> = HashMap::new();
    let cases = view.record.cases.iter();
    let all = cases.flat_map(|case| view.measured(case)).filter_map(|(_, it)| it.syscalls.as_ref());
    for call in all.flat_map(|calls| &calls.kinds).filter(|call| call.name != "other") {
        *sums.entry(&call.name).or_default() += call.per_message;
    }
    let mut kinds: Vec<(&str, f64)> = sums.into_iter().collect();
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    kinds.into_iter().take(KINDS).map(|(name, _)| name).collect()
}

/// Class, name and number of each part of a bar: the kinds in their order, the others together.
fn parts(calls: &Syscalls, kinds: &[&str]) -> Vec<(String, String, f64)> {
    let part = |(index, kind): (usize, &&str)| {
        let same = calls.kinds.iter().filter(|call| call.name == **kind);
        let count = same.map(|call| call.per_message).sum::<f64>();
        (format!("kind-{index}"), (*kind).to_owned(), count)
    };
    let parts = kinds.iter().enumerate().map(part).filter(|part| part.2 > 0.0);
    let mut parts: Vec<_> = parts.collect();
    let rest = calls.per_message - parts.iter().map(|part| part.2).sum::<f64>();
    if rest > 0.0005 {
        let name = if calls.kinds.is_empty() { "not by name" } else { "other" };
        parts.push((REST.to_owned(), name.to_owned(), rest));
    }
    parts
}
