//! A load in a child process, controlled by lines of JSON: each load has its own descriptors (a
//! process may have 20,000 and no more), and loads do not disturb each other. This module has the
//! protocol, and converts a case into a load.
//!
//! ```text
//!   a request, as JSON     it replies, as JSON
//!   [case, endpoint]       {"Ok": null}             connections are open
//!   Slice                  {"Ok": slice}
//!   Forget                 (nothing)
//!   Latency                {"Ok": latency or null}
//!   any                    {"Err": "text"}          then the child exits
//!   (end of input)                                  the child exits
//! ```

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use epollite::Addr;
use epollite::net::UnixAddr;
use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::load::{self, Config, Length, Load, LoadError, Pace, Sizes, Target};
use crate::process_usage;
use crate::schema::Latency;
use crate::server::Endpoint;

/// The name of the subcommand.
pub(crate) const NAME: &str = "worker";

/// What the child is asked for.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    /// A slice of load.
    Slice { pace: Pace, length: Duration },
    /// To discard the round-trip times of the warm-up.
    Forget,
    /// The distribution of the round-trip times.
    Latency,
}

/// Result of a slice of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slice {
    /// Messages echoed.
    pub(crate) messages: u64,
    /// Lost datagrams.
    pub(crate) lost: u64,
    /// From the first byte sent until time was over and every message was received or given up.
    pub(crate) elapsed: Duration,
    /// The median of their round-trip times.
    pub(crate) p50_ns: u64,
    /// The 99th percentile of them.
    pub(crate) p99_ns: u64,
    /// Open loop: the generator's send lag at the 99th percentile.
    pub(crate) late_p99_ns: u64,
    /// CPU time of the whole child process.
    pub(crate) own_cpu: Duration,
}

/// Without any response for this long, on any connection, a server counts as stalled. Far above any
/// delay: the longest legitimate wait is one lost SYN, sent again after a second.
const STALL: Duration = Duration::from_secs(3);

/// Time after which a datagram counts as lost. Loopback delivers at once or drops.
const LOSS_AFTER: Duration = Duration::from_millis(200);

/// Time limit for a reply of the child, including the requested work: the longest slice is 20 s (of
/// an open loop), followed by waiting for outstanding responses. The child detects a stalled server
/// itself and reports it; this limit is for a child that hangs.
const REPLY_TIMEOUT: Duration = Duration::from_secs(120);

/// Quantiles at which the curve of round-trip times has a point.
const PERCENTILES: [f64; 18] = [
    0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9975, 0.999, 0.9995, 0.9999,
    0.999_95, 0.999_99, 0.999_999, 1.0,
];

