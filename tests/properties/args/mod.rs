//! Properties of the command line: any arguments are parsed, or rejected with one helpful line.

/// The program's argument parsing modules, arranged as in its `main.rs`.
#[path = "../../../src/bin/epollite"]
#[expect(dead_code, unused_imports, reason = "only the parser is used")]
mod program {
    pub(crate) mod args;
    pub(crate) mod exit;
    mod output;

    mod echo {
        pub(crate) mod model;
    }

    /// Parsing opens no descriptors.
    mod models {
        pub(crate) const OPEN_NONBLOCKING: i32 = 0o4000;

        pub(crate) fn has_no_stdout() -> bool {
            unreachable!("nothing is written")
        }

        pub(crate) fn standard_stream(_: i32) -> core::mem::ManuallyDrop<std::fs::File> {
            unreachable!("nothing is written")
        }

        pub(crate) fn wait_writable(_: &std::fs::File, _: core::time::Duration) -> bool {
            unreachable!("nothing is written")
        }
    }
}

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use program::args::{Command, parse};
use program::exit::CliError;

/// Arguments the parser knows; a plan byte below 32 selects one.
const KNOWN_ARGUMENTS: [&str; 32] = [
    "echo",
    "sim",
    "--tcp",
    "--udp",
    "--unix",
    "--trigger",
    "--threads",
    "--max-connections",
    "--idle-timeout",
    "--drain-timeout",
    "--read-budget",
    "--log-format",
    "-v",
    "thread",
    "--trace",
    "nc",
    "--check",
    "--seed",
    "--model",
    "-lkzu",
    "--help",
    "127.0.0.1:1",
    "study",
    "edge",
    "--listen-fds",
    "--takeover",
    "5s",
    "64KiB",
    "--allow",
    "--accept-rate",
    "--",
    "--buffer-total",
];

/// Reads the plan as arguments: bytes under 32 are known arguments, the rest are letters, and a
/// space ends an argument.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn are_parsed_or_rejected_in_one_line(plan: &[u8]) {
    let mut arguments = vec![Vec::new()];
    for &byte in plan {
        match byte {
            0..32 => {
                arguments.push(KNOWN_ARGUMENTS[usize::from(byte)].as_bytes().to_vec());
                arguments.push(Vec::new());
            }
            b' ' => arguments.push(Vec::new()),
            other => arguments.last_mut().expect("the list is never empty").push(other),
        }
    }
    arguments.retain(|word| !word.is_empty());
    let shown =
        format!("{:?}", arguments.iter().map(|w| String::from_utf8_lossy(w)).collect::<Vec<_>>());
    match parse(arguments.into_iter().map(OsString::from_vec)) {
        Ok(Command::Echo(echo)) => {
            assert!(
                !echo.targets.is_empty() || !echo.listen_fds.is_empty(),
                "invariant: a server serves somewhere: {shown}"
            );
            assert!(
                echo.threads >= 1 && echo.budget_bytes != Some(0),
                "invariant: bounds hold: {shown}"
            );
        }
        Ok(_) => {}
        Err(CliError { code, line }) => {
            assert_eq!(code, CliError::USAGE, "invariant: bad arguments are exit code 2: {shown}");
            assert!(
                !line.contains(char::is_control),
                "invariant: one clean line: {line:?} for {shown}"
            );
            assert!(
                line.contains("; try 'epollite"),
                "invariant: it points to --help: {line:?} for {shown}"
            );
        }
    }
}
