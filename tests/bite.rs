//! Do the laws bite? Every classic bug of an epoll server is planted in a small one, and the
//! law that should catch it does; the same server without it lives through the same scene.

#[path = "bite/slots.rs"]
mod slots;
#[path = "bite/small.rs"]
mod small;
#[path = "bite/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use epollite::sim::Config;
use epollite::{Sim, Trigger};
use slots::Slots;
use small::{Bug, Setup, Small};
use world::{Broken, Serves, World};

const WAITS: &str = "nobody waits for ever";
const SPINS: &str = "nobody spins";
const PREFIX: &str = "output is a prefix of input";
const THROWN_OUT: &str = "nobody is thrown out";
const LEAK: &str = "leak";

/// A server in whose way nothing stands.
const CALM: Setup = Setup {
    trigger: Trigger::Level,
    buffer_bytes: 64,
    budget_bytes: 1_000,
    holds: false,
    lends: false,
    descriptors_max: 100,
};

const EDGE: Setup = Setup { trigger: Trigger::Edge, ..CALM };

#[test]
fn an_edge_that_is_not_drained_leaves_somebody_waiting() {
    bites(Bug::EdgeWithoutDrain, EDGE, WAITS, |world| {
        let who = world.arrive();
        world.say(who, 200);
        world.evening()
    });
}

#[test]
fn a_short_read_without_rdhup_misses_the_end_behind_the_data() {
    bites(Bug::ShortReadWithoutRdhup, EDGE, WAITS, |world| {
        let who = world.arrive();
        world.settle()?;
        world.say(who, 10);
        world.end(who);
        world.evening()
    });
}

#[test]
fn writable_kept_in_level_mode_spins() {
    bites(Bug::WritableKept, CALM, SPINS, |world| {
        world.arrive();
        world.evening()
    });
}

#[test]
fn a_short_send_forgotten_breaks_the_echo() {
    bites(Bug::ShortSendForgotten, Setup { buffer_bytes: 1_000, ..EDGE }, PREFIX, stuff);
}

#[test]
fn interest_not_restored_after_backpressure_leaves_somebody_waiting() {
    bites(Bug::InterestNotRestored, EDGE, WAITS, stuff);
}

#[test]
fn interest_not_restored_after_backpressure_spins_in_level_mode() {
    bites(Bug::InterestNotRestored, Setup { buffer_bytes: 1_000, ..CALM }, SPINS, stuff);
}

#[test]
fn a_one_shot_that_is_not_armed_again_leaves_somebody_waiting() {
    let setup = Setup { trigger: Trigger::OneShot, ..CALM };
    bites(Bug::InterestNotRestored, setup, WAITS, |world| {
        let who = world.arrive();
        world.say(who, 10);
        world.settle()?;
        world.say(who, 10);
        world.evening()
    });
}

#[test]
fn a_budget_that_forgets_to_queue_again_leaves_somebody_waiting() {
    bites(Bug::BudgetNotRequeued, Setup { budget_bytes: 100, ..EDGE }, WAITS, |world| {
        let who = world.arrive();
        world.say(who, 250);
        world.evening()
    });
}

#[test]
fn a_hang_up_ignored_because_nothing_was_watched_spins() {
    let setup = Setup { buffer_bytes: 100, budget_bytes: 100, holds: true, ..CALM };
    bites(Bug::HangUpIgnored, setup, SPINS, |world| {
        let [who, other] = [(); 2].map(|()| world.arrive());
        world.say(who, 250);
        world.say(other, 10);
        world.turn()?;
        world.turn()?;
        world.reset(who);
        world.evening()
    });
}

#[test]
fn a_listener_asked_again_and_again_without_descriptors_spins() {
    // Three standard streams, the epoll, the door, and two guests.
    bites(Bug::ListenerNotPaused, Setup { descriptors_max: 7, ..CALM }, SPINS, |world| {
        let [first, second, third] = [(); 3].map(|()| world.arrive());
        for who in [first, second] {
            world.say(who, 10);
        }
        world.settle()?;
        world.end(first);
        world.say(third, 10);
        world.evening()
    });
}

