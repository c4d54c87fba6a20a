//! Compile-time guarantees of the types: Send, Sync, Copy, object safety, and sizes. A violation
//! breaks a user's program or a limit of the design, so it does not build.

use epollite::Io;
use epollite::collections::{Slab, TimerHeap, WriteBuffer};
use epollite::echo::Echo;
use epollite::event::Ready;
use epollite::executor::{
    AsyncFd, DatagramSocket, Executor, Handle, JoinHandle, Listener, Notify, ReadHalf, Receiver,
    Sender, Sleep, Stream, WriteHalf,
};
use epollite::instrument::{CallCounter, CallCounts};
use epollite::kernel::{CallError, EpollEvent, EpollOp};
use epollite::kernel::{
    Credentials, Descriptors, MaybeBlockingFd, OutgoingMessage, ReceivedMessage, ShortName,
    SocketError, TcpInfo,
};
use epollite::kernel::{SignalSet, SocketOption};
use epollite::net::{DatagramBatch, SockAddr};
use epollite::reactor::{ConnectConfig, ConnectError, ConnectProgress, Connector, Waker};
use epollite::reactor::{Limits, RegisterErrorKind};
use epollite::server::datagram::DatagramServer;
use epollite::server::stream::StreamServer;
use epollite::sim::Sim;
use epollite::{
    Addr, Errno, Event, Fd, Instant, Interest, Kernel, Linux, Reactor, Received, Sent, Token,
    Trigger,
};
use static_assertions::{
    assert_eq_size, assert_impl_all, assert_not_impl_any, assert_obj_safe, const_assert,
    const_assert_eq,
};

