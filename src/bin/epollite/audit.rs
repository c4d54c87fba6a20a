//! `epollite audit`: the epolls of a process, what each watches, and the faults that can be seen
//! from outside.
//!
//! Reads `/proc` only; what is a fault is decided by the library (`epollite::audit`).

mod demonstration;
mod inspect;
mod page;
mod process;
mod sockets;

use crate::args::AuditTarget;
use crate::exit::CliError;
use crate::output::log;
use inspect::inspect;

pub(crate) fn run(target: AuditTarget) -> Result<(), CliError> {
    match target {
        AuditTarget::Process(pid) => {
            let (state, faults) = inspect(pid)?;
            log::write_result(&page::process(&state, &faults))?;
            match faults.len() {
                0 => Ok(()),
                1 => Err(CliError::run(format!("process {pid} has 1 fault"))),
                count => Err(CliError::run(format!("process {pid} has {count} faults"))),
            }
        }
        AuditTarget::Itself => demonstration::run(),
    }
}
