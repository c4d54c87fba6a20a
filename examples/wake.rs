//! Waking a reactor from another thread, with a queue beside it.
//!
//! ```text
//! cargo run --example wake
//! ```

use core::error::Error;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;

use epollite::{Errno, Event, Linux, Reactor};

fn main() -> Result<(), Box<dyn Error>> {
    let mut reactor = Reactor::<()>::new()?;
    let waker = reactor.waker()?;
    let (sender, receiver) = mpsc::channel();

    let worker = thread::spawn(move || -> Result<(), Errno> {
        for job in ["wash", "peel", "cut"] {
            // A waker brings no data: that goes into a queue first, and then we knock.
            if sender.send(job).is_err() {
                return Ok(()); // The other side has gone home.
            }
            waker.wake(&mut Linux)?;
        }
        // The end is news too.
        drop(sender);
        waker.wake(&mut Linux)
    });

    // Wakes that come before we have heard are one: so always empty the whole queue.
    'jobs: while let Some(Event::Woken) = reactor.next(None)? {
        loop {
            match receiver.try_recv() {
                Ok(job) => println!("{job}"),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => break 'jobs,
            }
        }
    }
    println!("done");
    worker.join().map_err(|_| "the worker panicked")??;
    Ok(())
}
