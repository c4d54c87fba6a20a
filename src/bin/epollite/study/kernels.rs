//! Where an experiment runs: the real kernel, and a model of the same version.
//!
//! Knows how packets between the CPUs of this machine are waited for; no page.

use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::thread;

use epollite::Linux;
use epollite::kernel::Devices;
use epollite::sim::{Entropy, Sim, SimConfig, Version};
use epollite::study::{Environment, Experiment, ExperimentReport, run};

use super::actors::LinuxActors;

/// The running kernel.
#[derive(Debug)]
pub(crate) struct Machine {
    /// As of uname(2).
    pub(crate) release: String,
    pub(crate) version: Version,
}

/// What an experiment showed, on each kernel on which it ran.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) model: Option<ExperimentReport>,
    pub(crate) linux: Option<ExperimentReport>,
}

impl Machine {
    /// Of a kernel that does not give its version, the newest is assumed.
    pub(crate) fn read() -> Self {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let release = release.trim();
        let version = Version::from_release(release).unwrap_or(Version::NEWEST);
        let release = if release.is_empty() { "of unknown version" } else { release };
        Self { release: release.to_owned(), version }
    }

    /// The newest kernel that the model knows, whatever runs here.
    pub(crate) fn newest() -> Self {
        Self { release: Version::NEWEST.to_string(), version: Version::NEWEST }
    }

    /// Runs it on Linux, in a thread of its own: a mask of signals ends with it.
    ///
    /// # Errors
    /// The thread could not be started.
    pub(crate) fn on_linux(&self, experiment: &Experiment) -> io::Result<ExperimentReport> {
        self.on_linux_with(experiment, &mut Linux, Environment::WAIT_MILLIS)
    }

    /// The same with other devices, and with another limit of waits.
    pub(crate) fn on_linux_with(
        &self,
        experiment: &Experiment,
        devices: &mut (impl Devices + Send),
        wait_millis: u32,
    ) -> io::Result<ExperimentReport> {
        let run = || {
            let mut environment = Environment {
                version: self.version,
                is_model: false,
                wait_millis,
                settle: &mut wait_for_backlogs,
                devices,
                actors: &mut LinuxActors::default(),
            };
            run(experiment, Linux, &mut environment)
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, run)?;
            Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    /// Runs it on a model of the same version, where everything sent has arrived.
    pub(crate) fn on_model(&self, experiment: &Experiment) -> ExperimentReport {
        on_model_of(self.version, experiment)
    }
}

/// Runs it on a model of this version. What Linux leaves open, such as which of several listeners
/// gets a connection, is drawn.
pub(crate) fn on_model_of(version: Version, experiment: &Experiment) -> ExperimentReport {
    let entropy = Entropy::from_seed(1);
    let mut sim = Sim::new(SimConfig { version, entropy, ..SimConfig::default() });
    let mut devices = sim.devices();
    let mut environment = Environment {
        version,
        is_model: true,
        wait_millis: Environment::WAIT_MILLIS,
        settle: &mut || {},
        devices: &mut devices,
        actors: &mut (),
    };
    run(experiment, &mut sim, &mut environment)
}

impl Observation {
    /// What is shown where one kernel is: Linux, if it ran there.
    pub(crate) fn shown(&self) -> Option<&ExperimentReport> {
        self.linux.as_ref().or(self.model.as_ref())
    }

    /// The kernels on which a result was not as expected.
    pub(crate) fn differing(&self, machine: &Machine) -> Vec<String> {
        let differs = |report: &Option<ExperimentReport>| {
            report.as_ref().is_some_and(ExperimentReport::differs)
        };
        let model = differs(&self.model).then(|| "the model".to_owned());
        let linux = differs(&self.linux).then(|| format!("Linux {}", machine.release));
        model.into_iter().chain(linux).collect()
    }
}

/// Upper limit on polls of the packet backlogs: a fraction of a second.
const POLLS_MAX: usize = 2_000;
/// The column of the length of a CPU's backlog, from 0.
///
/// Reference: net/core/net-procfs.c: `softnet_seq_show`
const BACKLOG_COLUMN: usize = 11;

/// Waits until no CPU has undelivered packets: the scheduler may have moved this thread to another
/// CPU after a send.
fn wait_for_backlogs() {
    for _ in 0..POLLS_MAX {
        let Ok(processors) = fs::read_to_string("/proc/net/softnet_stat") else { return };
        let mut lengths =
            processors.lines().filter_map(|line| line.split_ascii_whitespace().nth(BACKLOG_COLUMN));
        if lengths.all(|length| length == "00000000") {
            return;
        }
        thread::yield_now();
    }
}
