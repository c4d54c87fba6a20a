//! What the processes of a server use at one moment. It reads `/proc`, and the server's page.

use std::net::SocketAddr;
use std::time::Duration;

use nix::unistd::Pid;

use super::curve::Sample;
use super::gauges;
use crate::process_usage::{cpu, process_tree, threads};

/// Samples one server repeatedly.
#[derive(Debug)]
pub(super) struct UsageSampler {
    root: Pid,
    /// Where its page of figures is.
    page: Option<SocketAddr>,
    /// Processor time and exchanges at the last sample.
    last: (Duration, u64),
    at: Duration,
}

impl UsageSampler {
    pub(super) fn new(root: Pid, page: Option<SocketAddr>) -> Self {
        let last = (cpu(root).map_or(Duration::ZERO, |cpu| cpu.total), 0);
        Self { root, page, last, at: Duration::ZERO }
    }

    /// A sample at this time of the run; `None` if the server has ended.
    pub(super) fn sample(&mut self, at: Duration, exchanges: u64) -> Option<Sample> {
        let used = cpu(self.root)?.total;
        let seconds = (at - self.at).as_secs_f64().max(1e-3);
        let sample = Sample {
            seconds: at.as_secs_f64(),
            cores: used.saturating_sub(self.last.0).as_secs_f64() / seconds,
            exchanges_per_second: (exchanges - self.last.1) as f64 / seconds,
            ..self.usage()?
        };
        (self.last, self.at) = ((used, exchanges), at);
        Some(sample)
    }

    /// What is used now, without rates. A page that is not answered has no gauges.
    pub(super) fn usage(&self) -> Option<Sample> {
        let gauges = self.page.and_then(|page| gauges::scrape(page).ok()).unwrap_or_default();
        let processes = process_tree(self.root);
        let (mut resident_bytes, mut descriptors) = (0, 0);
        for &pid in &processes {
            let Ok(process) = procfs::process::Process::new(pid.as_raw()) else { continue };
            let status = process.status().ok().and_then(|status| status.vmrss);
            resident_bytes += status.unwrap_or(0) * 1024;
            descriptors += process.fd_count().unwrap_or(0);
        }
        cpu(self.root)?;
        Some(Sample {
            seconds: 0.0,
            resident_bytes,
            descriptors,
            threads: threads(self.root),
            processes: processes.len(),
            cores: 0.0,
            exchanges_per_second: 0.0,
            gauges,
        })
    }
}
