//! recvmmsg(2) and sendmmsg(2): many datagrams in one call.
//!
//! The headers that C needs are built on the stack for each call: some nanoseconds per datagram,
//! against microseconds that the kernel spends on it, and nothing to keep valid between calls.

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::null_mut;

use super::control::{Ancillary, CONTROL_BYTES, Control};
use super::message::header;
use super::result::check_int_count;
use crate::errno::Errno;
use crate::kernel::Fd;
use crate::net::{BATCH_MAX, Datagram, DatagramBatch, SockAddr};

/// Storage for what C needs besides the bytes and the addresses: headers that point to iovecs and
/// to control messages. It is written and read through the pointers of [`Headers`] only.
struct Storage {
    messages: [MaybeUninit<libc::mmsghdr>; BATCH_MAX],
    iovecs: [MaybeUninit<libc::iovec>; BATCH_MAX],
    /// For messages that have control messages.
    controls: [MaybeUninit<Control>; BATCH_MAX],
}

impl Storage {
    const fn new() -> Self {
        Self {
            messages: [const { MaybeUninit::uninit() }; BATCH_MAX],
            iovecs: [const { MaybeUninit::uninit() }; BATCH_MAX],
            controls: [const { MaybeUninit::uninit() }; BATCH_MAX],
        }
    }
}

/// The headers in a [`Storage`], of which the first `len` have been written, each with its iovec.
struct Headers<'a> {
    messages: *mut libc::mmsghdr,
    iovecs: *mut libc::iovec,
    controls: *mut Control,
    len: usize,
    storage: PhantomData<&'a mut Storage>,
}

impl<'a> Headers<'a> {
    fn new(storage: &'a mut Storage) -> Self {
        Self {
            messages: storage.messages.as_mut_ptr().cast(),
            iovecs: storage.iovecs.as_mut_ptr().cast(),
            controls: storage.controls.as_mut_ptr().cast(),
            len: 0,
            storage: PhantomData,
        }
    }

    const fn is_full(&self) -> bool {
        self.len == BATCH_MAX
    }

    /// Adds one message: bytes, and an address of `addr_len` bytes. Only stores pointers; the
    /// caller must keep them valid until the call returns.
    fn push(&mut self, bytes: *mut u8, bytes_len: usize, addr: *mut u8, addr_len: u32) {
        assert!(!self.is_full(), "a call takes at most BATCH_MAX messages");
        let iovec = self.iovecs.wrapping_add(self.len);
        // SAFETY: it lies in the borrowed storage, since `len` is smaller than its length.
        unsafe { iovec.write(libc::iovec { iov_base: bytes.cast(), iov_len: bytes_len }) };
        let message = libc::mmsghdr { msg_hdr: header(iovec, addr, addr_len), msg_len: 0 };
        // SAFETY: as for the iovec.
        unsafe { self.messages.wrapping_add(self.len).write(message) };
        self.len += 1;
    }

    /// Gives the message at `index`, which has been added, a control message of `len` bytes.
    fn control(&mut self, index: usize, control: Control, len: usize) {
        assert!(index < self.len, "only a message that was added has control messages");
        let slot = self.controls.wrapping_add(index);
        // SAFETY: it lies in the borrowed storage, since `index` is smaller than its length.
        unsafe { slot.write(control) };
        // SAFETY: `push` has written it, and nothing else accesses it in the meantime.
        let message = unsafe { &mut *self.messages.wrapping_add(index) };
        message.msg_hdr.msg_control = slot.cast();
        message.msg_hdr.msg_controllen = len as _;
    }

    /// The message at `index`, which has been added, as the kernel has left it.
    fn message(&self, index: usize) -> &libc::mmsghdr {
        assert!(index < self.len, "only a message that was added can be read");
        // SAFETY: `push` has written it.
        unsafe { &*self.messages.wrapping_add(index) }
    }

    /// What the control messages of a message say, if there are any.
    fn ancillary(&self, index: usize) -> Ancillary {
        let header = &self.message(index).msg_hdr;
        if header.msg_control.is_null() || header.msg_controllen == 0 {
            return Ancillary::default();
        }
        // SAFETY: `control` has written it, since the header points to it.
        unsafe { &*self.controls.wrapping_add(index) }.decode()
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most BATCH_MAX")]
    const fn count(&self) -> libc::c_uint {
        self.len as libc::c_uint
    }
}

pub(super) fn recvmmsg(socket: &Fd, batch: &mut DatagramBatch) -> Result<usize, Errno> {
    let mut storage = Storage::new();
    let mut headers = Headers::new(&mut storage);
    let has_control_messages = batch.has_control_messages();
    for (bytes, meta) in batch.recv_slots() {
        if headers.is_full() {
            break;
        }
        let addr = meta.addr.buffer_mut().as_mut_ptr();
        headers.push(bytes.as_mut_ptr(), bytes.len(), addr, SockAddr::LEN_MAX);
    }
    if has_control_messages {
        (0..headers.len).for_each(|index| headers.control(index, Control::EMPTY, CONTROL_BYTES));
    }
    let (messages, capacity) = (headers.messages, headers.count());
    // SAFETY: the messages point into the storage, which is borrowed and does not move.
    // recvmmsg(2) writes into the first `capacity` headers, which are initialised, and through
    // them into the batch's slots, each no further than its stated length; the batch is borrowed
    // exclusively and nothing accesses it until the call returns. No timeout: that argument does
    // not work as one.
    let returned = unsafe { libc::recvmmsg(socket.raw(), messages, capacity, 0, null_mut()) };
    let count = check_int_count(returned)?;
    for (index, meta) in batch.set_len(count).iter_mut().enumerate() {
        let message = headers.message(index);
        meta.addr.set_len(message.msg_hdr.msg_namelen);
        meta.len_bytes = message.msg_len as usize;
        meta.truncated = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        let ancillary = headers.ancillary(index);
        (meta.segment_bytes, meta.packet_info) = (ancillary.segment_bytes, ancillary.packet_info);
    }
    Ok(count)
}

pub(super) fn sendmmsg(socket: &Fd, batch: &DatagramBatch, first: usize) -> Result<usize, Errno> {
    let mut storage = Storage::new();
    let mut headers = Headers::new(&mut storage);
    for datagram in batch.iter().skip(first).take(BATCH_MAX) {
        let (bytes, addr) = (datagram.bytes, datagram.addr);
        headers.push(
            bytes.as_ptr().cast_mut(),
            bytes.len(),
            addr.as_bytes().as_ptr().cast_mut(),
            addr.socklen(),
        );
        let Datagram { packet_info, segment_bytes, .. } = datagram;
        if packet_info.is_some() || segment_bytes > 0 {
            let (control, len) = Control::encode(Ancillary { packet_info, segment_bytes });
            headers.control(headers.len - 1, control, len);
        }
    }
    let (messages, capacity) = (headers.messages, headers.count());
    // SAFETY: the messages point into the storage, which is borrowed and does not move.
    // sendmmsg(2) reads the first `capacity` headers, which are initialised, and through them the
    // batch's bytes and addresses, which are borrowed; it writes only each header's `msg_len`. It
    // keeps no pointer afterwards.
    let returned = unsafe { libc::sendmmsg(socket.raw(), messages, capacity, libc::MSG_NOSIGNAL) };
    check_int_count(returned)
}
