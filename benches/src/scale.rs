//! `epollite-bench scale`: what an event and an idle connection cost as connections grow. Here are
//! the arguments and the order of events.
//!
//! ```text
//!   growth      the results as data, as tables, as a plot       pure
//!   subject     a server, and its system calls without it
//!   kernels     the kernels that it grows on
//!   allocator   counts bytes
//! ```
//!
//! 64 connections are busy, spread over all slots, and every connection has an idle deadline. All
//! sizes exist at the same time and take turns, so that drift of the machine affects all of them;
//! the smallest exists twice, and its second copy shows the noise. What counts is the processor
//! time of the thread, and for memory what it has allocated.

mod allocator;
mod growth;
mod kernels;
mod subject;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use epollite::sim::{Sim, SimConfig};
use epollite::{Errno, Fd, Linux};
use procfs::{Current, Meminfo};

pub use growth::{Growth, KernelGrowth, Memory, Size};

use crate::exit::Usage;
use crate::server::{Cores, pin, raise_file_limit};
use crate::stats::Estimate;
use crate::{atomic_file, host, interleave, output, report};
use kernels::{Busy, Plan, Prompt, WithClients, open_eventfd, open_pair};
use subject::{Bare, Server, Subject};

/// Busy connections, and the message of each.
const BUSY: u64 = 64;
const MESSAGE: &[u8] = &[7; 64];

/// The smallest size, which the others are compared with.
const CONNECTIONS_MIN: u64 = 1_000;

/// Memory that a connection of each kernel takes here, most of it in the model, with room to spare.
const BYTES_PER_CONNECTION: u64 = 500;

/// Descriptors of this process that are no connections.
const OTHER_DESCRIPTORS: u64 = 500;

/// Measures what an event and an idle connection cost as connections grow.
///
/// 64 connections are busy; every connection has an idle deadline. The kernels: one that answers at
/// once, where the time is the library's, and there also with all connections busy in turn; the
/// library's model of Linux; and this machine's, up to its limit of descriptors. A ratio of 1.00 is
/// the cost with 1000 connections in the same round; compare with A/A, which is 1000 connections
/// once more.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// The most connections; ten times fewer, and so on, are measured too
    #[arg(long, value_name = "N", default_value_t = 10_000_000,
          value_parser = clap::value_parser!(u64).range(CONNECTIONS_MIN..=16_000_000))]
    max: u64,
    /// Rounds; the medians are printed
    #[arg(long, value_name = "N", default_value_t = 15,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Also writes the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also writes the plot to this file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Prints and plots an earlier result of --json, and measures nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["max", "rounds", "json"])]
    from: Option<PathBuf>,
}

/// The subcommand.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let growth = if let Some(path) = &args.from {
        let growth = Growth::read(path).map_err(Usage::new)?;
        output::print(&growth.tables())?;
        growth
    } else {
        for path in [&args.json, &args.svg] {
            output::check_writable(path.as_deref()).map_err(Usage::new)?;
        }
        measure(args.max, args.rounds)?
    };
    if let Some(path) = &args.json {
        write(path, &(serde_json::to_string_pretty(&growth)? + "\n"))?;
    }
    if let Some(path) = &args.svg {
        write(path, &growth.svg()?)?;
    }
    Ok(0)
}

fn write(path: &Path, text: &str) -> Result<()> {
    atomic_file::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

impl Growth {
    /// Reads a file of `scale --json`.
    ///
    /// # Errors
    /// If it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no result of scale", path.display()))
    }

    /// The plot, as an SVG file.
    ///
    /// # Errors
    /// When the template of the page fails.
    pub fn svg(&self) -> Result<String> {
        report::growth(&self.lines())
    }

    fn tables(&self) -> String {
        let kernels = self.kernels.iter().map(growth::kernel_table);
        let tables = [self.title(), growth::memory_table(&self.memory)].into_iter().chain(kernels);
        tables.collect::<Vec<_>>().join("\n")
    }

    fn title(&self) -> String {
        format!("{}, {}, {} rounds\n", self.machine.cpu, self.machine.kernel, self.rounds)
    }
}

/// Measures some sizes on one kernel, in so many rounds.
type Measure = fn(&[u64], usize) -> Result<KernelGrowth>;

/// What is measured, and with which sizes.
fn kernels<'s>(sizes: &'s [u64], linux: &'s [u64]) -> [(Measure, &'s [u64]); 4] {
    [(on_prompt, sizes), (in_turn, sizes), (on_model, sizes), (on_linux, linux)]
}

