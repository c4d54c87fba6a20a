//! Per-process calls: limits, signals, the clock.

use std::env;
use std::process::Command;

use epollite::kernel::{Resource, Rlimit, SIGINFO_BYTES};
use epollite::kernel::{Signal, SignalSet};
use epollite::{Errno, Kernel, Linux};

use super::support::{close, ready};

#[test]
fn the_clock_is_monotonic() {
    let mut last = Linux.now();
    for _ in 0..10_000 {
        let now = Linux.now();
        assert!(now >= last, "invariant: monotonic");
        last = now;
    }
    assert!(last.as_nanos() > 0);
}

#[test]
fn rlimit_can_be_read_and_set_up_to_the_hard_limit() {
    let limit = Linux.prlimit(Resource::Nofile, None).unwrap();
    assert!(0 < limit.soft && limit.soft <= limit.hard);
    // Set to its current value: other tests run in this process.
    assert_eq!(Linux.prlimit(Resource::Nofile, Some(limit)), Ok(limit));
    let inverted = Rlimit { soft: limit.hard, hard: limit.hard - 1 };
    let refused = Linux.prlimit(Resource::Nofile, Some(inverted));
    assert_eq!(refused, Err(Errno::EINVAL));
}

#[test]
fn sigprocmask_returns_the_old_mask() {
    // Of this thread only; USR1 is not sent to any process here.
    let before = Linux.sigprocmask(SignalSet::EMPTY).unwrap();
    assert!(!before.contains(Signal::USR1));
    assert_eq!(Linux.sigprocmask(Signal::USR1.into()), Ok(before));
    let blocked = Linux.sigprocmask(SignalSet::EMPTY).unwrap();
    assert_eq!(blocked, before | Signal::USR1.into());
    assert!(blocked.contains(Signal::USR1) && !blocked.contains(Signal::TERM));
}

/// A signal must be blocked in every thread, or it kills the process. So this runs twice: the
/// second time as a child, which inherits the mask before it has any other thread.
#[test]
fn a_signalfd_returns_blocked_signals() {
    const CHILD: &str = "EPOLLITE_TEST_CHILD";
    const HERE: &str = "process::a_signalfd_returns_blocked_signals";
    if env::var_os(CHILD).is_some() {
        signals_are_read();
        return;
    }
    let both = SignalSet::from(Signal::USR2) | Signal::HUP.into();
    Linux.sigprocmask(both).unwrap();
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", HERE])
        .env(CHILD, "1")
        .status()
        .unwrap();
    assert!(status.success(), "the child prints the reason");
}

fn signals_are_read() {
    let both = SignalSet::from(Signal::USR2) | Signal::HUP.into();
    let inherited = Linux.sigprocmask(SignalSet::EMPTY).expect("an empty change is valid");
    assert!(inherited.contains(Signal::USR2) && inherited.contains(Signal::HUP));
    let signalfd = Linux.signalfd(both).expect("a descriptor is available");
    let mut records = [0; 3 * SIGINFO_BYTES];
    assert_eq!(Linux.read(&signalfd, &mut records), Err(Errno::EAGAIN));
    for name in ["USR2", "HUP"] {
        let kill = format!("kill -{name} {}", std::process::id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("a shell is installed").success());
    }
    ready(&signalfd);
    let count = Linux.read(&signalfd, &mut records).expect("it is ready");
    assert_eq!(count, 2 * SIGINFO_BYTES);
    let mut signals: Vec<_> = records[..count]
        .chunks(SIGINFO_BYTES)
        .map(|record| Signal::from_siginfo(record).expect("the number is a signal"))
        .collect();
    // The order of two pending signals is up to the kernel.
    signals.sort_by_key(|signal| signal.number());
    assert_eq!(signals, [Signal::HUP, Signal::USR2]);
    close([signalfd]);
}
