//! Checks that every installed peer is a correct echo server: byte for byte, with many clients at
//! once, and half-close. Performance is not tested.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use epollite_bench::case::{self, Case};
use epollite_bench::schema::Origin;
use epollite_bench::server::{Cores, Endpoint, Server};
use epollite_bench::servers::{Builder, all};

const LONG_BYTES: usize = 16 * 1024 * 1024;
const CLIENTS: usize = 200;

#[test]
fn every_installed_peer_echoes_byte_for_byte() {
    let mut builder = Builder::new(None).expect("a endpoint for peers");
    let cores = Cores::choose().unwrap_or(Cores { server: 0, load: 0 });
    let case = Case::find(case::all(), "ping").expect("a known case");
    let mut checked = 0;
    for entry in all().into_iter().filter(|entry| entry.origin != Origin::Model) {
        let built = match builder.build(&entry) {
            Ok(built) => built,
            Err(why) => {
                // What is installed must build: a server that does not would be left out of every
                // comparison, with one line that is easily overlooked.
                assert!(entry.missing().is_some(), "{}: {why}", entry.name);
                println!("{}: not available: {why}", entry.name);
                continue;
            }
        };
        let command = built.command(&case).expect("every server supports TCP");
        let server = Server::start(&entry.name, command, case.transport, cores)
            .unwrap_or_else(|error| panic!("{}: {error:#}", entry.name));
        let Endpoint::Tcp(address) = *server.endpoint() else { unreachable!("asked for TCP") };
        exchange(&entry.name, address, LONG_BYTES, 7);
        many_clients(&entry.name, address);
        checked += 1;
    }
    assert!(checked >= 8, "the C baselines and the Rust peers need only cargo and cc");
}

fn many_clients(name: &str, address: SocketAddr) {
    thread::scope(|scope| {
        for index in 0..CLIENTS {
            scope.spawn(move || exchange(name, address, 1000 + index * 97, index));
        }
    });
}

/// Sends everything from one thread while another reads; half-closes, and reads to EOF.
fn exchange(name: &str, address: SocketAddr, length: usize, seed: usize) {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{name}: {error}"));
    let sent: Vec<u8> =
        (0..length).map(|at| (at * 31 + at / 251 + seed).to_le_bytes()[0]).collect();
    let mut got = Vec::with_capacity(length);
    thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&sent).unwrap_or_else(|error| panic!("{name}: {error}"));
            stream.shutdown(Shutdown::Write).unwrap_or_else(|error| panic!("{name}: {error}"));
        });
        (&stream).read_to_end(&mut got).unwrap_or_else(|error| panic!("{name}: {error}"));
    });
    assert_eq!(got.len(), sent.len(), "{name}: all of it comes back before the end");
    assert!(got == sent, "{name}: what comes back is what was sent");
}
