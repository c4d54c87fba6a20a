//! The runner: wrong expectations are found, and whatever fails, every descriptor is closed.

use epollite::Errno;
use epollite::instrument::{FaultInjector, FaultPlan};
use epollite::sim::{Sim, Version};
use epollite::study::{ExperimentReport, Value, parse, run};

use crate::built_in::all;

/// Runs steps on the model.
fn on_sim(steps: &str) -> ExperimentReport {
    let text = format!("question: q?\nwiring: s0\npeople: p\nbecause: b\nlesson: l\n\n{steps}\n");
    let mut sim = Sim::default();
    let report = run(&parse(&text).unwrap(), &mut sim, Version::NEWEST, &mut || {});
    assert_eq!(sim.open_descriptors(), 0, "every descriptor is closed");
    report
}

fn agreements(report: &ExperimentReport) -> Vec<bool> {
    report.steps.iter().map(|step| step.agrees).collect()
}

#[test]
fn a_wrong_expectation_is_found_at_its_step() {
    for (right, wrong) in [
        ("tcp s0 c0\nrecv s0 1 = EAGAIN", "tcp s0 c0\nrecv s0 1 = \"\""),
        ("epoll e0\nwait e0 = nothing", "epoll e0\nwait e0 = e0 IN"),
        ("eventfd f0 3\nread f0 8 = u64 3", "eventfd f0 3\nread f0 8 = u64 4"),
        ("pipe r0 w0\nwrite w0 \"ab\" = 1..2", "pipe r0 w0\nwrite w0 \"ab\" = 3.."),
        ("tcp s0 c0\ngetsockopt s0 SO_ERROR = error none", "tcp s0 c0\nrecv s0 9"),
    ] {
        assert_eq!(agreements(&on_sim(right)), [true, true], "{right}");
        assert_eq!(agreements(&on_sim(wrong)), [true, false], "{wrong}");
    }
}

#[test]
fn a_question_mark_agrees_with_everything() {
    let report = on_sim("tcp s0 c0\nrecv s0 1 = ?\nsend c0 \"x\" = ?\nrecv s0 1 = ?");
    assert!(report.agrees());
    let observed: Vec<String> =
        report.steps.iter().map(|step| step.observed.as_ref().unwrap().to_string()).collect();
    assert_eq!(observed, ["ok", "EAGAIN", "1", "\"x\""]);
}

#[test]
fn what_needs_a_missing_descriptor_is_not_made_and_the_rest_is() {
    let report = on_sim(
        "socket l0 tcp\nbind l0\nlisten l0 1\naccept l0 s0 = EAGAIN\nsend s0 \"x\"\neventfd f0 1",
    );
    assert_eq!(agreements(&report), [true, true, true, true, false, true]);
    assert_eq!(report.steps[4].observed, None);
}

#[test]
fn an_experiment_for_newer_kernels_is_skipped() {
    let text =
        "question: q?\nwiring: f0\npeople: p\nbecause: b\nlesson: l\nsince: 6.9\n\neventfd f0 0";
    let experiment = parse(text).unwrap();
    for (version, is_skipped) in [(Version::LINUX_6_1, true), (Version::LINUX_6_9, false)] {
        let report = run(&experiment, Sim::default(), version, &mut || {});
        assert_eq!(report.is_skipped(), is_skipped);
        assert!(report.agrees());
    }
}

#[test]
fn the_calls_are_recorded_as_strace_prints_them() {
    let report = on_sim("eventfd f0 1\nread f0 8");
    let calls: Vec<String> =
        report.steps.iter().flat_map(|step| &step.calls).map(ToString::to_string).collect();
    assert_eq!(
        calls,
        ["eventfd2(1, EFD_CLOEXEC|EFD_NONBLOCK) = 3", r#"read(3, "\1\0\0\0\0\0\0\0", 8) = 8"#,]
    );
}

#[test]
fn filling_and_emptying_count_the_same_bytes() {
    for pair in ["tcp a b", "socketpair a b stream", "pipe b a"] {
        let report = on_sim(&format!("{pair}\nfill a\ndrain b 10\ndrain b"));
        let numbers: Vec<u64> = report.steps[1..]
            .iter()
            .map(|step| match step.observed {
                Some(Value::Number(number)) => number,
                ref other => panic!("{pair}: {other:?}"),
            })
            .collect();
        assert!(numbers[0] > 10, "{pair}: {numbers:?}");
        assert_eq!((numbers[1], numbers[2]), (10, numbers[0] - 10), "{pair}");
    }
}

/// Any one call fails, once or from then on: the run ends, and no descriptor stays open.
#[test]
fn any_call_may_fail_and_nothing_leaks() {
    /// More calls than any experiment makes but those that fill a buffer.
    const CALLS_MAX: u64 = 80;
    for (name, experiment) in all() {
        for nth in 0..CALLS_MAX {
            let mut was_reached = false;
            for plan in [
                FaultPlan::once(nth, Errno::ENOMEM),
                FaultPlan::once(nth, Errno::EINTR),
                FaultPlan::persistent(nth, Errno::ENOSYS),
            ] {
                let mut sim = Sim::default();
                let mut kernel = FaultInjector::new(&mut sim, plan);
                run(&experiment, &mut kernel, Version::NEWEST, &mut || {});
                was_reached |= kernel.hook.has_fired();
                let open = sim.open_descriptors();
                assert_eq!(open, 0, "{name}: {open} descriptors are open after {plan:?}");
            }
            if !was_reached {
                break;
            }
        }
    }
}
