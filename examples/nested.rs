//! A reactor inside a reactor: an epoll is a descriptor too, readable while it has a ready event.
//!
//! Useful for running one library's loop inside another's, and for priorities: the outer loop
//! handles the urgent events first, and the others when it chooses to.
//!
//! ```text
//! cargo run --example nested
//! ```

use core::error::Error;

use epollite::reactor::RegisterErrorKind;
use epollite::{Event, Instant, Interest, Kernel, Reactor, Trigger};

fn main() -> Result<(), Box<dyn Error>> {
    let mut inner = Reactor::new()?;
    for name in ["first leaf", "second leaf"] {
        register_ready(&mut inner, name)?;
    }

    let mut outer = Reactor::new()?;
    register_ready(&mut outer, "urgent")?;
    // The inner reactor keeps its own epoll; the outer one owns a duplicate.
    let epoll = outer.kernel().dup(inner.epoll())?;
    let nest = outer.register_or_close(epoll, Interest::READABLE, Trigger::Level, "nest")?;

    while !outer.is_empty() {
        let Some(Event::Io { token, .. }) = outer.next(None)? else {
            break;
        };
        if token != nest {
            println!("outer: {}", outer.close(token).unwrap_or_default());
            continue;
        }
        // One event of the inner reactor. A deadline in the past: poll without blocking.
        match inner.next(Some(Instant::ZERO))? {
            Some(Event::Io { token, .. }) => {
                println!("inner: {}", inner.close(token).unwrap_or_default());
            }
            _ => break,
        }
        if inner.is_empty() {
            println!("outer: the {} is empty", outer.close(nest).unwrap_or_default());
        }
    }
    Ok(())
}

/// Registers a descriptor that is ready already: a counter that is not zero.
fn register_ready(
    reactor: &mut Reactor<&'static str>,
    name: &'static str,
) -> Result<(), RegisterErrorKind> {
    let counter = reactor.kernel().eventfd(1)?;
    reactor.register_or_close(counter, Interest::READABLE, Trigger::Level, name)?;
    Ok(())
}
