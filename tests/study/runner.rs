//! The runner: wrong expectations are found, and whatever fails, every descriptor is closed.

use epollite::instrument::{FaultInjector, FaultPlan};
use epollite::kernel::Resource;
use epollite::sim::{Sim, Version};
use epollite::study::{Environment, Experiment, ExperimentReport, Skipped, Value, parse, run};
use epollite::{Errno, Kernel};

use crate::built_in::all;

/// Runs steps on the model.
fn on_sim(steps: &str) -> ExperimentReport {
    let text = format!("question: q?\nwiring: s0\npeople: p\nbecause: b\nlesson: l\n\n{steps}\n");
    let mut sim = Sim::default();
    let report = run_on(&parse(&text).unwrap(), &mut sim, Version::NEWEST);
    assert_eq!(sim.open_descriptors(), 0, "every descriptor is closed");
    report
}

/// Runs an experiment on a model without devices and threads.
pub(crate) fn run_on(
    experiment: &Experiment,
    kernel: impl Kernel,
    version: Version,
) -> ExperimentReport {
    let mut environment = Environment {
        version,
        is_model: true,
        wait_millis: Environment::WAIT_MILLIS,
        settle: &mut || {},
        devices: &mut (),
        actors: &mut (),
    };
    run(experiment, kernel, &mut environment)
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
        let report = run_on(&experiment, Sim::default(), version);
        assert_eq!((report.is_skipped(), report.agrees()), (is_skipped, !is_skipped));
        assert!(!report.differs());
    }
}

#[test]
fn what_the_model_lacks_ends_the_experiment_and_neither_agrees_nor_differs() {
    for steps in ["timerfd f0", "eventfd f0 0\nepoll e0\n@w1 wait e0", "fork p1", "ptrace = 5.."] {
        let report = on_sim(&format!("eventfd f9 0\n{steps}\nread f9 8 = \"wrong\""));
        assert_eq!(report.skipped, Some(Skipped::NotModelled), "{steps}");
        assert!(!report.agrees() && !report.differs() && report.steps.is_empty(), "{steps}");
    }
    let expected = on_sim("timerfd f0 = ENOSYS");
    assert!(expected.agrees(), "what is expected to be missing is a result");
}

#[test]
fn each_step_has_its_times_and_its_actor() {
    let text = "question: q?\nwiring: e0\npeople: p\nbecause: b\nlesson: l\n\n\
                epoll e0\nfastest e0 3ms = 3000\nwait e0\n@w1 wait e0";
    let experiment = parse(text).unwrap();
    let actors: Vec<_> = experiment.steps.iter().map(|step| step.actor.as_deref()).collect();
    assert_eq!(actors, [None, None, None, Some("w1")]);
    let report = on_sim("epoll e0\nfastest e0 3ms = 3000\nwait e0");
    assert!(report.agrees());
    let [first, second, third] = &report.steps[..] else { panic!("three steps: {report:?}") };
    assert!(second.duration.as_millis() >= 3 && first.duration.is_zero());
    assert_eq!(third.start, second.start + second.duration);
}

#[test]
fn the_limit_of_descriptors_is_that_of_before_when_the_experiment_ends() {
    let mut sim = Sim::default();
    let before = sim.prlimit(Resource::Nofile, None).unwrap();
    let text = "question: q?\nwiring: f0\npeople: p\nbecause: b\nlesson: l\n\n\
                nofile 1\neventfd f0 0\neventfd f1 0 = EMFILE";
    let report = run_on(&parse(text).unwrap(), &mut sim, Version::NEWEST);
    assert!(report.agrees(), "{report:?}");
    assert_eq!(sim.prlimit(Resource::Nofile, None), Ok(before));
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
                run_on(&experiment, &mut kernel, Version::NEWEST);
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
