//! Timers: any number of them, in the same loop as everything else.
//!
//! ```text
//! cargo run --example timer
//! ```

use core::error::Error;
use core::time::Duration;

use epollite::{Event, Kernel, Reactor};

fn main() -> Result<(), Box<dyn Error>> {
    let mut reactor = Reactor::new()?;
    let begin = reactor.kernel().now();
    for (name, millis) in [("tea", 30), ("eggs", 20), ("toast", 10)] {
        // A point in time and not a duration: it stays valid when a wait is interrupted.
        reactor.add_timer(begin + Duration::from_millis(millis), name)?;
    }
    while let Some(event) = reactor.next(None)? {
        let Event::Timer { token } = event else { continue };
        let after = reactor.kernel().now() - begin;
        // It is reported once. To repeat it, set its deadline again; this one ends here.
        if let Some(name) = reactor.close(token) {
            println!("{name} after {} ms", after.as_millis());
        }
        if reactor.is_empty() {
            break; // Nothing is registered, and `next` would wait indefinitely.
        }
    }
    Ok(())
}
