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
    refused: Vec<(Call, Errno, u64)>,
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
        self.0.borrow_mut().refused = vec![(call, errno, times)];
    }

    /// As [`refuse`](Self::refuse), each of two calls.
    pub(crate) fn refuse_both(&self, calls: [Call; 2], errno: Errno, times: u64) {
        self.0.borrow_mut().refused = calls.map(|call| (call, errno, times)).to_vec();
    }

    /// How often `call` was made.
    pub(crate) fn count(&self, call: Call) -> usize {
        self.0.borrow().calls.iter().filter(|made| **made == call).count()
    }

    /// Whether all that was to be refused has been.
    pub(crate) fn are_carried_out(&self) -> bool {
        self.0.borrow().refused.iter().all(|(_, _, times)| *times == 0)
    }
}

impl Tap for Orders {
    fn enter(&mut self, call: Call) -> Result<(), Errno> {
        let mut book = self.0.borrow_mut();
        book.calls.push(call);
        for (refused, errno, times) in &mut book.refused {
            if *refused == call && *times > 0 {
                *times -= 1;
                return Err(*errno);
            }
        }
        Ok(())
    }

    fn leave(&mut self, _: Call, _: Option<Errno>) {}
}
