//! recvmmsg(2) and sendmmsg(2): many datagrams, one call.
//!
//! The headers that C wants are made anew on the stack for each call: some nanoseconds a
//! datagram, against microseconds that the kernel spends on it, and nothing to keep valid
//! between calls.

use core::marker::PhantomData;
use core::mem::{MaybeUninit, zeroed};
use core::ptr::null_mut;

use super::control::{CONTROL_BYTES, Control};
use super::result::small_count;
use crate::addr::{PacketInfo, SockAddr};
use crate::batch::{Batch, DATAGRAMS_A_CALL_MAX as A_CALL_MAX};
use crate::errno::Errno;
use crate::kernel::Fd;

/// Room for what C wants beside the bytes and the addresses: headers that point to parts and to
/// control messages. It is written and read through the pointers of [`Headers`] only.
struct Room {
    messages: [MaybeUninit<libc::mmsghdr>; A_CALL_MAX],
    parts: [MaybeUninit<libc::iovec>; A_CALL_MAX],
    /// Of the messages that have any.
    controls: [MaybeUninit<Control>; A_CALL_MAX],
}

impl Room {
    const fn new() -> Self {
        Self {
            messages: [const { MaybeUninit::uninit() }; A_CALL_MAX],
            parts: [const { MaybeUninit::uninit() }; A_CALL_MAX],
            controls: [const { MaybeUninit::uninit() }; A_CALL_MAX],
        }
    }
}

/// The headers in a [`Room`], of which the first `len` have been written, each with its part.
struct Headers<'a> {
    messages: *mut libc::mmsghdr,
    parts: *mut libc::iovec,
    controls: *mut Control,
    len: usize,
    room: PhantomData<&'a mut Room>,
}

impl<'a> Headers<'a> {
    fn of(room: &'a mut Room) -> Self {
        Self {
            messages: room.messages.as_mut_ptr().cast(),
            parts: room.parts.as_mut_ptr().cast(),
            controls: room.controls.as_mut_ptr().cast(),
            len: 0,
            room: PhantomData,
        }
    }

    const fn is_full(&self) -> bool {
        self.len == A_CALL_MAX
    }

    /// Adds one message: bytes, and an address of `addr_len` bytes. Only writes pointers
    /// down; the caller must keep them valid until the call returns.
    fn push(&mut self, bytes: *mut u8, bytes_len: usize, addr: *mut u8, addr_len: u32) {
        assert!(!self.is_full(), "a call takes so many");
        let part = self.parts.wrapping_add(self.len);
        // SAFETY: it lies in the room, which is borrowed, for `len` is smaller than its length.
        unsafe { part.write(libc::iovec { iov_base: bytes.cast(), iov_len: bytes_len }) };
        // SAFETY: `mem::zeroed` makes a value of mmsghdr: integers and null pointers. (It cannot be
        // written out: musl pads it with private fields.)
        let mut message: libc::mmsghdr = unsafe { zeroed() };
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_name = if addr_len == 0 { null_mut() } else { addr.cast() };
        message.msg_hdr.msg_namelen = addr_len;
        // SAFETY: as the part.
        unsafe { self.messages.wrapping_add(self.len).write(message) };
        self.len += 1;
    }

    /// Gives the message at `at`, which has been added, a control message of `len` bytes.
    fn control(&mut self, at: usize, control: Control, len: usize) {
        assert!(at < self.len, "only a message that was added has control messages");
        let place = self.controls.wrapping_add(at);
        // SAFETY: it lies in the room, which is borrowed, for `at` is smaller than its length.
        unsafe { place.write(control) };
        // SAFETY: `push` has written it, and nobody else looks at it meanwhile.
        let message = unsafe { &mut *self.messages.wrapping_add(at) };
        message.msg_hdr.msg_control = place.cast();
        message.msg_hdr.msg_controllen = len as _;
    }

    /// The message at `at`, which has been added, as the kernel has left it.
    fn message(&self, at: usize) -> &libc::mmsghdr {
        assert!(at < self.len, "only a message that was added can be looked at");
        // SAFETY: `push` has written it.
        unsafe { &*self.messages.wrapping_add(at) }
    }

    /// What a message was told beside its bytes, when it was given room for that.
    fn packet_info(&self, at: usize) -> Option<PacketInfo> {
        if self.message(at).msg_hdr.msg_control.is_null() {
            return None;
        }
        // SAFETY: `control` has written it, for the header points to it.
        unsafe { &*self.controls.wrapping_add(at) }.packet_info()
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most A_CALL_MAX")]
    const fn count(&self) -> libc::c_uint {
        self.len as libc::c_uint
    }
}

pub(super) fn recvmmsg(socket: &Fd, batch: &mut Batch) -> Result<usize, Errno> {
    let mut room = Room::new();
    let mut headers = Headers::of(&mut room);
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
    let (messages, asked) = (headers.messages, headers.count());
    // SAFETY: the messages point into the room, which is borrowed and stays where it is. recvmmsg(2)
    // writes into the first `asked` headers, which are initialised, and through them into the
    // batch's room, each piece no longer than said; the batch is borrowed exclusively and nothing
    // touches it until the call returns. No timeout: the argument of that name is not one.
    let returned = unsafe { libc::recvmmsg(socket.raw(), messages, asked, 0, null_mut()) };
    let count = small_count(returned)?;
    for (at, header) in batch.filled(count).iter_mut().enumerate() {
        let message = headers.message(at);
        header.addr.set_len(message.msg_hdr.msg_namelen);
        header.len_bytes = message.msg_len as usize;
        header.truncated = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        header.packet_info = if has_packet_info { headers.packet_info(at) } else { None };
    }
    Ok(count)
}

pub(super) fn sendmmsg(socket: &Fd, batch: &Batch, first: usize) -> Result<usize, Errno> {
    let mut room = Room::new();
    let mut headers = Headers::of(&mut room);
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
    let (messages, asked) = (headers.messages, headers.count());
    // SAFETY: the messages point into the room, which is borrowed and stays where it is. sendmmsg(2)
    // reads the first `asked` headers, which are initialised, and through them the batch's bytes and
    // addresses, which are borrowed; it writes only each header's `msg_len`. It keeps no pointer
    // afterwards.
    let returned = unsafe { libc::sendmmsg(socket.raw(), messages, asked, libc::MSG_NOSIGNAL) };
    small_count(returned)
}
