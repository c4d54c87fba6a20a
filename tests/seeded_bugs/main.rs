//! Mutation testing of the invariants: every classic bug of an epoll server is seeded into a small
//! one, and the matching invariant must catch it; the same server without the bug passes the same
//! scenario.

mod raw_epoll;
mod server;
mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind};

use epollite::Trigger;
use epollite::sim::Sim;
use epollite::sim::SimConfig;
use raw_epoll::Slots;
use server::{Bug, BuggyServer, Setup};
use workload::{Broken, ServerUnderTest, Workload};

const LOST_WAKEUP: &str = "no client waits forever";
const BUSY_LOOP: &str = "no busy loop";
const PREFIX: &str = "output is a prefix of input";
const WRONG_CONNECTION_CLOSED: &str = "no client is disconnected";
const LEAK: &str = "leak";

/// A server without limits in the way.
const BASELINE: Setup = Setup {
    trigger: Trigger::Level,
    buffer_bytes: 64,
    budget_bytes: 1_000,
    pauses: false,
    shares_duplicates: false,
    descriptors_max: 100,
};

const EDGE: Setup = Setup { trigger: Trigger::Edge, ..BASELINE };

#[test]
fn undrained_edge_loses_a_wakeup() {
    assert_caught(Bug::EdgeWithoutDrain, EDGE, LOST_WAKEUP, |workload| {
        let client = workload.connect_client();
        workload.client_send(client, 200);
        workload.drain_and_check()
    });
}

#[test]
fn short_read_without_rdhup_misses_eof() {
    assert_caught(Bug::ShortReadWithoutRdhup, EDGE, LOST_WAKEUP, |workload| {
        let client = workload.connect_client();
        workload.settle()?;
        workload.client_send(client, 10);
        workload.end(client);
        workload.drain_and_check()
    });
}

#[test]
fn level_writable_interest_busy_loops() {
    assert_caught(Bug::WritableKept, BASELINE, BUSY_LOOP, |workload| {
        workload.connect_client();
        workload.drain_and_check()
    });
}

#[test]
fn dropped_short_write_corrupts_the_echo() {
    assert_caught(
        Bug::ShortSendForgotten,
        Setup { buffer_bytes: 1_000, ..EDGE },
        PREFIX,
        send_more_than_buffers,
    );
}

#[test]
fn read_interest_not_restored_loses_a_wakeup() {
    assert_caught(Bug::InterestNotRestored, EDGE, LOST_WAKEUP, send_more_than_buffers);
}

#[test]
fn interest_not_restored_after_backpressure_spins_in_level_mode() {
    assert_caught(
        Bug::InterestNotRestored,
        Setup { buffer_bytes: 1_000, ..BASELINE },
        BUSY_LOOP,
        send_more_than_buffers,
    );
}

#[test]
fn unarmed_oneshot_loses_a_wakeup() {
    let setup = Setup { trigger: Trigger::OneShot, ..BASELINE };
    assert_caught(Bug::InterestNotRestored, setup, LOST_WAKEUP, |workload| {
        let client = workload.connect_client();
        workload.client_send(client, 10);
        workload.settle()?;
        workload.client_send(client, 10);
        workload.drain_and_check()
    });
}

#[test]
fn missing_requeue_loses_a_wakeup() {
    assert_caught(
        Bug::BudgetNotRequeued,
        Setup { budget_bytes: 100, ..EDGE },
        LOST_WAKEUP,
        |workload| {
            let client = workload.connect_client();
            workload.client_send(client, 250);
            workload.drain_and_check()
        },
    );
}

#[test]
fn ignored_hup_busy_loops() {
    let setup = Setup { buffer_bytes: 100, budget_bytes: 100, pauses: true, ..BASELINE };
    assert_caught(Bug::HangUpIgnored, setup, BUSY_LOOP, |workload| {
        let [client, other] = [(); 2].map(|()| workload.connect_client());
        workload.client_send(client, 250);
        workload.client_send(other, 10);
        workload.run_once()?;
        workload.run_once()?;
        workload.reset(client);
        workload.drain_and_check()
    });
}

