//! `epollite doctor`: what the kernel has and permits.

use serde_json::Value;

use crate::support::program::Program;

#[test]
fn this_kernel_has_everything_that_is_needed() {
    let doctor = Program::run(&["doctor"]);
    doctor.expect_code(0);
    let state = |name: &str| {
        let line = doctor.stdout.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{name} has a line:\n{}", doctor.stdout)).to_owned()
    };
    for name in ["epoll ", "eventfd ", "signalfd ", "accept4 ", "EPOLLEXCLUSIVE ", "recvmmsg "] {
        assert!(state(name).contains(" yes"), "{}", state(name));
    }
    for name in ["RLIMIT_NOFILE", "net.core.somaxconn", "net.ipv4.tcp_congestion_control"] {
        state(name);
    }
    assert!(doctor.stdout.lines().all(|line| line.chars().count() <= 80), "{}", doctor.stdout);
}

#[test]
fn the_json_says_the_same() {
    let doctor = Program::run(&["doctor", "--json"]);
    doctor.expect_code(0);
    assert_eq!(doctor.stdout.lines().count(), 1, "one object, one line");
    let json: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(json["kernel"], release.trim());
    let named = |list: &str, name: &str| {
        let rows = json[list].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap().clone()
    };
    let eventfd = named("features", "eventfd");
    assert_eq!((&eventfd["has"], &eventfd["needed"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(eventfd["errno"], Value::Null);
    let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    assert_eq!(named("limits", "net.core.somaxconn")["value"], somaxconn.trim());
}

/// A filter that denies one system call, by strace's fault injection.
#[test]
fn a_call_that_is_denied_is_reported_with_its_error() {
    let run = |inject: &str, arguments: &[&str]| {
        let strace = ["strace", "-qq", "-o", "/dev/null", "-e", inject];
        Program::start_under(&strace, arguments).end()
    };
    // Tools that may trace are a requirement of other tests, too.
    let doctor = run("inject=epoll_pwait2:error=EPERM", &["doctor"]);
    doctor.expect_code(0);
    let line = doctor.stdout.lines().find(|line| line.starts_with("epoll_pwait2")).unwrap();
    assert!(line.contains("no: EPERM") && line.contains("without it"), "{line}");

    let doctor = run("inject=signalfd4:error=ENOSYS", &["doctor"]);
    doctor.expect_code(1);
    assert!(doctor.single_error_line().contains("the echo server needs signalfd"));

    let doctor = run("inject=signalfd4:error=ENOSYS", &["doctor", "--json"]);
    doctor.expect_code(1);
    assert!(doctor.stdout.contains(r#""name":"signalfd","has":false,"errno":"ENOSYS""#));
}

#[test]
fn a_low_limit_is_named_with_the_way_to_raise_it() {
    let limit = ["prlimit", "--nofile=500:500"];
    let doctor = Program::start_under(&limit, &["doctor"]).end();
    doctor.expect_code(0);
    let text = doctor.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("500 soft, 500 hard"), "{}", doctor.stdout);
    assert!(text.contains("low, raise it: ulimit -Hn 65536"), "{}", doctor.stdout);
}
