//! Time: nothing comes early, and only the monotonic clock counts. The same holds on a machine that
//! has been up for 136 years (a time namespace), and while the wall clock jumps by years.
//!
//! No test sets a clock of the machine, and no test judges how late something comes.

mod program;

use core::time::Duration;

use epollite::server::stream::{IDLE_TIMEOUT_MAX, StreamConfig, StreamServer};
use epollite::sim::{Sim, SimConfig};
use epollite::{Event, Instant, Interest, Kernel, Linux, Reactor, Trigger};
use proptest::prelude::*;

/// Up for so long in the time namespace: more seconds than 32 bits hold. The kernel permits 146
/// years.
const UPTIME_SECONDS: u64 = 4_300_000_000;

/// Fires timers, of which each second one is the deadline of a descriptor.
fn never_early<K: Kernel>(kernel: K, delays: &[Duration]) {
    let mut reactor = Reactor::with_kernel(kernel).expect("descriptors are available");
    let mut waiting = Vec::new();
    for (nth, &delay) in delays.iter().enumerate() {
        let deadline = reactor.kernel().now() + delay;
        let token = if nth % 2 == 0 {
            reactor.add_timer(deadline, ()).expect("there is room")
        } else {
            let fd = reactor.kernel().eventfd(0).expect("descriptors are available");
            let token = reactor
                .register_or_close(fd, Interest::READABLE, Trigger::Level, ())
                .expect("there is room");
            reactor.get_mut(token).expect("it is registered").1.set_deadline(deadline);
            token
        };
        waiting.push((token, deadline));
    }
    while !waiting.is_empty() {
        let Ok(Some(Event::Timer { token })) = reactor.next(None) else {
            panic!("invariant: nothing happens but timers")
        };
        let now = reactor.kernel().now();
        let at = waiting.iter().position(|(known, _)| *known == token);
        let (_, deadline) = waiting.swap_remove(at.expect("invariant: each fires once"));
        assert!(now >= deadline, "invariant: never early; {deadline} fired at {now}");
        reactor.close(token);
    }
    // A wait of the caller's own.
    let deadline = reactor.kernel().now() + delays.iter().copied().min().unwrap_or_default();
    assert_eq!(reactor.next(Some(deadline)), Ok(None));
    assert!(reactor.kernel().now() >= deadline, "invariant: never early");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn timers_are_never_early_on_linux(
        nanos in prop::collection::vec(0_u64..3_000_000, 1..20),
    ) {
        let delays: Vec<Duration> = nanos.into_iter().map(Duration::from_nanos).collect();
        never_early(Linux, &delays);
    }

    #[test]
    fn timers_are_never_early_on_sim(
        seconds in prop::collection::vec((0_u64..1 << 32, 0_u32..1_000_000_000), 1..40),
        origin in any::<u64>(),
    ) {
        let delays: Vec<Duration> =
            seconds.into_iter().map(|(whole, nanos)| Duration::new(whole, nanos)).collect();
        let mut sim = Sim::new(SimConfig::default());
        // From the origin of the clock to its last 300 years.
        sim.advance(Duration::from_nanos(origin / 2));
        never_early(sim, &delays);
    }
}

#[test]
fn the_longest_times_are_never_over() {
    // Idle timeouts are counted in 31 bits of milliseconds.
    let config = StreamConfig { idle_timeout: Some(IDLE_TIMEOUT_MAX), ..StreamConfig::default() };
    StreamServer::<_>::new(Linux, config).expect("descriptors are available");
    for delay in [Duration::MAX, Duration::from_nanos(u64::MAX), Duration::from_secs(1 << 33)] {
        never_on(Linux, delay);
        never_on(Sim::new(SimConfig::default()), delay);
    }
}

/// A timer that is so far away does not fire with one that is near.
fn never_on<K: Kernel>(kernel: K, delay: Duration) {
    let mut reactor = Reactor::with_kernel(kernel).expect("descriptors are available");
    let never = reactor.kernel().now() + delay;
    let far = reactor.add_timer(never, ()).expect("there is room");
    let deadline = reactor.kernel().now() + Duration::from_millis(1);
    let near = reactor.add_timer(deadline, ()).expect("there is room");
    assert_eq!(reactor.next(Some(never)), Ok(Some(Event::Timer { token: near })));
    assert!(reactor.kernel().now() >= deadline, "invariant: never early");
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None), "invariant: {far:?} is not due");
}

/// This file's tests again, in a time namespace.
#[test]
fn the_same_holds_on_a_machine_that_is_up_for_136_years() {
    let now = Linux.now();
    if std::env::var_os("UP").is_some() {
        assert!(now >= Instant::ZERO + Duration::from_secs(UPTIME_SECONDS), "it is {now}");
        return;
    }
    let Some(wrapper) = program::time_namespace() else { return };
    let output = std::process::Command::new(&wrapper[0])
        .args(&wrapper[1..])
        .arg(std::env::current_exe().expect("the path of this program"))
        .args(["--skip", "program::", "--test-threads", "2"])
        .env("UP", "1")
        .output()
        .expect("unshare starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(" 4 passed; 0 failed"), "{text}");
}
