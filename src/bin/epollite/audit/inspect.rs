//! Looks at a process twice, and keeps the faults that both looks show.

use epollite::audit::{Fault, find_faults};

use super::process::ProcessState;
use crate::exit::CliError;

/// The state of a process, and its faults. A process that runs changes between two reads, so a
/// fault counts only if a second look shows it too.
pub(super) fn inspect(pid: u32) -> Result<(ProcessState, Vec<Fault>), CliError> {
    let state = ProcessState::read(pid)?;
    let faults = find_faults(&state.epolls, &state.open_files());
    if faults.is_empty() {
        return Ok((state, faults));
    }
    let state = ProcessState::read(pid)?;
    let mut again = find_faults(&state.epolls, &state.open_files());
    again.retain(|fault| faults.contains(fault));
    Ok((state, again))
}
