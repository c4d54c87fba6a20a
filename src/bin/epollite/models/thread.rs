//! **thread**: a thread per client, each of which runs the straight-line code of `blocking`.
//!
//! What it teaches: waiting for many clients with one blocked thread for each. The kernel's
//! scheduler does what an event loop does in the other models; the code of one client stays two
//! calls, recv and send.
//!
//! What it costs: some 70 µs of processor time to start and end a thread; 44 KiB of stack and
//! buffer for each client once it has sent data (more is reserved, and never touched); and each
//! echo is a context switch between threads. With 64 busy clients an echo takes 1.5 to 2 times the
//! processor time of epoll. Everything that threads share needs a lock: here the list of open
//! sockets.
//!
//! Where it breaks: at the number of threads that the system allows (`ulimit -u`, `pids.max`,
//! memory for stacks). Then no thread can be started, the connection is closed in order without
//! being served, and the log reports it. At `--max-connections` no client is rejected: further
//! clients wait in the backlog. A client that never reads blocks its own thread in send(2), and
//! affects no other client.

use std::sync::{Arc, Mutex, PoisonError};

use epollite::collections::RecvBuffer;
use epollite::kernel::close_quietly;
use epollite::reactor::RETRY_DELAY;
use epollite::{Addr, Fd};

use super::context::{BUFFER_BYTES, WorkerContext};
use super::signal_thread::{ConnectionRegistry, Registration};
use super::sockets::{self, AcceptError, Acceptor};
use super::sys::ModelSyscalls as _;
use crate::echo::client_log;
use crate::echo::stats::StatsSnapshot;
use crate::exit::{CliError, failed, syscall_failure};
use crate::instrument::InstrumentedKernel;
use crate::instrument::origin::TraceOrigin;

/// Stack size of a thread in bytes. The deepest call formats a log line.
const STACK_BYTES: usize = 128 << 10;

/// Concurrent threads when the user sets no limit: more do not increase throughput.
pub(super) const THREADS_MAX: u32 = 8192;

/// Serves a listener until the signal thread interrupts it, then what is in its backlog, and waits
/// until the last client has closed.
pub(super) fn run<K: InstrumentedKernel>(
    registry: &Arc<ConnectionRegistry>,
    mut context: WorkerContext<K>,
    listener: Fd,
    connections_max: u32,
) -> Result<StatsSnapshot, CliError> {
    let (mut acceptor, mut number) = (Acceptor::default(), 0);
    context.kernel.set_blocking(&listener).map_err(failed("ioctl"))?;
    // The errno of accept4(2) if the listener was shut down from outside.
    let mut accept_error = None;
    while !registry.is_shutting_down() {
        context.flush_stats();
        if registry.connection_count() >= connections_max as usize {
            acceptor.pause(&mut context, None, connections_max);
            registry.wait_for_capacity(connections_max as usize);
            continue;
        }
        match context.kernel.accept4(&listener) {
            Ok((socket, peer)) => {
                number += 1;
                acceptor.succeeded();
                serve(registry, &mut context, &mut acceptor, (socket, peer), number);
            }
            Err(errno) if errno.is_interrupted() => {}
            Err(errno) => match acceptor.failed(&mut context, errno) {
                AcceptError::Aborted => {}
                AcceptError::ListenerFailed => {
                    accept_error = Some(errno);
                    break;
                }
                AcceptError::Paused => std::thread::sleep(RETRY_DELAY),
            },
        }
    }
    registry.stopped_accepting();
    let has_room =
        || registry.connection_count() < connections_max as usize && !registry.is_expired();
    if has_room() {
        sockets::drain_backlog(&mut context, listener, |context, socket, peer| {
            number += 1;
            serve(registry, context, &mut acceptor, (socket, peer), number);
            has_room()
        });
    } else {
        close_quietly(&mut context.kernel, listener);
    }
    context.flush_stats();
    registry.wait_until_empty();
    match accept_error {
        Some(errno) => Err(syscall_failure("accept4", errno)),
        None => Ok(registry.counters.sum()),
    }
}

/// Starts a thread for the client, or rejects it.
fn serve<K: InstrumentedKernel>(
    registry: &Arc<ConnectionRegistry>,
    context: &mut WorkerContext<K>,
    acceptor: &mut Acceptor,
    (socket, peer): (Fd, Addr),
    number: u64,
) {
    if let Err((socket, error)) = spawn_thread(registry, context, socket, peer, number) {
        let name = client_log::client_name(&peer, number);
        let why = format!("no thread for it: {error}");
        acceptor.reject(context, socket, &name, &why);
    }
}

/// Starts a thread for the client.
///
/// # Errors
/// No thread could be started: returns the socket and the error of the standard library.
fn spawn_thread<K: InstrumentedKernel>(
    registry: &Arc<ConnectionRegistry>,
    context: &mut WorkerContext<K>,
    socket: Fd,
    peer: Addr,
    number: u64,
) -> Result<(), (Fd, std::io::Error)> {
    let mut own = context.for_worker(TraceOrigin::Thread(number), &registry.counters);
    // Passed through a slot: a closure that never starts would drop the registration it owns.
    let slot = Arc::new(Mutex::new(Some(registry.register(&mut context.kernel, socket))));
    let taken = Arc::clone(&slot);
    let serve = move || {
        if let Some(registration) = take_registration(&taken) {
            own.serve(registration, &peer, number, &mut RecvBuffer::new(BUFFER_BYTES));
        }
    };
    match std::thread::Builder::new().stack_size(STACK_BYTES).spawn(serve) {
        Ok(_) => Ok(()),
        Err(error) => {
            match take_registration(&slot).and_then(|mut registration| registration.release()) {
                Some(socket) => Err((socket, error)),
                None => Ok(()),
            }
        }
    }
}

fn take_registration(slot: &Mutex<Option<Registration>>) -> Option<Registration> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}
