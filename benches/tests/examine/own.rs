//! epollite's own server passes: some cases of each class, on each transport. `make torture` runs
//! all of them with every model.

use epollite_bench::examine::{Outcome, Status};
use epollite_bench::servers::{Builder, select};
use rayon::prelude::*;

use super::{bench, finish};
use epollite_bench::case::{self, Case};
use epollite_bench::examine::Examination;

/// Cases that take no second each: contents, ends, resets, the limit, signals, datagrams.
const SMOKE: &str = "bytes/content,bytes/65537,half-close/late-1-mib,half-close/32,\
                     half-close/unread,reset/after,reset/any,slow/half-closed-idle,many/burst,\
                     many/100-idle,tcp/urgent,tcp/ipv6,tcp/dual,udp/length-,udp/flood,udp/source,\
                     udp/two,unix/,process/limit-others,process/drain,process/second,process/idle";

#[test]
fn the_own_server_passes_a_sample_of_all_classes() {
    let mut builder = Builder::new(None).unwrap();
    let commands: Vec<String> = ["epoll-edge", "epoll-level"]
        .iter()
        .flat_map(|name| {
            let entry = &select(&[(*name).to_owned()], &[]).unwrap()[0];
            let built = builder.build(entry).unwrap();
            ["ping", "udp", "unix"].map(|name| {
                let case = Case::find(case::all(), name).unwrap();
                // Every address, so that the cases about addresses run.
                built.command(&case).unwrap().replace("127.0.0.1:{port}", ":{port}")
            })
        })
        .collect();
    let failures: Vec<String> = commands.par_iter().flat_map(|command| failures(command)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn failures(server: &str) -> Vec<String> {
    let json = tempfile::NamedTempFile::new().unwrap();
    let mut command = bench();
    command.args(["examine", "-q", "--only", SMOKE, "--start", server]);
    command.arg("--json").arg(json.path());
    if server.contains("--udp") {
        command.arg("--udp");
    }
    let output = finish(command);
    let Ok(found) = Examination::read(json.path()) else {
        return vec![format!("{server}: {output:?}")];
    };
    let cases: Vec<&Outcome> = found.servers.iter().flat_map(|server| &server.cases).collect();
    let wrong = cases.iter().filter(|case| case.status == Status::Failed);
    let mut failures: Vec<String> =
        wrong.map(|case| format!("{server}: {}: {:?}", case.name, case.why)).collect();
    if cases.len() < 15 || output.status.code() != Some(i32::from(!failures.is_empty())) {
        failures.push(format!("{server}: {} cases, {output:?}", cases.len()));
    }
    failures
}
