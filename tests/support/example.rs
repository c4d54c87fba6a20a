//! An example of the library as a program: built before it is run, whatever was built before.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the example `name` is. The first call builds all of them, with the profile that this test
/// was built with: `cargo test --test NAME` alone builds none.
pub(crate) fn example(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(built).join(name)
}

fn built() -> PathBuf {
    // TARGET/[TRIPLE/]PROFILE/deps/THIS
    let this = std::env::current_exe().expect("a program has a file");
    let folder = this.ancestors().nth(2).expect("cargo puts tests into PROFILE/deps");
    let profile = folder.file_name().and_then(|name| name.to_str()).expect("cargo names it");
    let mut target = folder.parent().expect("it lies in a target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--examples", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    // A test of the profile `dev` lies in `debug`, and has the profile `test`.
    cargo.args(["--profile", if profile == "debug" { "test" } else { profile }]);
    let triple = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if triple.matches('-').count() >= 2 {
        cargo.args(["--target", triple]);
        target = target.parent().expect("it lies in a target folder");
    }
    cargo.arg("--target-dir").arg(target);
    let status = cargo.status().expect("cargo runs this test");
    assert!(status.success(), "the examples are not to be built: {cargo:?}");
    folder.join("examples")
}
