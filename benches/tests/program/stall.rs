//! A stalled server is charged with every message that should have been sent (no coordinated
//! omission).

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use epollite_bench::case::Case;
use epollite_bench::load::{Config, Length, Load, Metrics, Observer, Pace, Target};
use epollite_bench::servers::{BASELINE_SERVER, Builder, select};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Messages per second: one is due in each millisecond of the stall.
const RATE: f64 = 1000.0;

/// When the server is stopped and resumed, in milliseconds of the slice; the observer is called ten
/// times per second.
const STOPPED_AT: u64 = 400;
const RESUMED_AT: u64 = 600;

struct Freezer {
    server: Pid,
    stopped: Option<Instant>,
    length: Duration,
}

impl Observer for Freezer {
    fn tick(&mut self, elapsed: Duration, _: &Metrics) {
        let millis = u64::try_from(elapsed.as_millis()).unwrap();
        if self.stopped.is_none() && millis >= STOPPED_AT {
            kill(self.server, Signal::SIGSTOP).unwrap();
            self.stopped = Some(Instant::now());
        } else if let Some(stopped) = self.stopped
            && self.length.is_zero()
            && millis >= RESUMED_AT
        {
            self.length = stopped.elapsed();
            kill(self.server, Signal::SIGCONT).unwrap();
        }
    }
}

struct Reaper(Child);

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts the C baseline. Between the choice of a free port and its bind(2) another process may
/// take the port; then the server exits without output, and another port is tried.
fn start_baseline() -> (Reaper, SocketAddr) {
    let entry = &select(&[BASELINE_SERVER.to_owned()], &[]).unwrap()[0];
    let built = Builder::new(None).unwrap().build(entry).unwrap();
    let with_port = built.command(&Case::of_connections(1)).unwrap();
    for _ in 0..10 {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let words = with_port.replace("{port}", &address.port().to_string());
        let words = shlex::split(&words).unwrap();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdout(Stdio::piped());
        let mut child = Reaper(command.spawn().unwrap());
        let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
        if stdout.read_line(&mut String::new()).unwrap() > 0 {
            return (child, address);
        }
    }
    panic!("the C server found no port in ten attempts");
}

#[test]
fn percentiles_include_the_whole_stall() {
    // With any depth: a message that waits for the window waits because of the server.
    for depth in [None, Some(1)] {
        check_stall(depth);
    }
}

fn check_stall(depth: Option<u32>) {
    let (child, address) = start_baseline();
    let server = Pid::from_raw(i32::try_from(child.0.id()).unwrap());

    let config = Config {
        connections: 4,
        depth,
        pace: Pace::Uniform(RATE),
        ..Config::new(Target::Tcp(address.into()))
    };
    let mut load = Load::open(&config).unwrap();
    let mut freezer = Freezer { server, stopped: None, length: Duration::ZERO };
    load.slice(Length::For(Duration::from_secs(2)), &mut freezer).unwrap();
    let stall = freezer.length;
    assert!(stall >= Duration::from_millis(100), "the server was stopped: {stall:?}");
    assert_eq!(load.meter().counts.messages, 2000, "all scheduled messages were sent");

    // In every millisecond of the stall a message was due, and waited for the rest of it. A closed
    // loop would have recorded four slow responses.
    let latencies = &load.meter().latencies;
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap();
    let longer = |share: u32| {
        let bound = stall * share / 10;
        (latencies.count_between(nanos(bound), u64::MAX), (stall - bound).as_secs_f64() * RATE)
    };
    for share in [1, 3, 5, 7] {
        let (count, due) = longer(share);
        assert!(
            count as f64 >= due * 0.9 - 5.0,
            "of a stall of {stall:?}, {count} messages waited longer than {share} tenths, and \
             {due:.0} were due before"
        );
    }
    assert!(latencies.max() >= nanos(stall * 9 / 10), "the longest: {}", latencies.max());
    assert!(latencies.value_at_percentile(99.0) >= nanos(stall * 7 / 10));
    let late = load.meter().lags.value_at_percentile(98.0);
    assert!(late < nanos(stall / 2), "the send lag does not include the stall: {late} ns");
}
