//! The table of sizes in the README: `make size` measures it, a test compares it.
//!
//! Ceilings are in `library.rs` and in `tests/no_std`, that of the program is here, and all are
//! strict. In the table another compiler or linker may move a size by [`TOLERANCE_PERCENT`]: each
//! inlines a little differently.

use std::env;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use super::library::{echo_beyond_plain, exported_functions, linked, loaded_bytes, text_bytes};
use super::{expect_success, libraries, root};

/// Half of what `opt-level` "s" and "z" are apart on the archive, 16 %: two versions of one
/// compiler differ by less than two of its settings.
const TOLERANCE_PERCENT: u64 = 8;

/// What `make build` makes, stripped. 700 KB are the goal. An empty program has 350 KB: it can
/// unwind and print a backtrace, and a panic ends one thread only. The texts of the experiments are
/// 110 KB.
const PROGRAM_BYTES_MAX: u64 = 2_740_000;

const BEGIN: &str = "<!-- sizes: make size -->\n";
const END: &str = "<!-- end of sizes -->\n";

/// What is measured, its bytes, and what compares to it.
type Row = (&'static str, u64, &'static str);

#[test]
fn the_readme_has_the_sizes() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the mark of the sizes");
    let (table, after) = rest.split_once(END).expect("the end of the sizes");
    let rows = measure();
    let measured = table_of(&rows);
    if env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{measured}{END}{after}")).unwrap();
        println!("{measured}");
        return;
    }
    assert_eq!(table.lines().count(), measured.lines().count(), "{measured}");
    for (line, (name, bytes, peers)) in table.lines().skip(2).zip(rows) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!((cells[1], cells[3]), (name, peers), "in the README");
        let shown: u64 = cells[2].replace(',', "").parse().unwrap();
        let is_near = shown.abs_diff(bytes) * 100 <= shown * TOLERANCE_PERCENT;
        assert!(is_near, "{name}: {bytes} bytes, and {shown} in the README: make size");
    }
}

#[test]
fn the_program_is_small() {
    let bytes = program();
    println!("{bytes} bytes");
    assert!(bytes <= PROGRAM_BYTES_MAX, "the program: {bytes} bytes");
}

fn measure() -> Vec<Row> {
    let functions = exported_functions();
    let of = |name: &str, is_in: fn(&str) -> bool| {
        loaded_bytes(&linked(name, functions.iter().filter(|function| is_in(function))))
    };
    let reactor = of("sizes-reactor.o", |name| super::library::REACTOR.contains(&name));
    let sockets = of("sizes-sockets.o", |name| !name.starts_with("epl_echo"));
    let shared = fs::metadata(libraries().join("libepollite.so")).unwrap().len();
    let echo = echo_beyond_plain(text_bytes);
    vec![
        ("`libepollite.a`: the reactor", reactor, "libuv: 1,133,608"),
        ("with sockets and the names of errors", sockets, ""),
        ("with the echo server", of("sizes-all.o", |_| true), ""),
        ("`libepollite.so`, the file", shared, "libuv: 194,000"),
        ("`examples/c/echo.c`: code beyond that of plain C", echo, ""),
        ("`epollite`, the program, stripped", program(), ""),
        ("an echo server in Rust without `std`, the file", no_std_echo(), "mio: 309,984"),
    ]
}

/// The program, built as `make build` does: it may be there already.
fn program() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let mut cargo = cargo();
        cargo.current_dir(root());
        cargo.args(["build", "--locked", "--quiet", "--release", "--bin", "epollite"]);
        expect_success(cargo.arg("--target-dir").arg(root().join("target")));
        let stripped = root().join("target/epollite.stripped");
        let program = root().join("target/release/epollite");
        expect_success(Command::new("strip").arg("-o").args([&stripped, &program]));
        fs::metadata(stripped).unwrap().len()
    })
}

/// Cargo, without what the run of this test has set.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
        cargo.env_remove(name);
    }
    cargo
}

/// The program of tests/consumers that is built alone.
fn no_std_echo() -> u64 {
    let target = root().join("target/consumers/alone");
    let mut cargo = cargo();
    cargo.current_dir(root().join("tests/consumers"));
    cargo.args(["build", "--locked", "--quiet", "--release", "-p", "no_std_echo"]);
    expect_success(cargo.arg("--target-dir").arg(&target));
    fs::metadata(target.join("release/no_std_echo")).unwrap().len()
}

fn table_of(rows: &[Row]) -> String {
    let mut text = "| | bytes | others |\n|---|---:|---:|\n".to_owned();
    for (name, bytes, peers) in rows {
        text += &format!("| {name} | {} | {peers} |\n", grouped(*bytes)).replace("|  |", "| |");
    }
    text
}

/// Thousands, separated by commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
