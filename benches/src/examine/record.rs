//! The results of an examination as data: what `--json` writes, and its page is made from.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::case::Transport;

/// The version of this format.
pub const SCHEMA: u32 = 1;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The server is right.
    Ok,
    /// It is not.
    Failed,
    /// The case does not apply.
    Skipped,
}

/// One case with one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// `class/name`.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// What was wrong, or why it was skipped.
    pub why: Option<String>,
    /// What a right server does.
    pub right: String,
    /// The document that says so.
    pub because: String,
    /// How long it took.
    pub seconds: f64,
    /// Whether the server had ended afterwards, or served no other client.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_lost: bool,
}

/// All cases with one server and transport.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Examined {
    /// The name of the server, or its address.
    pub server: String,
    /// Its version, if it is known.
    pub version: Option<String>,
    /// The transport.
    pub transport: Transport,
    /// The cases, in the order in which they ran.
    pub cases: Vec<Outcome>,
    /// Whether cases are left out in which it ended, or served no other client afterwards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_lost: bool,
}

/// What `--json` writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Examination {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When it began: RFC 3339, UTC.
    pub date: String,
    /// The kernel.
    pub kernel: String,
    /// The servers, each with each transport.
    pub servers: Vec<Examined>,
    /// Servers that were requested and are not installed: name and reason.
    #[serde(default)]
    pub absent: Vec<(String, String)>,
}

impl Examined {
    /// How many cases ended like this.
    pub fn count(&self, status: Status) -> usize {
        self.cases.iter().filter(|case| case.status == status).count()
    }
}

impl Examination {
    /// Writes it as JSON.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("a figure cannot be JSON")?;
        atomic_file::write(path, &(text + "\n"))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads it.
    ///
    /// # Errors
    /// If it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let found: Self = serde_json::from_str(&text)
            .with_context(|| format!("{shown} is not the result of examine"))?;
        ensure!(found.schema == SCHEMA, "{shown}: schema {}, not {SCHEMA}", found.schema);
        Ok(found)
    }
}
