//! **coroutine**: one thread, and straight-line code for each client: receive, send, again.
//!
//! What it teaches: that the code of `blocking` can serve everybody at once. Look at `converse`:
//! it is the same two calls in the same loop, as if the client were alone. Only where it would
//! have to wait stands an `.await`, and there it hands the thread on; a reactor goes on with
//! whoever can. Threads without threads: nobody is interrupted, so nothing is locked.
//!
//! What it costs: an echo is three calls as with `epoll-edge`, plus some hundreds of instructions
//! for finding the task and going on in its middle: a percent or two. Memory is what the code
//! keeps across an `.await`, some hundred bytes a client; a thread keeps a stack.
//!
//! Where it breaks: whoever computes for a second, or calls something that waits in the kernel,
//! makes all wait, since nobody takes the thread away from it. And each function on the way to an
//! `.await` must be `async` too. What a coroutine is, and how this kind differs from one with a
//! stack of its own, is told in the library's `task`.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use epollite::kernel::recv_datagram;
use epollite::server::stream::Left;
use epollite::task::{Config, Datagram, Late, Lent, Listener, Side, Stream, Tasks};
use epollite::{Addr, Errno, Fd, Kernel, Message, Shut};

use super::crowd::Rules;
use super::lodge::{Lodge, hear};
use super::patience::{LOOKS, SendQueue};
use super::sockets::Gone;
use super::stage::{BUFFER_BYTES, Stage};
use crate::echo::failed;
use crate::failure::Failure;
use crate::listen::Bound;
use crate::meter::Meter;
use crate::report::Snapshot;
use crate::tell;

/// A datagram socket that gives nothing but errors: so long until it is asked again.
const RETRY: Duration = Duration::from_millis(250);

/// How long a client that *we* end has to end its side.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that are read at once, and so the most that one client can make us hold: as many as the
/// reactor's own server reads. Lent while there is something in them, so an idle client has none.
const LENT_BYTES: NonZeroUsize = const { NonZeroUsize::new(256 << 10).expect("it is not zero") };

/// Datagrams that are answered after we have begun to leave: they may have arrived before.
const DRAINED_MAX: u32 = 64;

/// Serves until a signal has ended it.
pub(super) fn run<K: Meter>(
    mut stage: Stage<K>,
    signals: Fd,
    bounds: Vec<Bound>,
    rules: Rules,
) -> Result<Snapshot, Failure> {
    // From here on the calls are made by the tasks' reactor.
    let kernel = std::mem::replace(&mut stage.kernel, K::fresh());
    let config = Config { buffer_bytes: LENT_BYTES, ..Config::default() };
    let mut tasks =
        Tasks::with_config(kernel, config).map_err(|errno| failed("epoll_create1", errno))?;
    let handle = tasks.handle();
    let lodge = Lodge::new(stage, handle.clone(), rules);
    let refused = |errno| failed("epoll_ctl", errno);
    for bound in bounds {
        if bound.transport == "udp" {
            let name = handle.kernel(|kernel| kernel.getsockname(&bound.fd));
            let is_wildcard =
                name.is_ok_and(|name| name.ip().is_some_and(|ip| ip.is_unspecified()));
            lodge.own_port(name.ok().and_then(|name| name.port()));
            let socket = handle.datagram(bound.fd).map_err(refused)?;
            handle.spawn(answer_datagrams(Rc::clone(&lodge), socket, is_wildcard));
        } else {
            let door = handle.listener(bound.fd).map_err(refused)?;
            handle.spawn(keep_door(Rc::clone(&lodge), door));
        }
        lodge.own_file(bound.file);
    }
    let signals = handle.watch(signals).map_err(refused)?;
    handle.spawn(hear(Rc::clone(&lodge), signals));
    // Who hears the signals never leaves; when all others have, it is over.
    while handle.tasks() > 1 && !lodge.has_lost_patience() {
        tasks.turn(lodge.patience()).map_err(|errno| failed("epoll_wait", errno))?;
        lodge.look();
    }
    // Whoever is still here is cut off: dropped, and so closed.
    drop(tasks);
    lodge.look();
    match lodge.failed.get().filter(|_| !lodge.is_leaving()) {
        Some(errno) => Err(failed("accept4", errno)),
        None => Ok(lodge.snapshot()),
    }
}

