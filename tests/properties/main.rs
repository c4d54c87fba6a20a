//! The properties, each driven by proptest. The functions are in `tests/properties/`, where the
//! fuzz targets use them too; this file holds only the plans that drive them.

pub mod addr;
pub mod args;
pub mod batch;
pub mod channel;
pub mod datagram;
pub mod echo;
pub mod fairness;
pub mod idle;
pub mod peer_limits;
pub mod reactor;
#[path = "../../src/bin/epollite/scenario/mod.rs"]
mod scenario;
pub mod server;
pub mod slab;
pub mod task;
pub mod timer;
pub mod write_buffer;

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use epollite::instrument::FaultPlan;
use epollite::kernel::Syscall;
use epollite::net::UnixAddr;
use epollite::server::stream::Bulk;
use epollite::sim::{Entropy, Probabilities};
use epollite::{Addr, Trigger};
use proptest::collection::vec;
use proptest::prelude::*;
use scenario::config::{ScenarioConfig, SeededChoices};
use scenario::server::stream_server;

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_what_decodes_reencodes(bytes in sockaddr_bytes()) {
        addr::arbitrary_bytes_never_panic_and_reencode(&bytes);
    }

    #[test]
    fn every_address_round_trips_through_bytes_and_text(addr in any_addr()) {
        addr::bytes_round_trip(addr);
        addr::text_round_trip(addr);
    }

    #[test]
    fn arbitrary_text_never_panics_and_what_parses_reprints(text in addr_text()) {
        addr::arbitrary_text_never_panics(&text);
    }

    #[test]
    fn a_slab_agrees_with_a_map(plan in plan()) {
        slab::agrees_with_a_map(&plan);
    }

    #[test]
    fn deadlines_expire_as_a_sorted_list_would(plan in plan()) {
        timer::agrees_with_a_sorted_list(&plan);
    }

    #[test]
    fn a_write_buffer_is_a_bounded_queue(plan in plan()) {
        write_buffer::agrees_with_a_queue(&plan);
    }

    #[test]
    fn a_batch_agrees_with_a_list(plan in plan()) {
        batch::agrees_with_a_list(&plan);
    }

    #[test]
    fn a_channel_agrees_with_a_queue(plan in plan()) {
        channel::agrees_with_a_queue(&plan);
    }

    #[test]
    fn any_arguments_are_parsed_or_rejected_in_one_line(plan in vec(0..128u8, 0..60)) {
        args::are_parsed_or_rejected_in_one_line(&plan);
    }

    #[test]
    fn a_datagram_is_echoed_once_or_not_at_all(plan in plan()) {
        datagram::check_invariants(&plan);
    }

    #[test]
    fn limits_by_address_agree_with_a_naive_model(plan in plan()) {
        peer_limits::agree_with_a_naive_model(&plan);
    }

    #[test]
    fn light_clients_are_not_starved_by_heavy_ones(plan in vec(any::<u8>(), 0..60)) {
        fairness::light_clients_are_not_starved(&plan);
    }

    #[test]
    fn only_silent_clients_are_idle(plan in vec(any::<u8>(), 8..20)) {
        idle::only_silent_clients_are_idle(&plan);
    }

    #[test]
    fn a_reactor_agrees_with_a_naive_model(plan in plan()) {
        reactor::agrees_with_a_naive_model(&plan);
    }

    #[test]
    fn an_echo_is_a_prefix_and_equal_at_the_end(plan in plan()) {
        echo::echoes_a_prefix(&plan);
    }
}

/// A property of a plan: it panics with the name of the violated invariant.
type Property = fn(&[u8]);

