//! A TCP echo server in ten lines: sequential code for each client, all on one thread.

use epollite::executor::Executor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = std::net::TcpListener::bind(addr)?;
    println!("listening on {}", listener.local_addr()?);
    let mut executor = Executor::new()?;
    let handle = executor.handle();
    executor.block_on(async {
        let mut listener = handle.listener(listener.into())?;
        loop {
            let (mut client, _) = listener.accept().await?;
            handle.spawn(async move {
                while let Some(bytes) = client.recv_pooled().await? {
                    client.write_all(&bytes).await?;
                }
                Ok::<_, epollite::Errno>(())
            });
        }
    })?
}
