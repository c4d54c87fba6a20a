//! recvmmsg(2) and sendmmsg(2): many datagrams, one call.
//!
//! The headers that C wants are made anew on the stack for each call: some nanoseconds a
//! datagram, against microseconds that the kernel spends on it, and nothing to keep valid
//! between calls.

use core::mem::{MaybeUninit, zeroed};
use core::ptr::null_mut;

use super::control::{CONTROL_BYTES, Control};
use super::result::small_count;
use crate::addr::SockAddr;
use crate::batch::{Batch, DATAGRAMS_A_CALL_MAX as A_CALL_MAX};
use crate::errno::Errno;
use crate::kernel::Fd;

/// What C wants beside the bytes and the addresses: it points to them, and to itself.
struct Headers {
    messages: [MaybeUninit<libc::mmsghdr>; A_CALL_MAX],
    parts: [MaybeUninit<libc::iovec>; A_CALL_MAX],
    /// Of the messages that have any.
    controls: [MaybeUninit<Control>; A_CALL_MAX],
    len: usize,
}

impl Headers {
    const fn new() -> Self {
        Self {
            messages: [const { MaybeUninit::uninit() }; A_CALL_MAX],
            parts: [const { MaybeUninit::uninit() }; A_CALL_MAX],
            controls: [const { MaybeUninit::uninit() }; A_CALL_MAX],
            len: 0,
        }
    }

    const fn is_full(&self) -> bool {
        self.len == A_CALL_MAX
    }

    /// Adds one message: bytes, and an address of `addr_len` bytes. Only writes pointers
    /// down; the caller must keep them valid until the call returns.
    fn push(&mut self, bytes: *mut u8, bytes_len: usize, addr: *mut u8, addr_len: u32) {
        self.parts[self.len].write(libc::iovec { iov_base: bytes.cast(), iov_len: bytes_len });
        // SAFETY: `mem::zeroed` makes a value of mmsghdr: integers and null pointers. (It cannot be
        // written out: musl pads it with private fields.)
        let mut message: libc::mmsghdr = unsafe { zeroed() };
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_name = if addr_len == 0 { null_mut() } else { addr.cast() };
        message.msg_hdr.msg_namelen = addr_len;
        self.messages[self.len].write(message);
        self.len += 1;
    }

    /// Gives the message at `at`, which has been added, a control message of `len` bytes.
    fn control(&mut self, at: usize, control: Control, len: usize) {
        assert!(at < self.len, "only a message that was added has control messages");
        self.controls[at].write(control);
        // SAFETY: only the first `len` headers are looked at, and `push` has written them all.
        let message = unsafe { self.messages[at].assume_init_mut() };
        message.msg_hdr.msg_controllen = len as _;
    }

    /// The headers, each pointing to its part and its control message: last of all, so that nothing
    /// of ours is touched any more that they point to.
    fn linked(&mut self) -> *mut libc::mmsghdr {
        let parts: *mut libc::iovec = self.parts.as_mut_ptr().cast();
        let controls: *mut Control = self.controls.as_mut_ptr().cast();
        for (at, message) in self.messages[..self.len].iter_mut().enumerate() {
            // SAFETY: `push` has written the first `len` headers.
            let message = unsafe { message.assume_init_mut() };
            message.msg_hdr.msg_iov = parts.wrapping_add(at);
            if message.msg_hdr.msg_controllen > 0 {
                message.msg_hdr.msg_control = controls.wrapping_add(at).cast();
            }
        }
        self.messages.as_mut_ptr().cast()
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most A_CALL_MAX")]
    const fn count(&self) -> libc::c_uint {
        self.len as libc::c_uint
    }
}

pub(super) fn recvmmsg(socket: &Fd, batch: &mut Batch) -> Result<usize, Errno> {
    let mut headers = Headers::new();
    let has_packet_info = batch.has_packet_info();
    for (bytes, header) in batch.room() {
        if headers.is_full() {
            break;
        }
        let addr = header.addr.buffer_mut().as_mut_ptr();
        headers.push(bytes.as_mut_ptr(), bytes.len(), addr, SockAddr::LEN_MAX);
    }
    if has_packet_info {
        (0..headers.len).for_each(|at| headers.control(at, Control::EMPTY, CONTROL_BYTES));
    }
    let (count, messages) = (headers.count(), headers.linked());
    // SAFETY: the messages point into `headers.parts` and `controls`, which stay where they are
    // until the call returns. recvmmsg(2) writes into the first `count` headers, which are initialised, and
    // through them into the batch's room, each piece no longer than said; the batch is
    // borrowed exclusively and nothing touches it until the call returns. No timeout: the
    // argument of that name is not one.
    let returned = unsafe { libc::recvmmsg(socket.raw(), messages, count, 0, null_mut()) };
    let count = small_count(returned)?;
    let came = headers.messages.iter().zip(&headers.controls);
    for (header, (message, control)) in batch.filled(count).iter_mut().zip(came) {
        // SAFETY: only the first `len` headers are looked at, `push` has written them all,
        // and the kernel says it filled `count` of them.
        let message = unsafe { message.assume_init_ref() };
        header.addr.set_len(message.msg_hdr.msg_namelen);
        header.len_bytes = message.msg_len as usize;
        header.truncated = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        header.packet_info = if has_packet_info {
            // SAFETY: each of the first `len` has been written then, beside its header.
            unsafe { control.assume_init_ref() }.packet_info()
        } else {
            None
        };
    }
    Ok(count)
}

pub(super) fn sendmmsg(socket: &Fd, batch: &Batch, first: usize) -> Result<usize, Errno> {
    let mut headers = Headers::new();
    for datagram in batch.iter().skip(first).take(A_CALL_MAX) {
        let (bytes, addr) = (datagram.bytes, datagram.addr);
        headers.push(
            bytes.as_ptr().cast_mut(),
            bytes.len(),
            addr.as_bytes().as_ptr().cast_mut(),
            addr.socklen(),
        );
        if let Some(info) = datagram.packet_info {
            let (control, len) = Control::of(info);
            headers.control(headers.len - 1, control, len);
        }
    }
    let (count, messages) = (headers.count(), headers.linked());
    // SAFETY: the messages point into `headers.parts` and `controls`, which stay where they are
    // until the call returns. sendmmsg(2) reads the first `count` headers, which are initialised,
    // and through them the batch's bytes and addresses, which are borrowed; it writes only each header's
    // `msg_len`. It keeps no pointer afterwards.
    let returned = unsafe { libc::sendmmsg(socket.raw(), messages, count, libc::MSG_NOSIGNAL) };
    small_count(returned)
}
