//! `Errno`: why a system call failed.
//!
//! A number that is never zero, with its C name, a description, and predicates for error handling.
//! It does not use libc (`linux/layout.rs` checks the numbers against libc's at compile time)
//! and does not know which call failed.

use core::fmt;
use core::num::NonZeroU16;

/// The kernel's `MAX_ERRNO`: a syscall that returns -1 to -4095 failed, anything else succeeded.
const NUMBER_MAX: u16 = 4095;

/// Why a call failed: one of the kernel's error numbers, 1 to 4095.
///
/// Two bytes, and `Option<Errno>` and `Result<(), Errno>` are no larger. The constants are those
/// of Linux on x86, ARM and RISC-V (`asm-generic/errno.h`).
///
/// Man page: errno(3)
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(NonZeroU16);

/// Passes the table of error numbers to a macro: number, name, meaning.
///
/// A macro, because no function can declare a constant: without it every number, name and meaning
/// would be written twice, and nothing would detect a difference.
macro_rules! for_each_errno {
    ($generate:ident) => {
        // Linux has removed 41 and 58, which were EWOULDBLOCK and EDEADLOCK.
        $generate! {
            1 EPERM "operation not permitted";
            2 ENOENT "no such file or directory";
            3 ESRCH "no such process";
            4 EINTR "interrupted by a signal";
            5 EIO "input or output failed";
            6 ENXIO "no such device or address";
            7 E2BIG "argument list too long";
            8 ENOEXEC "not an executable format";
            9 EBADF "not an open descriptor";
            10 ECHILD "no child processes";
            11 EAGAIN "not now, try again";
            12 ENOMEM "out of memory";
            13 EACCES "permission denied";
            14 EFAULT "bad memory address";
            15 ENOTBLK "not a block device";
            16 EBUSY "device or resource busy";
            17 EEXIST "already exists";
            18 EXDEV "crosses file systems";
            19 ENODEV "no such device";
            20 ENOTDIR "not a directory";
            21 EISDIR "is a directory";
            22 EINVAL "invalid argument";
            23 ENFILE "too many open files in the system";
            24 EMFILE "too many open files in the process";
            25 ENOTTY "wrong control call for this descriptor";
            26 ETXTBSY "program file busy";
            27 EFBIG "file too large";
            28 ENOSPC "no space left";
            29 ESPIPE "cannot seek";
            30 EROFS "file system is read-only";
            31 EMLINK "too many links";
            32 EPIPE "broken pipe, the reading end is closed";
            33 EDOM "argument outside the domain of the function";
            34 ERANGE "result out of range";
            35 EDEADLK "would deadlock";
            36 ENAMETOOLONG "file name too long";
            37 ENOLCK "no locks available";
            38 ENOSYS "the kernel has no such call";
            39 ENOTEMPTY "directory not empty";
            40 ELOOP "too many symbolic links, or a cycle";
            42 ENOMSG "no message of the desired type";
            43 EIDRM "identifier removed";
            44 ECHRNG "channel number out of range";
            45 EL2NSYNC "level 2 not synchronized";
            46 EL3HLT "level 3 halted";
            47 EL3RST "level 3 reset";
            48 ELNRNG "link number out of range";
            49 EUNATCH "protocol driver not attached";
            50 ENOCSI "no CSI structure available";
            51 EL2HLT "level 2 halted";
            52 EBADE "invalid exchange";
            53 EBADR "invalid request descriptor";
            54 EXFULL "exchange full";
            55 ENOANO "no anode";
            56 EBADRQC "invalid request code";
            57 EBADSLT "invalid slot";
            59 EBFONT "bad font file";
            60 ENOSTR "not a stream";
            61 ENODATA "no data available";
            62 ETIME "timer expired";
            63 ENOSR "out of stream resources";
            64 ENONET "machine is not on the network";
            65 ENOPKG "package not installed";
            66 EREMOTE "object is remote";
            67 ENOLINK "link severed";
            68 EADV "error while advertising";
            69 ESRMNT "error in a remote mount";
            70 ECOMM "communication failed on send";
            71 EPROTO "protocol error";
            72 EMULTIHOP "more than one hop attempted";
            73 EDOTDOT "remote file sharing error";
            74 EBADMSG "bad message";
            75 EOVERFLOW "value too large for its type";
            76 ENOTUNIQ "name not unique on the network";
            77 EBADFD "descriptor in a bad state";
            78 EREMCHG "remote address changed";
            79 ELIBACC "cannot open a needed shared library";
            80 ELIBBAD "shared library corrupted";
            81 ELIBSCN "library section in the program corrupted";
            82 ELIBMAX "too many shared libraries";
            83 ELIBEXEC "a shared library cannot be run";
            84 EILSEQ "illegal byte sequence";
            85 ERESTART "interrupted, the call should be restarted";
            86 ESTRPIPE "pipe error in a stream";
            87 EUSERS "too many users";
            88 ENOTSOCK "not a socket";
            89 EDESTADDRREQ "destination address required";
            90 EMSGSIZE "message too long";
            91 EPROTOTYPE "wrong protocol for this type of socket";
            92 ENOPROTOOPT "no such protocol option";
            93 EPROTONOSUPPORT "protocol not supported";
            94 ESOCKTNOSUPPORT "socket type not supported";
            95 EOPNOTSUPP "operation not supported";
            96 EPFNOSUPPORT "protocol family not supported";
            97 EAFNOSUPPORT "address family not supported";
            98 EADDRINUSE "address already in use";
            99 EADDRNOTAVAIL "address not available here";
            100 ENETDOWN "network is down";
            101 ENETUNREACH "network unreachable";
            102 ENETRESET "connection dropped by the network";
            103 ECONNABORTED "connection aborted";
            104 ECONNRESET "connection reset by the peer";
            105 ENOBUFS "no buffer space";
            106 EISCONN "already connected";
            107 ENOTCONN "not connected";
            108 ESHUTDOWN "already shut down for sending";
            109 ETOOMANYREFS "too many descriptors in flight";
            110 ETIMEDOUT "timed out";
            111 ECONNREFUSED "connection refused";
            112 EHOSTDOWN "host is down";
            113 EHOSTUNREACH "no route to host";
            114 EALREADY "already under way";
            115 EINPROGRESS "begun, not finished yet";
            116 ESTALE "stale file handle";
            117 EUCLEAN "structure needs cleaning";
            118 ENOTNAM "not a XENIX named file";
            119 ENAVAIL "no XENIX semaphores";
            120 EISNAM "is a XENIX named file";
            121 EREMOTEIO "remote input or output failed";
            122 EDQUOT "quota exceeded";
            123 ENOMEDIUM "no medium";
            124 EMEDIUMTYPE "wrong type of medium";
            125 ECANCELED "canceled";
            126 ENOKEY "required key missing";
            127 EKEYEXPIRED "key expired";
            128 EKEYREVOKED "key revoked";
            129 EKEYREJECTED "key rejected";
            130 EOWNERDEAD "owner of the lock died";
            131 ENOTRECOVERABLE "state not recoverable";
            132 ERFKILL "radio switched off";
            133 EHWPOISON "memory page has a hardware error";
        }
    };
}
pub(crate) use for_each_errno;

