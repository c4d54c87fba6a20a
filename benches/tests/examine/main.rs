//! `examine` as a program: servers that are wrong in one way each, and the case that says so; right
//! servers; its outputs and exit codes.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

#[path = "../deadline/mod.rs"]
mod deadline;
mod outputs;
mod own;
mod rows;
mod wrong;

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use epollite_bench::examine::{Examination, Outcome, Status};
use rayon::prelude::*;
use rows::{BYTES_ONLY, TCP, UDP, UNIX};

/// A server by the name of what is wrong with it; the case that must fail; a part of the reason.
type Row = (&'static str, &'static str, &'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Tcp,
    Udp,
    Unix,
}

/// When this program is started again as a server, this is its main function.
#[test]
fn serves_when_told_so() {
    let Some(wrong) = std::env::var_os("WRONG") else { return };
    let wrong: &'static str = wrong.into_string().unwrap().leak();
    wrong::serve(wrong, &std::env::var("PLACE").unwrap());
}

#[test]
fn each_wrong_tcp_server_fails_its_case() {
    check(Kind::Tcp, &TCP);
}

#[test]
fn each_wrong_udp_server_fails_its_case() {
    check(Kind::Udp, &UDP);
}

#[test]
fn each_wrong_unix_server_fails_its_case() {
    check(Kind::Unix, &UNIX);
}

/// A case with more to it than bytes has a server of its own that is wrong about that.
#[test]
fn every_case_has_a_wrong_server_or_is_about_bytes_only() {
    let has_row = |case: &str| {
        [&TCP[..], &UDP, &UNIX].iter().any(|rows| rows.iter().any(|row| row.1 == case))
    };
    let cases = listed();
    assert!(cases.len() > 170, "the list is read");
    let without: Vec<&String> =
        cases.iter().map(|(case, _)| case).filter(|case| !has_row(case)).collect();
    assert_eq!(without.iter().map(|it| it.as_str()).collect::<BTreeSet<_>>(), BYTES_ONLY.into());
    // A reason that any failure has shows nothing of the case.
    let rows = [&TCP[..], &UDP, &UNIX].concat();
    let vague: Vec<&Row> = rows.iter().filter(|row| row.2.len() < 5).collect();
    assert!(vague.is_empty(), "{vague:?}");
}

