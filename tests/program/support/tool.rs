//! External programs used by the tests. A missing one fails the test with the package to install: a
//! skipped test tests nothing.

use std::process::Command;
use std::{env, fs};

use super::process::{Output, Process, with_default_signals};

/// Every tool and its Debian package.
const PACKAGES: [(&str, &str); 9] = [
    ("nc", "netcat-openbsd"),
    ("ncat", "ncat"),
    ("perf", "linux-perf"),
    ("prlimit", "util-linux"),
    ("python3", "python3"),
    ("setpriv", "util-linux"),
    ("socat", "socat"),
    ("strace", "strace"),
    ("unshare", "util-linux"),
];

/// The command of this name, which is installed.
#[track_caller]
pub(crate) fn tool(name: &str) -> Command {
    let package = PACKAGES.iter().find(|(tool, _)| *tool == name);
    let (_, package) = package.expect("the table lists every tool the tests use");
    assert!(
        is_installed(name),
        "this test needs `{name}`: install it with `apt-get install {package}`"
    );
    with_default_signals(name)
}

/// A Python script of `tests/program/support/`, started with these arguments.
pub(crate) fn python(script: &str, arguments: &[&str]) -> Process {
    let path = format!("{}/tests/program/support/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut command = tool("python3");
    command.arg(path).args(arguments);
    Process::start(command)
}

/// The same, run until it exits successfully.
#[track_caller]
pub(crate) fn python_succeeds(script: &str, arguments: &[&str]) -> Output {
    let ending = python(script, arguments).end();
    assert!(
        ending.status.success(),
        "{script} {arguments:?} failed\nstdout: {}\nstderr: {}",
        ending.stdout,
        ending.stderr
    );
    ending
}

fn is_installed(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| fs::metadata(folder.join(name)).is_ok())
}
