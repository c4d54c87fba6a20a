//! A chat server: each line of a client goes to all others. Two servers can be linked.
//!
//! ```text
//! cargo run --example chat -- 127.0.0.1:7000                    then: nc 127.0.0.1 7000
//! cargo run --example chat -- 127.0.0.1:7001 127.0.0.1:7000     linked with the first
//! ```
//!
//! For each client one task receives and one sends, with a channel between the room and the sender.
//! A client that does not read fills its channel and is disconnected: it delays no other client. So
//! is one that says nothing for a quarter of an hour. A link that is lost is made again.

use core::cell::RefCell;
use core::num::NonZeroUsize;
use core::time::Duration;
use std::collections::HashMap;
use std::error::Error;
use std::net::TcpListener;
use std::rc::Rc;

use epollite::executor::{Executor, Handle, Receiver, Sender, Stream, WriteHalf, channel};
use epollite::kernel::Shutdown;
use epollite::{Addr, Errno, Linux};

/// How many bytes a line may have.
const LINE_BYTES_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// How many lines may wait for a client that reads slowly.
const LINES_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// A client that says nothing for so long is disconnected.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// A client that takes no line for so long is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The time between two attempts to link.
const LINK_DELAY: Duration = Duration::from_millis(500);

/// The clients: how lines reach them, by number.
#[derive(Default)]
struct Room {
    senders: RefCell<HashMap<u32, Sender<Rc<[u8]>>>>,
}

impl Room {
    /// Gives a line to every client but the one that it is from. One whose channel is full is
    /// disconnected: dropping its sender ends the task that sends.
    fn say(&self, from: u32, line: &[u8]) {
        let line: Rc<[u8]> = [line, b"\n"].concat().into();
        self.senders
            .borrow_mut()
            .retain(|&number, sender| number == from || sender.try_send(Rc::clone(&line)).is_ok());
    }

    /// Lets a client in, and returns its number.
    fn enter(&self, sender: Sender<Rc<[u8]>>) -> u32 {
        let mut senders = self.senders.borrow_mut();
        let number = (1..).find(|number| !senders.contains_key(number)).expect("a free number");
        senders.insert(number, sender);
        number
    }

    fn leave(&self, number: u32) {
        self.senders.borrow_mut().remove(&number);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let listener = TcpListener::bind(args.next().unwrap_or("127.0.0.1:7000".into()))?;
    let links = args.map(|addr| addr.parse()).collect::<Result<Vec<Addr>, _>>()?;
    println!("listening on {}", listener.local_addr()?);
    let mut executor = Executor::new()?;
    let handle = executor.handle();
    let room = Rc::new(Room::default());
    for link in links {
        drop(handle.spawn(keep_linked(handle.clone(), Rc::clone(&room), link)));
    }
    executor.block_on(async {
        let mut listener = handle.listener(listener.into())?;
        loop {
            let (client, _) = listener.accept().await?;
            drop(handle.spawn(serve(handle.clone(), Rc::clone(&room), client, true)));
        }
        #[expect(unreachable_code, reason = "names the type of the error")]
        Ok::<_, Errno>(())
    })??;
    Ok(())
}

/// Links with another server, as a client of it, again and again.
async fn keep_linked(handle: Handle, room: Rc<Room>, addr: Addr) {
    loop {
        if let Ok(Ok(server)) = handle.timeout(LINK_DELAY, handle.connect(&addr)).await {
            serve(handle.clone(), Rc::clone(&room), server, false).await;
        }
        handle.sleep(LINK_DELAY).await;
    }
}

/// Serves a client until it leaves. What comes over a link has been numbered by the other server.
async fn serve(handle: Handle, room: Rc<Room>, client: Stream<Linux>, is_numbered: bool) {
    let (reader, writer) = client.split();
    let (sender, lines) = channel(LINES_MAX);
    let number = room.enter(sender);
    drop(handle.spawn(send(handle.clone(), writer, lines)));
    let mut lines = reader.lines(LINE_BYTES_MAX);
    let prefix = if is_numbered { format!("<{number}> ") } else { String::new() };
    // Silence, the end of the file, an error or a line that is too long: it leaves.
    while let Ok(Ok(Some(line))) = handle.timeout(IDLE_TIMEOUT, lines.next()).await {
        room.say(number, &[prefix.as_bytes(), line].concat());
    }
    room.leave(number);
}

/// Sends lines to a client until it has left the room or takes none.
async fn send(handle: Handle, mut writer: WriteHalf<Linux>, mut lines: Receiver<Rc<[u8]>>) {
    while let Some(line) = lines.recv().await {
        if !matches!(handle.timeout(SEND_TIMEOUT, writer.write_all(&line)).await, Ok(Ok(()))) {
            break;
        }
    }
    // The task that receives finds the end of the file. The client may be gone already.
    let _ = writer.shutdown(Shutdown::Both);
}
