//! What is in the libraries: symbols, sizes, and nothing that runs before `main`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Linking, compile, expect_success, libraries, root, stdout};

/// What the shared library may need: calls of the C library that are system calls, memory, and the
/// place of errno.
const IMPORTS: &[&str] = &[
    "__errno_location",
    "accept4",
    "bcmp",
    "bind",
    "clock_gettime",
    "close",
    "connect",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "eventfd",
    "fcntl",
    "free",
    "getpeername",
    "getsockname",
    "getsockopt",
    "inet_ntop",
    "inet_pton",
    "ioctl",
    "listen",
    "malloc",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "realloc",
    "recv",
    "recvfrom",
    "send",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
    "strerror",
    "strlen",
    "syscall",
    "write",
];

/// The same for one that uses the reactor, and neither sockets nor the server nor names of errors.
const REACTOR_LOADED_BYTES_MAX: u64 = 10_600;
/// What a program can get of the archive: code and constants. 32 KB are the goal.
const ARCHIVE_LOADED_BYTES_MAX: u64 = 42_500;
/// The file. 40 KB are the goal.
const SHARED_BYTES_MAX: u64 = 50_600;
/// What `examples/c/echo.c` gets of it: `--gc-sections` leaves out the rest.
const ECHO_LOADED_BYTES_MAX: u64 = 14_200;
/// The same, code alone. Half of it is the sockets with their addresses as text. 4 KB are the goal.
const ECHO_TEXT_BYTES_MAX: u64 = 13_200;

/// The functions that need neither sockets nor the server nor names of errors.
pub(crate) const REACTOR: &[&str] = &[
    "epl_add_timer",
    "epl_cancel_deadline",
    "epl_close",
    "epl_data",
    "epl_deregister",
    "epl_enable_wake",
    "epl_fd",
    "epl_modify",
    "epl_next",
    "epl_next_batch",
    "epl_now",
    "epl_reactor_count",
    "epl_reactor_create",
    "epl_reactor_create_in",
    "epl_reactor_fd",
    "epl_reactor_free",
    "epl_reactor_stale_events",
    "epl_register",
    "epl_requeue",
    "epl_set_data",
    "epl_set_deadline",
    "epl_storage_bytes",
    "epl_wake",
];

#[test]
fn only_the_functions_of_the_header_are_visible() {
    let header = fs::read_to_string(root().join("include/epollite.h")).unwrap();
    for library in ["libepollite.a", "libepollite.so"] {
        let dynamic: &[&str] = if library.ends_with(".so") { &["-D"] } else { &[] };
        let symbols = names(dynamic, "--defined-only", library);
        assert!(symbols.len() >= 40, "{library}: {symbols:?}");
        for symbol in &symbols {
            assert!(header.contains(&format!("{symbol}(")), "{library} exports {symbol}");
        }
    }
    let (archive, shared) = (
        names(&[], "--defined-only", "libepollite.a"),
        names(&["-D"], "--defined-only", "libepollite.so"),
    );
    assert_eq!(archive, shared);
}

#[test]
fn nothing_unexpected_is_imported() {
    let allowed: BTreeSet<String> = IMPORTS.iter().map(|name| (*name).to_owned()).collect();
    for library in ["libepollite.a", "libepollite.so"] {
        let dynamic: &[&str] = if library.ends_with(".so") { &["-D"] } else { &[] };
        let imports = names(dynamic, "--undefined-only", library);
        let weak = [
            "__gmon_start__",
            "_ITM_deregisterTMCloneTable",
            "_ITM_registerTMCloneTable",
            "__cxa_finalize",
            "_GLOBAL_OFFSET_TABLE_",
        ];
        let unexpected: Vec<&String> = imports
            .iter()
            .filter(|name| !allowed.contains(*name) && !weak.contains(&name.as_str()))
            .collect();
        assert!(unexpected.is_empty(), "{library} needs {unexpected:?}");
    }
}

#[test]
fn the_archive_has_no_state() {
    let archive = libraries().join("libepollite.a");
    let sections = stdout(Command::new("readelf").args(["-SW"]).arg(&archive));
    let mut seen = 0;
    for line in sections.lines() {
        // The cells behind the number: name, type, address, offset, size, entry size, flags, ...
        let cells: Vec<&str> = line.split(']').nth(1).unwrap_or("").split_whitespace().collect();
        let [name, kind, _, _, size, _, flags, ..] = cells[..] else { continue };
        let bytes = u64::from_str_radix(size, 16).unwrap_or(0);
        let is_writable = flags.contains('W') && !name.starts_with(".data.rel.ro");
        assert!(!is_writable || bytes == 0, "a writable section: {line}");
        assert!(!flags.contains('T'), "a section for each thread: {line}");
        assert!(!kind.contains("INIT_ARRAY") && name != ".ctors", "a constructor: {line}");
        seen += 1;
    }
    assert!(seen > 20, "{sections}");
}

