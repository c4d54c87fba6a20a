//! The libraries for C: their header, their symbols and sizes, the examples, and every mistake.
//!
//! Builds them with `make lib`, and compiles programs with gcc and clang.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

mod examples;
mod header;
mod library;
mod loops;
mod sizes;

/// Strict C99 and C++11.
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

const COMPILERS: [&str; 2] = ["gcc", "clang"];

const CPP_COMPILERS: [&str; 2] = ["g++", "clang++"];

/// How a program is linked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Linking {
    /// With `libepollite.so`.
    Shared,
    /// With `libepollite.a`, and the C library's shared one.
    Archive,
    /// Without any shared library.
    Static,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the libraries, built once.
fn libraries() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = root().join("target/c");
        let mut make = Command::new("make");
        // Those of the cargo that runs this test would build another library.
        for name in ["MAKEFLAGS", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
            make.env_remove(name);
        }
        make.args(["--no-print-directory", "lib"]).arg(format!("CARGO={}", env!("CARGO")));
        expect_success(make.current_dir(root()));
        folder
    })
}

/// The program compiled from `source`, a path below the root.
fn compile(compiler: &str, source: &str, linking: Linking, more: &[&str]) -> PathBuf {
    let folder = libraries();
    let stem = Path::new(source).file_stem().unwrap().to_str().unwrap();
    let name = format!("{stem}-{compiler}-{linking:?}{}", more.concat().replace(['=', '/'], "-"));
    let program = folder.join("programs").join(name);
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    let mut cc = Command::new(compiler);
    // The language by name, since every source is `.c`: what comes after it is not a source.
    let is_cpp = CPP_COMPILERS.contains(&compiler);
    let (standard, language) = if is_cpp { ("-std=c++11", "c++") } else { ("-std=gnu99", "c") };
    cc.current_dir(root()).args([standard, "-O1", "-g", "-Iinclude"]).args(WARNINGS);
    cc.args(more).arg("-o").arg(&program).args(["-x", language, source, "-x", "none"]);
    match linking {
        Linking::Shared => {
            cc.arg("-L").arg(folder).arg("-lepollite");
            cc.arg(format!("-Wl,-rpath,{}", folder.display()));
        }
        Linking::Archive => drop(cc.arg(folder.join("libepollite.a"))),
        Linking::Static => drop(cc.arg(folder.join("libepollite.a")).arg("-static")),
    }
    expect_success(cc.arg("-pthread"));
    program
}

fn expect_success(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    output
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(expect_success(command).stdout).unwrap()
}
