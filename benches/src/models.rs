//! `models`: compares the server models by number of connections, and reports where each fails.
//! This file has the arguments and the order of events.

use anyhow::{Context, Result};

use crate::case::Case;
use crate::exit::Usage;
use crate::schema::Kind;
use crate::servers;
use crate::session::{Options, Session};
use crate::table;

/// Maximum number of open connections in one interleaved run, over all servers: each is two kernel
/// sockets, and in some models a process or a thread.
const OPEN_CONNECTIONS_MAX: usize = 50_000;

/// Compares the server models by number of connections, and reports where each one fails.
///
/// Each is `epollite echo --model NAME`, measured as by `compare`. The failure of a model is a
/// result, not an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Models to compare, separated by commas [default: all]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAME",
        default_value = "models",
        hide_default_value = true
    )]
    models: Vec<String>,
    /// Numbers of connections, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "N", default_value = "1,10,100,1000,10000",
          value_parser = clap::value_parser!(u32).range(1..=19_000))]
    connections: Vec<u32>,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(args: &Args) -> Result<u8> {
    let entries = servers::select(&args.models, &[]).map_err(Usage::new)?;
    let mut session = Session::open(Kind::Models, &args.options, &entries, &args.models)?;
    for &connections in &args.connections {
        if session.is_interrupted() {
            break;
        }
        let connections = usize::try_from(connections)?;
        let group_size = (OPEN_CONNECTIONS_MAX / connections).saturating_sub(2);
        let ran = session.run(&Case::of_connections(connections), group_size, false);
        if ran.is_err() {
            // Earlier results are printed nevertheless.
            session.outputs.show(&table::models(&session.record))?;
        }
        ran.with_context(|| format!("{connections} connections"))?;
    }
    let tables = table::legend(session.record.run.rounds) + &table::models(&session.record);
    session.finish(&tables)
}
