//! The process' own affairs: limits, signals, the clock.

use std::env;
use std::process::Command;

use epollite::kernel::{Limit, Resource, SIGINFO_BYTES};
use epollite::{Errno, Kernel, Linux, Signal, SignalSet};

use super::world::{close, ready};

#[test]
fn the_clock_never_goes_back() {
    let mut last = Linux.now();
    for _ in 0..10_000 {
        let now = Linux.now();
        assert!(now >= last, "law: monotonic");
        last = now;
    }
    assert!(last.nanos() > 0);
}

#[test]
fn a_limit_is_said_and_set_and_cannot_exceed_the_ceiling() {
    let limit = Linux.prlimit(Resource::OpenFiles, None).unwrap();
    assert!(0 < limit.soft && limit.soft <= limit.hard);
    // Set to what it is: other tests run beside this one.
    assert_eq!(Linux.prlimit(Resource::OpenFiles, Some(limit)), Ok(limit));
    let inverted = Limit { soft: limit.hard, hard: limit.hard - 1 };
    let refused = Linux.prlimit(Resource::OpenFiles, Some(inverted));
    assert_eq!(refused, Err(Errno::EINVAL));
}

#[test]
fn blocking_says_what_was_blocked_before() {
    // Of this thread only; USR1 is sent to nobody here.
    let before = Linux.sigprocmask(SignalSet::EMPTY).unwrap();
    assert!(!before.contains(Signal::USR1));
    assert_eq!(Linux.sigprocmask(Signal::USR1.into()), Ok(before));
    let blocked = Linux.sigprocmask(SignalSet::EMPTY).unwrap();
    assert_eq!(blocked, before | Signal::USR1.into());
    assert!(blocked.contains(Signal::USR1) && !blocked.contains(Signal::TERM));
}

/// A signal must be blocked in every thread, or one of them dies of it. So this runs twice: the
/// second time as a child, which inherits the mask before it has any thread.
#[test]
fn a_signalfd_brings_the_signals_that_are_blocked() {
    const CHILD: &str = "EPOLLITE_TEST_CHILD";
    const HERE: &str = "process::a_signalfd_brings_the_signals_that_are_blocked";
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
    assert!(status.success(), "the child says why");
}

fn signals_are_read() {
    let both = SignalSet::from(Signal::USR2) | Signal::HUP.into();
    let inherited = Linux.sigprocmask(SignalSet::EMPTY).expect("nothing to refuse");
    assert!(inherited.contains(Signal::USR2) && inherited.contains(Signal::HUP));
    let signalfd = Linux.signalfd(both).expect("one descriptor is to be had");
    let mut records = [0; 3 * SIGINFO_BYTES];
    assert_eq!(Linux.read(&signalfd, &mut records), Err(Errno::EAGAIN));
    for name in ["USR2", "HUP"] {
        let kill = format!("kill -{name} {}", std::process::id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("there is a shell").success());
    }
    ready(&signalfd);
    let count = Linux.read(&signalfd, &mut records).expect("it is ready");
    assert_eq!(count, 2 * SIGINFO_BYTES);
    let mut heard: Vec<_> = records[..count]
        .chunks(SIGINFO_BYTES)
        .map(|record| Signal::from_siginfo(record).expect("it names a signal"))
        .collect();
    // Which of two that wait comes first is the kernel's affair.
    heard.sort_by_key(|signal| signal.number());
    assert_eq!(heard, [Signal::HUP, Signal::USR2]);
    close([signalfd]);
}
