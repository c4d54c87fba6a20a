//! Other event loops: the reactor inside libuv, GLib and asyncio, and libuv inside the reactor.

use std::path::PathBuf;
use std::process::Command;

use super::examples::bounded;
use super::{COMPILERS, Linking, compile, libraries, root, stdout};

/// The flags for a library of Debian's.
fn flags(library: &str) -> Vec<String> {
    let output = Command::new("pkg-config").args(["--cflags", "--libs", library]).output();
    let output = output.expect("pkg-config; `make tools` installs it");
    assert!(output.status.success(), "{library} is missing; `make tools` installs it");
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
}

/// What a program prints that was compiled with a library of another loop.
fn printed(compiler: &str, source: &str, library: &str) -> String {
    stdout(&mut bounded(built(compiler, source, library, Linking::Shared, &[])))
}

fn built(compiler: &str, source: &str, library: &str, linking: Linking, more: &[&str]) -> PathBuf {
    // The library's flags come before the source: it must be kept all the same.
    let flags = flags(library);
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.insert(0, "-Wl,--no-as-needed");
    // libuv's header is not of the strictest kind.
    flags.push("-Wno-pedantic");
    flags.extend(more);
    compile(compiler, source, linking, &flags)
}

#[test]
fn libuv_and_glib_wait_for_the_reactor() {
    for compiler in COMPILERS {
        for (source, library, name) in [
            ("examples/c/in_libuv.c", "libuv", "libuv"),
            ("examples/c/in_glib.c", "glib-2.0", "GLib"),
        ] {
            let expected =
                format!("{name}'s timer\nthe reactor received hello\nthe reactor's timer\n");
            assert_eq!(printed(compiler, source, library), expected, "{source}");
        }
    }
}

#[test]
fn the_reactor_waits_for_libuv() {
    for compiler in COMPILERS {
        let expected = "libuv's timer\nthe reactor received hello\nlibuv received hello: 0 1\n";
        assert_eq!(printed(compiler, "examples/c/libuv_inside.c", "libuv"), expected);
    }
}

#[test]
fn no_tool_finds_a_wrong_use_of_memory_in_loops() {
    for (source, library) in [
        ("examples/c/in_libuv.c", "libuv"),
        ("examples/c/in_glib.c", "glib-2.0"),
        ("examples/c/libuv_inside.c", "libuv"),
    ] {
        let program = built("gcc", source, library, Linking::Archive, &[]);
        let mut valgrind = bounded("valgrind");
        valgrind.args(["-q", "--error-exitcode=99", "--leak-check=full", "--track-fds=no"]);
        stdout(valgrind.arg(program));
        for compiler in COMPILERS {
            let sanitizers = ["-fsanitize=address,undefined"];
            let program = built(compiler, source, library, Linking::Archive, &sanitizers);
            stdout(&mut bounded(program));
        }
    }
}

#[test]
fn asyncio_waits_for_the_reactor() {
    let mut python = bounded("python3");
    python.arg(root().join("examples/c/in_asyncio.py"));
    let printed = stdout(python.arg(libraries().join("libepollite.so")));
    assert_eq!(printed, "asyncio's timer\nthe reactor received hello\nthe reactor's timer\n");
}
