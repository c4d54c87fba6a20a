//! Runs other programs to completion, and returns what they print.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The standard output of a program that succeeds. The error of one that fails is its first line
/// containing `error`.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} is not installed"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let why = stderr.lines().find(|line| line.contains("error")).or(stderr.lines().next());
    bail!("{program}: {}", why.unwrap_or("it failed without a message").trim())
}

/// The first line of its output.
pub(crate) fn first_line(program: &str, arguments: &[&str]) -> Result<String> {
    Ok(run(program, arguments)?.lines().next().unwrap_or_default().trim().to_owned())
}
