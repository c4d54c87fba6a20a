//! A correct server, measured with every option; the results can be parsed.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use base64::Engine;

use crate::support::{Run, bench, echo, finish, plain_tcp, plain_unix, run, tcp, udp};

/// Messages per run.
const COUNT: u64 = 2000;

#[track_caller]
fn all_are_echoed(arguments: &str) -> Run {
    let run = run(&format!("load {arguments} -n {COUNT} --warmup 20ms --json"));
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{arguments}: {run:?}");
    let json = run.json();
    assert_eq!(json["messages"], COUNT, "{arguments}");
    assert_eq!(json["ending"], "complete", "{arguments}");
    for none in ["altered", "missing", "duplicated", "reordered", "unsent"] {
        assert_eq!(json[none], 0, "{arguments}: {none}");
    }
    assert!(json["rate"].as_f64() > Some(0.0) && json["own_cpu"]["seconds"].as_f64() > Some(0.0));
    run
}

#[test]
fn tcp_with_every_option() {
    let address = plain_tcp();
    for how in [
        "",
        "-c 8",
        "-c 8 -d 16",
        "-c 3 -s 1",
        "-c 3 -s 7 -d 4",
        "-c 2 -d 2 -s 100k",
        "-c 4 -d 4 -s uniform:1-3000",
        "-c 4 -s exp:1000",
        "-c 4 -s list:1,64,20000",
        "-c 8 --churn",
        "-c 8 --rate 20k",
        "-c 8 --rate 20k --poisson -s exp:200",
        "-c 4 --rate 5k --churn",
        "-c 4 --rate 20k -d 1",
    ] {
        all_are_echoed(&format!("{address} {how}"));
    }
}

#[test]
fn messages_longer_than_every_buffer() {
    let address = plain_tcp();
    let run = run(&format!("load {address} -c 2 -d 2 -s 3M -n 8 --warmup 0 --json"));
    assert_eq!((run.code, &run.json()["bytes"]), (Some(0), &(8 * (3 << 20)).into()), "{run:?}");
}

#[test]
fn unix_and_udp() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("echo");
    plain_unix(&path);
    let unix = format!("{} --unix", path.display());
    for how in ["-c 4", "-c 4 -d 8 -s uniform:1-100000", "-c 4 --churn"] {
        all_are_echoed(&format!("{unix} {how}"));
    }
    let address = udp(|_, message| vec![message.to_vec()]);
    for how in ["", "-c 3 -d 8", "-d 16 --gso", "-c 2 -s uniform:16-9000", "--rate 5k", "-s 65507"]
    {
        all_are_echoed(&format!("{address} --udp {how}"));
    }
}

#[test]
fn the_duration_and_the_rate_are_met() {
    let address = plain_tcp();
    let run = run(&format!("load {address} -c 4 --rate 1000 -t 500ms --warmup 0 --json"));
    let json = run.json();
    // The last message is due a millisecond before the end.
    assert_eq!((run.code, &json["messages"]), (Some(0), &500.into()), "{run:?}");
    assert!(json["elapsed_seconds"].as_f64() >= Some(0.5));
    assert!(json["lag_nanos"]["max"].as_u64() > Some(0), "the send lag is reported");
}

#[test]
fn a_violated_threshold_fails_a_run() {
    let address = tcp(echo);
    let load = |thresholds: &str| run(&format!("load {address} -n 500 --warmup 0 {thresholds}"));
    let fine = "--fail-if p99>60s --fail-if rate<1 --fail-if errors>0 --fail-if max>=61s";
    let fine = load(fine);
    assert_eq!((fine.code, fine.err.as_str()), (Some(0), ""), "{fine:?}");
    for threshold in ["p50>1ns", "p99.9>=1ns", "rate<1000M", "min<60s", "messages<=500", "errors<1"]
    {
        load(&format!("--fail-if p99>60s --fail-if {threshold}"))
            .ended(1, &format!("--fail-if {threshold}: it is "));
    }
}

#[test]
fn a_latency_threshold_fails_without_responses() {
    let hole = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = hole.local_addr().unwrap();
    let how = "--udp -t 50ms --loss-timeout 50ms --warmup 0 --fail-if p99>2ms";
    let run = run(&format!("load {address} {how}"));
    assert_eq!(run.code, Some(69), "{run:?}");
    let whys: Vec<&str> = run.err.lines().collect();
    let unknown = "epollite-bench: --fail-if p99>2ms: it is unknown: no response";
    assert_eq!(whys, ["epollite-bench: no response in time: 1 of 1 messages are lost", unknown]);
}

#[test]
fn the_interval_log_holds_every_message() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let address = plain_tcp();
    let path = file.path().display();
    let run = run(&format!("load {address} -c 2 -t 1200ms --warmup 0 --json --hlog {path}"));
    assert_eq!(run.code, Some(0), "{run:?}");
    let log = std::fs::read(file.path()).unwrap();
    let mut total = Histogram::<u64>::new(3).unwrap();
    let (mut intervals, mut end) = (0, std::time::Duration::ZERO);
    for entry in IntervalLogIterator::new(&log) {
        let Ok(LogEntry::Interval(interval)) = entry else { continue };
        assert!(interval.start_timestamp() + std::time::Duration::from_millis(1) >= end);
        end = interval.start_timestamp() + interval.duration();
        let bytes = base64::prelude::BASE64_STANDARD.decode(interval.encoded_histogram()).unwrap();
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        total.add(histogram).unwrap();
        intervals += 1;
    }
    assert_eq!(intervals, 2, "a full second, and the remainder");
    assert_eq!(run.json()["messages"], total.len());
    assert_eq!(run.json()["latency_nanos"]["max"], total.max());
}

#[test]
fn the_table_and_the_distribution_are_printed() {
    let address = plain_tcp();
    let run = run(&format!("load {address} -n 1000 --warmup 0 --hgrm"));
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    for part in ["1 000 messages in", "p99.9", "errors      none", "own CPU"] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    assert!(
        run.out.contains("1/(1-Percentile)") && run.out.contains("Total count    =         1000")
    );
}

#[test]
fn environment_variables_and_completions_work() {
    let address = plain_tcp();
    let mut command = bench("load -n 300 --warmup 0 --json");
    command.env("EPL_ADDR", address.to_string()).env("EPL_CONNECTIONS", "3");
    command.env("EPL_MESSAGE_SIZE", "uniform:5-9");
    let json = finish(command).json();
    assert_eq!((&json["config"]["connections"], &json["messages"]), (&3.into(), &300.into()));
    assert_eq!(json["config"]["sizes"], "uniform:5-9");
    let script = run("completions bash");
    assert!(script.code == Some(0) && script.out.contains("--fail-if"), "{script:?}");
}

#[test]
fn closing_after_the_last_response_is_success() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut message) = (stream.unwrap(), [0; 64]);
            for _ in 0..5 {
                std::io::Read::read_exact(&mut stream, &mut message).unwrap();
                std::io::Write::write_all(&mut stream, &message).unwrap();
            }
        }
    });
    for _ in 0..10 {
        let run = run(&format!("load {address} -n 5 --warmup 0"));
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    }
}
