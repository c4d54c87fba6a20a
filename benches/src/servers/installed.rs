//! Checks whether a server's tools are installed; a missing one is reported in one line with the
//! command that installs it. It builds nothing, and hides the output of compilers and interpreters.

use super::build::{Toolchain, compiler};
use crate::command;

/// The missing tool, if any.
pub(super) fn missing(toolchain: Toolchain) -> Option<String> {
    let absent = |what: &str, package: &str| Some(format!("{what} is not installed: {package}"));
    match toolchain {
        Toolchain::None => None,
        Toolchain::Epollite | Toolchain::Cargo(_) if works("cargo", &["--version"]) => None,
        Toolchain::Epollite | Toolchain::Cargo(_) => absent("cargo", "https://rustup.rs"),
        Toolchain::BaselineC | Toolchain::Cc(_) if !works(&compiler(), &["--version"]) => {
            absent("a C compiler", "apt-get install gcc libc6-dev")
        }
        Toolchain::BaselineC => None,
        Toolchain::Cc(library) if has_header(library) => None,
        Toolchain::Cc(library) => {
            absent(&format!("lib{library}"), &format!("apt-get install {}", package(library)))
        }
        Toolchain::Python(_) if !works("python3", &["--version"]) => {
            absent("python3", "apt-get install python3")
        }
        Toolchain::Python(module) if works("python3", &["-c", &format!("import {module}")]) => None,
        Toolchain::Python(module) => {
            absent(&format!("{module} of python3"), &format!("apt-get install python3-{module}"))
        }
        Toolchain::Go if works("go", &["version"]) => None,
        Toolchain::Go => absent("go", "apt-get install golang-go"),
        Toolchain::Node if works("node", &["--version"]) => None,
        Toolchain::Node => absent("node", "apt-get install nodejs"),
    }
}

/// Debian's package of a library's header.
fn package(library: &str) -> String {
    // libuv has its major version in the name.
    if library == "uv" { "libuv1-dev".to_owned() } else { format!("lib{library}-dev") }
}

/// Whether the compiler finds the header of a library.
fn has_header(library: &str) -> bool {
    works(&compiler(), &["-E", "-include", &format!("{library}.h"), "-x", "c", "/dev/null"])
}

fn works(program: &str, arguments: &[&str]) -> bool {
    command::run(program, arguments).is_ok()
}
