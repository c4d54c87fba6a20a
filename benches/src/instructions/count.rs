//! One figure: the difference between two runs of a server, one with twice as many messages.

use anyhow::{Context, Result, ensure};

use super::callgrind::CallgrindServer;
use super::client::Client;
use crate::case::Case;
use crate::command;
use crate::servers::{self, BuiltServer};

/// Difference of the two runs in rounds with messages. All other costs are the same to the last
/// instruction, on a busy machine too; should they once differ by a hundred, that is 1 in a figure.
const ROUNDS: u64 = 100;

/// User-space instructions of the server per echo. Fails if it does not start, responds wrongly, or
/// valgrind is missing.
pub(super) fn count_per_echo(built: &BuiltServer, case: &Case) -> Result<f64> {
    let (half, whole) = (run(built, case, 2)?, run(built, case, 1)?);
    ensure!(half < whole, "twice the messages cost no more instructions: {half} and {whole}");
    let messages = ROUNDS * u64::try_from(case.connections * case.depth)?;
    Ok((whole - half) as f64 / messages as f64)
}

/// Runs a server under callgrind; one round in `every` sends messages. Both runs have the same
/// number of rounds: being stopped and resumed costs instructions too (an interrupted wait), and so
/// costs the same in both.
fn run(built: &BuiltServer, case: &Case, every: u64) -> Result<u64> {
    let command = built.command(case).map_err(anyhow::Error::msg)?;
    let mut server = CallgrindServer::start(command, case.transport)?;
    let mut client = Client::new(case, server.endpoint())?;
    // All connections are open, and each has sent one message, before the rounds start.
    server.while_stopped(|| client.connect_all())?;
    client.recv_all()?;
    for round in 0..2 * ROUNDS {
        // Spread evenly, since some servers exit after a thousand interruptions without an event.
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

/// Names and versions of the tools a figure depends on besides the sources. Fails if valgrind is
/// missing.
pub(super) fn tools() -> Result<Vec<(String, String)>> {
    let valgrind = command::first_line("valgrind", &["--version"])
        .context("valgrind is not available (Debian package: valgrind)")?;
    let version = |program: &str, argument: &str| {
        command::first_line(program, &[argument]).unwrap_or_else(|_| "unknown".to_owned())
    };
    let tools = [
        ("rustc", version("rustc", "--version")),
        ("cc", version(&servers::compiler(), "-dumpfullversion")),
        ("libc", version("getconf", "GNU_LIBC_VERSION")),
        ("valgrind", valgrind),
        ("machine", version("uname", "-m")),
    ];
    Ok(tools.map(|(name, version)| (name.to_owned(), version)).to_vec())
}
