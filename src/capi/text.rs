//! Versions, and the names of errors. Knows no handle.

use core::ffi::{c_char, c_int};

use crate::errno::for_each_errno;

/// `EPL_VERSION` of the header: a million times the major, a thousand times the minor, and the
/// patch.
pub(super) const VERSION: c_int = number(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
    + number(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
    + number(env!("CARGO_PKG_VERSION_PATCH"));

const fn number(digits: &str) -> c_int {
    let bytes = digits.as_bytes();
    let (mut at, mut number) = (0, 0);
    while at < bytes.len() {
        number = number * 10 + (bytes[at] - b'0') as c_int;
        at += 1;
    }
    number
}

/// The version of the library: `EPL_VERSION` of the header that it was built with.
#[unsafe(no_mangle)]
extern "C" fn epl_version() -> c_int {
    VERSION
}

/// The same as a text, such as `0.1.0`.
#[unsafe(no_mangle)]
extern "C" fn epl_version_string() -> *const c_char {
    const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    TEXT.as_ptr().cast()
}

macro_rules! texts {
    ($($number:literal $name:ident $meaning:literal;)*) => {
        const fn meaning_of(number: c_int) -> &'static str {
            match number {
                0 => "success\0",
                $($number => concat!($meaning, "\0"),)*
                _ => "unknown error\0",
            }
        }

        const fn name_of(number: c_int) -> &'static str {
            match number {
                0 => "0\0",
                $($number => concat!(stringify!($name), "\0"),)*
                _ => "?\0",
            }
        }
    };
}
for_each_errno!(texts);

/// What an error means: a negative result of this library, or an errno.
#[unsafe(no_mangle)]
extern "C" fn epl_strerror(error: c_int) -> *const c_char {
    meaning_of(error.wrapping_abs()).as_ptr().cast()
}

/// The name of an error, such as `ECONNRESET`.
#[unsafe(no_mangle)]
extern "C" fn epl_errno_name(error: c_int) -> *const c_char {
    name_of(error.wrapping_abs()).as_ptr().cast()
}
