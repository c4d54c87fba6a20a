//! The C interface: what `include/epollite.h` declares, and nothing else.
//!
//! Built with the feature `capi`. Each function translates its arguments, calls the library, and
//! translates the result; it decides nothing. A function that can fail returns a negative errno.
//! Null pointers, unknown constants and stale tokens are errors, never undefined behaviour; a
//! pointer that is not null is trusted.
//!
//! ```text
//!  reactor    registrations, waiting, deadlines, wake-ups
//!  socket     sockets, with addresses as text
//!  echo       the echo server
//!  wake       wake-ups from other threads
//!  text       versions, and the names of errors
//!  address    addresses as texts
//!  storage    arrays that grow, or lie in memory of the caller's
//!  boundary   pointers and results
//!  archive    the panic handler and the allocator of the C library
//! ```

#![expect(unsafe_code, reason = "pointers of C")]

mod address;
#[cfg(epl_staticlib)]
mod archive;
mod boundary;
mod echo;
mod reactor;
mod socket;
mod storage;
mod text;
mod wake;
