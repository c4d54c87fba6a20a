//! Three hosts, a server and a control, in network namespaces: the commands of docs/machines.md, as
//! they stand there. It wants root, and says so; nothing of it outlives the test.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

#[path = "hosts/network.rs"]
mod network;
#[path = "hosts/page.rs"]
mod page;

use std::path::Path;

use epollite_bench::rank_file::RankFile;
use network::Network;

#[test]
fn three_hosts_are_loaded_by_parallel_over_ssh() {
    let network = Network::new();
    let said = network.on_control(&page::block("parallel")).expect("the page's commands");
    adds_up(&said, &network.control_dir().join("results"));
    // Each was on a host of its own: the files came back, and nothing was left there.
    for host in network::HOSTS {
        let left = network.on(host, "find /var/tmp -name 'rank-*'").expect("find");
        assert_eq!(left, "", "{host} has kept its file");
        let address = network.on(host, "ip -4 -o address show dev eth0").expect("ip");
        assert!(address.contains("10.77.0.1"), "{host}: {address}");
    }
    // One that is lost is missed.
    std::fs::remove_file(network.control_dir().join("results/rank-1.json")).unwrap();
    let error = network.on_control("epollite-bench merge results").expect_err("a rank is missing");
    assert!(error.contains("of 3 ranks these are missing: 1"), "{error}");
}

#[test]
fn mpirun_starts_ranks_here_and_on_hosts() {
    let network = Network::new();
    let said = network.on_control(&page::block("mpirun")).expect("the page's commands");
    adds_up(&said, &network.control_dir().join("here"));
    let said = network.on_control(&page::block("mpirun over ssh")).expect("the page's commands");
    adds_up(&said, &network.control_dir().join("shared"));
}

#[test]
fn a_host_that_is_not_there_is_a_rank_that_is_missing() {
    let network = Network::new();
    network.on("gamma", "ip link set eth0 down").expect("ip");
    let commands =
        page::block("parallel").replace("\nepollite-bench merge", "|| true\nepollite-bench merge");
    let error = network.on_control(&commands).expect_err("a rank is missing");
    assert!(error.contains("of 3 ranks these are missing: "), "{error}");
}

#[test]
fn the_manifest_is_yaml_and_its_numbers_agree() {
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
    assert_eq!(arguments[..2], ["load", "10.77.0.1:7777"], "words that load understands");
}

/// That `merge` said three ranks, and as many messages as they have.
#[track_caller]
fn adds_up(said: &str, folder: &Path) {
    let records: Vec<RankFile> = (0..3)
        .map(|rank| RankFile::read(&folder.join(format!("rank-{rank}.json"))).unwrap())
        .collect();
    let messages: u64 = records.iter().map(|record| record.counts.messages).sum();
    assert!(records.iter().all(|record| record.counts.messages > 0), "all have worked");
    let merged = epollite_bench::merge::merge(records).unwrap();
    assert_eq!((merged.counts.messages, merged.latencies.len()), (messages, messages));
    let grouped = epollite_bench::units::grouped(messages);
    assert!(said.contains(&format!("3 ranks, {grouped} messages; ")), "{said}");
}
