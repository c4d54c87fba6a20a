//! `epollite doctor`: what this kernel has and permits, each probed by the call itself.

mod features;
mod limits;
mod page;

use crate::args::DoctorOptions;
use crate::exit::CliError;
use crate::output::log;
use features::Feature;

pub(crate) fn run(options: DoctorOptions) -> Result<(), CliError> {
    let features = features::probe();
    let limits = limits::read();
    let page = if options.is_json {
        page::json(&features, &limits)
    } else {
        page::text(&features, &limits)
    };
    log::write_result(&page)?;
    let is_missing = |feature: &&Feature| feature.is_needed && feature.state.is_err();
    let missing: Vec<&str> = features.iter().filter(is_missing).map(|it| it.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(CliError::run(format!("the echo server needs {}", missing.join(", "))))
}
