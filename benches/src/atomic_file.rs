//! Files that appear whole or not at all: a partial file is not a result.

use std::fs::Permissions;
use std::io::{Result, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Writes a file, replacing an earlier one.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = create_beside(path)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// An empty file in the folder of `path`, removed on drop. The umask applies, as to any file.
pub(crate) fn create_beside(path: &Path) -> Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
}
