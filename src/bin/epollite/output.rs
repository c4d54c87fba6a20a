//! What the program writes: log lines, results, JSON, tables.

pub(crate) mod columns;
pub(crate) mod json;
pub(crate) mod log;
pub(crate) mod sink;
