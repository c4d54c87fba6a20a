//! Reads a whole text file, whose length is bounded: a device may have no end.
//!
//! Knows no form of a text.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// The longest file: some hundred times that of any experiment, and of a score of all of them.
pub(super) const BYTES_MAX: u64 = 64 << 10;

/// Reads a file, or a pipe to its end.
///
/// # Errors
/// That of open(2) or read(2); or it is longer than [`BYTES_MAX`], or is not UTF-8.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let invalid = |why: String| io::Error::new(ErrorKind::InvalidData, why);
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(invalid(format!("is longer than {} KiB", BYTES_MAX >> 10)));
    }
    String::from_utf8(bytes).map_err(|_| invalid("is not UTF-8".to_owned()))
}
