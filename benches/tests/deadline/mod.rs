//! The program under test with a deadline: a hanging program is killed with all its children, and
//! the test fails by its exit code. It uses timeout(1).

use std::path::PathBuf;
use std::process::Command;

/// In seconds: no test needs a tenth of it on a busy machine.
const DEADLINE: &str = "400";

/// `epollite-bench`, killed at the deadline. Its exit code is then 124, which it does not use
/// itself.
pub(crate) fn program() -> Command {
    // By its path: a test may change the program's PATH.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("timeout"));
    let timeout = found.into_iter().find(|it| it.is_file()).unwrap_or(PathBuf::from("timeout"));
    let mut command = Command::new(timeout);
    command.args(["--kill-after=5", DEADLINE, env!("CARGO_BIN_EXE_epollite-bench")]);
    command
}
