//! `report`: the record of a run as one page to look at, and its plots as files. Here are its
//! arguments and what is written where; each plot and the page have their own files.
//!
//! ```text
//!   page        the order of things                 knows every plot
//!   ratios latency cpu syscalls connections knee dots       one plot each: what is drawn where
//!   markdown    the same page, for a repository
//!   facts       what is said in words
//!   chart       lines over two axes, names at their ends      rows   a row for each server
//!   multiples   many of them, each in a small plot
//!   view        who is who, figures as people read them         knows the record
//!   palette     which server has which colour
//!   html svg    elements, escaped      labels, scale   pure arithmetic      plot   pure data
//! ```

mod chart;
mod connections;
mod cpu;
mod dots;
mod html;
mod labels;
mod latency;
mod markdown;
mod matrix;
mod metadata;
mod multiples;
mod page;
mod palette;
mod plot;
mod ratios;
mod rows;
mod scale;
mod svg;
mod sweep;
mod syscalls;
mod view;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::output;
use crate::redact;
use crate::schema::ResultFile;

/// Bad arguments, files that are no records, places that cannot be written to.
const USAGE: u8 = 2;

/// Draws the records of `compare --json` and `models --json` as one HTML page.
///
/// The page needs nothing but itself: pictures, data and script are in it, and it asks no network.
/// Each record becomes a section. Exit codes: 0; 2 no record, or nothing can be written there.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What compare or models wrote with --json
    #[arg(required = true, value_name = "RESULT.json")]
    results: Vec<PathBuf>,
    /// Where the page goes
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Writes each plot to a file of its own in this folder too: ratios-c64.svg, latency-c64.svg, ...
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Writes the page as Markdown too, with the plots of --svg, which are in a folder beside it
    #[arg(long, value_name = "FILE", requires = "svg")]
    markdown: Option<PathBuf>,
}

/// The subcommand.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&format!("{error:#}"));
            ExitCode::from(USAGE)
        }
    }
}

fn run(args: &Args) -> Result<()> {
    // One that was written before may still say where things were.
    let read = |path: &PathBuf| ResultFile::read(path).map(|record| redact::record(&record));
    let records: Vec<ResultFile> = args.results.iter().map(read).collect::<Result<_>>()?;
    let is_same = |path: &PathBuf| {
        path.canonicalize().is_ok_and(|it| args.output.canonicalize().is_ok_and(|out| out == it))
    };
    if let Some(path) = args.results.iter().find(|path| is_same(path)) {
        anyhow::bail!("{} is what is read: the page would take its place", path.display());
    }
    write_file(&args.output, &html(&records)?)?;
    let mut told = format!("the page: {}\n", args.output.display());
    if let Some(folder) = &args.svg {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let pictures = write_svgs(&records);
        for (name, picture) in &pictures {
            write_file(&folder.join(name), picture)?;
        }
        told += &format!("the plots: {} files in {}\n", pictures.len(), folder.display());
    }
    if let (Some(page), Some(folder)) = (&args.markdown, &args.svg) {
        let beside = folder.strip_prefix(page.parent().unwrap_or(Path::new("")));
        let beside = beside.map_err(|_| {
            let (folder, page) = (folder.display(), page.display());
            anyhow::anyhow!("{folder} is not in the folder of {page}: no link would lead there")
        })?;
        write_file(page, &markdown(&records, &beside.to_string_lossy()))?;
        told += &format!("the page in Markdown: {}\n", page.display());
    }
    output::print(&told)
}

/// The page of some records as Markdown; its pictures are in `folder`, as seen from it.
#[must_use]
pub fn markdown(records: &[ResultFile], folder: &str) -> String {
    markdown::write(records, folder)
}

/// The page of some records, in their order.
///
/// # Errors
/// When a record has a figure that JSON cannot hold.
pub fn html(records: &[ResultFile]) -> Result<String> {
    page::write(records)
}

/// Every plot of some records that has something to show, as an SVG file: its name, its text.
#[must_use]
pub fn write_svgs(records: &[ResultFile]) -> Vec<(String, String)> {
    page::pictures(records)
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
