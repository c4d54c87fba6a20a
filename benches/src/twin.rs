//! The C twin: the yardstick, compiled on the spot. It knows where a program may be put, no more.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The source travels inside the program, so that it can be run from anywhere.
const SOURCE: &str = include_str!("../peers/epoll_echo.c");

/// Compiles the twin and puts it beside the running program, that is, into the target directory.
///
/// # Errors
/// When there is no C compiler (`cc`, or what `CC` names), or it refuses.
pub fn compile() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where is this program?")?;
    let folder = own.parent().context("this program is in no folder")?;
    let path = folder.join("epoll_echo");
    // Under a name of our own first: a twin that another run is using cannot be written to, but it
    // can be replaced.
    let fresh = folder.join(format!("epoll_echo.{}", std::process::id()));
    let compiled = compile_to(&fresh);
    if compiled.is_err() {
        // Best effort: there may be nothing to remove.
        drop(std::fs::remove_file(&fresh));
    }
    compiled?;
    std::fs::rename(&fresh, &path).context("cannot put the C twin in its place")?;
    Ok(path)
}

fn compile_to(path: &Path) -> Result<()> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut child = Command::new(&compiler)
        .args(["-O2", "-Wall", "-Wextra", "-x", "c", "-", "-o"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start the C compiler `{compiler}`"))?;
    let mut source = child.stdin.take().context("the compiler has no input")?;
    let written = source.write_all(SOURCE.as_bytes());
    drop(source);
    let status = child.wait().context("the compiler is lost")?;
    ensure!(status.success(), "`{compiler}` refused the C twin: {status}");
    written.context("cannot hand the C twin to the compiler")
}
