//! A directory of one test's own, gone when the test is over.

use core::sync::atomic::{AtomicU32, Ordering};
use std::path::{Path, PathBuf};
use std::{env, fs, process};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An empty directory with a short name: a Unix socket's path may have 107 bytes, no more.
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

    /// The path of `name` in here, whether it exists or not.
    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.directory.join(name);
        path.to_str().expect("a temporary path is text").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind harms nobody, and a panic here would hide the test's own.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
