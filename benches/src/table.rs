//! A record as tables for the terminal.

mod grid;
mod knee;

use std::fmt::Write;

use crate::analysis::ROUNDS_MIN;
use crate::conclusion;
use crate::schema::{
    Case, IdleMemory, Measured, Outcome, Ratio, ResultFile, Server, Status, Wrong,
};
use crate::stats::Verdict;
pub(crate) use grid::{Grid, WIDTH, folded};
pub use knee::knee;

/// The explanation above the tables.
pub fn legend(rounds: usize) -> String {
    let interval = if rounds < ROUNDS_MIN {
        "[least, greatest]:\ntoo few for an interval; at least 6 are needed"
    } else {
        "[95% interval]"
    };
    format!(
        "Ratios to the reference: median of {rounds} paired rounds {interval}.\n\
         CPU is the server's CPU time per message. High rate and low CPU are good; when\n\
          both cores are saturated, the CPU ratio is the one to compare. A/A is a second\n\
          copy of the reference: the differences it shows are noise, and smaller ones are\n\
          not significant. Absolute figures are for this run only. p99 is of the closed\n\
          loop, except for the knee.\n"
    )
}

/// The table of one case.
pub fn case(case: &Case, record: &ResultFile) -> String {
    let above = ["server", "msg/s", "rate ratio", "CPU ratio", "result"];
    let below = ["CPU ns/msg", "user", "p99 µs", "calls/msg", "peak MB"];
    let head = above.into_iter().chain(below);
    let mut table = Grid::new(head);
    table.below = Some(above.len());
    for outcome in &case.results {
        if let Some(measured) = &outcome.measured {
            table.add(row(outcome, measured, record));
        }
    }
    let mut text = format!("\n{}: {}\n{}\n", case.load.name, case.load.what, table.render());
    // Writing to a String cannot fail.
    match &case.noise {
        Some(noise) => {
            let (rate, cpu) = ((noise.rate - 1.0) * 100.0, (noise.cpu - 1.0) * 100.0);
            let load = load_cpu_text(case, record);
            let _ = writeln!(text, "  A/A noise: rate {rate:.1}%, CPU {cpu:.1}%{load}");
        }
        None => text.push_str("  the A/A control failed: there are no ratios\n"),
    }
    if let Some(warning) = conclusion::warning(case) {
        let _ = writeln!(text, "  warning: {warning}");
    }
    text += &uncounted(case, record);
    for ((status, why), names) in failed(case) {
        let what = if status == Status::Skipped { "skipped: " } else { "" };
        let _ = writeln!(text, "  {}: {what}{why}", names.join(", "));
    }
    for outcome in &case.results {
        let rounds = outcome.measured.iter().flat_map(|measured| &measured.rounds);
        let (lost, echoed) = rounds
            .fold((0, 0), |(lost, echoed), round| (lost + round.lost, echoed + round.messages));
        if lost > 0 {
            let (name, all) = (&outcome.server, lost + echoed);
            let _ = writeln!(text, "  {name}: {lost} of {all} datagrams were lost");
        }
        if let Some(measured) = outcome.measured.as_ref().filter(|it| it.paused_between) {
            let (name, percent) = (&outcome.server, measured.idle_share * 100.0);
            let _ = writeln!(
                text,
                "  {name} used {percent:.0}% of its core while idle; stopped between slices"
            );
        }
    }
    folded(&text)
}

/// Why system calls are missing in a table.
fn uncounted(case: &Case, record: &ResultFile) -> String {
    let without = case.results.iter().filter_map(|it| Some((it, it.measured.as_ref()?)));
    let mut text = String::new();
    for (outcome, measured) in without.filter(|(_, measured)| measured.syscalls.is_none()) {
        // Writing to a String cannot fail.
        let _ = match &measured.syscalls_why {
            Some(why) => writeln!(text, "  calls/msg: {} was not counted: {why}", outcome.server),
            // A failed server was not counted; the failure is reported separately.
            None if outcome.status != Status::Complete => Ok(()),
            None => return format!("  calls/msg: {}\n", record.run.syscalls_counted_by),
        };
    }
    text
}

/// CPU of the load relative to the reference, which shows whether the load was the bottleneck.
fn load_cpu_text(case: &Case, record: &ResultFile) -> String {
    let ratio = case.measured(&record.reference).and_then(|measured| measured.load_cpu_ratio);
    ratio.map_or_else(String::new, |it| {
        let (median, low, high) = (it.median, it.low, it.high);
        format!("; CPU of the load / reference: {median:.2} [{low:.2}, {high:.2}]")
    })
}

