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

macro_rules! names {
    ($($number:literal $name:ident $meaning:literal;)*) => {
        /// The numbers that have a name, and their names in the same order. Not a table of
        /// pointers, which is larger than the names.
        const NUMBERS: &[u8] = &[0, $($number),*];
        const NAMES: &str = concat!("0\0", $(stringify!($name), "\0"),*);
    };
}
for_each_errno!(names);

unsafe extern "C" {
    fn strerror(error: c_int) -> *const c_char;
}

/// What an error means: a negative result of this library, or an errno.
#[unsafe(no_mangle)]
extern "C" fn epl_strerror(error: c_int) -> *const c_char {
    // SAFETY: strerror(3) takes any number. It returns a text that ends with a zero byte: a
    // constant one, or for an unknown number one of this thread.
    unsafe { strerror(error.wrapping_abs()) }
}

/// The name of an error, such as `ECONNRESET`.
#[unsafe(no_mangle)]
extern "C" fn epl_errno_name(error: c_int) -> *const c_char {
    let number = error.unsigned_abs();
    let Some(at) = NUMBERS.iter().position(|known| u32::from(*known) == number) else {
        return c"?".as_ptr();
    };
    let mut names = NAMES.as_bytes();
    for _ in 0..at {
        let end = names.iter().position(|byte| *byte == 0).unwrap_or(0);
        names = names.get(end + 1..).unwrap_or_default();
    }
    names.as_ptr().cast()
}

#[cfg(test)]
mod tests {
    use core::ffi::CStr;

    use super::*;
    use crate::errno::Errno;

    /// The text at a pointer that one of the functions above returned.
    fn text(pointer: *const c_char) -> &'static str {
        // SAFETY: it ends with a zero byte, and is a constant.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    }

    #[test]
    fn every_error_has_its_name() {
        for number in 1..=4095 {
            let name = Errno::new(number).and_then(Errno::name);
            assert_eq!(text(epl_errno_name(number)), name.unwrap_or("?"));
            assert_eq!(text(epl_errno_name(-number)), name.unwrap_or("?"));
        }
        assert_eq!(text(epl_errno_name(0)), "0");
        assert_eq!(text(epl_errno_name(c_int::MIN)), "?");
        assert_eq!(text(epl_errno_name(256 + 1)), "?", "no number is cut");
    }
}
