//! The laws, each driven by proptest. The functions are in `tests/laws/`, where the fuzzer finds
//! them too; here are only the plans that drive them.

#[path = "laws/addr.rs"]
pub mod addr;
#[path = "laws/args.rs"]
pub mod args;
#[path = "laws/batch.rs"]
pub mod batch;
#[path = "laws/datagram.rs"]
pub mod datagram;
#[path = "laws/echo.rs"]
pub mod echo;
#[path = "laws/fairness.rs"]
pub mod fairness;
#[path = "laws/idle.rs"]
pub mod idle;
#[path = "laws/owed.rs"]
pub mod owed;
#[path = "laws/reactor.rs"]
pub mod reactor;
#[path = "laws/server.rs"]
pub mod server;
#[path = "laws/slab.rs"]
pub mod slab;
#[path = "laws/task.rs"]
pub mod task;
#[path = "laws/timer.rs"]
pub mod timer;

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use epollite::{Addr, Call, Faults, UnixAddr};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn hostile_bytes_never_panic_and_what_decodes_reencodes(bytes in sockaddr_bytes()) {
        addr::hostile_bytes_never_panic_and_reencode(&bytes);
    }

    #[test]
    fn every_address_reads_back_from_its_bytes_and_its_text(addr in any_addr()) {
        addr::bytes_round_trip(addr);
        addr::text_round_trip(addr);
    }

    #[test]
    fn hostile_text_never_panics_and_what_parses_reprints(text in addr_text()) {
        addr::hostile_text_never_panics(&text);
    }

    #[test]
    fn a_slab_names_whom_a_map_names(plan in plan()) {
        slab::agrees_with_a_map(&plan);
    }

    #[test]
    fn deadlines_expire_as_a_sorted_list_would(plan in plan()) {
        timer::agrees_with_a_sorted_list(&plan);
    }

    #[test]
    fn what_is_owed_is_a_queue_within_its_bound(plan in plan()) {
        owed::agrees_with_a_queue(&plan);
    }

    #[test]
    fn a_batch_holds_what_a_list_holds(plan in plan()) {
        batch::agrees_with_a_list(&plan);
    }

    #[test]
    fn any_words_are_read_or_refused_in_one_line(plan in vec(0..128u8, 0..60)) {
        args::are_read_or_refused_in_one_line(&plan);
    }

    #[test]
    fn a_datagram_comes_back_once_or_not_at_all(plan in plan()) {
        datagram::keeps_its_promises(&plan);
    }

    #[test]
    fn one_does_not_wait_for_many(plan in vec(any::<u8>(), 0..60)) {
        fairness::one_does_not_wait_for_many(&plan);
    }

    #[test]
    fn only_the_silent_are_idle(plan in vec(any::<u8>(), 8..20)) {
        idle::only_the_silent_are_idle(&plan);
    }

    #[test]
    fn a_reactor_brings_what_a_naive_one_would(plan in plan()) {
        reactor::agrees_with_a_naive_one(&plan);
    }

    #[test]
    fn an_echo_is_a_prefix_and_whole_at_the_end(plan in plan()) {
        echo::echoes_a_prefix(&plan);
    }
}

/// A property of a plan: it panics with the name of the law that does not hold.
type Law = fn(&[u8]);

/// The fuzzer's seeds, and with them whatever it once found: a plan that broke a law stays in
/// its corpus.
#[test]
fn every_seed_of_the_fuzzer_keeps_its_law() {
    let laws: [(&str, Law); 13] = [
        ("addr", addr::hostile_bytes_never_panic_and_reencode),
        ("args", args::are_read_or_refused_in_one_line),
        ("batch", batch::agrees_with_a_list),
        ("datagram", datagram::keeps_its_promises),
        ("echo", echo::echoes_a_prefix),
        ("fairness", fairness::one_does_not_wait_for_many),
        ("idle", idle::only_the_silent_are_idle),
        ("owed", owed::agrees_with_a_queue),
        ("reactor", reactor::agrees_with_a_naive_one),
        ("server", server::keeps_its_promises_either_way),
        ("slab", slab::agrees_with_a_map),
        ("task", task::keeps_its_promises_either_way),
        ("timer", timer::agrees_with_a_sorted_list),
    ];
    for (name, law) in laws {
        let seeds = std::fs::read_dir(format!("fuzz/corpus/{name}"));
        let seeds = seeds.unwrap_or_else(|error| panic!("the corpus of {name}: {error}"));
        for seed in seeds {
            law(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(some_days())]

    #[test]
    fn a_server_keeps_its_promises_whatever_the_day(plan in vec(any::<u8>(), 0..3_000)) {
        server::keeps_its_promises(&plan);
    }

    #[test]
    fn a_server_keeps_its_promises_when_a_call_fails(plan in vec(any::<u8>(), 0..3_000)) {
        server::keeps_its_promises_under_faults(&plan);
    }

    #[test]
    fn tasks_keep_their_promises_whatever_the_day(plan in vec(any::<u8>(), 0..3_000)) {
        task::keeps_its_promises(&plan);
    }

    #[test]
    fn tasks_keep_their_promises_when_a_call_fails(plan in vec(any::<u8>(), 0..3_000)) {
        task::keeps_its_promises_under_faults(&plan);
    }
}

/// A day is long, with hundreds of decisions: fewer of them than of other plans.
fn some_days() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases * 4 / 5, ..usual }
}

/// Call 0 fails, call 1, … of each kind, with each errno its man page allows, once and for ever,
/// until a day that no fault reached.
#[test]
fn any_one_call_of_tasks_may_fail_and_they_keep_their_promises() {
    let mut struck = 0;
    for day in [task_day(0), task_day(8)] {
        for call in Call::ALL {
            for &errno in Faults::of(call) {
                for faults in [Faults::once, Faults::for_ever] {
                    let strikes = |&at: &u64| task::live(&day, Some(faults(at, errno).only(call)));
                    struck += (0..).take_while(strikes).count();
                }
            }
        }
    }
    println!("{struck} faults");
    assert!(struck > 3_000, "only {struck} faults struck: the day has become a quiet one");
}

/// The day of tasks that every fault meets: the first byte says over what, the next third is
/// chance, and nothing is left to that; then decisions.
fn task_day(first: u8) -> Vec<u8> {
    let mut state = 7_u32;
    let decisions = (0..160).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    [first].into_iter().chain([0; 80]).chain(decisions).collect()
}

/// Operations, as each law reads them.
fn plan() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..400)
}

/// Any bytes, mostly behind a family that is spoken here, or an address and something after it, so
/// that most of them get somewhere.
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
        .prop_map(|unix| Addr::Unix(unix.expect("the plan keeps to the limits of unix(7)")));
    prop_oneof![4 => v4, 4 => v6, 8 => unix, 1 => Just(Addr::Unspec)]
}

/// Any text, mostly one that nearly is an address.
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
