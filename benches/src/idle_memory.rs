//! Memory per idle connection: the memory of a server before and after the connections are opened.

use anyhow::{Context, Error, Result};

use crate::case::{Case, Transport};
use crate::load_process::Worker;
use crate::process_usage;
use crate::schema::IdleMemory;
use crate::server::{Cores, Server};
use crate::servers::BuiltServer;

/// Opens `connections` connections that send one message each and are idle after it. Fails if the
/// server did not start, or did not accept all connections.
pub(crate) fn measure_idle_memory(
    built: &BuiltServer,
    connections: usize,
    cores: Cores,
) -> Result<IdleMemory> {
    // One additional connection, so that one-time costs of the first connection are not included.
    let case = Case::of_connections(1);
    let command = built.command(&case).map_err(Error::msg)?;
    let name = &built.about.name;
    let mut server = Server::start(name, command, Transport::Tcp, cores)?;
    let mut open = |idle| {
        let worker = Worker::start(&Case { idle, ..case.clone() }, server.endpoint());
        let worker = worker.map_err(|error| Error::msg(server.with_exit_status(error)))?;
        let bytes = process_usage::pss_bytes(server.pid());
        Ok::<_, Error>((worker, bytes.with_context(|| format!("{name}: the process has ended"))?))
    };
    let (_first, empty_bytes) = open(1)?;
    let (_all, full_bytes) = open(connections)?;
    let more = full_bytes.saturating_sub(empty_bytes);
    let bytes_per_connection = more as f64 / connections.max(1) as f64;
    Ok(IdleMemory { connections, empty_bytes, full_bytes, bytes_per_connection })
}
