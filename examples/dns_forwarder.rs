//! A DNS forwarder: passes queries to name servers, over UDP and TCP, and their answers back.
//!
//! ```text
//! cargo run --example dns_forwarder -- 127.0.0.1:5353 9.9.9.9:53 1.1.1.1:53
//! dig @127.0.0.1 -p 5353 example.org
//! ```
//!
//! The first server is asked first; one that refuses or is silent is followed by the next. Each
//! query over UDP goes out from a socket and port of its own: to be believed, a forged answer has
//! to find that port, and the number and the question of the query.

use core::num::NonZeroUsize;
use core::time::Duration;
use std::cell::Cell;
use std::error::Error;
use std::net::{TcpListener, UdpSocket};
use std::rc::Rc;

use epollite::executor::{DatagramRecvHalf, Executor, Handle, Listener, Sender, Stream, channel};
use epollite::{Addr, Errno, Linux};

/// How long one server is waited for.
const ATTEMPT: Duration = Duration::from_secs(2);

/// A connection without a query is closed after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many queries and connections are open at once; queries beyond are dropped, as a network
/// drops them, and clients repeat them.
const TASKS_MAX: u32 = 1000;

/// How many answers may wait to be sent.
const ANSWERS_MAX: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// The largest message over UDP, with extensions (RFC 6891), and the header of all messages.
const MESSAGE_BYTES_MAX: usize = 4096;
const HEADER_BYTES: usize = 12;

/// What the tasks share.
struct Forwarder {
    handle: Handle,
    servers: Vec<Addr>,
    tasks: Cell<u32>,
}

impl Forwarder {
    /// Spawns a task, unless there are enough.
    fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        if self.tasks.get() >= TASKS_MAX {
            return;
        }
        self.tasks.set(self.tasks.get() + 1);
        let this = Rc::clone(self);
        drop(self.handle.spawn(async move {
            task.await;
            this.tasks.set(this.tasks.get() - 1);
        }));
    }

    /// The answer of the first server that gives one.
    async fn ask(&self, query: &[u8]) -> Option<Vec<u8>> {
        for server in &self.servers {
            let asked = self.handle.timeout(ATTEMPT, ask_one(&self.handle, server, query)).await;
            if let Ok(Ok(answer)) = asked {
                return Some(answer);
            }
        }
        None
    }

    /// The same over TCP, for answers of any length.
    async fn ask_over_tcp(&self, query: &[u8]) -> Option<Vec<u8>> {
        let mut server = self.handle.connect_any(&self.servers, Some(ATTEMPT)).await.ok()?;
        send_framed(&mut server, query).await.ok()?;
        let answer = self.handle.timeout(ATTEMPT, recv_framed(&mut server)).await;
        answer.ok()?.ok()?.filter(|answer| is_answer(answer, query))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: dns_forwarder ADDR SERVER:PORT...";
    let listener = TcpListener::bind(args.next().ok_or(usage)?)?;
    let addr = listener.local_addr()?;
    let socket = UdpSocket::bind(addr)?;
    let servers = args.map(|addr| addr.parse()).collect::<Result<Vec<Addr>, _>>()?;
    if servers.is_empty() {
        return Err(usage.into());
    }
    println!("listening on {addr}");
    let mut executor = Executor::new()?;
    let handle = executor.handle();
    let forwarder = Rc::new(Forwarder { handle: handle.clone(), servers, tasks: Cell::new(0) });
    let (queries, mut replies) = handle.datagram(socket.into())?.split();
    let (sender, mut answers) = channel::<(Vec<u8>, Addr)>(ANSWERS_MAX);
    drop(handle.spawn(async move {
        while let Some((answer, client)) = answers.recv().await {
            // An answer that cannot be sent is lost, as on a network.
            let _ = replies.sendto(&answer, &client).await;
        }
    }));
    drop(handle.spawn(accept(Rc::clone(&forwarder), handle.listener(listener.into())?)));
    executor.block_on(forward(&forwarder, queries, sender))??;
    Ok(())
}

