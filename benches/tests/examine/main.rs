//! `examine` as a program: servers that are wrong in one way each, and the case that says so; right
//! servers; its outputs and exit codes.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

#[path = "../deadline/mod.rs"]
mod deadline;
mod outputs;
mod own;
mod wrong;

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use epollite_bench::examine::{Examination, Outcome, Status};
use rayon::prelude::*;

/// A server by the name of what is wrong with it; the case that must fail; a part of the reason.
type Row = (&'static str, &'static str, &'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Tcp,
    Udp,
    Unix,
}

/// Content, order, ends, resets, clients, process: TCP.
const TCP: [Row; 70] = [
    ("drops-last-byte", "bytes/1023", "the stream ended after 1022 of 1023 bytes"),
    ("first-64-kib", "bytes/65537", "the stream ended after 65536 of 65537"),
    ("swallows-nul", "bytes/content-nul", "in time"),
    ("cuts-at-nul", "bytes/content-nul-inside", "in time"),
    ("strips-cr", "bytes/content-crlf", "came back as"),
    ("seven-bits", "bytes/content-0xff", "came back as 0x7f and was sent as 0xff"),
    ("replaces-invalid-utf-8", "bytes/content-not-utf-8", "bytes more came back"),
    ("formats", "bytes/content-format", "came back as"),
    ("ends-at-ctrl-d", "bytes/content-control", "the stream ended after 0 of"),
    ("prompts", "bytes/nothing-unasked", "bytes came that were never sent"),
    ("prompts", "bytes/nothing-behind-the-echo", "bytes came that were never sent"),
    ("ignores-repetition", "bytes/same-message-twice", "in time"),
    ("mixes-clients", "bytes/clients-do-not-mix", "bytes"),
    ("swaps-bytes", "bytes/4096", "after 0 right bytes, byte 1000 came back"),
    ("ignores-single-bytes", "bytes/1", ""),
    ("line-by-line", "splits/half-a-message", "0 of 21 bytes came back in time"),
    ("slow", "splits/ping-pong-1000", "in time"),
    ("gives-up-when-blocked", "half-close/late-8-mib", "in time"),
    ("never-ends", "half-close/at-once", "was not ended in time"),
    ("resets-at-the-end", "half-close/behind-1", "reset"),
    ("loses-behind-fin", "half-close/late-8-mib", "are lost"),
    ("ends-first", "half-close/not-before-the-client", "that its client had not ended"),
    ("leaks-connections", "half-close/server-closes", "connections stay in CLOSE-WAIT"),
    ("leaks-descriptors", "many/churn", "sockets stay open"),
    ("leaks-descriptors", "half-close/unread-echo", "sockets stay open"),
    ("leaks-descriptors", "reset/close-unread", "sockets stay open"),
    ("ends-at-reset", "reset/after-connect", "the server ended: exit status: 1"),
    ("ends-at-reset", "reset/after-a-byte", "the server ended: exit status: 1"),
    ("ends-at-reset", "reset/half-a-message", "the server ended: exit status: 1"),
    ("ends-at-reset", "reset/echo-in-flight", "the server ended: exit status: 1"),
    ("ends-at-reset", "reset/server-blocked", "the server ended: exit status: 1"),
    ("ends-at-reset", "reset/before-accept", "the server ended: exit status: 1"),
    ("ends-late-at-reset", "reset/echo-unread", "the server ended: exit status: 1"),
    ("ends-with-silent-clients", "reset/close-at-once", "the server ended: exit status: 1"),
    ("ends-with-silent-clients", "many/connect-and-close", "the server ended: exit status: 1"),
    ("leaves-children", "many/connect-and-fin", "processes"),
    ("leaks-memory", "bytes/8-mib", "MiB of memory are kept"),
    ("ends-at-reset", "reset/echo-unread", "the server ended: exit status: 1"),
    ("one-client-at-a-time", "many/two-clients", "in time"),
    ("one-client-at-a-time", "slow/silent-client", "in time"),
    ("one-client-at-a-time", "slow/firehose", "in time"),
    ("one-client-at-a-time", "slow/never-reads-others", "in time"),
    ("at-most-64-clients", "many/100-at-once", ""),
    ("ends-silent-clients", "slow/silent-for-2-s", ""),
    ("unbounded", "slow/never-reads", "MiB of memory for clients that do not read"),
    ("unbounded", "slow/8-never-read", "MiB of memory for clients that do not read"),
    ("spins-while-blocked", "slow/never-reads-idle", "it uses the processor while idle"),
    ("spins-while-blocked", "slow/half-closed-idle", "it uses the processor while idle"),
    ("spins-with-a-client", "process/idle-with-a-client", "it uses the processor while idle"),
    ("spins-with-a-client", "many/100-idle", ""),
    ("spins-with-a-client", "tcp/urgent-idle", "it uses the processor while idle"),
    ("never-idle", "process/idle", "it uses the processor without a client"),
    ("ends-at-urgent", "tcp/urgent-byte", ""),
    ("only-127.0.0.1", "tcp/another-loopback-address", ""),
    ("refuses-ipv6", "tcp/ipv6", ""),
    ("refuses-127.0.0.9", "tcp/client-address", ""),
    ("logs-much", "process/log-of-300-clients", "bytes of log"),
    ("logs-at-limit", "process/limit-log", "KiB of log in a second"),
    ("spins-at-limit", "process/limit-rest", "it wants the processor"),
    ("ends-at-limit", "process/limit-others", "the server ended"),
    ("looks-each-millisecond", "process/calls-while-idle", ""),
    ("ends-at-continue", "process/stop-and-continue", "the server ended: exit status: 1"),
    ("ends-at-winch", "process/harmless-signals", "the server ended: exit status: 1"),
    ("ignores-sigint", "process/sigint", "has not ended in time"),
    ("ignores-sigterm", "process/sigterm", "has not ended in time"),
    ("fails-at-sigterm", "process/sigterm-with-a-client", "it ended with status 3"),
    ("without-drain", "process/drain", "reset"),
    ("without-drain", "process/drain-the-backlog", "reset"),
    ("without-reuseaddr", "process/start-again", "it does not start again"),
    ("succeeds-without-port", "process/second-instance", "it ends with status 0"),
];

