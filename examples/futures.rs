//! The combinators of `futures-util` on this executor: the first of several, all of several, one or
//! the other.
//!
//! A future of this crate is an ordinary future: it waits through the waker that it is polled with,
//! so that any combinator works that polls on the task's own thread. Such futures are not `Send`:
//! a combinator that spawns on a thread pool does not take them.

use core::pin::pin;
use core::time::Duration;
use std::error::Error;
use std::net::TcpListener;

use epollite::executor::{Executor, Handle};
use epollite::{Addr, Errno};
use futures_util::future::{self, Either};
use futures_util::stream::{FuturesUnordered, StreamExt};

fn main() -> Result<(), Box<dyn Error>> {
    let mut executor = Executor::new()?;
    let handle = executor.handle();
    let delays = [300, 10, 100].map(Duration::from_millis);
    let mut servers = Vec::new();
    for delay in delays {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        servers.push(listener.local_addr()?.to_string().parse::<Addr>()?);
        drop(handle.spawn(serve(handle.clone(), listener, delay)));
    }
    executor.block_on(async {
        // The first that answers; the others are dropped, which closes their connections.
        let asked = servers.iter().map(|server| Box::pin(ask(&handle, server)));
        let (answer, which, others) = future::select_all(asked).await;
        println!("server {which} was the first: {}", answer?);
        drop(others);

        // All, in the order in which they were asked.
        let answers = future::join_all(servers.iter().map(|server| ask(&handle, server))).await;
        println!("all: {}", answers.into_iter().collect::<Result<Vec<_>, _>>()?.join(", "));

        // All, in the order in which they answer.
        let mut asked: FuturesUnordered<_> =
            servers.iter().map(|server| ask(&handle, server)).collect();
        while let Some(answer) = asked.next().await {
            println!("next: {}", answer?);
        }

        // One or the other: a deadline, here, for which there is also `Handle::timeout`.
        let silent = TcpListener::bind("127.0.0.1:0").map_err(|_| Errno::EADDRINUSE)?;
        let addr = silent.local_addr().map_err(|_| Errno::ENOTSOCK)?.into();
        let sleep = pin!(handle.sleep(Duration::from_millis(50)));
        match future::select(pin!(ask(&handle, &addr)), sleep).await {
            Either::Left((answer, _)) => println!("in time: {}", answer?),
            Either::Right(((), _)) => println!("not in time"),
        }
        Ok::<_, Errno>(())
    })??;
    Ok(())
}

/// Answers each client after a delay.
async fn serve(handle: Handle, listener: TcpListener, delay: Duration) -> Result<(), Errno> {
    let mut listener = handle.listener(listener.into())?;
    loop {
        let (mut client, _) = listener.accept().await?;
        let its_handle = handle.clone();
        drop(handle.spawn(async move {
            its_handle.sleep(delay).await;
            client.write_all(format!("after {delay:?}").as_bytes()).await
        }));
    }
}

async fn ask(handle: &Handle, server: &Addr) -> Result<String, Errno> {
    let mut stream = handle.connect(server).await?;
    let mut answer = [0; 64];
    let len = stream.recv_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
}
