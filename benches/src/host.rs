//! Environment of a run: kernel, processor, date, commit, command line. Read only.

use std::process::{Command, Stdio};

use nix::sys::utsname::uname;

use crate::schema::Machine;
use crate::server::Cores;

/// Describes this machine.
#[must_use]
pub fn collect(cores: Cores) -> Machine {
    let kernel = uname().map_or_else(
        |_| "unknown".to_owned(),
        |name| {
            let parts = [name.sysname(), name.release(), name.machine()];
            parts.map(|part| part.to_string_lossy()).join(" ")
        },
    );
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let is_virtual = field("flags").is_some_and(|flags| flags.contains(" hypervisor"));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Machine {
        kernel,
        cpu: field("model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
        virtual_machine: is_virtual.then(|| "a virtual machine".to_owned()),
        server_core: cores.server,
        load_core: cores.load,
        load_average: load
            .split_whitespace()
            .next()
            .and_then(|load| load.parse().ok())
            .unwrap_or(0.0),
    }
}

/// The commit of the sources, with `+` if they have uncommitted changes; `None` without git.
#[must_use]
pub fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-C", env!("CARGO_MANIFEST_DIR")])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { commit + "+" })
}

/// The command line without the path of the program. Invalid UTF-8 is shown as U+FFFD.
#[must_use]
pub fn command() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The current time: RFC 3339, UTC, to the second.
#[must_use]
pub fn date() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