/// Servers that are not complete, grouped by reason.
fn failed(case: &Case) -> Vec<((Status, &str), Vec<&str>)> {
    let mut groups: Vec<((Status, &str), Vec<&str>)> = Vec::new();
    for outcome in case.results.iter().filter(|outcome| outcome.status != Status::Complete) {
        let what = (outcome.status, outcome.why.as_deref().unwrap_or_default());
        match groups.iter_mut().find(|(other, _)| *other == what) {
            Some((_, names)) => names.push(&outcome.server),
            None => groups.push((what, vec![&outcome.server])),
        }
    }
    groups
}

fn row(outcome: &Outcome, measured: &Measured, record: &ResultFile) -> Vec<String> {
    let number = |figure: Option<String>| figure.unwrap_or_else(|| "-".to_owned());
    let is_reference = outcome.server == record.reference;
    let ratio = |ratio: &Option<Ratio>| match ratio {
        Some(ratio) => interval(ratio),
        None if is_reference => "1".to_owned(),
        None => "-".to_owned(),
    };
    let user = measured.cpu_user_ns.map(|user| user / measured.cpu_ns.median.max(1.0) * 100.0);
    vec![
        marked(&outcome.server, record),
        format!("{:.0}", measured.rate.median),
        ratio(&measured.rate_ratio),
        ratio(&measured.cpu_ratio),
        result_text(outcome, measured, record),
        format!("{:.0}", measured.cpu_ns.median),
        number(user.map(|percent| format!("{percent:.0}%"))),
        number(measured.latency.as_ref().map(|latency| micros(latency.p99_ns))),
        number(measured.syscalls.as_ref().map(|calls| format!("{:.2}", calls.per_message))),
        number(measured.peak_rss_bytes.map(megabytes)),
    ]
}

/// The name of a server, with a mark if it gets its bytes wrong.
fn marked(name: &str, record: &ResultFile) -> String {
    let mut servers = record.servers.iter();
    let is_wrong = servers.any(|server| server.name == name && !server.wrong.is_empty());
    format!("{name}{}", if is_wrong { " !" } else { "" })
}

fn result_text(outcome: &Outcome, measured: &Measured, record: &ResultFile) -> String {
    if outcome.server == record.reference {
        return "the reference".to_owned();
    }
    if outcome.server == record.control {
        return "the noise".to_owned();
    }
    if !conclusion::has_verdicts(record) {
        return "too few rounds".to_owned();
    }
    let word = |ratio: Option<Ratio>, higher, lower| {
        let verdict = ratio.map_or(Verdict::NoDifference, |ratio| ratio.verdict);
        match verdict {
            Verdict::Higher => Some(higher),
            Verdict::Lower => Some(lower),
            Verdict::NoDifference => None,
        }
    };
    let rate = word(measured.rate_ratio, "faster", "slower");
    let cpu = word(measured.cpu_ratio, "more CPU", "less CPU");
    let parts: Vec<&str> = rate.into_iter().chain(cpu).collect();
    if parts.is_empty() { "no difference".to_owned() } else { parts.join(", ") }
}

/// Properties independent of a case: idle memory, sizes, packages, versions.
pub fn servers(record: &ResultFile) -> String {
    let idle = format!("B/idle ({})", record.run.idle_connections);
    let head = ["server", &idle, "empty MB", "binary kB", "packages", "version", "what"];
    let mut table = Grid::new(head);
    table.below = Some(head.len() - 1);
    for server in &record.servers {
        table.add(about(server, record));
    }
    let mut text = format!("\nthe servers\n{}\n", table.render());
    for server in &record.servers {
        for Wrong { case, why } in &server.wrong {
            let _ = writeln!(text, "  ! {}: {case}: {why}", server.name);
        }
    }
    for absent in &record.absent {
        let _ = writeln!(text, "  not available: {}: {}", absent.name, absent.why);
    }
    folded(&text)
}

/// The conclusion, as on the page.
pub fn concluded(record: &ResultFile) -> String {
    folded(&format!("\nconclusion\n  {}\n", conclusion::of(record)))
}

