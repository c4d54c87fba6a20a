//! The peers of an executor scenario: a server with three kinds of echo, and clients that are tasks
//! too. Independent of the scenario.

use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use epollite::executor::{Handle, JoinHandle, Listener, Stream};
use epollite::kernel::Shutdown;
use epollite::sim::Sim;
use epollite::{Addr, Errno};

use crate::scenario::client::byte;
use crate::scenario::server::KernelUnderTest;

pub(super) async fn serve(
    handle: Handle<KernelUnderTest>,
    mut listener: Listener<KernelUnderTest>,
    connections: Rc<RefCell<Vec<JoinHandle<()>>>>,
    echoed: Rc<Cell<usize>>,
) {
    let mut kind = 0;
    while let Ok((client, _)) = listener.accept().await {
        kind += 1;
        let (handle, echoed) = (handle.clone(), Rc::clone(&echoed));
        let connection = handle.clone().spawn(async move {
            // An error closes this connection only.
            let _ = match kind % 3 {
                0 => echo_pooled(client, &echoed).await,
                1 => echo_from_a_buffer(client, &echoed).await,
                _ => echo_with_timeout(&handle, client, &echoed).await,
            };
        });
        connections.borrow_mut().push(connection);
    }
}

async fn echo_pooled(
    mut client: Stream<KernelUnderTest>,
    echoed: &Cell<usize>,
) -> Result<(), Errno> {
    while let Some(bytes) = client.recv_pooled().await? {
        client.write_all(&bytes).await?;
        echoed.set(echoed.get() + bytes.len());
    }
    Ok(())
}

async fn echo_from_a_buffer(
    mut client: Stream<KernelUnderTest>,
    echoed: &Cell<usize>,
) -> Result<(), Errno> {
    let mut buf = [0; 7];
    loop {
        let count = client.recv(&mut buf).await?;
        if count == 0 {
            return client.shutdown(Shutdown::Write);
        }
        client.write_all(&buf[..count]).await?;
        echoed.set(echoed.get() + count);
    }
}

/// Cancels the receive by a timeout again and again, and restarts it: no byte may be lost.
async fn echo_with_timeout(
    handle: &Handle<KernelUnderTest>,
    mut client: Stream<KernelUnderTest>,
    echoed: &Cell<usize>,
) -> Result<(), Errno> {
    loop {
        let timeout = Duration::from_millis(70);
        match handle.timeout(timeout, client.recv_pooled()).await {
            Ok(Ok(Some(bytes))) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let Ok(sent) = handle.timeout(timeout, client.send(rest)).await else {
                        continue;
                    };
                    let count = sent?;
                    rest = &rest[count..];
                    echoed.set(echoed.get() + count);
                }
            }
            Ok(end) => return end.map(drop),
            Err(_) => {}
        }
    }
}

/// A task that is cancelled with its parent. (Otherwise a cancelled client would keep sending, and
/// never read.)
struct Child<T>(JoinHandle<T>);

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Sends the given number of bytes in one task and receives them in another.
pub(super) async fn converse(
    handle: Handle<Sim>,
    addr: Addr,
    id: u64,
    bytes: u64,
) -> Result<(), Errno> {
    let (mut receiver, mut sender) = handle.connect(&addr).await?.split();
    let payload: Vec<u8> = (0..bytes).map(|at| byte(id, at)).collect();
    let wanted = payload.clone();
    let mut send_task = Child(handle.spawn(async move {
        sender.write_all(&payload).await?;
        sender.shutdown(Shutdown::Write)
    }));
    let mut received = 0;
    while let Some(bytes) = receiver.recv_pooled().await? {
        let is_prefix = wanted[received..].starts_with(&bytes);
        assert!(is_prefix, "invariant: output is a prefix of input, at {received}");
        received += bytes.len();
    }
    (&mut send_task.0).await.expect("it is not cancelled")?;
    if received == wanted.len() { Ok(()) } else { Err(Errno::ECONNABORTED) }
}
