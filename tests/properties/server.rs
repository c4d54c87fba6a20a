//! Properties of the stream server on the simulated kernel: a plan is a scenario, and every
//! invariant is checked at every step.
//!
//! The scenario is the one run by `epollite sim`; here its decisions come from bytes.

use epollite::server::stream::Bulk;
use epollite::sim::Entropy;

use crate::scenario;
use crate::scenario::config::{Choices, ScenarioConfig, small_total};
use crate::scenario::server::stream_server;

/// Runs the scenario of `plan`: its configuration, what clients do, what the kernel does.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants(plan: &[u8]) {
    run_plan(plan, false, |_| {});
}

/// The same with one system call failing, once or persistently.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants_under_faults(plan: &[u8]) {
    run_plan(plan, true, |_| {});
}

/// The same for a server that moves bytes by splice(2), with few clients and small sockets, so that
/// many bytes wait in pipes when a connection ends; by the first byte with a failing call.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants_of_splices(plan: &[u8]) {
    let Some((first, rest)) = plan.split_first() else { return };
    run_plan(rest, first % 2 == 1, |config| {
        config.bulk = if config.bulk == Bulk::Auto { Bulk::Auto } else { Bulk::Splice };
        config.clients_max = 1 + config.clients_max % 4;
        config.connections_max = 4;
        config.socket_bytes = 256 + config.socket_bytes % 128;
    });
}

/// The same for a server whose buffers have room for none to a few connections that do not read.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants_of_a_small_total(plan: &[u8]) {
    let Some((first, rest)) = plan.split_first() else { return };
    run_plan(rest, first % 2 == 1, |config| {
        config.buffer_total_bytes = small_total(config.buffer_bytes, usize::from(*first / 2));
        config.clients_max = 1 + config.clients_max % 8;
        config.connections_max = 8;
        config.socket_bytes = 256 + config.socket_bytes % 128;
    });
}

/// One of them, selected by the first byte: for the fuzzer and its corpus.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants_either_way(plan: &[u8]) {
    match plan.split_first() {
        Some((first, _)) if matches!(first % 8, 5 | 6) => check_invariants_of_splices(plan),
        Some((first, _)) if first % 8 == 4 => check_invariants_of_a_small_total(plan),
        Some((first, rest)) if first % 2 == 1 => check_invariants_under_faults(rest),
        Some((_, rest)) => check_invariants(rest),
        None => {}
    }
}

fn run_plan(plan: &[u8], has_faults: bool, adjust: impl Fn(&mut ScenarioConfig)) {
    // A third is kernel randomness, the rest is client behaviour.
    let (chance, decisions) = plan.split_at(plan.len() / 3);
    let mut choices = PlannedChoices(decisions.iter());
    let mut config = ScenarioConfig::generate(&mut choices, None, has_faults);
    adjust(&mut config);
    let entropy = Entropy::from_bytes(chance.into());
    if let Err(broken) = scenario::run(&config, &mut choices, entropy, 10_000, stream_server) {
        panic!("{broken}\nconfig: {config:?}\nplan: &{plan:?}");
    }
}

/// One byte per decision.
struct PlannedChoices<'a>(core::slice::Iter<'a, u8>);

impl Choices for PlannedChoices<'_> {
    fn choose(&mut self, end: usize) -> Option<usize> {
        self.0.next().map(|&byte| usize::from(byte) % end)
    }
}
