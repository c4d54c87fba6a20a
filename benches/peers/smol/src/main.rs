//! `smol PORT`: a task for each client on smol's local executor, one thread beside its reactor's.

use std::io;
use std::net::Ipv4Addr;

use smol::LocalExecutor;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let port: u16 =
        std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("usage: PORT");
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            // A connection aborted in the backlog is not an error of the listener.
            let Ok((stream, _)) = listener.accept().await else { continue };
            executor.spawn(echo(stream)).detach();
        }
    }))
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = vec![0; 64 * 1024];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..n]).await?;
    }
}