macro_rules! define_errnos {
    ($($number:literal $name:ident $meaning:literal;)*) => {
        impl Errno {
            $(
                #[doc = concat!($meaning, " (", $number, ")")]
                pub const $name: Self = Self::listed($number);
            )*
        }

        /// The name and the meaning of an error number, if Linux defines it.
        const fn lookup(number: u16) -> Option<(&'static str, &'static str)> {
            match number {
                $($number => Some((stringify!($name), $meaning)),)*
                _ => None,
            }
        }
    };
}
for_each_errno!(define_errnos);

impl Errno {
    /// Another name of [`Errno::EAGAIN`]
    pub const EWOULDBLOCK: Self = Self::EAGAIN;
    /// Another name of [`Errno::EDEADLK`]
    pub const EDEADLOCK: Self = Self::EDEADLK;
    /// Another name of [`Errno::EOPNOTSUPP`]
    pub const ENOTSUP: Self = Self::EOPNOTSUPP;

    /// Converts an error number as the kernel or C returns it: positive, 1 to 4095.
    ///
    /// `None` for every other number; zero is not an error. A number without a name is accepted.
    /// Cost: O(1).
    ///
    /// ```
    /// # use epollite::Errno;
    /// assert_eq!(Errno::new(11), Some(Errno::EAGAIN));
    /// assert_eq!(Errno::new(0), None);
    /// ```
    #[must_use]
    pub const fn new(number: i32) -> Option<Self> {
        if number < 1 || number > NUMBER_MAX as i32 {
            return None;
        }
        let [low, high, ..] = number.to_le_bytes();
        match NonZeroU16::new(u16::from_le_bytes([low, high])) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Makes a constant of a number in the table; an invalid one does not compile.
    const fn listed(number: u16) -> Self {
        assert!(number <= NUMBER_MAX, "an error number is at most 4095");
        Self(NonZeroU16::new(number).expect("an error number is never zero"))
    }

    /// The number, of the type that C uses. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Errno;
    /// assert_eq!(Errno::EPIPE.number(), 32);
    /// ```
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0.get() as i32
    }

