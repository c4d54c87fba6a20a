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

    // A deadline belongs to a descriptor, like the idle timeout of one client. These are
    // eventfds that are never written to: clients that never send.
    for (name, millis) in [("tea", 30), ("eggs", 20), ("toast", 10)] {
        let silent = reactor.kernel().eventfd(0)?;
        let token = reactor.register_or_close(silent, Interest::READABLE, Trigger::Level, name)?;
        if let Some((_, mut io)) = reactor.get_mut(token) {
            // A point in time and not a duration: it stays valid when a wait is interrupted.
            io.set_deadline(begin + Duration::from_millis(millis));
        }
    }

    while let Some(event) = reactor.next(None)? {
        let Event::Timer { token } = event else {
            continue;
        };
        let after = reactor.kernel().now() - begin;
        // A deadline is reported once. To repeat it, set another; this one ends here.
        if let Some(name) = reactor.close(token) {
            println!("{name} after {} ms", after.as_millis());
        }
        if reactor.is_empty() {
            break; // Nothing is registered, and `next` would wait indefinitely.
        }
    }
    Ok(())
}
