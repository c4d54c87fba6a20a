//! Who talks in a day of tasks: a server of three kinds of echo, and clients that are tasks too.
//! They know nothing of the day.

use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use epollite::sim::Sim;
use epollite::task::{Handle, JoinHandle, Listener, Stream};
use epollite::{Addr, Errno, Shut};

use super::Served;

/// The byte that `who` says at `offset`: alike neither between clients nor along one.
pub(super) fn byte(who: usize, offset: usize) -> u8 {
    (who.wrapping_mul(151) ^ offset.wrapping_mul(31) ^ (offset >> 8).wrapping_mul(7)).to_le_bytes()
        [0]
}

pub(super) async fn serve(
    handle: Handle<Served>,
    mut door: Listener<Served>,
    guests: Rc<RefCell<Vec<JoinHandle<()>>>>,
    echoed: Rc<Cell<usize>>,
) {
    let mut kind = 0;
    while let Ok((client, _)) = door.accept().await {
        kind += 1;
        let (handle, echoed) = (handle.clone(), Rc::clone(&echoed));
        let guest = handle.clone().spawn(async move {
            // Its errors end it and concern nobody else.
            let _ = match kind % 3 {
                0 => echo_what_is_lent(client, &echoed).await,
                1 => echo_from_a_buffer(client, &echoed).await,
                _ => echo_impatiently(&handle, client, &echoed).await,
            };
        });
        guests.borrow_mut().push(guest);
    }
}

async fn echo_what_is_lent(mut client: Stream<Served>, echoed: &Cell<usize>) -> Result<(), Errno> {
    while let Some(bytes) = client.bytes().await? {
        client.send_all(&bytes).await?;
        echoed.set(echoed.get() + bytes.len());
    }
    Ok(())
}

async fn echo_from_a_buffer(mut client: Stream<Served>, echoed: &Cell<usize>) -> Result<(), Errno> {
    let mut buf = [0; 7];
    loop {
        let count = client.recv(&mut buf).await?;
        if count == 0 {
            return client.shutdown(Shut::Write);
        }
        client.send_all(&buf[..count]).await?;
        echoed.set(echoed.get() + count);
    }
}

/// Gives up receiving again and again, and begins anew: no byte may be lost by that.
async fn echo_impatiently(
    handle: &Handle<Served>,
    mut client: Stream<Served>,
    echoed: &Cell<usize>,
) -> Result<(), Errno> {
    loop {
        let patience = Duration::from_millis(70);
        match handle.timeout(patience, client.bytes()).await {
            Ok(Ok(Some(bytes))) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let Ok(sent) = handle.timeout(patience, client.send(rest)).await else {
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

/// A task that ends with the one who has spawned it. (Else a client who has gone would still
/// talk, and never listen.)
struct Child<T>(JoinHandle<T>);

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Says so many bytes in one task and hears them in another.
pub(super) async fn converse(
    handle: Handle<Sim>,
    addr: Addr,
    who: usize,
    bytes: usize,
) -> Result<(), Errno> {
    let (mut receiver, mut sender) = handle.connect(&addr).await?.split();
    let words: Vec<u8> = (0..bytes).map(|at| byte(who, at)).collect();
    let wanted = words.clone();
    let mut says = Child(handle.spawn(async move {
        sender.send_all(&words).await?;
        sender.shutdown(Shut::Write)
    }));
    let mut heard = 0;
    while let Some(bytes) = receiver.bytes().await? {
        let is_so = wanted[heard..].starts_with(&bytes);
        assert!(is_so, "law: output is a prefix of input, at {heard}");
        heard += bytes.len();
    }
    (&mut says.0).await.expect("nobody cancels it")?;
    if heard == wanted.len() { Ok(()) } else { Err(Errno::ECONNABORTED) }
}
