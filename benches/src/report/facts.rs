//! What a page contains besides charts: alerts, the servers, failures, noise.

use super::chart::Table;
use super::format;
use crate::conclusion;
use crate::schema::{Case, ResultFile, Status};

/// What a reader must know first, a line each.
pub(super) fn alerts(record: &ResultFile) -> Vec<String> {
    let failures = record.run.failures.iter().map(|it| format!("failed: {it}"));
    let warnings = conclusion::warnings(record).into_iter().map(|it| format!("warning: {it}"));
    failures.chain(warnings).collect()
}

/// The servers that took part.
pub(super) fn servers(record: &ResultFile) -> Table {
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
    let rows = record.servers.iter().map(|server| {
        let (language, version) = (dash(&server.language), dash(&server.version));
        vec![server.name.clone(), server.what.clone(), language, version, server.command.clone()]
    });
    Table::new(&["server", "what it is", "language", "version", "command"], rows.collect())
}

/// Servers that are not installed, failed, do not support a case or were stopped, and why.
pub(super) fn failures(record: &ResultFile) -> Table {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add = |server: &str, place: &str, what: &str, why: &str| {
        let row = [server, place, what, why].map(str::to_owned).to_vec();
        // Servers with the same remark share a row.
        match rows.iter_mut().find(|other| other[1..] == row[1..]) {
            Some(other) => other[0] += &format!(", {server}"),
            None => rows.push(row),
        }
    };
    for absent in &record.absent {
        add(&absent.name, "all", "not installed", &absent.why);
    }
    for case in &record.cases {
        for outcome in case.results.iter().filter(|it| it.status != Status::Complete) {
            let why = outcome.why.as_deref().unwrap_or("no reason given");
            add(&outcome.server, &case.name, format::status(outcome.status), why);
        }
        for outcome in &case.results {
            if let Some(busy) = outcome.measured.as_ref().filter(|it| it.paused_between) {
                let why = format!("used {:.0} % of its core while idle", busy.idle_share * 100.0);
                add(&outcome.server, &case.name, "stopped between its slices", &why);
            }
        }
    }
    for curve in record.knee.iter().flat_map(|knee| &knee.curves) {
        if let Some(why) = &curve.why {
            add(&curve.server, crate::load_sweep::NAME, format::status(curve.status), why);
        }
    }
    Table::new(&["server", "case", "what", "why"], rows)
}

/// CPU time of the load relative to that of the reference: near 1 or above, the load is the limit.
pub(super) fn load_cpu(record: &ResultFile) -> String {
    let of = |case: &Case| {
        let reference = case.results.iter().find(|it| it.server == record.reference)?;
        let ratio = reference.measured.as_ref()?.load_cpu_ratio?;
        Some(format!("{} {}", case.name, format::interval(&ratio)))
    };
    let ratios: Vec<String> = record.cases.iter().filter_map(of).collect();
    if ratios.is_empty() {
        return "not recorded".to_owned();
    }
    let reference = &record.reference;
    format!("relative to that of {reference}, for the same messages: {}", ratios.join("; "))
}

/// The A/A noise of each case.
pub(super) fn noise(record: &ResultFile) -> String {
    let of = |case: &Case| match &case.noise {
        Some(noise) => {
            let (rate, cpu) = (format::noise(noise.rate), format::noise(noise.cpu));
            format!("{}: rate {rate}, CPU {cpu}", case.name)
        }
        None => format!("{}: the control failed", case.name),
    };
    let noises: Vec<String> = record.cases.iter().map(of).collect();
    if noises.is_empty() { "no complete case".to_owned() } else { noises.join("; ") }
}
