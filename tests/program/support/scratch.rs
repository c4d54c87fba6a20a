//! A temporary directory per test, removed when the test ends.

use core::sync::atomic::{AtomicU32, Ordering};
use std::path::{Path, PathBuf};
use std::{env, fs, process};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An empty directory with a short name: a Unix socket path has at most 107 bytes.
pub(crate) struct Scratch {
    directory: PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = env::temp_dir().join(format!("epollite-{}-{number}", process::id()));
        fs::create_dir_all(&directory).expect("the temporary directory is writable");
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// The path of `name` in it, whether it exists or not.
    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.directory.join(name);
        path.to_str().expect("a temporary path is text").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover is harmless, and a panic here would hide the test's own.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
