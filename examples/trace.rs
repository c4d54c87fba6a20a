//! The server's system calls for one client, call by call, in each trigger mode.
//!
//! `cargo run --example trace -- edge` prints what README.md shows; a test keeps them equal.
//! The kernel is the real one, wrapped in `Tracer`, so these are the calls really made.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use epollite::instrument::Tracer;
use epollite::server::stream::{StreamConfig, StreamServer};
use epollite::{Linux, Trigger};

fn main() -> Result<(), Box<dyn Error>> {
    let trigger = match std::env::args().nth(1).as_deref() {
        Some("level") => Trigger::Level,
        Some("edge") => Trigger::Edge,
        Some("oneshot") => Trigger::OneShot,
        _ => return Err("usage: trace level|edge|oneshot".into()),
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let config = StreamConfig { trigger, ..StreamConfig::default() };
    let mut server = StreamServer::<Tracer<Linux>>::new(Tracer::new(Linux), config)?;
    server.add_listener(listener.into())?;
    show("the listener", &mut server);

    let mut client = TcpStream::connect(addr)?;
    run_once(&mut server)?;
    show("a client connects", &mut server);

    for word in ["hello", "again"] {
        client.write_all(word.as_bytes())?;
        run_once(&mut server)?;
        show(&format!("it sends \"{word}\""), &mut server);
        client.read_exact(&mut [0; 5])?;
    }

    client.shutdown(Shutdown::Write)?;
    run_once(&mut server)?;
    show("it half-closes the connection", &mut server);
    Ok(())
}

/// Waits for events, and serves them.
fn run_once(server: &mut StreamServer<Tracer<Linux>>) -> Result<(), Box<dyn Error>> {
    server.run_once(None)?;
    Ok(())
}

fn show(title: &str, server: &mut StreamServer<Tracer<Linux>>) {
    println!("# {title}");
    for record in server.kernel().drain() {
        println!("{}", without_ports(&record.to_string()));
    }
}

/// Removes port numbers, which differ from run to run, so that the output can be compared.
fn without_ports(line: &str) -> String {
    let mut parts = line.split("htons(");
    let mut text = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let rest = part.split_once(')').map_or("", |(_, rest)| rest);
        text += &format!("htons(PORT){rest}");
    }
    text
}