/// A listener: lets in whoever comes, and begins a task for each.
async fn keep_door<K: Meter>(lodge: Rc<Lodge<K>>, mut door: Listener<K>) {
    lodge.register_door().await;
    let mut gone = Gone::default();
    loop {
        lodge.room().await;
        let came = lodge.unless_leaving(door.accept_once()).await;
        match came {
            Some(Ok((client, peer))) => {
                gone.over();
                begin(&lodge, client, peer);
            }
            // That one is gone: on with the next.
            Some(Err(errno)) if errno.transient_accept() && !gone.again() => {
                lodge.stage().stats.aborted += 1;
                // If they are gone one after the other, the others are to have their turn.
                lodge.handle.yield_now().await;
            }
            Some(Err(errno)) if errno.never_accepts() => {
                tell::listener_failed(&lodge.log, errno);
                lodge.failed.set(Some(errno));
                return;
            }
            Some(Err(errno)) => {
                lodge.tell_pause(Some(errno));
                lodge.unless_leaving(door.pause()).await;
            }
            None => break,
        }
    }
    // Who has queued by now is let in; then the door is dropped, and so closed.
    while let Some(came) = lodge.at_once(door.accept_once()).await {
        match came {
            Ok((client, peer)) => begin(&lodge, client, peer),
            Err(errno) if errno.transient_accept() && !gone.again() => {}
            Err(_) => break,
        }
    }
}

/// Begins one client's task: from the first word to the last. A block, not an `async fn`: that
/// would keep its arguments twice, as they came and as they are used.
fn begin<K: Meter>(lodge: &Rc<Lodge<K>>, mut client: Stream<K>, peer: Addr) {
    let number = lodge.enter();
    let name = lodge.log.is_verbose.then(|| Box::new((tell::name(&peer, number), 0)));
    if let Some(named) = &name {
        tell::connected(&lodge.log, &named.0);
    }
    let mut visit = Visit { lodge: Rc::clone(lodge), number, name };
    lodge.handle.spawn(async move {
        visit.lodge.register(visit.number).await;
        let why = converse(&mut visit, &mut client).await.unwrap_or_else(Left::Failed);
        // Closed before anybody hears that there is room again.
        drop(client);
        visit.lodge.left(visit.number, why);
        if let Some((name, bytes)) = visit.name.as_deref() {
            tell::left(&visit.lodge.log, name, *bytes, why);
        }
    });
}

/// What is known of a client while it is here.
struct Visit<K: Meter> {
    lodge: Rc<Lodge<K>>,
    number: u64,
    /// What it is called, and what it has sent; only when that is told.
    name: Option<Box<(String, u64)>>,
}

async fn converse<K: Meter>(visit: &mut Visit<K>, client: &mut Stream<K>) -> Result<Left, Errno> {
    let idle = visit.lodge.rules.idle;
    loop {
        let lodge = &visit.lodge;
        let heard = match idle {
            None => Some(lodge.unless_leaving(client.bytes()).await),
            // Boxed, so that clients without an idle time need no room for it.
            Some(idle) => Box::pin(hear_in_time(lodge, client, idle)).await,
        };
        match heard {
            Some(Some(bytes)) => match bytes? {
                Some(bytes) => {
                    visit.count(bytes.len());
                    match idle {
                        None => client.send_all(&bytes).await?,
                        Some(idle) => {
                            let all = send_in_time(&visit.lodge, client, &bytes, idle);
                            // It reads nothing: then there is no orderly end.
                            let Some(sent) = Box::pin(all).await else { return Ok(Left::Idle) };
                            sent?;
                        }
                    }
                    visit.lodge.stage().stats.bytes_out += bytes.len() as u64;
                }
                None => return Ok(Left::Closed),
            },
            // Boxed too: it comes once, and room for it would be kept all the time.
            Some(None) => return Box::pin(take_leave(visit, client)).await,
            None => {
                Box::pin(show_out(&visit.lodge, client)).await?;
                return Ok(Left::Idle);
            }
        }
    }
}

/// The next bytes of a client, or that the server leaves; `None` when it has been silent for
/// `idle`, and takes nothing of what was sent to it either.
async fn hear_in_time<K: Meter>(
    lodge: &Lodge<K>,
    client: &mut Stream<K>,
    idle: Duration,
) -> Option<Option<Result<Option<Lent>, Errno>>> {
    let (mut queue, mut span) = (SendQueue::default(), idle);
    loop {
        let next = lodge.unless_leaving(client.bytes());
        if let Ok(heard) = lodge.handle.timeout(span, next).await {
            return Some(heard);
        }
        if queue.is_stuck(unsent_bytes(client), LOOKS) {
            return None;
        }
        span = SendQueue::pause(idle);
    }
}