    /// The C name, such as `"ECONNREFUSED"`; `None` when Linux has not named this number.
    ///
    /// Where two names share a number it is `EAGAIN`, `EDEADLK` or `EOPNOTSUPP`. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Errno;
    /// assert_eq!(Errno::EWOULDBLOCK.name(), Some("EAGAIN"));
    /// ```
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match lookup(self.0.get()) {
            Some((name, _)) => Some(name),
            None => None,
        }
    }

    /// A short description of the error; `"unknown"` when it has no name. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Errno;
    /// assert_eq!(Errno::ECONNREFUSED.description(), "connection refused");
    /// ```
    #[must_use]
    #[doc(alias = "strerror")]
    pub const fn description(self) -> &'static str {
        match lookup(self.0.get()) {
            Some((_, meaning)) => meaning,
            None => "unknown",
        }
    }

    /// Whether the call would have blocked (`EAGAIN`, which is also `EWOULDBLOCK`).
    ///
    /// Wait for readiness, then call again. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Errno;
    /// assert!(Errno::EAGAIN.is_would_block());
    /// assert!(!Errno::EINPROGRESS.is_would_block());
    /// ```
    ///
    /// Man page: recv(2), send(2), accept(2)
    #[must_use]
    pub const fn is_would_block(self) -> bool {
        matches!(self, Self::EAGAIN)
    }

    /// Whether a signal interrupted the call before it had done anything (`EINTR`).
    ///
    /// Retry at once; but never `close`, which has closed the descriptor all the same. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Errno;
    /// assert!(Errno::EINTR.is_interrupted());
    /// ```
    ///
    /// Man page: signal(7), close(2)
    #[must_use]
    pub const fn is_interrupted(self) -> bool {
        matches!(self, Self::EINTR)
    }

    /// Whether the process or the system has run out of descriptors or memory (`EMFILE`, `ENFILE`,
    /// `ENOBUFS`, `ENOMEM`).
    ///
    /// The connection that `accept` could not take stays in the queue and the listener stays
    /// readable, so retrying at once is a busy loop: pause until something is closed.
    /// Cost: O(1).
    ///
    /// ```
    /// # use epollite::Errno;
    /// assert!(Errno::EMFILE.is_resource_exhausted());
    /// ```
    ///
    /// Man page: accept(2)
    #[must_use]
    pub const fn is_resource_exhausted(self) -> bool {
        matches!(self, Self::EMFILE | Self::ENFILE | Self::ENOBUFS | Self::ENOMEM)
    }

    /// Whether the error concerns only the connection that `accept` was about to return.
    ///
    /// Linux passes on the pending network error of the queued connection, and a firewall adds
    /// `EPERM`. The listener is intact: count the error and accept the next. Bound the count all
    /// the same, because `EOPNOTSUPP` is also the error of a socket that can never accept.
    /// Cost: O(1).
    ///
    /// ```
    /// # use epollite::Errno;
    /// assert!(Errno::ECONNABORTED.is_transient_accept_error());
    /// assert!(!Errno::EMFILE.is_transient_accept_error(), "retry after a close");
    /// ```
    ///
    /// Man page: accept(2), "Error handling"
    #[must_use]
    pub const fn is_transient_accept_error(self) -> bool {
        matches!(
            self,
            Self::ECONNABORTED
                | Self::ECONNRESET
                | Self::EHOSTDOWN
                | Self::EHOSTUNREACH
                | Self::ENETDOWN
                | Self::ENETUNREACH
                | Self::ENONET
                | Self::ENOPROTOOPT
                | Self::EOPNOTSUPP
                | Self::EPERM
                | Self::EPROTO
                | Self::ETIMEDOUT
        )
    }

    /// Whether an error of `accept` means that the descriptor is no listener, or no longer one. A
    /// TCP listener that was shut down (`shutdown` on a duplicate, `ss -K`) stays ready and returns
    /// `EINVAL` each time: retrying does not help. Close it. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Errno;
    /// assert!(Errno::EINVAL.never_accepts() && !Errno::EMFILE.never_accepts());
    /// ```
    ///
    /// Man page: accept(2)
    #[must_use]
    pub const fn never_accepts(self) -> bool {
        matches!(self, Self::EBADF | Self::EINVAL | Self::ENOTSOCK)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}: {}", self.description()),
            None => write!(f, "errno {}: {}", self.0, self.description()),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl core::error::Error for Errno {}

