//! Memory per idle connection: the memory of a server before and after the connections are opened.

use crate::case::{Case, Transport};
use crate::load_process::Worker;
use crate::process_usage;
use crate::schema::IdleMemory;
use crate::server::{Cores, Server};
use crate::servers::BuiltServer;

/// Opens `connections` connections that send one message each and are idle after it.
///
/// # Errors
/// The server did not start, or did not accept all connections.
pub fn measure_idle_memory(
    built: &BuiltServer,
    connections: usize,
    cores: Cores,
) -> Result<IdleMemory, String> {
    // One additional connection, so that one-time costs of the first connection are not included.
    let case = Case::of_connections(1);
    let command = built.command(&case)?;
    let name = &built.about.name;
    let mut server = Server::start(name, command, Transport::Tcp, cores)
        .map_err(|error| format!("{error:#}"))?;
    let first = Case { idle: 1, ..case.clone() };
    let all = Case { idle: connections, ..case };
    let open = |case: &Case, server: &mut Server| {
        Worker::start(case, server.endpoint())
            .map_err(|error| server.with_exit_status(format!("{error:#}")))
    };
    let _first = open(&first, &mut server)?;
    let gone = || format!("{name}: the process has ended");
    let empty_bytes = process_usage::pss_bytes(server.pid()).ok_or_else(gone)?;
    let _all = open(&all, &mut server)?;
    let full_bytes = process_usage::pss_bytes(server.pid()).ok_or_else(gone)?;
    let number = |bytes: u64| f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) * 1024.0;
    let more = number(full_bytes.saturating_sub(empty_bytes));
    let count = f64::from(u32::try_from(connections.max(1)).unwrap_or(u32::MAX));
    Ok(IdleMemory { connections, empty_bytes, full_bytes, bytes_per_connection: more / count })
}
