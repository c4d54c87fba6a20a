//! Users outside the crate, with and without `std`, and every set of features.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The program without `std`, stripped. The size of a hand-made one of this kind is half of it.
const NO_STD_BYTES_MAX: u64 = 16 << 10;

#[test]
fn a_library_without_std_and_a_program_with_it_are_built_together() {
    let folder = build("together", &["-p", "echo_loop", "-p", "std_user"]);
    let output = expect_success(&mut bounded(folder.join("std_user")));
    assert_eq!(output, "near: hello\nfrom the loop: echo!\n");
}

#[test]
fn a_program_without_std_and_without_an_allocator_echoes_and_is_small() {
    let program = build("alone", &["-p", "no_std_echo"]).join("no_std_echo");
    let bytes = std::fs::metadata(&program).unwrap().len();
    println!("no_std_echo {bytes}");
    assert!(bytes <= NO_STD_BYTES_MAX, "{bytes} bytes");
    let mut server = Running(bounded(&program).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().parse().unwrap();
    // More at once than it has room for.
    let mut clients: Vec<TcpStream> =
        (0..70).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()).collect();
    let mut served = 0;
    for client in &mut clients {
        let mut received = Vec::new();
        // One without room is closed: a write or a read may say so.
        let sent = client.write_all(b"hello").and_then(|()| client.shutdown(Shutdown::Write));
        let _ = sent.and_then(|()| client.read_to_end(&mut received).map(drop));
        assert!(received.is_empty() || received == b"hello", "{received:?}");
        served += u32::from(received == b"hello");
    }
    assert!(served >= 64, "{served} connections were served");
}

#[test]
fn every_set_of_features_compiles() {
    let features = ["std", "alloc", "capi", "sim", "study"];
    for set in 0..1_u32 << features.len() {
        let chosen = |(at, _): &(usize, &&str)| set & 1 << at != 0;
        let names: Vec<&str> =
            features.iter().enumerate().filter(chosen).map(|(_, name)| *name).collect();
        let mut cargo = cargo(Path::new(env!("CARGO_MANIFEST_DIR")));
        cargo.args(["check", "--locked", "--quiet", "--lib", "--no-default-features"]);
        cargo.args(["--target-dir", "target/features", "--features", &names.join(",")]);
        cargo.env("RUSTFLAGS", "-D warnings");
        expect_success(&mut cargo);
    }
}

/// The folder of what was built; each has its own, because features are unified in each.
fn build(name: &str, packages: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target/consumers").join(name);
    let mut cargo = cargo(&root.join("tests/consumers"));
    cargo.args(["build", "--locked", "--quiet", "--release"]).args(packages);
    expect_success(cargo.arg("--target-dir").arg(&target));
    target.join("release")
}

/// A cargo that does not know of the one that runs this test.
fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
        cargo.env_remove(name);
    }
    cargo.current_dir(folder);
    cargo
}

/// A command that is ended after a minute: one that hangs must fail.
fn bounded(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "60"]).arg(program.as_ref());
    command
}

fn expect_success(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// A program that is ended in the end, whatever happens: timeout(1) passes the signal on.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}
