//! `--hgrm`: the percentile distribution, printed after the table or written to a file. The format
//! is in [`crate::hgrm`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;

use crate::hgrm;

/// The option, for `load` and for `merge`.
#[derive(Debug, Args)]
pub(super) struct Hgrm {
    /// Prints the percentile distribution in HdrHistogram's text format, in microseconds; or writes
    /// it to a file of its own
    #[arg(long, value_name = "FILE", require_equals = true)]
    hgrm: Option<Option<PathBuf>>,
}

impl Hgrm {
    fn file(&self) -> Option<&Path> {
        self.hgrm.as_ref()?.as_deref()
    }

    /// Checks that it is compatible with `--json`, and that its file can be written, before a run
    /// rather than after it. The file is truncated.
    pub(super) fn check(&self, is_json: bool) -> Result<()> {
        match self.file() {
            Some(file) => write(file, ""),
            None => {
                ensure!(
                    !is_json || self.hgrm.is_none(),
                    "--hgrm cannot be used with --json, unless it names a file: --hgrm=FILE"
                );
                Ok(())
            }
        }
    }

    /// Appends it to a text, or writes it to its file, as requested.
    pub(super) fn add(&self, text: &mut String, latencies: &Histogram<u64>) -> Result<()> {
        match (&self.hgrm, self.file()) {
            (_, Some(file)) => return write(file, &hgrm::format(latencies)),
            (Some(_), None) => *text += &format!("\n{}", hgrm::format(latencies)),
            (None, None) => {}
        }
        Ok(())
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("--hgrm: {}", file.display()))
}
