//! Environment of a run: kernel, processor, date, commit, command line. Read only.

use nix::sys::utsname::uname;
use procfs::{CpuInfo, Current, LoadAverage};

use crate::command;
use crate::schema::Machine;
use crate::server::Cores;

/// Describes this machine.
pub(crate) fn collect(cores: Cores) -> Machine {
    let kernel = kernel();
    let info = CpuInfo::current().ok();
    // The kernel prints hundredths.
    let load = LoadAverage::current().map_or(0.0, |load| f64::from(load.one));
    let flags = info.as_ref().and_then(|info| info.flags(0)).unwrap_or_default();
    let model = info.as_ref().and_then(|info| info.model_name(0)).unwrap_or("unknown");
    Machine {
        kernel,
        cpu: model.to_owned(),
        cores: info.as_ref().map_or(0, CpuInfo::num_cores),
        virtual_machine: flags.contains(&"hypervisor").then(|| "a virtual machine".to_owned()),
        server_core: cores.server,
        load_core: cores.load,
        load_average: (load * 100.0).round() / 100.0,
    }
}

/// The kernel: name, release, machine.
pub(crate) fn kernel() -> String {
    uname().map_or_else(
        |_| "unknown".to_owned(),
        |name| {
            let parts = [name.sysname(), name.release(), name.machine()];
            parts.map(|part| part.to_string_lossy()).join(" ")
        },
    )
}

/// The commit of the sources, with `+` if they have uncommitted changes; `None` without git.
pub(crate) fn commit() -> Option<String> {
    let folder = ["-C", env!("CARGO_MANIFEST_DIR")];
    let git = |arguments: &[&str]| command::run("git", &[&folder, arguments].concat()).ok();
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(commit.trim().to_owned() + if changed.trim().is_empty() { "" } else { "+" })
}

/// The command line without the path of the program. Invalid UTF-8 is shown as U+FFFD.
pub(crate) fn command() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The current time: RFC 3339, UTC, to the second.
pub(crate) fn date() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