#[test]
fn accept_retry_on_emfile_busy_loops() {
    // Three standard streams, the epoll, the listener, and two connections.
    assert_caught(
        Bug::ListenerNotPaused,
        Setup { descriptors_max: 7, ..BASELINE },
        BUSY_LOOP,
        |workload| {
            let [first, second, third] = [(); 3].map(|()| workload.connect_client());
            for client in [first, second] {
                workload.client_send(client, 10);
            }
            workload.settle()?;
            workload.end(first);
            workload.client_send(third, 10);
            workload.drain_and_check()
        },
    );
}

#[test]
fn a_missing_delete_of_a_duplicated_descriptor_is_handled_by_the_reactor() {
    let sim = small_sim();
    let setup = Setup { shares_duplicates: true, ..BASELINE };
    let (mut server, addr) = BuggyServer::new(sim.new_process(), setup, Some(Bug::DeleteForgotten));
    let verdict = judge(sim, &mut server, addr, |workload| {
        let client = workload.connect_client();
        workload.client_send(client, 10);
        workload.drain_and_check()
    });
    assert_eq!(
        verdict,
        Ok(()),
        "a level-triggered registration is deleted before its descriptor is closed"
    );
}

#[test]
fn missing_close_leaks_a_descriptor() {
    assert_caught(Bug::CloseForgotten, BASELINE, LEAK, |workload| {
        let client = workload.connect_client();
        workload.client_send(client, 10);
        workload.drain_and_check()
    });
}

#[test]
fn token_without_generation_closes_the_wrong_connection() {
    let run = |compares| {
        let sim = small_sim();
        let (mut server, addr) = Slots::new(sim.new_process(), 1, compares);
        judge(sim, &mut server, addr, |workload| {
            let first = workload.connect_client();
            workload.client_send(first, 10);
            workload.settle()?;
            // In one batch: a new client, for which the first is closed; and then the first one's
            // hang-up, which names the slot that the new one occupies.
            let second = workload.connect_client();
            workload.reset(first);
            workload.run_once()?;
            workload.client_send(second, 10);
            workload.drain_and_check()
        })
    };
    assert_eq!(verdict(|| run(true)), Ok(()), "without the bug all invariants hold");
    is_caught("TokenWithoutGeneration", verdict(|| run(false)), WRONG_CONNECTION_CLOSED);
}

/// One client sends more than fits at once, receives all of it, and sends some more.
fn send_more_than_buffers(workload: &mut Workload<'_>) -> Result<(), Broken> {
    let client = workload.connect_client();
    for _ in 0..20 {
        workload.client_send(client, 700);
        workload.run_once()?;
    }
    workload.settle()?;
    workload.client_send(client, 10);
    workload.drain_and_check()
}

/// Without the bug the scenario passes, with it `property` is violated.
fn assert_caught(
    bug: Bug,
    setup: Setup,
    property: &str,
    scenario: impl Fn(&mut Workload<'_>) -> Result<(), Broken> + Copy,
) {
    let play = |bug| {
        let sim = small_sim();
        let (mut server, addr) = BuggyServer::new(sim.new_process(), setup, bug);
        judge(sim, &mut server, addr, scenario)
    };
    assert_eq!(verdict(|| play(None)), Ok(()), "without the bug all invariants hold");
    is_caught(&format!("{bug:?}"), verdict(|| play(Some(bug))), property);
}

fn is_caught(bug: &str, verdict: Result<(), Broken>, property: &str) {
    let broken = verdict.expect_err("invariant: the bug is caught");
    assert!(
        broken.contains(property),
        "{bug} violates \"{property}\", but the report was: {broken}"
    );
    println!("{bug}: {broken}");
}

/// Small buffers in each direction, so that they fill.
fn small_sim() -> Sim {
    let (receive_buffer_bytes, send_buffer_bytes) = (2_304, 2_304);
    Sim::new(SimConfig { receive_buffer_bytes, send_buffer_bytes, ..SimConfig::default() })
}

fn judge(
    sim: Sim,
    server: &mut dyn ServerUnderTest,
    addr: epollite::Addr,
    scenario: impl Fn(&mut Workload<'_>) -> Result<(), Broken>,
) -> Result<(), Broken> {
    scenario(&mut Workload::new(sim, server, addr))
}

/// The result of a scenario; a panic of the simulated kernel is a violation too.
fn verdict(play: impl FnOnce() -> Result<(), Broken>) -> Result<(), Broken> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let complaint = panic.downcast_ref::<String>().cloned();
        Err(complaint.unwrap_or_else(|| "a panic without a sentence".to_owned()))
    })
}