fn about(server: &Server, record: &ResultFile) -> Vec<String> {
    let dash = || "-".to_owned();
    let idle = |show: &dyn Fn(&IdleMemory) -> String| server.idle.as_ref().map_or_else(dash, show);
    vec![
        marked(&server.name, record),
        idle(&|idle| format!("{:.0}", idle.bytes_per_connection)),
        idle(&|idle| megabytes(idle.empty_bytes)),
        server.binary_bytes.map_or_else(dash, |bytes| (bytes / 1000).to_string()),
        server.crates.map_or_else(dash, |crates| crates.to_string()),
        server.version.clone().unwrap_or_else(dash),
        server.what.clone(),
    ]
}

/// The models: a row for each, a column for each number of connections, a table for each figure.
pub fn models(record: &ResultFile) -> String {
    let mut text = String::new();
    type Figure = fn(&Measured) -> Option<String>;
    let figures: [(&str, Figure); 6] = [
        ("rate / reference", |it| it.rate_ratio.as_ref().map(interval)),
        ("CPU per message / reference", |it| it.cpu_ratio.as_ref().map(interval)),
        ("CPU per message, ns (this run only)", |it| Some(format!("{:.0}", it.cpu_ns.median))),
        ("p99 of the round trips, µs (this run only)", |it| {
            Some(micros(it.latency.as_ref()?.p99_ns))
        }),
        ("system calls per message", |it| {
            Some(format!("{:.2}", it.syscalls.as_ref()?.per_message))
        }),
        ("peak memory, MB", |it| it.peak_rss_bytes.map(megabytes)),
    ];
    for (title, figure) in figures {
        let mut header = vec!["model".to_owned()];
        header.extend(record.cases.iter().map(|case| case.load.connections.to_string()));
        let mut table = Grid::new(header);
        for server in &record.servers {
            let mut row = vec![server.name.clone()];
            row.extend(record.cases.iter().map(|case| {
                let outcome = case.outcome(&server.name);
                match (
                    case.measured(&server.name).and_then(figure),
                    outcome.map(|outcome| outcome.status),
                ) {
                    (Some(figure), Some(Status::Complete)) => figure,
                    (_, Some(Status::Failed | Status::Absent)) => "failed".to_owned(),
                    _ if server.name == record.reference => "1".to_owned(),
                    _ => "-".to_owned(),
                }
            }));
            table.add(row);
        }
        let _ = write!(text, "\n{title}, by connections\n{}", table.render());
    }
    let noisy = conclusion::warnings(record).into_iter().map(|it| format!("  warning: {it}\n"));
    folded(&(text + &noisy.collect::<String>() + &failures_text(record)))
}

/// A model is reported as too slow if it is significantly slower and its rate is below this
/// fraction.
const TOO_SLOW: f64 = 0.1;

/// At which number of connections each model fails, as text.
fn failures_text(record: &ResultFile) -> String {
    let mut text = "\nfailures by connections\n".to_owned();
    let mut without_failure = Vec::new();
    for server in record.others() {
        let mut is_complete = true;
        for case in &record.cases {
            let Some(outcome) = case.outcome(&server.name) else { continue };
            let slow = outcome.measured.as_ref().and_then(|measured| measured.rate_ratio);
            let slow = slow.filter(|ratio| {
                ratio.verdict == Verdict::Lower && ratio.estimate.median < TOO_SLOW
            });
            let why = match (&outcome.why, slow) {
                (Some(why), _) => why.clone(),
                (None, Some(ratio)) => {
                    let times = 1.0 / ratio.estimate.median;
                    format!("too slow: {times:.0} times fewer messages than {}", record.reference)
                }
                (None, None) => continue,
            };
            is_complete = false;
            let _ = writeln!(text, "  {} at {}: {why}", server.name, case.load.connections);
        }
        if is_complete {
            without_failure.push(server.name.as_str());
        }
    }
    if !without_failure.is_empty() {
        let most = record.cases.iter().map(|case| case.load.connections).max().unwrap_or(0);
        let _ = writeln!(text, "  no failure up to {most}: {}", without_failure.join(", "));
    }
    text
}

fn interval(ratio: &Ratio) -> String {
    let estimate = &ratio.estimate;
    format!("{:.2} [{:.2}, {:.2}]", estimate.median, estimate.low, estimate.high)
}

fn micros(nanos: u64) -> String {
    format!("{:.1}", std::time::Duration::from_nanos(nanos).as_secs_f64() * 1e6)
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}
