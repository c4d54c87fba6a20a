//! BPF: a ring buffer, and a program that puts a record into it.
//!
//! Man page: bpf(2). Reference: include/uapi/linux/bpf.h

use super::Linux;
use super::result::{check_fd, check_ok};
use crate::errno::Errno;
use crate::kernel::{Fd, Kernel};

/// `union bpf_attr`, as much of it as is used, in numbers of 32 bits.
type Attr = [u32; 32];

/// The size of the ring: a page, which is larger on some machines.
const RING_BYTES: u32 = 65_536;
/// What bpf(2) does.
const MAP_CREATE: u32 = 0;
const PROG_LOAD: u32 = 5;
const PROG_TEST_RUN: u32 = 10;
const MAP_TYPE_RINGBUF: u32 = 27;
const PROG_TYPE_SOCKET_FILTER: u32 = 1;

fn bpf(command: u32, attr: &mut Attr) -> i32 {
    let (number, into, len) = (libc::SYS_bpf, attr.as_mut_ptr(), size_of::<Attr>());
    // SAFETY: bpf(2) reads and writes `len` bytes at `into`, which is borrowed exclusively until it
    // returns. Addresses in it are those of `load` and `run`, of memory that is only read, and that
    // lives longer. The C library has no wrapper.
    let returned = unsafe { libc::syscall(number, command, into, len) };
    i32::try_from(returned).unwrap_or(-1)
}

/// It is close-on-exec, as all of them.
pub(super) fn create_ring() -> Result<Fd, Errno> {
    let mut attr = [0; 32];
    // map_type, key_size, value_size, max_entries.
    attr[..4].copy_from_slice(&[MAP_TYPE_RINGBUF, 0, 0, RING_BYTES]);
    check_fd(bpf(MAP_CREATE, &mut attr))
}

/// Loads the program and runs it once, outside of any socket.
pub(super) fn ring_output(ring: &Fd) -> Result<(), Errno> {
    let program = load(ring)?;
    let ran = run(&program);
    let _ = Linux.close(program);
    ran
}

/// Puts the number 0 into the ring: `bpf_ringbuf_output(ring, &0, 8, 0)`.
fn load(ring: &Fd) -> Result<Fd, Errno> {
    /// `opcode`, both registers as `src << 4 | dst`, an offset, a number: `struct bpf_insn`.
    const fn instruction(opcode: u8, registers: u8, offset: i16, number: i32) -> [u8; 8] {
        let ([a, b], [c, d, e, f]) = (offset.to_ne_bytes(), number.to_ne_bytes());
        [opcode, registers, a, b, c, d, e, f]
    }
    let code = [
        instruction(0x7a, 0x0a, -8, 0),          // *(u64 *)(r10 - 8) = 0
        instruction(0x18, 0x11, 0, ring.raw()),  // r1 = the ring of this descriptor
        instruction(0, 0, 0, 0),                 // its upper half
        instruction(0xbf, 0xa2, 0, 0),           // r2 = r10
        instruction(0x07, 0x02, 0, -8),          // r2 -= 8
        instruction(0xb7, 0x03, 0, 8),           // r3 = 8
        instruction(0xb7, 0x04, 0, 0),           // r4 = 0
        instruction(0x85, 0, 0, RINGBUF_OUTPUT), // call
        instruction(0xb7, 0, 0, 0),              // r0 = 0
        instruction(0x95, 0, 0, 0),              // exit
    ];
    let license = c"Dual MIT/GPL";
    let mut attr = [0; 32];
    // prog_type, insn_cnt, insns, license.
    attr[0] = PROG_TYPE_SOCKET_FILTER;
    attr[1] = u32::try_from(code.len()).unwrap_or(0);
    set_address(&mut attr, 2, code.as_ptr().addr());
    set_address(&mut attr, 4, license.as_ptr().addr());
    check_fd(bpf(PROG_LOAD, &mut attr))
}

/// The number of `bpf_ringbuf_output` among the functions that a program may call.
const RINGBUF_OUTPUT: i32 = 130;

fn run(program: &Fd) -> Result<(), Errno> {
    // A test run wants a packet, if only an empty frame.
    let frame = [0_u8; 64];
    let mut attr = [0; 32];
    // prog_fd, retval, data_size_in, data_size_out, data_in.
    attr[0] = program.number();
    attr[2] = u32::try_from(frame.len()).unwrap_or(0);
    set_address(&mut attr, 4, frame.as_ptr().addr());
    check_ok(bpf(PROG_TEST_RUN, &mut attr))
}

/// Addresses are 64 bits on every machine.
fn set_address(attr: &mut Attr, at: usize, address: usize) {
    let bytes = u64::try_from(address).unwrap_or(0).to_ne_bytes();
    for (number, half) in attr[at..].iter_mut().zip(bytes.chunks_exact(4)) {
        *number = half.first_chunk().map_or(0, |half| u32::from_ne_bytes(*half));
    }
}