/// The fuzzer's seeds, and with them everything it has found: a plan that violated an invariant
/// stays in its corpus.
#[test]
fn every_fuzz_corpus_seed_passes() {
    let properties: [(&str, Property); 15] = [
        ("addr", addr::arbitrary_bytes_never_panic_and_reencode),
        ("args", args::are_parsed_or_rejected_in_one_line),
        ("batch", batch::agrees_with_a_list),
        ("channel", channel::agrees_with_a_queue),
        ("datagram", datagram::check_invariants),
        ("echo", echo::echoes_a_prefix),
        ("fairness", fairness::light_clients_are_not_starved),
        ("idle", idle::only_silent_clients_are_idle),
        ("write_buffer", write_buffer::agrees_with_a_queue),
        ("peer_limits", peer_limits::agree_with_a_naive_model),
        ("reactor", reactor::agrees_with_a_naive_model),
        ("server", server::check_invariants_either_way),
        ("slab", slab::agrees_with_a_map),
        ("task", task::check_invariants_either_way),
        ("timer", timer::agrees_with_a_sorted_list),
    ];
    for (name, property) in properties {
        let seeds = std::fs::read_dir(format!("fuzz/corpus/{name}"));
        let seeds = seeds.unwrap_or_else(|error| panic!("the corpus of {name}: {error}"));
        for seed in seeds {
            property(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(scenarios())]

    #[test]
    fn a_server_holds_its_invariants_in_any_scenario(plan in vec(any::<u8>(), 0..3_000)) {
        server::check_invariants(&plan);
    }

    #[test]
    fn a_server_holds_its_invariants_when_a_call_fails(plan in vec(any::<u8>(), 0..3_000)) {
        server::check_invariants_under_faults(&plan);
    }

    #[test]
    fn a_server_that_splices_holds_its_invariants(plan in vec(any::<u8>(), 0..3_000)) {
        server::check_invariants_of_splices(&plan);
    }

    #[test]
    fn all_buffers_of_a_server_are_bounded_together(plan in vec(any::<u8>(), 0..3_000)) {
        server::check_invariants_of_a_small_total(&plan);
    }

    #[test]
    fn the_executor_holds_its_invariants_in_any_scenario(plan in vec(any::<u8>(), 0..3_000)) {
        task::check_invariants(&plan);
    }

    #[test]
    fn the_executor_holds_its_invariants_when_a_call_fails(plan in vec(any::<u8>(), 0..3_000)) {
        task::check_invariants_under_faults(&plan);
    }
}

/// A scenario is long, with hundreds of decisions: fewer cases than for other plans.
fn scenarios() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases * 4 / 5, ..usual }
}

#[test]
fn any_single_syscall_failure_keeps_the_server_invariants() {
    let mut fired = 0;
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot] {
        for local in [false, true] {
            for (bulk, total) in
                [(Bulk::Copy, usize::MAX), (Bulk::Splice, usize::MAX), (Bulk::Copy, 70)]
            {
                fired += fail_every_call(|faults| run_server(trigger, local, bulk, total, faults));
            }
        }
    }
    assert!(fired > 20_000, "only {fired} faults fired: the scenario exercises too few calls");
}

/// What the property about the sum of buffers would not find if it were never reached.
#[test]
fn scenarios_with_a_small_total_reach_it_in_every_mode() {
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot] {
        for local in [false, true] {
            let mut waits = 0;
            for seed in 0..16 {
                let mut choices = SeededChoices(seed);
                let config = ScenarioConfig::generate(&mut choices, Some(trigger), false);
                let config = ScenarioConfig {
                    local,
                    buffer_total_bytes: config.buffer_bytes,
                    socket_bytes: 256,
                    idle: None,
                    ..config
                };
                let entropy = Entropy::from_seed(seed);
                match scenario::run(&config, &mut choices, entropy, 4_000, stream_server) {
                    Ok(report) => waits += report.stats.buffer_waits,
                    Err(broken) => panic!("{broken}\nseed {seed}, config: {config:?}"),
                }
            }
            assert!(waits > 100, "{trigger:?}, local: {local}: only {waits} connections were held");
        }
    }
}

#[test]
fn any_single_syscall_failure_keeps_the_executor_invariants() {
    let mut fired = 0;
    for plan in [task_plan(0), task_plan(8)] {
        fired += fail_every_call(|faults| task::run_plan(&plan, Some(faults)));
    }
    assert!(fired > 3_000, "only {fired} faults fired: the plan exercises too few calls");
}

/// Call 0 fails, call 1, … of each kind, with each errno its man page allows, once and
/// persistently, until a run that no fault reached. Returns the number of faults that fired.
fn fail_every_call(run: impl Fn(FaultPlan) -> bool) -> usize {
    let mut fired = 0;
    for call in Syscall::ALL {
        for &errno in call.errnos() {
            for faults in [FaultPlan::once, FaultPlan::persistent] {
                let fires = |&at: &u64| run(faults(at, errno).for_syscall(call));
                fired += (0..).take_while(fires).count();
            }
        }
    }
    fired
}

