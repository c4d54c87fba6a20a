//! **blocking**: one thread, one client at a time, and every call waits.
//!
//! What it teaches: the calls of a server in their order, and nothing else: socket, bind, listen;
//! accept, recv, send, close; accept again. Read it first.
//!
//! What it costs: two system calls an echo, as little as there is; and that everybody else waits.
//! The second client connects at once, for the kernel's queue takes it in, and may even send; it
//! is answered when the first has left.
//!
//! Where it breaks: one client that says nothing stops the server. So does one that never reads:
//! send(2) waits for room that never comes. Nobody is let in meanwhile, and once the queue is full
//! the kernel drops further connects without a word.

use std::sync::Arc;
use std::time::Duration;

use epollite::Errno;

use super::porter::House;
use super::stage::{BUFFER_BYTES, Stage};
use super::{sockets, straight, sys};
use crate::echo::failed;
use crate::failure::Failure;
use crate::meter::Meter;
use crate::report::Snapshot;
use crate::tell;

/// Out of descriptors or memory, or nothing but errors: so long until we ask again.
const RETRY: Duration = Duration::from_millis(250);

/// Serves a listener until the porter has shut it.
pub(super) fn run<K: Meter>(house: &Arc<House>, mut stage: Stage<K>) -> Result<Snapshot, Failure> {
    let mut buf = vec![0; BUFFER_BYTES];
    let (mut told, mut gone) = (None, sockets::Gone::default());
    sys::set_blocking(&mut stage.kernel, &house.door).map_err(|errno| failed("ioctl", errno))?;
    for number in 1.. {
        stage.settle();
        match stage.kernel.accept4(&house.door) {
            Ok((socket, peer)) => {
                gone.over();
                let pass = house.enter(&mut stage.kernel, socket);
                straight::serve(&mut stage, pass, &peer, number, &mut buf);
            }
            // It says EINVAL when the porter has shut the door.
            Err(_) if house.is_leaving() => break,
            Err(errno) if errno.interrupted() => {}
            Err(errno) if errno.transient_accept() && !gone.again() => stage.stats.aborted += 1,
            Err(errno @ (Errno::EINVAL | Errno::EBADF)) => return Err(failed("accept4", errno)),
            Err(errno) => {
                stage.stats.pauses += 1;
                tell::paused(&stage.log, &mut told, Some(errno), 0);
                std::thread::sleep(RETRY);
            }
        }
    }
    stage.settle();
    Ok(house.ledger.sum())
}

/// The same for datagrams, where one client at a time is no loss: each is one call to receive
/// and one to send, and nobody stays.
pub(super) fn run_datagrams<K: Meter>(
    house: &Arc<House>,
    mut stage: Stage<K>,
) -> Result<Snapshot, Failure> {
    let mut buf = vec![0; BUFFER_BYTES];
    let socket = &house.door;
    sys::set_blocking(&mut stage.kernel, socket).map_err(|errno| failed("ioctl", errno))?;
    let name = stage.kernel.getsockname(socket).map_err(|errno| failed("getsockname", errno))?;
    let own: Vec<u16> = name.port().into_iter().collect();
    let mut gone = sockets::Gone::default();
    while !house.is_leaving() {
        stage.settle();
        // An error here is of an earlier answer: it is counted, and gone. So many are not.
        if sockets::answer(&mut stage, socket, &own, &mut buf) {
            gone.over();
        } else if gone.again() {
            std::thread::sleep(RETRY);
        }
    }
    stage.settle();
    Ok(house.ledger.sum())
}
