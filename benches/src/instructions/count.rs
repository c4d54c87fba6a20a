//! One figure: two runs of a server, in one of which it has twice as much to echo, and what the
//! second cost more. It knows the order of a run; the server and its client know how.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::callgrind::CallgrindServer;
use super::cases::CountedCase;
use super::client::Client;
use crate::servers::BuiltServer;

/// By how many rounds with messages the two runs differ. What else they cost is the same to the
/// last instruction, on a busy machine too; should it once be a hundred more, that is 1 in a figure.
const ROUNDS: u64 = 100;

/// User-space instructions that the server spends on one echo.
///
/// # Errors
/// When it does not come up, answers wrong, or there is no valgrind.
pub(super) fn count_per_echo(built: &BuiltServer, case: &CountedCase) -> Result<f64> {
    let (half, whole) = (run(built, case, 2)?, run(built, case, 1)?);
    ensure!(half < whole, "twice the messages cost no more: {half} and {whole} instructions");
    let messages = ROUNDS * u64::try_from(case.batch)?;
    Ok((whole - half) as f64 / messages as f64)
}

/// A server's whole life under callgrind, in which one round in `every` brings messages. There are
/// as many rounds in both runs: to be stopped and woken costs a server something too (a wait that
/// was interrupted), and so it costs the same in both.
fn run(built: &BuiltServer, case: &CountedCase, every: u64) -> Result<u64> {
    let command = built.command(&case.load()).map_err(anyhow::Error::msg)?;
    let mut server = CallgrindServer::start(command, case.transport)?;
    let mut client = Client::new(case, server.endpoint());
    // Connections come, and each has spoken once, before the rounds that are told apart.
    server.while_stopped(|| client.connect_all())?;
    client.recv_all()?;
    for round in 0..2 * ROUNDS {
        // In turn, since some servers take interruptions and nothing else, a thousand times in a
        // row, for a reason to end.
        let is_busy = round % every == 0;
        server.while_stopped(|| if is_busy { client.send_all() } else { Ok(()) })?;
        if is_busy {
            client.recv_all()?;
        }
    }
    server.while_stopped(|| {
        drop(client);
        Ok(())
    })?;
    server.end()
}

/// What a figure depends on beside the sources: names and versions, for the baseline.
///
/// # Errors
/// When there is no valgrind.
pub(super) fn tools() -> Result<Vec<(String, String)>> {
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let valgrind = version_line("valgrind", &["--version"])
        .context("valgrind cannot be had (Debian's package is called so)")?;
    let or_unknown = |said: Result<String>| said.unwrap_or_else(|_| "unknown".to_owned());
    let machine = or_unknown(version_line("uname", &["-m"]));
    Ok([
        ("rustc", or_unknown(version_line("rustc", &["--version"]))),
        ("cc", or_unknown(version_line(&cc, &["-dumpfullversion"]))),
        ("libc", or_unknown(version_line("getconf", &["GNU_LIBC_VERSION"]))),
        ("valgrind", valgrind),
        ("machine", machine),
    ]
    .map(|(name, version)| (name.to_owned(), version))
    .to_vec())
}

fn version_line(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{program} is not installed"))?;
    ensure!(output.status.success(), "{program} failed");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
