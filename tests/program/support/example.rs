//! Runs an example of the library as a program, building it first.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of the example `name`. The first call builds all examples with the profile of this
/// test: `cargo test --test NAME` alone builds none.
pub(crate) fn example(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(built).join(name)
}

fn built() -> PathBuf {
    // TARGET/[TRIPLE/]PROFILE/deps/THIS
    let this = std::env::current_exe().expect("the executable has a path");
    let folder = this.ancestors().nth(2).expect("cargo puts tests into PROFILE/deps");
    let profile = folder
        .file_name()
        .and_then(|name| name.to_str())
        .expect("the profile directory has a name");
    let mut target = folder.parent().expect("it is in a target directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--examples", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    // A test of the profile `dev` is in `debug`, and has the profile `test`.
    cargo.args(["--profile", if profile == "debug" { "test" } else { profile }]);
    let triple = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if triple.matches('-').count() >= 2 {
        cargo.args(["--target", triple]);
        target = target.parent().expect("it is in a target directory");
    }
    cargo.arg("--target-dir").arg(target);
    let status = cargo.status().expect("cargo runs this test");
    assert!(status.success(), "the examples cannot be built: {cargo:?}");
    folder.join("examples")
}
