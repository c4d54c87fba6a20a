//! Waking a reactor from another thread, together with a queue.
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
            // A waker carries no data: push that to a queue first, then wake.
            if sender.send(job).is_err() {
                return Ok(()); // The receiver has been dropped.
            }
            waker.wake(&mut Linux)?;
        }
        // Disconnecting the queue needs a wake-up too.
        drop(sender);
        waker.wake(&mut Linux)
    });

    // Wakes before the reactor has returned one are merged: so always drain the whole queue.
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
