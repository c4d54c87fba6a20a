//! What the server asks of the kernel for one client, call by call, in each trigger mode.
//!
//! `cargo run --example trace -- edge` prints what README.md shows; a test keeps them equal.
//! The kernel is the real one, wrapped in `Traced`, so that these are the very calls made.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use epollite::server::stream::{Config, Server};
use epollite::{Linux, Traced, Trigger};

fn main() -> Result<(), Box<dyn Error>> {
    let trigger = match std::env::args().nth(1).as_deref() {
        Some("level") => Trigger::Level,
        Some("edge") => Trigger::Edge,
        Some("oneshot") => Trigger::OneShot,
        _ => return Err("which one: level, edge or oneshot?".into()),
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let config = Config { trigger, ..Config::default() };
    let mut server = Server::<Traced<Linux>>::new(Traced::over(Linux), config)?;
    server.open(listener.into())?;
    show("the door", &mut server);

    let mut client = TcpStream::connect(addr)?;
    settle(&mut server)?;
    show("a client connects", &mut server);

    for word in ["hello", "again"] {
        client.write_all(word.as_bytes())?;
        settle(&mut server)?;
        show(&format!("it sends \"{word}\""), &mut server);
        client.read_exact(&mut [0; 5])?;
    }

    client.shutdown(Shutdown::Write)?;
    settle(&mut server)?;
    show("it has nothing more to say", &mut server);
    Ok(())
}

/// Waits until something has come, and serves it.
fn settle(server: &mut Server<Traced<Linux>>) -> Result<(), Box<dyn Error>> {
    server.turn(None)?;
    Ok(())
}

fn show(title: &str, server: &mut Server<Traced<Linux>>) {
    println!("# {title}");
    for record in server.kernel().take() {
        println!("{}", without_ports(&record.to_string()));
    }
}

/// Ports differ from run to run, and a page that shows them cannot be compared.
fn without_ports(line: &str) -> String {
    let mut parts = line.split("htons(");
    let mut text = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let rest = part.split_once(')').map_or("", |(_, rest)| rest);
        text += &format!("htons(PORT){rest}");
    }
    text
}