/// Measures everything, and prints each table when it is known.
fn measure(max: u64, rounds: u16) -> Result<Growth> {
    let available = Meminfo::current().ok().and_then(|it| it.mem_available);
    check_memory(max, available.unwrap_or(u64::MAX))?;
    let limit = raise_file_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let (sizes, linux_sizes) = (sizes(max), linux_sizes(max, limit)?);
    let cores = Cores::choose()?;
    pin(cores.server)?;
    let mut growth = Growth {
        machine: host::collect(cores),
        date: host::date(),
        commit: host::commit(),
        rounds: rounds.into(),
        memory: Vec::new(),
        kernels: Vec::new(),
    };
    output::print(&growth.title())?;
    growth.memory = sizes.iter().map(|&size| memory(size)).collect::<Result<_>>()?;
    output::print(&format!("\n{}", growth::memory_table(&growth.memory)))?;
    for (measure, sizes) in kernels(&sizes, &linux_sizes) {
        let kernel = measure(sizes, rounds.into())?;
        output::print(&format!("\n{}", growth::kernel_table(&kernel)))?;
        growth.kernels.push(kernel);
    }
    Ok(growth)
}

fn check_memory(max: u64, available: u64) -> Result<()> {
    let needed = max * BYTES_PER_CONNECTION;
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    ensure!(
        needed <= available,
        "{max} connections need {:.1} GB of memory and {:.1} GB are available: use --max",
        gigabytes(needed),
        gigabytes(available)
    );
    Ok(())
}

/// From the smallest size to `max`, each ten times the last.
fn sizes(max: u64) -> Vec<u64> {
    let powers = std::iter::successors(Some(CONNECTIONS_MIN), |size| Some(size * 10));
    powers.take_while(|&size| size < max).chain([max]).collect()
}

/// The smallest size, and the largest with which all of them fit the limit of descriptors: each
/// connection takes two.
fn linux_sizes(max: u64, limit: u64) -> Result<Vec<u64>> {
    let all = limit.saturating_sub(OTHER_DESCRIPTORS) / 2;
    let most = all.saturating_sub(2 * CONNECTIONS_MIN) / 100 * 100;
    ensure!(
        most >= CONNECTIONS_MIN,
        "the limit of {limit} descriptors is too low: {} are needed (ulimit -Hn)",
        2 * 3 * CONNECTIONS_MIN + OTHER_DESCRIPTORS
    );
    Ok(vec![CONNECTIONS_MIN, max.min(most)])
}

fn memory(connections: u64) -> Result<Memory> {
    Ok(Memory {
        connections,
        bytes_per_connection: bytes(connections, false)?,
        with_deadlines: bytes(connections, true)?,
    })
}

/// The least and the most bytes for each connection, beyond what a server without any holds.
fn bytes(connections: u64, has_deadlines: bool) -> Result<[f64; 2]> {
    let plan = Plan { connections };
    let (kernel, listener) = Prompt::new(plan);
    let server = Server::new(kernel, listener, has_deadlines)?;
    let before = allocator::live_bytes();
    let mut range = [f64::INFINITY, 0.0];
    server.accept(plan, |accepted| {
        if accepted >= connections - connections / 3 {
            let held = allocator::live_bytes().wrapping_sub(before) as f64 / accepted as f64;
            range = [held.min(range[0]), held.max(range[1])];
        }
    })?;
    Ok(range)
}

fn on_prompt(sizes: &[u64], rounds: usize) -> Result<KernelGrowth> {
    let make = |plan| Ok(Prompt::new(plan));
    compare(["library", "the library, on a kernel that answers at once"], sizes, rounds, make, true)
}

/// Without the calls alone, which would find no descriptor in the cache either.
fn in_turn(sizes: &[u64], rounds: usize) -> Result<KernelGrowth> {
    let make = |plan| Ok(Prompt::in_turn(plan));
    let names = ["in turn", "the library, each event another connection's"];
    compare(names, sizes, rounds, make, false)
}

fn on_model(sizes: &[u64], rounds: usize) -> Result<KernelGrowth> {
    let make = |plan: Plan| {
        let files = u32::try_from(plan.connections).unwrap_or(u32::MAX) + 1_000;
        let config =
            SimConfig { descriptors_max: files, files_max: files as usize, ..SimConfig::default() };
        let kernel = Sim::new(config);
        let clients = kernel.new_process();
        WithClients::new(kernel, clients, plan, open_eventfd)
    };
    compare(["model", "with the model of Linux"], sizes, rounds, make, true)
}

/// Without the calls alone: the library is a few percent of them.
fn on_linux(sizes: &[u64], rounds: usize) -> Result<KernelGrowth> {
    let make = |plan| WithClients::new(Linux, Linux, plan, open_pair);
    compare(["this kernel", "with this kernel, TCP over loopback"], sizes, rounds, make, false)
}

