//! The program under test, with a deadline: whatever hangs is killed, with all that it started, and the test
//! fails by its exit code. It knows timeout(1).

use std::path::PathBuf;
use std::process::Command;

/// In seconds: no test takes a tenth of it on a machine that is busy with others.
const DEADLINE: &str = "400";

/// `epollite-bench`, to be ended at the deadline. Its exit code is then 124, which is none of its own.
pub(crate) fn program() -> Command {
    // By its path: a test may give the program a PATH of its own.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("timeout"));
    let timeout = found.into_iter().find(|it| it.is_file()).unwrap_or(PathBuf::from("timeout"));
    let mut command = Command::new(timeout);
    command.args(["--kill-after=5", DEADLINE, env!("CARGO_BIN_EXE_epollite-bench")]);
    command
}
