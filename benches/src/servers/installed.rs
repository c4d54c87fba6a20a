//! Checks whether a server's tools are installed; a missing one is reported in one line with the
//! command that installs it. It builds nothing, and hides the output of compilers and interpreters.

use super::build::{Toolchain, compiler};
use crate::command;

/// The missing tool, if any.
pub(super) fn missing(toolchain: Toolchain) -> Option<String> {
    let version = &["--version"][..];
    let needs = |program: &str, arguments: &[&str], what: &str, how: &str| {
        let is_installed = command::run(program, arguments).is_ok();
        (!is_installed).then(|| format!("{what} is not installed: {how}"))
    };
    let debian = |program, arguments: &[&str], what: &str, package: &str| {
        needs(program, arguments, what, &format!("apt-get install {package}"))
    };
    let cc = compiler();
    let c_compiler = || debian(&cc, version, "a C compiler", "gcc libc6-dev");
    match toolchain {
        Toolchain::None => None,
        Toolchain::Epollite | Toolchain::Cargo(_) => {
            needs("cargo", version, "cargo", "https://rustup.rs")
        }
        Toolchain::BaselineC => c_compiler(),
        Toolchain::Cc("glib") => c_compiler().or_else(|| {
            debian("pkg-config", &["--exists", "gio-2.0"], "GLib", "libglib2.0-dev pkg-config")
        }),
        Toolchain::Cc(library) => c_compiler().or_else(|| {
            let header = format!("{}.h", library.trim_start_matches("lib"));
            let preprocess = ["-E", "-include", &header, "-x", "c", "/dev/null"];
            debian(&cc, &preprocess, library, &package(library))
        }),
        Toolchain::Python(module) => {
            debian("python3", version, "python3", "python3").or_else(|| {
                let import = ["-c", &format!("import {module}")];
                let package = format!("python3-{module}");
                debian("python3", &import, &format!("{module} of python3"), &package)
            })
        }
        Toolchain::Go => debian("go", &["version"], "go", "golang-go"),
        Toolchain::Node => debian("node", version, "node", "nodejs"),
        Toolchain::Java => debian("javac", version, "java", "default-jdk-headless"),
        // It has no --version, and its shell would wait for input.
        Toolchain::Tcl => debian("tclsh", &["/dev/null"], "tclsh", "tcl"),
    }
}

/// Debian's package of a library's header.
fn package(library: &str) -> String {
    // libuv has its major version in the name.
    if library == "libuv" { "libuv1-dev".to_owned() } else { format!("{library}-dev") }
}