// A `Kernel` can be chosen at run time, borrowed, and wrapped.
assert_obj_safe!(Kernel);
assert_impl_all!(Linux: Kernel, Copy, Send, Sync);
assert_impl_all!(&mut Linux: Kernel);
assert_impl_all!(&mut dyn Kernel: Kernel);
assert_impl_all!(CallCounter<CallCounter<Linux>>: Kernel, Send, Sync);
assert_impl_all!(Reactor<(), &'static mut dyn Kernel>: Drop);
const_assert_eq!(size_of::<Linux>(), 0);

// A descriptor has one owner.
assert_impl_all!(Fd: Send, Sync);
assert_not_impl_any!(Fd: Clone, Copy, Default, Drop);
assert_eq_size!(Fd, i32);
assert_impl_all!(MaybeBlockingFd: Send, Sync, From<Fd>);
assert_not_impl_any!(MaybeBlockingFd: Clone, Copy, Drop, Into<Fd>);
assert_eq_size!(MaybeBlockingFd, Fd);

// A waker can be sent anywhere; a reactor wherever its states can.
assert_impl_all!(Waker: Send, Sync, Clone);
assert_impl_all!(Reactor<Vec<u8>>: Send);
assert_not_impl_any!(Reactor<()>: Clone);
assert_not_impl_any!(Reactor<*const ()>: Send);
assert_impl_all!(Io<'static, Linux>: Send);
assert_eq_size!(Waker, usize);

// It can be looked at from anywhere, where its states and its kernel can.
assert_impl_all!(Reactor<Vec<u8>>: Sync);
assert_not_impl_any!(Reactor<core::cell::Cell<u8>>: Sync);
assert_impl_all!(Reactor<core::cell::Cell<u8>>: Send);
assert_not_impl_any!(Reactor<(), Sim>: Send, Sync);

// A server moves to the thread that serves it, and only that one uses it.
assert_impl_all!((StreamServer, StreamServer<Linux, Vec<u8>>, DatagramServer): Send);
assert_not_impl_any!(StreamServer: Sync, Clone);
assert_not_impl_any!(StreamServer<Linux, *const ()>: Send);
assert_not_impl_any!(StreamServer<Sim>: Send);
assert_not_impl_any!(DatagramServer: Sync, Clone);
assert_not_impl_any!(DatagramServer<Sim>: Send);

// A simulated kernel has one thread.
assert_impl_all!(Sim: Kernel);
assert_not_impl_any!(Sim: Send, Sync, Clone);

// Tasks and what they use stay on one thread; wakers of tasks do not.
assert_not_impl_any!(Executor: Send, Sync, Clone);
assert_not_impl_any!(Handle: Send, Sync);
assert_not_impl_any!(AsyncFd<Linux>: Send, Sync, Clone);
assert_not_impl_any!(Stream<Linux>: Send, Sync, Clone);
assert_not_impl_any!(ReadHalf<Linux>: Send, Sync, Clone);
assert_not_impl_any!(WriteHalf<Linux>: Send, Sync, Clone);
assert_not_impl_any!(Listener<Linux>: Send, Sync, Clone);
assert_not_impl_any!(DatagramSocket<Linux>: Send, Sync, Clone);
assert_not_impl_any!(Sleep<Linux>: Send, Sync);
assert_not_impl_any!(JoinHandle<()>: Send, Sync, Clone);
assert_not_impl_any!(Sender<()>: Send, Sync);
assert_not_impl_any!(Receiver<()>: Send, Sync, Clone);
assert_impl_all!(Handle: Clone);
assert_impl_all!(Sender<()>: Clone);
assert_impl_all!(Notify: Send);
assert_not_impl_any!(Notify: Sync, Clone);

/// For every state and kernel that is Send, not only those named above.
#[expect(dead_code, reason = "that it compiles is the test")]
const fn a_reactor_may_be_sent_when_its_states_may<T: Send, K: Kernel + Send>() {
    const fn sent<S: Send>() {}
    sent::<Reactor<T, K>>();
    sent::<Slab<T>>();
}

// Outcomes and events are plain values.
assert_impl_all!(Event: Copy, Eq, Send, Sync);
assert_impl_all!(Errno: Copy, Eq, Ord, core::hash::Hash, core::error::Error, Send, Sync);
assert_impl_all!(RegisterErrorKind: Copy, Eq, core::error::Error, From<Errno>, Send, Sync);
assert_impl_all!(CallError: Copy, Eq, core::error::Error, Into<Errno>, Send, Sync);
assert_impl_all!((Connector, ConnectConfig): Send, Sync);
assert_not_impl_any!(Connector: Clone, Drop);
assert_impl_all!(ReceivedMessage: Send, Sync);
assert_not_impl_any!(Descriptors: Clone, Copy, Drop);
assert_impl_all!(OutgoingMessage<'static>: Copy, Default, Send, Sync);
assert_impl_all!((SocketError, Credentials, ShortName, TcpInfo): Send, Sync);
assert_impl_all!(TcpInfo: Copy, Eq);
assert_impl_all!(ConnectProgress: Copy, Eq, Send, Sync);
assert_impl_all!(ConnectError<Vec<u8>>: core::error::Error, Send, Sync);
assert_not_impl_any!(ConnectError<*const ()>: Send);
assert_impl_all!(Interest: Copy, Eq, Default, core::ops::BitOr, core::ops::Sub);
assert_impl_all!(Ready: Copy, Eq, Default, core::ops::BitOrAssign);
assert_impl_all!(Token: Copy, Eq, Ord, core::hash::Hash, Send, Sync);
assert_impl_all!(Trigger: Copy, Eq, Default);
assert_impl_all!(SocketOption: Copy, Eq);
assert_impl_all!(CallCounts: Copy, Eq, Default);
assert_impl_all!(Limits: Copy, Default);
assert_impl_all!((TimerHeap, DatagramBatch, WriteBuffer, Echo): Send, Sync);

// Sizes that other code depends on.
const_assert_eq!(size_of::<Errno>(), 2);
assert_eq_size!(Errno, Option<Errno>, Result<(), Errno>);
const_assert_eq!(size_of::<Token>(), 8);
assert_eq_size!(Token, u64);
assert_eq_size!(Instant, u64);
assert_eq_size!(SignalSet, u64);
assert_eq_size!(Interest, Ready, u32);
assert_eq_size!(WriteBuffer, usize);
assert_eq_size!(Received, Sent, [usize; 2]);
const_assert!(size_of::<Event>() <= 16);
const_assert!(size_of::<EpollOp>() <= 24);
const_assert!(size_of::<Addr>() <= 128);
const_assert_eq!(size_of::<SockAddr>(), 136);
#[cfg(target_arch = "x86_64")]
const_assert_eq!(size_of::<EpollEvent>(), 12);

// An idle connection costs at most 64 bytes: its slot and half of it again for growth; or its slot
// and a deadline (16 bytes and 4). On 64-bit machines, where pointers are largest.
const_assert!(Reactor::<Echo>::REGISTRATION_BYTES * 3 / 2 <= 64);
const_assert!(Reactor::<Echo>::REGISTRATION_BYTES + 16 + 4 <= 64);
const_assert_eq!(Reactor::<()>::REGISTRATION_BYTES, 16);