/// Serves clients over TCP, each in a task of its own.
async fn accept(forwarder: Rc<Forwarder>, mut listener: Listener<Linux>) {
    while let Ok((client, _)) = listener.accept().await {
        forwarder.spawn(serve(Rc::clone(&forwarder), client));
    }
}

/// Takes queries over UDP.
async fn forward(
    forwarder: &Rc<Forwarder>,
    mut queries: DatagramRecvHalf<Linux>,
    answers: Sender<(Vec<u8>, Addr)>,
) -> Result<(), Errno> {
    let mut buf = vec![0; MESSAGE_BYTES_MAX];
    loop {
        let (len, client) = match queries.recvfrom(&mut buf).await {
            Ok(received) => received,
            // About an answer that was sent before.
            Err(Errno::ECONNREFUSED) => continue,
            Err(errno) => return Err(errno),
        };
        // What was cut, or is no query, has no answer.
        let Some(query) = buf.get(..len).filter(|query| is_query(query)) else { continue };
        let (query, answers, this) = (query.to_vec(), answers.clone(), Rc::clone(forwarder));
        forwarder.spawn(async move {
            if let Some(answer) = this.ask(&query).await {
                let _ = answers.send((answer, client)).await;
            }
        });
    }
}

/// Serves a connection: queries one after the other.
async fn serve(forwarder: Rc<Forwarder>, mut client: Stream<Linux>) {
    let next = async |client: &mut Stream<Linux>| recv_framed(client).await;
    while let Ok(Ok(Some(query))) = forwarder.handle.timeout(IDLE_TIMEOUT, next(&mut client)).await
    {
        let Some(answer) = forwarder.ask_over_tcp(&query).await else { return };
        let sent = forwarder.handle.timeout(IDLE_TIMEOUT, send_framed(&mut client, &answer)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// One query to one server.
async fn ask_one(handle: &Handle, server: &Addr, query: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut socket = handle.connect_datagram(server)?;
    socket.send(query).await?;
    let mut buf = vec![0; MESSAGE_BYTES_MAX];
    loop {
        let len = socket.recv(&mut buf).await?;
        if is_answer(&buf[..len], query) {
            buf.truncate(len);
            return Ok(buf);
        }
    }
}

fn is_query(message: &[u8]) -> bool {
    message.len() > HEADER_BYTES && message[2] & 0x80 == 0
}

/// Whether this is an answer to that query: the same number and the same question.
fn is_answer(message: &[u8], query: &[u8]) -> bool {
    let question = question_bytes(query);
    message.len() >= HEADER_BYTES + question
        && message[..2] == query[..2]
        && message[2] & 0x80 != 0
        && message[HEADER_BYTES..][..question] == query[HEADER_BYTES..][..question]
}

/// How long the question of a query is: a name, its type and class. Behind it there may be
/// extensions, which an answer does not repeat.
fn question_bytes(query: &[u8]) -> usize {
    let body = &query[HEADER_BYTES..];
    let mut end = 0;
    while let Some(&len @ 1..) = body.get(end) {
        end += 1 + usize::from(len);
    }
    body.len().min(end + 1 + 4)
}

/// A message over TCP has its length before it, in two bytes; `None` at the end of file.
async fn recv_framed(stream: &mut Stream<Linux>) -> Result<Option<Vec<u8>>, Errno> {
    let mut len = [0; 2];
    if stream.recv_exact(&mut len).await? < len.len() {
        return Ok(None);
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    let whole = stream.recv_exact(&mut message).await? == message.len();
    Ok(Some(message).filter(|message| whole && message.len() > HEADER_BYTES))
}

async fn send_framed(stream: &mut Stream<Linux>, message: &[u8]) -> Result<(), Errno> {
    let len = u16::try_from(message.len()).map_err(|_| Errno::EMSGSIZE)?;
    stream.write_all(&[&len.to_be_bytes(), message].concat()).await
}