/// What a panic or a failed allocation of Rust would need.
const PANIC_PATHS: &[&str] = &["panic", "_fail", "handle_error", "handle_alloc_error", "4core3fmt"];

#[test]
fn no_panic_path_is_left() {
    let object = linked("all-names.o", exported_functions().iter());
    let symbols = stdout(Command::new("nm").arg(&object));
    assert!(symbols.lines().count() > 100, "{symbols}");
    for symbol in symbols.lines() {
        let is_panic = PANIC_PATHS.iter().any(|path| symbol.contains(path));
        assert!(!is_panic, "a function of the header, or what it uses, may panic: {symbol}");
    }
}

#[test]
fn a_program_gets_what_it_uses() {
    let functions = exported_functions();
    let all = loaded_bytes(&linked("all.o", functions.iter()));
    let reactor = loaded_bytes(&linked("reactor.o", REACTOR.iter()));
    println!("reactor {reactor}, all {all}");
    assert!(reactor <= REACTOR_LOADED_BYTES_MAX, "the reactor alone: {reactor} bytes");
}

/// The names of the functions of the archive.
pub(crate) fn exported_functions() -> BTreeSet<String> {
    names(&[], "--defined-only", "libepollite.a")
}

/// What is left of cargo's archive when a program uses `functions`, with all names.
pub(crate) fn linked(name: &str, functions: impl Iterator<Item = impl AsRef<str>>) -> PathBuf {
    let object = libraries().join("programs").join(name);
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    let mut ld = Command::new("ld");
    ld.args(["-r", "--gc-sections", "-o"]).arg(&object);
    for function in functions {
        ld.args(["-u", function.as_ref()]);
    }
    expect_success(ld.arg(root().join("target/c-archive/capi/libepollite.a")));
    expect_success(Command::new("objcopy").arg("--remove-section=.eh_frame").arg(&object));
    object
}

#[test]
fn the_libraries_are_small() {
    let archive = loaded_bytes(&libraries().join("epollite.o"));
    assert!(archive <= ARCHIVE_LOADED_BYTES_MAX, "libepollite.a: {archive} bytes");
    let shared = fs::metadata(libraries().join("libepollite.so")).unwrap().len();
    assert!(shared <= SHARED_BYTES_MAX, "libepollite.so: {shared} bytes");
    let echo = echo_beyond_plain(loaded_bytes);
    println!("archive {archive}, shared {shared}, echo {echo}");
    assert!(echo <= ECHO_LOADED_BYTES_MAX, "examples/c/echo.c has {echo} bytes of the library");
    let code = echo_beyond_plain(text_bytes);
    assert!(code <= ECHO_TEXT_BYTES_MAX, "examples/c/echo.c has {code} bytes of code of it");
}

/// How much more `bytes` there are of `examples/c/echo.c` than of the same in plain C.
pub(crate) fn echo_beyond_plain(bytes: fn(&Path) -> u64) -> u64 {
    let options = ["-Os", "-Wl,--gc-sections"];
    let echo = compile("gcc", "examples/c/echo.c", Linking::Archive, &options);
    let plain = compile("gcc", "tests/c_api/plain.c", Linking::Archive, &options);
    bytes(&echo) - bytes(&plain)
}

/// The bytes of code.
pub(crate) fn text_bytes(file: &Path) -> u64 {
    section_bytes(file, |name, _| name == ".text")
}

/// The bytes of the sections that are in memory when the program runs.
pub(crate) fn loaded_bytes(file: &Path) -> u64 {
    section_bytes(file, |_, flags| flags.contains('A'))
}

fn section_bytes(file: &Path, is_counted: impl Fn(&str, &str) -> bool) -> u64 {
    let sections = stdout(Command::new("readelf").args(["-SW"]).arg(file));
    let bytes = sections.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split(']').nth(1)?.split_whitespace().collect();
        let [name, _, _, _, size, _, flags, ..] = cells[..] else { return None };
        if is_counted(name, flags) { u64::from_str_radix(size, 16).ok() } else { None }
    });
    bytes.sum()
}

fn names(more: &[&str], which: &str, library: &str) -> BTreeSet<String> {
    let mut nm = Command::new("nm");
    nm.args(more).args(["-g", which, "--format=posix"]).arg(libraries().join(library));
    let text = stdout(&mut nm);
    let symbols = text.lines().filter_map(|line| line.split_once(' ')).map(|(name, _)| name);
    symbols.map(|name| name.split('@').next().unwrap().to_owned()).collect()
}
