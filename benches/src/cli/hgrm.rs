//! `--hgrm`: the whole distribution, behind the table or in a file of its own. What it looks like is
//! told in `crate::hgrm`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use hdrhistogram::Histogram;

use crate::hgrm;

/// The option, for `load` and for `merge`.
#[derive(Debug, Args)]
pub(super) struct Hgrm {
    /// Adds the whole distribution, as HdrHistogram's tools print it, in microseconds; or writes it to
    /// a file, which then holds nothing else
    #[arg(long, value_name = "FILE", require_equals = true)]
    hgrm: Option<Option<PathBuf>>,
}

impl Hgrm {
    fn file(&self) -> Option<&Path> {
        self.hgrm.as_ref()?.as_deref()
    }

    /// Whether it fits together with JSON, and can be written where it is to go. The file is empty
    /// then: better known before a run than after it.
    pub(super) fn check(&self, is_json: bool) -> Result<(), String> {
        match self.file() {
            Some(file) => fs::write(file, "").map_err(|error| said(file, &error)),
            None if is_json && self.hgrm.is_some() => {
                Err("--hgrm cannot be used with --json, unless it names a file: --hgrm=FILE".into())
            }
            None => Ok(()),
        }
    }

    /// Adds it to a text, or writes it to its file, as was asked.
    pub(super) fn add(&self, text: &mut String, latencies: &Histogram<u64>) -> Result<(), String> {
        match (&self.hgrm, self.file()) {
            (_, Some(file)) => {
                fs::write(file, hgrm::format(latencies)).map_err(|error| said(file, &error))
            }
            (Some(_), None) => {
                text.push('\n');
                text.push_str(&hgrm::format(latencies));
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }
}

fn said(file: &Path, error: &std::io::Error) -> String {
    format!("--hgrm: {}: {error}", file.display())
}
