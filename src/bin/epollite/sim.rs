//! `epollite sim`: the server's days in a simulated world, from a seed.
//!
//! A run is a row of short days, each from a seed of its own and in a weather of its own, so
//! that the one that fails is replayed in a moment.

use std::panic::{self, AssertUnwindSafe};

use epollite::sim::Chance;

use crate::args::Sim;
use crate::day;
use crate::day::weather::{Broken, Dice, Report, Weather};
use crate::failure::Failure;
use crate::log;

std::thread_local! {
    /// Where the last panic happened.
    static PLACE: std::cell::Cell<String> = const { std::cell::Cell::new(String::new()) };
}

/// Steps of one day: enough that everything happens, few enough to look at.
const DAY_STEPS: u64 = 20_000;

/// How many days between two lines of progress.
const PROGRESS_DAYS: u64 = 10;

pub(crate) fn run(options: &Sim) -> Result<(), Failure> {
    // A panic of the simulated kernel is a law broken: it is told as one, below.
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        PLACE.set(place);
    }));
    let days = options.steps.div_ceil(DAY_STEPS);
    let mut sum = Sum::default();
    for day in 0..days {
        let seed = options.seed.wrapping_add(day);
        let steps = DAY_STEPS.min(options.steps - day * DAY_STEPS);
        match live(seed, steps, options) {
            Ok(report) => sum.add(&report),
            Err(broken) => return Err(fail(seed, steps, options, &broken)),
        }
        if (day + 1) % PROGRESS_DAYS == 0 && !options.is_quiet {
            log::err(&format!("day {} of {days}: {sum}\n", day + 1));
        }
    }
    let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
    // It is all that was wanted: who does not get it must not think that all is well.
    log::deliver(&format!("{days}, no law broken: {sum}\n"))
}

fn live(seed: u64, steps: u64, options: &Sim) -> Result<Report, Broken> {
    let mut dice = Seeded(seed);
    let weather = Weather::draw(&mut dice, options.trigger, options.has_faults);
    let chance = Chance::from_seed(seed);
    let lived =
        panic::catch_unwind(AssertUnwindSafe(|| day::live(&weather, &mut dice, chance, steps)));
    lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Err(Broken { law: format!("nothing panics, but at {}: {text}", PLACE.take()), step: steps })
    })
}

/// Endless decisions, from a number.
struct Seeded(u64);

impl Dice for Seeded {
    /// SplitMix64, whose every output is a fair draw.
    fn pick(&mut self, end: usize) -> Option<usize> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).ok().map(|drawn| drawn % end)
    }
}

/// One line that names the law, and the words to see it again.
fn fail(seed: u64, steps: u64, options: &Sim, broken: &Broken) -> Failure {
    let faults = if options.has_faults { " --faults" } else { "" };
    let trigger = options.trigger.map_or_else(String::new, |trigger| {
        format!(" --trigger {}", format!("{trigger:?}").to_lowercase())
    });
    let again = format!("epollite sim --seed {seed} --steps {steps}{trigger}{faults}");
    Failure::new(Failure::RUN, format!("{broken}; see it again: {again}"))
}

/// What all days came to.
#[derive(Default)]
struct Sum {
    steps: u64,
    connections: u64,
    bytes: u64,
    calls: u64,
    faults: u64,
}

impl Sum {
    const fn add(&mut self, report: &Report) {
        self.steps += report.steps;
        self.connections += report.stats.accepted;
        self.bytes += report.stats.bytes_out;
        self.calls += report.calls;
        self.faults += report.faults;
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { steps, connections, bytes, calls, faults } = self;
        write!(
            f,
            "{steps} steps, {connections} connections, {bytes} bytes echoed, {calls} system \
             calls, {faults} of them made to fail"
        )
    }
}
