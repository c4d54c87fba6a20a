//! **thread**: a thread per client, each of which runs the straight-line code of `blocking`.
//!
//! What it teaches: to wait for many by having many who wait. The scheduler of the kernel does
//! what a loop does in the other models; the code of one client stays two calls, recv and send.
//!
//! What it costs: some 70 µs of processor time to start a thread and end it; 44 KiB of memory for
//! each client once it has spoken, of stack and buffer (more is reserved, and never touched); and
//! each echo is a switch from one thread to another. With 64 busy clients an echo takes half as
//! much processor time again as with epoll, up to twice. Everything that threads share has to be
//! locked: here the list of open sockets.
//!
//! Where it breaks: at the number of threads that the system allows (`ulimit -u`, `pids.max`,
//! memory for stacks). Then no thread can be started, the client is turned away with an orderly
//! end, and the log says so. At `--max-connections` nobody is turned away: further clients wait in the
//! queue. A client that never reads keeps its thread in send(2), and harms nobody else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use epollite::{Addr, Fd};

use super::porter::{House, Pass};
use super::stage::{BUFFER_BYTES, Stage};
use super::{sockets, straight, sys};
use crate::echo::failed;
use crate::failure::Failure;
use crate::meter::{Maker, Meter};
use crate::report::Snapshot;
use crate::tell;

/// Bytes of stack a thread is given. The deepest it gets is a log line.
const STACK_BYTES: usize = 128 << 10;

/// Threads at once, when the user sets no limit: more do not get faster.
pub(super) const GUESTS_MAX: u32 = 8192;

/// Out of descriptors or memory: so long until we accept again.
const RETRY: Duration = Duration::from_millis(250);

/// Serves a listener until the porter has shut it and the last client has left.
pub(super) fn run<K: Meter>(
    house: &Arc<House>,
    mut stage: Stage<K>,
    guests_max: u32,
) -> Result<Snapshot, Failure> {
    let (mut paused, mut turned, mut number) = (None, None, 0);
    let mut gone = sockets::Gone::default();
    sys::set_blocking(&mut stage.kernel, &house.door).map_err(|errno| failed("ioctl", errno))?;
    // What accept4(2) said when somebody has shut the listener.
    let mut dead = None;
    while !house.is_leaving() {
        stage.settle();
        if house.guests() >= guests_max as usize {
            stage.stats.pauses += 1;
            tell::paused(&stage.log, &mut paused, None, guests_max);
            house.wait_for_room(guests_max as usize);
            continue;
        }
        match stage.kernel.accept4(&house.door) {
            Ok((socket, peer)) => {
                number += 1;
                gone.over();
                if let Err((socket, error)) = begin(house, &mut stage, socket, peer, number) {
                    let name = tell::name(&peer, number);
                    let why = format!("no thread for it: {error}");
                    tell::turned_away(&stage.log, &mut turned, &name, &why);
                    sockets::turn_away(&mut stage.kernel, socket, &mut [0; 4096]);
                }
            }
            // It says EINVAL when the porter has shut the door.
            Err(_) if house.is_leaving() => break,
            Err(errno) if errno.interrupted() => {}
            Err(errno) if errno.transient_accept() && !gone.again() => stage.stats.aborted += 1,
            Err(errno) if errno.never_accepts() => {
                tell::listener_failed(&stage.log, errno);
                dead = Some(errno);
                break;
            }
            Err(errno) => {
                stage.stats.pauses += 1;
                tell::paused(&stage.log, &mut paused, Some(errno), guests_max);
                std::thread::sleep(RETRY);
            }
        }
    }
    stage.settle();
    house.wait_for_the_last();
    match dead {
        Some(errno) => Err(failed("accept4", errno)),
        None => Ok(house.ledger.sum()),
    }
}

/// Starts a thread for the client.
///
/// # Errors
/// There is none to be had: the socket comes back, with what the standard library said.
fn begin<K: Meter>(
    house: &Arc<House>,
    stage: &mut Stage<K>,
    socket: Fd,
    peer: Addr,
    number: u64,
) -> Result<(), (Fd, std::io::Error)> {
    let mut own = stage.another(Maker::Thread(number), &house.ledger);
    // Handed over through a slot: what a thread that does not start would have owned falls.
    let slot = Arc::new(Mutex::new(Some(house.enter(&mut stage.kernel, socket))));
    let taken = Arc::clone(&slot);
    let serve = move || {
        if let Some(pass) = take(&taken) {
            straight::serve(&mut own, pass, &peer, number, &mut vec![0; BUFFER_BYTES]);
        }
    };
    match std::thread::Builder::new().stack_size(STACK_BYTES).spawn(serve) {
        Ok(_) => Ok(()),
        Err(error) => match take(&slot).and_then(|mut pass| pass.release()) {
            Some(socket) => Err((socket, error)),
            None => Ok(()),
        },
    }
}

fn take(slot: &Mutex<Option<Pass>>) -> Option<Pass> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}
