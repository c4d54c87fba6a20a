//! Every peer that is here is an echo server before it is measured: byte for byte, many clients at
//! once, half-closed by them. It does not judge how fast.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use epollite_bench::case::Case;
use epollite_bench::schema::Origin;
use epollite_bench::server::{Cores, Endpoint, Server};
use epollite_bench::servers::{Builder, all};

const LONG_BYTES: usize = 16 * 1024 * 1024;
const CLIENTS: usize = 200;

#[test]
fn every_peer_that_is_here_echoes_byte_for_byte() {
    let mut builder = Builder::new(None).expect("a endpoint for peers");
    let cores = Cores::choose().unwrap_or(Cores { server: 0, load: 0 });
    let case = Case::by_name("ping").expect("a case of ours");
    let mut checked = 0;
    for entry in all().into_iter().filter(|entry| entry.origin != Origin::Model) {
        let built = match builder.build(&entry) {
            Ok(built) => built,
            Err(why) => {
                println!("{}: not here: {why}", entry.name);
                continue;
            }
        };
        let command = built.command(&case).expect("everybody has TCP");
        let server = Server::start(&entry.name, command, case.transport, cores)
            .unwrap_or_else(|error| panic!("{}: {error:#}", entry.name));
        let Endpoint::Tcp(address) = *server.endpoint() else { unreachable!("asked for TCP") };
        converse(&entry.name, address, LONG_BYTES, 7);
        many_at_once(&entry.name, address);
        checked += 1;
    }
    assert!(checked >= 8, "the yardsticks and the Rust peers need nothing that is not here");
}

fn many_at_once(name: &str, address: SocketAddr) {
    thread::scope(|scope| {
        for index in 0..CLIENTS {
            scope.spawn(move || converse(name, address, 1000 + index * 97, index));
        }
    });
}

/// Sends it all from one thread, while another reads; half-closes, and reads to the end.
fn converse(name: &str, address: SocketAddr, length: usize, seed: usize) {
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