#[test]
fn every_case_about_bytes_only_notices_altered_ones() {
    let cases = listed();
    let rest = cases.iter().filter(|case| BYTES_ONLY.contains(&case.0.as_str()));
    let parts = parts(rest.map(|(case, kind)| (case.as_str(), *kind)));
    let failures: Vec<String> = pool().install(|| {
        parts.par_iter().flat_map_iter(|(kind, part)| unnoticed("alters", *kind, part)).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The cases of each transport, a few at a time.
fn parts<'a>(cases: impl Iterator<Item = (&'a str, Kind)>) -> Vec<(Kind, Vec<&'a str>)> {
    let cases: BTreeSet<(Kind, &str)> = cases.map(|(case, kind)| (kind, case)).collect();
    let cases: Vec<(Kind, &str)> = cases.into_iter().collect();
    cases
        .chunk_by(|one, next| one.0 == next.0)
        .flat_map(|of_kind| of_kind.chunks(12))
        .map(|part| (part[0].0, part.iter().map(|(_, case)| *case).collect()))
        .collect()
}

/// Which of the cases the server does not fail, or fails only afterwards.
fn unnoticed(wrong: &str, kind: Kind, cases: &[&str]) -> Vec<String> {
    let run = examine(wrong, kind, &cases.join(","), "20s");
    let is_noticed = |case: &str| {
        run.outcomes.iter().any(|outcome| {
            let why = outcome.why.as_deref().unwrap_or_default();
            outcome.name == case
                && outcome.status == Status::Failed
                && !why.starts_with("afterwards")
        })
    };
    let rest = cases.iter().filter(|case| !is_noticed(case));
    rest.map(|case| {
        let found = run.outcomes.iter().find(|outcome| outcome.name == *case);
        format!("{wrong}: {case}: {:?} {}", found.map(|it| (it.status, &it.why)), run.err)
    })
    .collect()
}

/// The names of all cases, each with a transport that it is for.
fn listed() -> Vec<(String, Kind)> {
    let mut command = bench();
    command.args(["examine", "--list"]);
    let list = String::from_utf8(finish(command).stdout).unwrap();
    let heads = list.lines().filter(|line| !line.starts_with(' '));
    let name_and_kind = heads.filter_map(|line| line.split_once(" ("));
    name_and_kind
        .map(|(name, transports)| {
            let kind = match transports {
                it if it.contains("TCP") || it.contains("all") => Kind::Tcp,
                it if it.contains("UDP") => Kind::Udp,
                _ => Kind::Unix,
            };
            (name.to_owned(), kind)
        })
        .collect()
}

/// The same cases pass with the server that has none of these faults: what a wrong server fails is
/// not failed by all.
#[test]
fn the_right_server_passes_these_cases() {
    let tables = [(Kind::Tcp, &TCP[..]), (Kind::Udp, &UDP), (Kind::Unix, &UNIX)];
    let cases = tables
        .into_iter()
        .flat_map(|(kind, rows)| rows.iter().map(move |(_, case, _)| (*case, kind)));
    let parts = parts(cases);
    pool().install(|| {
        parts.par_iter().for_each(|(kind, cases)| {
            let run = examine("right", *kind, &cases.join(","), "20s");
            let wrong: Vec<&Outcome> =
                run.outcomes.iter().filter(|case| case.status == Status::Failed).collect();
            assert!(wrong.is_empty() && run.code == Some(0), "{kind:?}: {wrong:#?} {}", run.err);
            let exists = |case: &&str| run.outcomes.iter().any(|outcome| outcome.name == *case);
            assert!(cases.iter().all(exists), "{kind:?}: the cases exist");
        });
    });
}

/// What is kept for later does not grow, and is no leak: not even in the cases that show one.
#[test]
fn a_server_may_keep_a_pool_of_pipes() {
    let cases = "many/100-at-once,bytes/1023,many/churn,reset/after-connect";
    let run = examine("keeps-a-pool-of-pipes", Kind::Tcp, cases, "20s");
    let ok = run.outcomes.iter().filter(|outcome| outcome.status == Status::Ok).count();
    assert!(run.code == Some(0) && ok >= 4, "{:#?} {}", run.outcomes, run.err);
}

fn check(kind: Kind, rows: &[Row]) {
    let failures: Vec<String> =
        pool().install(|| rows.par_iter().filter_map(|row| fault(kind, *row)).collect());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Several runs at a time: most of the time they wait.
fn pool() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(6).build().unwrap()
}

/// Why the row does not hold. Tried again: on a busy machine a server may do what is wrong with it
/// only after all looks at it.
fn fault(kind: Kind, row: Row) -> Option<String> {
    fault_once(kind, row)?;
    fault_once(kind, row)?;
    fault_once(kind, row)
}

fn fault_once(kind: Kind, (wrong, case, why): Row) -> Option<String> {
    // What is found by waiting in vain is found soon; for the rest a busy machine has time.
    let is_found_by_waiting = why.is_empty() || why.contains("in time") || why.contains("idle");
    let run = examine(wrong, kind, case, if is_found_by_waiting { "3s" } else { "20s" });
    let found = run.outcomes.iter().find(|outcome| outcome.name == case);
    let Some(found) = found else {
        return Some(format!("{wrong}: {case}: no result: {}", run.err));
    };
    let is_found = found.status == Status::Failed
        && run.code == Some(1)
        && found.why.as_deref().unwrap_or_default().contains(why);
    (!is_found).then(|| format!("{wrong}: {case}: {:?}: {:?}", found.status, found.why))
}

/// A run of the program.
struct Run {
    code: Option<i32>,
    outcomes: Vec<Outcome>,
    err: String,
}

/// Examines the server that is wrong like this.
fn examine(wrong: &str, kind: Kind, only: &str, timeout: &str) -> Run {
    let json = tempfile::NamedTempFile::new().unwrap();
    let mut command = bench();
    command.args(["examine", "-q", "--only", only, "--timeout", timeout, "--json"]);
    command.arg(json.path()).arg("--start").arg(command_of(wrong, kind));
    if kind == Kind::Udp {
        command.arg("--udp");
    }
    let output = finish(command);
    let found = Examination::read(json.path()).ok();
    let outcomes =
        found.into_iter().flat_map(|found| found.servers).flat_map(|it| it.cases).collect();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { code: output.status.code(), outcomes, err }
}

/// The command that starts this program as a server.
fn command_of(wrong: &str, kind: Kind) -> String {
    let exe = std::env::current_exe().unwrap();
    let exe = shlex::try_quote(exe.to_str().unwrap()).unwrap().into_owned();
    let (slot, udp) = match kind {
        Kind::Tcp => ("{port}", ""),
        Kind::Udp => ("{port}", " WRONG_UDP=1"),
        Kind::Unix => ("{path}", ""),
    };
    format!("env WRONG={wrong} PLACE={slot}{udp} {exe} --exact serves_when_told_so --nocapture")
}

fn bench() -> Command {
    let mut command = deadline::program();
    command.stdin(Stdio::null());
    command
}

fn finish(mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.output().unwrap()
}
