//! What is said in words: who there is, who was missing and what failed, and how it was measured.

use super::plot::Table;
use super::view;
use crate::schema::{ResultFile, Status};
use crate::units;

/// One word and what it is.
type Fact = (&'static str, String);

/// Who took part.
pub(super) fn servers(record: &ResultFile) -> Table {
    let mut table = Table::new(&["server", "what it is", "language", "version", "started by"]);
    for server in &record.servers {
        let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
        table.rows.push(vec![
            server.name.clone(),
            server.what.clone(),
            dash(&server.language),
            dash(&server.version),
            server.command.clone(),
        ]);
    }
    table
}

/// Who was not there, who broke, who was not asked, and why.
pub(super) fn missing_servers(record: &ResultFile) -> Table {
    let mut table = Table::new(&["who", "where", "what", "why"]);
    let mut add = |who: &str, place: &str, what: &str, why: &str| {
        let row = [who, place, what, why].map(str::to_owned).to_vec();
        // Of whom the same is to be said stand together.
        match table.rows.iter_mut().find(|other| other[1..] == row[1..]) {
            Some(other) => other[0] += &format!(", {who}"),
            None => table.rows.push(row),
        }
    };
    for absent in &record.absent {
        add(&absent.name, "everywhere", "not here", &absent.why);
    }
    for case in &record.cases {
        for outcome in case.results.iter().filter(|it| it.status != Status::Complete) {
            let why = outcome.why.as_deref().unwrap_or("it did not say");
            add(&outcome.server, &case.name, view::status(outcome.status), why);
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
            add(&curve.server, crate::load_sweep::NAME, view::status(curve.status), why);
        }
    }
    table
}

/// How it was measured.
pub(super) fn measured(record: &ResultFile) -> Vec<Fact> {
    let (machine, run) = (&record.machine, &record.run);
    let virtual_machine =
        machine.virtual_machine.clone().map_or("none that says so".to_owned(), |it| {
            format!("{it}: what it shares with others is not known")
        });
    let cores = format!(
        "{}: servers on core {}, one at a time; load on core {}",
        machine.cores, machine.server_core, machine.load_core
    );
    let rounds = format!(
        "{} that count, after one that does not; slices of {} a server, interleaved",
        run.rounds,
        units::time(run.slice_seconds * 1e9)
    );
    vec![
        ("date", run.date.clone()),
        ("commit", run.commit.clone().unwrap_or_else(|| "not known".to_owned())),
        ("command", run.command.join(" ")),
        ("kernel", machine.kernel.clone()),
        ("processor", machine.cpu.clone()),
        ("cores, pinning", cores),
        ("virtual machine", virtual_machine),
        ("load before", format!("{:.2}, average of a minute", machine.load_average)),
        ("rounds", rounds),
        ("took", units::time(run.wall_seconds * 1e9)),
        ("A/A noise", noise(record)),
        ("load's own CPU", load_cpu(record)),
        (
            "reference, control",
            format!("{}; its second copy is {}", record.reference, record.control),
        ),
        ("CPU read by", run.cpu_read_by.clone()),
        ("system calls", run.syscalls_counted_by.clone()),
        (
            "idle connections",
            units::grouped(u64::try_from(run.idle_connections).unwrap_or_default()),
        ),
        ("schema", record.schema.to_string()),
    ]
}

/// By that of the reference, which says whether the load was in the way.
fn load_cpu(record: &ResultFile) -> String {
    let of = |case: &crate::schema::Case| {
        let reference = case.results.iter().find(|it| it.server == record.reference)?;
        let ratio = reference.measured.as_ref()?.load_cpu_ratio?;
        Some(format!("{} {}", case.name, view::interval(&ratio)))
    };
    let said: Vec<String> = record.cases.iter().filter_map(of).collect();
    if said.is_empty() {
        return "not written down".to_owned();
    }
    format!("by that of {}, for the same messages: {}", record.reference, said.join("; "))
}

fn noise(record: &ResultFile) -> String {
    let of = |case: &crate::schema::Case| match &case.noise {
        Some(noise) => {
            let (rate, cpu) = (view::noise(noise.rate), view::noise(noise.cpu));
            format!("{}: rate {rate}, CPU {cpu}", case.name)
        }
        None => format!("{}: the control failed", case.name),
    };
    if record.cases.is_empty() {
        return "no case came to its end".to_owned();
    }
    record.cases.iter().map(of).collect::<Vec<_>>().join("; ")
}
