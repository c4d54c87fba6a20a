//! `report`: result files as one HTML page, its charts as SVG files, and the page as Markdown. Here
//! are its arguments, and what is written where.

mod cases;
mod chart;
mod draw;
mod format;
mod growth;
mod page;
mod scale;
mod servers;
mod soak;
mod svg;
mod view;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub(crate) use growth::Line;
pub(crate) use page::{growth, soak};
pub use page::{html, markdown, write_svgs};

use crate::exit::Usage;
use crate::output;
use crate::redact;
use crate::schema::ResultFile;

/// Writes the results of `compare --json` and `models --json` as one HTML page.
///
/// Pictures, data and script are in the page: it loads nothing. Each result file becomes a section.
/// Exit codes: 0; 2 not a result file, or an output cannot be written.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Result files of compare or models, written with --json
    #[arg(required = true, value_name = "RESULT.json")]
    results: Vec<PathBuf>,
    /// The HTML page
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Also writes each plot to a file in this folder: ratios-c64.svg, latency-c64.svg, ...
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Also writes the page as Markdown, with the plots of --svg, whose folder must be beside it
    #[arg(long, value_name = "FILE", requires = "svg")]
    markdown: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<u8> {
    output::print(&write(args).map_err(Usage::new)?).map_err(Usage::new)?;
    Ok(0)
}

/// Writes all files; returns what was written.
fn write(args: &Args) -> Result<String> {
    // Older result files may contain paths of the machine.
    let read = |path: &PathBuf| ResultFile::read(path).map(|record| redact::record(&record));
    let records: Vec<ResultFile> = args.results.iter().map(read).collect::<Result<_>>()?;
    let output = args.output.canonicalize().ok();
    let is_same = |path: &&PathBuf| output.is_some() && path.canonicalize().ok() == output;
    if let Some(path) = args.results.iter().find(is_same) {
        anyhow::bail!("{} is an input: the page would replace it", path.display());
    }
    write_file(&args.output, &html(&records)?)?;
    let mut written = format!("the page: {}\n", args.output.display());
    if let Some(folder) = &args.svg {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let pictures = write_svgs(&records)?;
        for (name, picture) in &pictures {
            write_file(&folder.join(name), picture)?;
        }
        written += &format!("the plots: {} files in {}\n", pictures.len(), folder.display());
    }
    if let (Some(page), Some(folder)) = (&args.markdown, &args.svg) {
        let beside = folder.strip_prefix(page.parent().unwrap_or(Path::new("")));
        let (shown, of) = (folder.display(), page.display());
        let why = || format!("{shown} is not in the folder of {of}: links would not work");
        let beside = beside.with_context(why)?;
        write_file(page, &markdown(&records, &beside.to_string_lossy())?)?;
        written += &format!("the page in Markdown: {}\n", page.display());
    }
    Ok(written)
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