/// Lets all sizes, and the smallest once more, take turns.
fn compare<K: Busy + 'static>(
    [name, what]: [&str; 2],
    sizes: &[u64],
    rounds: usize,
    make: impl Fn(Plan) -> Result<(K, Fd), Errno>,
    has_calls: bool,
) -> Result<KernelGrowth> {
    let mut servers: Vec<Box<dyn Subject>> = Vec::new();
    let mut calls: Vec<Box<dyn Subject>> = Vec::new();
    for &connections in [CONNECTIONS_MIN].iter().chain(sizes) {
        let (plan, why) = (Plan { connections }, || format!("{name}, {connections} connections"));
        let (kernel, listener) = make(plan).with_context(why)?;
        let server = Server::new(kernel, listener, true)?.accept(plan, |_| {});
        servers.push(Box::new(server.with_context(why)?));
        if has_calls {
            let (kernel, listener) = make(plan).with_context(why)?;
            calls.push(Box::new(Bare::new(kernel, listener, plan).with_context(why)?));
        }
    }
    let count = servers.len();
    let mut subjects: Vec<Box<dyn Subject>> = servers.into_iter().chain(calls).collect();
    let mut costs = vec![Vec::new(); subjects.len()];
    for round in 0..=rounds {
        for index in interleave::order(round, subjects.len()) {
            let cost = subjects[index].slice().with_context(|| name.to_owned())?;
            // The first round warms up.
            if round > 0 {
                costs[index].push(cost);
            }
        }
    }
    let time = |index: usize| Estimate::of(costs[index].iter().copied());
    let ratio = |index: usize, reference: usize| {
        Estimate::of(costs[index].iter().zip(&costs[reference]).map(|(cost, of)| cost / of))
    };
    let size = |(index, &connections): (usize, &u64)| Size {
        connections,
        event_ns: time(index),
        ratio: ratio(index, 1),
        calls_ns: has_calls.then(|| time(count + index)),
        calls_ratio: has_calls.then(|| ratio(count + index, count + 1)),
    };
    let sizes = (1..).zip(sizes).map(size).collect();
    let (name, what) = (name.to_owned(), what.to_owned());
    Ok(KernelGrowth { name, what, control: ratio(0, 1), sizes })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle connection may cost, by our own promise.
    const BYTES_MAX: f64 = 64.0;

    #[test]
    fn an_idle_connection_costs_at_most_64_bytes_at_every_number() {
        for connections in [1_000, 10_000, 30_000] {
            let memory = memory(connections).unwrap();
            let [least, most] = memory.bytes_per_connection;
            assert!(most <= BYTES_MAX, "invariant: at most 64 bytes, but {memory:?}");
            assert!(least < most && memory.with_deadlines[0] > least, "{memory:?}");
            // A deadline is 20 bytes, or 40 when its table has just grown.
            assert!(memory.with_deadlines[1] <= most + 40.5, "{memory:?}");
        }
    }

    #[test]
    fn sizes_are_powers_of_ten_and_the_largest() {
        assert_eq!(sizes(1_000), [1_000]);
        assert_eq!(sizes(25_000), [1_000, 10_000, 25_000]);
        assert_eq!(sizes(10_000_000).len(), 5);
    }

    #[test]
    fn what_does_not_fit_is_refused_before_a_measurement() {
        assert!(check_memory(1_000_000, 500_000_000).is_ok());
        let why = check_memory(10_000_000, 2_000_000_000).unwrap_err().to_string();
        assert!(why.contains("need 5.0 GB of memory and 2.0 GB are available"), "{why}");
        assert_eq!(linux_sizes(10_000_000, 20_000).unwrap(), [1_000, 7_700]);
        assert_eq!(linux_sizes(1_000, 1 << 20).unwrap(), [1_000, 1_000]);
        let why = linux_sizes(1_000, 1_024).unwrap_err().to_string();
        assert!(why.contains("6500 are needed"), "{why}");
        assert_eq!(linux_sizes(1_000, 6_500).unwrap(), [1_000, 1_000], "as many as it says");
    }

    #[test]
    fn every_kernel_serves_every_size() {
        raise_file_limit(u64::MAX).unwrap();
        for (measure, sizes) in kernels(&[1_000, 2_000], &[1_000, 2_000]) {
            let kernel = measure(sizes, 2).unwrap();
            let connections: Vec<u64> = kernel.sizes.iter().map(|it| it.connections).collect();
            assert_eq!(connections, [1_000, 2_000], "{}", kernel.name);
            for size in &kernel.sizes {
                assert!(size.event_ns.median > 0.0 && size.ratio.median > 0.0, "{size:?}");
            }
            let text = growth::kernel_table(&kernel);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(text.contains("2 000"), "a row for each size: {text}");
        }
    }
}
