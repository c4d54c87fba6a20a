//! A report as a table.

use std::fmt::Write;

use crate::load::{Config, Cpu, Latency, Length, LoadError, Outcome, Pace, Report};
use crate::table::{Grid, folded};
use crate::units::{grouped, size, time};

/// Formats a report: configuration, counters, latencies, CPU.
pub(super) fn report(report: &Report) -> String {
    let mut text = format!("{}\n", config_row(&report.config));
    let Report { counts, elapsed_seconds, rate, bytes_per_second, .. } = report;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} messages in {elapsed_seconds:.2} s: {}/s, {}/s each way",
        grouped(counts.messages),
        rounded(*rate),
        size(*bytes_per_second),
    );
    if !matches!(report.ending, Outcome::Complete | Outcome::Failed(LoadError::NoResponse { .. })) {
        let _ = writeln!(text, "the run ended early");
    }
    text += &latencies(&report.latency_nanos, report.lag_nanos.as_ref());
    let named = [
        ("altered", counts.altered),
        ("missing", counts.missing),
        ("duplicated", counts.duplicated),
        ("reordered", counts.reordered),
    ];
    let errors: Vec<String> = named
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{} {name}", grouped(*count)))
        .collect();
    let errors = if errors.is_empty() { "none".to_owned() } else { errors.join(", ") };
    let _ = writeln!(text, "errors      {errors}");
    for wrong in &report.wrong {
        let _ = writeln!(text, "            {wrong}");
    }
    if report.config.target.is_datagrams() {
        let share = counts.lost as f64 * 100.0 / (counts.lost + counts.messages).max(1) as f64;
        let (lost, late) = (grouped(counts.lost), grouped(counts.late));
        let _ = writeln!(text, "lost        {lost} ({share:.3} %), {late} of them arrived late");
        if counts.refused > 0 {
            let refused = grouped(counts.refused);
            let _ = writeln!(text, "            {refused} refused by this machine");
        }
    }
    if counts.unsent > 0 {
        let unsent = grouped(counts.unsent);
        let _ = writeln!(text, "unsent      {unsent}: the server is too slow for this rate");
    }
    let _ = writeln!(text, "own CPU     {}", cpu(&report.own_cpu));
    match (&report.server_cpu, report.config.server_pid) {
        (Some(server), _) => _ = writeln!(text, "server CPU  {}", cpu(server)),
        (None, Some(pid)) => _ = writeln!(text, "server CPU  unknown: process {pid} has ended"),
        (None, None) => {}
    }
    folded(&text)
}

/// The table of latencies and, with a rate, of the send lag.
pub(super) fn latencies(latency: &Latency, lag: Option<&Latency>) -> String {
    let within =
        |of: &Latency| of.percentiles.clone().into_iter().filter(|(percent, _)| *percent < 100.0);
    let heads = within(latency).map(|(percent, _)| format!("p{percent}"));
    let edges = |begin: [&str; 2]| begin.map(str::to_owned);
    let head = edges(["", "min"]).into_iter().chain(heads).chain(edges(["max", "mean"]));
    let mut table = Grid::new(head);
    table.gap = 1;
    let mut row = |name: &str, of: &Latency| {
        let ends = [time(of.max as f64), time(of.mean)];
        let begin = [name.to_owned(), time(of.min as f64)];
        let within = within(of).map(|(_, nanos)| time(nanos as f64));
        table.add(begin.into_iter().chain(within).chain(ends).collect());
    };
    row("latency", latency);
    if let Some(lag) = lag {
        row("send lag", lag);
    }
    table.render()
}

fn config_row(config: &Config) -> String {
    let Config { target, connections, depth, sizes, pace, .. } = config;
    let mut text = format!("{target}, {connections} connection");
    if *connections > 1 {
        text += "s";
    }
    let _ = write!(text, ", messages of {sizes} bytes, ");
    let _ = match (pace, depth) {
        (Pace::ClosedLoop, depth) => write!(text, "closed loop, {} in flight", depth.unwrap_or(1)),
        (Pace::Uniform(rate), _) => write!(text, "open loop, {}/s", rounded(*rate)),
        (Pace::Poisson(rate), _) => write!(text, "open loop, Poisson, {}/s", rounded(*rate)),
    };
    if config.churn {
        text += ", one connection per message";
    }
    if config.gso {
        text += ", GSO";
    }
    let _ = match config.length {
        Length::For(duration) => write!(text, ", for {duration:?}"),
        Length::Count(count) => write!(text, ", {} messages", grouped(count)),
    };
    text
}

fn cpu(cpu: &Cpu) -> String {
    let Cpu { user_seconds, system_seconds, nanos_per_message, busy, .. } = cpu;
    let mut text = format!("{:.0} % busy", busy * 100.0);
    if let Some(nanos) = nanos_per_message {
        text = format!("{} per message, {text}", time(*nanos));
    }
    if let (Some(user), Some(system)) = (user_seconds, system_seconds) {
        let _ = write!(text, " ({user:.2} s user, {system:.2} s system)");
    }
    text
}

fn rounded(rate: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is positive and far below 2^64"
    )]
    if rate < 100.0 { format!("{rate:.1}") } else { grouped(rate.round() as u64) }
}
