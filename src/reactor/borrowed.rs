//! Registering descriptors that the program did not get from a [`Kernel`]: blocking ones, and those
//! that another owner keeps.
//!
//! Knows dup(2) and `O_NONBLOCK`.

use super::reactor::Reactor;
use super::register_error::{RegisterError, RegisterErrorKind};
use super::retry::retry_on_eintr;
use super::storage::StorageOf;
use crate::event::{Interest, Trigger};
use crate::kernel::{CallError, Fd, Kernel, MaybeBlockingFd, Syscall, close_quietly};
use crate::token::Token;

impl<T, K: Kernel, S: StorageOf<T>> Reactor<T, K, S> {
    /// As [`register`](Self::register), for a descriptor that may be blocking: a
    /// [`MaybeBlockingFd`], or an [`Fd`] that was made blocking. It is made non-blocking first, and
    /// stays so, with all its duplicates. Cost: two system calls, O(1).
    ///
    /// # Errors
    /// As [`register`](Self::register), and [`RegisterErrorKind::Call`] with those of
    /// [`ioctl_fionbio`](Kernel::ioctl_fionbio), after which the descriptor may be blocking still.
    ///
    /// Man page: ioctl(2), `FIONBIO`; epoll_ctl(2)
    pub fn register_nonblocking(
        &mut self,
        fd: impl Into<MaybeBlockingFd>,
        interest: Interest,
        trigger: Trigger,
        state: T,
    ) -> Result<Token, RegisterError<T>> {
        let fd = fd.into().into_fd_as_is();
        match retry_on_eintr(|| self.kernel.ioctl_fionbio(&fd)) {
            Ok(()) => self.register(fd, interest, trigger, state),
            Err(errno) => {
                let error = CallError { call: Syscall::IoctlFionbio, errno };
                Err(RegisterError { kind: RegisterErrorKind::Call(error), fd, state })
            }
        }
    }

    /// Registers a duplicate of `fd`, which stays its owner's. Cost: three system calls, O(1), and
    /// one descriptor.
    ///
    /// The reactor owns the duplicate, and closes it when the registration ends or the reactor is
    /// dropped; what the owner of `fd` does, a close and the reuse of its number included, cannot
    /// confuse it. So the two are independent: a connection ends with the last of both. The open
    /// file is shared, and is made non-blocking.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`](crate::Errno::EMFILE): out of descriptors.
    /// * As [`register_nonblocking`](Self::register_nonblocking). Nothing stays open, and the state
    ///   is dropped.
    ///
    /// Man page: fcntl(2), `F_DUPFD_CLOEXEC`
    pub fn register_duplicate(
        &mut self,
        fd: &Fd,
        interest: Interest,
        trigger: Trigger,
        state: T,
    ) -> Result<Token, RegisterErrorKind> {
        let duplicate = self
            .kernel
            .dup(fd)
            .map_err(|errno| RegisterErrorKind::Call(CallError { call: Syscall::Dup, errno }))?;
        self.register_nonblocking(duplicate, interest, trigger, state).map_err(|error| {
            close_quietly(&mut self.kernel, error.fd);
            error.kind
        })
    }

    /// As [`register_duplicate`](Self::register_duplicate), of a descriptor of the standard
    /// library, which is only borrowed. `K` must be [`Linux`](crate::Linux) or wrap it: for a
    /// simulated kernel the number is another one. Cost: as there.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use epollite::{Event, Interest, Reactor, Trigger};
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (mut near, mut far) = UnixStream::pair()?;
    /// let mut reactor = Reactor::new()?;
    /// reactor.register_borrowed(&near, Interest::READABLE, Trigger::Level, "near")?;
    /// far.write_all(b"hello")?;
    /// assert!(matches!(reactor.next(None)?, Some(Event::Io { .. })));
    /// let mut buf = [0; 16];
    /// assert_eq!(near.read(&mut buf)?, 5); // It is still the program's, and non-blocking now.
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`register_duplicate`](Self::register_duplicate).
    ///
    /// # Panics
    /// With a simulated kernel, in which that number is not open.
    ///
    /// Man page: fcntl(2), `F_DUPFD_CLOEXEC`
    #[cfg(feature = "std")]
    pub fn register_borrowed<F: std::os::fd::AsFd>(
        &mut self,
        fd: &F,
        interest: Interest,
        trigger: Trigger,
        state: T,
    ) -> Result<Token, RegisterErrorKind> {
        use std::os::fd::AsRawFd as _;
        // Not owned: an `Fd` closes nothing by itself, and it ends before the borrow does.
        let lent = Fd::from_raw(fd.as_fd().as_raw_fd());
        self.register_duplicate(&lent, interest, trigger, state)
    }
}