/// The parent's side: the child process, killed on drop.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts a child and waits until its connections are open. It inherits the CPU affinity. Fails
    /// if it cannot be started, or cannot connect to the server.
    pub(crate) fn start(case: &Case, endpoint: &Endpoint) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find the path of this program")?;
        // In its own process group: Ctrl-C reaches the parent only, which stops the child.
        let mut child = Command::new(program)
            .process_group(0)
            .arg(NAME)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start another process of this program")?;
        let requests = child.stdin.take();
        let replies = BufReader::new(child.stdout.take().context("it has no output")?);
        let mut worker = Self { child, requests, replies };
        worker.ask::<()>(&(case, endpoint))?;
        Ok(worker)
    }

    /// Sends messages for `length`, then waits for outstanding responses. A closed loop keeps the
    /// server busy; a rate is independent of responses, and round-trip times count from the
    /// intended send time. After an error the worker is unusable.
    pub(crate) fn slice(&mut self, pace: Pace, length: Duration) -> Result<Slice> {
        self.ask(&Request::Slice { pace, length })
    }

    /// Discards the round-trip times so far, which were for warm-up. Fails if the child has ended.
    pub(crate) fn reset(&mut self) -> Result<()> {
        self.request(&Request::Forget)
    }

    /// The round-trip times of all slices since the last [`Worker::reset`]. Fails if the child has
    /// ended.
    pub(crate) fn latency(&mut self) -> Result<Option<Latency>> {
        self.ask(&Request::Latency)
    }

    fn request(&mut self, request: &impl Serialize) -> Result<()> {
        let requests = self.requests.as_mut().context("the load process has ended")?;
        writeln!(requests, "{}", serde_json::to_string(request)?)
            .context("the load process has ended")
    }

    /// Sends a request, and waits for the reply.
    fn ask<T: DeserializeOwned>(&mut self, request: &impl Serialize) -> Result<T> {
        self.request(request)?;
        let mut line = String::new();
        self.wait_reply()?;
        self.replies.read_line(&mut line).context("cannot read from the load process")?;
        let reply: Result<T, String> = serde_json::from_str(&line)
            .with_context(|| format!("the load process ended without a reply ({line:?})"))?;
        reply.map_err(Error::msg)
    }

    /// A reply is one line in one write: when its first byte can be read, so can the rest.
    fn wait_reply(&self) -> Result<()> {
        if !self.replies.buffer().is_empty() {
            return Ok(());
        }
        let mut reply = [PollFd::new(self.replies.get_ref().as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(REPLY_TIMEOUT).unwrap_or(PollTimeout::MAX);
        match poll(&mut reply, limit) {
            Ok(0) => bail!("no reply of the load process after {} s", REPLY_TIMEOUT.as_secs()),
            // After an interrupted wait the read waits for the reply.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait for the load process"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // EOF on its input ends it; during a slice it is killed.
        drop(self.requests.take());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The child's side: the subcommand.
pub(crate) fn run() {
    // An error here means that the parent has ended, so it cannot be reported.
    let _ = serve();
}

fn serve() -> Result<()> {
    let mut requests = std::io::stdin().lock().lines();
    let opening = requests.next().context("the parent has ended")??;
    let (case, endpoint): (Case, Endpoint) = serde_json::from_str(&opening)?;
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    let mut driver = match Driver::open(&case, &endpoint) {
        Ok(driver) => driver,
        Err(error) => return write_reply::<()>(Err(error)),
    };
    write_reply(Ok(()))?;
    for line in requests {
        match serde_json::from_str(&line?)? {
            Request::Slice { pace, length } => write_reply(driver.run(pace, length))?,
            Request::Forget => driver.times.reset(),
            Request::Latency => write_reply(Ok(latency(&driver.times)))?,
        }
    }
    Ok(())
}

/// The load of a case, and its idle connections.
struct Driver {
    load: Load,
    times: Histogram<u64>,
    /// Held open only.
    _idle: Option<Load>,
}

impl Driver {
    fn open(case: &Case, endpoint: &Endpoint) -> Result<Self> {
        let idle = match case.idle {
            0 => None,
            count => Some(open_idle(count, endpoint)?),
        };
        let config = Config {
            connections: u32::try_from(case.connections)?,
            depth: Some(u32::try_from(case.depth)?),
            sizes: Sizes::Fixed(u32::try_from(case.size_bytes)?),
            churn: case.churn,
            gso: case.gso,
            ..config(endpoint)?
        };
        let load = open(&config)?;
        Ok(Self { load, times: load::histogram(), _idle: idle })
    }

    fn run(&mut self, pace: Pace, length: Duration) -> Result<Slice> {
        // The depth stays bounded with a rate: messages queued in a connection would be echoed
        // together, and the more of them the cheaper, so that no rate would ever be too high.
        self.load.set_pace(pace);
        let before = process_usage::own_cpu();
        let elapsed = self.load.slice(Length::For(length), &mut ()).map_err(describe)?;
        let own_cpu =
            process_usage::own_cpu().unwrap_or_default().saturating_sub(before.unwrap_or_default());
        let meter = self.load.meter();
        let times = &meter.latencies;
        self.times.add(times).expect("both have the same bounds");
        if let Some(&wrong) = meter.wrong.first() {
            return Err(describe(wrong.into()));
        }
        Ok(Slice {
            messages: meter.counts.messages,
            lost: meter.counts.lost,
            elapsed,
            p50_ns: times.value_at_quantile(0.5),
            p99_ns: times.value_at_quantile(0.99),
            late_p99_ns: meter.lags.value_at_quantile(0.99),
            own_cpu,
        })
    }
}

/// Opens connections that send one message each, which proves that the server has accepted them,
/// and are idle after it.
fn open_idle(count: usize, endpoint: &Endpoint) -> Result<Load> {
    let connections = u32::try_from(count)?;
    let mut load = open(&Config { connections, depth: Some(1), ..config(endpoint)? })?;
    load.slice(Length::Count(u64::from(connections)), &mut ()).map_err(describe)?;
    Ok(load)
}

fn open(config: &Config) -> Result<Load> {
    config.check().map_err(Error::msg)?;
    Load::open(config).map_err(describe)
}

fn config(endpoint: &Endpoint) -> Result<Config> {
    let target = match endpoint {
        Endpoint::Tcp(address) => Target::Tcp(Addr::from(*address)),
        Endpoint::Udp(address) => Target::Udp(Addr::from(*address)),
        Endpoint::Unix(path) => {
            let path = UnixAddr::path(path.as_os_str().as_bytes());
            Target::Unix(path.map_err(|error| anyhow!("invalid socket path: {error}"))?)
        }
    };
    Ok(Config { stall: STALL, loss_after: LOSS_AFTER, ..Config::new(target) })
}

/// One word for the kind of failure, then the details.
fn describe(failure: LoadError) -> Error {
    let kind = match failure {
        LoadError::Closed { .. } => "ended: ",
        LoadError::Stalled { .. } => "stalled: ",
        LoadError::Mismatch(_) => "wrong: ",
        _ if failure.is_no_server() => "refused: ",
        _ => "",
    };
    anyhow!("{kind}{failure}")
}

fn latency(times: &Histogram<u64>) -> Option<Latency> {
    let at = |quantile| times.value_at_quantile(quantile);
    (!times.is_empty()).then(|| Latency {
        count: times.len(),
        p50_ns: at(0.5),
        p90_ns: at(0.9),
        p99_ns: at(0.99),
        p999_ns: at(0.999),
        max_ns: times.max(),
        curve: PERCENTILES.iter().map(|&quantile| (quantile, at(quantile))).collect(),
    })
}

fn write_reply<T: Serialize>(reply: Result<T>) -> Result<()> {
    let reply = reply.map_err(|error| format!("{error:#}"));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&reply)?).context("the parent has ended")?;
    out.flush().context("the parent has ended")
}