/// Runs a small scenario, the same every time, under `faults`; returns whether one fired.
fn run_server(
    trigger: Trigger,
    local: bool,
    bulk: Bulk,
    buffer_total_bytes: usize,
    faults: FaultPlan,
) -> bool {
    /// Enough for connects, data, EOFs, resets and iterations.
    const STEPS: u64 = 120;

    let config = ScenarioConfig {
        trigger,
        local,
        bulk,
        pipes_max: 2,
        clients_max: 6,
        connections_max: 5,
        descriptors_max: 12,
        buffer_bytes: 64,
        buffer_total_bytes,
        budget_bytes: 100,
        odds: Probabilities::default(),
        faults: Some(faults),
        ..ScenarioConfig::generate(&mut SeededChoices(1), None, false)
    };
    match scenario::run(&config, &mut SeededChoices(1), Entropy::none(), STEPS, stream_server) {
        Ok(report) => report.faults > 0,
        Err(broken) => panic!("{broken}\nconfig: {config:?}"),
    }
}

/// The plan for the executor that is run with every fault: the first byte is the configuration, the
/// next third is kernel randomness, fixed to zero; then decisions.
fn task_plan(first: u8) -> Vec<u8> {
    let mut state = 7_u32;
    let decisions = (0..160).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    [first].into_iter().chain([0; 80]).chain(decisions).collect()
}

/// Operations, as interpreted by each property.
fn plan() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..400)
}

/// Arbitrary bytes, mostly after a supported family, or an address and something after it, so that
/// most of them get past the first check.
fn sockaddr_bytes() -> impl Strategy<Value = Vec<u8>> {
    let family = prop_oneof![Just(0_u16), Just(1), Just(2), Just(10), any::<u16>()];
    let behind_a_family = (family, vec(byte(), 0..200))
        .prop_map(|(family, rest)| [&family.to_ne_bytes()[..], &rest].concat());
    let behind_an_address = (any_addr(), vec(byte(), 0..4))
        .prop_map(|(addr, rest)| [addr.encode().as_bytes(), &rest].concat());
    prop_oneof![4 => behind_a_family, 4 => behind_an_address, 1 => vec(any::<u8>(), 0..200)]
}

fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![4 => any::<u8>(), 1 => Just(0)]
}

fn any_addr() -> impl Strategy<Value = Addr> {
    let v4 = (any::<Ipv4Addr>(), any::<u16>())
        .prop_map(|(ip, port)| Addr::V4(SocketAddrV4::new(ip, port)));
    let v6 = (any::<Ipv6Addr>(), any::<u16>(), any::<u32>(), any::<u32>()).prop_map(
        |(ip, port, flowinfo, scope)| Addr::V6(SocketAddrV6::new(ip, port, flowinfo, scope)),
    );
    let path_byte = prop_oneof![8 => 1..=u8::MAX, 1 => Just(b'@'), 1 => Just(b'\\')];
    let path = vec(path_byte, 1..=108).prop_map(|path| UnixAddr::path(&path));
    let name = vec(byte(), 0..=107).prop_map(|name| UnixAddr::abstract_name(&name));
    let unix = prop_oneof![8 => path, 8 => name, 1 => Just(Ok(UnixAddr::unnamed()))]
        .prop_map(|unix| Addr::Unix(unix.expect("the plan respects the limits of unix(7)")));
    prop_oneof![4 => v4, 4 => v6, 8 => unix, 1 => Just(Addr::Unspecified)]
}

/// Arbitrary text, mostly one that is nearly an address.
fn addr_text() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => any::<String>(),
        2 => "unix:@?(\\\\x[0-9a-fA-F]{2}|.){0,20}\\\\?.{0,4}",
        2 => "unix:@?(\\\\x[1-9a-fA-F]{2}|[0-9a-z@]){100,112}",
        2 => "\\[?[0-9a-f:.%]{0,24}\\]?:?[+0-9]{0,6}",
        1 => "[0-9]{1,3}(\\.[0-9]{1,3}){3}:[0-9]{1,5}",
        1 => "\\[([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}(%[0-9]{1,11})?\\]:[0-9]{1,5}",
    ]
}
