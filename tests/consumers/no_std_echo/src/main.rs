//! An echo server without `std`, without an allocator, without Rust's `main`: for TCP, on a free
//! port of 127.0.0.1, which it prints.

#![no_std]
#![no_main]

use core::ffi::c_int;

use epollite::Errno;

#[link(name = "c")]
unsafe extern "C" {}

#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    serve().map_or_else(Errno::number, |()| 0)
}

fn serve() -> Result<(), Errno> {
    let (listener, port) = echo_loop::listen()?;
    print(port);
    echo_loop::serve(listener, u32::MAX)
}

/// Prints a number and the end of a line.
fn print(mut number: u16) {
    let mut line = *b"00000\n";
    for digit in line.iter_mut().rev().skip(1) {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    // SAFETY: write(2) reads the bytes of `line`, which lives until it returns.
    unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: abort(3) has no precondition, and does not return.
    unsafe { libc::abort() }
}
