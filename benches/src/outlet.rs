//! Where what was found goes: standard output, and the file of the record.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// Prints to standard output, at once.
///
/// # Errors
/// When nobody reads it, or there is no room for it.
pub(crate) fn write_out(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output")
}

/// Whether the record can be written where it is to go: better known before than after an hour.
///
/// # Errors
/// Why not.
pub(crate) fn is_writable(json: Option<&Path>) -> Result<()> {
    let Some(path) = json else { return Ok(()) };
    let name = path.file_name().with_context(|| format!("{} is no file", path.display()))?;
    let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
    let attempt = path.with_file_name(name);
    std::fs::write(&attempt, "")
        .and_then(|()| std::fs::remove_file(&attempt))
        .with_context(|| format!("cannot write {}", path.display()))
}
