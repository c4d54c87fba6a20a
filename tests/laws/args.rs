//! The laws of the command line: any words are read, or refused in one line that helps.

#[path = "program/mod.rs"]
#[expect(dead_code, unused_imports, reason = "only what reads words is wanted of it")]
mod program;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use program::args::{Command, parse};
use program::failure::Failure;

/// Words that open doors; a plan that begins with such a byte gets the word.
const WORDS: [&str; 32] = [
    "echo",
    "sim",
    "--tcp",
    "--udp",
    "--unix",
    "--trigger",
    "--threads",
    "--max-connections",
    "--idle-timeout",
    "--drain",
    "--budget",
    "--log",
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
    "[::1]:2",
    "edge",
    "level",
    "json",
    "5s",
    "64KiB",
    "7",
    "off",
    "--",
    "=",
];

/// Reads the plan as words: bytes under 32 are words of the program's own, the rest are
/// letters, and a space ends a word.
///
/// # Panics
/// When a law is broken, with its name.
pub fn are_read_or_refused_in_one_line(plan: &[u8]) {
    let mut words = vec![Vec::new()];
    for &byte in plan {
        match byte {
            0..32 => {
                words.push(WORDS[usize::from(byte)].as_bytes().to_vec());
                words.push(Vec::new());
            }
            b' ' => words.push(Vec::new()),
            letter => words.last_mut().expect("there is always one").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    let told =
        format!("{:?}", words.iter().map(|w| String::from_utf8_lossy(w)).collect::<Vec<_>>());
    match parse(words.into_iter().map(OsString::from_vec)) {
        Ok(Command::Echo(echo)) => {
            assert!(!echo.targets.is_empty(), "law: a server serves somewhere: {told}");
            assert!(echo.threads >= 1 && echo.budget_bytes != Some(0), "law: bounds hold: {told}");
        }
        Ok(_) => {}
        Err(Failure { code, line }) => {
            assert_eq!(code, Failure::USAGE, "law: bad words are exit code 2: {told}");
            assert!(!line.contains(char::is_control), "law: one clean line: {line:?} for {told}");
            assert!(line.contains("; try 'epollite"), "law: it helps: {line:?} for {told}");
        }
    }
}
