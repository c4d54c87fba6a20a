//! Deadlines: each registration may have one, in the same loop as everything else.
//!
//! ```text
//! cargo run --example timer
//! ```

use core::error::Error;
use core::time::Duration;

use epollite::{Event, Interest, Kernel, Reactor, Trigger};

fn main() -> Result<(), Box<dyn Error>> {
    let mut reactor = Reactor::new()?;
    let begin = reactor.kernel().now();

    // A deadline belongs to a descriptor, as the patience with one client does. These are
    // eventfds to which nobody writes: clients that never say a word.
    for (name, millis) in [("tea", 30), ("eggs", 20), ("toast", 10)] {
        let silent = reactor.kernel().eventfd(0)?;
        let token = reactor.register_or_close(silent, Interest::READABLE, Trigger::Level, name)?;
        if let Some(mut source) = reactor.source(token) {
            // A point in time and not a span: it stays true however often a wait is interrupted.
            source.io.set_deadline(begin + Duration::from_millis(millis));
        }
    }

    while let Some(event) = reactor.next(None)? {
        let Event::Timer { token } = event else {
            continue;
        };
        let after = reactor.kernel().now() - begin;
        // A deadline comes once. Who wants another sets another; this one has waited enough.
        if let Some(name) = reactor.close(token) {
            println!("{name} after {} ms", after.as_millis());
        }
        if reactor.is_empty() {
            break; // Nobody is left, and `next` would wait for ever.
        }
    }
    Ok(())
}
