//! A TCP echo server in ten lines: straight-line code for each client, all on one thread.

use epollite::task::Tasks;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = std::net::TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    let mut tasks = Tasks::new()?;
    let handle = tasks.handle();
    tasks.block_on(async {
        let mut door = handle.listener(listener.into())?;
        loop {
            let (mut client, _) = door.accept().await?;
            handle.spawn(async move {
                while let Some(bytes) = client.bytes().await? {
                    client.send_all(&bytes).await?;
                }
                Ok::<_, epollite::Errno>(())
            });
        }
    })?
}