const UDP: [Row; 20] = [
    ("cuts-at-1472", "udp/length-1473", "1472 bytes came back, and 1473 were sent"),
    ("cuts-at-65000", "udp/length-65507", "65000 bytes came back"),
    ("ignores-empty", "udp/length-empty", "no answer in time"),
    ("cuts-at-nul", "udp/nul", "0 bytes came back"),
    ("merges", "udp/two-are-two", "150 bytes came"),
    ("ignores-repetition", "udp/equal-ones", "no answer in time"),
    ("twice", "udp/once", "a datagram came that was never sent"),
    ("tells-all", "udp/nothing-unasked", "a datagram came that was never sent"),
    ("from-another-port", "udp/source-port", ""),
    ("from-any-address", "udp/source-address", "127.0.0.1"),
    ("ignores-from-100-clients-on", "udp/new-sockets", "no answer"),
    ("alters-some", "udp/flood-unaltered", "never sent"),
    ("ignores-ipv6", "udp/ipv6", ""),
    ("stops-at-20", "udp/flood", "no answer"),
    ("stops-at-20", "udp/flood-of-empty-ones", "no answer"),
    ("stops-at-long-ones", "udp/flood-of-long-ones", "no answer"),
    ("stops-at-20", "udp/small-receive-buffer", "no answer"),
    ("spins-at-100", "udp/idle-after-flood", ""),
    ("ends-at-icmp-error", "udp/client-gone", "the server ended: exit status: 1"),
    ("answers-short-ones-only", "udp/long-and-short", "no answer in time"),
];

const UNIX: [Row; 10] = [
    ("keeps-descriptors", "unix/descriptor-closed", "keeps a descriptor"),
    ("keeps-descriptors", "unix/descriptor-while-open", "keeps a descriptor"),
    ("keeps-descriptors", "unix/64-descriptors", ""),
    ("not-writable", "unix/socket-file", "mode 400"),
    ("leaves-path", "unix/removed-at-exit", "the path is still there"),
    ("keeps-left-path", "unix/left-path", "did not start"),
    ("short-paths-only", "unix/long-path", "did not start"),
    ("removes-path-in-vain", "process/second-instance-gone", ""),
    ("steals-path", "process/second-instance", ""),
    ("loses-behind-fin", "half-close/late-1-mib", ""),
];

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

/// Each case is failed by a server that is wrong on purpose: those without a row above by one that
/// alters the last byte of whatever it sends back.
#[test]
fn every_other_case_notices_altered_bytes() {
    let is_named = |case: &&(String, Kind)| {
        [&TCP[..], &UDP, &UNIX].iter().any(|rows| rows.iter().any(|row| row.1 == case.0))
    };
    let cases = listed();
    let rest: Vec<_> = cases.iter().filter(|case| !is_named(case)).collect();
    assert!(cases.len() > 170 && rest.len() < cases.len(), "the list is read");
    let parts = parts(rest.iter().map(|(case, kind)| (case.as_str(), *kind)));
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
