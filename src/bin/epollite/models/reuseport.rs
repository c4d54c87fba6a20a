//! **reuseport**: the processes of `prefork`, each with a listener of its own on the same port.
//!
//! What it teaches: `SO_REUSEPORT`. Several sockets of one user may be bound to one port; each has
//! a queue, and the kernel chooses the queue when the connection comes, before anybody wakes. There
//! is no herd and nothing to share. `--steer` says how it chooses:
//!
//! * `hash`: the kernel's own way, by addresses and ports: even, as long as there are many.
//! * `cpu`: by a program of three instructions (classic BPF) that we give it: the processor on
//!   which the packet came in, modulo the workers. With a worker bound to each processor, a
//!   connection never changes processors. (Over loopback it is the client's.)
//! * `random`: by another such program: a number drawn for each connection.
//!
//! At the end, and on SIGUSR1, it prints how the connections were split.
//!
//! What it costs: nothing a connection.
//!
//! Where it breaks: the choice is made early and for good. A worker that is busy has its queue
//! wait while others idle. One that dies has its queue reset: clients who had connected, and had
//! not been accepted, see that. The kernel then chooses among the rest; a program's numbers shift
//! with it, for the last socket takes the place of the one that is gone.

use epollite::Fd;

use super::stage::Stage;
use super::sys::{self, Ancillary};
use crate::echo::failed;
use crate::failure::Failure;
use crate::meter::Meter;
use crate::model::Steer;

/// Gives the kernel the program that chooses among the `count` sockets of this one's port, if
/// it is not to choose by itself. One for all of them.
pub(super) fn steer<K: Meter>(
    stage: &mut Stage<K>,
    socket: &Fd,
    steer: Steer,
    count: u32,
) -> Result<(), Failure> {
    let by = match steer {
        Steer::Hash => return Ok(()),
        Steer::Cpu => Ancillary::Cpu,
        Steer::Random => Ancillary::Random,
    };
    let attached = sys::attach_reuseport_cbpf(&mut stage.kernel, socket, by, count);
    attached.map_err(|errno| failed("setsockopt", errno))
}
