//! The built-in experiments: each agrees with Linux and with the model, and asks what people
//! expect.

use std::collections::BTreeSet;
use std::fs;

use epollite::kernel::{Resource, Rlimit};
use epollite::sim::{Sim, Version};
use epollite::study::{BUILT_IN, Experiment, ExperimentReport, SECTIONS, Skipped, built_in, parse};
use epollite::{Errno, Kernel, Linux};

use crate::alone;
use crate::kernels::{Machine, on_model_of};
use crate::runner::run_on;

pub(crate) fn all() -> impl Iterator<Item = (&'static str, Experiment)> {
    BUILT_IN.iter().map(|(name, text)| {
        (*name, parse(text).unwrap_or_else(|error| panic!("{name}.txt:{error}")))
    })
}

/// The steps that do not agree, for a message.
pub(crate) fn differences(
    name: &str,
    experiment: &Experiment,
    report: &ExperimentReport,
) -> Vec<String> {
    let steps = experiment.steps.iter().zip(&report.steps);
    let differing = steps.filter(|(_, seen)| !seen.agrees);
    differing
        .map(|(step, seen)| {
            let observed = seen.observed.as_ref().map(ToString::to_string);
            format!("{name}.txt:{}: {}: observed {observed:?}", step.line, step.call)
        })
        .collect()
}

#[test]
fn every_experiment_agrees_with_linux() {
    let _alone = alone();
    let machine = Machine::read();
    let mut differing = Vec::new();
    let before = resources();
    for (name, experiment) in all() {
        let report = machine.on_linux(&experiment).unwrap();
        assert_eq!(resources(), before, "{name}: descriptors are closed, limits are restored");
        if let Some(skipped) = &report.skipped {
            println!("{name}: {skipped}");
            let is_exhausted = matches!(skipped, Skipped::Exhausted { .. });
            assert!(!is_exhausted, "{name}: there are descriptors and memory: {skipped}");
        }
        differing.extend(differences(name, &experiment, &report));
    }
    assert!(differing.is_empty(), "Linux differs:\n{}", differing.join("\n"));
    // What every Linux has is not skipped.
    for name in ["timerfd-once", "signalfd", "threads-edge", "fork-ghost", "udp-error-queue"] {
        let report = machine.on_linux(&parse(built_in(name).unwrap()).unwrap()).unwrap();
        assert!(report.agrees(), "{name}: {:?}", report.skipped);
    }
}

/// The open descriptors of this process, and the limit of them.
fn resources() -> (Vec<String>, Result<Rlimit, Errno>) {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    let mut numbers: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    numbers.sort();
    (numbers, Linux.prlimit(Resource::Nofile, None))
}

/// A wrong expectation of another thread or process is found.
#[test]
fn a_wrong_wait_of_a_thread_is_found_at_its_step() {
    let _alone = alone();
    let machine = Machine::read();
    for (name, right, wrong) in [
        ("threads-edge", "@w1 join = blocked", "@w1 join = s0 IN"),
        ("threads-edge", "@w2 join = s0 IN", "@w2 join = blocked"),
        ("threads-level", "@w2 join = s0 IN", "@w2 join = blocked"),
        ("eintr", "@w1 join = EINTR", "@w1 join = nothing"),
        ("sigstop", "@p1 join = EINTR", "@p1 join = blocked"),
        ("close-epoll", "@w1 join = blocked", "@w1 join = EBADF"),
        ("udp-recvmmsg-timeout", "@w1 join = blocked", "@w1 join = 0"),
        ("fork-shares-epoll", "@p1 join = s0 IN", "@p1 join = nothing"),
    ] {
        let text = built_in(name).unwrap();
        assert!(text.contains(right), "{name} has {right}");
        let experiment = parse(&text.replacen(right, wrong, 1)).unwrap();
        let report = machine.on_linux(&experiment).unwrap();
        let differing: Vec<&str> = (experiment.steps.iter().zip(&report.steps))
            .filter(|(_, seen)| !seen.agrees)
            .map(|(step, _)| step.call.as_str())
            .collect();
        assert_eq!(differing, [wrong.split(" = ").next().unwrap()], "{name} with {wrong}");
    }
}

/// A call that could wait forever is refused.
#[test]
fn what_a_thread_or_process_cannot_do_is_an_error() {
    let _alone = alone();
    let machine = Machine::read();
    for steps in [
        "fork p1\nreap p1 = EBUSY",
        "fork p1\nkill p1 KILL\nreap p1\nreap p1 = ECHILD",
        "epoll e0\n@w1 wait e0\n@w1 wait e0 = EBUSY",
        "epoll e0\nfork p1\n@p1 wait e0\n@p1 wait e0 = EBUSY",
        "fork p1\n@p1 join = ESRCH",
        "epoll e0\nfork p1\nkill p1 KILL\n@p1 wait e0 = EPIPE or ECHILD",
    ] {
        let header = "question: q?\nwiring: p1\npeople: p\nbecause: b\nlesson: l\n\n";
        let experiment = parse(&format!("{header}{steps}\n")).unwrap();
        let report = machine.on_linux(&experiment).unwrap();
        assert!(report.agrees(), "{steps}: {report:?}");
    }
}

