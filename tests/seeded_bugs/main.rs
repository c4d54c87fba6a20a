//! Mutation testing of the invariants: every classic bug of an epoll server is seeded into a small
//! one, and the scenario of `epollite sim` must catch it by the matching invariant; the same server
//! without the bug passes the same scenarios.

#[path = "../../src/bin/epollite/scenario/mod.rs"]
mod scenario;
mod server;
mod slots;

use epollite::sim::Entropy;
use epollite::{Errno, Trigger};
use scenario::config::{ScenarioConfig, SeededChoices, Violation};
use scenario::server::{KernelUnderTest, ServerUnderTest, stream_server};
use server::{Bug, BuggyServer};
use slots::Slots;

const LOST_WAKEUP: &str = "no client waits forever";
const BUSY_LOOP: &str = "no busy loop";
const PREFIX: &str = "output is a prefix of input";
const WRONG_CONNECTION_CLOSED: &str = "no client is disconnected";
const LEAK: &str = "leak";

/// Descriptors of the server: enough for every client, or for a few.
const PLENTY: u32 = 1_000;
const SCARCE: u32 = 10;

/// Scenarios in which a bug must be found: the rarest takes thirty.
const SEEDS_MAX: u64 = 256;

/// Scenarios that a correct server passes.
const SEEDS: u64 = 16;

/// Steps of a scenario.
const STEPS: u64 = 2_000;

#[test]
fn every_seeded_bug_violates_its_invariant() {
    for (bug, trigger, descriptors_max, invariant) in [
        (Bug::EdgeWithoutDrain, Trigger::Edge, PLENTY, LOST_WAKEUP),
        (Bug::ShortReadWithoutRdhup, Trigger::Edge, PLENTY, LOST_WAKEUP),
        (Bug::WritableKept, Trigger::Level, PLENTY, BUSY_LOOP),
        (Bug::ShortSendForgotten, Trigger::Edge, PLENTY, PREFIX),
        (Bug::InterestNotRestored, Trigger::Edge, PLENTY, LOST_WAKEUP),
        (Bug::InterestNotRestored, Trigger::Level, PLENTY, BUSY_LOOP),
        (Bug::InterestNotRestored, Trigger::OneShot, PLENTY, LOST_WAKEUP),
        (Bug::BudgetNotRequeued, Trigger::Edge, PLENTY, LOST_WAKEUP),
        (Bug::HangUpIgnored, Trigger::Level, PLENTY, BUSY_LOOP),
        (Bug::ListenerNotPaused, Trigger::Level, SCARCE, BUSY_LOOP),
        (Bug::CloseForgotten, Trigger::Level, PLENTY, LEAK),
    ] {
        let start = |kernel, config: &_, has_bug: bool| {
            BuggyServer::new(kernel, config, has_bug.then_some(bug))
        };
        is_caught(&format!("{bug:?}, {trigger:?}"), (trigger, descriptors_max), invariant, start);
    }
}

#[test]
fn a_token_without_generation_closes_the_wrong_connection() {
    let start = |kernel, config: &_, has_bug: bool| Slots::new(kernel, config, !has_bug);
    is_caught("TokenWithoutGeneration", (Trigger::Edge, PLENTY), WRONG_CONNECTION_CLOSED, start);
}

#[test]
fn without_a_bug_all_invariants_hold() {
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot] {
        for setup in [(trigger, PLENTY), (trigger, SCARCE)] {
            passes(setup, |kernel, config| BuggyServer::new(kernel, config, None));
            passes(setup, stream_server);
        }
    }
    passes((Trigger::Edge, PLENTY), |kernel, config| Slots::new(kernel, config, true));
}

/// A level-triggered registration is deleted before its descriptor is closed.
#[test]
fn a_missing_delete_of_a_duplicated_descriptor_is_handled_by_the_reactor() {
    let bug = Some(Bug::DeleteForgotten);
    passes((Trigger::Level, PLENTY), |kernel, config| BuggyServer::new(kernel, config, bug));
}

fn passes<S: ServerUnderTest>(
    setup: (Trigger, u32),
    start: impl Fn(KernelUnderTest, &ScenarioConfig) -> Result<S, Errno> + Copy,
) {
    for seed in 0..SEEDS {
        assert_eq!(run(seed, setup, start), Ok(()), "seed {seed}, {setup:?}");
    }
}

/// The first violation among the scenarios is of `invariant`, and without the bug there is none.
fn is_caught<S: ServerUnderTest>(
    bug: &str,
    setup: (Trigger, u32),
    invariant: &str,
    start: impl Fn(KernelUnderTest, &ScenarioConfig, bool) -> Result<S, Errno>,
) {
    let run = |seed, has_bug| run(seed, setup, |kernel, config| start(kernel, config, has_bug));
    let found = (0..SEEDS_MAX).find_map(|seed| Some((seed, run(seed, true).err()?)));
    let Some((seed, violation)) = found else {
        panic!("{bug} violates \"{invariant}\", but none of {SEEDS_MAX} scenarios found it")
    };
    assert!(
        violation.invariant.contains(invariant),
        "{bug} violates \"{invariant}\", but the report for seed {seed} was: {violation}"
    );
    assert_eq!(run(seed, false), Ok(()), "seed {seed} without {bug}");
    println!("{bug}: seed {seed}: {violation}");
}

/// Runs one scenario, as `epollite sim --seed` would, of a server without limits in the way.
fn run<S: ServerUnderTest>(
    seed: u64,
    (trigger, descriptors_max): (Trigger, u32),
    start: impl Fn(KernelUnderTest, &ScenarioConfig) -> Result<S, Errno>,
) -> Result<(), Violation> {
    let mut choices = SeededChoices(seed);
    let config = ScenarioConfig::generate(&mut choices, Some(trigger), false);
    let buffer_total_bytes = usize::MAX;
    let config = ScenarioConfig { descriptors_max, buffer_total_bytes, idle: None, ..config };
    scenario::run(&config, &mut choices, Entropy::from_seed(seed), STEPS, start).map(drop)
}
