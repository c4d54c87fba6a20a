//! A simulated kernel that refuses on order, while it works: what is refused, and how often, can
//! be said at any time.
//!
//! Knows no server.

use std::cell::RefCell;
use std::rc::Rc;

use epollite::kernel::{Tap, Tapped};
use epollite::{Call, Errno, Sim};

/// What is refused, and what was called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders(Rc<RefCell<Book>>);

#[derive(Debug, Default)]
struct Book {
    refused: Option<(Call, Errno, u64)>,
    calls: Vec<Call>,
}

pub(crate) type Refusing = Tapped<Sim, Orders>;

impl Orders {
    /// A process that follows these orders.
    pub(crate) fn over(&self, kernel: Sim) -> Refusing {
        Tapped { kernel, tap: self.clone() }
    }

    /// From now on `call` fails so many times; nothing else does.
    pub(crate) fn refuse(&self, call: Call, errno: Errno, times: u64) {
        self.0.borrow_mut().refused = Some((call, errno, times));
    }

    /// How often `call` was made.
    pub(crate) fn count(&self, call: Call) -> usize {
        self.0.borrow().calls.iter().filter(|made| **made == call).count()
    }

    /// Whether all that was to be refused has been.
    pub(crate) fn are_carried_out(&self) -> bool {
        matches!(self.0.borrow().refused, Some((_, _, 0)))
    }
}

impl Tap for Orders {
    fn enter(&mut self, call: Call) -> Result<(), Errno> {
        let mut book = self.0.borrow_mut();
        book.calls.push(call);
        match &mut book.refused {
            Some((refused, errno, times)) if *refused == call && *times > 0 => {
                *times -= 1;
                Err(*errno)
            }
            _ => Ok(()),
        }
    }

    fn leave(&mut self, _: Call, _: Option<Errno>) {}
}