/// Sends all of `bytes`; `None` when the client has taken nothing for `idle`.
async fn send_in_time<K: Meter>(
    lodge: &Lodge<K>,
    client: &mut Stream<K>,
    bytes: &[u8],
    idle: Duration,
) -> Option<Result<(), Errno>> {
    let mut rest = bytes;
    let mut queue = SendQueue::default();
    while !rest.is_empty() {
        match lodge.handle.timeout(SendQueue::pause(idle), client.send(rest)).await {
            Ok(Ok(count)) => {
                rest = &rest[count..];
                queue = SendQueue::default();
            }
            Ok(Err(errno)) => return Some(Err(errno)),
            Err(Late) if queue.is_stuck(unsent_bytes(client) + rest.len(), LOOKS) => return None,
            Err(Late) => {}
        }
    }
    Some(Ok(()))
}

/// What is left in a client's send queue; nothing where the kernel does not tell.
fn unsent_bytes<K: Meter>(client: &mut Stream<K>) -> usize {
    client.watched().with(Kernel::ioctl_outq).unwrap_or(0)
}

/// We leave: what has arrived by now is answered.
async fn take_leave<K: Meter>(visit: &mut Visit<K>, client: &mut Stream<K>) -> Result<Left, Errno> {
    while let Some(bytes) = visit.lodge.at_once(client.bytes()).await {
        let Some(bytes) = bytes? else { return Ok(Left::Closed) };
        visit.count(bytes.len());
        client.send_all(&bytes).await?;
        visit.lodge.stage().stats.bytes_out += bytes.len() as u64;
    }
    show_out(&visit.lodge, client).await?;
    Ok(Left::Closed)
}

impl<K: Meter> Visit<K> {
    fn count(&mut self, bytes: usize) {
        let mut stage = self.lodge.stage();
        stage.stats.bytes_in += bytes as u64;
        stage.stats.echoes += 1;
        if let Some(named) = &mut self.name {
            named.1 += bytes as u64;
            tell::said(&self.lodge.log, &named.0, bytes);
        }
    }
}

/// We end it: our direction is shut, and what still comes is read and thrown away until the
/// client has ended too. To close over unread input would send a reset, and destroy the echo
/// that is on its way.
async fn show_out<K: Meter>(lodge: &Lodge<K>, client: &mut Stream<K>) -> Result<(), Errno> {
    client.shutdown(Shut::Write)?;
    let mut queue = SendQueue::default();
    queue.is_stuck(unsent_bytes(client), 1);
    loop {
        let discard = async { while let Ok(Some(_)) = client.bytes().await {} };
        let ended = Box::pin(lodge.handle.timeout(LINGER, discard)).await;
        // As long as it takes what was sent to it; and a second more.
        if ended.is_ok() || queue.is_stuck(unsent_bytes(client), 1) {
            return Ok(());
        }
    }
}

/// A datagram socket: one task for all who send, since nobody stays.
async fn answer_datagrams<K: Meter>(
    lodge: Rc<Lodge<K>>,
    mut socket: Datagram<K>,
    is_wildcard: bool,
) {
    lodge.register_door().await;
    let mut buf = vec![0; BUFFER_BYTES];
    let (mut drained, mut gone) = (0, Gone::default());
    loop {
        drained += u32::from(lodge.is_leaving());
        if drained > DRAINED_MAX {
            return;
        }
        // An error here is of an earlier answer: it is counted, and gone. So many are not.
        let next = receive(&mut socket, &mut buf, is_wildcard);
        let came = match lodge.unless_leaving(next).await {
            Some(came) => came,
            // We leave: what has arrived by now is answered.
            None => match lodge.at_once(receive(&mut socket, &mut buf, is_wildcard)).await {
                Some(came) => came,
                None => return,
            },
        };
        if let Some(bytes) = lodge.answers(&came, buf.len())
            && let Ok(message) = &came
        {
            let sent = socket.reply(&buf[..bytes], message).await;
            lodge.answered(sent.map(|_| bytes));
        }
        if came.is_ok() {
            gone.over();
        } else if gone.again() {
            lodge.unless_leaving(lodge.handle.sleep(RETRY)).await;
        }
    }
}

/// The next datagram; with the address that it came to when it may have come to several.
fn receive<K: Meter>(
    socket: &mut Datagram<K>,
    buf: &mut [u8],
    is_wildcard: bool,
) -> impl Future<Output = Result<Message, Errno>> {
    socket.watched().attempt(Side::Read, move |kernel, fd| match is_wildcard {
        true => recv_datagram(kernel, fd, buf),
        false => kernel.recvfrom(fd, buf).map(|(len_bytes, from)| Message {
            len_bytes,
            from,
            packet_info: None,
        }),
    })
}

impl<K: Meter> Lodge<K> {
    /// What `future` gives; nothing, if we leave before that.
    async fn unless_leaving<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.is_leaving() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// What `future` gives without waiting; nothing, if it would have to. The kernel is asked
    /// once more before, by letting the others have their turn.
    async fn at_once<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.handle.yield_now().await;
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}
