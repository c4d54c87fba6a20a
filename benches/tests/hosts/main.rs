//! Three hosts, a server and a control host in network namespaces: runs the commands of
//! docs/machines.md verbatim. Requires root, and fails with a message otherwise; all namespaces end
//! with the test.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

mod network;
mod page;

use std::path::Path;

use epollite_bench::rank_file::RankFile;
use network::Network;

#[test]
fn three_hosts_are_loaded_by_parallel_over_ssh() {
    let network = Network::new();
    let output = network.on_control(&page::block("parallel")).expect("the page's commands");
    check_merged(&output, &network.control_dir().join("results"));
    // Each rank ran on its own host: the files were copied back, and none is left there.
    for host in network::HOSTS {
        let remaining = network.on(host, "find /var/tmp -name 'rank-*'").expect("find");
        assert_eq!(remaining, "", "{host} has kept its file");
        let address = network.on(host, "ip -4 -o address show dev eth0").expect("ip");
        assert!(address.contains("10.77.0.1"), "{host}: {address}");
    }
    // A missing file is an error.
    std::fs::remove_file(network.control_dir().join("results/rank-1.json")).unwrap();
    let error = network.on_control("epollite-bench merge results").expect_err("a rank is missing");
    assert!(error.contains("of 3 ranks these are missing: 1"), "{error}");
}

#[test]
fn mpirun_starts_ranks_here_and_on_hosts() {
    let network = Network::new();
    let output = network.on_control(&page::block("mpirun")).expect("the page's commands");
    check_merged(&output, &network.control_dir().join("here"));
    let output = network.on_control(&page::block("mpirun over ssh")).expect("the page's commands");
    check_merged(&output, &network.control_dir().join("shared"));
}

#[test]
fn an_unreachable_host_is_a_missing_rank() {
    let network = Network::new();
    network.on("gamma", "ip link set eth0 down").expect("ip");
    let commands =
        page::block("parallel").replace("\nepollite-bench merge", "|| true\nepollite-bench merge");
    let error = network.on_control(&commands).expect_err("a rank is missing");
    assert!(error.contains("of 3 ranks these are missing: "), "{error}");
}

#[test]
fn the_manifest_is_valid_yaml_with_consistent_numbers() {
    let documents = yaml_rust2::YamlLoader::load_from_str(page::manifest()).unwrap();
    let spec = &documents[0]["spec"];
    let completions = spec["completions"].as_i64().unwrap();
    assert_eq!(spec["parallelism"].as_i64(), Some(completions), "all run at the same time");
    let container = &spec["template"]["spec"]["containers"][0];
    let variables = container["env"].as_vec().unwrap();
    let size = variables.iter().find(|it| it["name"].as_str() == Some("EPL_SIZE")).unwrap();
    assert_eq!(size["value"].as_str(), Some(completions.to_string().as_str()), "EPL_SIZE");
    let arguments: Vec<&str> =
        container["args"].as_vec().unwrap().iter().filter_map(|it| it.as_str()).collect();
    assert_eq!(arguments[..2], ["load", "10.77.0.1:7777"], "arguments of load");
}

/// Checks that `merge` printed three ranks and the sum of their messages.
#[track_caller]
fn check_merged(output: &str, folder: &Path) {
    let records: Vec<RankFile> = (0..3)
        .map(|rank| RankFile::read(&folder.join(format!("rank-{rank}.json"))).unwrap())
        .collect();
    let messages: u64 = records.iter().map(|record| record.counts.messages).sum();
    assert!(
        records.iter().all(|record| record.counts.messages > 0),
        "every rank has sent messages"
    );
    let merged = epollite_bench::merge::merge(records).unwrap();
    assert_eq!((merged.counts.messages, merged.latencies.len()), (messages, messages));
    let grouped = epollite_bench::units::grouped(messages);
    assert!(output.contains(&format!("3 ranks, {grouped} messages; ")), "{output}");
}