#[cfg(feature = "std")]
impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.number())
    }
}

#[cfg(feature = "std")]
impl Errno {
    /// The errno of an error of the standard library; `None` if it does not come from the kernel.
    /// Cost: O(1).
    #[must_use]
    pub fn from_io_error(error: &std::io::Error) -> Option<Self> {
        error.raw_os_error().and_then(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_named_errno_prints_its_name_and_its_meaning() {
        assert_eq!(Errno::ECONNREFUSED.to_string(), "ECONNREFUSED: connection refused");
        assert_eq!(format!("{:?}", Errno::ECONNREFUSED), "ECONNREFUSED");
        assert_eq!(Errno::ECONNREFUSED.name(), Some("ECONNREFUSED"));
        assert_eq!(Errno::ECONNREFUSED.number(), 111);
    }

    #[test]
    fn an_unnamed_errno_prints_its_number() {
        let errno = Errno::new(200).unwrap();
        assert_eq!(errno.to_string(), "errno 200: unknown");
        assert_eq!(format!("{errno:?}"), "Errno(200)");
        assert_eq!(errno.name(), None);
    }

    #[test]
    fn an_alias_prints_as_the_name_it_stands_for() {
        assert_eq!(Errno::EWOULDBLOCK.name(), Some("EAGAIN"));
        assert_eq!(Errno::EDEADLOCK.name(), Some("EDEADLK"));
        assert_eq!(Errno::ENOTSUP.name(), Some("EOPNOTSUPP"));
    }

    #[test]
    fn only_1_to_4095_are_errors_and_keep_their_number() {
        for number in [i32::MIN, -4095, -11, -1, 0, 4096, 65536, 65537, i32::MAX] {
            assert_eq!(Errno::new(number), None, "{number} is no error number");
        }
        for number in 1..=i32::from(NUMBER_MAX) {
            assert_eq!(Errno::new(number).map(Errno::number), Some(number));
        }
    }

    #[test]
    fn every_number_to_133_but_41_and_58_has_its_own_name_and_meaning() {
        let (mut names, mut meanings) = (BTreeSet::new(), BTreeSet::new());
        for number in 1..=i32::from(NUMBER_MAX) {
            let errno = Errno::new(number).unwrap();
            let expected = number <= 133 && number != 41 && number != 58;
            assert_eq!(errno.name().is_some(), expected, "unexpected name for {number}");
            if let Some(name) = errno.name() {
                assert!(names.insert(name), "{name} has two numbers");
                assert!(
                    meanings.insert(errno.description()),
                    "{} is used twice",
                    errno.description()
                );
            }
        }
        assert_eq!(names.len(), 131);
    }

    #[test]
    fn errno_classes_are_disjoint() {
        for number in 1..=i32::from(NUMBER_MAX) {
            let errno = Errno::new(number).unwrap();
            let policies = [
                errno.is_would_block(),
                errno.is_interrupted(),
                errno.is_resource_exhausted(),
                errno.is_transient_accept_error(),
                errno.never_accepts(),
            ];
            let matching = policies.iter().filter(|matching| **matching).count();
            assert!(matching <= 1, "{errno} matches {matching} policies");
        }
    }

    #[test]
    fn errno_classes_match_the_man_pages() {
        assert!(Errno::EWOULDBLOCK.is_would_block() && !Errno::EINPROGRESS.is_would_block());
        assert!(Errno::EINTR.is_interrupted() && !Errno::ERESTART.is_interrupted());
        assert!(Errno::EMFILE.is_resource_exhausted() && !Errno::EBADF.is_resource_exhausted());
        assert!(
            Errno::ECONNABORTED.is_transient_accept_error()
                && !Errno::EINVAL.is_transient_accept_error()
        );
    }

    #[test]
    fn an_errno_costs_two_bytes_even_in_a_result() {
        assert_eq!(size_of::<Result<(), Errno>>(), 2);
        assert_eq!(size_of::<Option<Errno>>(), 2);
    }

    #[cfg(feature = "std")]
    #[test]
    fn io_errors_keep_the_number_there_and_back() {
        let error = std::io::Error::from(Errno::EPIPE);
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        assert_eq!(Errno::from_io_error(&error), Some(Errno::EPIPE));
        let custom = std::io::Error::other("not from the kernel");
        assert_eq!(Errno::from_io_error(&custom), None);
    }
}