#[test]
fn a_delete_forgotten_while_a_duplicate_lives_is_made_up_for_by_the_reactor() {
    let sim = tiny_world();
    let setup = Setup { lends: true, ..CALM };
    let (mut server, addr) = Small::new(sim.process(), setup, Some(Bug::DeleteForgotten));
    let verdict = judge(sim, &mut server, addr, |world| {
        let who = world.arrive();
        world.say(who, 10);
        world.evening()
    });
    assert_eq!(verdict, Ok(()), "a level-triggered registration goes before its descriptor");
}

#[test]
fn a_close_forgotten_is_a_leak() {
    bites(Bug::CloseForgotten, CALM, LEAK, |world| {
        let who = world.arrive();
        world.say(who, 10);
        world.evening()
    });
}

#[test]
fn a_token_without_generation_throws_out_a_stranger() {
    let scene = |compares| {
        let sim = tiny_world();
        let (mut server, addr) = Slots::new(sim.process(), 1, compares);
        judge(sim, &mut server, addr, |world| {
            let first = world.arrive();
            world.say(first, 10);
            world.settle()?;
            // In one batch: somebody at the door, for whom the first is shown out; and then the
            // first one's hang-up, which names the place where the new one sits.
            let second = world.arrive();
            world.reset(first);
            world.turn()?;
            world.say(second, 10);
            world.evening()
        })
    };
    assert_eq!(verdict(|| scene(true)), Ok(()), "healthy, it keeps the laws");
    is_caught("TokenWithoutGeneration", verdict(|| scene(false)), THROWN_OUT);
}

/// One client says more than goes through at once, hears it all, and says some more.
fn stuff(world: &mut World<'_>) -> Result<(), Broken> {
    let who = world.arrive();
    for _ in 0..20 {
        world.say(who, 700);
        world.turn()?;
    }
    world.settle()?;
    world.say(who, 10);
    world.evening()
}

/// Without the bug the scene ends well, with it `law` is broken.
fn bites(
    bug: Bug,
    setup: Setup,
    law: &str,
    scene: impl Fn(&mut World<'_>) -> Result<(), Broken> + Copy,
) {
    let play = |bug| {
        let sim = tiny_world();
        let (mut server, addr) = Small::new(sim.process(), setup, bug);
        judge(sim, &mut server, addr, scene)
    };
    assert_eq!(verdict(|| play(None)), Ok(()), "healthy, it keeps the laws");
    is_caught(&format!("{bug:?}"), verdict(|| play(Some(bug))), law);
}

fn is_caught(bug: &str, verdict: Result<(), Broken>, law: &str) {
    let broken = verdict.expect_err("law: the laws bite, but nobody noticed the bug");
    assert!(broken.contains(law), "{bug} breaks the law \"{law}\", but what was noticed: {broken}");
    println!("{bug}: {broken}");
}

/// Room for little in each direction, so that it fills.
fn tiny_world() -> Sim {
    let (receive_buffer_bytes, send_buffer_bytes) = (2_304, 2_304);
    Sim::new(Config { receive_buffer_bytes, send_buffer_bytes, ..Config::default() })
}

fn judge(
    sim: Sim,
    server: &mut dyn Serves,
    addr: epollite::Addr,
    scene: impl Fn(&mut World<'_>) -> Result<(), Broken>,
) -> Result<(), Broken> {
    scene(&mut World::new(sim, server, addr))
}

/// What a scene came to; what the simulated kernel complains of is a broken law too.
fn verdict(play: impl FnOnce() -> Result<(), Broken>) -> Result<(), Broken> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let complaint = panic.downcast_ref::<String>().cloned();
        Err(complaint.unwrap_or_else(|| "a panic without a sentence".to_owned()))
    })
}
