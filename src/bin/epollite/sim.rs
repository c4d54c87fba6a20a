//! `epollite sim`: runs scenarios of the server on the simulated kernel, from a seed.
//!
//! A run is a sequence of short scenarios, each with its own seed and configuration, so that a
//! failing one is quick to replay.

use std::panic;

use epollite::sim::Entropy;

use crate::args::SimOptions;
use crate::exit::CliError;
use crate::output::log;
use crate::scenario;
use crate::scenario::config::{ScenarioConfig, ScenarioReport, SeededChoices, Violation};
use crate::scenario::server::stream_server;

std::thread_local! {
    /// Where the last panic happened.
    static LAST_PANIC: std::cell::Cell<String> = const { std::cell::Cell::new(String::new()) };
}

/// Steps per scenario: enough to cover every action, few enough to inspect.
const STEPS_PER_SCENARIO: u64 = 20_000;

/// Scenarios between two progress lines.
const PROGRESS_EVERY: u64 = 10;

pub(crate) fn run(options: &SimOptions) -> Result<(), CliError> {
    // A panic of the simulated kernel is a violated invariant: it is reported as one, below.
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        LAST_PANIC.set(place);
    }));
    let scenarios = options.steps.div_ceil(STEPS_PER_SCENARIO);
    let mut sum = ScenarioReport::default();
    for scenario in 0..scenarios {
        let seed = options.seed.wrapping_add(scenario);
        let steps = STEPS_PER_SCENARIO.min(options.steps - scenario * STEPS_PER_SCENARIO);
        match run_scenario(seed, steps, options) {
            Ok(report) => add(&mut sum, &report),
            Err(violation) => return Err(fail(seed, steps, options, &violation)),
        }
        if (scenario + 1) % PROGRESS_EVERY == 0 && !options.is_quiet {
            let sum = summary(&sum);
            log::err(&format!("scenario {} of {scenarios}: {sum}\n", scenario + 1));
        }
    }
    let scenarios =
        if scenarios == 1 { "1 scenario".to_owned() } else { format!("{scenarios} scenarios") };
    // The result is the only output: a failure to write it must not look like success.
    log::write_result(&format!("{scenarios}, no invariant violated: {}\n", summary(&sum)))
}

fn run_scenario(seed: u64, steps: u64, options: &SimOptions) -> Result<ScenarioReport, Violation> {
    let mut choices = SeededChoices(seed);
    let config = ScenarioConfig::generate(&mut choices, options.trigger, options.inject_faults);
    let entropy = Entropy::from_seed(seed);
    scenario::run(&config, &mut choices, entropy, steps, stream_server)
}

/// One line with the invariant, and the command that reproduces the violation.
fn fail(seed: u64, steps: u64, options: &SimOptions, violation: &Violation) -> CliError {
    let faults = if options.inject_faults { " --faults" } else { "" };
    let trigger = options.trigger.map_or_else(String::new, |trigger| {
        format!(" --trigger {}", format!("{trigger:?}").to_lowercase())
    });
    let place = LAST_PANIC.take();
    let place = if place.is_empty() { place } else { format!(" (at {place})") };
    let command = format!("epollite sim --seed {seed} --steps {steps}{trigger}{faults}");
    CliError::run(format!("{violation}{place}; reproduce with: {command}"))
}

fn add(sum: &mut ScenarioReport, report: &ScenarioReport) {
    sum.steps += report.steps;
    sum.stats.add(&report.stats);
    sum.calls += report.calls;
    sum.faults += report.faults;
}

fn summary(sum: &ScenarioReport) -> String {
    let ScenarioReport { steps, stats, calls, faults } = sum;
    format!(
        "{steps} steps, {} connections, {} bytes echoed, {calls} system calls, {faults} of them \
         made to fail",
        stats.accepted, stats.bytes_out
    )
}