/// What needs devices, threads or processes that the model does not have.
const NOT_MODELLED: &[&str] = &[
    "wait-maxevents",
    "wait-bad-address",
    "connect-timed-out",
    "mapped-wildcard",
    "notsent-lowat",
    "cork",
    "nodelay-flushes",
    "defer-accept",
    "peek",
    "peek-offset",
    "urgent-read",
    "pass-credentials",
    "pass-rights",
    "zerocopy-copied",
    "tcp-info-grows",
    "rto-max",
    "read-nowait",
    "udp-error-queue",
    "udp-errors-of-others",
    "udp-recvmmsg-timeout",
    "unix-urgent-taken",
    "unix-urgent-behind",
    "rights-ghost",
    "seqpacket",
    "seqpacket-edge",
    "fifo",
    "timerfd-once",
    "timerfd-periodic",
    "inotify-merged",
    "pty-ends",
    "pty-line",
    "special-files",
    "pressure-file",
    "proc-files",
    "sysfs-file",
    "mounts-file",
    "epoll-ioctl",
    "epoll-params",
    "io-uring",
    "fanotify",
    "perf-event",
    "bpf-ring",
    "threads-level",
    "threads-edge",
    "threads-oneshot",
    "threads-two-handlers",
    "herd-level",
    "herd-accept",
    "herd-exclusive",
    "herd-rotated",
    "herd-reuseport",
    "add-while-waiting",
    "close-watched",
    "shutdown-watched",
    "close-epoll",
    "eintr",
    "pwait-mask",
    "sigstop",
    "signalfd-thread",
    "fork-ghost",
    "fork-shares-epoll",
    "pidfd",
    "peer-pidfd",
    "seccomp-listener",
    "strace-slows",
];

#[test]
fn every_experiment_agrees_with_the_model_of_every_version() {
    for version in [Version::LINUX_6_1, Version::LINUX_6_12, Version::NEWEST] {
        let mut lacking = Vec::new();
        for (name, experiment) in all() {
            let report = on_model_of(version, &experiment);
            let differing = differences(name, &experiment, &report);
            assert!(differing.is_empty(), "the model of {version}:\n{}", differing.join("\n"));
            if report.is_skipped() && experiment.since.is_none_or(|since| since <= version) {
                lacking.push(name);
            }
        }
        let is_old_enough = |name: &&&str| {
            let since = parse(built_in(name).unwrap()).unwrap().since;
            since.is_none_or(|since| since <= version)
        };
        let expected: Vec<&str> = NOT_MODELLED.iter().filter(is_old_enough).copied().collect();
        assert_eq!(lacking, expected, "the model of {version} lacks the left");
    }
}

/// Bytes with an urgent one at their end, of which not all fit.
#[test]
fn what_is_sent_in_part_has_the_same_urgent_byte_on_linux_and_on_the_model() {
    let _alone = alone();
    let machine = Machine::read();
    let run = |steps: &str| {
        let header = "question: q?\nwiring: s0\npeople: p\nbecause: b\nlesson: l\n\n";
        let experiment = parse(&format!("{header}{steps}\n")).unwrap();
        (machine.on_linux(&experiment).unwrap(), machine.on_model(&experiment))
    };
    let observed = |report: &ExperimentReport| -> Vec<_> {
        report.steps.iter().map(|step| step.observed.as_ref().unwrap().to_string()).collect()
    };
    let send = "setsockopt s0 SO_SNDBUF 4096\nepoll e0\nadd e0 c0 IN PRI\n\
                send s0 1000000*\"x\" oob\nwait e0 = ?\ndrain c0 = ?\nwait e0 = ?";
    let (linux, model) = run(&format!("socketpair s0 c0 stream\n{send}"));
    assert_eq!(observed(&linux), observed(&model), "a Unix stream");
    assert_eq!(observed(&linux)[5], "c0 IN", "invariant: none of what fits is urgent");
    assert_ne!(observed(&linux)[4], "1000000");
    // Of TCP the last byte that fits is urgent, which the model has only of what has arrived.
    let (_, model) = run(&format!("tcp s0 c0\n{send}"));
    assert_eq!(model.skipped, Some(Skipped::NotModelled));
}

#[test]
fn a_changed_fact_is_expected_only_where_it_holds() {
    for name in ["eventfd-nine-bytes", "unix-datagram-no-peer", "splice-datagram"] {
        let experiment = parse(built_in(name).unwrap()).unwrap();
        let report = run_on(&experiment, Sim::default(), Version::LINUX_6_1);
        assert!(report.differs(), "{name}: the newest rules are not those of 6.1");
    }
}

#[test]
fn the_sections_have_every_experiment_once_and_in_order() {
    let names: Vec<&str> = SECTIONS.iter().flat_map(|section| section.names).copied().collect();
    let built_in: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, built_in);
}

/// That the names are those of the files is tested by tests/program: on another kernel, where this
/// runs too, there are no files.
#[test]
fn each_name_is_there_once() {
    let names: BTreeSet<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), BUILT_IN.len());
    assert_eq!(built_in("frobnicate"), None);
}

#[test]
fn every_experiment_is_complete() {
    for (name, experiment) in all() {
        let Experiment { question, wiring, lesson, steps, .. } = &experiment;
        assert!(!["list", "show", "run"].contains(&name), "{name} is a command");
        assert!(name.len() <= 25, "{name} is too long for the list");
        assert!(question.ends_with('?'), "{name}: {question}");
        assert!(!wiring.is_empty() && steps.len() >= 2, "{name}");
        let sentences = lesson.matches(['.', '?']).count();
        assert!(sentences >= 3, "{name}: the lesson is three sentences: {lesson}");
        let asks = steps.iter().any(|step| step.people.is_some());
        assert!(asks, "{name}: no step says what people expect");
    }
}

#[test]
fn every_file_fits_a_terminal() {
    for (name, text) in BUILT_IN {
        for (at, line) in text.lines().enumerate() {
            assert!(line.chars().count() <= 80, "{name}.txt:{}: over 80 columns", at + 1);
        }
    }
}
