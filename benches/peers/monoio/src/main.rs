//! `monoio PORT uring|epoll`: a task for each client, one thread, on io_uring or on epoll.

use std::io;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port: u16 = arguments.first().and_then(|port| port.parse().ok()).expect("usage: PORT HOW");
    if arguments.get(1).is_some_and(|driver| driver == "uring") {
        RuntimeBuilder::<IoUringDriver>::new().build()?.block_on(serve(port))
    } else {
        RuntimeBuilder::<LegacyDriver>::new().build()?.block_on(serve(port))
    }
}

async fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    loop {
        // A connection aborted in the backlog is not an error of the listener.
        let Ok((stream, _)) = listener.accept().await else { continue };
        monoio::spawn(echo(stream));
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf: Vec<u8> = Vec::with_capacity(64 * 1024);
    loop {
        let (result, read) = stream.read(buf).await;
        if result? == 0 {
            return Ok(());
        }
        let (result, written) = stream.write_all(read).await;
        result?;
        buf = written;
        buf.clear();
    }
}
